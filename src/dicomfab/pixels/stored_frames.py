"""The frames of an instance where they lie, as they are stored and decoded (PS3.5 8, annex A.4)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cached_property
from typing import Final

from dicomfab.model.errors import TranscodingFailed
from dicomfab.pixels.data_set import (
    PIXEL_DATA_TAGS,
    DamagedInstance,
    Data,
    DataSet,
    Element,
    item_places,
    little_endian,
)
from dicomfab.pixels.description import (
    BITS_ALLOCATED,
    COLUMNS,
    DESCRIBING,
    FRAMES,
    PHOTOMETRIC,
    ROWS,
    SAMPLES,
    check_word_order,
    describe,
    photometric,
)
from dicomfab.pixels.elements import PIXEL_DATA, UNIT_BYTES
from dicomfab.pixels.streams import CHUNK
from dicomfab.pixels.syntaxes import ENCAPSULATED

_DOUBLE: Final = 0x7FE00009
# What a frame's first fragment begins with (JPEG family, JPEG 2000), where no offset table tells.
_FRAME_STARTS: Final = (b"\xff\xd8", b"\xff\x4f")
_DIGITS: Final = 12  # of an integer string (PS3.5 6.2)
#: Of these two pixels share their chrominance in native frames.
HALVED: Final = ("YBR_FULL_422", "YBR_PARTIAL_422")


class Frames:
    """The pixel data of an instance.

    Args:
        data_set: the instance's, while it is open.
        transfer_syntax_uid: of the instance.

    Raises:
        DamagedInstance: the data set cannot be parsed.
    """

    def __init__(self, data_set: DataSet, transfer_syntax_uid: str) -> None:
        self.data_set = data_set
        self.transfer_syntax_uid = transfer_syntax_uid
        self._data = data_set.data
        self._layout = data_set.layout
        #: All elements of the data set, by tag.
        self.elements = {element.tag: element for element in data_set.elements()}
        self._described = {tag: data_set.plain_value(self.elements[tag]) for tag in DESCRIBING & self.elements.keys()}
        found = [self.elements[tag] for tag in PIXEL_DATA_TAGS & self.elements.keys()]
        #: The pixel data, if there are any.
        self.element: Element | None = found[0] if found else None

    @property
    def is_encapsulated(self) -> bool:
        """Whether the frames are coded, in fragments."""
        return self.element is not None and self.element.next != self.element.end

    @cached_property
    def count(self) -> int:
        """How many frames there are; 0 for an instance without pixel data."""
        if self.element is None or self.element.start == self.element.end:
            return 0
        text = self._described.get(FRAMES, b"").strip(b" \0") or b"1"
        if not text.isdigit() or len(text) > _DIGITS or not 0 < int(text) < 1 << 31:
            raise _contradiction("NumberOfFrames is no number of frames")
        return int(text)

    @property
    def is_floating(self) -> bool:
        """Whether the pixels are floating point numbers of 32 or 64 bits."""
        return self.element is not None and self.element.tag != PIXEL_DATA

    @property
    def photometric(self) -> str:
        """The PhotometricInterpretation of the frames as they are stored."""
        return photometric(self._described.get(PHOTOMETRIC, b""))

    def check(self, index: int) -> None:
        """See that a frame and those before it are there; they are not decoded.

        Raises:
            TranscodingFailed: the frames cannot be told apart.
            DamagedInstance: the pixel data do not have it.
        """
        if self.is_encapsulated:
            self._fragments[index]
        else:
            self._bounds(index)

    def stored(self, index: int) -> bytes:
        """A frame as the transfer syntax has it, from 0; a native one in little endian.

        Raises:
            TranscodingFailed: the frames cannot be told apart.
            DamagedInstance: the pixel data do not have it.
        """
        if not self.is_encapsulated:
            return self._native(index)
        return b"".join(self._data[start:end] for start, end in self._fragments[index])

    def stored_length(self, index: int) -> int:
        """How many bytes :meth:`stored` gives of a frame that :meth:`check` found good."""
        if not self.is_encapsulated:
            return -(-self.frame_bits // 8)
        return sum(end - start for start, end in self._fragments[index])

    def decoded(self, index: int) -> bytes:
        """A native frame, little endian, from 0.

        Raises:
            TranscodingFailed: it cannot be decoded.
            DamagedInstance: the pixel data do not have it.
        """
        if not self.is_encapsulated:
            return self._native(index)
        from dicomfab.pixels.codecs import decode

        codec = ENCAPSULATED.get(self.transfer_syntax_uid)
        if codec is None:
            raise TranscodingFailed(
                f"frames of transfer syntax {self.transfer_syntax_uid} cannot be decoded",
                cause="no decoder for it is part of this software",
                remedy="ask for the frames as they are stored: transfer-syntax=*",
            )
        return decode(codec, self.stored(index), describe(self._described))

    @cached_property
    def frame_bits(self) -> int:
        """The length of a native frame."""
        samples = 2 if self.photometric in HALVED else self.short(SAMPLES, 1)  # two pixels share their chrominance
        return self.short(ROWS) * self.short(COLUMNS) * samples * self.bits_of_a_sample

    @property
    def bits_of_a_sample(self) -> int:
        """BitsAllocated, or what floating point numbers have."""
        if self.element is not None and self.is_floating:
            return 64 if self.element.tag == _DOUBLE else 32
        return self.short(BITS_ALLOCATED)

    def short(self, tag: int, default: int | None = None) -> int:
        """A number of 16 bits that describes the pixels.

        Raises:
            DamagedInstance: it is not there, and there is no default.
        """
        value = self._described.get(tag, b"")
        if len(value) < 2:
            if default is None:
                raise _contradiction("the size of a frame is not stated")
            return default
        return int.from_bytes(value[:2], "little")

    def _native(self, index: int) -> bytes:
        element, bits = self._bounds(index)
        first, last = index * bits, (index + 1) * bits
        raw = b"".join(value_bytes(self._data, element, first // 8, -(-last // 8)))
        if bits % 8 == 0:
            return raw
        # Frames of single bits follow each other without a gap (PS3.5 8.1.1).
        number = int.from_bytes(raw, "little") >> first % 8 & (1 << bits) - 1
        return number.to_bytes(-(-bits // 8), "little")

    def _bounds(self, index: int) -> tuple[Element, int]:
        element, bits = self.element, self.frame_bits
        if element is None or not bits or (index + 1) * bits > 8 * (element.end - element.start):
            raise _contradiction(f"frame {index + 1} lies behind the end of the pixel data")
        if not self._layout.little:
            check_word_order(self.short(BITS_ALLOCATED))
        return element, bits

    @cached_property
    def _fragments(self) -> list[list[tuple[int, int]]]:
        """Where the fragments of each frame are."""
        if self.element is None:
            return []
        places = list(item_places(self._data, self.element))
        table = self._data[places[0][0] : places[0][1]] if places else b""
        fragments = places[1:]
        if len(fragments) == self.count:
            return [[fragment] for fragment in fragments]
        starts = [0] if self.count == 1 and fragments else self._starts(table, fragments)
        if len(starts) != self.count or starts[0] != 0:
            raise TranscodingFailed(
                f"{len(fragments)} fragments do not make {self.count} frames",
                cause="it is a video, or offset table, number of frames and pixel data contradict each other",
                remedy="retrieve the instance as it is stored: transfer-syntax=*",
            )
        return [fragments[first:last] for first, last in zip(starts, [*starts[1:], len(fragments)], strict=True)]

    def _starts(self, table: bytes, fragments: list[tuple[int, int]]) -> list[int]:
        if table and not len(table) % 4 and fragments:
            numbers = {start - fragments[0][0]: number for number, (start, _) in enumerate(fragments)}
            starts = [numbers.get(offset, -1) for (offset,) in struct.iter_unpack("<I", table)]
            return starts if starts == sorted(set(starts)) else []
        return [n for n, (start, _) in enumerate(fragments) if self._data[start : start + 2] in _FRAME_STARTS]


def value_bytes(data: Data, element: Element, start: int, end: int) -> Iterator[bytes]:
    """A part of a value in pieces, numbers in little endian.

    Args:
        data: what contains the element.
        element: no sequence.
        start: where the part begins in the value.
        end: where it ends in the value.
    """
    unit = 1 if element.layout.little else UNIT_BYTES.get(element.vr.encode(), 1)
    # What is turned has to begin and end with whole numbers.
    at, last = element.start + start - start % unit, element.start + min(end + -end % unit, element.end - element.start)
    skipped, left = start % unit, end - start
    while left > 0:
        piece = little_endian(data[at : min(at + CHUNK, last)], unit, element.layout)[skipped : skipped + left]
        if not piece:
            return
        yield piece
        at, skipped, left = at + CHUNK, 0, left - len(piece)


def _contradiction(what: str) -> DamagedInstance:
    return DamagedInstance(
        f"the pixel data cannot be read: {what}",
        cause="pixel data and their description contradict each other",
        remedy="check the instance with a DICOM validator",
    )
