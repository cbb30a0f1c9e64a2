"""Sends HL7 v2 messages over MLLP: one is under way at a time, and counts as sent when it was answered."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from types import TracebackType
from typing import Final

from dicomfab.hl7.mllp import Frame, Framer, framed
from dicomfab.model.errors import ConnectionFailed, ConnectionLost, PeerTimeout

_READ: Final = 1 << 16
_OURS: Final = "--tls-cert and --tls-key, in a profile tls_certificate_file and tls_key_file"
_THEIRS: Final = "--tls-ca, in a profile tls_ca_file"


class Sender:
    """A connection to a listener, for a ``with`` block.

    Args:
        host: of the listener.
        port: of the listener.
        timeout_s: for connecting, and for each answer.
        tls: secures the connection; none means plain TCP.
    """

    def __init__(self, host: str, port: int, *, timeout_s: float = 30.0, tls: ssl.SSLContext | None = None) -> None:
        self._host = host
        self._port = port
        self._timeout_s = timeout_s
        self._tls = tls
        self._connection: socket.socket | None = None
        self._framer = Framer()

    def __enter__(self) -> Sender:
        """Connect.

        Raises:
            ConnectionFailed: nobody listens there.
        """
        try:
            connection = socket.create_connection((self._host, self._port), self._timeout_s)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connection = connection
            if self._tls is not None:
                self._connection = self._tls.wrap_socket(connection, server_hostname=self._host)
        except OSError as error:
            self.__exit__(None, None, None)
            raise _unreachable(error, f"{self._host}:{self._port}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.close()
            self._connection = None

    def send(self, message: bytes) -> bytes:
        """Send a message and wait for its answer.

        Args:
            message: without the bytes of MLLP.

        Returns:
            The acknowledgement.

        Raises:
            PeerTimeout: none came. Whether the message arrived is not known: send it again unchanged.
            ConnectionLost: the connection broke; the same holds.
        """
        if self._connection is None:
            raise RuntimeError("the connection is not open")
        end = time.monotonic() + self._timeout_s
        try:
            self._connection.settimeout(self._timeout_s)
            self._connection.sendall(framed(message))
            while True:
                self._connection.settimeout(max(0.001, end - time.monotonic()))
                data = self._connection.recv(_READ)
                if not data:
                    what = f"{self._host}:{self._port} closed the connection without an answer"
                    raise _unanswered(what, is_secure=self._tls is not None)
                for found in self._framer.feed(data):
                    if isinstance(found, Frame):
                        return found.data
        except TimeoutError as error:
            raise PeerTimeout(
                f"{self._host}:{self._port} did not answer within {self._timeout_s:g} s",
                stage="acknowledgement",
                timeout_s=self._timeout_s,
                cause="the receiver is busy, or takes the message without answering",
                remedy="send it again unchanged: by its control ID the receiver knows it",
            ) from error
        except OSError as error:
            what = f"the connection with {self._host}:{self._port} broke ({_words(error)})"
            raise _unanswered(what, is_secure=self._tls is not None) from error


def _unanswered(what: str, *, is_secure: bool) -> ConnectionLost:
    """In TLS 1.3 a certificate of ours is refused only when we have begun to send."""
    if is_secure:
        return ConnectionLost(
            what,
            cause="the receiver ended, demands a certificate of ours, or does not trust the one that it got",
            remedy=f"give one that it trusts, {_OURS}; else send it again unchanged: the receiver knows its control ID",
        )
    return ConnectionLost(
        what,
        cause="the receiver ended, wants TLS where we use none, or takes no message of this kind",
        remedy="send it again unchanged: by its control ID the receiver knows it",
    )


def _unreachable(error: OSError, where: str) -> ConnectionFailed:
    """Why there is no connection: what, likely cause, remedy."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConnectionFailed(
            f"the certificate of {where} is not trusted ({error.verify_message})",
            cause="it was not signed by whom we trust, is for another name, or is out of date",
            remedy=f"give the certificate of who signed it, or the name that it is for: {_THEIRS}",
        )
    if isinstance(error, ssl.SSLError):
        return ConnectionFailed(
            f"no secure connection with {where} came about ({_words(error)})",
            cause="the port is for HL7 without TLS, or the receiver demands a certificate of ours",
            remedy=f"leave TLS out, ask for the port with TLS, or give a certificate: {_OURS}",
        )
    if isinstance(error, socket.gaierror):
        return ConnectionFailed(
            f"{where} cannot be reached over MLLP ({_words(error)})",
            cause="the name is mistyped, or this computer's DNS does not know it",
            remedy="check the name, or give the IP address",
        )
    return ConnectionFailed(
        f"{where} cannot be reached over MLLP ({_words(error)})",
        cause="no listener runs there, a firewall is between, or one side wants TLS and the other does not",
        remedy="see that the receiver listens, and on which port",
    )


def _words(error: OSError) -> str:
    """What the system says, without its own file names and numbers."""
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return error.strerror or str(error) or type(error).__name__
