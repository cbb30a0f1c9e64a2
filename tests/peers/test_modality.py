"""From order to images: a RIS, a PACS that commits and a modality, over real sockets; then the check of the loop."""

from __future__ import annotations

import dataclasses

import pytest
from pydicom import dcmread

from dicomfab.archive.records import StoredInstance
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.model.errors import AssociationAborted, InvalidInput, NotFound, PeerError, PeerTimeout
from dicomfab.model.procedure import ProcedureFilter, StepState
from dicomfab.model.values import Environment
from tests.peers.lost_answers import LostAnswers
from tests.peers.modality_hospital import ACTOR, Hospital, free_port, hospital
from tests.unit.services.ordering.conftest import message, orm, pid

__all__ = ["hospital"]


def test_an_order_is_performed_to_the_end_of_the_loop(hospital: Hospital) -> None:
    assert b"MSA|AA" in hospital.send(orm(uid="1.2.3.4"))
    assert hospital.loop()["performed"] == "missing"
    told = hospital.perform()
    assert told == ["worklist", "in progress", "acquired", "stored", "completed", "committed"]
    assert set(hospital.loop().values()) == {"equal"}
    assert hospital.steps() == [StepState.COMPLETED]
    stored = hospital.archive.instances("1.2.3.4")
    assert stored
    for one in stored:
        ds = dcmread(one.path, stop_before_pixels=True)
        assert (ds.AccessionNumber, ds.PatientID, str(ds.PatientName)) == ("A100", "P100", "DOE^JANE")
        [request] = ds.RequestAttributesSequence
        assert (request.RequestedProcedureID, request.ScheduledProcedureStepID) == ("RP1", "SPS1")


@pytest.mark.full
def test_japanese_names_come_through(hospital: Hospital) -> None:
    name = "YAMADA^TARO^^^^^L^A~山田^太郎^^^^^L^I~やまだ^たろう^^^^^L^P"
    hospital.send(orm(patient=pid(name=name)).decode().replace("|2.5.1", "|2.5.1||||||UNICODE UTF-8", 1).encode())
    hospital.perform()
    [study] = {one.study_instance_uid for one in _all(hospital)}
    ds = dcmread(hospital.archive.instances(study)[0].path, stop_before_pixels=True)
    assert str(ds.PatientName) == "YAMADA^TARO=山田^太郎=やまだ^たろう"
    assert set(hospital.loop().values()) == {"equal"}


def _all(hospital: Hospital) -> list[StoredInstance]:
    page = hospital.site.ordering.schedule.page(ACTOR, ProcedureFilter())
    return [found for one in page.procedures for found in hospital.archive.instances(one.study_instance_uid)]


def test_a_procedure_that_is_broken_off_is_discontinued(hospital: Hospital) -> None:
    hospital.send(orm())
    assert "discontinued" in hospital.perform(is_discontinued=True)
    assert hospital.steps() == [StepState.DISCONTINUED]
    assert hospital.loop()["performed"] == "different"


def test_what_fails_half_way_does_not_stay_in_progress(hospital: Hospital) -> None:
    hospital.send(orm())
    nowhere = dataclasses.replace(hospital.pacs, port=free_port())
    with pytest.raises(PeerError):
        hospital.perform(pacs=nowhere)
    assert hospital.steps() == [StepState.DISCONTINUED]


@pytest.mark.parametrize(
    ("hangs_up", "error"), [(True, AssociationAborted), (False, PeerTimeout)], ids=["hangs up", "says nothing"]
)
def test_what_has_begun_unanswered_does_not_stay_in_progress(
    hospital: Hospital, hangs_up: bool, error: type[PeerError]
) -> None:
    hospital.send(orm())
    with LostAnswers(hospital.config.worklist.port, hangs_up=hangs_up) as way:
        worklist = Peer("127.0.0.1", way.port, "DICOMFAB", timeouts=Timeouts(dimse_s=5.0 if hangs_up else 1.0))
        with pytest.raises(error):
            hospital.perform(worklist=worklist)
    assert hospital.steps() == [StepState.DISCONTINUED]
    assert [str(one.PerformedProcedureStepStatus) for one in hospital.reported()] == ["DISCONTINUED"]


def test_an_order_that_was_cancelled_is_not_offered(hospital: Hospital) -> None:
    hospital.send(orm())
    hospital.send(orm("M2", control="CA"))
    with pytest.raises(NotFound, match="no item"):
        hospital.perform()


@pytest.mark.full
def test_a_merge_reaches_what_the_modality_gets(hospital: Hospital) -> None:
    hospital.send(orm())
    merge = message(pid("P900"), "MRG|P100^^^RIS", kind="ADT^A40", control_id="M2")
    assert b"MSA|AA" in hospital.send(merge)
    hospital.perform()
    assert {one.patient_id for one in _all(hospital)} == {"P900"}
    assert set(hospital.loop().values()) == {"equal"}


@pytest.mark.full
def test_a_study_under_another_patient_is_named_by_the_check(hospital: Hospital) -> None:
    hospital.send(orm(uid="1.2.3.5"))
    hospital.perform()
    hospital.send(message(pid("P900"), "MRG|P100^^^RIS", kind="ADT^A40", control_id="M2"))
    [(_, steps)] = hospital.site.loops.check(ACTOR, "A100", hospital.pacs)
    found = {step.name: step.mismatches for step in steps if step.mismatches}
    assert found["findable"] == {"PatientID": ("P900", "P100")}
    assert found["retrievable"] == {"PatientID": ("P900", "P100")}


def test_production_is_not_simulated(hospital: Hospital) -> None:
    with pytest.raises(InvalidInput, match="pacs"):
        hospital.perform(pacs=dataclasses.replace(hospital.pacs, environment=Environment.PROD))
