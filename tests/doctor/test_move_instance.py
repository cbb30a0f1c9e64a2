"""The instance that the doctor moves: valid, marked as synthetic, always new, in the same study."""

from __future__ import annotations

from pathlib import Path

import pydicom

from dicomfab.fabricate.doctors_instance import DoctorsInstance, doctors_instance
from dicomfab.services.marks import marks_of


def made(folder: Path, server: str = "test-pacs-1") -> DoctorsInstance:
    folder.mkdir(exist_ok=True)
    return doctors_instance(server, folder)


def test_each_is_new_in_the_study_of_its_server(tmp_path: Path) -> None:
    one, two, other = made(tmp_path), made(tmp_path), made(tmp_path, "test-pacs-2")
    assert one.file.identity.sop_instance_uid != two.file.identity.sop_instance_uid
    assert (one.study_instance_uid, one.series_instance_uid) == (two.study_instance_uid, two.series_instance_uid)
    assert one.study_instance_uid != other.study_instance_uid


def test_it_says_what_it_is(tmp_path: Path) -> None:
    instance = made(tmp_path)
    dataset = pydicom.dcmread(instance.file.path)
    assert (dataset.PatientID, dataset.SyntheticData) == ("SYN-DOCTOR", "YES")
    assert (dataset.StudyInstanceUID, dataset.SOPInstanceUID) == (
        instance.study_instance_uid,
        instance.file.identity.sop_instance_uid,
    )
    assert (dataset.Rows, dataset.Columns, len(dataset.PixelData)) == (16, 16, 256)
    assert instance.file.path.stat().st_size < 4096
    assert marks_of(instance.file).is_marked
