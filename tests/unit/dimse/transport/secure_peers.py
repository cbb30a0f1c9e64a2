"""Certificates, and peers on real sockets that speak TLS well, badly or not at all."""

from __future__ import annotations

import base64
import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dicomfab.dimse.explain_tls import alert_after_handshake, tls_failed
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.tls_settings import TlsSettings
from dicomfab.dimse.transport.tls import client_context, has_answered, pending_alert

HOST = "127.0.0.1"
DEADLINE_S = 10.0

Behaviour = Callable[[socket.socket, "Served"], None]


@dataclass(frozen=True)
class Pair:
    """Paths of a certificate and its key."""

    certificate: str
    key: str


class Authority:
    """A certification authority that writes what it issues into a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._ca = trustme.CA(organization_name=name)
        self._folder = folder
        self._name = name
        self.file = str(folder / f"{name}.pem")
        self._ca.cert_pem.write_to_path(self.file)

    def issue(
        self,
        *names: str,
        valid: tuple[int, int] | None = None,
        key_type: trustme.KeyType = trustme.KeyType.ECDSA,
        unit: str = "",
    ) -> Pair:
        """A certificate for names or addresses; ``valid`` gives its first and last year."""
        years = [datetime.datetime(year, 1, 1, tzinfo=datetime.UTC) for year in valid or ()]
        period = dict(zip(("not_before", "not_after"), years, strict=False))
        made = self._ca.issue_cert(*names, key_type=key_type, organization_unit_name=unit or None, **period)
        stem = self._folder / f"{self._name}-{len(list(self._folder.iterdir()))}"
        pair = Pair(f"{stem}.crt", f"{stem}.key")
        made.private_key_pem.write_to_path(pair.key)
        for number, blob in enumerate(made.cert_chain_pems):
            blob.write_to_path(pair.certificate, append=number > 0)
        return pair


@dataclass
class Served:
    """One connection as its server saw it."""

    port: int
    said: list[OSError | bytes] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)


@contextlib.contextmanager
def serving(behave: Behaviour) -> Iterator[Served]:
    """Accept one connection in a thread, which has ended when the block ends."""
    with socket.create_server((HOST, 0)) as listener:
        listener.settimeout(DEADLINE_S)
        served = Served(listener.getsockname()[1])

        def serve() -> None:
            connection, _ = listener.accept()
            connection.settimeout(DEADLINE_S)
            with connection:
                behave(connection, served)
            served.over.set()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield served
        finally:
            thread.join(DEADLINE_S)
            assert not thread.is_alive()


def secure(context: ssl.SSLContext) -> Behaviour:
    """A server that answers the first bytes with the same, over TLS."""

    def behave(connection: socket.socket, served: Served) -> None:
        try:
            with context.wrap_socket(connection, server_side=True) as wrapped:
                served.said.append(wrapped.recv(100))
                wrapped.sendall(b"pong")
                wrapped.recv(1)
        except OSError as error:
            served.said.append(error)

    return behave


def answering(reply: bytes) -> Behaviour:
    """A server without TLS: it waits for the first bytes, says something and hangs up."""

    def behave(connection: socket.socket, served: Served) -> None:
        with contextlib.suppress(OSError):
            served.said.append(connection.recv(10_000))
            connection.sendall(reply)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(10_000):
                pass

    return behave


def peer(port: int, tls: TlsSettings | None, *, host: str = HOST, wait_s: float = DEADLINE_S) -> Peer:
    return Peer(host, port, "PACS", timeouts=Timeouts(connect_s=wait_s), name="Hospital PACS", tls=tls)


def handshake(called: Peer) -> ssl.SSLSocket:
    """Call a peer as the documentation of ``transport.tls`` says."""
    assert called.tls is not None
    raw = socket.create_connection((HOST, called.port), called.timeouts.connect_s)
    name = called.tls.name_for(called.host)
    wrapped = client_context(called.tls).wrap_socket(raw, server_hostname=name, do_handshake_on_connect=False)
    try:
        wrapped.do_handshake()
    except OSError as error:
        failed = tls_failed(called, error, answered=has_answered(wrapped))
        wrapped.close()
        raise failed from error
    return wrapped


def converse(called: Peer) -> bytes:
    """The first answer of a peer."""
    with handshake(called) as wrapped:
        failed = None
        try:
            wrapped.sendall(b"ping")
            received = wrapped.recv(100)
        except OSError as error:
            failed = alert_after_handshake(called, pending_alert(wrapped) or error)
            if failed is None:
                raise
        else:
            failed = None if received else alert_after_handshake(called, None)
        if failed is not None:
            raise failed
        return received


def old_server(pair: Pair, newest: ssl.TLSVersion) -> ssl.SSLContext:
    """A server of former times, which this OpenSSL only plays when its own floor is lowered."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = newest
    context.load_cert_chain(pair.certificate, pair.key)
    return context


def self_signed(folder: Path, bits: int = 2048) -> Pair:
    """A certificate that its server made itself, for this machine."""
    key = rsa.generate_private_key(65537, bits)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{bits} bits")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    now = datetime.datetime.now(datetime.UTC)
    builder = builder.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))])
    signed = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    pair = Pair(str(folder / f"self-{bits}.crt"), str(folder / f"self-{bits}.key"))
    Path(pair.certificate).write_bytes(signed.public_bytes(Encoding.PEM))
    Path(pair.key).write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return pair


def ffdhe2048(folder: Path) -> str:
    """Path of the Diffie-Hellman parameters of RFC 7919 A.1, computed by the formula given there."""
    scale = 1 << (1918 + 64)
    e, term, divisor = 0, scale, 1
    while term:
        e, term, divisor = e + term, term // divisor, divisor + 1
    prime = (1 << 2048) - (1 << 1984) + ((e >> 64) + 560316) * (1 << 64) - 1
    numbers = b"\x02\x82\x01\x01\x00" + prime.to_bytes(256, "big") + b"\x02\x01\x02"
    der = b"\x30\x82" + len(numbers).to_bytes(2, "big") + numbers
    path = folder / "ffdhe2048.pem"
    body = base64.encodebytes(der).decode()
    path.write_text(f"-----BEGIN DH PARAMETERS-----\n{body}-----END DH PARAMETERS-----\n")
    return str(path)
