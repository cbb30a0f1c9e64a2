"""What the attributes of every kind say: nothing that only pleases a validator, and nothing at odds with the study."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID_dictionary

from dicomfab.fabricate.encode.template import HeaderTemplate
from dicomfab.fabricate.kinds import KINDS
from dicomfab.model.part10 import file_header
from dicomfab.pixels.syntaxes import EXPLICIT_LITTLE
from tests.peers.family_matrix import planned

PLACEHOLDER = re.compile(
    r"unknown|test(ing)?|x+|none|n/?a|dummy|foo|bar|anon(ymous|ymized)?|undefined|unspecified|t\.?b\.?d\.?|todo|default"
    r"|null|nil|string|text|example|sample|placeholder|lorem.*|value|[-?.*_]+|0+|1?2345\d*",
    re.IGNORECASE,
)
TEXT = frozenset(("AE", "LO", "LT", "PN", "SH", "ST", "UC", "UT"))
# Text that reads like a placeholder and is none: terms that the standard defines for the attribute.
TERMS = {
    ("FilterType", "NONE"): "no filter in the beam (PS3.3 C.8.7.2)",
    ("ImageFilter", "NONE"): "no filter over the reconstructed image (PS3.3 C.8.15.3.9)",
}
CODES_THAT_SAY_NOTHING = frozenset(("UNKNOWN", "UNDEFINED", "TEST", "XXX", "DUMMY"))


@dataclass(frozen=True)
class Empty:
    """An attribute (type 2) that may be empty.

    Args:
        path: as a regular expression over the keywords.
        modalities: in which.
        reason: why a real system leaves it empty too.
    """

    path: str
    modalities: str
    reason: str


EMPTY = (
    Empty("AcquisitionContextSequence", ".*", "only holds what is special about an acquisition, and nothing is"),
    Empty(r"(.*\.)?ViewModifierCodeSequence", "DX|MG|NM", "the view code says all; these are plain views"),
    Empty("PatientOrientation", "ES|US|XC", "a probe or a camera held by hand does not know it"),
    Empty("PatientOrientation", "OT", "a card or a page shows no body, and a turning view has no fixed orientation"),
    Empty("Laterality", "OT", "a card or a page shows no body part"),
    Empty("PositionReferenceIndicator", "MG", "a compressed breast has no landmark that positions refer to"),
    Empty("ScanOptions", "MR", "a spin echo with none of the options that there are terms for"),
)
# Zero in one of these would be a dummy.
POSITIVE = frozenset(
    "Columns CTDIvol DetectorActiveDimensions DistanceSourceToDetector DistanceSourceToPatient EchoTime "
    "EffectiveEchoTime Exposure ExposureTime FlipAngle FrameTime ImagerPixelSpacing ImagingFrequency KVP "
    "MagneticFieldStrength NumberOfFrames PatientSize PatientWeight PixelSpacing RadionuclideHalfLife "
    "RadionuclideTotalDose RepetitionTime RescaleSlope Rows SliceThickness SpacingBetweenSlices WindowWidth "
    "XRayTubeCurrent ActualFrameDuration BodyPartThickness PixelBandwidth ReconstructionDiameter "
    "NominalScannedPixelSpacing".split()
)
SCHEMES = frozenset(("DCM", "LN", "NCIt", "RADLEX", "SCT", "UCUM"))
OURS = re.compile(r"2\.25\.\d{39}")
DAY = frozenset("AcquisitionDate ContentDate DateOfSecondaryCapture InstanceCreationDate SeriesDate StudyDate".split())
LONGEST_STUDY = timedelta(hours=2)
LONGEST_UPTAKE = timedelta(hours=6)


def instances(kind: str) -> Iterator[Dataset]:
    """Every instance of a small study without its pixels, as it would be read back."""
    for plan in planned(kind):
        names = tuple(plan.varying(0))
        template = HeaderTemplate(plan.dataset, names, None)
        for index in range(plan.count):
            values = plan.varying(index)
            head = file_header(plan.dataset.SOPClassUID, values["SOPInstanceUID"], EXPLICIT_LITTLE)
            yield pydicom.dcmread(io.BytesIO(head + template.header(values)))


def elements(ds: Dataset, path: str = "") -> Iterator[tuple[str, DataElement]]:
    """Every element with the keywords around it; those of our private block are no attributes of the image."""
    for element in ds:
        if element.tag.is_private:
            continue
        name = path + element.keyword
        yield name, element
        if element.VR == "SQ":
            for item in element.value:
                yield from elements(item, f"{name}.")


def values(element: DataElement) -> list[str]:
    return [str(one).strip() for one in (element.value if element.VM > 1 else [element.value])]


def report(kind: str, lines: list[str]) -> None:
    assert not lines, "\n".join(f"{kind} {line}" for line in dict.fromkeys(lines))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_no_text_is_a_placeholder(kind: str) -> None:
    wrong = []
    for ds in instances(kind):
        for name, element in elements(ds):
            for value in values(element) if not element.is_empty else []:
                if element.VR in TEXT and PLACEHOLDER.fullmatch(value) and (element.keyword, value) not in TERMS:
                    wrong.append(f"{name}: {value}")
                if element.VR == "CS" and value in CODES_THAT_SAY_NOTHING:
                    wrong.append(f"{name}: {value}")
    report(kind, wrong)


def test_nothing_is_empty_that_a_modality_would_fill(kind: str) -> None:
    wrong = []
    for ds in instances(kind):
        for name, element in elements(ds):
            allowed = (re.fullmatch(one.path, name) and re.fullmatch(one.modalities, ds.Modality) for one in EMPTY)
            if element.is_empty and not any(allowed):
                wrong.append(f"{name} is empty")
        # The reasons above hold for plain images only.
        if ds.Modality == "MR" and "FS" in ds.SeriesDescription and not ds.get("ScanOptions", ""):
            wrong.append("ScanOptions does not say FS")
    report(kind, wrong)


def test_numbers_and_codes_say_something(kind: str) -> None:
    wrong = []
    for ds in instances(kind):
        for name, element in elements(ds):
            if element.keyword in POSITIVE:
                numbers = [float(value) for value in values(element)]
                if (element.keyword, ds.Modality) == ("SpacingBetweenSlices", "NM"):  # its sign says which way they go
                    numbers = [abs(number) for number in numbers]
                if min(numbers) <= 0:
                    wrong.append(f"{name} is {element.value}")
            if element.VR != "SQ":
                continue
            for item in element.value:
                if "CodingSchemeDesignator" in item:
                    wrong.extend(f"{name}: {problem}" for problem in code_problems(item))
    report(kind, wrong)


def code_problems(item: Dataset) -> Iterator[str]:
    value = item.get("CodeValue") or item.get("LongCodeValue") or item.get("URNCodeValue") or ""
    if item.CodingSchemeDesignator not in SCHEMES:
        yield f"coding scheme {item.CodingSchemeDesignator}"
    if item.CodingSchemeDesignator == "SCT" and not re.fullmatch(r"[1-9]\d{5,17}", value):
        yield f"{value!r} is no SNOMED CT identifier"
    if item.CodingSchemeDesignator == "LN" and not re.fullmatch(r"\d{1,7}-\d", value):
        yield f"{value!r} is no LOINC code"
    if item.CodingSchemeDesignator == "DCM" and not re.fullmatch(r"\d{6}|[A-Z]{2,}", value):
        yield f"{value!r} is no DCM code"
    if not item.get("CodeMeaning") or (item.CodeMeaning == value and item.CodingSchemeDesignator != "UCUM"):
        yield f"{value!r} has no meaning"


def test_uids_are_ours(kind: str) -> None:
    wrong, seen, numbers = [], set(), {}
    for ds in instances(kind):
        for name, element in elements(ds):
            if element.VR != "UI":
                continue
            for uid in values(element):
                known = uid in UID_dictionary and element.keyword.endswith(("SOPClassUID", "CodingSchemeUID"))
                if not known and not OURS.fullmatch(uid):
                    wrong.append(f"{name}: {uid}")
        assert ds.SOPInstanceUID == ds.file_meta.MediaStorageSOPInstanceUID
        if ds.SOPInstanceUID in seen:
            wrong.append(f"SOPInstanceUID twice: {ds.SOPInstanceUID}")
        seen.add(ds.SOPInstanceUID)
        if numbers.setdefault(ds.SeriesInstanceUID, ds.SeriesNumber) != ds.SeriesNumber:
            wrong.append(f"a series has the numbers {numbers[ds.SeriesInstanceUID]} and {ds.SeriesNumber}")
    assert len(set(numbers.values())) == len(numbers)
    assert len(seen) == KINDS[kind].instances(2 if KINDS[kind].counted else 1)
    report(kind, wrong)


def test_dates_and_times_fit_the_study(kind: str) -> None:
    wrong = []
    for ds in instances(kind):
        start = at(ds.StudyDate, ds.StudyTime)
        for name, element in elements(ds):
            if element.VR == "DA" and not element.is_empty:
                if element.keyword in DAY and element.value != ds.StudyDate:
                    wrong.append(f"{name}: {element.value}")
                elif element.value > ds.StudyDate:
                    wrong.append(f"{name} lies after the study: {element.value}")
            if element.VR in ("TM", "DT") and not element.is_empty:
                when = at(ds.StudyDate, element.value) if element.VR == "TM" else at("", element.value)
                injected = element.keyword.startswith(("RadiopharmaceuticalStart", "ContrastBolusStart"))
                low = start - LONGEST_UPTAKE if injected else start
                if not low <= when <= start + LONGEST_STUDY:
                    wrong.append(f"{name}: {element.value}, the study began at {start}")
    report(kind, wrong)


def test_times_follow_one_another(kind: str) -> None:
    """Study, series, acquisition, content."""
    wrong = []
    for ds in instances(kind):
        times = {name: at(ds.StudyDate, ds[f"{name}Time"].value) for name in ("Study", "Series")}
        if ds.get("AcquisitionDateTime"):
            times["Acquisition"] = at("", ds.AcquisitionDateTime)
        elif ds.get("AcquisitionTime"):
            times["Acquisition"] = at(ds.AcquisitionDate, ds.AcquisitionTime)
        times["Content"] = at(ds.ContentDate, ds.ContentTime)
        for (name, before), (following, after) in pairwise(times.items()):
            if before > after:
                wrong.append(f"{following} {after.time()} is before {name} {before.time()}")
        for item in ds.get("RadiopharmaceuticalInformationSequence", []):
            injection = item.get("RadiopharmaceuticalStartDateTime") or ds.StudyDate + item.RadiopharmaceuticalStartTime
            if at("", injection) >= times.get("Acquisition", times["Content"]):
                wrong.append(f"injected at {injection}, after the acquisition began")
    report(kind, wrong)


def at(date: str, time: str) -> datetime:
    text = date + time
    return datetime.strptime(text, "%Y%m%d%H%M%S.%f" if "." in text else "%Y%m%d%H%M%S")  # noqa: DTZ007
