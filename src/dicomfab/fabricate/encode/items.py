"""Functional groups of many frames, encoded without a pydicom data set of each: thousands of elements."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Final, TypeAlias

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from dicomfab.pixels.elements import ITEM, delimiter, header
from dicomfab.pixels.syntaxes import EXPLICIT_LITTLE, NATIVE

Value: TypeAlias = "str | int | float | Sequence[str] | Sequence[int] | Sequence[float] | Sequence[Item]"
Item: TypeAlias = Mapping[str, Value]

_EXPLICIT: Final = NATIVE[EXPLICIT_LITTLE]
_TEXT: Final = frozenset(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "SH", "TM", "UI"))
_NUMBERS: Final = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}


def sequence(keyword: str, items: Iterable[Item]) -> RawDataElement:
    """A sequence that is encoded already, as pydicom would have encoded it.

    Args:
        keyword: of the sequence.
        items: for each item its elements by keyword: ASCII text, whole or floating point numbers, several of them, or
            the items of a sequence.

    Returns:
        An element that a data set takes. Whoever reads it there finds an ordinary sequence; written as it is, it costs
        nothing.

    Raises:
        ValueError: an element has a VR that cannot be encoded here.
    """
    value = b"".join(map(_item, items))
    return RawDataElement(Tag(keyword), "SQ", len(value), value, 0, False, True)


def _item(elements: Item) -> bytes:
    encoded = b"".join(_element(keyword, elements[keyword]) for keyword in sorted(elements, key=_tag))
    return delimiter(_EXPLICIT, ITEM, len(encoded)) + encoded


def _element(keyword: str, given: Value) -> bytes:
    vr, head = _head(keyword)
    values = given if isinstance(given, Sequence) and not isinstance(given, str) else (given,)
    if vr == "SQ":
        encoded = b"".join(map(_item, values))  # type: ignore[arg-type]
        return head + len(encoded).to_bytes(4, "little") + encoded
    if vr in _NUMBERS:
        encoded = struct.pack(f"<{len(values)}{_NUMBERS[vr]}", *values)
    else:
        encoded = "\\".join(map(str, values)).encode("ascii")
        encoded += (b"\0" if vr == "UI" else b" ") * (len(encoded) % 2)
    return head + len(encoded).to_bytes(2, "little") + encoded


@cache
def _tag(keyword: str) -> int:
    return int(tag_for_keyword(keyword) or 0)


@cache
def _head(keyword: str) -> tuple[str, bytes]:
    """The VR of an element, and what precedes its length."""
    vr = dictionary_VR(_tag(keyword))
    if vr not in _TEXT and vr not in _NUMBERS and vr != "SQ":
        raise ValueError(f"{keyword} has VR {vr}, which cannot be encoded here")
    return vr, header(_EXPLICIT, _tag(keyword), vr.encode("ascii"), 0)[: 8 if vr == "SQ" else 6]
