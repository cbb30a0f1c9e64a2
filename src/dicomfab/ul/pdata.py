"""P-DATA-TF on its way out: a command set and a data set cut into fragments, without copying them (PS3.8 annex E)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final, NamedTuple, TypeAlias

from dicomfab.ul.errors import LocalProtocolError
from dicomfab.ul.pdu import P_DATA_TF

# PDU header, PDV length, context id and message control header.
_HEADER: Final = struct.Struct(">BxIIBB")
#: PDV length field, context id and message control header: part of the PDU's length (PS3.8 9.3.5.1).
PDV_HEADER_BYTES: Final = 6
COMMAND: Final = 0x01
LAST: Final = 0x02
#: The shortest maximum length that has room for a fragment.
MIN_PDU_LENGTH: Final = PDV_HEADER_BYTES + 2
# A peer without a limit is still not asked to take more than this at a time.
_UNLIMITED_FRAGMENT_BYTES: Final = 1 << 20


class FileRange(NamedTuple):
    """Bytes of an open file, to be sent by whoever owns the socket.

    Args:
        fd: its descriptor.
        offset: of the first byte.
        length: how many bytes.
    """

    fd: int
    offset: int
    length: int


Chunk: TypeAlias = bytes | bytearray | memoryview | FileRange


def size_of(chunk: Chunk) -> int:
    """How many bytes a chunk has."""
    if isinstance(chunk, FileRange):
        return chunk.length
    return chunk.nbytes if isinstance(chunk, memoryview) else len(chunk)


def fragment_bytes(max_pdu_length: int) -> int:
    """The longest fragment, even, for a peer that takes PDUs of so many bytes (0: any).

    Raises:
        LocalProtocolError: none fits.
    """
    if max_pdu_length == 0:
        return _UNLIMITED_FRAGMENT_BYTES
    if max_pdu_length < MIN_PDU_LENGTH:
        raise LocalProtocolError(f"no fragment fits into a PDU of {max_pdu_length} bytes")
    return (max_pdu_length - PDV_HEADER_BYTES) & ~1


def fragments(context_id: int, command: bytes, dataset: Sequence[Chunk], max_pdu_length: int) -> Iterable[Chunk]:
    """A DIMSE message as chunks of P-DATA-TF PDUs of one fragment each, made as they are asked for.

    Args:
        context_id: the presentation context.
        command: the encoded command set.
        dataset: the encoded data set in pieces; none for a message without.
        max_pdu_length: what the peer announced.
    """
    most = fragment_bytes(max_pdu_length)
    size = len(command)
    if size <= most and len(dataset) <= 1:
        head = _last(context_id, COMMAND, size) + command
        if not dataset:
            return (head,)
        size = size_of(dataset[0])
        if 0 < size <= most:
            return (head + _last(context_id, 0, size), dataset[0])
    parts = _split(context_id, COMMAND, (command,), most)
    return chain(parts, _split(context_id, 0, dataset, most)) if dataset else parts


def _split(context_id: int, flags: int, chunks: Sequence[Chunk], most: int) -> Iterator[Chunk]:
    left = sum(map(size_of, chunks))
    full = _HEADER.pack(P_DATA_TF, most + PDV_HEADER_BYTES, most + 2, context_id, flags)
    if not left:
        yield _last(context_id, flags, 0)
    room = 0  # in the PDU under way
    for chunk in chunks:
        piece = chunk if isinstance(chunk, FileRange) else memoryview(chunk).cast("B")
        position, size = 0, size_of(piece)
        while position < size:
            if not room:
                room = min(left, most)
                yield full if left > most else _last(context_id, flags, left)
            end = min(size, position + room)
            yield _part(piece, position, end)
            room -= end - position
            left -= end - position
            position = end


def _last(context_id: int, flags: int, size: int) -> bytes:
    return _HEADER.pack(P_DATA_TF, size + PDV_HEADER_BYTES, size + 2, context_id, flags | LAST)


def _part(piece: FileRange | memoryview, start: int, end: int) -> Chunk:
    if isinstance(piece, FileRange):
        return FileRange(piece.fd, piece.offset + start, end - start)
    return piece[start:end]
