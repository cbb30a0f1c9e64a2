"""Which attributes the index holds, and at which level of the patient's tree (PS3.4 C.6.1.1, C.6.2.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword

from dicomfab.model.query import Level

LEVELS: Final = (Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE)

# All required keys of both information models, and the optional ones that requests in the field carry.
_KEYWORDS: Final[dict[Level, tuple[str, ...]]] = {
    Level.PATIENT: (
        "PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientBirthTime", "PatientSex",
        "OtherPatientIDs", "EthnicGroup", "PatientComments",
    ),
    Level.STUDY: (
        "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "StudyID", "StudyDescription",
        "ReferringPhysicianName", "NameOfPhysiciansReadingStudy", "AdmittingDiagnosesDescription", "PatientAge",
        "PatientSize", "PatientWeight", "Occupation", "AdditionalPatientHistory",
    ),
    Level.SERIES: (
        "SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "SeriesDate", "SeriesTime",
        "BodyPartExamined", "Laterality", "ProtocolName", "PatientPosition", "PerformingPhysicianName",
        "OperatorsName", "Manufacturer", "ManufacturerModelName", "InstitutionName", "StationName",
        "FrameOfReferenceUID", "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime",
        "PerformedProcedureStepID", "PerformedProcedureStepDescription",
    ),
    Level.IMAGE: (
        "SOPInstanceUID", "SOPClassUID", "InstanceNumber", "ImageType", "ContentDate", "ContentTime",
        "InstanceCreationDate", "InstanceCreationTime", "AcquisitionDate", "AcquisitionTime", "AcquisitionNumber",
        "Rows", "Columns", "BitsAllocated", "NumberOfFrames", "PhotometricInterpretation", "SliceLocation",
        "CompletionFlag", "VerificationFlag",
    ),
}  # fmt: skip

UNIQUE_KEY: Final[dict[Level, str]] = {
    Level.PATIENT: "PatientID",
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.IMAGE: "SOPInstanceUID",
}


@dataclass(frozen=True, slots=True)
class Attribute:
    """One indexed attribute; its column is named by its keyword.

    Args:
        multi: the data dictionary allows more than one value (VM, PS3.6).
    """

    keyword: str
    tag: int
    vr: str
    multi: bool
    level: Level


def _attribute(keyword: str, level: Level) -> Attribute:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise LookupError(keyword)
    return Attribute(keyword, int(tag), dictionary_VR(tag), dictionary_VM(tag) != "1", level)


ATTRIBUTES: Final = tuple(_attribute(keyword, level) for level, names in _KEYWORDS.items() for keyword in names)
BY_TAG: Final = {attribute.tag: attribute for attribute in ATTRIBUTES}
BY_LEVEL: Final = {level: tuple(a for a in ATTRIBUTES if a.level is level) for level in LEVELS}


def up_to(level: Level) -> tuple[Level, ...]:
    """A level and those above it, top first."""
    return LEVELS[: LEVELS.index(level) + 1]
