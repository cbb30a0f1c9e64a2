"""dciodvfy, dcentvfy, DCMTK and our own validator have nothing against the structured reports that we make."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from pydicom import dcmread

from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.fabricate.sinks import write_files
from dicomfab.model.order import RequestAttributes
from dicomfab.model.study import Patient
from dicomfab.validity.findings import Severity
from dicomfab.validity.run import validate
from tests.peers.dciodvfy import dcentvfy, dciodvfy
from tests.peers.programs import program
from tests.unit.fabricate.studies import resolved

pytestmark = pytest.mark.peers

IODS = {
    "1.2.840.10008.5.1.4.1.1.88.11": "BasicTextSR",
    "1.2.840.10008.5.1.4.1.1.88.33": "ComprehensiveSR",
    "1.2.840.10008.5.1.4.1.1.88.34": "Comprehensive3DSR",
    "1.2.840.10008.5.1.4.1.1.88.67": "XRayRadiationDoseSR",
}
CT_REPORTS = ("sr-report", "sr-comprehensive", "sr-measurements", "sr-dose")
STUDIES = {
    "chest": ("ct-chest:60", *CT_REPORTS),
    "segmented": ("ct-chest:40", "seg", "sr-measurements", "sr-report"),
    "few slices": ("ct-head:2", *CT_REPORTS),
    "body": ("ct-body:40", "pt-body:40", *CT_REPORTS),
    "resonance": ("mr-brain:14", "mr-knee:14", "sr-report", "sr-comprehensive", "sr-measurements"),
    "enhanced": ("ct-enhanced:8", "sr-dose", "sr-report"),
    "projections": ("dx-chest", "sr-report"),
    "pictures": ("es-endoscopy:1", "vl-photo:1", "sr-report"),
}
PATIENTS = {
    "japanese": Patient("Yamada^Tarou=山田^太郎=やまだ^たろう", "SYN2", "19660131", "M"),
    "arabic": Patient("قباني^لنزار", "SYN3", "19800229", "F"),
}
PRIVATE = "Unrecognized tag - assuming explicit value representation OK"
# dcentvfy counts the accession number to the series in images that may have request attributes, and to the study in
# documents, which have none: it says so of any study with both.
BETWEEN_ENTITIES = "Element=<AccessionNumber> IE <Series> versus <Study>"
# DCMTK does not check values in UTF-8; it reads them.
UNCHECKED = b"W: The VR checker does not support this Specific Character Set: ISO_IR 192"


def made(folder: Path, *entries: str, **values: object) -> list[Path]:
    study = resolved(StudyRecipe(tuple(map(SeriesRecipe.parse, entries)), seed=7, **values))  # type: ignore[arg-type]
    return [file.path for file in write_files(study, folder / "study")]


def reports(paths: list[Path]) -> list[Path]:
    found = [path for path in paths if dcmread(path, specific_tags=["SOPClassUID"]).SOPClassUID in IODS]
    assert found
    return found


def assert_valid(paths: list[Path]) -> None:
    for path in reports(paths):
        verdict = dciodvfy(path)
        assert verdict.errors == (), path.name
        assert [line for line in verdict.warnings if PRIVATE not in line] == [], path.name
        assert verdict.valid
        assert verdict.iod == IODS[dcmread(path).SOPClassUID]
    together = dcentvfy(paths)
    assert together.errors == ()
    assert [line for line in together.warnings if BETWEEN_ENTITIES not in line] == []
    assert together.exit_code == 0


def assert_dcmtk_reads(path: Path) -> str:
    done = subprocess.run([program("dsrdump"), "+U8", "+Pl", str(path)], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if line != UNCHECKED] == []
    return done.stdout.decode("utf-8")


@pytest.mark.parametrize("name", STUDIES)
def test_reports_after_images(tmp_path: Path, name: str) -> None:
    paths = made(tmp_path, *STUDIES[name])
    assert_valid(paths)
    for path in reports(paths):
        assert "contains" in assert_dcmtk_reads(path)


@pytest.mark.full
@pytest.mark.parametrize("patient", PATIENTS)
def test_reports_of_patients_in_other_scripts(tmp_path: Path, patient: str) -> None:
    order = RequestAttributes(requested_procedure_id="RP1", requested_procedure_description="CT", admission_id="A")
    paths = made(tmp_path, "ct-chest:20", *CT_REPORTS, patient=PATIENTS[patient], order=order)
    assert_valid(paths)
    for path in reports(paths):
        assert PATIENTS[patient].name.split("=")[0] in assert_dcmtk_reads(path)


@pytest.mark.parametrize(("script", "character_set"), [("japanese", "ISO 2022 IR 87"), ("arabic", "ISO_IR 127")])
def test_reports_in_the_character_set_of_a_script(tmp_path: Path, script: str, character_set: str) -> None:
    paths = made(tmp_path, "ct-chest:3", *CT_REPORTS, script=script, patient=PATIENTS[script])
    assert_valid(paths)
    for path in reports(paths):
        assert character_set in dcmread(path).SpecificCharacterSet


def test_our_own_validator_finds_nothing(tmp_path: Path) -> None:
    report = validate(made(tmp_path, "ct-chest:20", *CT_REPORTS))
    severe = [g.finding for g in report.groups() if g.finding.severity in (Severity.ERROR, Severity.WARNING)]
    assert [finding for finding in severe if BETWEEN_ENTITIES not in finding.message] == []
    assert report.verdict == "valid"


def test_dcmtk_says_what_was_measured(tmp_path: Path) -> None:
    measurements = reports(made(tmp_path, "ct-chest:60", "sr-measurements"))[0]
    said = assert_dcmtk_reads(measurements)
    numbers = [
        item.MeasuredValueSequence[0].NumericValue
        for section in dcmread(measurements).ContentSequence
        if section.ConceptNameCodeSequence[0].CodeValue == "126010"
        for group in section.ContentSequence
        for item in group.ContentSequence
        if item.ValueType == "NUM"
    ]
    assert len(numbers) >= 8
    for number in numbers:
        assert f'"{number.original_string}"' in said
    assert "(ELLIPSOID" in said
