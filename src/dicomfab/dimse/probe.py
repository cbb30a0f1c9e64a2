"""Looks at the road to a peer, step by step, and says nothing of DICOM on it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import Final

from dicomfab.dimse import explain, explain_tls
from dicomfab.dimse.peer import Peer
from dicomfab.model.errors import ConnectionFailed

_UDP_PORT: Final = 9  # discard; nothing is sent to it


def resolve(peer: Peer, timeout_s: float) -> tuple[str, ...]:
    """The addresses of a peer's host, IPv4 first.

    Args:
        peer: whose host.
        timeout_s: seconds to wait; the system's resolver has no limit of its own that could be set.

    Raises:
        ConnectionFailed: no such name, or no answer in time (``name-timeout``).
    """
    found: list[tuple[str, ...] | OSError | UnicodeError] = []

    def look_up() -> None:
        try:
            entries = socket.getaddrinfo(peer.host, peer.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            found.append(error)
            return
        entries.sort(key=lambda entry: entry[0] != socket.AF_INET)
        found.append(tuple(dict.fromkeys(str(entry[4][0]) for entry in entries)))

    thread = threading.Thread(target=look_up, name="resolve", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if not found:
        raise ConnectionFailed(
            f"looking up the host name {peer.host!r} of {peer.label} took longer than {timeout_s:g} s.",
            cause="the DNS server of this machine does not answer",
            remedy="check the network settings of this machine; try the IP address instead",
        ).coded("name-timeout")
    if isinstance(found[0], tuple):
        return found[0]
    raise explain.name_unknown(peer, found[0]) from found[0]


def speaks_tls(peer: Peer) -> bool:
    """Whether a port that was called without TLS speaks it: a handshake that verifies nothing, with nothing sent in it.

    A peer that answers the handshake with an alert speaks TLS as well.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        contextlib.suppress(OSError),
        socket.create_connection((peer.host, peer.port), peer.timeouts.connect_s) as sock,
    ):
        sock.getpeername()  # fails if it is reset already: wrapping it would fail as well, and leave it open
        try:
            context.wrap_socket(sock, server_hostname=peer.host).close()
        except OSError as error:
            return explain_tls.is_alert(error)
        return True
    return False


def our_address_towards(host: str) -> str:
    """The address that this machine would call an address from; empty if there is no way to it. Sends nothing."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect((host, _UDP_PORT))
        return str(sock.getsockname()[0])
    return ""
