"""The servers' software: by what it shows, and the lines that its administrator adds to its configuration."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final


class Product(enum.StrEnum):
    """Software that is known by its implementation class UID or version name (PS3.7 D.3.3.2)."""

    ORTHANC = "Orthanc"
    DCMTK = "DCMTK"  # also what many products are built with
    DCM4CHEE = "dcm4chee"
    PYNETDICOM = "pynetdicom"
    DICOMFAB = "DICOM Fabricator"
    UNKNOWN = ""


class Setting(enum.StrEnum):
    """What an administrator may have to set."""

    KNOW_US = "know our AE title"
    ANSWER_TO = "answer to the AE title that it is called by"
    ALLOW_FIND = "allow C-FIND"
    ALLOW_MOVE = "allow C-MOVE"
    ALLOW_STORE = "allow C-STORE"
    KNOW_DESTINATION = "know the move destination"
    KNOW_SOURCE = "let the source in"


@dataclass(frozen=True, slots=True)
class Line:
    """What to add where, for one product.

    Args:
        product: for which.
        place: file or page.
        text: exactly what to write there.
    """

    product: str
    place: str
    text: str


# setting -> (product, place, text with names)
_LINES: Final[Mapping[Setting, tuple[tuple[Product, str, str], ...]]] = {}


def lines_for(settings: Sequence[Setting], product: Product, names: Mapping[str, str]) -> tuple[Line, ...]:
    """What to give an administrator: for their product if it is known, else for each that we know."""
    found = []
    for setting in settings:
        known = _LINES.get(setting, ())
        of_it = [entry for entry in known if entry[0] is product] or list(known)
        found += [Line(str(of), place, text.format_map(names)) for of, place, text in of_it]
    return tuple(found)
