"""A data set in Explicit VR Little Endian (PS3.5 7.1.2), with defined lengths unless a sequence says otherwise.

pydicom takes five times as long, since it can write every encoding. Plain text and numbers are written here; what is
rare or intricate, such as text beyond ASCII, is left to it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

from pydicom.charset import convert_encodings
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import correct_ambiguous_vr_element, write_data_element
from pydicom.multival import MultiValue

from dicomfab.fabricate import checks
from dicomfab.model.errors import InvalidInput

# Value representations whose characters Specific Character Set governs (PS3.5 6.1.2.3).
_TEXTS: Final = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
_ASCII: Final = frozenset(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"))
_NUMBERS: Final = {"US": "<H", "SS": "<h", "UL": "<I", "SL": "<i", "FD": "<d", "FL": "<f"}
_LONG: Final = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))
_MOST_SHORT: Final = 0xFFFE
_CHARACTER_SET: Final = 0x00080005
_ITEM: Final = struct.Struct("<HHI")
_SHORT_HEAD: Final = struct.Struct("<HH2sH")
_LONG_HEAD: Final = struct.Struct("<HH2s2xI")


def encode_explicit(dataset: Dataset, character_set: str = "") -> bytes:
    """Encode a data set.

    Args:
        dataset: without encapsulated pixel data; raw elements are taken as they are.
        character_set: of what it is an item of (PS3.5 7.5.3), values joined by backslash.

    Raises:
        InvalidInput: a text that the character set cannot hold, by the keyword of its attribute; pydicom would put
            question marks.
    """
    return b"".join(element for _, element in explicit_elements(dataset, character_set))


def explicit_elements(dataset: Dataset, character_set: str = "") -> Iterator[tuple[int, bytes]]:
    """The same, element by element of the top level, each with its tag."""
    if _CHARACTER_SET in dataset:
        stated = dataset.SpecificCharacterSet or ""
        character_set = stated if isinstance(stated, str) else "\\".join(stated)
    for tag in sorted(dataset.keys(), key=int):
        found: DataElement | RawDataElement = dataset.get_item(tag)
        if isinstance(found, RawDataElement):
            yield int(tag), _element(int(tag), str(found.VR), found.value or b"")
            continue
        element = found
        if " or " in element.VR:
            element = cast(DataElement, correct_ambiguous_vr_element(element, dataset, True))
        value = _value(element, character_set)
        if value is None or (len(value) > _MOST_SHORT and element.VR not in _LONG):
            yield int(tag), _by_pydicom(element, character_set)
        else:
            yield int(tag), _element(int(tag), str(element.VR), value)


def _element(tag: int, vr: str, value: bytes) -> bytes:
    head = _LONG_HEAD if vr in _LONG else _SHORT_HEAD
    return head.pack(tag >> 16, tag & 0xFFFF, vr.encode("ascii"), len(value)) + value


def _value(element: DataElement, character_set: str) -> bytes | None:
    """What stands in the element; ``None`` if pydicom is to write it."""
    vr, value = element.VR, element.value
    if vr == "SQ" and element.is_undefined_length:
        return None
    if vr == "SQ":
        items = [encode_explicit(item, character_set) for item in value]
        return b"".join(_ITEM.pack(0xFFFE, 0xE000, len(one)) + one for one in items)
    if value is None:
        return b"" if vr in _TEXTS or vr in _ASCII or vr in _NUMBERS else None
    several: Sequence[Any] = value if isinstance(value, MultiValue) else (value,)
    if vr in _NUMBERS:
        return b"".join(struct.pack(_NUMBERS[vr], one) for one in several) if value != "" else b""
    if vr not in _ASCII and vr not in _TEXTS:
        return None
    text = "\\".join(map(_text, several))
    if not text.isascii():
        _check(element, map(str, several), character_set)
        return None
    encoded = text.encode("ascii")
    return encoded + (b"\0" if vr == "UI" else b" ") if len(encoded) % 2 else encoded


def _text(value: Any) -> str:
    """As it was given: numbers in text keep their digits."""
    original = getattr(value, "original_string", None)
    return original if isinstance(original, str) else str(value)  # that of a person name is bytes


def _by_pydicom(element: DataElement, character_set: str) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_data_element(buffer, element, convert_encodings(character_set.split("\\")))
    return buffer.getvalue()


def _check(element: DataElement, texts: Any, character_set: str) -> None:
    if element.VR not in _TEXTS:
        return
    for text in texts:
        if not text.isascii() and not checks.holds(character_set, text):
            raise InvalidInput(
                f"{element.keyword}: {text!r} cannot be written in the character set {character_set or 'ISO_IR 6'}",
                field=element.keyword,
                value=text,
                cause="the character set lacks some of its characters",
                remedy="write it otherwise, or leave the script out: then the study is in UTF-8",
            )
