"""Turn what went wrong with TLS into the error that the user sees: what, likely cause, remedy (PS3.15 annex B).

``TlsFailed`` comes from here only. Alerts are named as in RFC 8446 6.2, codes of verification as in OpenSSL's
``X509_V_ERR``.
"""

from __future__ import annotations

import re
import shlex
import ssl
from typing import NamedTuple

from dicomfab.dimse.peer import Peer
from dicomfab.dimse.tls_settings import TlsProfile, TlsSettings
from dicomfab.model.errors import TlsFailed

_ALERT = re.compile(r"(?:SSLV3|TLSV1|TLSV13)_(?:ALERT_)?(\w+)")


class _Case(NamedTuple):
    code: str
    what: str
    cause: str
    remedy: str


_NOT_TLS = _Case(
    "tls-not-tls",
    "{label} does not speak TLS on this port.",
    "the port is for associations without TLS, or belongs to another service",
    "ask the server's administrator for the port of DICOM over TLS (often 2762), or switch TLS off: {edit} --no-tls",
)
_CLOSED = _Case(
    "tls-closed",
    "{label} closed the connection during the TLS handshake.",
    "the port is for associations without TLS: most servers hang up when TLS is spoken there",
    "ask the server's administrator for the port of DICOM over TLS (often 2762), or switch TLS off: {edit} --no-tls",
)
_SILENT = _Case(
    "tls-silent",
    "{label} did not finish the TLS handshake within {timeout_s:g} s.",
    "the port is for associations without TLS and its server waits for more, or the server hangs",
    "ask the server's administrator for the port of DICOM over TLS (often 2762); restart the server if it hangs",
)
_UNKNOWN_ISSUER = _Case(
    "tls-unknown-issuer",
    "the certificate of {label} is not trusted: {detail}.",
    "it was signed by a certification authority that is not in {trusted}",
    "ask for that authority's certificate as a PEM file, then: {edit} --tls-ca-file FILE",
)
_SELF_SIGNED = _Case(
    "tls-self-signed",
    "the certificate of {label} is self-signed, and it is not in {trusted}.",
    "the server came with a certificate that it signed itself",
    "get that certificate from the server's administrator, compare its fingerprint, then: {edit} --tls-ca-file FILE",
)
_EXPIRED = _Case(
    "tls-expired",
    "the certificate of {label} has expired.",
    "it was not renewed in time, or the clock of this machine is wrong",
    "have the server's administrator renew it; check the date of this machine",
)
_NOT_YET_VALID = _Case(
    "tls-not-yet-valid",
    "the certificate of {label} is not yet valid.",
    "the clock of this machine is behind, or that of the machine which made the certificate was ahead",
    "check the date of this machine, then have the server's administrator check the certificate",
)
_OTHER_NAME = _Case(
    "tls-other-name",
    "the certificate of {label} is not made for the name {name!r}.",
    "the server is called by another name or address than its certificate holds, or another server answers",
    "ask the server's administrator for a name that the certificate holds; use it as host, or: "
    "{edit} --tls-server-name NAME",
)
_WEAK = _Case(
    "tls-weak",
    "the certificate of {label} is too weak: {detail}.",
    "a key shorter than 2048 bits (RSA) or a signature with SHA-1 or MD5 in the chain",
    "have the server's administrator get a new certificate",
)
_UNACCEPTABLE = _Case(
    "tls-unacceptable",
    "the certificate of {label} is not acceptable: {detail}.",
    "a mistake in the certificate or in the chain that the server sends with it",
    "have the server's administrator check certificate and chain: openssl verify -CAfile CA CERTIFICATE",
)
_CERTIFICATE_DEMANDED = _Case(
    "tls-certificate-demanded",
    "{label} demands a client certificate, and we have none to send.",
    "the server lets in only those who show a certificate that it trusts",
    "have one issued for this machine, then: {edit} --tls-certificate-file FILE --tls-key-file FILE",
)
_CLOSED_AFTERWARDS = _Case(
    "tls-closed-afterwards",
    "{label} closed the connection right after the TLS handshake; we have sent no client certificate.",
    "the server lets in only those who show a certificate that it trusts, or its application failed",
    "look at the server's log; if it demands a certificate: {edit} --tls-certificate-file FILE --tls-key-file FILE",
)
_OUR_CERTIFICATE = _Case(
    "tls-our-certificate",
    "{label} does not accept our client certificate {certificate_file!r} ({detail}).",
    "the server does not trust the authority that signed it, or it has expired or is not made for clients",
    "have the server's administrator trust that authority, or have a certificate issued by one that it trusts",
)
_NOTHING_IN_COMMON = _Case(
    "tls-nothing-in-common",
    "{label} and we have no TLS version or cipher suite in common ({detail}).",
    "the server knows only versions before TLS 1.2, or none of the cipher suites of the profile {profile}",
    "have TLS 1.2 or 1.3 switched on at the server{other_profile}",
)
_REFUSED = _Case(
    "tls-refused",
    "{label} refuses the TLS handshake ({detail}).",
    "it demands a client certificate, of which we have none to send, or has no cipher suite in common with us",
    "look at the server's log; if it demands a certificate: {edit} --tls-certificate-file FILE --tls-key-file FILE",
)
_NAME_REFUSED = _Case(
    "tls-name-refused",
    "{label} does not go by the name {name!r}.",
    "the server has a certificate for other names only",
    "ask the server's administrator for its name; use it as host, or: {edit} --tls-server-name NAME",
)
_ELSE = _Case(
    "tls-else",
    "the TLS handshake with {label} failed: {detail}.",
    "the two sides' settings of TLS do not go together",
    "look at the server's log at this moment",
)

_BY_VERIFY_CODE = {
    2: _UNKNOWN_ISSUER,
    9: _NOT_YET_VALID,
    10: _EXPIRED,
    18: _SELF_SIGNED,
    19: _UNKNOWN_ISSUER,
    20: _UNKNOWN_ISSUER,
    21: _UNKNOWN_ISSUER,
    62: _OTHER_NAME,
    64: _OTHER_NAME,
    66: _WEAK,
    67: _WEAK,
    68: _WEAK,
}

_NOT_TLS_REASONS = frozenset(
    "WRONG_VERSION_NUMBER HTTP_REQUEST HTTPS_PROXY_REQUEST PACKET_LENGTH_TOO_LONG BAD_RECORD_TYPE UNEXPECTED_MESSAGE "
    "RECORD_LAYER_FAILURE RECORD_TOO_SMALL BAD_PACKET_LENGTH ENCRYPTED_LENGTH_TOO_LONG".split()
)
_NOTHING_IN_COMMON_REASONS = frozenset(
    "UNSUPPORTED_PROTOCOL NO_PROTOCOLS_AVAILABLE VERSION_TOO_LOW VERSION_TOO_HIGH WRONG_SSL_VERSION NO_SHARED_CIPHER "
    "NO_CIPHERS_AVAILABLE WRONG_CIPHER_RETURNED UNKNOWN_CIPHER_RETURNED DH_KEY_TOO_SMALL NO_SHARED_GROUPS "
    "NO_SUITABLE_KEY_SHARE NO_SHARED_SIGNATURE_ALGORITHMS NO_SUITABLE_SIGNATURE_ALGORITHM "
    "UNSAFE_LEGACY_RENEGOTIATION_DISABLED".split()
)
_NOTHING_IN_COMMON_ALERTS = frozenset("PROTOCOL_VERSION INSUFFICIENT_SECURITY INAPPROPRIATE_FALLBACK".split())
_CERTIFICATE_ALERTS = frozenset(
    "BAD_CERTIFICATE UNSUPPORTED_CERTIFICATE CERTIFICATE_REVOKED CERTIFICATE_EXPIRED CERTIFICATE_UNKNOWN UNKNOWN_CA "
    "ACCESS_DENIED DECRYPT_ERROR CERTIFICATE_REQUIRED NO_CERTIFICATE".split()
)


def tls_failed(
    peer: Peer, error: OSError, *, answered: bool | None = None, timeout_s: float | None = None
) -> TlsFailed:
    """A handshake that failed.

    Args:
        peer: whom we called, with its TLS settings.
        error: what the socket raised.
        answered: whether the peer had agreed on version and cipher suite (``transport.tls.has_answered``), if known.
        timeout_s: seconds that were waited; the peer's for connecting if absent.
    """
    failed = _explained(peer, error, _client_case(peer, error, answered), timeout_s)
    failed.transient = isinstance(error, TimeoutError)
    return failed


def alert_after_handshake(peer: Peer, error: OSError | None) -> TlsFailed | None:
    """What the first read or write after a handshake tells of the handshake, as the peer judged it.

    With TLS 1.3 our side of the handshake ends before the peer has looked at our certificate (RFC 8446 4.4.2.4), so its
    alert arrives then, or the connection is just closed. To be asked only while nothing has been received yet.

    Args:
        peer: whom we called, with its TLS settings.
        error: what the socket raised; none for the end of the stream.

    Returns:
        Nothing if the failure tells nothing of TLS.
    """
    if _alert(error):
        assert error is not None
        return _explained(peer, error, _client_case(peer, error, True))
    if (error is None or _is_closed(error)) and not _certificate_file(peer):
        return _explained(peer, error, _CLOSED_AFTERWARDS)
    return None


def looks_like_tls(first_bytes: bytes) -> bool:
    """Whether bytes that should begin a PDU begin a TLS record: an alert, or a handshake (RFC 8446 5.1).

    Args:
        first_bytes: two at least; fewer tell nothing.
    """
    return first_bytes[:1] in (b"\x15", b"\x16") and first_bytes[1:2] == b"\x03"


def is_alert(error: OSError) -> bool:
    """Whether a handshake ended by an alert of the peer, which therefore speaks TLS."""
    return bool(_alert(error))


def peer_speaks_tls(peer: Peer) -> TlsFailed:
    """We called without TLS, and were answered in TLS."""
    return TlsFailed(
        f"{peer.label} expects TLS, and we called it without.",
        cause="the port expects TLS",
        remedy=f"switch TLS on for this server: {_edit(peer)} --tls",
    ).coded("tls-expected")


def caller_speaks_tls(address: str) -> TlsFailed:
    """We were called in TLS on a port without TLS.

    Args:
        address: the caller's, for messages.
    """
    return TlsFailed(
        f"{address} called in TLS on a port for associations without TLS.",
        cause="TLS is switched on at the caller, and this port does not offer it",
        remedy="switch TLS off at the caller, or have it call the port of DICOM over TLS",
    )


def caller_failed(address: str, error: OSError, *, timeout_s: float = 0.0) -> TlsFailed:
    """A handshake that failed where we were called.

    Args:
        address: the caller's, for messages.
        error: what the socket raised.
        timeout_s: seconds that were waited.
    """
    case = _caller_case(error)
    filled = {"address": address, "detail": _detail(error), "timeout_s": timeout_s}
    failed = TlsFailed(
        case.what.format(**filled), cause=case.cause.format(**filled), remedy=case.remedy.format(**filled)
    )
    return failed.coded(case.code)


def _client_case(peer: Peer, error: OSError, answered: bool | None) -> _Case:
    if isinstance(error, TimeoutError):
        return _SILENT
    if isinstance(error, ssl.SSLCertVerificationError):
        return _BY_VERIFY_CODE.get(error.verify_code, _UNACCEPTABLE)
    if _is_closed(error):
        return _CLOSED
    alert = _alert(error)
    if alert == "UNRECOGNIZED_NAME":
        return _NAME_REFUSED
    if alert == "HANDSHAKE_FAILURE":
        return _handshake_failure(peer, answered)
    if alert in _CERTIFICATE_ALERTS:
        return _OUR_CERTIFICATE if _certificate_file(peer) else _CERTIFICATE_DEMANDED
    return _by_reason(error)


def _handshake_failure(peer: Peer, answered: bool | None) -> _Case:
    """The alert that says least (RFC 5246 7.2.2): what it means depends on how far we had come."""
    if answered:
        return _OUR_CERTIFICATE if _certificate_file(peer) else _CERTIFICATE_DEMANDED
    return _NOTHING_IN_COMMON if answered is False or _certificate_file(peer) else _REFUSED


def _by_reason(error: OSError) -> _Case:
    reason = _reason(error)
    if reason in _NOTHING_IN_COMMON_REASONS or _alert(error) in _NOTHING_IN_COMMON_ALERTS:
        return _NOTHING_IN_COMMON
    return _NOT_TLS if reason in _NOT_TLS_REASONS else _ELSE


def _explained(peer: Peer, error: OSError | None, case: _Case, timeout_s: float | None = None) -> TlsFailed:
    tls = peer.tls or TlsSettings()
    older = TlsProfile.NON_DOWNGRADING_BCP_195
    filled = {
        "label": peer.label,
        "edit": _edit(peer),
        "name": tls.name_for(peer.host),
        "trusted": repr(tls.ca_file) if tls.ca_file else "the trust store of this machine",
        "certificate_file": tls.certificate_file,
        "profile": str(tls.profile),
        "other_profile": "" if tls.profile is older else f"; for an older one try: {_edit(peer)} --tls-profile {older}",
        "detail": _detail(error) if error else "",
        "timeout_s": peer.timeouts.connect_s if timeout_s is None else timeout_s,
    }
    failed = TlsFailed(
        case.what.format(**filled), cause=case.cause.format(**filled), remedy=case.remedy.format(**filled)
    )
    return failed.coded(case.code)


def _edit(peer: Peer) -> str:
    return f"dicomfab pacs edit {shlex.quote(peer.name) if peer.name else 'SERVER'}"


def _certificate_file(peer: Peer) -> str:
    return peer.tls.certificate_file if peer.tls else ""


def _reason(error: OSError | None) -> str:
    return str(getattr(error, "reason", None) or "") if isinstance(error, ssl.SSLError) else ""


def _alert(error: OSError | None) -> str:
    """The alert received, by its name; OpenSSL's prefix only says which version of the protocol brought it in."""
    found = _ALERT.fullmatch(_reason(error))
    return found[1] if found else ""


def _is_closed(error: OSError) -> bool:
    return isinstance(error, ConnectionError | ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError)


def _detail(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message.rstrip(".")
    alert, reason = _alert(error), _reason(error)
    if alert:
        return f"alert {alert.lower()}"
    return reason.lower().replace("_", " ") or error.strerror or str(error)


_CALLER_NOT_TLS = _Case(
    "tls-caller-not-tls",
    "{address} called without TLS on a port that expects it.",
    "TLS is switched off at the caller",
    "switch TLS on at the caller, or have it call the port for associations without TLS",
)
_CALLER_CLOSED = _Case(
    "tls-caller-closed",
    "{address} ended the connection during the TLS handshake.",
    "the caller gave up, does not accept our certificate and does not say so, or something looked for open ports",
    "look at the caller's log at this moment",
)
_CALLER_SILENT = _Case(
    "tls-caller-silent",
    "{address} did not finish the TLS handshake within {timeout_s:g} s.",
    "the caller waits for us to speak first, or hangs",
    "look at the caller's log at this moment",
)
_CALLER_WITHOUT = _Case(
    "tls-caller-without",
    "{address} sent no certificate, and this server demands one.",
    "no client certificate is set at the caller",
    "have a certificate issued for the caller, by an authority that this server trusts",
)
_CALLER_NOT_TRUSTED = _Case(
    "tls-caller-not-trusted",
    "the certificate of {address} is not accepted: {detail}.",
    "it was signed by an authority that this server does not trust, or has expired",
    "have one issued for the caller by an authority that this server trusts",
)
_CALLER_REFUSES = _Case(
    "tls-caller-refuses",
    "{address} does not accept our certificate ({detail}).",
    "the caller does not trust who signed it, calls us by a name that it does not hold, or it has expired",
    "give the caller the authority's certificate, and have it call a name that our certificate holds",
)
_CALLER_NOTHING_IN_COMMON = _Case(
    "tls-caller-nothing-in-common",
    "{address} and we have no TLS version or cipher suite in common ({detail}).",
    "the caller knows only versions before TLS 1.2, or none of the cipher suites of this server's profile",
    "have TLS 1.2 or 1.3 switched on at the caller",
)
_CALLER_ELSE = _Case(
    "tls-caller-else",
    "the TLS handshake with {address} failed: {detail}.",
    "the two sides' settings of TLS do not go together",
    "look at the caller's log at this moment",
)


def _caller_case(error: OSError) -> _Case:
    if isinstance(error, TimeoutError):
        return _CALLER_SILENT
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CALLER_NOT_TRUSTED
    if _is_closed(error):
        return _CALLER_CLOSED
    if _reason(error) == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return _CALLER_WITHOUT
    if _alert(error) in _CERTIFICATE_ALERTS:
        return _CALLER_REFUSES
    if _alert(error) == "HANDSHAKE_FAILURE":
        return _CALLER_NOTHING_IN_COMMON
    same = {_NOT_TLS: _CALLER_NOT_TLS, _NOTHING_IN_COMMON: _CALLER_NOTHING_IN_COMMON}
    return same.get(_by_reason(error), _CALLER_ELSE)
