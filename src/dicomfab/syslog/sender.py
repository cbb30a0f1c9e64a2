"""Sends syslog messages over TLS (RFC 5425), and tells whether the receiver has read them all.

RFC 5425 knows no acknowledgement. But who closes a TCP connection with bytes unread, or gets bytes after it has closed,
answers with a reset (RFC 1122 4.2.2.13). So one connection carries some messages, we close our side first, and they
count as read only when the receiver closed its own in answer, and no reset came.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Final, NoReturn

from dicomfab.model.errors import PeerTimeout
from dicomfab.syslog.explain import cut_off, not_secure, our_files_unusable, unreachable
from dicomfab.syslog.receiver import SyslogReceiver

_READ: Final = 1 << 16
_LOOK_S: Final = 0.005
#: Of ``tcpi_state`` in Linux. A connection in TIME_WAIT is told as closed, too.
_ESTABLISHED, _CLOSED, _LAST_ACK, _CLOSING = 1, 7, 9, 11
#: Keeps what is sent until more follows: here our end, so that both go in one segment.
_MORE: Final = getattr(socket, "MSG_MORE", 0)


def deliver(receiver: SyslogReceiver, frames: Iterable[bytes], *, within_s: float) -> None:
    """Send messages, in order, over one connection; the receiver has read all of them when this returns.

    Args:
        receiver: to whom.
        frames: each a message with its octet count (:func:`~dicomfab.syslog.message.framed`).
        within_s: for all of it, seconds.

    Raises:
        InvalidInput: our certificate, key or CA file cannot be used; nothing was sent.
        ConnectionFailed, TlsFailed: no secure connection came about; nothing was sent.
        ConnectionLost, PeerTimeout: how many of them were read is not known. Send all of them again.
    """
    with _Connection(receiver, time.monotonic() + within_s) as connection:
        for frame in frames:
            connection.send(frame)
        connection.end()


def context_for(receiver: SyslogReceiver) -> ssl.SSLContext:
    """TLS 1.2 or 1.3 that checks chain and host name, with our certificate. The files are read anew each time.

    Raises:
        InvalidInput: one of the files cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=receiver.ca)
    except OSError as error:
        raise our_files_unusable(error, receiver.ca) from error
    try:
        # A passphrase would be asked for on the terminal, where a service has none.
        context.load_cert_chain(receiver.certificate, receiver.key, password="")
    except OSError as error:
        raise our_files_unusable(error, receiver.certificate, receiver.key) from error
    return context


class _Connection:
    """One connection, for a ``with`` block. TLS goes through memory, so that its end and TCP's are ours to order.

    Args:
        receiver: to whom.
        until: when all of it must be over, by the monotonic clock.
    """

    def __init__(self, receiver: SyslogReceiver, until: float) -> None:
        self._receiver = receiver
        self._until = until
        self._started = time.monotonic()
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        # An IPv6 zone and the dot at the end of a complete name are no part of a certificate's.
        self._name = receiver.host.partition("%")[0].rstrip(".")
        self._tls = context_for(receiver).wrap_bio(self._in, self._out, server_hostname=self._name)
        try:
            self._socket = socket.create_connection((receiver.host, receiver.port), self._left())
        except OSError as error:
            raise unreachable(error, receiver) from error

    def __enter__(self) -> _Connection:
        """Agree on TLS."""
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                with contextlib.suppress(ssl.SSLWantReadError):
                    self._tls.do_handshake()
                    self._flush()
                    return self
                self._flush()
                if not self._read():
                    raise ConnectionResetError(errno.ECONNRESET, "it hung up")
        except OSError as error:
            with contextlib.suppress(OSError):
                self._flush()  # the alert that says why we do not go on
            self._socket.close()
            raise not_secure(error, self._receiver, self._name) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, frame: bytes) -> None:
        """Send a message.

        Raises:
            ConnectionLost, PeerTimeout: the receiver takes no more.
        """
        self._tls.write(frame)
        try:
            self._flush()
        except OSError as error:
            self._failed(error)

    def end(self) -> None:
        """Close our side, and see the receiver close its own in answer.

        Raises:
            ConnectionLost, PeerTimeout: it did not, or not in good order.
        """
        try:
            with contextlib.suppress(ssl.SSLWantReadError):
                self._tls.unwrap()
            self._flush(_MORE)
            is_first = self._state() == _ESTABLISHED
            self._socket.shutdown(socket.SHUT_WR)
            if not is_first or self._state() in (_LAST_ACK, _CLOSING):
                raise ConnectionResetError(errno.ECONNRESET, "it closed before we did")
            while self._read():
                self._look_inside()
            self._see_both_closed()
        except OSError as error:
            self._failed(error)

    def _see_both_closed(self) -> None:
        """Wait until our end is acknowledged; had the receiver left something unread, a reset says so by then."""
        while self._state() not in (_CLOSED, _ESTABLISHED):
            time.sleep(min(_LOOK_S, self._left()))
        number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise OSError(number, os.strerror(number))

    def _state(self) -> int:
        """Of the TCP connection; where the system does not tell it, established."""
        if not hasattr(socket, "TCP_INFO"):
            return _ESTABLISHED
        return self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]

    def _look_inside(self) -> None:
        """Read what came: at most tickets, and the end; an alert is raised."""
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            while self._tls.read(_READ):
                pass

    def _flush(self, flags: int = 0) -> None:
        while data := self._out.read(_READ):
            self._socket.settimeout(self._left())
            self._socket.sendall(data, flags)

    def _read(self) -> bool:
        self._socket.settimeout(self._left())
        data = self._socket.recv(_READ)
        self._in.write(data)
        return bool(data)

    def _left(self) -> float:
        """Seconds."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _failed(self, error: OSError) -> NoReturn:
        """Say why; the alert that a receiver sent before it hung up explains more than that it did."""
        if isinstance(error, TimeoutError):
            raise PeerTimeout(
                f"the syslog receiver {self._receiver} did not read everything in {self._until - self._started:.0f} s",
                stage="sending",
                timeout_s=self._until - self._started,
                cause="it is overloaded, its disk is full, or the network between is broken",
                remedy="look at its log; what it did not read is sent again by itself",
            ) from error
        raise cut_off(self._alert() or error, self._receiver) from error

    def _alert(self) -> ssl.SSLError | None:
        """The alert that the receiver sent before it hung up: it explains more than that it did."""
        try:
            self._socket.settimeout(0.0)
            self._in.write(self._socket.recv(_READ))
        except OSError:
            pass  # nothing came; but something may have been read before
        try:
            self._look_inside()
        except ssl.SSLError as alert:
            return alert
        return None
