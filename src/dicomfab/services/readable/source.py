"""Data sets with their values as text and numbers: bounded, and read as far as a damaged file lets it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from dicomfab.archive.text import value_text
from dicomfab.model.errors import TranscodingFailed
from dicomfab.services.attribute_reader import Raw, Reader, Scope

#: Elements that are looked at for one instance at most.
ELEMENTS: Final = 200_000
#: Characters of a value that are shown at most.
CHARACTERS: Final = 4000
_BYTES: Final = 4 * CHARACTERS
_DIGITS: Final = 64  # of a number; the standard has 16, and files have more
_NESTING: Final = 48


@dataclass(slots=True)
class Source:
    """A file that is read, and what went wrong meanwhile.

    Args:
        reader: of the file.
        left: elements that may still be looked at.
    """

    reader: Reader
    left: int = ELEMENTS
    problem: str = field(default="", init=False)
    is_cut: bool = field(default=False, init=False)

    def whole(self) -> Item:
        """The data set of the file."""
        return Item(self, self.reader.dataset)


class Item:
    """A data set, or an item of a sequence.

    Args:
        source: the file that it is in.
        scope: where it stands.
        depth: how many sequences it is in.
    """

    def __init__(self, source: Source, scope: Scope, depth: int = 0) -> None:
        self.source, self._depth = source, depth
        self._elements: dict[int, Raw] = {}
        try:
            for raw in source.reader.elements(scope):
                if source.left <= 0:
                    source.is_cut = True
                    break
                source.left -= 1
                self._elements.setdefault(raw.tag, raw)
        except TranscodingFailed as error:
            source.problem = source.problem or error.what

    def raw(self, tag: int) -> Raw | None:
        """An element where it stands."""
        return self._elements.get(tag)

    def data(self, tag: int, limit: int) -> bytes:
        """The first bytes of a value; none if it is not there, or cannot be read."""
        raw = self._elements.get(tag)
        if raw is None or raw.items is not None:
            return b""
        try:
            return self.source.reader.value(raw, limit)
        except TranscodingFailed as error:
            self.source.problem = self.source.problem or error.what
            return b""

    def text(self, tag: int, *, characters: int = CHARACTERS) -> str:
        """A value as text, several joined by backslash; what is longer is cut and ends with three dots."""
        raw = self._elements.get(tag)
        if raw is None or raw.items is not None or not raw.length:
            return ""
        data = self.data(tag, max(_BYTES, 4 * characters))
        found = value_text(data, raw.vr, raw.scope.charsets, little_endian=raw.scope.encoding.little).strip("\0 ")
        return found if len(found) <= characters and len(data) == raw.length else f"{found[:characters]} …"

    def numbers(self, tag: int, *, limit: int = 4096) -> list[float]:
        """The values as numbers that are finite; what is none is left out."""
        text = self.text(tag, characters=_DIGITS * limit)
        return [number for number in map(_number, text.split("\\")[:limit]) if math.isfinite(number)]

    def number(self, tag: int, default: float = math.nan) -> float:
        """The first value as a number."""
        return next(iter(self.numbers(tag, limit=1)), default)

    def count(self, tag: int) -> int:
        """How many items a sequence has."""
        raw = self._elements.get(tag)
        return (raw.items or 0) if raw is not None and raw.is_sequence else 0

    def items(self, tag: int, limit: int) -> Iterator[Item]:
        """The first items of a sequence."""
        raw = self._elements.get(tag)
        if raw is None or not raw.is_sequence or self._depth == _NESTING:
            return
        try:
            for number, scope in self.source.reader.items(raw):
                if number == limit or self.source.left <= 0:
                    self.source.is_cut = True
                    return
                yield Item(self.source, scope, self._depth + 1)
        except TranscodingFailed as error:
            self.source.problem = self.source.problem or error.what

    def item(self, tag: int) -> Item | None:
        """The first item of a sequence."""
        return next(self.items(tag, 1), None)

    def code(self, tag: int) -> str:
        """The meaning of a coded entry, or its value where it has none (PS3.3 8.8)."""
        found = self.item(tag)
        if found is None:
            return ""
        value = found.text(0x00080100) or found.text(0x00080119) or found.text(0x00080120)
        return found.text(0x00080104, characters=256) or value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def written(number: float, unit: str = "") -> str:
    """A number for reading, with its unit; blank if there is none."""
    if not math.isfinite(number):
        return ""
    return f"{number:.6g} {unit}".strip()


def joined(text: str) -> str:
    """Values that backslashes join, for reading."""
    return ", ".join(part.strip() for part in text.split("\\") if part.strip())
