"""Values of HL7 data types as DICOM writes them, each with a note of what had to be changed."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from dicomfab.hl7.er7 import NULL, Element

#: HL7 priority (table 0027, 0485) -> RequestedProcedurePriority (0040,1003).
_PRIORITIES: Final = {"S": "STAT", "A": "HIGH", "P": "HIGH", "C": "HIGH", "R": "ROUTINE", "T": "MEDIUM"}
_KNOWN_SEX: Final = frozenset({"M", "F", "O"})
_TIMESTAMP: Final = re.compile(r"(\d{4,14})(?:\.\d*)?(?:[+-]\d{4})?")

Noted = tuple[str, str]


def text(value: str, limit: int, *, is_identifier: bool = False) -> Noted:
    """A text of SH or LO: without what DICOM cannot store; cut if it is too long, unless it identifies something."""
    if value == NULL:
        return "", 'the message says to delete it ("")'
    notes = []
    if not (value.isascii() and value.isprintable()):
        value = "".join(" " if unicodedata.category(c) in {"Cc", "Cs", "Cn"} else c for c in value)
        value = unicodedata.normalize("NFC", value)
    clean = " ".join(value.split())
    if "\\" in clean:
        clean = clean.replace("\\", "/")
        notes.append("a backslash, which separates values in DICOM, became /")
    if len(clean) > limit:
        if is_identifier:
            notes.append(f"has {len(clean)} characters; the attribute holds {limit}")
        else:
            notes.append(f"cut: it had {len(clean)} characters, the attribute holds {limit}")
            clean = clean[:limit].rstrip()
    return clean, "; ".join(notes)


def person(elements: Sequence[Element], *, first: int = 1) -> Noted:
    """Names (XPN, or XCN with ``first=2``) as one PN.

    HL7 writes family, given, middle, suffix, prefix; DICOM has the prefix before the suffix (PS3.5 6.2.1). Repetitions
    that say to be ideographic or phonetic (XPN-8) become the second and third group.
    """
    groups, notes = {"A": "", "I": "", "P": ""}, []
    for element in elements:
        code = element.get(first + 7) or element.get(first + 13)
        place = code if code in groups else "A"
        name, note = _name(element, first)
        if name and not groups[place]:
            groups[place] = name
            if note:
                notes.append(note)
        elif name:
            notes.append("only the first of several names is read")
    return "=".join(groups.values()).rstrip("="), "; ".join(dict.fromkeys(notes))


def _name(element: Element, first: int) -> Noted:
    if element.get(first) == NULL:
        return "", ""
    parts, notes = [], []
    for number in (0, 1, 2, 4, 3):
        part, note = text(element.get(first + number), 64)
        parts.append(re.sub(r"[\^=]", " ", part).strip())
        notes += [note] if note else []
    joined = "^".join(parts).rstrip("^")
    if len(joined) > 64:
        notes.append(f"cut: it had {len(joined)} characters, a name holds 64")
        joined = joined[:64].rstrip("^ ")
    return joined, "; ".join(notes)


def date(value: str) -> Noted:
    """The day of a timestamp."""
    digits = _TIMESTAMP.fullmatch(value)
    day = digits.group(1)[:8] if digits else value[:8]
    try:
        if len(day) != 8 or not day.isascii():
            raise ValueError
        dt.date(int(day[:4]), int(day[4:6]), int(day[6:]))
    except ValueError:
        return "", f"{value[:30]!r} is no date" if value and value != NULL else ""
    return day, ""


def time(value: str) -> Noted:
    """The time of day of a timestamp, as ``HHMMSS``; empty if it names only a day."""
    digits = _TIMESTAMP.fullmatch(value)
    clock = digits.group(1)[8:] if digits else ""
    if len(clock) < 4:
        return "", ""
    clock = clock.ljust(6, "0")[:6]
    if int(clock[:2]) > 23 or int(clock[2:4]) > 59 or int(clock[4:]) > 59:
        return "", f"{value[:30]!r} has no such time of day"
    return clock, ""


def sex(value: str) -> Noted:
    """PatientSex: M, F or O; what else HL7 knows (ambiguous, unknown, not applicable) is left empty."""
    if value in _KNOWN_SEX or not value or value == NULL:
        return value if value != NULL else "", ""
    folded = value.upper()[:1]
    if folded in _KNOWN_SEX:
        return folded, f"{value[:20]!r} taken as {folded}"
    return "", f"{value[:20]!r} has no counterpart in DICOM: left empty"


def priority(value: str) -> Noted:
    """RequestedProcedurePriority of an HL7 priority."""
    if not value or value == NULL:
        return "", ""
    found = _PRIORITIES.get(value[:1].upper(), "")
    return found, "" if found else f"{value[:20]!r} is no priority that is known here"


def code(parts: Sequence[str]) -> Noted:
    """A coded entry as ``value^scheme^meaning``, limits of PS3.3 table 8.8-1; empty without a value."""
    (value, note), (scheme, _), (meaning, _) = text(parts[0], 16), text(parts[2], 16), text(parts[1], 64)
    if not value:
        return "", note
    return "^".join(one.replace("^", " ") for one in (value, scheme or "99HL7", meaning or value)), note


def number(value: str, low: float, high: float) -> Noted:
    """A measure between two limits."""
    try:
        found = float(value.replace(",", "."))
    except ValueError:
        return "", f"{value[:20]!r} is no number"
    if not low <= found <= high:
        return "", f"{value[:20]!r} is out of range"
    return f"{found:g}", ""
