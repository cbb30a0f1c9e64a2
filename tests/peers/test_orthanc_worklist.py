"""Orthanc's worklist plugin, serving files that pydicom wrote, asked by our client and by ``dicomfab modality``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from dicomfab.app.build import Application, build
from dicomfab.app.settings import Settings
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scu.worklist import default_identifier, worklist
from dicomfab.dimse.sop_classes import WORKLIST
from dicomfab.model.actor import local_admin
from dicomfab.services.ordering.modality import ModalityConfig
from tests.peers import programs
from tests.peers.test_worklist_dimse import ITEMS, JAPANESE

pytestmark = pytest.mark.peers

ACTOR = local_admin("tester", "cli")
PLUGIN = Path("/usr/share/orthanc/plugins/libModalityWorklists.so")


def write(item: Dataset, path: Path) -> None:
    item.file_meta = FileMetaDataset()
    item.file_meta.MediaStorageSOPClassUID = WORKLIST
    item.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3680043.8.498.9{path.stem}"
    item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.save_as(path, enforce_file_format=True)


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    if not PLUGIN.exists():
        if os.environ.get("CI"):
            pytest.fail("Orthanc's worklist plugin is not installed, and CI allows no skip")
        pytest.skip("Orthanc's worklist plugin is not installed: run tools/debian_peers.sh")
    folder, files = tmp_path_factory.mktemp("orthanc"), tmp_path_factory.mktemp("worklist")
    for number, item in enumerate(ITEMS, 1):
        write(item.copy(), files / f"{number}.wl")
    settings = {
        "Plugins": [str(PLUGIN)],
        "Worklists": {"Enable": True, "Database": str(files)},
        "DicomAlwaysAllowFindWorklist": True,
        "DefaultEncoding": "Utf8",
    }
    with programs.orthanc(folder, settings=settings) as running:
        yield replace(running.peer, calling_ae_title="CT1")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, ["P1", "P2", "P3", "P4"]),
        ({"modality": "CT"}, ["P1", "P3", "P4"]),
        ({"station_ae_title": "MR1"}, ["P2"]),
        ({"date": "20240705"}, ["P1", "P2", "P3", "P4"]),
        ({"date": "20240706-20240709"}, []),
        ({"accession_number": "A3"}, ["P3"]),
        ({"patient_id": "P4"}, ["P4"]),
        ({"patient_name": "DOE*"}, ["P1"]),
    ],
)
def test_what_it_offers(orthanc: Peer, keys: dict[str, str], expected: list[str]) -> None:
    found = list(worklist(orthanc, default_identifier(**keys)))
    assert sorted(item.PatientID for item in found) == expected
    for item in found:
        number = item.PatientID[1:]
        [step] = item.ScheduledProcedureStepSequence
        assert (step.ScheduledProcedureStepID, item.StudyInstanceUID) == (f"SPS{number}", f"1.2.3.{number}")
        assert item.RequestedProcedureID == f"RP{number}"


def test_names_in_other_scripts(orthanc: Peer) -> None:
    """Orthanc answers in its own encoding, whatever that of the file is."""
    names = {item.PatientID: str(item.PatientName) for item in worklist(orthanc, default_identifier())}
    assert names == {"P1": "Doe^Jane", "P2": JAPANESE, "P3": JAPANESE, "P4": "Müller^Jörg"}


def test_a_limit_cancels_the_query(orthanc: Peer) -> None:
    assert len(list(worklist(orthanc, default_identifier(), limit=2))) == 2
    assert len(list(worklist(orthanc, default_identifier()))) == 4


# ------------------------------------------------------------------ as the modality


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Application]:
    application = build(Settings(tmp_path / "home"))
    application.pacs.add(
        ACTOR,
        {"id": "the-pacs", "name": "The PACS", "host": "127.0.0.1", "port": 104, "aec": "THEPACS",
         "environment": "test"},
    )  # fmt: skip
    yield application
    application.close()


def test_the_modality_is_offered_what_is_for_its_station(site: Application, orthanc: Peer) -> None:
    config = ModalityConfig(orthanc, site.pacs.resolve(ACTOR, "the-pacs"), ae_title="CT1")
    assert {item.PatientID for item in site.modality.items(ACTOR, config)} == {"P1", "P3", "P4"}
    assert site.modality.items(ACTOR, replace(config, ae_title="NOBODY")) == []


@pytest.mark.full
def test_the_command_lists_it(site: Application, orthanc: Peer) -> None:
    ris = f"{orthanc.host}:{orthanc.port}:{orthanc.called_ae_title}"
    words = ("modality", "worklist", "--ris", ris, "--pacs", "the-pacs", "--ae", "MR1")

    def ran(*more: str) -> str:
        command = [sys.executable, "-m", "dicomfab", *words, *more]
        environment = {**os.environ, "DICOMFAB_HOME": str(site.settings.home), "COLUMNS": "200"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout

    [item] = json.loads(ran("--json"))["items"]
    assert item["00100020"]["Value"] == ["P2"]
    assert item["00100010"]["Value"][0]["Ideographic"] == "山田^太郎"
    listed = ran()
    assert "A2" in listed
    assert "SPS2" in listed
    assert "A1" not in listed
