"""From order to images: a RIS, a PACS that commits and a modality, over real sockets; then the check of the loop."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from dicomfab.app.build import Application, build
from dicomfab.app.settings import Settings
from dicomfab.archive.archive import Archive
from dicomfab.archive.commitment import Commitments
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.sop_classes import COMMITMENT
from dicomfab.hl7.sender import Sender
from dicomfab.model.actor import local_admin
from dicomfab.model.errors import InvalidInput, NotFound, PeerError
from dicomfab.model.procedure import ProcedureFilter, StepState
from dicomfab.model.values import Environment
from dicomfab.registry.server import PacsServer
from dicomfab.services.ordering.modality import ModalityConfig
from dicomfab.services.ordering.ris import RisConfig
from dicomfab.testpacs.pacs import PacsHandlers
from tests.unit.services.ordering.conftest import message, orm, pid

ACTOR = local_admin("tester", "cli")


@dataclass
class Hospital:
    """All that takes part."""

    site: Application
    hl7_port: int
    pacs: PacsServer
    archive: Archive
    config: ModalityConfig

    def send(self, data: bytes) -> bytes:
        with Sender("127.0.0.1", self.hl7_port, timeout_s=20) as sender:
            return sender.send(data)

    def loop(self, accession: str = "A100") -> dict[str, str]:
        [(_, steps)] = self.site.loops.check(ACTOR, accession, self.pacs)
        return {step.name: str(step.state) for step in steps}

    def steps(self) -> list[StepState]:
        found = self.site.ordering.schedule.page(ACTOR, ProcedureFilter()).procedures
        return [step.state for one in found for step in one.steps]


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as found:
        return int(found.getsockname()[1])


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    """A RIS, a PACS and a modality, each on ports of its own."""
    site = build(Settings(tmp_path / "home"))
    reports = _free_port()
    with ExitStack() as running:
        running.callback(site.close)
        archive = running.enter_context(closing(Archive(tmp_path / "pacs")))
        known = {"MODALITY1": ("127.0.0.1", reports)}
        commitments = running.enter_context(Commitments(archive, tmp_path / "commitments", known.get, "THEPACS"))
        handlers = PacsHandlers(archive, "THEPACS", Environment.TEST, {})
        server = running.enter_context(Server(ServerConfig("THEPACS"), handlers, {COMMITMENT: commitments}))
        ris = running.enter_context(
            site.ordering.ris.serving(ACTOR, RisConfig(Environment.TEST, hl7_port=0, dicom_port=0, any_caller=True))
        )
        pacs = site.pacs.add(
            ACTOR,
            {"id": "the-pacs", "name": "The PACS", "host": "127.0.0.1", "port": server.port, "aec": "THEPACS",
             "environment": "test"},
        )  # fmt: skip
        config = ModalityConfig(Peer("127.0.0.1", ris.dicom_port, "DICOMFAB"), pacs, port=reports, commit_s=30)
        yield Hospital(site, ris.hl7_port, pacs, archive, config)


def _perform(hospital: Hospital, **changes: object) -> list[str]:
    import dataclasses

    config = dataclasses.replace(hospital.config, kind="us-abdomen", **changes)
    return [told.step for told in hospital.site.modality.perform(ACTOR, config)]


def test_an_order_is_performed_to_the_end_of_the_loop(hospital: Hospital) -> None:
    assert b"MSA|AA" in hospital.send(orm(uid="1.2.3.4"))
    assert hospital.loop()["performed"] == "missing"
    told = _perform(hospital)
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


def test_japanese_names_come_through(hospital: Hospital) -> None:
    name = "YAMADA^TARO^^^^^L^A~山田^太郎^^^^^L^I~やまだ^たろう^^^^^L^P"
    hospital.send(orm(patient=pid(name=name)).decode().replace("|2.5.1", "|2.5.1||||||UNICODE UTF-8", 1).encode())
    _perform(hospital)
    [study] = {one.study_instance_uid for one in _all(hospital)}
    ds = dcmread(hospital.archive.instances(study)[0].path, stop_before_pixels=True)
    assert str(ds.PatientName) == "YAMADA^TARO=山田^太郎=やまだ^たろう"
    assert set(hospital.loop().values()) == {"equal"}


def _all(hospital: Hospital) -> list[Dataset]:
    page = hospital.site.ordering.schedule.page(ACTOR, ProcedureFilter())
    return [found for one in page.procedures for found in hospital.archive.instances(one.study_instance_uid)]


def test_a_procedure_that_is_broken_off_is_discontinued(hospital: Hospital) -> None:
    hospital.send(orm())
    assert "discontinued" in _perform(hospital, is_discontinued=True)
    assert hospital.steps() == [StepState.DISCONTINUED]
    assert hospital.loop()["performed"] == "different"


def test_what_fails_half_way_does_not_stay_in_progress(hospital: Hospital) -> None:
    import dataclasses

    hospital.send(orm())
    nowhere = dataclasses.replace(hospital.pacs, port=_free_port())
    with pytest.raises(PeerError):
        _perform(hospital, pacs=nowhere)
    assert hospital.steps() == [StepState.DISCONTINUED]


def test_an_order_that_was_cancelled_is_not_offered(hospital: Hospital) -> None:
    hospital.send(orm())
    hospital.send(orm("M2", control="CA"))
    with pytest.raises(NotFound, match="no item"):
        _perform(hospital)


def test_a_merge_reaches_what_the_modality_gets(hospital: Hospital) -> None:
    hospital.send(orm())
    merge = message(pid("P900"), "MRG|P100^^^RIS", kind="ADT^A40", control_id="M2")
    assert b"MSA|AA" in hospital.send(merge)
    _perform(hospital)
    assert {one.patient_id for one in _all(hospital)} == {"P900"}
    assert set(hospital.loop().values()) == {"equal"}


def test_a_study_under_another_patient_is_named_by_the_check(hospital: Hospital) -> None:
    hospital.send(orm(uid="1.2.3.5"))
    _perform(hospital)
    hospital.send(message(pid("P900"), "MRG|P100^^^RIS", kind="ADT^A40", control_id="M2"))
    [(_, steps)] = hospital.site.loops.check(ACTOR, "A100", hospital.pacs)
    found = {step.name: step.mismatches for step in steps if step.mismatches}
    assert found["findable"] == {"PatientID": ("P900", "P100")}
    assert found["retrievable"] == {"PatientID": ("P900", "P100")}


def test_production_is_not_simulated(hospital: Hospital) -> None:
    import dataclasses

    with pytest.raises(InvalidInput, match="pacs"):
        _perform(hospital, pacs=dataclasses.replace(hospital.pacs, environment=Environment.PROD))
