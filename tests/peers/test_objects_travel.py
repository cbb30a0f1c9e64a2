"""Every kind of object on its way to others and back: nothing of it changes."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pydicom
import pytest
from pydicom.misc import is_dicom

from dicomfab.dimse.scu.store import store
from dicomfab.fabricate.kinds import OBJECTS
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.fabricate.sinks import write_files
from dicomfab.model.study import InstanceFile
from tests.peers import programs
from tests.unit.fabricate.studies import resolved

KINDS = ("ct-chest:3", *OBJECTS)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[InstanceFile]:
    made = resolved(StudyRecipe(tuple(map(SeriesRecipe.parse, KINDS)), seed=3, script="japanese", contact=True))
    return write_files(made, tmp_path_factory.mktemp("objects"))


def data_set(content: bytes) -> bytes:
    meta = pydicom.dcmread(pydicom.filebase.DicomBytesIO(content), stop_before_pixels=True).file_meta
    return content[132 + 12 + meta.FileMetaInformationGroupLength :]


def test_orthanc_keeps_every_object_as_it_is(files: list[InstanceFile], tmp_path: Path) -> None:
    # Debian's Orthanc does not know label maps.
    with programs.orthanc(tmp_path, settings={"UnknownSopClassAccepted": True}) as orthanc:
        assert [one.error for one in store(orthanc.peer, files) if not one.accepted] == []
        kept = {one["MainDicomTags"]["SOPInstanceUID"]: one["ID"] for one in orthanc.rest("/instances?expand")}
        assert set(kept) == {one.identity.sop_instance_uid for one in files}
        for file in files:
            address = f"{orthanc.http}/instances/{kept[file.identity.sop_instance_uid]}/file"
            with urllib.request.urlopen(address, timeout=30) as answer:
                assert data_set(answer.read()) == data_set(file.path.read_bytes()), file.path.name


def test_dcmtk_keeps_every_object_as_it_is(files: list[InstanceFile], tmp_path: Path) -> None:
    # Promiscuous: this DCMTK does not know label maps.
    with programs.storescp(tmp_path, "--promiscuous", "--bit-preserving") as peer:
        assert [one.error for one in store(peer, files) if not one.accepted] == []
    received = {pydicom.dcmread(path).SOPInstanceUID: path for path in tmp_path.iterdir() if is_dicom(path)}
    for file in files:
        kept = received[file.identity.sop_instance_uid].read_bytes()
        assert data_set(kept) == data_set(file.path.read_bytes()), file.path.name
