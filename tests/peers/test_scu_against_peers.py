"""Our SCU against Orthanc and DCMTK."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset

from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.echo import echo
from dicomfab.dimse.scu.find import find
from dicomfab.dimse.scu.get import get
from dicomfab.dimse.scu.move import move
from dicomfab.dimse.scu.store import store
from dicomfab.dimse.sop_classes import storage_sop_classes
from dicomfab.model.errors import StatusFailure
from dicomfab.model.query import QueryModel
from dicomfab.model.study import InstanceFile
from tests.peers import programs
from tests.unit.dimse.memory_pacs import MemoryPacs

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def instances(tmp_path_factory: pytest.TempPathFactory) -> list[InstanceFile]:
    """A small CT, DX and text-card study as files."""
    import datetime

    from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
    from dicomfab.fabricate.resolve import resolve
    from dicomfab.fabricate.sinks import write_files

    recipe = StudyRecipe((SeriesRecipe("ct-chest", 6), "text-card"), seed=11, accession_number="PEER1")
    resolved = resolve(recipe, now=datetime.datetime(2026, 1, 5, 10, tzinfo=datetime.UTC), draw_seed=lambda: 1)
    return write_files(resolved, tmp_path_factory.mktemp("instances"))


@pytest.fixture(scope="module")
def target() -> Iterator[tuple[MemoryPacs, int]]:
    pacs = MemoryPacs()
    with Server(ServerConfig("TARGET"), pacs) as server:
        yield pacs, server.port


@pytest.fixture(scope="module")
def orthanc(
    tmp_path_factory: pytest.TempPathFactory, instances: list[InstanceFile], target: tuple[MemoryPacs, int]
) -> Iterator[programs.Orthanc]:
    known = {"TARGET": ("127.0.0.1", target[1])}
    with programs.orthanc(tmp_path_factory.mktemp("orthanc"), known=known) as running:
        outcomes = list(store(running.peer, instances))
        assert all(outcome.accepted for outcome in outcomes)
        yield running


def study(instances: list[InstanceFile]) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = pydicom.dcmread(instances[0].path).StudyInstanceUID
    return identifier


def uids(instances: list[InstanceFile]) -> set[str]:
    return {instance.identity.sop_instance_uid for instance in instances}


def test_orthanc_answers_echo_and_says_who_it_is(orthanc: programs.Orthanc) -> None:
    assert "DCMTK" in echo(orthanc.peer).implementation_version


def test_orthanc_holds_what_was_stored(orthanc: programs.Orthanc, instances: list[InstanceFile]) -> None:
    held = {orthanc.rest(f"/instances/{i}")["MainDicomTags"]["SOPInstanceUID"] for i in orthanc.rest("/instances")}
    assert held == uids(instances)


def test_orthanc_finds_the_study(orthanc: programs.Orthanc, instances: list[InstanceFile]) -> None:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.AccessionNumber = "PEER1"
    identifier.StudyInstanceUID = ""
    identifier.NumberOfStudyRelatedInstances = ""
    [match] = find(orthanc.peer, QueryModel.STUDY_ROOT, identifier)
    assert match.StudyInstanceUID == study(instances).StudyInstanceUID
    assert int(match.NumberOfStudyRelatedInstances) == len(instances)


def test_orthanc_moves_to_us(
    orthanc: programs.Orthanc, instances: list[InstanceFile], target: tuple[MemoryPacs, int]
) -> None:
    responses = list(move(orthanc.peer, QueryModel.STUDY_ROOT, study(instances), "TARGET"))
    assert responses[-1].status == 0x0000
    assert responses[-1].suboperations.completed == len(instances)
    assert set(target[0].stored) == uids(instances)


def test_orthanc_does_not_know_the_destination(orthanc: programs.Orthanc, instances: list[InstanceFile]) -> None:
    with pytest.raises(StatusFailure) as caught:
        list(move(orthanc.peer, QueryModel.STUDY_ROOT, study(instances), "NOWHERE"))
    assert caught.value.status == 0xC000
    assert "does not know the move destination" in caught.value.cause


def test_orthanc_gives_the_study(orthanc: programs.Orthanc, instances: list[InstanceFile]) -> None:
    local = MemoryPacs()
    responses = list(get(orthanc.peer, QueryModel.STUDY_ROOT, study(instances), storage_sop_classes(), local))
    assert responses[-1].status == 0x0000
    assert set(local.stored) == uids(instances)
    for instance in instances:
        sent = pydicom.dcmread(instance.path)
        identity, data = local.stored[instance.identity.sop_instance_uid]
        implicit = identity.transfer_syntax_uid == pydicom.uid.ImplicitVRLittleEndian
        got = pydicom.dcmread(pydicom.filebase.DicomBytesIO(data), force=True) if implicit else None
        assert implicit is False or got.PixelData == sent.PixelData


@pytest.mark.parametrize("options", [("+B",), ("+xi",), ("+xe",)], ids=["any", "implicit only", "explicit preferred"])
def test_storescp_takes_every_instance(instances: list[InstanceFile], tmp_path: Path, options: tuple[str, ...]) -> None:
    with programs.storescp(tmp_path, *options) as peer:
        outcomes = list(store(peer, instances))
    assert [outcome.error for outcome in outcomes] == [None] * len(instances)
    received = [path for path in tmp_path.iterdir() if path.name != "log.txt"]
    assert {pydicom.dcmread(p, force=True).SOPInstanceUID for p in received} == uids(instances)


def test_dcmqrscp_store_find_and_move(
    instances: list[InstanceFile], target: tuple[MemoryPacs, int], tmp_path: Path
) -> None:
    target[0].stored.clear()
    with programs.dcmqrscp(tmp_path, known={"TARGET": ("127.0.0.1", target[1])}) as peer:
        assert all(outcome.accepted for outcome in store(peer, instances))
        identifier = study(instances)
        identifier.PatientName = ""
        [match] = find(peer, QueryModel.STUDY_ROOT, identifier)
        assert match.StudyInstanceUID == identifier.StudyInstanceUID
        responses = list(move(peer, QueryModel.STUDY_ROOT, study(instances), "TARGET"))
        with pytest.raises(StatusFailure) as caught:
            list(move(peer, QueryModel.STUDY_ROOT, study(instances), "NOWHERE"))
    assert responses[-1].suboperations.completed == len(instances)
    assert set(target[0].stored) == uids(instances)
    assert caught.value.status == 0xA801
