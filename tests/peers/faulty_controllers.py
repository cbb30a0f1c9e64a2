"""Domain controllers that are dead, half dead or not who they say, and a relay before a real one.

The relay ends TLS, notes every request, and falls silent or hangs up when it is told to: so something happens in the
midst of a conversation.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import trustme

from dicomfab.identity.ldap import LdapServer
from tests.peers.domain_controller import LDAPS, DomainController

HOST = "127.0.0.1"
BIND, BOUND, UNBIND, SEARCH, SEARCHED = 0x60, 0x61, 0x42, 0x63, 0x65  # tags of RFC 4511 4.2, 4.3 and 4.5
START_TLS = b"1.3.6.1.4.1.1466.20037"
AGREED = bytes.fromhex("300c02010178070a010004000400")
UNAVAILABLE = bytes.fromhex("300c02010178070a013404000400")
LONG_FORM = bytes.fromhex("308400000010020101788400000007") + bytes.fromhex("0a010004000400")


@contextmanager
def full_backlog() -> Iterator[LdapServer]:
    """A port that leaves every further connection without an answer, as a host that is down does."""
    with socket.socket() as listening, contextlib.ExitStack() as held:
        listening.bind((HOST, 0))
        listening.listen(0)
        address = listening.getsockname()
        for _ in range(20):
            waiting = held.enter_context(socket.socket())
            waiting.settimeout(0.2)
            try:
                waiting.connect(address)
            except TimeoutError:
                break
        yield LdapServer(HOST, address[1], start_tls=False)


@dataclass
class Seen:
    """A server in a thread, and what it has seen."""

    port: int
    calls: int = 0
    requests: list[bytes] = field(default_factory=list)
    plain: bytes = b""

    def server(self, *, start_tls: bool = False) -> LdapServer:
        return LdapServer(HOST, self.port, start_tls=start_tls)


@contextmanager
def serving(behave: Callable[[socket.socket, Seen], None]) -> Iterator[Seen]:
    """Each connection is dealt with in a thread; all end with the block."""
    ended = threading.Event()
    threads: list[threading.Thread] = []
    connections: list[socket.socket] = []
    with socket.create_server((HOST, 0)) as listening:
        seen = Seen(listening.getsockname()[1])

        def one(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                behave(connection, seen)

        def accept() -> None:
            while not ended.is_set():
                with contextlib.suppress(OSError):
                    connection, _ = listening.accept()
                    connection.settimeout(20)
                    seen.calls += 1
                    connections.append(connection)
                    threads.append(threading.Thread(target=one, args=(connection,)))
                    threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield seen
        finally:
            ended.set()
            listening.shutdown(socket.SHUT_RDWR)
            accepting.join(20)
            for thread in threads:
                thread.join(25)
            assert not any(thread.is_alive() for thread in [accepting, *threads])


def until_closed(connection: socket.socket) -> None:
    while connection.recv(10_000):
        pass


def silent(connection: socket.socket, _: Seen) -> None:
    until_closed(connection)


def hanging_up(_connection: socket.socket, _: Seen) -> None:
    return


def babbling(connection: socket.socket, seen: Seen) -> None:
    seen.plain += connection.recv(10_000)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    until_closed(connection)


def answering(*parts: bytes) -> Callable[[socket.socket, Seen], None]:
    """Without TLS: notes what comes, gives an answer in parts, and notes what comes then."""

    def behave(connection: socket.socket, seen: Seen) -> None:
        seen.plain += connection.recv(10_000)
        for part in parts:
            connection.sendall(part)
            time.sleep(0.005)
        while received := connection.recv(10_000):
            seen.plain += received

    return behave


def context_of(made: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.configure_cert(context)
    return context


def under_tls(context: ssl.SSLContext, then: Callable[[ssl.SSLSocket], None]) -> Callable[[socket.socket, Seen], None]:
    def behave(connection: socket.socket, _: Seen) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            then(secure)

    return behave


def trickling(secure: ssl.SSLSocket) -> None:
    """The head of a long answer, and then a byte now and then."""
    secure.recv(10_000)
    secure.sendall(bytes.fromhex("3084000fffff"))
    while True:
        secure.sendall(b"\0")
        time.sleep(0.05)


def relaying(
    controller: DomainController, *, answered: int = 99, hangs_up: bool = False, start_tls: bool = False
) -> Callable[[socket.socket, Seen], None]:
    """Stand before a controller: ``answered`` requests are, and what comes then is noted and left lying."""
    context = context_of(controller.authority.issue_cert(HOST))
    trusting = ssl.create_default_context(cafile=controller.ca_file)

    def behave(connection: socket.socket, seen: Seen) -> None:
        if start_tls:
            seen.plain += connection.recv(10_000)
            connection.sendall(AGREED)
        with (
            context.wrap_socket(connection, server_side=True) as secure,
            socket.create_connection((controller.address, LDAPS), 20) as behind,
            trusting.wrap_socket(behind, server_hostname=controller.address) as real,
        ):
            count = 0
            while request := secure.recv(10_000):
                seen.requests.append(request)
                count += 1
                if count > answered:
                    if hangs_up:
                        return
                    continue
                real.sendall(request)
                secure.sendall(whole(real, request))

    return behave


def whole(real: ssl.SSLSocket, request: bytes) -> bytes:
    """The answer to a request: of a search, up to the message that ends it."""
    if operation_of(request) == UNBIND:
        return b""  # it has none
    answer, at = b"", 0
    while received := real.recv(100_000):
        answer += received
        while (end := end_of(answer, at)) <= len(answer):
            if operation_of(answer[at:end]) in (BOUND, SEARCHED):
                return answer
            at = end
    raise ConnectionResetError("the controller has closed the connection")


def content_of(data: bytes, at: int) -> tuple[int, int]:
    """Where the content of an element begins and ends (X.690 8.1.3)."""
    size, start = data[at + 1], at + 2
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(data[at + 2 : start], "big")
    return start, start + size


def end_of(data: bytes, at: int) -> int:
    return content_of(data, at)[1] if len(data) >= at + 6 else at + 6


def operation_of(message: bytes) -> int:
    """The tag of what a message is about (RFC 4511 4.1.1): it follows the number of the message."""
    start, _ = content_of(message, 0)
    return message[content_of(message, start)[1]]


@contextmanager
def dead(kind: str, controller: DomainController) -> Iterator[LdapServer]:
    """One that cannot be asked, in one of the ways there are."""
    context = context_of(controller.authority.issue_cert(HOST))
    start_tls = kind.startswith("StartTLS")
    behaviours: dict[str, Callable[[socket.socket, Seen], None]] = {
        "silent": silent,
        "hanging up": hanging_up,
        "babbling": babbling,
        "TLS, then silent": under_tls(context, until_closed),
        "TLS, then hanging up": under_tls(context, lambda secure: None),
        "TLS, then trickling": under_tls(context, trickling),
        "silent after signing in": relaying(controller, answered=1),
        "StartTLS silent": silent,
        "StartTLS refused": answering(UNAVAILABLE),
        "StartTLS babbling": answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        "StartTLS agreed, then silent": answering(AGREED),
    }
    with serving(behaviours[kind]) as seen:
        yield seen.server(start_tls=start_tls)


KINDS = [
    "silent", "hanging up", "babbling", "TLS, then silent", "TLS, then hanging up", "TLS, then trickling",
    "silent after signing in", "StartTLS silent", "StartTLS refused", "StartTLS babbling",
    "StartTLS agreed, then silent",
]  # fmt: skip
