"""An encoder of data sets of its own, in any native encoding, to know what a rewritten one has to be."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from dicomfab.pixels.syntaxes import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, NATIVE, Encoding

EXPLICIT = NATIVE[EXPLICIT_LITTLE]
IMPLICIT = NATIVE[IMPLICIT_LITTLE]
BIG = NATIVE[EXPLICIT_BIG]

LONG = "OB OD OF OL OV OW SQ SV UC UN UR UT UV".split()
UNIT = {"US": 2, "SS": 2, "OW": 2, "AT": 2, "UL": 4, "SL": 4, "FL": 4, "OF": 4, "OL": 4} | dict.fromkeys(
    "FD OD SV UV OV".split(), 8
)


@dataclass(frozen=True)
class Item:
    elements: tuple[Element, ...]
    defined: bool = True


@dataclass(frozen=True)
class Element:
    """A data element; a sequence has items, everything else a value (little endian)."""

    tag: int
    vr: str
    value: bytes = b""
    items: tuple[Item, ...] = ()
    defined: bool = True

    @property
    def is_sequence(self) -> bool:
        return self.vr == "SQ" or not self.defined


def encode(elements: tuple[Element, ...], encoding: Encoding, *, group_lengths: bool = False) -> bytes:
    """Encode a data set.

    Args:
        elements: in order of their tags, without group lengths.
        encoding: a native one; deflation is left out.
        group_lengths: put one before each group.
    """
    groups: dict[int, bytes] = {}
    for element in elements:
        group = element.tag >> 16
        groups[group] = groups.get(group, b"") + _element(element, encoding, group_lengths)
    if not group_lengths:
        return b"".join(groups.values())
    return b"".join(
        _element(Element(group << 16, "UL", struct.pack("<I", len(encoded))), encoding, False) + encoded
        for group, encoded in groups.items()
    )


def _element(element: Element, encoding: Encoding, group_lengths: bool) -> bytes:
    if not element.is_sequence:
        value = element.value
        unit = UNIT.get(element.vr, 1)
        if not encoding.little:
            value = b"".join(value[i : i + unit][::-1] for i in range(0, len(value), unit))
        return _header(element.tag, element.vr, len(value), encoding) + value
    inner = IMPLICIT if element.vr == "UN" else encoding
    content = b"".join(_item(item, inner, group_lengths) for item in element.items)
    if element.defined:
        return _header(element.tag, element.vr, len(content), encoding) + content
    return _header(element.tag, element.vr, 0xFFFFFFFF, encoding) + content + _plain(0xFFFEE0DD, 0, inner)


def _item(item: Item, encoding: Encoding, group_lengths: bool) -> bytes:
    content = encode(item.elements, encoding, group_lengths=group_lengths)
    if item.defined:
        return _plain(0xFFFEE000, len(content), encoding) + content
    return _plain(0xFFFEE000, 0xFFFFFFFF, encoding) + content + _plain(0xFFFEE00D, 0, encoding)


def _header(tag: int, vr: str, length: int, encoding: Encoding) -> bytes:
    if not encoding.explicit:
        return _plain(tag, length, encoding)
    order = "<" if encoding.little else ">"
    start = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    if vr in LONG:
        return start + struct.pack(order + "HI", 0, length)
    return start + struct.pack(order + "H", length)


def _plain(tag: int, length: int, encoding: Encoding) -> bytes:
    return struct.pack("<HHI" if encoding.little else ">HHI", tag >> 16, tag & 0xFFFF, length)


def as_unknown(elements: tuple[Element, ...]) -> tuple[Element, ...]:
    """What is left of a data set when implicit VR has dropped the VRs of private elements."""
    return tuple(_as_unknown(element) for element in elements)


def _as_unknown(element: Element) -> Element:
    if element.is_sequence and not (element.vr == "SQ" and element.defined and element.tag >> 16 & 1):
        items = tuple(replace(item, elements=as_unknown(item.elements)) for item in element.items)
        return replace(element, items=items, vr="SQ")
    if not element.tag >> 16 & 1 or 0x10 <= element.tag & 0xFFFF <= 0xFF:
        return element
    if element.is_sequence:  # of a defined length: nothing in implicit VR tells that it is one
        return Element(element.tag, "UN", b"".join(_item(item, IMPLICIT, False) for item in element.items))
    return replace(element, vr="UN")
