"""Segmentations and objects of radiotherapy, judged by dciodvfy and dcentvfy and read by DCMTK and GDCM."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from pydicom import dcmread

from dicomfab.fabricate.sinks import write_files
from dicomfab.model.study import Patient
from tests.peers.dciodvfy import dcentvfy, dciodvfy_all
from tests.peers.programs import program
from tests.unit.fabricate.studies import study

pytestmark = pytest.mark.peers

PATIENT = Patient("Yamada^Tarou=山田^太郎=やまだ^たろう", "SYN2", "19700131", "M")
SEGMENTATIONS = ("seg", "seg-labelmap")
RADIOTHERAPY = ("rt-struct", "rt-plan", "rt-dose")
IODS = {"SEG": "Segmentation", "RTSTRUCT": "RTStructureSet", "RTPLAN": "RTPlan", "RTDOSE": "RTDose"}
# The public tables lack private elements, and those of dciodvfy what PS3.3 C.8.8.3 has for a dose without a plan.
PRIVATE = "Unrecognized tag - assuming explicit value representation OK"
OVERVIEW = (
    "Unrecognized defined term <PLAN_OVERVIEW> for value 1 of attribute <Dose Summation Type>",
    "SH RT Plan Label ",
    "SQ Prescription Overview Sequence ",
    "US Plan Overview Index ",
    "US Number of Fractions Included ",
    "LO Treatment Site ",
    "SQ Treatment Site Code Sequence ",
    "SQ Plan Overview Sequence ",
    "Dicom dataset contains attributes not present in standard DICOM IOD - this is a Standard Extended SOP Class",
)


def _made(folder: Path, *kinds: str, slices: int = 8) -> list[Path]:
    one = study(*kinds, slices=slices, patient=PATIENT, referring_physician="Großmann^Åsa")
    return [file.path for file in write_files(one, folder / "study")]


def _assert_valid(paths: list[Path], *, expected: tuple[str, ...] = (PRIVATE,)) -> None:
    for path, verdict in zip(paths, dciodvfy_all(paths), strict=True):
        assert verdict.errors == (), path.name
        assert verdict.valid, path.name
        assert verdict.iod == IODS[path.name.partition("_")[0]]
        assert [line for line in verdict.warnings if not line.endswith(expected)] == [], path.name


@pytest.mark.parametrize(
    "kind",
    [
        "ct-chest",
        *(
            pytest.param(kind, marks=pytest.mark.full)
            for kind in ("ct-abdomen", "ct-head", "mr-brain", "mr-knee", "pt-body")
        ),
    ],
)
def test_segmentations_of_every_sectional_kind(tmp_path: Path, kind: str) -> None:
    paths = _made(tmp_path, kind, *SEGMENTATIONS)
    _assert_valid(paths[-2:])
    together = dcentvfy(paths)
    assert together.errors == together.warnings == ()
    assert together.exit_code == 0


@pytest.mark.parametrize(
    "kind", ["ct-chest", *(pytest.param(kind, marks=pytest.mark.full) for kind in ("ct-abdomen", "ct-head"))]
)
def test_radiotherapy_of_ct(tmp_path: Path, kind: str) -> None:
    paths = _made(tmp_path, kind, *RADIOTHERAPY)
    _assert_valid(paths[-3:])
    together = dcentvfy(paths)
    assert together.warnings == ()
    # The study itself is what RTReferencedStudySequence refers to (PS3.3 C.8.8.5); it is in no file.
    struct = dcmread(paths[-3])
    (error,) = together.errors
    assert error.startswith(f"Error - Missing SOPInstanceUID that was referenced - {struct.StudyInstanceUID} ")


@pytest.mark.parametrize("kind", ["rt-plan", "rt-dose"])
def test_plan_and_dose_alone(tmp_path: Path, kind: str) -> None:
    paths = _made(tmp_path, "ct-head", kind)
    _assert_valid(paths[-1:], expected=(PRIVATE, *OVERVIEW))
    together = dcentvfy(paths)
    assert together.errors == together.warnings == ()


@pytest.mark.full
@pytest.mark.parametrize("slices", [1, 2])
def test_few_slices_that_show_no_lesion(tmp_path: Path, slices: int) -> None:
    paths = _made(tmp_path, "ct-chest", *SEGMENTATIONS, *RADIOTHERAPY, slices=slices)
    _assert_valid(paths[slices:])


def test_dcmtk_and_gdcm_read_them(tmp_path: Path) -> None:
    paths = _made(tmp_path, "ct-abdomen", *SEGMENTATIONS, *RADIOTHERAPY)[-5:]
    for path in paths:
        subprocess.run([program("dcmdump"), "-q", path], capture_output=True, timeout=60, check=True)
    for path in paths[2:]:
        told = subprocess.run([program("drtdump"), path], capture_output=True, text=True, timeout=60, check=False)
        assert told.returncode == 0, told.stderr
        assert "E:" not in told.stderr
    for path in (*paths[:2], paths[4]):
        raw = tmp_path / "raw"
        subprocess.run([program("gdcmraw"), "-i", path, "-o", raw], capture_output=True, timeout=60, check=True)
        assert raw.read_bytes() == dcmread(path).PixelData
