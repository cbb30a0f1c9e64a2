"""Encapsulated pixel data (PS3.5 annex A.4) to native: found by their fragments, decoded one frame at a time."""

from __future__ import annotations

import struct
from typing import Final

from dicomfab.model.errors import TranscodingFailed
from dicomfab.pixels.description import PixelDescription, check_word_order
from dicomfab.pixels.elements import ITEM, PIXEL_DATA, SEQUENCE_END, UNDEFINED, header, named, read_header, swapped
from dicomfab.pixels.streams import Output, Source
from dicomfab.pixels.syntaxes import EXPLICIT_LITTLE, NATIVE, Codec, Encoding

_EXPLICIT: Final = NATIVE[EXPLICIT_LITTLE]
# What a frame's first fragment begins with. None of these can occur within a frame's coded data.
_FRAME_STARTS: Final = {
    Codec.JPEG: (b"\xff\xd8\xff",),
    Codec.JPEG_LOSSLESS: (b"\xff\xd8\xff",),
    Codec.JPEG_LS: (b"\xff\xd8\xff",),
    Codec.JPEG_2000: (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "),
    Codec.RLE: (),
}


def decode_frames(source: Source, output: Output, write: Encoding, codec: Codec, description: PixelDescription) -> None:
    """Write the pixel data element with its frames decoded.

    Args:
        source: at the first item, the basic offset table.
        output: gets the element.
        write: the encoding of the output.
        codec: what decodes.
        description: of the encapsulated pixel data.

    Raises:
        TranscodingFailed: the frames cannot be told apart or decoded, or are too long for one element.
    """
    from dicomfab.pixels.codecs import decode

    table, fragments = _fragments(source)
    end = source.position
    frames = _frames(source, codec, table, fragments, description.frames)
    length = description.frames * description.frame_bytes
    padded = length + length % 2
    if padded >= UNDEFINED:
        raise TranscodingFailed(
            f"its {description.frames} frames are {length} bytes when decoded",
            cause="native pixel data end at 4 GiB",
        )
    words = description.bits_allocated > 8
    if not write.little:
        check_word_order(description.bits_allocated)
    output.write(header(write, PIXEL_DATA, b"OW" if words else b"OB", padded))
    for number, frame in enumerate(frames, 1):
        coded = b"".join(_fragment(source, *fragment) for fragment in frame)
        try:
            native = decode(codec, coded, description)
        except TranscodingFailed as error:
            raise TranscodingFailed(f"frame {number}: {error.what}", cause=error.cause) from error
        output.write(swapped(native, 2) if words and not write.little else native)
    output.write(bytes(padded - length))
    source.seek(end)


def _fragments(source: Source) -> tuple[bytes, list[tuple[int, int]]]:
    """The basic offset table, and position and length of every fragment; leaves the source behind the sequence."""
    items: list[tuple[int, int]] = []
    while True:
        tag, _, length = read_header(source, _EXPLICIT)
        if tag == SEQUENCE_END and items:
            break
        if tag != ITEM or source.position + length > source.size:
            raise TranscodingFailed(
                f"{named(tag)} of {length} bytes where a fragment of the pixel data should be",
                cause="the data set is damaged or was cut short",
            )
        items.append((source.position, length))
        source.seek(source.position + length)
    end = source.position
    table = _fragment(source, *items[0])
    source.seek(end)
    return table, items[1:]


def _fragment(source: Source, position: int, length: int) -> bytes:
    source.seek(position)
    return source.take(length)


def _frames(
    source: Source, codec: Codec, table: bytes, fragments: list[tuple[int, int]], count: int
) -> list[list[tuple[int, int]]]:
    """Group fragments to frames.

    With as many fragments as frames there is no question, whatever an offset table says (the extended one requires
    it, RLE too). Otherwise the basic offset table counts, and without one the fragments that begin like a frame.
    """
    if len(fragments) == count:
        return [[fragment] for fragment in fragments]
    starts = _starts_by_table(table, fragments) if table else _starts_by_content(source, codec, fragments)
    if len(starts) == count and starts[0] == 0:
        return [fragments[first:last] for first, last in zip(starts, [*starts[1:], len(fragments)], strict=True)]
    raise TranscodingFailed(
        f"{len(fragments)} fragments do not make {count} frames",
        cause="the offset table, the number of frames and the pixel data contradict each other",
    )


def _starts_by_table(table: bytes, fragments: list[tuple[int, int]]) -> list[int]:
    if len(table) % 4:
        return []
    origin = fragments[0][0] if fragments else 0
    numbers = {position - origin: number for number, (position, _) in enumerate(fragments)}
    starts = [numbers.get(offset, -1) for (offset,) in struct.iter_unpack("<I", table)]
    return starts if starts == sorted(set(starts)) else []


def _starts_by_content(source: Source, codec: Codec, fragments: list[tuple[int, int]]) -> list[int]:
    return [
        number
        for number, (position, length) in enumerate(fragments)
        if _fragment(source, position, min(length, 8)).startswith(_FRAME_STARTS[codec])
    ]
