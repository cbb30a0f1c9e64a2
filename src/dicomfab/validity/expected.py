"""Messages of dciodvfy that are expected, each with its reason. They are shown as such and not counted.

A message belongs here only if the instance is right and the message is noise, or a matter of taste; never to keep a
report short. ``dicomfab validate --strict-all`` counts them all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Expected:
    """One row of the list.

    Args:
        line: what the line looks like.
        reason: why it is no fault.
        iods: the IODs, as dciodvfy names them, that it is expected of; any if empty.
        character_set: the whole SpecificCharacterSet that it is expected with; any if empty.
    """

    line: re.Pattern[str]
    reason: str
    iods: re.Pattern[str] = re.compile("")
    character_set: str = ""


_FALSE_ISO_IR_13: Final = (
    "dciodvfy does not know that ISO_IR 13 alone allows half-width katakana (PS3.3 table C.12-2); "
    "our rule 'text' has decoded the value"
)

EXPECTED: Final[tuple[Expected, ...]] = (
    Expected(
        re.compile(
            r"\(0x[0-9a-f]{3}[13579bdf],0x[0-9a-f]{4}\).* - Warning - Unrecognized tag - "
            r"assuming explicit value representation OK"
        ),
        "private elements stand in no public table; our rule 'private-creator' checks that their block is reserved",
    ),
    Expected(
        re.compile(r"Warning - is only permitted to be empty when actually unknown.* - attribute <Laterality>"),
        "a secondary capture may show no body part, or one that nobody stated: its laterality is unknown",
        iods=re.compile(r"SCImage|Multiframe\w*SC\w*"),
    ),
    Expected(
        re.compile(r"Warning - Missing attribute or value that would be needed to build DICOMDIR - .*"),
        "it only matters for media with a DICOMDIR; the element may be absent or empty in the instance",
    ),
    Expected(
        re.compile(r"Warning - Unrecognized defined term <(CC|MLO)> for value 1 of attribute <View Position>"),
        "defined terms may be extended; mammography's views go by these names, and ViewCodeSequence has their codes",
        iods=re.compile(r"Mammo\w*|BreastTomo\w*"),
    ),
    Expected(
        re.compile(
            r"Warning - Attribute is not present in standard DICOM IOD - \(0x0018,0x9087\) FD Diffusion b-value ?"
        ),
        "a Standard Extended SOP Class (PS3.2): scanners write the b-value of classic MR images here",
        iods=re.compile("MRImage"),
    ),
    Expected(
        re.compile(
            r"Warning - Attribute is not present in standard DICOM IOD - "
            r"\(0x0010,0x(1040\) LO Patient's Address|2154\) SH Patient's Telephone Numbers) ?"
        ),
        "a Standard Extended SOP Class (PS3.2): registration systems hand address and telephone on with the patient",
    ),
    Expected(
        re.compile(r"Warning - Unrecognized defined term <HU> for value 1 of attribute <Rescale Type>"),
        "the pixels are in Hounsfield units (PS3.3 C.11.1.1.2); the IOD names US alone, and can be extended",
        iods=re.compile(r"\w*SC\w*"),
    ),
    Expected(
        re.compile(r"Error - Value invalid for this VR - .*Character invalid for character repertoire.*", re.DOTALL),
        _FALSE_ISO_IR_13,
        character_set="ISO_IR 13",
    ),
)
# Lines that only say that there were lines of another kind: what those begin with -> the whole line.
ECHOES: Final = {
    "Value invalid for this VR": "Error - Dicom dataset contains invalid data values for Value Representations",
    "Attribute is not present in standard DICOM IOD": (
        "Warning - Dicom dataset contains attributes not present in standard DICOM IOD - "
        "this is a Standard Extended SOP Class"
    ),
}


#: The same of dcentvfy, whose lines have lost the names of files.
EXPECTED_OF_ENTITIES: Final[tuple[Expected, ...]] = (
    Expected(
        re.compile(
            r"Different information entities for attribute - Element=<AccessionNumber> IE <Series> versus <Study>"
        ),
        "dcentvfy's tables have Accession Number in the series of documents and in the study of images; it is of both",
    ),
)


def reason_for_entity(message: str, uid: str, study_instance_uid: str) -> str:
    """Why a message of dcentvfy is expected; empty if it is not.

    Args:
        message: without names of files.
        uid: that it says is missing, if it says that.
        study_instance_uid: of the files.
    """
    if uid and uid == study_instance_uid:
        return "RT structure sets refer to their study as if it were an instance (PS3.3 C.8.8.5)"
    return next((row.reason for row in EXPECTED_OF_ENTITIES if row.line.fullmatch(message.strip())), "")


def reason_for(line: str, iod: str, character_set: str) -> str:
    """Why a line of dciodvfy is expected; empty if it is not."""
    for row in EXPECTED:
        fits = row.line.fullmatch(line) and (not row.iods.pattern or row.iods.fullmatch(iod))
        if fits and row.character_set in ("", character_set):
            return row.reason
    return ""
