"""A listener for HL7 v2 messages over MLLP: a thread for each connection, one answer for each message."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from dicomfab.hl7.mllp import MAX_BYTES, Fault, Frame, Framer, Wrong, framed
from dicomfab.model.log_lines import log_failure

log = logging.getLogger(__name__)

_READ: Final = 1 << 16
_JOIN_S: Final = 5.0
_RETRY_S: Final = 0.2
_BACKLOG: Final = 64

#: Takes a message and the address that it came from; gives the answer, empty if none is wanted.
Answer = Callable[[bytes, str], bytes]
#: Takes what was no message; gives the answer, empty if there is nobody to answer.
OnFault = Callable[[Fault, str], bytes]


@dataclass(frozen=True, slots=True)
class ListenerConfig:
    """How a listener behaves.

    Args:
        host: the address to bind to.
        port: 0 takes a free one.
        tls: secures the connections; none means plain TCP.
        max_connections: further ones are closed at once.
        idle_s: how long a connection may be silent.
        handshake_s: how long its TLS handshake may take, from its first byte to its last.
        max_bytes: of a message.
    """

    host: str = "127.0.0.1"
    port: int = 0
    tls: ssl.SSLContext | None = None
    max_connections: int = 50
    idle_s: float = 3600.0
    handshake_s: float = 30.0
    max_bytes: int = MAX_BYTES


class Listener:
    """Listens during a ``with`` block.

    Args:
        config: how.
        answer: called for each message, from the thread of its connection; the next message of that connection is read
            when its answer has been sent.
        on_fault: called for bytes that are no message.
    """

    def __init__(self, config: ListenerConfig, answer: Answer, on_fault: OnFault) -> None:
        self._config = config
        self._answer = answer
        self._on_fault = on_fault
        self._listening: socket.socket | None = None
        self._accepting: threading.Thread | None = None
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._connections: dict[threading.Thread, socket.socket] = {}

    def __enter__(self) -> Listener:
        """Listen.

        Raises:
            OSError: the port cannot be bound.
        """
        config = self._config
        family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
        self._closing.clear()
        self._listening = socket.create_server((config.host, config.port), family=family, backlog=_BACKLOG)
        self._accepting = threading.Thread(
            target=self._accept, args=(self._listening,), name="mllp-accept", daemon=True
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
            running = dict(self._connections)
        for connection in running.values():
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        for thread in running:
            thread.join(_JOIN_S)

    @property
    def port(self) -> int:
        """The port in use (chosen by the system when the configuration said 0)."""
        if self._listening is None:
            raise RuntimeError("the listener is not running")
        return int(self._listening.getsockname()[1])

    def _accept(self, listening: socket.socket) -> None:
        while not self._closing.is_set():
            try:
                connection, address = listening.accept()
            except OSError as error:
                if self._closing.is_set():
                    return
                log.warning("cannot accept a connection: %s", error.strerror)
                self._closing.wait(_RETRY_S)
                continue
            thread = threading.Thread(target=self._serve, args=(connection, str(address[0])), daemon=True)
            with self._lock:
                is_crowded = len(self._connections) >= self._config.max_connections
                if not is_crowded:
                    self._connections[thread] = connection
            if is_crowded:
                log.warning("MLLP: a connection from %s is closed: %d are open", address[0], len(self._connections))
            if is_crowded or not self._started(thread):
                connection.close()

    def _started(self, thread: threading.Thread) -> bool:
        try:
            thread.start()
        except RuntimeError as error:  # the operating system has no more
            log.warning("MLLP: a connection is closed unheard: %s", error)
            with self._lock:
                del self._connections[thread]
            return False
        return True

    def _serve(self, connection: socket.socket, peer: str) -> None:
        thread = threading.current_thread()
        thread.name = f"mllp-{peer}"
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._config.tls is not None:
                connection.settimeout(self._config.handshake_s)
                connection = self._config.tls.wrap_socket(connection, server_side=True)
                with self._lock:
                    self._connections[thread] = connection
            connection.settimeout(self._config.idle_s)
            self._converse(connection, peer)
        except TimeoutError:
            log.info("MLLP: %s was silent for %.0f s: closed", peer, connection.gettimeout())
        except OSError as error:
            if not self._closing.is_set():
                log.warning("MLLP: the connection with %s broke: %s", peer, error.strerror or error)
        except Exception as error:  # noqa: BLE001 (outermost door of a thread)
            log_failure(log, f"MLLP: answering {peer}", error)
        finally:
            connection.close()
            with self._lock:
                self._connections.pop(thread, None)

    def _converse(self, connection: socket.socket, peer: str) -> None:
        framer = Framer(self._config.max_bytes)
        while not self._closing.is_set():
            data = connection.recv(_READ)
            if not data:
                left = framer.ended()
                if left is not None:
                    self._on_fault(left, peer)
                return
            for found in framer.feed(data):
                reply = self._reply(found, peer)
                if reply:
                    connection.sendall(framed(reply))

    def _reply(self, found: Frame | Fault, peer: str) -> bytes:
        if isinstance(found, Frame):
            return self._answer(found.data, peer)
        answer = self._on_fault(found, peer)
        return answer if found.what is not Wrong.STRAY else b""
