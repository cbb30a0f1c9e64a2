"""Which attributes the index holds, and at which level of the patient's tree (PS3.4 C.6.1.1, C.6.2.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from dicomfab.model.query import Level

LEVELS: Final = (Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE)

# All required keys of both information models, and the optional ones that requests in the field carry: tag, VR (with *
# where the VM lets it have several values) and keyword of PS3.6. They stand here since whoever asks the data dictionary
# loads all of pydicom, which takes longer than listing studies.
_TABLE: Final[dict[Level, str]] = {
    Level.PATIENT: """
        00100020 LO PatientID  00100021 LO IssuerOfPatientID  00100010 PN PatientName  00100030 DA PatientBirthDate
        00100032 TM PatientBirthTime  00100040 CS PatientSex  00101000 LO* OtherPatientIDs  00102160 SH EthnicGroup
        00104000 LT PatientComments
    """,
    Level.STUDY: """
        0020000D UI StudyInstanceUID  00080020 DA StudyDate  00080030 TM StudyTime  00080050 SH AccessionNumber
        00200010 SH StudyID  00081030 LO StudyDescription  00080090 PN ReferringPhysicianName
        00081060 PN* NameOfPhysiciansReadingStudy  00081080 LO* AdmittingDiagnosesDescription  00101010 AS PatientAge
        00101020 DS PatientSize  00101030 DS PatientWeight  00102180 SH Occupation
        001021B0 LT AdditionalPatientHistory
    """,
    Level.SERIES: """
        0020000E UI SeriesInstanceUID  00080060 CS Modality  00200011 IS SeriesNumber  0008103E LO SeriesDescription
        00080021 DA SeriesDate  00080031 TM SeriesTime  00180015 CS BodyPartExamined  00200060 CS Laterality
        00181030 LO ProtocolName  00185100 CS PatientPosition  00081050 PN* PerformingPhysicianName
        00081070 PN* OperatorsName  00080070 LO Manufacturer  00081090 LO ManufacturerModelName
        00080080 LO InstitutionName  00081010 SH StationName  00200052 UI FrameOfReferenceUID
        00400244 DA PerformedProcedureStepStartDate  00400245 TM PerformedProcedureStepStartTime
        00400253 SH PerformedProcedureStepID  00400254 LO PerformedProcedureStepDescription
    """,
    Level.IMAGE: """
        00080018 UI SOPInstanceUID  00080016 UI SOPClassUID  00200013 IS InstanceNumber  00080008 CS* ImageType
        00080023 DA ContentDate  00080033 TM ContentTime  00080012 DA InstanceCreationDate
        00080013 TM InstanceCreationTime  00080022 DA AcquisitionDate  00080032 TM AcquisitionTime
        00200012 IS AcquisitionNumber  00280010 US Rows  00280011 US Columns  00280100 US BitsAllocated
        00280008 IS NumberOfFrames  00280004 CS PhotometricInterpretation  00201041 DS SliceLocation
        0040A491 CS CompletionFlag  0040A493 CS VerificationFlag
    """,
}

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


def _attributes(level: Level) -> Iterator[Attribute]:
    words = iter(_TABLE[level].split())
    for tag, vr, keyword in zip(words, words, words, strict=True):
        yield Attribute(keyword, int(tag, 16), vr.rstrip("*"), vr.endswith("*"), level)


ATTRIBUTES: Final = tuple(attribute for level in LEVELS for attribute in _attributes(level))
BY_TAG: Final = {attribute.tag: attribute for attribute in ATTRIBUTES}
BY_LEVEL: Final = {level: tuple(a for a in ATTRIBUTES if a.level is level) for level in LEVELS}


def up_to(level: Level) -> tuple[Level, ...]:
    """A level and those above it, top first."""
    return LEVELS[: LEVELS.index(level) + 1]
