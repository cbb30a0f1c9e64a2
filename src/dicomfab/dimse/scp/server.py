"""A DIMSE server: listens, and serves each association in a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final

from dicomfab.dimse.explain_tls import caller_failed
from dicomfab.dimse.handlers import Handlers, NormalizedHandler, ServerConfig
from dicomfab.dimse.scp.gate import Gate
from dicomfab.dimse.scp.services import answer
from dicomfab.dimse.scp.session import Session
from dicomfab.dimse.transport.channel import Channel, PlainChannel, hang_up
from dicomfab.dimse.transport.faults import FaultyChannel
from dicomfab.dimse.transport.tls import server_context
from dicomfab.dimse.transport.tls_channel import TlsChannel
from dicomfab.model.errors import InvalidInput

log = logging.getLogger(__name__)

_BACKLOG: Final = 128
#: Connections that are open without an association, above the limit of these: more are closed unheard.
_WAITING: Final = 256
_JOIN_S: Final = 10.0
_RETRY_S: Final = 0.1


class Server:
    """A running DIMSE server; use as a context manager.

    Args:
        config: how it presents itself.
        handlers: of the C-services.
        normalized: of the N-services, by SOP class UID.
        gate: admits callers and gives each association handlers of its own, from the thread of each; without one, the
            handlers are those of all.

    Raises:
        OSError: on entering, when the port cannot be bound.
        InvalidInput: on entering, when a file of the TLS settings cannot be used.
    """

    def __init__(
        self,
        config: ServerConfig,
        handlers: Handlers,
        normalized: Mapping[str, NormalizedHandler] | None = None,
        *,
        gate: Gate | None = None,
    ) -> None:
        self._config = config
        self._handlers = handlers
        self._normalized = normalized or {}
        self._gate = gate
        self._tls: ssl.SSLContext | None = None
        self._listening: socket.socket | None = None
        self._accepting: threading.Thread | None = None
        self._closing = threading.Event()
        self._lock = threading.Lock()
        #: What serves a connection, and how to end it.
        self._sessions: dict[threading.Thread, Callable[[], None]] = {}
        self._admitted = 0

    def __enter__(self) -> Server:
        config = self._config
        if config.tls is not None:
            self._tls = server_context(config.tls)
        family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
        self._closing.clear()
        self._listening = socket.create_server((config.host, config.port), family=family, backlog=_BACKLOG)
        self._accepting = threading.Thread(
            target=self._accept, args=(self._listening,), name="dimse-accept", daemon=True
        )
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        listening, self._listening = self._listening, None
        if listening is None or self._accepting is None:
            return
        self._closing.set()
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        self._accepting.join(_JOIN_S)
        with self._lock:
            running = dict(self._sessions)
        for abort in running.values():
            abort()
        for thread in running:
            thread.join(_JOIN_S)

    @property
    def port(self) -> int:
        """The port in use (chosen by the system when the configuration said 0)."""
        if self._listening is None:
            raise RuntimeError("the server is not running")
        return int(self._listening.getsockname()[1])

    @property
    def associations(self) -> int:
        """How many associations are open."""
        with self._lock:
            return self._admitted

    def _accept(self, listening: socket.socket) -> None:
        while not self._closing.is_set():
            try:
                connection, address = listening.accept()
            except OSError as error:
                if self._closing.is_set():
                    return
                # Out of descriptors, or a caller that was gone before it was accepted.
                log.warning("cannot accept a connection: %s", error.strerror)
                self._closing.wait(_RETRY_S)
                continue
            thread = threading.Thread(target=self._serve, args=(connection, str(address[0])), daemon=True)
            with self._lock:
                crowded = len(self._sessions) >= self._config.max_associations + _WAITING
                if not crowded:
                    self._sessions[thread] = _nothing
            if crowded or not self._started(thread):
                connection.close()

    def _started(self, thread: threading.Thread) -> bool:
        try:
            thread.start()
        except RuntimeError as error:  # the operating system has no more
            log.warning("a connection is closed unheard: %s", error)
            with self._lock:
                del self._sessions[thread]
            return False
        return True

    def _serve(self, connection: socket.socket, address: str) -> None:
        thread = threading.current_thread()
        thread.name = f"dimse-{address}"
        admitted = False

        def admit() -> bool:
            nonlocal admitted
            with self._lock:
                admitted = self._admitted < self._config.max_associations
                self._admitted += admitted
            return admitted

        def leave() -> None:
            nonlocal admitted
            with self._lock:
                self._admitted -= admitted
                admitted = False

        try:
            channel = self._channel(connection, address)
            if channel is not None:
                session = Session(
                    channel, address, self._config, self._handlers, self._normalized, admit, leave, self._gate
                )
                self._ended_by(session.abort)
                session.serve(answer)
        finally:
            connection.close()
            leave()
            with self._lock:
                del self._sessions[thread]

    def _ended_by(self, abort: Callable[[], None]) -> None:
        """Say how to end what this thread does from now on."""
        with self._lock:
            self._sessions[threading.current_thread()] = abort
        if self._closing.is_set():
            abort()

    def _channel(self, connection: socket.socket, address: str) -> Channel | None:
        """The connection, secured if it has to be; ``None`` if that failed."""
        channel: Channel
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            context = self._tls_context()
            channel = PlainChannel(connection) if context is None else TlsChannel(self._secured(connection, context))
        except OSError as error:
            if self._tls is not None:
                log.warning("%s", caller_failed(address, error, timeout_s=self._config.artim_s).what)
            return None
        faults = self._config.faults
        return channel if faults is None else FaultyChannel(channel, faults)

    def _secured(self, connection: socket.socket, tls: ssl.SSLContext) -> ssl.SSLSocket:
        connection.settimeout(self._config.artim_s)
        secure = tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self._ended_by(lambda: hang_up(secure))
        try:
            secure.do_handshake()
        except BaseException:
            secure.close()
            raise
        return secure

    def _tls_context(self) -> ssl.SSLContext | None:
        """The TLS context, made anew when a certificate was renewed."""
        if self._config.tls is not None:
            try:
                self._tls = server_context(self._config.tls)
            except InvalidInput as error:
                log.warning("%s; the one read before stays in use", error.what)
        return self._tls


def _nothing() -> None:
    """There is nothing to end yet: the thread will look whether the server is closing."""
