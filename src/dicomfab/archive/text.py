"""Text of received data sets: character sets (PS3.5 6.1) and the values of identifiers."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from pydicom.charset import CODES_TO_ENCODINGS, decode_bytes, default_encoding, python_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset

from dicomfab.archive.matching import trim

SPECIFIC_CHARACTER_SET: Final = 0x00080005
UTF_8: Final = "ISO_IR 192"

# The VRs that Specific Character Set governs; all others are ASCII.
_CHARSET_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_CODES = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
_BINARY = {vr: (struct.Struct(">" + code), struct.Struct("<" + code)) for vr, code in _CODES.items()}
_ESCAPE = b"\x1b"
_NAME_DELIMITERS = {0x0D, 0x0A, 0x09, 0x0C, 0x5E, 0x3D, 0x5C}
_TEXT_DELIMITERS = {0x0D, 0x0A, 0x09, 0x0C, 0x5C}


@lru_cache(maxsize=64)
def encodings(specific_character_set: bytes) -> tuple[str, ...]:
    """Python's names for the value of Specific Character Set; what nobody knows is left out."""
    terms = [term.strip() for term in specific_character_set.decode("latin-1").strip("\0 ").split("\\")]
    return tuple(python_encoding[term] for term in terms if term in python_encoding)


def decode(raw: bytes, vr: str, charsets: Sequence[str]) -> str:
    """Decode a text value, whatever is in it.

    Args:
        raw: the value as encoded.
        vr: its value representation.
        charsets: from :func:`encodings`; if they do not fit the bytes, UTF-8 and then Latin-1 are tried, since a
            missing or wrong Specific Character Set is the commonest fault of real headers.
    """
    if raw.isascii() and _ESCAPE not in raw:
        return trim(vr, raw.decode("ascii"))
    if vr not in _CHARSET_VRS:
        return trim(vr, raw.decode("latin-1"))
    if charsets and _ESCAPE in raw and _are_known(raw, charsets):
        delimiters = _NAME_DELIMITERS if vr == "PN" else _TEXT_DELIMITERS
        return trim(vr, decode_bytes(raw, list(charsets), delimiters))
    for charset in (*charsets[:1], "utf-8"):
        try:
            return trim(vr, raw.decode(charset))
        except UnicodeDecodeError:
            continue
    return trim(vr, raw.decode("latin-1"))


def _are_known(raw: bytes, charsets: Sequence[str]) -> bool:
    """Whether every escape sequence (PS3.5 6.1.2.5.3) leads to a character set that the header names."""
    known = {*charsets, default_encoding}
    lengths = [4 if raw[at : at + 3] in (b"\x1b$(", b"\x1b$)") else 3 for at in _escapes(raw)]
    found = [raw[at : at + length] for at, length in zip(_escapes(raw), lengths, strict=True)]
    return all(CODES_TO_ENCODINGS.get(code) in known for code in found)


def _escapes(raw: bytes) -> list[int]:
    return [at for at, byte in enumerate(raw) if byte == 0x1B]


def value_text(raw: bytes, vr: str, charsets: Sequence[str], *, little_endian: bool = True) -> str:
    """Any value as text, several joined by backslash: binary numbers become decimal."""
    layouts = _BINARY.get(vr)
    if layouts is None:
        return decode(raw, vr, charsets)
    layout = layouts[little_endian]
    usable = len(raw) - len(raw) % layout.size
    return "\\".join(str(number) for (number,) in layout.iter_unpack(raw[:usable]))


def identifier_values(identifier: Dataset) -> dict[int, tuple[str, str]]:
    """The attributes of an identifier, in its order: tag -> (VR, value as text; empty for a sequence).

    Raw elements are decoded here, so that nothing a peer sends trips over pydicom's conversions.
    """
    charsets = encodings(_character_set(identifier))
    values: dict[int, tuple[str, str]] = {}
    for tag in identifier.keys():  # noqa: SIM118 - iterating a Dataset converts its elements
        element: RawDataElement | DataElement = identifier.get_item(tag)
        if isinstance(element, RawDataElement):
            vr = _vr(element)
            raw = element.value or b""
            values[int(tag)] = (vr, "" if vr == "SQ" else value_text(raw, vr, charsets))
        else:
            values[int(tag)] = (element.VR, "" if element.VR == "SQ" else _joined(element))
    return values


def _character_set(identifier: Dataset) -> bytes:
    if SPECIFIC_CHARACTER_SET not in identifier:
        return b""
    element: RawDataElement | DataElement = identifier.get_item(SPECIFIC_CHARACTER_SET)
    if isinstance(element, RawDataElement):
        return element.value or b""
    return _joined(element).encode("latin-1", "replace")


def _vr(element: RawDataElement) -> str:
    if element.VR and element.VR != "UN":
        return str(element.VR)
    try:
        return dictionary_VR(element.tag)
    except KeyError:
        return "UN"


def _joined(element: DataElement) -> str:
    value: Any = element.value
    if value is None:
        return ""
    several = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    return trim(element.VR, "\\".join(str(v) for v in value) if several else str(value))
