"""Raw values as numbers and text (PS3.5 6.2), without judging them."""

from __future__ import annotations

import datetime as dt
import math
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dicomfab.validity.dataset import DataSet, Element

_CODES: Final = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q", "OW": "H"}


def text(value: bytes) -> str:
    """Text that has to be ASCII; whatever it is, nothing is lost."""
    return value.decode("latin-1")


def numbers(data: DataSet, element: Element | None) -> list[float]:
    """All values of a number; none if one of them cannot be read."""
    if element is None or not element.held:
        return []
    if element.vr in ("DS", "IS"):
        parts = text(element.value).strip(" \0")
        try:
            values = [float(part) for part in parts.split("\\")] if parts else []
        except ValueError:
            return []
        return values if all(map(math.isfinite, values)) else []
    code = _CODES.get(element.vr)
    if code is None or len(element.value) % struct.calcsize(code):
        return []
    return [float(v) for (v,) in struct.iter_unpack(f"{'<' if data.little else '>'}{code}", element.value)]


def integer(data: DataSet, element: Element | None) -> int | None:
    """The first value, if it is a whole number."""
    values = numbers(data, element)
    return int(values[0]) if values and values[0] == values[0] // 1 else None


@lru_cache(4096)
def date(value: str) -> dt.date | None:
    """A DA that is a day of the calendar, or ``None``."""
    if len(value) != 8 or not value.isascii() or not value.isdigit():
        return None
    try:
        return dt.date(int(value[:4]), int(value[4:6]), int(value[6:]))
    except ValueError:
        return None


def decoded(value: bytes, character_sets: tuple[str, ...]) -> str | None:
    """Text in the character sets stated (PS3.3 C.12.1.1.2, PS3.5 6.1); ``None`` if it is none.

    Args:
        value: as encoded.
        character_sets: the values of SpecificCharacterSet, known ones only; none is the default repertoire.
    """
    from pydicom.charset import CODES_TO_ENCODINGS, python_encoding

    first = python_encoding[character_sets[0]] if character_sets and character_sets[0] else "ascii"
    start, *escaped = value.split(b"\x1b")
    try:
        parts = [start.decode(first)]
        for part in escaped:
            whole = b"\x1b" + part
            code = next((code for code in CODES_TO_ENCODINGS if whole.startswith(code)), None)
            if code is None:
                return None
            encoding = CODES_TO_ENCODINGS[code]
            # Python's codecs for Japanese read the escape sequence themselves.
            parts.append((whole if encoding.startswith("iso2022") else whole[len(code) :]).decode(encoding))
    except (UnicodeDecodeError, LookupError):
        return None
    return "".join(parts)


def is_known_character_set(term: str) -> bool:
    """Whether it is a defined term of SpecificCharacterSet."""
    from pydicom.charset import python_encoding

    return not term or term in python_encoding
