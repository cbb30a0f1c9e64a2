"""An encoded data set as text of the DICOM JSON model (PS3.18 annex F): what WADO-RS calls metadata.

What a client is likely not to need, long binary values and pixel data, is named by a URI instead (F.2.6). The instances
of a series have most of their elements in common, byte for byte: each is turned into text only once.

pydicom's ``to_json`` was measured: it takes 20 times as long, converts every value into an object before, and raises at
the first one that is not as the standard wants it. Its ``from_json`` reads what is written here, and is tested to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

from dicomfab.dicomweb.elements import DataSet, Element, Layout
from dicomfab.dicomweb.json_values import BINARY_VRS, SPECIFIC_CHARACTER_SET, encodings, raw_attribute

#: Binary values that are longer are left out and named by URI, in bytes.
INLINE_BYTES: Final = 1024
_INLINE_TEXT_BYTES: Final = 256 << 10
#: Pixel data are named by URI however short they are.
PIXEL_DATA_TAGS: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
# Other VRs whose value may be named by URI (PS3.18 F.2.2).
_LONG_VRS: Final = frozenset(
    {"DS", "FD", "FL", "IS", "LT", "SL", "SS", "ST", "SV", "UC", "UL", "US", "UT", "UV"}
)  # fmt: skip
_REMEMBERED: Final = 8192

Uri = Callable[[str], str]


def data_set_text(data_set: DataSet, uri: Uri) -> str:
    """A data set in JSON.

    Args:
        data_set: what is written.
        uri: makes the address of a value of the place where it stands: ``7FE00010``, or for what is in the second item
            of a sequence ``00082112/2/00420011``. See :func:`find_place`.

    Raises:
        DamagedInstance: it cannot be parsed.
    """
    return "".join(("{", ",".join(_members(data_set, (), "", uri)), "}"))


def is_bulk(element: Element, *, top: bool) -> bool:
    """Whether a value is named by URI.

    Args:
        element: whose it is.
        top: it is in no sequence.
    """
    length = element.end - element.start
    if element.vr in BINARY_VRS:
        return length > INLINE_BYTES or (top and element.tag in PIXEL_DATA_TAGS)
    return length > _INLINE_TEXT_BYTES and element.vr in _LONG_VRS


def find_place(data_set: DataSet, place: str) -> tuple[DataSet, Element] | None:
    """The element at a place as :func:`data_set_text` names them, with what contains it; nothing if there is none."""
    *path, last = place.split("/")
    within: DataSet | None = data_set
    for tag, number in zip(path[::2], path[1::2], strict=False):
        sequence = within.find(int(tag, 16)) if within else None
        if within is None or sequence is None or not sequence.is_sequence:
            return None
        within = next((item for n, item in enumerate(within.items(sequence), 1) if n == int(number)), None)
    element = within.find(int(last, 16)) if within else None
    return None if within is None or element is None else (within, element)


def _members(data_set: DataSet, charsets: tuple[str, ...], place: str, uri: Uri) -> Iterator[str]:
    data, at_top = data_set.data, not place
    for element in data_set.elements():
        tag, vr, at, start, end, after, layout = element
        if not tag & 0xFFFF:
            continue  # group lengths are no attributes of the model
        if tag == SPECIFIC_CHARACTER_SET:
            charsets = encodings(data[start:end])
        if at_top and tag in PIXEL_DATA_TAGS:
            yield _by_uri(tag, vr, uri(f"{tag:08X}")) if end > start else _member(tag, {"vr": vr})
        elif after - at <= INLINE_BYTES and vr != "SQ":
            yield _remembered(tag, vr, data[start:end], charsets, layout)
        elif vr == "SQ":
            yield _sequence(data_set, element, charsets, f"{place}{tag:08X}", uri)
        elif is_bulk(element, top=at_top):
            yield _by_uri(tag, vr, uri(f"{place}{tag:08X}"))
        else:
            yield _member(tag, raw_attribute(tag, vr, data[start:end], charsets, layout))


def _sequence(data_set: DataSet, element: Element, charsets: tuple[str, ...], place: str, uri: Uri) -> str:
    if element.next - element.at <= INLINE_BYTES:
        raw = data_set.data[element.start : element.end]
        return _remembered_sequence(raw, element.tag, charsets, element.layout, data_set.signed, data_set.depth)
    return _sequence_text(data_set, element, charsets, place, uri)


def _sequence_text(data_set: DataSet, element: Element, charsets: tuple[str, ...], place: str, uri: Uri) -> str:
    items = [
        "".join(("{", ",".join(_members(item, charsets, f"{place}/{number}/", uri)), "}"))
        for number, item in enumerate(data_set.items(element), 1)
    ]
    values = f',"Value":[{",".join(items)}]' if items else ""
    return f'"{element.tag:08X}":{{"vr":"SQ"{values}}}'


@lru_cache(maxsize=_REMEMBERED)
def _remembered(tag: int, vr: str, raw: bytes, charsets: tuple[str, ...], layout: Layout) -> str:
    return _member(tag, raw_attribute(tag, vr, raw, charsets, layout))


@lru_cache(maxsize=_REMEMBERED // 4)
def _remembered_sequence(
    raw: bytes, tag: int, charsets: tuple[str, ...], layout: Layout, signed: bool, depth: int
) -> str:
    """A sequence so short that nothing in it is named by URI."""
    whole = DataSet(raw, 0, len(raw), layout, signed, depth)
    element = Element(tag, "SQ", 0, 0, len(raw), len(raw), layout)
    return _sequence_text(whole, element, charsets, "*", str)


def _by_uri(tag: int, vr: str, address: str) -> str:
    return _member(tag, {"vr": vr, "BulkDataURI": address})


def _member(tag: int, attribute: dict[str, Any] | Sequence[Any]) -> str:
    return f'"{tag:08X}":{json.dumps(attribute, ensure_ascii=False, separators=(",", ":"))}'
