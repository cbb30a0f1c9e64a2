"""Items: a type byte, a reserved byte, a 16-bit length and a value, big endian (PS3.8 9.3)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from dicomfab.ul.errors import LocalProtocolError, ProtocolError

_HEADER: Final = struct.Struct(">BxH")
_LENGTH: Final = struct.Struct(">H")
MAX_ITEM_BYTES: Final = 0xFFFF
MAX_UID_CHARS: Final = 64


def encode_item(kind: int, value: bytes) -> bytes:
    """An item.

    Raises:
        LocalProtocolError: the value is longer than 65,535 bytes.
    """
    return _HEADER.pack(kind, _fitting(value)) + value


def decode_items(data: bytes, where: str) -> Iterator[tuple[int, bytes]]:
    """Type and value of each item.

    Raises:
        ProtocolError: an item does not fit into what holds it.
    """
    position = 0
    while position < len(data):
        if position + 4 > len(data):
            raise ProtocolError(f"{where}: {len(data) - position} bytes that are no item")
        kind, length = _HEADER.unpack_from(data, position)
        position += 4
        if position + length > len(data):
            raise ProtocolError(f"{where}: item {kind:02X}H of {length} bytes does not fit")
        yield kind, data[position : position + length]
        position += length


def encode_sized(value: bytes) -> bytes:
    """A 16-bit length and the value.

    Raises:
        LocalProtocolError: the value is longer than 65,535 bytes.
    """
    return _LENGTH.pack(_fitting(value)) + value


def take_sized(data: bytes, position: int, where: str) -> tuple[bytes, int]:
    """The value behind a 16-bit length, and the position after it.

    Raises:
        ProtocolError: there is less than the length says.
    """
    if position + 2 > len(data):
        raise ProtocolError(f"{where}: a length is missing")
    (length,) = _LENGTH.unpack_from(data, position)
    end = position + 2 + length
    if end > len(data):
        raise ProtocolError(f"{where}: a field of {length} bytes does not fit")
    return data[position + 2 : end], end


def encode_uid(text: str) -> bytes:
    """A UID as PS3.8 annex F writes it: without padding.

    Raises:
        LocalProtocolError: empty, over 64 characters, or not printable ASCII.
    """
    if not 0 < len(text) <= MAX_UID_CHARS or not text.isascii() or not text.isprintable() or " " in text:
        raise LocalProtocolError(f"{text!r} cannot be a UID")
    return text.encode("ascii")


def decode_uid(value: bytes, where: str) -> str:
    """A UID; the padding that some peers add is dropped.

    Raises:
        ProtocolError: empty, over 64 characters, or not printable ASCII.
    """
    stripped = value.rstrip(b"\0 ")
    if not 0 < len(stripped) <= MAX_UID_CHARS or not all(0x20 < byte < 0x7F for byte in stripped):
        raise ProtocolError(f"{where}: {len(value)} bytes that are no UID")
    return stripped.decode("ascii")


def _fitting(value: bytes) -> int:
    if len(value) > MAX_ITEM_BYTES:
        raise LocalProtocolError(f"{len(value)} bytes do not fit into an item")
    return len(value)
