"""What a coded frame says about itself: read before its decoder runs, so that nothing is decoded that does not fit."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from dicomfab.model.errors import TranscodingFailed

_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})  # JPEG markers without a segment
_FRAME_HEADERS: Final = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
_SCAN: Final = 0xDA
_RGB_IDS: Final = (b"RGB", b"rgb")


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """A coded frame.

    Args:
        rows: lines.
        columns: samples in a line.
        components: 1 or 3 in DICOM.
        precision: bits of a sample.
        signed: whether samples are; JPEG and JPEG-LS have no way to say so, and are False.
        says_ycc: a JFIF or Adobe marker, or JPEG 2000's coding style, tells that the colour was transformed.
        says_rgb: the components are named R, G and B.
    """

    rows: int
    columns: int
    components: int
    precision: int
    signed: bool = False
    says_ycc: bool = False
    says_rgb: bool = False


def jpeg_header(data: bytes) -> FrameHeader:
    """Read a JPEG or JPEG-LS frame header (ISO/IEC 10918-1 B.2.2, 14495-1 C.2.2).

    Raises:
        TranscodingFailed: there is none, or the frame has no end.
    """
    says_ycc = False
    position = 2
    try:
        if data[:2] != b"\xff\xd8":
            raise _damaged("does not begin with SOI")
        while True:
            marker, position = _next_marker(data, position)
            if marker in _STANDALONE:
                continue
            (length,) = struct.unpack_from(">H", data, position)
            segment = data[position + 2 : position + length]
            if marker in _FRAME_HEADERS:
                break
            if marker == _SCAN:
                raise _damaged("has no frame header")
            says_ycc = says_ycc or _transformed(marker, segment)
            position += length
        precision, rows, columns, components = struct.unpack_from(">BHHB", segment)
    except struct.error as error:
        raise _damaged("ends within its headers") from error
    if data.rfind(b"\xff\xd9", position) < 0:
        raise _damaged("has no end (EOI)")
    return FrameHeader(rows, columns, components, precision, says_ycc=says_ycc, says_rgb=segment[6::3][:3] in _RGB_IDS)


def _next_marker(data: bytes, position: int) -> tuple[int, int]:
    (prefix,) = struct.unpack_from(">B", data, position)
    if prefix != 0xFF:
        raise _damaged("has no marker where one should be")
    while prefix == 0xFF:  # fill bytes
        position += 1
        (prefix,) = struct.unpack_from(">B", data, position)
    return prefix, position + 1


def _transformed(marker: int, segment: bytes) -> bool:
    jfif = marker == 0xE0 and segment.startswith(b"JFIF\0")
    adobe = marker == 0xEE and segment.startswith(b"Adobe") and segment[11:12] == b"\1"
    return jfif or adobe


def jpeg2000_codestream(data: bytes) -> bytes:
    """The codestream within a JP2 file; the data themselves if they are one already.

    Raises:
        TranscodingFailed: they are neither.
    """
    position = 0
    if data[4:8] == b"jP  ":
        while position + 8 <= len(data):
            length, kind = struct.unpack_from(">I4s", data, position)
            if kind == b"jp2c":
                data = data[position + 8 : position + length if length else None]
                break
            if length < 8:
                raise _damaged("has a JP2 box that cannot be read")
            position += length
    if data[:4] != b"\xff\x4f\xff\x51":
        raise _damaged("does not begin with SOC and SIZ")
    return data


def jpeg2000_header(data: bytes) -> FrameHeader:
    """Read the SIZ marker segment of a codestream (ISO/IEC 15444-1 A.5.1).

    Raises:
        TranscodingFailed: it is cut short, or its components differ in size or depth.
    """
    try:
        right, bottom, left, top = struct.unpack_from(">4I", data, 8)
        (components,) = struct.unpack_from(">H", data, 40)
        depths = {struct.unpack_from(">BBB", data, 42 + 3 * number) for number in range(components)}
    except struct.error as error:
        raise _damaged("ends within its headers") from error
    if len(depths) != 1 or {step for _, *steps in depths for step in steps} != {1}:
        raise _damaged("has components of different size or depth")
    ((depth, _, _),) = depths
    return FrameHeader(
        bottom - top,
        right - left,
        components,
        (depth & 0x7F) + 1,
        signed=depth > 0x7F,
        says_ycc=_transformed_components(data, 42 + 3 * components),
    )


def _transformed_components(data: bytes, position: int) -> bool:
    """Whether the coding style default (A.6.1) has the multiple component transformation."""
    try:
        while True:
            marker, length = struct.unpack_from(">HH", data, position)
            if marker == 0xFF52:
                return data[position + 8] == 1
            if not 0xFF50 <= marker <= 0xFF6F:
                raise _damaged("has no coding style in its main header")
            position += 2 + length
    except (struct.error, IndexError) as error:
        raise _damaged("ends within its headers") from error


def _damaged(what: str) -> TranscodingFailed:
    return TranscodingFailed(f"the coded frame {what}", cause="it is damaged, or not in the transfer syntax stated")
