"""Turn what went wrong with a syslog receiver into the error that the user sees: what, likely cause, remedy.

Alerts are named as in RFC 8446 6.2, codes of verification as in OpenSSL's ``X509_V_ERR``.
"""

from __future__ import annotations

import re
import socket
import ssl
from pathlib import Path
from typing import Final

from dicomfab.model.errors import ConnectionFailed, ConnectionLost, InvalidInput, PeerError, TlsFailed
from dicomfab.syslog.receiver import SyslogReceiver

CA: Final = "DICOMFAB_AUDIT_SYSLOG_CA"
CERTIFICATE: Final = "DICOMFAB_AUDIT_SYSLOG_CERTIFICATE"
KEY: Final = "DICOMFAB_AUDIT_SYSLOG_KEY"

_ALERT: Final = re.compile(r"(?:SSLV3|TLSV1|TLSV13)_(?:ALERT_)?(\w+)")
_ABOUT_US: Final = frozenset(
    "BAD_CERTIFICATE UNSUPPORTED_CERTIFICATE CERTIFICATE_REVOKED CERTIFICATE_EXPIRED CERTIFICATE_UNKNOWN UNKNOWN_CA "
    "ACCESS_DENIED CERTIFICATE_REQUIRED HANDSHAKE_FAILURE DECRYPT_ERROR".split()
)
_UNKNOWN_ISSUER: Final = frozenset({2, 18, 19, 20, 21})
_OTHER_NAME: Final = frozenset({62, 64})
_NOT_YET, _EXPIRED = 9, 10
_FILE_REASONS: Final = {
    "KEY_VALUES_MISMATCH": "the key does not belong to the certificate",
    "NO_CERTIFICATE_OR_CRL_FOUND": "there is no certificate in it",
}


def our_files_unusable(error: OSError, *files: Path | None) -> InvalidInput:
    """Our certificate with its key, or the CA file, cannot be used.

    Args:
        error: what was said about them.
        files: one means the CA file.
    """
    named = (CA,) if len(files) == 1 else (CERTIFICATE, KEY)
    if isinstance(error, ssl.SSLError):
        # A passphrase that is wanted and a file of another kind are told with the same words.
        unread = "one of them is no PEM file of its kind, or the key has a passphrase"
        cause = _FILE_REASONS.get(error.reason or "", unread)
    else:
        cause = error.strerror or str(error)
    return InvalidInput(
        f"{' with '.join(named)} cannot be used: {', '.join(str(one) for one in files)}",
        field=named[0],
        value=str(files[0]),
        cause=cause,
        remedy="give PEM files that this user may read, the key without a passphrase",
    )


def unreachable(error: OSError, receiver: SyslogReceiver) -> ConnectionFailed:
    """There is no TCP connection."""
    what = f"the syslog receiver {receiver} cannot be reached ({_words(error)})"
    if isinstance(error, socket.gaierror):
        return ConnectionFailed(
            what, cause="the name is mistyped, or this computer's DNS does not know it", remedy="check the name"
        )
    return ConnectionFailed(
        what,
        cause="it does not run, or a firewall is between",
        remedy="start it; what waits is delivered then by itself",
    )


def not_secure(error: OSError, receiver: SyslogReceiver, name: str) -> TlsFailed:
    """The handshake failed.

    Args:
        error: how.
        receiver: with whom.
        name: that its certificate must hold.
    """
    theirs = f"the certificate of the syslog receiver {receiver}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _not_trusted(error, theirs, name)
    if (alert := _alert(error)) in _ABOUT_US:
        return _refused(receiver, alert)
    if isinstance(error, TimeoutError) or not isinstance(error, ssl.SSLError):
        what = f"the syslog receiver {receiver} did not finish the TLS handshake ({_words(error)})"
    else:
        what = f"no secure connection with the syslog receiver {receiver} came about ({_words(error)})"
    return TlsFailed(
        what,
        cause="the port is for syslog without TLS, the receiver is just ending, or it has no TLS 1.2 or 1.3",
        remedy="give the port of syslog over TLS (often 6514), and look at the receiver's log",
    )


def cut_off(error: OSError, receiver: SyslogReceiver) -> PeerError:
    """The connection ended before everything was read: in TLS 1.3 a certificate is refused only now."""
    if (alert := _alert(error)) in _ABOUT_US:
        return _refused(receiver, alert)
    return ConnectionLost(
        f"the syslog receiver {receiver} hung up before it had read everything ({_words(error)})",
        cause="it was stopped, or it does not permit our certificate: many receivers then just hang up",
        remedy=f"if it runs, look at its log for the name that it does not permit, and at {CERTIFICATE}",
    )


def _not_trusted(error: ssl.SSLCertVerificationError, theirs: str, name: str) -> TlsFailed:
    code = error.verify_code
    if code in _OTHER_NAME:
        return TlsFailed(
            f"{theirs} is not made for the name {name!r}",
            cause="it is called by another name or address than its certificate holds, or another server answers",
            remedy="set DICOMFAB_AUDIT_SYSLOG to a name that the certificate holds",
        )
    if code in (_NOT_YET, _EXPIRED):
        return TlsFailed(
            f"{theirs} {'has expired' if code == _EXPIRED else 'is not yet valid'}",
            cause="it was not renewed in time, or the clock of one machine is wrong",
            remedy="have its administrator renew it; check the date of this machine",
        )
    if code in _UNKNOWN_ISSUER:
        return TlsFailed(
            f"{theirs} is not trusted ({error.verify_message})",
            cause=f"it was signed by nobody whose certificate is in {CA}",
            remedy=f"set {CA} to a PEM file with the certificate of the authority that signed it",
        )
    return TlsFailed(
        f"{theirs} is not acceptable ({error.verify_message})",
        cause="a mistake in the certificate, or in the chain that it sends",
        remedy="have its administrator check certificate and chain",
    )


def _refused(receiver: SyslogReceiver, alert: str) -> TlsFailed:
    return TlsFailed(
        f"the syslog receiver {receiver} does not accept our certificate ({alert.lower().replace('_', ' ')})",
        cause="it does not trust the authority that signed it, or it has expired or is not made for clients",
        remedy=f"have its administrator trust that authority, or set {CERTIFICATE} and {KEY} to another",
    )


def _alert(error: OSError) -> str:
    found = _ALERT.fullmatch(error.reason or "") if isinstance(error, ssl.SSLError) else None
    return found[1] if found else ""


def _words(error: OSError) -> str:
    """What the system says, without its own file names and numbers."""
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror or str(error) or type(error).__name__).lower()
