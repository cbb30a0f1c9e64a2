"""Single values and whole attributes as the DICOM JSON model has them (PS3.18 F.2.3 to F.2.7)."""

from __future__ import annotations

import base64
import json
import math
import re
import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from pydicom.charset import decode_bytes, default_encoding, python_encoding

from dicomfab.dicomweb.ports import Row
from dicomfab.pixels.data_set import Layout, little_endian
from dicomfab.pixels.elements import UNIT_BYTES

SPECIFIC_CHARACTER_SET: Final = 0x00080005
#: JSON is in UTF-8, and so is what it says of itself (PS3.18 F.2).
UTF_8: Final = "ISO_IR 192"
#: Values that are bytes, in base64 (F.2.7).
BINARY_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})

_CHARSET_VRS: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_ONE_VALUE_VRS: Final = frozenset({"LT", "ST", "UR", "UT"})  # leading spaces count, backslashes are text
_CODES: Final = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q", "AT": "HH"}
_NUMBERS: Final = {vr: (struct.Struct(">" + code), struct.Struct("<" + code)) for vr, code in _CODES.items()}
_INTEGER_VRS: Final = frozenset({"IS", "SL", "SS", "SV", "UL", "US", "UV"})
_DECIMAL_VRS: Final = frozenset({"DS", "FD", "FL"})
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_MAX_EXACT: Final = 1 << 53  # what a reader in JavaScript holds exactly
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_ESCAPE: Final = b"\x1b"
_PADDING: Final = " \0"
_NAME_DELIMITERS: Final = {0x0D, 0x0A, 0x09, 0x0C, 0x5E, 0x3D, 0x5C}
_TEXT_DELIMITERS: Final = {0x0D, 0x0A, 0x09, 0x0C, 0x5C}


@lru_cache(maxsize=64)
def encodings(specific_character_set: bytes) -> tuple[str, ...]:
    """Python's names for the value of Specific Character Set (PS3.3 C.12.1.1.2); what nobody knows is left out."""
    terms = [term.strip() for term in specific_character_set.decode("latin-1").strip(_PADDING).split("\\")]
    return tuple(python_encoding[term] for term in terms if term in python_encoding)


def decoded(raw: bytes, vr: str, charsets: Sequence[str]) -> str:
    """Text of a data set, whatever is in it.

    Args:
        raw: the value as encoded.
        vr: its value representation.
        charsets: from :func:`encodings`; if they do not fit the bytes, UTF-8 is tried, then Latin-1.
    """
    if raw.isascii() and _ESCAPE not in raw:
        return raw.decode("ascii")
    if vr not in _CHARSET_VRS:
        return raw.decode("latin-1")
    if charsets and _ESCAPE in raw:
        return decode_bytes(raw, list(charsets), _NAME_DELIMITERS if vr == "PN" else _TEXT_DELIMITERS)
    stated = [charset for charset in charsets[:1] if charset != default_encoding]  # which has no such bytes
    for charset in (*stated, "utf-8"):
        try:
            return raw.decode(charset)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")


def raw_attribute(tag: int, vr: str, raw: bytes, charsets: Sequence[str], layout: Layout) -> dict[str, Any]:
    """An attribute that is no sequence, from its encoded value.

    Args:
        tag: of the attribute.
        vr: its value representation.
        raw: the value, in the byte order of the layout.
        charsets: see :func:`encodings`.
        layout: of the data set.
    """
    if tag == SPECIFIC_CHARACTER_SET:
        return {"vr": "CS", "Value": [UTF_8]}
    if vr in BINARY_VRS:
        if not raw:
            return {"vr": vr}
        plain = little_endian(raw, UNIT_BYTES.get(vr.encode(), 1), layout)
        return {"vr": vr, "InlineBinary": base64.b64encode(plain).decode("ascii")}
    if vr in _NUMBERS:
        return _attribute(vr, _numbers(vr, raw, layout))
    text = decoded(raw, vr, charsets)
    if vr in _ONE_VALUE_VRS:
        return _attribute(vr, [text.rstrip(_PADDING)])
    return _attribute(vr, [value.strip(_PADDING) for value in text.split("\\")])


def row_text(row: Row) -> str:
    """An answer to a search in JSON."""
    return "".join(("{", ",".join(_member(tag, *row[tag]) for tag in sorted(row)), "}"))


def _member(tag: int, vr: str, value: str | Sequence[Row]) -> str:
    if isinstance(value, str):
        return _text_member(tag, vr, value)
    values = f',"Value":[{",".join(row_text(item) for item in value)}]' if value else ""
    return f'"{tag:08X}":{{"vr":"SQ"{values}}}'


@lru_cache(maxsize=4096)
def _text_member(tag: int, vr: str, text: str) -> str:
    """A member of an answer; the answers to a search have many in common."""
    values = [text] if vr in _ONE_VALUE_VRS or not text else text.split("\\")
    made = {"vr": "CS", "Value": [UTF_8]} if tag == SPECIFIC_CHARACTER_SET else _attribute(vr, values)
    return f'"{tag:08X}":{json.dumps(made, ensure_ascii=False, separators=(",", ":"))}'


def uid_attribute(*uids: str) -> dict[str, Any]:
    """UIDs as an attribute."""
    return _attribute("UI", uids)


def text_attribute(vr: str, *values: str) -> dict[str, Any]:
    """Texts as an attribute."""
    return _attribute(vr, values)


def number_attribute(vr: str, *values: int) -> dict[str, Any]:
    """Numbers as an attribute."""
    return _attribute(vr, values)


def _attribute(vr: str, values: Sequence[str | int | float]) -> dict[str, Any]:
    """Empty values among others are null (F.2.5); an attribute without any has no Value."""
    made = [_value(vr, value) for value in values]
    return {"vr": vr} if not made or made == [None] else {"vr": vr, "Value": made}


def _value(vr: str, value: str | int | float) -> Any:
    if isinstance(value, str):
        return _text_value(vr, value)
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"  # JSON has no such number
    if vr == "AT":
        return f"{value:08X}"
    return value if abs(value) <= _MAX_EXACT or isinstance(value, float) else str(value)


def _text_value(vr: str, text: str) -> Any:
    if not text:
        return None
    if vr == "PN":
        return _name(text)
    if vr in _INTEGER_VRS and _INTEGER.fullmatch(text):
        return int(text) if abs(int(text)) <= _MAX_EXACT else text
    if vr in _DECIMAL_VRS and _DECIMAL.fullmatch(text):
        number = float(text)
        return text if not math.isfinite(number) else int(text) if _INTEGER.fullmatch(text) else number
    return text


def _name(text: str) -> Mapping[str, str] | None:
    """The component groups of a name that are there (PS3.5 6.2.1.1)."""
    groups = [group.strip(_PADDING) for group in text.split("=")]
    return {key: group for key, group in zip(_GROUPS, groups, strict=False) if group} or None


def _numbers(vr: str, raw: bytes, layout: Layout) -> list[int | float]:
    numbers = _NUMBERS[vr][layout.little]
    usable = len(raw) - len(raw) % numbers.size
    if vr == "AT":
        return [group << 16 | element for group, element in numbers.iter_unpack(raw[:usable])]
    return [number for (number,) in numbers.iter_unpack(raw[:usable])]
