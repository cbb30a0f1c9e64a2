"""Checks of values from outside against their value representation (PS3.5 6.2); nothing is ever cut or replaced."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Iterable

from dicomfab.model.errors import InvalidInput

_TIME = re.compile(r"([01]\d|2[0-3])[0-5]\d[0-5]\d(\.\d{1,6})?")
LATIN_1 = "ISO_IR 100"
UTF_8 = "ISO_IR 192"
_KATAKANA = "ISO_IR 13"
# pydicom takes Latin-1 for the default repertoire, and writes ISO 2022 IR 58 without its escape sequence.
_ASCII = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6", "ISO 2022 IR 58"})


def text(value: object, *, field: str, limit: int) -> str:
    """A single value of VR SH (16) or LO (64): composed (NFC), without the spaces around it.

    Raises:
        InvalidInput: not text, too long, a backslash, a control character or a lone surrogate.
    """
    if not isinstance(value, str):
        raise _refuse(field, value, "is not text", "the attribute holds one text value")
    clean = unicodedata.normalize("NFC", value).strip(" ")
    if len(clean) > limit:
        raise _refuse(field, value, f"has {len(clean)} characters", f"the attribute holds at most {limit}")
    for character in clean:
        if character == "\\" or unicodedata.category(character) in {"Cc", "Cs", "Cn"}:
            cause = "a backslash separates values, and control characters and unassigned code points cannot be stored"
            raise _refuse(field, value, f"contains {character!r}, which DICOM cannot store here", cause)
    return clean


def person_name(value: object, *, field: str) -> str:
    """A person name (VR PN): up to three groups joined by ``=``, each of up to five components joined by ``^``.

    Raises:
        InvalidInput: empty, a group over 64 characters, too many groups or components, or unstorable characters.
    """
    clean = text(value, field=field, limit=3 * 64 + 2)
    groups = clean.split("=")
    if not clean.strip("^= "):
        raise _refuse(field, value, "is empty", "a patient without a name cannot be found again")
    if len(groups) > 3 or any(group.count("^") > 4 for group in groups):
        cause = "a name has at most three groups joined by '=' and in each at most five components joined by '^'"
        raise _refuse(field, value, "has too many parts", cause)
    if any(len(group) > 64 for group in groups):
        raise _refuse(field, value, "is too long", "each group of a person name holds at most 64 characters")
    return clean


def date(value: object, *, field: str) -> str:
    """A date (VR DA), ``YYYYMMDD``; ``YYYY-MM-DD`` is accepted too.

    Raises:
        InvalidInput: not a day of the calendar.
    """
    digits = value.strip() if isinstance(value, str) else ""
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", digits):
        digits = digits.replace("-", "")
    try:
        if not re.fullmatch(r"[0-9]{8}", digits):
            raise ValueError
        dt.date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        raise _refuse(field, value, "is not a date", "a date is written YYYYMMDD, for example 20260131") from None
    return digits


def time(value: object, *, field: str) -> str:
    """A time (VR TM), ``HHMMSS`` with an optional fraction.

    Raises:
        InvalidInput: anything else.
    """
    clean = value.strip() if isinstance(value, str) else ""
    if not clean.isascii() or not _TIME.fullmatch(clean):
        raise _refuse(field, value, "is not a time", "a time is written HHMMSS, for example 093000")
    return clean


def sex(value: object, *, field: str) -> str:
    """PatientSex: ``M``, ``F``, ``O`` or empty.

    Raises:
        InvalidInput: anything else.
    """
    clean = value.strip().upper() if isinstance(value, str) else None
    if clean not in {"M", "F", "O", ""}:
        raise _refuse(field, value, "is not a sex that DICOM knows", "PatientSex is M, F, O or empty")
    return clean


def whole(value: object, *, field: str, low: int, high: int) -> int:
    """A whole number from ``low`` to ``high``, both included.

    Raises:
        InvalidInput: anything else.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise _refuse(field, value, f"is not a whole number from {low} to {high}", "the value is out of range")
    return value


def measure(value: object, *, field: str, low: float, high: float) -> float | None:
    """A number from ``low`` to ``high``, both included, or none.

    Raises:
        InvalidInput: anything else.
    """
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise _refuse(field, value, f"is not a number from {low:g} to {high:g}", "the value is out of range")
    return float(value)


def character_set(texts: Iterable[str]) -> str:
    """The SpecificCharacterSet (0008,0005) that can hold all the texts: Latin-1, or else UTF-8."""
    try:
        "".join(texts).encode("iso-8859-1")
    except UnicodeEncodeError:
        return UTF_8
    return LATIN_1


def holds(character_set: str, text: str) -> bool:
    """Whether a Specific Character Set, its values joined by backslash, has every character of a text.

    pydicom writes a question mark for what it cannot encode, and only warns.
    """
    beyond = {character for character in text if not character.isascii()}
    if beyond and character_set == _KATAKANA:  # alone it is written in whole components, which have nothing else then
        beyond = set(text) - {"^", "="}
    terms = character_set.split("\\")
    return all(any(_has(term, character) for term in terms) for character in beyond)


def _has(term: str, character: str) -> bool:
    """Whether a character beyond ASCII is in one of the sets; by Python's codecs, some of which have more than it."""
    from pydicom.charset import python_encoding

    if term in _ASCII or term not in python_encoding:
        return False
    if term.endswith("IR 13"):
        return "\uff61" <= character <= "\uff9f"
    try:
        character.encode(str(python_encoding[term]))
    except UnicodeEncodeError:
        return False
    return True


def _refuse(field: str, value: object, problem: str, cause: str) -> InvalidInput:
    return InvalidInput(
        f"{field}: {value!r} {problem}", field=field, value=value, cause=cause, remedy=f"correct {field} and try again"
    )
