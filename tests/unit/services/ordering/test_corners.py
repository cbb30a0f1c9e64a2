"""What seldom comes, and must not go wrong: two patients in a message, one number for two orders, two processes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dicomfab.app.build import Application
from dicomfab.model.errors import InvalidInput, NotFound
from dicomfab.model.procedure import ProcedureFilter, RequestedProcedure
from dicomfab.model.values import Environment
from dicomfab.services.ordering.intake import Taken
from dicomfab.services.ordering.performed import PerformedSteps
from tests.unit.dimse.test_performed_step import WHO, begun, dataset, ended
from tests.unit.services.ordering.conftest import ACTOR, message, orm, pid

Take = Callable[..., Taken]
UID = "1.2.826.0.1.3680043.8.498.51"
STEP = "1.2.826.0.1.3680043.8.498.52"


def procedures(site: Application) -> list[RequestedProcedure]:
    return list(site.ordering.schedule.page(ACTOR, ProcedureFilter()).procedures)[::-1]


def states(site: Application) -> list[list[str]]:
    return [[str(step.state) for step in one.steps] for one in procedures(site)]


# ------------------------------------------------------------------ patients


@pytest.mark.parametrize("event", ["A40", "A47"])
def test_two_merges_in_one_message_are_not_mixed_up(site: Application, take: Take, event: str) -> None:
    take(orm("M1", accession="A1", patient=pid("P1")))
    take(orm("M2", accession="A2", patient=pid("P2", "ROE^MAX")))
    both = message(
        pid("P11"), "MRG|P1^^^RIS", pid("P22", "ROE^MAX"), "MRG|P2^^^RIS", kind=f"ADT^{event}", control_id="M3"
    )
    assert take(both).message.code == "AE"
    assert [one.patient_id for one in procedures(site)] == ["P1", "P2"]
    assert site.merging.page(ACTOR) == []


@pytest.mark.parametrize("enhanced", ["", "|||AL|NE"])
def test_a_merge_into_data_that_cannot_be_registered_is_answered(site: Application, take: Take, enhanced: str) -> None:
    take(message(pid("P1"), kind="ADT^A04", control_id="M0"))
    born_later = "PID|1||P2^^^RIS||DOE^JANE||29990101|F"
    took = take(message(born_later, "MRG|P1^^^RIS", kind="ADT^A40", control_id="M1", more=enhanced))
    site.ordering.intake.apply_kept(ACTOR, Environment.TEST)
    assert site.ordering.messages.show(ACTOR, took.message.number).state == "refused"
    assert "DOE" not in site.ordering.messages.show(ACTOR, took.message.number).reason


def test_a_merge_is_of_the_patient_of_its_issuer_alone(site: Application, take: Take) -> None:
    for number, issuer in enumerate(("EAST", "WEST"), start=1):
        take(message(pid("P1", f"DOE^{issuer}", issuer), kind="ADT^A04", control_id=f"M{number}"))
    take(message(pid("P2", "DOE^EAST", "EAST"), "MRG|P1^^^EAST", kind="ADT^A40", control_id="M3"))
    registered = {(one.data.patient_id, one.data.issuer) for one in site.patients.page(ACTOR).patients}
    assert registered == {("P2", "EAST"), ("P1", "WEST")}


def test_a_merge_finds_who_was_registered_without_an_issuer(site: Application, take: Take) -> None:
    take(message(pid("P1", "DOE^JANE", ""), kind="ADT^A04", control_id="M1"))
    take(message(pid("P2", "DOE^JANE", "EAST"), "MRG|P1^^^EAST", kind="ADT^A40", control_id="M2"))
    assert [(one.data.patient_id, one.data.issuer) for one in site.patients.page(ACTOR).patients] == [("P2", "EAST")]


# ------------------------------------------------------------------ orders


def test_two_orders_of_one_accession_number_are_two(site: Application, take: Take) -> None:
    """Many sites give the accession number by visit, and no requested procedure ID."""
    for number in "12":
        assert take(orm(f"M{number}", placer=f"PL{number}", rp="", sps="")).message.code == "AA"
    assert len(procedures(site)) == 2
    take(orm("M3", control="CA", placer="PL1", rp="", sps=""))
    assert states(site) == [["CANCELLED"], ["SCHEDULED"]]


NEWS = [("CA", ""), ("DC", ""), ("SC", "CM"), ("XO", "")]


@pytest.mark.parametrize(("control", "status"), NEWS)
@pytest.mark.parametrize(
    "named", [{"rp": "RP9"}, {"placer": "PL3"}, {"placer": "PL3", "rp": ""}, {"placer": "PL1", "rp": "RP2"}]
)
def test_news_of_an_order_that_is_not_there_do_not_fall_upon_its_neighbours(
    site: Application, take: Take, control: str, status: str, named: dict[str, str]
) -> None:
    for number in "12":
        take(orm(f"M{number}", placer=f"PL{number}", rp=f"RP{number}", sps=f"S{number}"))
    before = procedures(site)
    took = take(orm("M3", control=control, status=status, sps="", **named))
    assert (took.message.code, procedures(site)) == ("AE", before)


def test_news_by_the_number_of_the_filler_are_of_one_placer_too(site: Application, take: Take) -> None:
    take(orm("M1", placer="PL1"))
    segments = (pid(), "ORC|CA|PL3|FIA100", "OBR|1|PL3|FIA100|CTCHEST^CT chest^99RIS")
    assert take(message(*segments, control_id="M2")).message.code == "AE"
    assert states(site) == [["SCHEDULED"]]


@pytest.mark.parametrize(("control", "status"), NEWS)
@pytest.mark.parametrize("uid", ["", UID])
def test_news_of_another_patient_change_nothing(
    site: Application, take: Take, control: str, status: str, uid: str
) -> None:
    take(orm("M1", uid=UID))
    took = take(orm("M2", control=control, status=status, patient=pid("P200", "ROE^MAX"), uid=uid))
    assert (took.message.code, states(site)) == ("AE", [["SCHEDULED"]])
    assert "another patient" in took.message.reason


def test_an_order_is_cancelled_under_the_identifier_that_its_patient_had(site: Application, take: Take) -> None:
    take(orm("M1", patient=pid("P1")))
    for number in (2, 3):
        take(message(pid(f"P{number}"), f"MRG|P{number - 1}^^^RIS", kind="ADT^A40", control_id=f"M{number}"))
    assert [one.patient_id for one in procedures(site)] == ["P3"]
    assert take(orm("M4", control="CA", patient=pid("P1", issuer="EAST"))).message.code == "AE"
    assert take(orm("M5", control="CA", patient=pid("P1"))).message.code == "AA"
    assert states(site) == [["CANCELLED"]]


@pytest.mark.parametrize(
    "named",
    [
        {"placer": "", "rp": ""},
        {"patient": "PID|1"},
        {"rp": "RP9"},  # the order came without one: that was given here
    ],
    ids=["accession number alone", "nobody", "first procedure ID"],
)
def test_an_order_is_cancelled_by_what_tells_it_from_others(
    site: Application, take: Take, named: dict[str, str]
) -> None:
    take(orm("M1", placer="PL1", rp=""))
    assert take(orm("M2", control="CA", sps="", **{"placer": "PL1", "rp": "", **named})).message.code == "AA"
    assert states(site) == [["CANCELLED"]]


def test_who_names_the_placer_does_not_mean_the_newer_order_without_one(site: Application, take: Take) -> None:
    take(orm("M1", placer="PL1", rp="RP1"))
    take(orm("M2", placer="", rp="RP2"))
    take(orm("M3", control="CA", placer="PL1", rp="", sps=""))
    assert states(site) == [["CANCELLED"], ["SCHEDULED"]]


def test_what_goes_on_in_spite_of_a_cancellation_is_said(site: Application, take: Take) -> None:
    take(orm("M1", sps="S1", uid=UID))
    take(orm("M2", sps="S2", uid=UID))
    performing(site, "S1")
    took = take(orm("M3", control="CA", sps="", uid=UID))
    assert (took.message.code, states(site)) == ("AA", [["STARTED", "CANCELLED"]])
    assert "S1" in took.message.reason


@pytest.mark.parametrize(("control", "status"), [("XO", "CM"), ("SC", "A")])
def test_an_order_can_be_completed_by_a_change(site: Application, take: Take, control: str, status: str) -> None:
    take(orm("M1", uid=UID))
    took = take(orm("M2", control=control, status=status, uid=UID))
    assert (took.message.code, states(site)) == ("AA", [["COMPLETED"]])


def test_an_order_of_which_a_part_was_cancelled_is_completed_by_the_rest(site: Application, take: Take) -> None:
    take(orm("M1", sps="S1", uid=UID))
    take(orm("M2", sps="S2", uid=UID))
    take(orm("M3", control="CA", sps="S2", uid=UID))
    steps = performing(site, "S1")
    end(steps, "COMPLETED")
    assert states(site) == [["COMPLETED", "CANCELLED"]]
    assert {str(site.orders.show(ACTOR, number).state) for number in (1, 2)} == {"completed"}


@pytest.mark.parametrize("how", [{"rp": "RP1"}, {"placer": "PL1"}])
def test_a_report_is_of_the_order_that_it_names(site: Application, take: Take, how: dict[str, str]) -> None:
    for number in "12":
        take(orm(f"M{number}", placer=f"PL{number}", rp=f"RP{number}", sps=f"S{number}"))
    obr = f"OBR|1|{how.get('placer', '')}||CTCHEST^CT chest^99RIS{'|' * 14}A100|{how.get('rp', '')}{'|' * 6}F"
    report = message(pid(), obr, "OBX|1|TX|SR Text||no nodule||||||F", kind="ORU^R01", control_id="R1")
    assert take(report).message.code == "AA"
    events = [[str(event.kind) for event in site.ordering.schedule.show(ACTOR, one).events] for one in (1, 2)]
    assert events == [["ordered", "reported"], ["ordered"]]


def test_what_failed_is_applied_when_it_comes_again_and_can_be(site: Application, take: Take) -> None:
    """Engines that keep the order of messages send one again until it is accepted."""
    cancel = orm("M1", control="CA", uid=UID)
    refused = take(cancel).answer
    assert b"MSA|AE" in refused
    assert take(cancel).answer == refused
    take(orm("M2", uid=UID))
    again = take(cancel)
    assert (again.message.code, again.is_repeat, states(site)) == ("AA", True, [["CANCELLED"]])
    assert take(cancel).answer == again.answer
    kept = site.ordering.messages.show(ACTOR, again.message.number)
    assert (kept.state, kept.code, kept.reason, kept.repeats) == ("applied", "AA", "", 3)


def test_an_order_is_not_lost_because_a_profile_was_broken(site: Application, take: Take) -> None:
    folder = site.settings.hl7_profiles
    folder.mkdir(parents=True)
    (folder / "broken.yaml").write_text("{name: half")
    assert take(orm()).message.code == "AE"
    (folder / "broken.yaml").unlink()
    assert take(orm()).message.code == "AA"
    assert states(site) == [["SCHEDULED"]]


# ------------------------------------------------------------------ performed steps


def performing(
    site: Application, *step_ids: str, uid: str = STEP, environment: Environment = Environment.TEST
) -> PerformedSteps:
    steps = PerformedSteps(site.ordering.procedures, environment)
    items = [dataset(StudyInstanceUID=UID, ScheduledProcedureStepID=one) for one in step_ids]
    steps.create(WHO, uid, begun(ScheduledStepAttributesSequence=items))
    return steps


def end(steps: PerformedSteps, status: str, uid: str = STEP, reason: str = "") -> None:
    def change(before):  # type: ignore[no-untyped-def]
        before.update(ended(status))
        if reason:
            code = dataset(CodeValue=reason, CodingSchemeDesignator="DCM", CodeMeaning="wrong")
            before.PerformedProcedureStepDiscontinuationReasonCodeSequence = [code]
        return before

    steps.update(WHO, uid, change)


def test_a_performed_step_is_known_to_the_ris_of_its_environment_alone(site: Application, take: Take) -> None:
    take(orm(uid=UID), Environment.PROD)
    performing(site, "SPS1", environment=Environment.PROD)
    other = PerformedSteps(site.ordering.procedures, Environment.TEST)
    with pytest.raises(NotFound):
        other.get(STEP)
    with pytest.raises(NotFound):
        end(other, "COMPLETED")
    assert states(site) == [["STARTED"]]


def test_a_mistake_does_not_take_back_what_another_modality_performs(site: Application, take: Take) -> None:
    take(orm(uid=UID))
    steps = performing(site, "SPS1")
    performing(site, "SPS1", uid=f"{STEP}.2")
    end(steps, "DISCONTINUED", reason="110514")
    assert states(site) == [["STARTED"]]
    end(steps, "COMPLETED", uid=f"{STEP}.2")
    assert states(site) == [["COMPLETED"]]


def test_what_was_completed_was_no_mistake(site: Application, take: Take) -> None:
    take(orm(uid=UID))
    end(performing(site, "SPS1"), "COMPLETED", reason="110514")
    assert states(site) == [["COMPLETED"]]


# ------------------------------------------------------------------ messages out


@pytest.mark.parametrize("wrapped", [b"\x0b%b\x1c\r", b"%b\x1c\r", b"\x0b%b"])
def test_a_message_with_its_frame_is_refused_before_it_is_kept(site: Application, wrapped: bytes) -> None:
    from dicomfab.storage.hl7_messages import MessageFilter

    with pytest.raises(InvalidInput):
        site.ordering.messages.send(ACTOR, wrapped % orm(), Environment.TEST, "127.0.0.1", 9)
    assert site.ordering.messages.page(ACTOR, MessageFilter()).total == 0
