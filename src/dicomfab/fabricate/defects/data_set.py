"""An encoded data set as a list of elements, to be written again byte for byte, or wrongly where that is wanted."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass

from dicomfab.fabricate.encode.frames import DEFLATE_END, deflated
from dicomfab.pixels.elements import ITEM, UNDEFINED, header, look_ahead, read_header
from dicomfab.pixels.streams import Source
from dicomfab.pixels.syntaxes import EXPLICIT_LITTLE, NATIVE

_BEYOND = 1 << 32  # no tag is greater


@dataclass(slots=True)
class Element:
    """An element of the top level.

    Args:
        tag: group and element.
        vr: empty in implicit VR.
        head: the bytes before its value.
        value: as encoded; of an element without a length everything up to the end of its delimiter.
    """

    tag: int
    vr: bytes
    head: bytes
    value: bytes


class DataSet:
    """The elements of an encoded data set.

    Args:
        encoded: the data set.
        transfer_syntax_uid: that it is in.

    Raises:
        TranscodingFailed: it cannot be parsed.
    """

    def __init__(self, encoded: bytes, transfer_syntax_uid: str) -> None:
        self.encoding = NATIVE.get(transfer_syntax_uid, NATIVE[EXPLICIT_LITTLE])
        self.is_encapsulated = transfer_syntax_uid not in NATIVE
        #: Bytes that are left away at the end, before it is deflated.
        self.cut = 0
        if self.encoding.deflated:
            encoded = zlib.decompressobj(-zlib.MAX_WBITS).decompress(encoded)
        self.elements = []
        source = Source(io.BytesIO(encoded), 0, len(encoded))
        while source.position < len(encoded):
            start = source.position
            tag, vr, length = read_header(source, self.encoding)
            value = source.position
            if length == UNDEFINED:
                source.seek(start)
                look_ahead(source, self.encoding, start + 1, _BEYOND)
            else:
                source.seek(value + length)
            self.elements.append(Element(tag, vr, encoded[start:value], encoded[value : source.position]))

    def __contains__(self, tag: int) -> bool:
        return any(one.tag == tag for one in self.elements)

    def __getitem__(self, tag: int) -> Element:
        return next(one for one in self.elements if one.tag == tag)

    def put(self, tag: int, vr: bytes, value: bytes) -> Element:
        """Set an element, in its place; its length is that of the value."""
        own = Element(tag, vr, header(self.encoding, tag, vr, len(value)), value)
        has = tag in self  # perhaps out of order
        found = (n for n, one in enumerate(self.elements) if (one.tag == tag if has else one.tag > tag))
        place = next(found, len(self.elements))
        self.elements[place : place + has] = [own]
        return own

    def put_text(self, tag: int, vr: bytes, text: str) -> None:
        """Set an element of ASCII text, padded to even length."""
        value = text.encode("ascii")
        self.put(tag, vr, value + (b"\0" if vr == b"UI" else b" ") * (len(value) % 2))

    def put_number(self, tag: int, value: int) -> None:
        """Set an element of VR US."""
        self.put(tag, b"US", struct.pack("<H" if self.encoding.little else ">H", value))

    def number(self, tag: int) -> int:
        """The value of an element of VR US."""
        return int.from_bytes(self[tag].value[:2], "little" if self.encoding.little else "big")

    def remove(self, tag: int) -> None:
        """Leave an element out, if it is there."""
        self.elements = [one for one in self.elements if one.tag != tag]

    def cut_last_fragment(self, tag: int) -> None:
        """Leave away half of the last fragment of encapsulated pixel data."""
        element, place, last = self[tag], 0, 0
        while struct.unpack_from("<HHI", element.value, place)[:2] == (ITEM >> 16, ITEM & 0xFFFF):
            last = place
            place += 8 + struct.unpack_from("<I", element.value, place + 4)[0]
        keep = (place - last - 8) // 2 & ~1
        item = struct.pack("<HHI", ITEM >> 16, ITEM & 0xFFFF, keep) + element.value[last + 8 : last + 8 + keep]
        element.value = element.value[:last] + item + element.value[place:]

    def encoded(self) -> bytes:
        """The data set."""
        joined = b"".join(part for one in self.elements for part in (one.head, one.value))
        joined = joined[: len(joined) - self.cut]
        if self.encoding.deflated:
            joined = deflated(joined)
            if not self.cut:  # else the stream ends where it was cut
                joined += DEFLATE_END
                joined += b"\0" * (len(joined) % 2)
        return joined
