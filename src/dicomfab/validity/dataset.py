"""A data set as its bytes say, element by element: nothing is converted, corrected or skipped on the way.

pydicom repairs much of what a validator has to see (lengths, order, text), so the elements are read here. Long values
stay in the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from dicomfab.model.errors import TranscodingFailed
from dicomfab.pixels.elements import (
    ITEM,
    ITEM_END,
    PIXEL_DATA,
    SEQUENCE_END,
    UNDEFINED,
    UNKNOWN,
    implied_vr,
    named,
    read_header,
)
from dicomfab.pixels.streams import Source
from dicomfab.pixels.syntaxes import EXPLICIT_LITTLE, NATIVE, Encoding

MAX_VALUE_BYTES: Final = 1 << 18  # longer values are not held
_MAX_NESTING: Final = 64
_FRAGMENTS: Final = NATIVE[EXPLICIT_LITTLE]
_BITS_ALLOCATED: Final = 0x00280100
_PIXEL_REPRESENTATION: Final = 0x00280103
_PIXELS: Final = frozenset({0x7FE00008, 0x7FE00009, PIXEL_DATA})


@dataclass(slots=True)
class Element:
    """One data element.

    Args:
        tag: group and element.
        vr: as stated, or the dictionary's in implicit VR.
        value: as encoded; empty for sequences and for what is longer than ``MAX_VALUE_BYTES``.
        position: of the value in the data set's file.
        length: of the value; ``UNDEFINED`` for encapsulated pixel data and sequences without length.
        items: those of a sequence.
    """

    tag: int
    vr: str
    value: bytes
    position: int
    length: int
    items: list[DataSet] = field(default_factory=list)

    @property
    def held(self) -> bool:
        """Whether ``value`` is the whole value."""
        return len(self.value) == self.length


@dataclass(slots=True)
class DataSet:
    """The elements of a data set or of one item, and what is wrong with the way they are written down.

    Args:
        little: byte order of its numbers.
        elements: by tag.
        faults: faults of the encoding: (what, tag).
    """

    little: bool
    elements: dict[int, Element] = field(default_factory=dict)
    faults: list[tuple[str, int]] = field(default_factory=list)

    def walk(self, path: str = "") -> Iterator[tuple[str, DataSet, Element]]:
        """Every element, those within sequences too, with the path of sequences before it (``A > B > ``)."""
        for element in self.elements.values():
            yield path, self, element
            for item in element.items:
                yield from item.walk(f"{path}{label(element.tag)} > ")


def label(tag: int) -> str:
    """The keyword of a tag, or its numbers where it has none."""
    from pydicom.datadict import keyword_for_tag

    return (not tag >> 16 & 1 and keyword_for_tag(tag)) or named(tag)


def parse(source: Source, encoding: Encoding) -> DataSet:
    """Read a whole data set.

    Args:
        source: at its first element.
        encoding: how it is written down.

    Raises:
        TranscodingFailed: it cannot be told what its bytes mean; ``what`` says where.
    """
    return _Parser(source).data_set(encoding, source.size, 0, signed=False)


class _Parser:
    def __init__(self, source: Source) -> None:
        self._source = source

    def data_set(self, encoding: Encoding, end: int | None, depth: int, *, signed: bool) -> DataSet:
        """Read elements up to a position, or (``None``) up to an item delimitation."""
        if depth > _MAX_NESTING:
            raise self._damaged(f"sequences nest more than {_MAX_NESTING} deep")
        found, source, last = DataSet(encoding.little), self._source, -1
        while end is None or source.position < end:
            tag, vr, length = read_header(source, encoding)
            if tag == ITEM_END and end is None:
                return found
            if tag >> 16 == 0xFFFE:
                raise self._damaged(f"{named(tag)} where an element should be")
            if tag <= last:
                found.faults.append(("the element stands twice" if tag == last else "elements are out of order", tag))
            last = tag
            if vr in (b"", b"UN"):
                implied = implied_vr(tag, signed=_signed(found, signed), bits_allocated=_bits(found))
                # Whoever wrote UN did not know the element (PS3.5 6.2.2): its value is read as what it is; a sequence
                # in UN has its own encoding and stays one.
                if not vr or (length != UNDEFINED and implied != b"SQ" and not tag >> 16 & 1):
                    vr = implied
            if length != UNDEFINED and source.position + length > (source.size if end is None else end):
                raise self._damaged(f"element {named(tag)} of {length} bytes is longer than what is left")
            if length != UNDEFINED and length % 2:
                found.faults.append(("the value has an odd length", tag))
            found.elements[tag] = self._element(encoding, tag, vr, length, depth, _signed(found, signed))
        return found

    def _element(self, encoding: Encoding, tag: int, vr: bytes, length: int, depth: int, signed: bool) -> Element:
        source = self._source
        element = Element(tag, vr.decode("latin-1"), b"", source.position, length)
        if tag in _PIXELS and length == UNDEFINED:
            self._skip_fragments(tag)
        elif vr == b"SQ" or length == UNDEFINED:
            inner = UNKNOWN if vr == b"UN" else encoding
            element.items = list(self._items(inner, length, depth, signed))
        elif length <= MAX_VALUE_BYTES and tag not in _PIXELS:
            element.value = source.take(length)
        else:
            source.seek(element.position + length)
        return element

    def _items(self, encoding: Encoding, length: int, depth: int, signed: bool) -> Iterator[DataSet]:
        source = self._source
        end = source.position + length
        while length == UNDEFINED or source.position < end:
            tag, _, item_length = read_header(source, encoding)
            if tag == SEQUENCE_END and length == UNDEFINED:
                return
            if tag != ITEM:
                raise self._damaged(f"{named(tag)} where an item should be")
            item_end = None if item_length == UNDEFINED else source.position + item_length
            if item_end is not None and item_end > (source.size if length == UNDEFINED else end):
                raise self._damaged("an item is longer than its sequence")
            yield self.data_set(encoding, item_end, depth + 1, signed=signed)

    def _skip_fragments(self, tag: int) -> None:
        """To behind the sequence delimitation; fragments are looked at by :mod:`.encapsulated`."""
        source = self._source
        while True:
            inner, _, length = read_header(source, _FRAGMENTS)
            if inner == SEQUENCE_END:
                return
            if inner != ITEM or source.position + length > source.size:
                raise self._damaged(f"no whole fragment where one of {named(tag)} should be")
            source.seek(source.position + length)

    def _damaged(self, what: str) -> TranscodingFailed:
        return TranscodingFailed(f"{what} (at byte {self._source.position} of the data set's file)")


def _signed(found: DataSet, around: bool) -> bool:
    element = found.elements.get(_PIXEL_REPRESENTATION)
    return around if element is None else b"\1" in element.value


def _bits(found: DataSet) -> int:
    element = found.elements.get(_BITS_ALLOCATED)
    return 16 if element is None else int.from_bytes(element.value, "little" if found.little else "big")
