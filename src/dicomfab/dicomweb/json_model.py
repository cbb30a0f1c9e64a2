"""An encoded data set as text of the DICOM JSON model (PS3.18 annex F): what WADO-RS calls metadata.

What a client is likely not to need, long binary values and pixel data, is named by a URI instead (F.2.6). The instances
of a series have most of their elements in common, byte for byte: each is turned into text only once.

pydicom's ``to_json`` was measured: it takes 20 times as long, converts every value into an object before, and raises at
the first one that is not as the standard wants it. Its ``from_json`` reads what is written here, and is tested to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from dicomfab.dicomweb.json_values import BINARY_VRS, SPECIFIC_CHARACTER_SET, encodings, raw_attribute
from dicomfab.pixels.data_set import PIXEL_DATA_TAGS, SHORT_VRS, DataSet, Element, Layout, element_at

#: Binary values that are longer are left out and named by URI, in bytes.
INLINE_BYTES: Final = 1024
_INLINE_TEXT_BYTES: Final = 256 << 10
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


def _members(data_set: DataSet, charsets: tuple[str, ...], place: str, uri: Uri) -> list[str]:
    data, at, end, layout, *_ = data_set
    explicit, begins = layout.explicit, layout.with_vr
    texts = []
    while at < end:
        if explicit and at <= end - 8:  # nearly all elements of a header are short, and were met before
            group, number, raw_vr, length = begins(data, at)
            after = at + 8 + length
            if raw_vr in SHORT_VRS and length <= INLINE_BYTES and after <= end:
                if number:  # group lengths are no attributes of the model
                    texts.append(_remembered_element(data[at:after], charsets, layout))
                if group == 0x0008 and number == 0x0005:
                    charsets = encodings(data[at + 8 : after])
                at = after
                continue
        element = element_at(data_set, at)
        at = element.next
        if element.tag == SPECIFIC_CHARACTER_SET:
            charsets = encodings(data_set.value(element))
        if element.tag & 0xFFFF:
            texts.append(_other_member(data_set, element, charsets, place, uri))
    return texts


def _other_member(data_set: DataSet, element: Element, charsets: tuple[str, ...], place: str, uri: Uri) -> str:
    data, at_top = data_set.data, not place
    tag, vr, at, start, end, after, layout = element
    if at_top and tag in PIXEL_DATA_TAGS:  # however short they are
        return _by_uri(tag, vr, uri(f"{tag:08X}")) if end > start else _member(tag, {"vr": vr})
    if vr == "SQ":
        return _sequence(data_set, element, charsets, f"{place}{tag:08X}", uri)
    if after - at <= INLINE_BYTES:
        return _remembered(tag, vr, data[start:end], charsets, layout)
    if is_bulk(element, top=at_top):
        return _by_uri(tag, vr, uri(f"{place}{tag:08X}"))
    return _member(tag, raw_attribute(tag, vr, data[start:end], charsets, layout))


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
def _remembered_element(raw: bytes, charsets: tuple[str, ...], layout: Layout) -> str:
    """An element whose length is stated in two bytes, from its header on."""
    group, number, raw_vr, _ = layout.with_vr(raw, 0)
    tag = group << 16 | number
    return _member(tag, raw_attribute(tag, raw_vr.decode("ascii"), raw[8:], charsets, layout))


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
