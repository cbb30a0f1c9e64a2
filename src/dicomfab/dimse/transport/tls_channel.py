"""The same over TLS: what is sent passes through here, so it goes in pieces that stay small."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from typing import Final

from dicomfab.dimse.transport.channel import (
    OnStall,
    ReceiveTimeout,
    SendTimeout,
    acknowledge_at_once,
    hang_up,
    read_exactly,
    send_at_once,
)
from dicomfab.ul.pdata import Chunk, FileRange

_SLICE_S: Final = 0.1
_PIECE_BYTES: Final = 256 << 10


class TlsChannel:
    """A channel over an established TLS connection (see :class:`~dicomfab.dimse.transport.channel.Channel`).

    Args:
        sock: connected, its handshake done, and from now on ours.
    """

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._sock = sock
        send_at_once(sock)

    def receive_into(self, buffer: memoryview, deadline: float) -> int:
        """See :class:`~dicomfab.dimse.transport.channel.Channel`."""
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            count = self.receive_now(buffer)
            if count is None:
                raise ReceiveTimeout
            return count
        self._sock.settimeout(left_s)
        acknowledge_at_once(self._sock)
        try:
            return self._sock.recv_into(buffer)
        except ssl.SSLEOFError:
            return 0  # closed without close_notify, as most DICOM software does
        except TimeoutError:
            raise ReceiveTimeout from None

    def receive_now(self, buffer: memoryview) -> int | None:
        """See :class:`~dicomfab.dimse.transport.channel.Channel`."""
        self._sock.settimeout(0.0)
        try:
            return self._sock.recv_into(buffer)
        except ssl.SSLEOFError:
            return 0
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return None

    def send(self, chunks: Iterable[Chunk], timeout_s: float, on_stall: OnStall) -> None:
        """See :class:`~dicomfab.dimse.transport.channel.Channel`."""
        for piece in _pieces(chunks):
            self._send_piece(memoryview(piece), timeout_s, on_stall)

    def _send_piece(self, left: memoryview, timeout_s: float, on_stall: OnStall) -> None:
        deadline = time.monotonic() + timeout_s
        while left:
            self._sock.settimeout(_SLICE_S)
            try:
                sent = self._sock.send(left)
            except TimeoutError:
                on_stall()
                if time.monotonic() >= deadline:
                    raise SendTimeout from None
                continue
            left = left[sent:]
            deadline = time.monotonic() + timeout_s

    def finish(self, last_words: bytes) -> None:
        """See :class:`~dicomfab.dimse.transport.channel.Channel`."""
        with contextlib.suppress(OSError):
            self._sock.settimeout(0.0)
            self._sock.send(last_words)
            socket.socket.shutdown(self._sock, socket.SHUT_WR)

    def interrupt(self, last_words: bytes) -> None:
        """See :class:`~dicomfab.dimse.transport.channel.Channel`. The last words stay unsaid.

        Another thread may be inside the TLS library, which does not allow two; the TCP connection below may be ended.
        """
        hang_up(self._sock)

    def close(self) -> None:
        """See :class:`~dicomfab.dimse.transport.channel.Channel`."""
        self._sock.close()


def _pieces(chunks: Iterable[Chunk]) -> Iterator[bytes | bytearray]:
    """Chunks joined, or cut, to pieces of a size that TLS deals with well."""
    gathered = bytearray()
    for chunk in chunks:
        if isinstance(chunk, FileRange):
            yield from _file_pieces(gathered, chunk)
            gathered = bytearray()
            continue
        gathered += chunk
        if len(gathered) >= _PIECE_BYTES:
            yield gathered
            gathered = bytearray()
    if gathered:
        yield gathered


def _file_pieces(head: bytearray, piece: FileRange) -> Iterator[bytearray]:
    offset, end = piece.offset, piece.offset + piece.length
    while offset < end:
        count = min(_PIECE_BYTES, end - offset)
        start = len(head)
        head += bytes(count)
        read_exactly(piece.fd, memoryview(head)[start:], offset)
        yield head
        head = bytearray()
        offset += count
