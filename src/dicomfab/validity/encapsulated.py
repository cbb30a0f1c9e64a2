"""Which fragments of encapsulated pixel data are which frame (PS3.5 annex A.4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from dicomfab.pixels.syntaxes import ENCAPSULATED, Codec
from dicomfab.validity.instance import Instance

# What a frame's first fragment begins with.
_STARTS: Final = {
    Codec.JPEG: (b"\xff\xd8\xff",),
    Codec.JPEG_LOSSLESS: (b"\xff\xd8\xff",),
    Codec.JPEG_LS: (b"\xff\xd8\xff",),
    Codec.JPEG_2000: (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "),
}
_EXTENDED_TABLE: Final = 0x7FE00001


@dataclass(frozen=True, slots=True)
class Frames:
    """Encapsulated pixel data, taken apart.

    Args:
        fragments: position and length of each, without the basic offset table.
        groups: for each frame found, its fragments.
        table: the basic offset table's values, counted from the first fragment's item; empty if it is.
        extended: the extended offset table's values.
    """

    fragments: list[tuple[int, int]]
    groups: list[list[tuple[int, int]]]
    table: list[int]
    extended: list[int]

    @property
    def offsets(self) -> list[int]:
        """Where each frame's first item really begins, counted as offset tables count."""
        return [group[0][0] - self.fragments[0][0] for group in self.groups]


def take_apart(instance: Instance, frames: int) -> Frames:
    """Group fragments to frames: by what the frames begin with, where that tells, else by the offset table.

    Args:
        instance: open, with encapsulated pixel data.
        frames: NumberOfFrames, which settles the question where there are as many fragments.
    """
    return instance.once("frames", lambda opened: _taken_apart(opened, frames))


def _taken_apart(instance: Instance, frames: int) -> Frames:
    items = instance.fragments()
    fragments = items[1:]
    table = _offsets(_read(instance, items[0]), "I") if items else []
    extended = instance.get(_EXTENDED_TABLE)
    wide = _offsets(extended.value, "Q") if extended else []
    return Frames(fragments, _groups(instance, fragments, frames, table), table, wide)


def frame_bytes(instance: Instance, group: list[tuple[int, int]]) -> bytes:
    """The coded frame: its fragments, joined."""
    return b"".join(_read(instance, fragment) for fragment in group)


def _groups(
    instance: Instance, fragments: list[tuple[int, int]], frames: int, table: list[int]
) -> list[list[tuple[int, int]]]:
    if len(fragments) == frames or not fragments:
        return [[fragment] for fragment in fragments]
    starts = _starts_by_content(instance, fragments)
    if not starts and frames == 1:
        starts = [0]
    if not starts and table:
        numbers = {position - fragments[0][0]: number for number, (position, _) in enumerate(fragments)}
        starts = sorted({numbers[offset] for offset in table if offset in numbers})
    if not starts or starts[0] != 0:
        return [[fragment] for fragment in fragments]
    return [fragments[first:last] for first, last in zip(starts, [*starts[1:], len(fragments)], strict=True)]


def _starts_by_content(instance: Instance, fragments: list[tuple[int, int]]) -> list[int]:
    beginnings = _STARTS.get(ENCAPSULATED[instance.transfer_syntax_uid])
    if beginnings is None:
        return []
    return [
        number
        for number, (position, length) in enumerate(fragments)
        if _read(instance, (position, min(length, 8))).startswith(beginnings)
    ]


def _read(instance: Instance, fragment: tuple[int, int]) -> bytes:
    return instance.source(fragment[0]).take(fragment[1])


def _offsets(value: bytes, code: str) -> list[int]:
    size = struct.calcsize(code)
    return [offset for (offset,) in struct.iter_unpack(f"<{code}", value[: len(value) // size * size])]
