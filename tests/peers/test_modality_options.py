"""What modalities do otherwise than planned: polling, appending, grouping, mistakes, what nobody ordered."""

from __future__ import annotations

import dataclasses
import datetime as dt
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise

import pytest
from pydicom import Dataset

from dicomfab.dimse.peer import Peer
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.errors import InvalidInput, NotFound, PeerError, PortInUse
from dicomfab.model.procedure import StepState
from dicomfab.model.study import Patient
from dicomfab.model.values import Environment
from dicomfab.services.ordering.modality import Told
from dicomfab.services.ordering.ris import RisConfig
from dicomfab.storage.audit import AuditFilter
from tests.peers.modality_hospital import ACTOR, Hospital, free_port, hospital
from tests.unit.services.ordering.conftest import message, orm, pid

__all__ = ["hospital"]

WHOLE = ["in progress", "acquired", "stored", "completed", "committed"]


def order(hospital: Hospital, accession: str, **more: str) -> None:
    answer = hospital.send(orm(f"M{accession}", accession=accession, rp=f"R{accession}", sps=f"S{accession}", **more))
    assert b"MSA|AA" in answer


def moment(date: str, time: str) -> dt.datetime:
    return dt.datetime.strptime(f"{date}{str(time)[:6]}", "%Y%m%d%H%M%S").astimezone()


def reason(step: Dataset) -> str:
    [code] = step.PerformedProcedureStepDiscontinuationReasonCodeSequence
    return f"{code.CodeValue} {code.CodingSchemeDesignator} {code.CodeMeaning}"


# ---------------------------------------------------------------- polling


@pytest.mark.full
def test_item_after_item_is_performed_as_orders_come(hospital: Hospital) -> None:
    told = []
    order(hospital, "A1")
    for one in hospital.tell(poll_s=0.1, count=2, commit_s=0):
        told.append(one.step)
        if one.step == "waiting":
            order(hospital, "A2")
    done = ["worklist", "in progress", "acquired", "stored", "completed"]
    assert told == [*done, "waiting", *done]
    assert hospital.steps() == [StepState.COMPLETED] * 2


def test_a_worklist_that_gives_no_answer_is_asked_again(hospital: Hospital) -> None:
    order(hospital, "A1")
    port = free_port()
    with ExitStack() as running:
        told = []
        for one in hospital.tell(worklist=Peer("127.0.0.1", port, "DICOMFAB"), poll_s=0.05, count=1, commit_s=0):
            if one.step == "not asked" and "not asked" not in told:
                config = RisConfig(Environment.TEST, hl7_port=0, dicom_port=port, any_caller=True)
                running.enter_context(hospital.site.ordering.ris.serving(ACTOR, config))
            told.append(one.step)
        assert told == ["not asked", "worklist", "in progress", "acquired", "stored", "completed"]
    assert hospital.steps() == [StepState.COMPLETED]


def test_without_polling_it_is_not(hospital: Hospital) -> None:
    with pytest.raises(PeerError):
        hospital.perform(worklist=Peer("127.0.0.1", free_port(), "DICOMFAB"))


def test_of_an_item_that_nothing_can_be_made_for_it_is_told_and_the_next_is_taken(hospital: Hospital) -> None:
    for accession, words, modality in (("A1", b"Unknown", b"AU"), ("A2", b"Abdomen", b"US")):
        ordered = orm(f"M{accession}", accession=accession, start=f"20261127080{accession[1]}00")
        changed = ordered.replace(b"CT chest", words).replace(b"|CT|", b"|" + modality + b"|")
        assert b"MSA|AA" in hospital.send(changed)
    told = list(hospital.tell(kind="", poll_s=0.1, count=1, commit_s=0))
    assert [one.step for one in told] == ["skipped", "worklist", "in progress", "acquired", "stored", "completed"]
    assert "A1" in told[0].text
    assert sorted(hospital.steps()) == [StepState.COMPLETED, StepState.SCHEDULED]


def test_whoever_waits_can_be_stopped(hospital: Hospital) -> None:
    stop: list[str] = []
    for one in hospital.tell(poll_s=30, stopped=lambda: bool(stop)):
        stop.append(one.step)
    assert stop == ["waiting"]


@pytest.mark.parametrize(("at", "pace"), [("acquiring", 60.0), ("in progress", 0.0), ("acquired", 0.0)])
def test_an_examination_that_is_stopped_is_discontinued(hospital: Hospital, at: str, pace: float) -> None:
    order(hospital, "A1")
    order(hospital, "A2")
    told: list[Told] = []
    for one in hospital.tell(poll_s=0.1, pace=pace, stopped=lambda: any(said.step == at for said in told)):
        told.append(one)
    assert [one.step for one in told][-2:] == [at, "discontinued"]
    assert sorted(hospital.steps()) == [StepState.DISCONTINUED, StepState.SCHEDULED]
    [step] = hospital.reported()
    assert reason(step) == "110513 DCM Discontinued for unspecified reason"
    assert bool(step.PerformedSeriesSequence) == (at == "acquired")
    assert not hospital.headers(told[-1].study_instance_uid)


def test_one_that_is_abandoned_is_discontinued(hospital: Hospital) -> None:
    order(hospital, "A1")
    telling = hospital.tell()
    assert isinstance(telling, Iterator)
    assert [next(telling).step for _ in range(3)] == ["worklist", "in progress", "acquired"]
    telling.close()  # type: ignore[attr-defined]
    assert hospital.steps() == [StepState.DISCONTINUED]


def test_stopped_while_the_commitment_is_awaited_it_stays_completed(hospital: Hospital) -> None:
    order(hospital, "A1")
    told: list[str] = []
    elsewhere = free_port()  # the PACS reports to another port
    for one in hospital.tell(port=elsewhere, stopped=lambda: "completed" in told):
        told.append(one.step)
    assert told[-2:] == ["completed", "not committed"]
    assert hospital.steps() == [StepState.COMPLETED]


# ---------------------------------------------------------------- time


@pytest.mark.parametrize(("pace", "kind"), [(0.0, "us-abdomen"), (0.0, "cr-knee"), (200.0, "cr-knee")])
def test_nothing_is_earlier_than_it_begins_or_later_than_it_ends(hospital: Hospital, pace: float, kind: str) -> None:
    order(hospital, "A1", uid="1.2.3")
    told = hospital.perform(pace=pace, kind=kind, commit_s=0)
    assert told.count("acquiring") == (2 if pace else 0)
    [step] = hospital.reported()
    begins = moment(step.PerformedProcedureStepStartDate, step.PerformedProcedureStepStartTime)
    ends = moment(step.PerformedProcedureStepEndDate, step.PerformedProcedureStepEndTime)
    headers = hospital.headers("1.2.3")
    assert headers
    for ds in headers:
        acquired = moment(ds.AcquisitionDate, ds.AcquisitionTime)
        assert begins <= acquired <= moment(ds.ContentDate, ds.ContentTime) <= ends
        assert begins == moment(ds.StudyDate, ds.StudyTime)
    times = sorted({moment(ds.AcquisitionDate, ds.AcquisitionTime) for ds in headers})
    assert max(later - earlier for earlier, later in pairwise(times)) >= dt.timedelta(seconds=10)
    assert ends <= dt.datetime.now().astimezone()


# ---------------------------------------------------------------- append


@pytest.mark.full
def test_series_are_added_to_the_study_of_a_step_that_is_over(hospital: Hospital) -> None:
    order(hospital, "A1", uid="1.2.3")
    assert hospital.perform() == ["worklist", *WHOLE]
    first = hospital.headers("1.2.3")
    assert hospital.perform(is_appended=True, accession_number="A1", kind="cr-knee") == ["append", *WHOLE]
    before, after = hospital.reported()
    for step in (before, after):
        [scheduled] = step.ScheduledStepAttributesSequence
        assert (scheduled.StudyInstanceUID, scheduled.AccessionNumber) == ("1.2.3", "A1")
        assert (scheduled.RequestedProcedureID, scheduled.ScheduledProcedureStepID) == ("RA1", "SA1")
        assert (step.PatientID, step.StudyID, step.PerformedProcedureStepStatus) == ("P100", "RA1", "COMPLETED")
    added = {one.SeriesInstanceUID for one in after.PerformedSeriesSequence}
    assert len(added) == 2
    assert not added & {one.SeriesInstanceUID for one in before.PerformedSeriesSequence}
    headers = hospital.headers("1.2.3")
    assert {ds.SeriesInstanceUID for ds in headers} == added | {ds.SeriesInstanceUID for ds in first}
    assert len({ds.SeriesNumber for ds in headers}) == len({ds.SeriesInstanceUID for ds in headers}) == 3
    for keyword in ("StudyDate", "StudyTime", "StudyID", "StudyDescription", "AccessionNumber", "PatientName"):
        assert len({str(ds[keyword].value) for ds in headers}) == 1, keyword
    [study] = hospital.queried("1.2.3")
    assert (study.AccessionNumber, study.NumberOfStudyRelatedSeries) == ("A1", 3)
    begins = moment(after.PerformedProcedureStepStartDate, after.PerformedProcedureStepStartTime)
    ends = moment(after.PerformedProcedureStepEndDate, after.PerformedProcedureStepEndTime)
    for ds in headers:
        if ds.SeriesInstanceUID in added:
            assert begins <= moment(ds.AcquisitionDate, ds.AcquisitionTime) <= ends
    assert hospital.steps() == [StepState.COMPLETED]
    assert set(hospital.loop("A1").values()) == {"equal"}
    assert [one for one in hospital.events("A1") if one in ("performing", "performed")] == [
        "performing", "performed", "performing", "performed",
    ]  # fmt: skip


def test_nothing_is_added_to_what_was_not_made_here(hospital: Hospital) -> None:
    with pytest.raises(NotFound, match="no local study"):
        hospital.perform(is_appended=True, accession_number="A9")


# ---------------------------------------------------------------- the wrong item


def test_the_wrong_item_is_noticed_after_its_images(hospital: Hospital) -> None:
    order(hospital, "A1", uid="1.2.1", start="20261127080000")
    order(hospital, "A2", uid="1.2.2", start="20261127090000", patient=pid("P200", "ROE^JOHN"))
    told = hospital.perform(is_wrong_item=True, accession_number="A1")
    assert told == ["wrong item", "in progress", "acquired", "stored", "discontinued", "committed", "worklist", *WHOLE]
    wrong, right = hospital.reported()
    assert (wrong.PatientID, wrong.PerformedProcedureStepStatus) == ("P200", "DISCONTINUED")
    assert reason(wrong) == "110514 DCM Incorrect worklist entry selected"
    assert wrong.PerformedSeriesSequence
    assert (right.PatientID, right.PerformedProcedureStepStatus) == ("P100", "COMPLETED")
    assert {(ds.PatientID, ds.AccessionNumber) for ds in hospital.headers("1.2.2")} == {("P200", "A2")}
    assert {(ds.PatientID, ds.AccessionNumber) for ds in hospital.headers("1.2.1")} == {("P100", "A1")}
    assert set(hospital.loop("A1").values()) == {"equal"}
    assert hospital.loop("A2")["performed"] == "different"
    assert sorted(hospital.steps()) == [StepState.COMPLETED, StepState.SCHEDULED]  # the wrong one is still to be done


def test_a_mistake_needs_two_items(hospital: Hospital) -> None:
    order(hospital, "A1")
    with pytest.raises(NotFound, match="by mistake"):
        hospital.perform(is_wrong_item=True)
    assert hospital.steps() == [StepState.SCHEDULED]


# ---------------------------------------------------------------- the group case


@pytest.mark.parametrize(
    "how", [{"is_grouped": True}, {"accession_number": "A1", "group_with": ("A2",)}], ids=["alike", "named"]
)
def test_items_of_a_patient_are_performed_together(hospital: Hospital, how: dict[str, object]) -> None:
    order(hospital, "A1", uid="1.2.1", start="20261127080000")
    order(hospital, "A3", uid="1.2.3", start="20261127083000", patient=pid("P200", "ROE^JOHN"))
    order(hospital, "A2", uid="1.2.2", start="20261127090000")
    assert hospital.perform(**how) == ["worklist", *WHOLE]
    [step] = hospital.reported()
    scheduled = [(one.AccessionNumber, one.StudyInstanceUID) for one in step.ScheduledStepAttributesSequence]
    assert scheduled == [("A1", "1.2.1"), ("A2", "1.2.2")]
    [study] = {uid for _, uid, _ in _studies(hospital)} - {"1.2.1", "1.2.2"}
    headers = hospital.headers(study)
    assert headers
    for ds in headers:
        assert ds.AccessionNumber == ""
        requests = [
            (one.AccessionNumber, one.StudyInstanceUID, one.RequestedProcedureID, one.ScheduledProcedureStepID)
            for one in ds.RequestAttributesSequence
        ]
        assert requests == [("A1", "1.2.1", "RA1", "SA1"), ("A2", "1.2.2", "RA2", "SA2")]
        assert ds.StudyID == step.StudyID
    [found] = hospital.queried(study)
    assert found.PatientID == "P100"
    states = {one: [step.state for step in hospital.procedure(one).procedure.steps] for one in ("A1", "A2", "A3")}
    assert states == {"A1": [StepState.COMPLETED], "A2": [StepState.COMPLETED], "A3": [StepState.SCHEDULED]}
    for accession in ("A1", "A2"):
        assert hospital.events(accession) == ["performing", "stored", "performed", "committed"]
        assert set(hospital.loop(accession).values()) == {"equal"}
    assert hospital.loop("A3")["performed"] == "missing"


def test_the_loop_of_a_group_is_open_where_the_images_do_not_name_the_order(hospital: Hospital) -> None:
    order(hospital, "A1", uid="1.2.1")
    order(hospital, "A2", uid="1.2.2")
    hospital.perform(is_grouped=True, commit_s=0)
    changed = orm("M9", control="XO", accession="A2", rp="RA9", sps="SA2", uid="1.2.2")
    assert b"MSA|AA" in hospital.send(changed)
    assert {name for name, state in hospital.loop("A2").items() if state != "equal"} == {
        "performed", "committed", "retrievable",
    }  # fmt: skip
    [(_, steps)] = hospital.site.loops.check(ACTOR, "A2", hospital.pacs)
    assert {step.name: step.mismatches for step in steps if step.mismatches} == {
        name: {"RequestedProcedureID": ("RA9", "RA2")} for name in ("performed", "retrievable")
    }
    assert {name for name, state in hospital.loop("A1").items() if state != "equal"} == {"committed"}


def _studies(hospital: Hospital) -> list[tuple[str, str, str]]:
    page = hospital.site.studies.page(ACTOR)
    return [(one.accession_number, one.study_instance_uid, one.patient_id) for one in page.studies]


def test_items_of_several_patients_are_not(hospital: Hospital) -> None:
    order(hospital, "A1")
    order(hospital, "A2", patient=pid("P200", "ROE^JOHN"))
    with pytest.raises(InvalidInput, match="several patients"):
        hospital.perform(accession_number="A1", group_with=("A2",))
    with pytest.raises(NotFound, match="A9"):
        hospital.perform(accession_number="A1", group_with=("A9",))
    assert hospital.steps() == [StepState.SCHEDULED] * 2


# ---------------------------------------------------------------- what nobody ordered


@pytest.mark.full
def test_what_nobody_ordered_is_reported_stored_and_added_to(hospital: Hospital) -> None:
    patient = Patient("", "EMERGENCY1")
    told = list(hospital.tell(unscheduled=patient))
    assert [one.step for one in told] == ["unscheduled", *WHOLE]
    study = told[-1].study_instance_uid
    hospital.perform(is_appended=True)
    for step in hospital.reported():
        [scheduled] = step.ScheduledStepAttributesSequence
        assert scheduled.StudyInstanceUID == study
        for keyword in ("AccessionNumber", "RequestedProcedureID", "ScheduledProcedureStepID"):
            assert scheduled[keyword].value in ("", None), keyword
        assert (step.PatientID, step.PerformedProcedureStepStatus) == ("EMERGENCY1", "COMPLETED")
    headers = hospital.headers(study)
    assert {(ds.PatientID, ds.AccessionNumber, str(ds.PatientName)) for ds in headers} == {
        ("EMERGENCY1", "", str(hospital.reported()[0].PatientName))
    }
    assert not any("RequestAttributesSequence" in ds for ds in headers)
    [found] = hospital.queried(study)
    assert found.NumberOfStudyRelatedSeries == 2
    assert not hospital.steps()


# ---------------------------------------------------------------- reasons


def test_the_reason_of_a_discontinuation_can_be_given(hospital: Hospital) -> None:
    order(hospital, "A1")
    hospital.perform(is_discontinued=True, reason="110505", commit_s=0)
    [step] = hospital.reported()
    assert reason(step) == "110505 DCM Patient refused to continue procedure"


def test_what_fails_is_an_equipment_failure(hospital: Hospital) -> None:
    order(hospital, "A1")
    with pytest.raises(PeerError):
        hospital.perform(pacs=dataclasses.replace(hospital.pacs, port=free_port()))
    [step] = hospital.reported()
    assert reason(step) == "110501 DCM Equipment failure"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"is_discontinued": True, "reason": "1"}, "reason"),
        ({"reason": "110505"}, "reason"),
        ({"is_appended": True, "is_wrong_item": True}, "is_wrong_item"),
        ({"is_appended": True, "poll_s": 1.0}, "is_appended"),
        ({"unscheduled": Patient("", "P"), "count": 2}, "unscheduled"),
        ({"group_with": ("A2",)}, "group_with"),
        ({"poll_s": -1.0}, "poll_s"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_begun(
    hospital: Hospital, changes: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        hospital.perform(**changes)
    assert refused.value.field == field
    assert not hospital.reported()


# ---------------------------------------------------------------- what archives and modalities report


@pytest.mark.full
def test_the_ris_is_told_that_images_are_available(hospital: Hospital) -> None:
    order(hospital, "A1", uid="1.2.3")
    told = list(hospital.tell(announce=True))
    assert [one.step for one in told] == ["worklist", *WHOLE, "announced"]
    assert hospital.events("A1") == ["performing", "stored", "performed", "committed", "available"]
    event = hospital.procedure("A1").events[-1]
    count = len(hospital.headers("1.2.3"))
    assert (event.text, event.reference) == (f"{count} instances are online at THEPACS", "1.2.3")
    [noted] = [one for one in _heard(hospital) if one.subject == "instance availability notification"]
    assert (noted.study_uids, noted.patient_ids, noted.environment) == (("1.2.3",), ("P100",), "test")
    assert noted.sender is not None
    assert noted.sender.ae_title == "THEPACS"
    assert noted.detail["notification"] == told[-1].reference
    assert set(hospital.loop("A1").values()) == {"equal"}


def test_it_is_told_for_every_order_of_a_group(hospital: Hospital) -> None:
    order(hospital, "A1", uid="1.2.1")
    order(hospital, "A2", uid="1.2.2")
    hospital.perform(is_grouped=True, announce=True, commit_s=0)
    for accession in ("A1", "A2"):
        assert hospital.events(accession)[-1] == "available"


def _heard(hospital: Hospital) -> list[AuditEvent]:
    entries = hospital.site.audit._log.entries(AuditFilter(kinds=frozenset({EventKind.IMPORT})))
    return [entry.event for entry in entries]


def test_what_modalities_report_is_in_the_audit_log(hospital: Hospital) -> None:
    order(hospital, "A1", uid="1.2.3")
    hospital.perform(commit_s=0)
    noted = [one for one in _heard(hospital) if one.subject == "performed procedure step"]
    said = [(one.detail["operation"], one.detail["status"]) for one in noted]
    assert sorted(said) == [("N-CREATE", "IN PROGRESS"), ("N-SET", "COMPLETED")]
    for one in noted:
        assert (one.study_uids, one.patient_ids, one.door) == (("1.2.3",), ("P100",), "dicom")
        assert one.sender is not None
        assert (one.sender.ae_title, one.sender.host) == ("MODALITY1", "127.0.0.1")


@pytest.mark.parametrize("first", ["A1", "A2"])
def test_what_is_reported_says_its_character_set(hospital: Hospital, first: str) -> None:
    """An item of the worklist in ASCII may be performed together with one in another character set."""
    for number, (accession, text) in enumerate({"A1": "CT chest", "A2": "CT Schädel β"}.items(), start=1):
        made = orm(f"M{number}", accession=accession, rp=f"R{number}", sps=f"S{number}", uid=f"1.2.{number}")
        assert b"MSA|AA" in hospital.send(made.replace(b"CT chest", text.encode()))
    [second] = {"A1", "A2"} - {first}
    hospital.perform(accession_number=first, group_with=(second,), commit_s=0)
    [step] = hospital.reported()
    told = {one.AccessionNumber: one.RequestedProcedureDescription for one in step.ScheduledStepAttributesSequence}
    assert told == {"A1": "CT chest", "A2": "CT Schädel β"}
    assert {one.CodeMeaning for one in step.ProcedureCodeSequence} <= {"CT chest", "CT Schädel β"}
    assert "CT Schädel β" in step.PerformedSeriesSequence[0].ProtocolName


def test_an_examination_on_the_night_when_clocks_go_back_does_not_end_before_it_begins(hospital: Hospital) -> None:
    order(hospital, "A1", uid="1.2.1")
    summer, winter = (dt.timezone(dt.timedelta(hours=hours)) for hours in (2, 1))
    moments = [dt.datetime(2026, 10, 25, 2, 59, 50, tzinfo=summer), dt.datetime(2026, 10, 25, 2, 0, 20, tzinfo=winter)]
    modality = dataclasses.replace(
        hospital.site.modality, now=lambda: moments.pop(0) if len(moments) > 1 else moments[0]
    )
    config = dataclasses.replace(hospital.config, kind="us-abdomen", commit_s=0)
    list(modality.perform(ACTOR, config))
    [step] = hospital.reported()
    assert step.PerformedProcedureStepStartTime < step.PerformedProcedureStepEndTime == "030020"


# ---------------------------------------------------------------- the loop


@pytest.mark.full
def test_the_loop_is_closed_when_all_steps_are_performed(hospital: Hospital) -> None:
    for number in ("1", "2"):
        sent = hospital.send(orm(f"M{number}", accession="A1", uid="1.2.1", rp="R1", sps=f"S{number}"))
        assert b"MSA|AA" in sent
    hospital.perform()
    assert hospital.loop("A1")["performed"] == "different"
    hospital.perform()
    assert set(hospital.loop("A1").values()) == {"equal"}
    hospital.perform(is_appended=True, accession_number="A1", commit_s=0.0)
    assert hospital.loop("A1")["committed"] == "different"


def test_a_merge_after_the_examination_leaves_its_report_as_it_was(hospital: Hospital) -> None:
    order(hospital, "A1", uid="1.2.1")
    hospital.perform()
    merge = message(pid("P900"), "MRG|P100^^^RIS", control_id="M90", kind="ADT^A40")
    assert hospital.site.ordering.intake.take(ACTOR, merge, Environment.TEST).message.code == "AA"
    found = hospital.loop("A1")
    assert found["performed"] == "equal"
    assert found["findable"] == "different"  # the PACS has not followed


def test_a_port_that_is_taken_is_noticed_before_anything_is_begun(hospital: Hospital) -> None:
    order(hospital, "A1")
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(PortInUse):
        hospital.perform(port=taken.getsockname()[1])
    assert hospital.steps() == [StepState.SCHEDULED]
    assert hospital.reported() == []
