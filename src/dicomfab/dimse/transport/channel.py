"""A connected TCP socket with a deadline on every read and every write.

The socket blocks, and the kernel ends each call after a slice of time: then the deadline is looked at. So the ordinary
exchange costs one system call to send and one to receive.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from collections.abc import Callable, Iterable
from typing import Final, Protocol, TypeAlias

from dicomfab.ul.pdata import Chunk, FileRange

#: How often a blocked call comes back to look at its deadline, in seconds.
_SLICE_S: Final = 0.5
#: A sender that is blocked looks more often whether the peer has something to say, such as A-ABORT.
_SEND_SLICE_S: Final = 0.1
#: While sending, a deadline counts for this much progress, in bytes.
_PROGRESS_BYTES: Final = 64 << 10
#: From this size on a piece of a file goes from the page cache to the socket without passing through here.
_SENDFILE_BYTES: Final = 512 << 10
_READ_AHEAD_BYTES: Final = 1 << 20
_MAX_PIECES: Final = 512
_MAX_BATCH_BYTES: Final = 4 << 20
_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)
_LINGER2: Final[int | None] = getattr(socket, "TCP_LINGER2", None)
_MORE: Final[int] = getattr(socket, "MSG_MORE", 0)


class SendTimeout(Exception):
    """The peer did not read on in time."""


class ReceiveTimeout(Exception):
    """The peer sent nothing in time."""


_Piece: TypeAlias = bytes | bytearray | memoryview
#: Called while sending is blocked; may raise to give up.
OnStall = Callable[[], None]


class Channel(Protocol):
    """One connection's bytes."""

    def send(self, chunks: Iterable[Chunk], timeout_s: float, on_stall: OnStall) -> None:
        """Send all chunks in order.

        Args:
            chunks: taken lazily.
            timeout_s: how long the peer may leave each 64 KB unread.
            on_stall: called several times a second while nothing can be sent.

        Raises:
            SendTimeout: the peer stopped reading.
            OSError: the connection failed.
        """

    def receive_into(self, buffer: memoryview, deadline: float) -> int:
        """Receive at least one byte; 0 when the peer has closed.

        Args:
            buffer: not empty.
            deadline: of :func:`time.monotonic`.

        Raises:
            ReceiveTimeout: nothing came until the deadline.
            OSError: the connection failed.
        """

    def receive_now(self, buffer: memoryview) -> int | None:
        """As :meth:`receive_into` without waiting; ``None`` if nothing is there.

        Raises:
            OSError: the connection failed.
        """

    def finish(self, last_words: bytes) -> None:
        """Send some last bytes as far as that goes without waiting, and nothing after them."""

    def interrupt(self, last_words: bytes) -> None:
        """From any thread: try to send some last bytes, then end every call that is blocked."""

    def close(self) -> None:
        """Close the connection."""


def _timeval(seconds: float) -> bytes:
    micros = max(1000, int(seconds * 1_000_000))
    return struct.pack("@ll", micros // 1_000_000, micros % 1_000_000)


class PlainChannel:
    """TCP as it is.

    Args:
        sock: connected, and from now on ours.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._receive_slice_s = 0.0
        self._ahead: _ReadAhead | None = None
        sock.settimeout(None)
        send_at_once(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(_SEND_SLICE_S))
        self._limit_receive(_SLICE_S)

    # ------------------------------------------------------------------ receiving

    def receive_into(self, buffer: memoryview, deadline: float) -> int:
        """See :class:`Channel`."""
        sock = self._sock
        acknowledge_at_once(sock)
        while True:
            left_s = deadline - time.monotonic()
            if left_s < _SLICE_S:
                if left_s <= 0:
                    count = self.receive_now(buffer)
                    if count is None:
                        raise ReceiveTimeout
                    return count
                self._limit_receive(left_s)
            elif self._receive_slice_s != _SLICE_S:
                self._limit_receive(_SLICE_S)
            try:
                return sock.recv_into(buffer)
            except BlockingIOError:
                continue

    def receive_now(self, buffer: memoryview) -> int | None:
        """See :class:`Channel`."""
        try:
            return self._sock.recv_into(buffer, 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None

    def _limit_receive(self, seconds: float) -> None:
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(seconds))
        self._receive_slice_s = seconds

    # ------------------------------------------------------------------ sending

    def send(self, chunks: Iterable[Chunk], timeout_s: float, on_stall: OnStall) -> None:
        """See :class:`Channel`."""
        sending = _Sending(timeout_s, on_stall)
        batch: list[_Piece] = []
        size = 0
        for chunk in chunks:
            piece: _Piece | None
            if not isinstance(chunk, FileRange):
                piece = chunk
            elif chunk.length >= _SENDFILE_BYTES:
                self._send_batch(batch, size, sending, _MORE)
                batch, size = [], 0
                self._send_file(chunk, sending)
                continue
            else:
                ahead = self._ahead = self._ahead or _ReadAhead()
                piece = ahead.get(chunk)
                if piece is None:
                    self._send_batch(batch, size, sending, _MORE)  # it may still refer to what is read over
                    batch, size = [], 0
                    piece = ahead.read(chunk)
            batch.append(piece)
            size += len(piece)
            if len(batch) >= _MAX_PIECES or size >= _MAX_BATCH_BYTES:
                self._send_batch(batch, size, sending, _MORE)
                batch, size = [], 0
        self._send_batch(batch, size, sending, 0)
        if self._ahead is not None:
            self._ahead.forget()

    def _send_batch(self, batch: list[_Piece], size: int, sending: _Sending, flags: int) -> None:
        while size:
            try:
                sent = self._sock.sendmsg(batch, (), flags)
            except BlockingIOError:
                sending.stalled()
                continue
            size -= sent
            if size:
                sending.progressed(sent)
                batch = _after(batch, sent)

    def _send_file(self, piece: FileRange, sending: _Sending) -> None:
        offset, end = piece.offset, piece.offset + piece.length
        while offset < end:
            try:
                sent = os.sendfile(self._sock.fileno(), piece.fd, offset, end - offset)
            except BlockingIOError:
                sending.stalled()
                continue
            if not sent:
                raise EOFError("the file became shorter while it was sent")
            sending.progressed(sent)
            offset += sent

    # ------------------------------------------------------------------ ending

    def finish(self, last_words: bytes) -> None:
        """See :class:`Channel`."""
        with contextlib.suppress(OSError):
            self._sock.send(last_words, socket.MSG_DONTWAIT)
            self._sock.shutdown(socket.SHUT_WR)

    def interrupt(self, last_words: bytes) -> None:
        """See :class:`Channel`."""
        with contextlib.suppress(OSError):
            self._sock.send(last_words, socket.MSG_DONTWAIT)
        hang_up(self._sock)

    def close(self) -> None:
        """See :class:`Channel`."""
        self._sock.close()


class _ReadAhead:
    """Reads a file that goes out in small pieces in large ones."""

    def __init__(self) -> None:
        self._view = memoryview(bytearray(_READ_AHEAD_BYTES))
        self._fd = -1
        self._start = 0
        self._end = 0

    def get(self, piece: FileRange) -> memoryview | None:
        """A piece that is read already."""
        position = piece.offset - self._start
        if piece.fd != self._fd or position < 0 or piece.offset + piece.length > self._end:
            return None
        return self._view[position : position + piece.length]

    def forget(self) -> None:
        """Keep the buffer alone: the next file may have the same descriptor."""
        self._fd = -1

    def read(self, piece: FileRange) -> memoryview:
        """Read a piece and what comes after it, over what was read before.

        Raises:
            EOFError: the file ends before the piece does.
        """
        read_exactly(piece.fd, self._view[: piece.length], piece.offset)
        more = os.preadv(piece.fd, [self._view[piece.length :]], piece.offset + piece.length)
        self._fd, self._start, self._end = piece.fd, piece.offset, piece.offset + piece.length + more
        return self._view[: piece.length]


class _Sending:
    """The deadline of one send, renewed by progress. It begins when sending first has to wait."""

    def __init__(self, timeout_s: float, on_stall: OnStall) -> None:
        self._timeout_s = timeout_s
        self._on_stall = on_stall
        self._deadline = 0.0
        self._progress = 0

    def progressed(self, count: int) -> None:
        self._progress += count
        if self._progress >= _PROGRESS_BYTES:
            self._progress = 0
            self._deadline = 0.0

    def stalled(self) -> None:
        self._on_stall()
        now = time.monotonic()
        if not self._deadline:
            self._deadline = now + self._timeout_s - _SEND_SLICE_S
        elif now >= self._deadline:
            raise SendTimeout


def _after(batch: list[_Piece], sent: int) -> list[_Piece]:
    """What is left of a batch of which so many bytes are sent."""
    done = 0
    while sent >= len(batch[done]):
        sent -= len(batch[done])
        done += 1
    return [memoryview(batch[done])[sent:], *batch[done + 1 :]]


def send_at_once(sock: socket.socket) -> None:
    """Switch Nagle's algorithm off: what is sent here is whole."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def hang_up(sock: socket.socket) -> None:
    """End both directions, and every call that another thread is blocked in; past TLS, which that thread may be in."""
    with contextlib.suppress(OSError):
        if _LINGER2 is not None:
            # What is read after the end of reading widens no window: a peer that fills it as we hang up waits for as
            # long as the kernel keeps the closed connection, by default a minute (tcp(7), TCP_LINGER2).
            sock.setsockopt(socket.IPPROTO_TCP, _LINGER2, 1)
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def acknowledge_at_once(sock: socket.socket) -> None:
    """Acknowledge what comes next without delay; to be said again before each wait (tcp(7), TCP_QUICKACK).

    Peers that leave Nagle's algorithm on send the second half of a message only after the first is acknowledged.
    """
    if _QUICKACK is not None:
        sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)


def read_exactly(fd: int, view: memoryview, offset: int) -> None:
    """Fill a buffer from a place in a file.

    Raises:
        EOFError: the file ends before.
    """
    while view:
        count = os.preadv(fd, [view], offset)
        if not count:
            raise EOFError("the file became shorter while it was sent")
        view = view[count:]
        offset += count
