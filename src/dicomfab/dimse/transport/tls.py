"""TLS for associations: contexts from settings, and what a connection turned out to be (PS3.15 annex B).

How a caller goes about it, so that every failure can be explained (see :mod:`dicomfab.dimse.explain_tls`)::

    secure = client_context(tls).wrap_socket(raw, server_hostname=tls.name_for(host), do_handshake_on_connect=False)
    try:
        secure.do_handshake()
    except OSError as error:
        raise tls_failed(peer, error, answered=has_answered(secure)) from error

With TLS 1.3 a peer refuses our client certificate, or the lack of one, after our side of the handshake has ended. The
first write or read then fails: ``alert_after_handshake(peer, pending_alert(secure) or error)``.
"""

from __future__ import annotations

import functools
import hashlib
import os
import ssl
from dataclasses import dataclass
from datetime import datetime

from dicomfab.dimse.tls_settings import TlsProfile, TlsServerSettings, TlsSettings
from dicomfab.dimse.transport.certificate import read_certificate
from dicomfab.model.errors import InvalidInput

__all__ = [
    "CIPHER_SUITES",
    "TlsDetails",
    "TlsProfile",
    "TlsServerSettings",
    "TlsSettings",
    "client_context",
    "describe",
    "has_answered",
    "pending_alert",
    "server_context",
    "web_context",
]

# Cipher suites for TLS 1.2 by OpenSSL's names, the preferred first. Those for TLS 1.3 are OpenSSL's own and cannot be
# chosen in Python: AES-256-GCM, ChaCha20-Poly1305 and AES-128-GCM. B.13 wants AES-128-CCM from servers as well, so a
# server here does not conform to B.13 in full. No suite with finite-field Diffie-Hellman is ever offered by a server.
_ECDHE_GCM = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
)
CIPHER_SUITES: dict[TlsProfile, tuple[str, ...]] = {
    # PS3.15 B.12, by RFC 9325 4.2: forward secrecy and AEAD.
    TlsProfile.BCP_195: _ECDHE_GCM,
    # PS3.15 B.13: more suites with the same properties. OpenSSL has none with Camellia in GCM.
    TlsProfile.MODIFIED_BCP_195: (
        *_ECDHE_GCM,
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES256-CCM",
        "ECDHE-ECDSA-AES128-CCM",
    ),
    # PS3.15 B.10 (retired), by RFC 7525 4.2; it allows suites of the same strength beside its own.
    TlsProfile.NON_DOWNGRADING_BCP_195: (
        *_ECDHE_GCM,
        "DHE-RSA-AES128-GCM-SHA256",
        "DHE-RSA-AES256-GCM-SHA384",
    ),
}

_CACHED_CONTEXTS = 64
_MISMATCH = frozenset({"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"})
_TOO_WEAK = frozenset({"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"})

_Stamp = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class TlsDetails:
    """What a handshake has led to, for traces.

    Args:
        version: ``TLSv1.2`` or ``TLSv1.3``.
        cipher: the cipher suite, by OpenSSL's name.
        verified: whether the peer's certificate was checked against trusted ones; the next three are claims if not.
        subject: whom the peer's certificate is for; blank if it sent none.
        issuer: who signed it.
        not_after: until when it is valid.
        fingerprint: SHA-256 of the certificate in hexadecimal, as ``openssl x509 -fingerprint -sha256`` prints it.
    """

    version: str
    cipher: str
    verified: bool
    subject: str = ""
    issuer: str = ""
    not_after: datetime | None = None
    fingerprint: str = ""


def client_context(settings: TlsSettings) -> ssl.SSLContext:
    """The context for calling a peer; the same one again while settings and files stay as they are.

    Raises:
        InvalidInput: a file that cannot be used; the field is ``tls_ca_file``, ``tls_certificate_file`` or
            ``tls_key_file``.
    """
    ca_file = settings.ca_file if settings.verify else ""
    return _client_context(settings, _stamps(ca_file, settings.certificate_file, settings.key_file))


def server_context(settings: TlsServerSettings) -> ssl.SSLContext:
    """The context for being called; the same one again while settings and files stay as they are.

    Raises:
        InvalidInput: as :func:`client_context`.
    """
    return _server_context(settings, _stamps(settings.ca_file, settings.certificate_file, settings.key_file))


def describe(socket: ssl.SSLSocket) -> TlsDetails:
    """What the handshake of a socket has led to; also where the peer's certificate was not verified.

    Args:
        socket: after its handshake.
    """
    der = socket.getpeercert(binary_form=True)
    cipher = socket.cipher()
    version, suite = socket.version() or "", cipher[0] if cipher else ""
    if der is None:
        return TlsDetails(version, suite, verified=False)
    verified = socket.context.verify_mode is not ssl.CERT_NONE
    fingerprint = hashlib.sha256(der).digest().hex(":").upper()
    facts = read_certificate(der)
    if facts is None:
        return TlsDetails(version, suite, verified, fingerprint=fingerprint)
    return TlsDetails(version, suite, verified, facts.subject, facts.issuer, facts.not_after, fingerprint)


def has_answered(socket: ssl.SSLSocket) -> bool:
    """Whether a peer agreed on version and cipher suite before the handshake failed.

    That tells a peer that refuses our certificate from one that has no cipher suite in common with us: with TLS 1.2
    both may send the alert ``handshake_failure`` (RFC 5246 7.2.2).

    Args:
        socket: whose handshake failed, not yet closed.
    """
    return socket.cipher() is not None


def pending_alert(socket: ssl.SSLSocket) -> ssl.SSLError | None:
    """The alert that a peer sent before it closed the connection, if it is still there to be read.

    A write fails as soon as the peer has closed; why it did so lies unread behind that. Does not wait. Data of the
    application is lost, so only for connections that have failed.

    Args:
        socket: after its handshake, not yet closed.
    """
    timeout_s = socket.gettimeout()
    try:
        socket.settimeout(0)
        socket.recv(1)
    except (ssl.SSLWantReadError, ssl.SSLEOFError):
        return None
    except ssl.SSLError as error:
        return error
    except OSError:
        return None
    finally:
        socket.settimeout(timeout_s)
    return None


def web_context(settings: TlsSettings) -> ssl.SSLContext:
    """As :func:`client_context`, for HTTP: its clients write what protocol they speak (ALPN) into the context.

    Raises:
        InvalidInput: as :func:`client_context`.
    """
    ca_file = settings.ca_file if settings.verify else ""
    return _web_context(settings, _stamps(ca_file, settings.certificate_file, settings.key_file))


@functools.lru_cache(_CACHED_CONTEXTS)
def _web_context(settings: TlsSettings, files: tuple[_Stamp, ...]) -> ssl.SSLContext:
    return _client_context.__wrapped__(settings, files)


@functools.lru_cache(_CACHED_CONTEXTS)
def _client_context(settings: TlsSettings, _files: tuple[_Stamp, ...]) -> ssl.SSLContext:
    context = _context(ssl.PROTOCOL_TLS_CLIENT, settings.profile)
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif settings.ca_file:
        _trust(context, settings.ca_file)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if settings.certificate_file or settings.key_file:
        _identify(context, settings.certificate_file, settings.key_file)
    return context


@functools.lru_cache(_CACHED_CONTEXTS)
def _server_context(settings: TlsServerSettings, _files: tuple[_Stamp, ...]) -> ssl.SSLContext:
    context = _context(ssl.PROTOCOL_TLS_SERVER, settings.profile)
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    _identify(context, settings.certificate_file, settings.key_file)
    if settings.ca_file:
        _trust(context, settings.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED if settings.require_client_certificate else ssl.CERT_OPTIONAL
    elif settings.require_client_certificate:
        # The system's trust store knows who may sign web servers, not who may sign the callers of this server.
        raise InvalidInput(
            "tls_ca_file: missing",
            field="tls_ca_file",
            value="",
            cause="callers must send a certificate, and nothing says which ones to trust",
            remedy="give the file of the certification authority that signs the callers' certificates",
        )
    return context


def _context(protocol: int, profile: TlsProfile) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION  # RFC 9325 3.3 and 3.5
    context.set_ciphers(":".join(CIPHER_SUITES[profile]))
    return context


def _trust(context: ssl.SSLContext, path: str) -> None:
    _read("tls_ca_file", path)
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        raise _no_certificate("tls_ca_file", path) from error
    # So that trusting one server's own certificate is enough, whoever signed it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


def _identify(context: ssl.SSLContext, certificate_file: str, key_file: str) -> None:
    for field, path in (("tls_certificate_file", certificate_file), ("tls_key_file", key_file)):
        if not path:
            raise InvalidInput(
                f"{field}: missing",
                field=field,
                value="",
                cause="a certificate and its private key go together",
                remedy="give both files" if field == "tls_key_file" else "give both files, or neither",
            )
        _read(field, path)
    asked: list[bool] = []

    def passphrase() -> str:
        asked.append(True)  # OpenSSL would ask on the terminal otherwise
        return ""

    try:
        context.load_cert_chain(certificate_file, key_file, password=passphrase)
    except ssl.SSLError as error:
        raise _unusable_pair(certificate_file, key_file, error.reason, encrypted=bool(asked)) from error


def _unusable_pair(certificate_file: str, key_file: str, reason: str, *, encrypted: bool) -> InvalidInput:
    if encrypted:
        return _invalid(
            "tls_key_file",
            key_file,
            "is encrypted",
            cause="the private key is protected by a passphrase, and there is nobody to ask for it",
            remedy="write it without one, readable by you alone: openssl pkey -in KEY -out NEW_KEY",
        )
    if reason in _MISMATCH:
        return _invalid(
            "tls_key_file",
            key_file,
            f"does not fit the certificate {certificate_file!r}",
            cause="key and certificate were made for each other; these two were not",
            remedy="give the key from which this certificate was requested",
        )
    if reason in _TOO_WEAK:
        return _invalid(
            "tls_certificate_file",
            certificate_file,
            "is too weak",
            cause="its key is shorter than 2048 bits (RSA) or its signature uses SHA-1 or MD5",
            remedy="have a new certificate issued",
        )
    if not _holds_certificate(certificate_file):
        return _no_certificate("tls_certificate_file", certificate_file)
    return _invalid(
        "tls_key_file",
        key_file,
        "holds no private key in PEM form",
        cause="it is another file, or in binary form (DER, PKCS #12)",
        remedy="the file must have a line -----BEGIN PRIVATE KEY-----; convert it: openssl pkey -in KEY -out NEW_KEY",
    )


def _holds_certificate(path: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError:
        return False
    return True


def _no_certificate(field: str, path: str) -> InvalidInput:
    return _invalid(
        field,
        path,
        "holds no certificate in PEM form",
        cause="it is another file, or in binary form (DER, PKCS #12)",
        remedy="the file must have a line -----BEGIN CERTIFICATE-----; convert it: "
        "openssl x509 -inform der -in FILE -out NEW_FILE",
    )


def _read(field: str, path: str) -> None:
    try:
        with open(path, "rb") as file:
            file.read(1)
    except (OSError, ValueError) as error:
        raise _invalid(
            field,
            path,
            f"cannot be read ({getattr(error, 'strerror', None) or error})",
            cause="the file is not there, is a folder, or may not be read by the user that dicomfab runs as",
            remedy="check path and permissions",
        ) from error


def _stamps(*paths: str) -> tuple[_Stamp, ...]:
    """What changes when files are replaced, so that a renewed certificate is used without a restart."""
    return tuple(_stamp(path) for path in paths)


def _stamp(path: str) -> _Stamp:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _invalid(field: str, path: str, problem: str, *, cause: str, remedy: str) -> InvalidInput:
    return InvalidInput(f"{field}: {path!r} {problem}", field=field, value=path, cause=cause, remedy=remedy)
