"""An HL7 message for reading: its segments, what each field is called, and what was read from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from dicomfab.hl7.er7 import Segment, parse, unescaped
from dicomfab.hl7.field_names import SEGMENTS, field_name
from dicomfab.model.errors import InvalidInput
from dicomfab.model.order import Order

_MOST_FIELDS: Final = 2000


@dataclass(frozen=True, slots=True)
class ShownField:
    """A field that says something.

    Args:
        place: such as ``PID-3``.
        name: what it is called; empty if nobody knows.
        text: as it stands in the message, escapes resolved.
        keywords: DICOM attributes that were read from it, each with the exact element.
    """

    place: str
    name: str
    text: str
    keywords: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ShownSegment:
    """A segment with the fields that say something."""

    name: str
    title: str
    fields: tuple[ShownField, ...]


def segments_of(text: str, orders: Iterable[Order] = ()) -> tuple[ShownSegment, ...]:
    """The segments of a message; none if it is no message.

    Args:
        text: of the message.
        orders: what was read from it.
    """
    try:
        found = parse(text).segments
    except InvalidInput:
        return ()
    read = _read(orders)
    shown, left = [], _MOST_FIELDS
    for segment in found:
        fields = tuple(_fields(segment, read))[:left]
        left -= len(fields)
        shown.append(ShownSegment(segment.name, SEGMENTS.get(segment.name, ""), fields))
        if not left:
            break
    return tuple(shown)


def lines_of(text: str) -> str:
    """A message with a line for each segment."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _fields(segment: Segment, read: Mapping[str, Mapping[str, str]]) -> Iterable[ShownField]:
    for number in range(1, len(segment.fields)):
        raw = segment.raw(number)
        if not raw:
            continue
        place = f"{segment.name}-{number}"
        is_separators = segment.name == "MSH" and number < 3
        text = raw if is_separators else unescaped(raw, segment.delimiters)
        yield ShownField(place, field_name(segment.name, number), text, tuple(read.get(place, {}).items()))


def _read(orders: Iterable[Order]) -> Mapping[str, Mapping[str, str]]:
    """Place of a field -> keyword -> element that it was read from."""
    read: dict[str, dict[str, str]] = defaultdict(dict)
    for order in orders:
        for one in order.fields:
            place = one.origin.split(".")[0].split("[")[0]
            if place and one.value:
                read[place].setdefault(one.keyword, one.origin)
    return read
