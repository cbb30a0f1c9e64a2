"""A syslog receiver over mutual TLS on a real socket, good or bad, and certificates for both sides."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dicomfab.syslog.receiver import SyslogReceiver
from tests.unit.dimse.transport.secure_peers import Authority, Pair

HOST = "localhost"


@dataclass
class Peer:
    """What a receiver does, and what it got.

    Args:
        port: that it listens on.
        hang_up_after: bytes that it reads of each connection before it hangs up; none: it reads all.
        is_deaf: it reads nothing, and stays.
        says_goodbye: it answers the end of TLS with its own, as RFC 5246 wants; many do not.
    """

    port: int = 0
    hang_up_after: int | None = None
    is_deaf: bool = False
    says_goodbye: bool = False
    connections: int = 0
    messages: list[bytes] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def numbers(self) -> list[int]:
        """Of the entries, as they came."""
        return [int(found[1]) for one in self.messages if (found := re.search(rb' entry="(\d+)"', one))]


@dataclass(frozen=True)
class Site:
    """Certificates of one authority.

    Args:
        folder: where they are.
        authority: that both sides trust.
        server: the receiver's.
        client: ours.
    """

    folder: Path
    authority: Authority
    server: Pair
    client: Pair

    @classmethod
    def made(cls, folder: Path) -> Site:
        authority = Authority(folder, "hospital")
        return cls(folder, authority, authority.issue(HOST), authority.issue("dicomfab.example"))

    def receiver(self, port: int, client: Pair | None = None, *, ca: str = "", host: str = HOST) -> SyslogReceiver:
        """How the receiver on a port is called."""
        ours = client or self.client
        return SyslogReceiver(host, port, Path(ours.certificate), Path(ours.key), Path(ca or self.authority.file))


@contextlib.contextmanager
def listening(site: Site, peer: Peer | None = None, *, server: Pair | None = None, tls: str = "") -> Iterator[Peer]:
    """Listen during the block.

    Args:
        site: whose certificates.
        peer: how it behaves.
        server: another certificate of the receiver.
        tls: ``1.2`` for no newer version.
    """
    peer = peer or Peer()
    shown = server or site.server
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.certificate, shown.key)
    context.load_verify_locations(site.authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    if tls == "1.2":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_server(("127.0.0.1", peer.port)) as listener:
        peer.port = listener.getsockname()[1]
        thread = threading.Thread(target=_accept, args=(listener, context, peer))
        thread.start()
        try:
            yield peer
        finally:
            peer.over.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _accept(listener: socket.socket, context: ssl.SSLContext, peer: Peer) -> None:
    with contextlib.suppress(OSError):
        while True:
            plain, _ = listener.accept()
            plain.settimeout(10)
            peer.connections += 1
            with contextlib.suppress(OSError), plain, context.wrap_socket(plain, server_side=True) as connection:
                _serve(connection, peer)


def _serve(connection: ssl.SSLSocket, peer: Peer) -> None:
    if peer.is_deaf:
        peer.over.wait(10)
        return
    held = b""
    while peer.hang_up_after is None or len(held) < peer.hang_up_after:
        data = connection.recv(1 << 16)
        if not data:
            break
        held += data
    while held:
        length, _, rest = held.partition(b" ")
        if len(rest) < int(length):
            break
        peer.messages.append(rest[: int(length)])
        held = rest[int(length) :]
    if peer.says_goodbye:
        connection.unwrap()
