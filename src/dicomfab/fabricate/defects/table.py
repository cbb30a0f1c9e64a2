"""The table of declared defects: one row each, so that nothing heavy is loaded to list or check them."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from dicomfab.fabricate.kinds import ALL_KINDS, KINDS

#: Objects that have pixels.
_WITH_PIXELS: Final = ("seg", "seg-labelmap", "rt-dose")
#: The accession number of every study with the defect accession-reused.
REUSED_ACCESSION: Final = "SYN-REUSED-00001"


class Needs(enum.StrEnum):
    """What a series has to have to carry a defect."""

    NOTHING = "any instance"
    EXPLICIT = "any instance in explicit VR"
    PIXELS = "an instance with pixels"
    MONOCHROME = "a grey image"
    SPARE_BITS = "a grey image of 16 bits allocated and fewer stored"
    TWO_INSTANCES = "a series of two instances or more"
    TWO_SERIES = "a study of two series or more"
    STUDY = "any study"


@dataclass(frozen=True, slots=True)
class Defect:
    """Something that is wrong on purpose; how it is made: see :mod:`.making`.

    Args:
        name: what recipes call it.
        title: what people call it.
        wrong: what is wrong.
        expected: what a careful receiver does with it.
        needs: what can carry it. ``STUDY`` means that all instances, or the folder, have it; else one instance has.
    """

    name: str
    title: str
    wrong: str
    expected: str
    needs: Needs = Needs.NOTHING

    @property
    def is_everywhere(self) -> bool:
        """Whether it is of the whole study, and not of one instance."""
        return self.needs is Needs.STUDY

    @property
    def noticed_by(self) -> tuple[str, ...]:
        """The programs that noticed it when they were last asked, see :func:`noticed`."""
        return tuple(program for program, said in noticed()[self.name].items() if said not in ("-", "takes"))

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that can carry it; a series of that kind may still be too short, or in another transfer syntax."""
        if self.needs in _EXCEPT:
            with_pixels = () if self.needs in (Needs.SPARE_BITS, Needs.TWO_INSTANCES) else _WITH_PIXELS
            return (*(name for name in KINDS if name not in _EXCEPT[self.needs]), *with_pixels)
        return tuple(ALL_KINDS)


_COLOUR: Final = frozenset(("us-colour", "es-endoscopy", "vl-photo", "sc-rgb", "sc-multiframe-colour", "wsi"))
#: Grey, and all bits that are allocated are stored.
_NOTHING_SPARE: Final = frozenset(
    ("us-abdomen", "us-cine", "xa-cine", "pt-body", "pt-enhanced", "nm-bone", "nm-static", "nm-tomo", "nm-gated")
    + ("text-card", "sc-multiframe-bit", "sc-multiframe-byte")
)
#: Each view is a series of its own.
_ONE_BY_ONE: Final = frozenset(("dx-chest", "cr-knee", "mg-screening", "dbt-screening", "wsi"))
#: Kinds with pixels that cannot carry it.
_EXCEPT: Final[dict[Needs, frozenset[str]]] = {
    Needs.PIXELS: frozenset(),
    Needs.MONOCHROME: _COLOUR,
    Needs.SPARE_BITS: _COLOUR | _NOTHING_SPARE,
    Needs.TWO_INSTANCES: _ONE_BY_ONE
    | {name for name, kind in KINDS.items() if kind.instances(kind.counted.most if kind.counted else 1) < 2},
}

_ROWS: Final = (
    # Values
    Defect(
        "missing-type-1", "Type 1 attribute missing", "Modality (0008,0060), of type 1, is missing.",
        "Store it and warn, or refuse it with A9xx; never invent a value in the stored instance.",
    ),
    Defect(
        "empty-type-1", "Type 1 attribute empty", "Series Instance UID (0020,000E), of type 1, has no value.",
        "Refuse it: without this UID it belongs to no series.",
    ),
    Defect(
        "odd-length", "Odd value length", "The value of Manufacturer (0008,0070) has an odd length.",
        "Read it by its length all the same; pad it when it is written again.",
    ),
    Defect(
        "wrong-vr", "Wrong VR", "Series Number (0020,0011) says that its VR is LO; the standard says IS.",
        "Read the value by the VR of the dictionary, and warn.", Needs.EXPLICIT,
    ),
    Defect(
        "multi-value-in-single", "Two values where one may be",
        "Manufacturer's Model Name (0008,1090), which holds one value, has a backslash in it: two values.",
        "Show the text, or its first value; do not fail on a list where a text was expected.",
    ),
    Defect(
        "decimal-comma", "Decimal comma", "Patient's Weight (0010,1030), a decimal string, is written with a comma.",
        "Keep the text, count the value as unknown, and never take the comma for a point in a calculation.",
    ),
    Defect(
        "bad-time", "Time that is none", "A time (VR TM) is 256199: there is no such hour, minute or second.",
        "Keep the text, and count the value as unknown.",
    ),
    Defect(
        "date-in-future", "Date in the future", "A date of the instance lies a hundred years after the study.",
        "Store it; warn of the date, and do not sort it away as the newest.",
    ),
    Defect(
        "private-without-creator", "Private element without creator",
        "(009B,1001) has no private creator in (009B,0010).",
        "Keep it as it is, and take it for nobody's.",
    ),
    Defect(
        "private-64k", "Private element beyond 64 kB", "The private element (0099,10F0) has 70,000 bytes. That is "
        "allowed, and more than a two-byte length can say.",
        "Store it as it is, in explicit VR with a four-byte length.",
    ),
    Defect(
        "deep-nesting", "Sequences nested 300 deep", "The private sequence (0099,10F1) is nested 300 levels deep. That "
        "is allowed.",
        "Store it as it is, or refuse it with a stated limit; never overflow a stack.",
    ),
    Defect(
        "trailing-padding", "Large trailing padding",
        "256 kB of zeros in Data Set Trailing Padding (FFFC,FFFC) follow. That is allowed.",
        "Ignore it.",
    ),
    # Patient and identifiers
    Defect(
        "patient-mismatch", "Another patient in one instance",
        "Name, ID and birth date of one instance of the series are those of another patient.",
        "Set the instance or the study aside for a person to decide; never mix the two patients.", Needs.TWO_INSTANCES,
    ),
    Defect(
        "accession-reused", "Accession number used again",
        f"The accession number is {REUSED_ACCESSION}, which all studies with this defect have, whoever the patient is.",
        "Tell studies apart by Study Instance UID and patient, never by accession number alone.", Needs.STUDY,
    ),
    Defect(
        "name-with-html", "HTML in the name", "Patient's Name (0010,0010) of all instances is HTML with a script. "
        "That is allowed.",
        "Store it as it is; every page shows it as text.", Needs.STUDY,
    ),
    Defect(
        "name-with-control-characters", "Control characters in the name",
        "Patient's Name (0010,0010) of all instances holds bell, backspace, tab and line feed.",
        "Store it; show it without them, and let none of them into logs, HL7 messages or terminals.", Needs.STUDY,
    ),
    Defect(
        "duplicate-sop-uid", "SOP Instance UID used twice",
        "An instance has the SOP Instance UID of another one of its series, and other content.",
        "Keep the first, refuse the second (or keep both apart) and say so; never replace one in silence.",
        Needs.TWO_INSTANCES,
    ),
    Defect(
        "uid-in-two-series", "SOP Instance UID in two series",
        "An instance has the SOP Instance UID of an instance of another series.",
        "Keep the first, refuse the second and say so; never move an instance to another series in silence.",
        Needs.TWO_SERIES,
    ),
    Defect(
        "uid-too-long", "UID of 65 characters",
        "SOP Instance UID (0008,0018), and with it the file meta information, has 65 characters; 64 are allowed.",
        "Refuse it, or store it whole; never cut it off.",
    ),
    Defect(
        "uid-leading-zero", "UID with a leading zero",
        "A component of SOP Instance UID (0008,0018), and of the file meta information, begins with 0.",
        "Store it as it is, or refuse it; never correct it, since others refer to it.",
    ),
    # Character sets
    Defect(
        "character-set-missing", "Character set missing",
        "Text beyond ASCII is there, and Specific Character Set (0008,0005) is not.",
        "Store the bytes as they are; show replacement characters, and guess only where the guess is shown as one.",
    ),
    Defect(
        "character-set-wrong", "Wrong character set",
        "Specific Character Set (0008,0005) names another one than the text is written in.",
        "Store the bytes as they are; do not fail where they cannot be decoded.",
    ),
    Defect(
        "character-set-unknown", "Unknown character set",
        "Specific Character Set (0008,0005) is ISO_IR 999, which there is not, and text beyond ASCII follows.",
        "Store the bytes as they are, and warn.",
    ),
    # Pixels
    Defect(
        "pixels-truncated", "Pixel data too short",
        "Pixel Data (7FE0,0010) has half of the bytes that it should have; encapsulated, its last fragment has.",
        "Store it and warn, or refuse it; show what is there, and never read beyond its end.", Needs.PIXELS,
    ),
    Defect(
        "rows-wrong", "Wrong number of rows", "Rows (0028,0010) says 16 more than Pixel Data (7FE0,0010) holds.",
        "Store it and warn, or refuse it; never read beyond the end of the pixel data.", Needs.PIXELS,
    ),
    Defect(
        "lut-missing", "Palette missing",
        "Photometric Interpretation (0028,0004) is PALETTE COLOR, and there is no palette.",
        "Store it; say that it cannot be shown, or show it as grey.", Needs.MONOCHROME,
    ),
    Defect(
        "overlay-in-pixel-data", "Overlay in the pixel data",
        "An overlay (60xx) is said to be in bit 15 of the pixels, as was allowed until 2004; it has no Overlay Data.",
        "Store it; mask the bit off where pixels are shown or measured.", Needs.SPARE_BITS,
    ),
    # Encoding
    Defect(
        "elements-out-of-order", "Elements out of order",
        "Manufacturer (0008,0070) stands behind Referring Physician's Name (0008,0090); elements ascend by tag.",
        "Read it all the same and write it in order, or refuse it.",
    ),
    Defect(
        "element-twice", "Element twice", "Manufacturer (0008,0070) is there twice, with two values.",
        "Refuse it, or take one and warn; all parts of the receiver take the same one.",
    ),
    Defect(
        "unknown-vr", "Unknown VR", "The private element (0099,10F3) has the VR ZZ, which there is not.",
        "Read it as UN with a four-byte length (PS3.5 7.1.2), or refuse it; never lose one's place in the data set.",
        Needs.EXPLICIT,
    ),
    Defect(
        "undefined-length", "Undefined length in the wrong place",
        "The private element (0099,10F2), with VR OB, has an undefined length; only sequences, UN and pixel data may.",
        "Skip to its delimiter, or refuse it; never read to the end of the file for it.", Needs.EXPLICIT,
    ),
    Defect(
        "file-cut-short", "File cut short", "The file ends in the middle of its last element.",
        "Refuse it: it is not complete.",
    ),
    Defect(
        "syntax-mismatch", "Wrong transfer syntax", "The file meta information names another transfer syntax than the "
        "data set is in.",
        "Refuse it, or find out how it is encoded and say so; never store what was read wrongly.",
    ),
    # The file around the data set
    Defect(
        "mismatched-meta-uid", "Meta information of another instance",
        "Media Storage SOP Instance UID (0002,0003) is not the SOP Instance UID (0008,0018) of the data set.",
        "Go by the data set, and warn; never index one instance under two UIDs.",
    ),
    Defect(
        "group-length-wrong", "Wrong group length",
        "File Meta Information Group Length (0002,0000) is 18 too small: it leaves the last element out.",
        "Read group 0002 to its end, whatever the length says, or refuse the file.",
    ),
    Defect(
        "meta-missing", "No file meta information", "The data set follows the prefix DICM at once; group 0002 is "
        "missing, and with it the transfer syntax.",
        "Refuse it, or find out how it is encoded and say so.",
    ),
    Defect(
        "preamble-missing", "No preamble", "The file begins with group 0002; preamble and prefix DICM are missing.",
        "Say that it is no DICOM file, or read it if asked to; never pass it over in silence.",
    ),
    Defect(
        "dicomdir-lies", "DICOMDIR that lies",
        "A DICOMDIR is in the folder. It names a file that is not there, and another under a wrong SOP Instance UID.",
        "Report the file that is missing, go by the UID in the file, and import what is there.", Needs.STUDY,
    ),
)  # fmt: skip

#: Every defect by its name; of several in one instance, the earlier is made first.
DEFECTS: Final[dict[str, Defect]] = {one.name: one for one in _ROWS}


@cache
def noticed() -> dict[str, dict[str, str]]:
    """What programs said of each defect when they were last asked: by name of the defect, then of the program.

    ``tools/defect_table.py`` measures it.
    """
    file = resources.files("dicomfab.fabricate.defects") / "noticed.json"
    found: dict[str, dict[str, str]] = json.loads(file.read_text("utf-8"))
    return found
