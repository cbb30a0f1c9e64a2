from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread

from dicomfab.fabricate.sinks import write_files
from dicomfab.model.errors import Conflict, InvalidInput
from tests.unit.fabricate.studies import study


def test_files_are_dicom_files(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    files = write_files(
        study("ct-chest", "text-card"), tmp_path / "new", lambda done, total: seen.append((done, total))
    )
    assert [file.path.name for file in files] == [
        "CT_001_00001.dcm",
        "CT_001_00002.dcm",
        "CT_001_00003.dcm",
        "OT_002_00001.dcm",
    ]
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [file.path.name for file in files]
    for file in files:
        ds = dcmread(file.path)
        assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID == file.identity.sop_instance_uid
        assert ds.file_meta.MediaStorageSOPClassUID == ds.SOPClassUID
        assert file.path.read_bytes()[file.dataset_offset :][:4] == b"\x08\x00\x05\x00"


def test_other_files_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    write_files(study("text-card"), tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_file_that_exists_is_left_as_it_is(tmp_path: Path) -> None:
    there = tmp_path / "OT_001_00001.dcm"
    there.write_text("mine")
    with pytest.raises(Conflict):
        write_files(study("text-card"), tmp_path)
    assert there.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [there]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.touch()
    with pytest.raises(InvalidInput):
        write_files(study("text-card"), place)
