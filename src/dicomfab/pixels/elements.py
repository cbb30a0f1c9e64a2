"""Element headers (PS3.5 chapter 7), read and written in any of the native encodings, and VRs that are not stated."""

from __future__ import annotations

import array
import functools
import struct
from typing import Final

from dicomfab.model.errors import TranscodingFailed
from dicomfab.pixels.streams import Source
from dicomfab.pixels.syntaxes import IMPLICIT_LITTLE, NATIVE, Encoding

UNDEFINED: Final = 0xFFFFFFFF
ITEM: Final = 0xFFFEE000
ITEM_END: Final = 0xFFFEE00D
SEQUENCE_END: Final = 0xFFFEE0DD
PIXEL_DATA: Final = 0x7FE00010

# The items of an UN, in every transfer syntax (PS3.5 6.2.2).
UNKNOWN: Final = NATIVE[IMPLICIT_LITTLE]
# The value length of these takes four bytes in explicit VR (PS3.5 table 7.1-1).
LONG_VRS: Final = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_SHORT_VRS: Final = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
# The bytes of one number, whose order is the transfer syntax's (PS3.5 7.3).
UNIT_BYTES: Final = {
    **dict.fromkeys((b"US", b"SS", b"OW", b"AT"), 2),
    **dict.fromkeys((b"UL", b"SL", b"FL", b"OF", b"OL"), 4),
    **dict.fromkeys((b"FD", b"OD", b"SV", b"UV", b"OV"), 8),
}
_ARRAY_CODE: Final = {2: "H", 4: "I", 8: "Q"}

_TAG_AND_LENGTH: Final = {True: struct.Struct("<HHI"), False: struct.Struct(">HHI")}
_SHORT_FORM: Final = {True: struct.Struct("<HH2sH"), False: struct.Struct(">HH2sH")}
_LONG_FORM: Final = {True: struct.Struct("<HH2s2xI"), False: struct.Struct(">HH2s2xI")}
_LENGTH: Final = {True: struct.Struct("<I"), False: struct.Struct(">I")}


def read_header(source: Source, encoding: Encoding) -> tuple[int, bytes, int]:
    """Read what precedes a value.

    Returns:
        The tag, the VR (empty where none is stated) and the value length, ``UNDEFINED`` included.

    Raises:
        TranscodingFailed: there is none, or what should be a VR is none.
    """
    start = source.take(8)
    group, element, length = _TAG_AND_LENGTH[encoding.little].unpack(start)
    tag = group << 16 | element
    if not encoding.explicit or group == 0xFFFE:
        return tag, b"", length
    vr = start[4:6]
    if vr in LONG_VRS:
        return tag, vr, _LENGTH[encoding.little].unpack(source.take(4))[0]
    if vr not in _SHORT_VRS:
        raise TranscodingFailed(
            f"element {named(tag)} at byte {source.position - 8} has no VR of the standard",
            cause="the data set is damaged, or is not in the transfer syntax that its file names",
        )
    return tag, vr, int.from_bytes(start[6:8], "little" if encoding.little else "big")


def look_ahead(source: Source, encoding: Encoding, end: int, wanted: int) -> int | None:
    """Find an element in the rest of one data set, not in its sequences; leaves the source behind its header.

    Args:
        source: at the next element of the data set.
        encoding: of the data set.
        end: where it, or what contains it, ends.
        wanted: the tag.

    Returns:
        The element's length, or None; then the source is somewhere behind.

    Raises:
        TranscodingFailed: the data set cannot be parsed.
    """
    around: list[Encoding] = []  # of sequences and items without a length that are open
    while around or source.position < end:
        read = around[-1] if around else encoding
        tag, vr, length = read_header(source, read)
        if not around and tag >= wanted:
            return length if tag == wanted else None
        if tag in (ITEM_END, SEQUENCE_END):
            around.pop()
        elif length == UNDEFINED:
            around.append(UNKNOWN if vr == b"UN" else read)
        else:
            source.seek(source.position + length)
    return None


def header(encoding: Encoding, tag: int, vr: bytes, length: int) -> bytes:
    """What precedes a value of a data element.

    A value too long for the two bytes that its VR has is written as UN (PS3.5 6.2.2).
    """
    group, element = tag >> 16, tag & 0xFFFF
    if not encoding.explicit:
        return _TAG_AND_LENGTH[encoding.little].pack(group, element, length)
    if vr in LONG_VRS:
        return _LONG_FORM[encoding.little].pack(group, element, vr, length)
    if length > 0xFFFF:
        return _LONG_FORM[encoding.little].pack(group, element, b"UN", length)
    return _SHORT_FORM[encoding.little].pack(group, element, vr, length)


def delimiter(encoding: Encoding, tag: int, length: int) -> bytes:
    """An item tag or one of the two delimiters (PS3.5 7.5)."""
    return _TAG_AND_LENGTH[encoding.little].pack(tag >> 16, tag & 0xFFFF, length)


def length_field(encoding: Encoding, length: int) -> bytes:
    """A four-byte value length.

    Raises:
        TranscodingFailed: it does not fit.
    """
    if length >= UNDEFINED:
        raise TranscodingFailed(
            "a sequence would become longer than 4 GiB", cause="an element's length takes four bytes"
        )
    return _LENGTH[encoding.little].pack(length)


def swapped(data: bytes, unit_bytes: int) -> bytes:
    """Numbers of ``unit_bytes`` each in the other byte order.

    Raises:
        TranscodingFailed: they are no whole number of numbers.
    """
    if len(data) % unit_bytes:
        raise TranscodingFailed(
            f"a value of {len(data)} bytes is no list of numbers of {unit_bytes} bytes", cause="its length is damaged"
        )
    numbers = array.array(_ARRAY_CODE[unit_bytes], data)
    numbers.byteswap()
    return numbers.tobytes()


def named(tag: int) -> str:
    """A tag as the standard writes it."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def implied_vr(tag: int, *, signed: bool, bits_allocated: int) -> bytes:
    """The VR that an element has in implicit VR (PS3.5 annex A.1, PS3.6).

    Private elements are UN, as what their creator means by them is not ours to say (PS3.5 6.2.2).

    Args:
        tag: the element.
        signed: PixelRepresentation is 1; decides between US and SS.
        bits_allocated: decides between OB and OW for pixel data.
    """
    vr = _dictionary_vr(tag)
    if len(vr) == 2:
        return vr
    if tag == PIXEL_DATA:
        return b"OW" if bits_allocated > 8 else b"OB"
    if vr == b"US or SS":
        return b"SS" if signed else b"US"
    return b"OW"  # always allowed where OB or US would be, and as long as need be


@functools.lru_cache(8192)
def _dictionary_vr(tag: int) -> bytes:
    if not tag & 0xFFFF:
        return b"UL"
    if tag >> 16 & 1:
        return b"LO" if 0x10 <= tag & 0xFFFF <= 0xFF else b"UN"
    from pydicom.datadict import dictionary_VR

    try:
        return dictionary_VR(tag).encode("ascii")
    except KeyError:
        return b"UN"
