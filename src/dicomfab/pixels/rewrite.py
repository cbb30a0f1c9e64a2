"""A data set in another encoding: one pass from file to file, values copied as bytes.

Text is never decoded. A long value goes over in pieces. Lengths of sequences and items stay defined or undefined as
they were; those that are defined are put in when the content is written. Group lengths (retired) are counted anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from dicomfab.model.errors import TranscodingFailed
from dicomfab.pixels.description import (
    DESCRIBING,
    PHOTOMETRIC,
    PIXEL_REPRESENTATION,
    PLANAR,
    bits_allocated,
    check_word_order,
    decoded_photometric,
    describe,
    photometric,
    samples_per_pixel,
)
from dicomfab.pixels.elements import (
    ITEM,
    ITEM_END,
    PIXEL_DATA,
    SEQUENCE_END,
    UNDEFINED,
    UNIT_BYTES,
    UNKNOWN,
    delimiter,
    header,
    implied_vr,
    length_field,
    look_ahead,
    named,
    read_header,
    swapped,
)
from dicomfab.pixels.frames import decode_frames
from dicomfab.pixels.streams import CHUNK, Output, Source
from dicomfab.pixels.syntaxes import Codec, Encoding

_MAX_NESTING: Final = 100
_MAX_DESCRIBING_BYTES: Final = 256
# The extended offset table and the total length (PS3.3 C.7.6.3.1.8): they describe encapsulated pixel data only.
_OF_ENCAPSULATION: Final = frozenset({0x7FE00001, 0x7FE00002, 0x7FE00003})


@dataclass(slots=True)
class _Scope:
    """A data set being copied: the whole one, or that of an item.

    Args:
        read: its encoding in the source.
        write: its encoding in the output.
        end: the position that nothing in it may run past.
        depth: sequences around it.
        signed: PixelRepresentation, its own or that of the data set around it.
        decoded: its pixel data are encapsulated, and will be native.
        described: what it says about its pixel data.
        open_group: the output position of a group length whose group is not finished, and that group.
    """

    read: Encoding
    write: Encoding
    end: int
    depth: int = 0
    signed: bool = False
    decoded: bool = False
    described: dict[int, bytes] = field(default_factory=dict)
    open_group: tuple[int, int] | None = None


class Rewriter:
    """Copies one data set.

    Args:
        source: at the data set.
        output: gets it.
        codec: what decodes encapsulated pixel data; None if the source's transfer syntax has none.
    """

    def __init__(self, source: Source, output: Output, codec: Codec | None = None) -> None:
        self._source = source
        self._output = output
        self._codec = codec

    def run(self, read: Encoding, write: Encoding) -> None:
        """Copy everything up to the end of the source.

        Raises:
            TranscodingFailed: it cannot be parsed, or its pixel data cannot be decoded.
        """
        scope = _Scope(read, write, self._source.size, decoded=self._codec is not None)
        if not read.explicit:
            scope.signed = self._is_signed(scope)
        while self._source.position < scope.end:
            self._element(scope, *read_header(self._source, read))
        self._close_group(scope)

    def _is_signed(self, scope: _Scope) -> bool:
        """PixelRepresentation, which attributes that it decides the VR of can precede."""
        start = self._source.position
        length = look_ahead(self._source, scope.read, scope.end, PIXEL_REPRESENTATION)
        signed = length == 2 and self._source.take(2) == b"\1\0"
        self._source.seek(start)
        return signed

    def _element(self, scope: _Scope, tag: int, vr: bytes, length: int) -> None:
        if tag >> 16 == 0xFFFE:
            raise self._damaged(f"{named(tag)} where a data element should be")
        if length != UNDEFINED and self._source.position + length > scope.end:
            raise self._damaged(f"element {named(tag)} is longer than what contains it")
        if not vr:
            vr = self._implied(scope, tag, length)
        if scope.open_group and scope.open_group[1] != tag >> 16:
            self._close_group(scope)
        if self._codec is not None and tag >= PHOTOMETRIC and self._of_pixels(scope, self._codec, tag, length):
            return
        if vr == b"SQ" or length == UNDEFINED:
            self._sequence(scope, tag, vr, length)
        else:
            self._plain(scope, tag, vr, length)

    def _implied(self, scope: _Scope, tag: int, length: int) -> bytes:
        if length == UNDEFINED:
            return b"SQ"  # nothing else has an undefined length in implicit VR (PS3.5 7.1.3)
        if not scope.write.explicit:
            return b"UN"
        return implied_vr(tag, signed=scope.signed, bits_allocated=bits_allocated(scope.described))

    def _plain(self, scope: _Scope, tag: int, vr: bytes, length: int) -> None:
        self._output.write(header(scope.write, tag, vr, length))
        unit = self._unit_bytes(scope, tag, vr)
        if tag in DESCRIBING and length <= _MAX_DESCRIBING_BYTES:
            value = self._source.take(length)
            self._describe(scope, tag, vr, value)
            self._output.write(swapped(value, unit) if unit > 1 else value)
            return
        for count in (*[CHUNK] * (length // CHUNK), length % CHUNK):
            value = self._source.take(count)
            self._output.write(swapped(value, unit) if unit > 1 else value)
        if not tag & 0xFFFF and length == 4:
            scope.open_group = (self._output.position, tag >> 16)

    def _unit_bytes(self, scope: _Scope, tag: int, vr: bytes) -> int:
        """The bytes of one number whose order has to be turned; 1 if none has."""
        if scope.read.little == scope.write.little:
            return 1
        if tag == PIXEL_DATA:
            check_word_order(bits_allocated(scope.described))
        return UNIT_BYTES.get(vr, 1)

    def _describe(self, scope: _Scope, tag: int, vr: bytes, value: bytes) -> None:
        if vr in UNIT_BYTES and not scope.read.little:
            value = swapped(value, UNIT_BYTES[vr])
        scope.described[tag] = value
        if tag == PIXEL_REPRESENTATION:
            scope.signed = value[:1] == b"\1"

    def _close_group(self, scope: _Scope) -> None:
        if scope.open_group:
            start, _ = scope.open_group
            self._output.patch(start - 4, length_field(scope.write, self._output.position - start))
            scope.open_group = None

    def _sequence(self, scope: _Scope, tag: int, vr: bytes, length: int) -> None:
        if tag == PIXEL_DATA or vr not in (b"SQ", b"UN"):
            raise self._damaged(f"element {named(tag)} ({vr.decode()}) has an undefined length")
        if scope.depth == _MAX_NESTING:
            raise self._damaged(f"sequences nest more than {_MAX_NESTING} deep")
        read, write = (UNKNOWN, UNKNOWN) if vr == b"UN" else (scope.read, scope.write)
        self._output.write(header(scope.write, tag, vr, length))
        start = self._output.position
        end = scope.end if length == UNDEFINED else self._source.position + length
        while length == UNDEFINED or self._source.position < end:
            inner, _, item_length = read_header(self._source, read)
            self._output.write(delimiter(write, inner, item_length))
            if inner == SEQUENCE_END and length == UNDEFINED:
                return
            if inner != ITEM:
                raise self._damaged(f"{named(inner)} where an item of {named(tag)} should be")
            self._item(_Scope(read, write, end, scope.depth + 1, scope.signed), item_length)
        self._output.patch(start - 4, length_field(scope.write, self._output.position - start))

    def _item(self, scope: _Scope, length: int) -> None:
        start = self._output.position
        if length != UNDEFINED:
            if self._source.position + length > scope.end:
                raise self._damaged("an item is longer than its sequence")
            scope.end = self._source.position + length
        while length == UNDEFINED or self._source.position < scope.end:
            tag, vr, value_length = read_header(self._source, scope.read)
            if tag == ITEM_END and length == UNDEFINED:
                self._close_group(scope)
                self._output.write(delimiter(scope.write, tag, value_length))
                return
            self._element(scope, tag, vr, value_length)
        self._close_group(scope)
        self._output.patch(start - 4, length_field(scope.write, self._output.position - start))

    def _of_pixels(self, scope: _Scope, codec: Codec, tag: int, length: int) -> bool:
        """Write what decoding changes (the codec is there, its data sets are explicit VR little endian).

        Returns:
            Whether the element is dealt with.
        """
        if scope.depth and tag == PHOTOMETRIC:
            scope.decoded = scope.read.explicit and self._encapsulated_ahead(scope, length)
        if not scope.decoded:
            return False
        samples = samples_per_pixel(scope.described)
        if samples > 1 and tag > PLANAR and PLANAR not in scope.described:
            self._replace(scope, PLANAR, b"US", b"\0\0", b"\0\0")
        if tag == PHOTOMETRIC:
            stated = self._source.take(length)
            decoded = decoded_photometric(codec, photometric(stated), samples).encode("latin-1")
            self._replace(scope, tag, b"CS", stated, decoded + b" " * (len(decoded) % 2))
        elif tag == PLANAR and samples > 1:
            self._replace(scope, tag, b"US", self._source.take(length), b"\0\0")
        elif tag in _OF_ENCAPSULATION:
            self._source.seek(self._source.position + length)
        elif tag == PIXEL_DATA:
            if length != UNDEFINED:
                raise self._damaged("the pixel data are not encapsulated")
            described = describe(scope.described)
            decode_frames(self._source, self._output, scope.write, codec, described)
        else:
            return False
        return True

    def _replace(self, scope: _Scope, tag: int, vr: bytes, stated: bytes, value: bytes) -> None:
        scope.described[tag] = stated
        self._output.write(header(scope.write, tag, vr, len(value)) + value)

    def _encapsulated_ahead(self, scope: _Scope, length: int) -> bool:
        """Whether what follows a value of ``length`` bytes in an item's data set has encapsulated pixel data.

        An icon may be encapsulated or not, whatever the instance around it is (PS3.5 annex A.4).
        """
        start = self._source.position
        self._source.seek(start + length)
        found = look_ahead(self._source, scope.read, scope.end, PIXEL_DATA)
        self._source.seek(start)
        return found == UNDEFINED

    def _damaged(self, what: str) -> TranscodingFailed:
        return TranscodingFailed(
            f"{what} (before byte {self._source.position})",
            cause="the data set is damaged, or is not in the transfer syntax that its file names",
        )
