"""From a peer's address to a channel: name resolution, TCP, TLS."""

from __future__ import annotations

import socket
import ssl
import time

from dicomfab.dimse import explain, explain_tls
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.transport.channel import Channel, PlainChannel
from dicomfab.dimse.transport.tls import client_context, describe, has_answered
from dicomfab.dimse.transport.tls_channel import TlsChannel
from dicomfab.model.errors import ConnectionFailed


def connect(peer: Peer) -> Channel:
    """Open a connection to a peer.

    Raises:
        ConnectionFailed: no such name, nothing listens, no answer, no route.
        TlsFailed: connected, but not securely.
        InvalidInput: a file of the TLS settings cannot be used.
    """
    context = client_context(peer.tls) if peer.tls is not None else None
    sock = _tcp(peer)
    if context is None or peer.tls is None:
        return PlainChannel(sock)
    try:
        return TlsChannel(_secured(sock, context, peer))
    except BaseException:
        sock.close()
        raise


def _tcp(peer: Peer) -> socket.socket:
    trace = peer.trace
    try:
        found = socket.getaddrinfo(peer.host, peer.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise explain.name_unknown(peer, error) from error
    # IPv4 first: DICOM servers that listen on IPv6 alone are rare, hosts whose name has an unused one are not.
    addresses = sorted({(entry[0], entry[4]) for entry in found}, key=lambda entry: entry[0] != socket.AF_INET)
    failure: ConnectionFailed | None = None
    for family, address in addresses:
        try:
            return _tcp_to(family, address, peer)
        except OSError as error:
            # What the first address says counts: the second is often one that nobody uses.
            failure = failure or explain.not_connected(peer, error)
            if trace is not None:
                trace.local("TCP connection failed", address=_shown(address), why=error.strerror or str(error))
    raise failure or explain.name_unknown(peer, OSError("it has no address"))


def _tcp_to(family: int, address: tuple[object, ...], peer: Peer) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(peer.timeouts.connect_s)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        start = time.monotonic()
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    if peer.trace is not None:
        peer.trace.local("TCP connected", address=_shown(address), seconds=round(time.monotonic() - start, 6))
    return sock


def _secured(sock: socket.socket, context: ssl.SSLContext, peer: Peer) -> ssl.SSLSocket:
    if peer.tls is None:
        raise TypeError("TLS settings are missing")
    secure = context.wrap_socket(sock, server_hostname=peer.tls.name_for(peer.host), do_handshake_on_connect=False)
    secure.settimeout(peer.timeouts.connect_s)
    try:
        secure.do_handshake()
    except OSError as error:
        failure = explain_tls.tls_failed(peer, error, answered=has_answered(secure))
        if peer.trace is not None:
            peer.trace.local("TLS handshake failed", why=str(error))
        secure.close()
        raise failure from error
    if peer.trace is not None:
        details = describe(secure)
        peer.trace.local(
            "TLS handshake done",
            version=details.version,
            cipher=details.cipher,
            verified=details.verified,
            subject=details.subject,
            issuer=details.issuer,
            not_after=str(details.not_after or ""),
        )
    return secure


def _shown(address: tuple[object, ...]) -> str:
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
