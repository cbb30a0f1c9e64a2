"""Why a directory could not be asked, and who has to do what about it."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Final

from dicomfab.identity.ldap_settings import LdapServer
from dicomfab.model.errors import DirectoryUnavailable

_THEIRS: Final = "whoever runs Active Directory"
_SETTINGS: Final = "the settings of the directory"

# Verification results of OpenSSL (X509_V_ERR_...), see x509_vfy.h.
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_AUTHORITY: Final = frozenset({2, 18, 19, 20, 21, 24, 27})
_WRONG_NAME: Final = frozenset({62, 64})


class ControllerUnusable(DirectoryUnavailable):
    """This controller cannot be asked; another one may.

    Args:
        is_grave: whether it is there, and something is wrong with it that somebody has to mend.
        is_final: whether another one must not be asked now.
    """

    def __init__(self, what: str, *, cause: str, remedy: str, is_grave: bool = False, is_final: bool = False) -> None:
        super().__init__(what, cause=cause, remedy=remedy)
        self.is_grave = is_grave
        self.is_final = is_final


def none_usable(failures: Sequence[ControllerUnusable]) -> DirectoryUnavailable:
    """All controllers have failed. What somebody has to mend comes before what may come back by itself."""
    if not failures:
        return DirectoryUnavailable(
            "no domain controller is known",
            cause=f"{_SETTINGS} name none",
            remedy="enter at least one",
        )
    last = failures[-1]
    if last.is_final:
        return DirectoryUnavailable(last.what, cause=last.cause, remedy=last.remedy)
    worst = next((failure for failure in failures if failure.is_grave), failures[0])
    what = worst.what if len(failures) == 1 else "no domain controller can be used: " + "; ".join(
        dict.fromkeys(failure.what for failure in failures)
    )  # fmt: skip
    return DirectoryUnavailable(what, cause=worst.cause, remedy=worst.remedy)


def name_unknown(server: LdapServer, *, was_silent: bool) -> ControllerUnusable:
    """The name service gives no address."""
    return ControllerUnusable(
        f"the address of {server.host} cannot be found",
        cause="the name service does not answer" if was_silent else "the name service does not know the name",
        remedy=f"check the name in {_SETTINGS}, and that this machine asks the name servers of the domain",
    )


def not_reached(server: LdapServer, error: OSError, timeout_s: float) -> ControllerUnusable:
    """There is no TCP connection."""
    where = f"{server.host}, port {server.port}"
    if isinstance(error, TimeoutError):
        return ControllerUnusable(
            f"{where} did not answer within {timeout_s:g} s",
            cause="the domain controller is down, or a firewall drops what is sent to it",
            remedy=f"ask {_THEIRS} whether it is up; ask for port {server.port} to be opened for this machine",
        )
    if isinstance(error, ConnectionRefusedError):
        return ControllerUnusable(
            f"{where} refuses connections",
            cause="no domain controller is running there, or not on this port",
            remedy=f"ask {_THEIRS}; LDAPS is on port 636, StartTLS on port 389",
        )
    return ControllerUnusable(
        f"{where} cannot be reached ({error.strerror or error})",
        cause="there is no way to it from this machine",
        remedy="check the network, and the name in the settings of the directory",
    )


def start_tls_refused(server: LdapServer, code: int) -> ControllerUnusable:
    """TLS was asked for and not given (RFC 4511 4.14.2); nothing was sent but that."""
    return ControllerUnusable(
        f"{server.host} refuses StartTLS (result {code})",
        cause="the domain controller has no certificate, or is not allowed to use it",
        remedy=f"ask {_THEIRS} to give {server.host} a certificate; no password is ever sent without TLS",
        is_grave=True,
    )


def no_ldap(server: LdapServer, was: str) -> ControllerUnusable:
    """What came is nothing that a domain controller says."""
    return ControllerUnusable(
        f"{server.host}, port {server.port} {was}",
        cause="it is no domain controller, or this port is for something else",
        remedy=f"check {_SETTINGS}: LDAPS is on port 636, StartTLS on port 389",
        is_grave=True,
    )


def silent(server: LdapServer, doing: str, timeout_s: float) -> ControllerUnusable:
    """A connection, and then nothing."""
    return ControllerUnusable(
        f"{server.host} did not answer within {timeout_s:g} s ({doing})",
        cause="the domain controller hangs or is overloaded",
        remedy=f"ask {_THEIRS} about {server.host}",
    )


def broke(server: LdapServer, doing: str) -> ControllerUnusable:
    """A connection, and then none."""
    return ControllerUnusable(
        f"{server.host} closed the connection ({doing})",
        cause="the domain controller is being restarted, or something between it and this machine closes connections",
        remedy=f"try again; if it goes on, ask {_THEIRS} about {server.host}",
    )


def not_secured(server: LdapServer, error: OSError, ca_file: str, timeout_s: float) -> ControllerUnusable:
    """The TLS handshake has failed."""
    host = server.host
    if isinstance(error, ssl.SSLCertVerificationError):
        return _not_verified(host, error, ca_file)
    if isinstance(error, TimeoutError):
        return silent(server, "TLS", timeout_s)
    if isinstance(error, ssl.SSLEOFError | ConnectionError):
        return ControllerUnusable(
            f"{host} closed the connection instead of beginning TLS on port {server.port}",
            cause="the domain controller has no certificate, or the port is not for TLS",
            remedy=f"ask {_THEIRS} to give {host} a certificate; LDAPS is on port 636, StartTLS on port 389",
            is_grave=True,
        )
    reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
    return ControllerUnusable(
        f"TLS with {host}, port {server.port} failed ({reason})",
        cause="it speaks no TLS on this port, or only versions and ciphers that are not safe any more",
        remedy=f"ask {_THEIRS} to allow TLS 1.2 or newer; LDAPS is on port 636, StartTLS on port 389",
        is_grave=True,
    )


def _not_verified(host: str, error: ssl.SSLCertVerificationError, ca_file: str) -> ControllerUnusable:
    code = error.verify_code
    trusted = f"those in {ca_file}" if ca_file else "those that this machine trusts"
    if code == _EXPIRED:
        what, cause = "has expired", "it was not renewed in time, or the clock of this machine is wrong"
        remedy = f"ask {_THEIRS} to renew the certificate of {host}"
    elif code == _NOT_YET_VALID:
        what, cause = "is not valid yet", "the clock of this machine is wrong, or the certificate was made for later"
        remedy = f"check the clock of this machine; then ask {_THEIRS}"
    elif code in _WRONG_NAME:
        what, cause = "is for another host name", f"it does not name {host}, or another machine answers there"
        remedy = f"enter the name that its certificate has in {_SETTINGS}; else ask {_THEIRS} about the certificate"
    elif code in _UNKNOWN_AUTHORITY:
        what = "was signed by an authority that is not trusted"
        cause = f"the certification authority is none of {trusted}, or its own certificate does not come along"
        remedy = f"get the certificate of the authority from {_THEIRS}, and enter its file as the CA in {_SETTINGS}"
    else:
        what, cause = "cannot be trusted", error.verify_message
        remedy = f"ask {_THEIRS} for a certificate of {host} that can be verified"
    return ControllerUnusable(f"the certificate of {host} {what}", cause=cause, remedy=remedy, is_grave=True)


def no_authorities(ca_file: str, why: str) -> DirectoryUnavailable:
    """The file that says whom to trust is of no use."""
    return DirectoryUnavailable(
        f"the file of trusted authorities {ca_file!r} cannot be used ({why})",
        cause="the file is not there, may not be read by the user that dicomfab runs as, or holds no certificate in "
        "PEM form",
        remedy=f"get the certificate of the authority from {_THEIRS}, in PEM form, and enter its file in {_SETTINGS}",
    )


def no_service_password(account: str) -> DirectoryUnavailable:
    """Nobody to search as."""
    return DirectoryUnavailable(
        f"the service account {account} has no password that can be one",
        cause=f"{_SETTINGS} give none, or its file is empty, too long or no text",
        remedy="enter it: without one the search would be anonymous",
    )


def service_refused(account: str, host: str, why: str) -> DirectoryUnavailable:
    """Our own account is not let in. The next controller would only count one more wrong password."""
    return DirectoryUnavailable(
        f"{host} refuses the service account {account}",
        cause=why,
        remedy=f"ask {_THEIRS} about the account {account}; then enter its password in {_SETTINGS}",
    )


def not_answered(host: str, result: str, doing: str) -> ControllerUnusable:
    """A controller that is there, and cannot just now."""
    return ControllerUnusable(
        f"{host} cannot answer now: {result} ({doing})",
        cause="the domain controller is busy, or is being maintained",
        remedy=f"try again; if it goes on, ask {_THEIRS} about {host}",
    )


def not_allowed(host: str, result: str, doing: str) -> DirectoryUnavailable:
    """A controller that will not answer us, and no other would."""
    return DirectoryUnavailable(
        f"{host} does not do what it was asked: {result} ({doing})",
        cause="the service account may not read what is needed, or the domain wants another way to sign in",
        remedy=f"ask {_THEIRS} to let the service account read users and groups by LDAP",
    )


def no_base(base: str, host: str) -> DirectoryUnavailable:
    """Nothing is where people are to be looked for."""
    return DirectoryUnavailable(
        f"{host} knows no {base!r}",
        cause="the distinguished name below which people are looked for is misspelt, or of another domain",
        remedy=f"correct it in {_SETTINGS}: for the domain hospital.example it is DC=hospital,DC=example",
    )


def groups_hidden(name: str) -> DirectoryUnavailable:
    """Everybody is in some group, if only in that of all users of the domain."""
    return DirectoryUnavailable(
        f"the groups of {name} cannot be read",
        cause="the service account may not read the attribute tokenGroups",
        remedy=f"ask {_THEIRS} to put the service account into the group Windows Authorization Access Group",
    )


def proof_lost(host: str, why: str) -> ControllerUnusable:
    """Nobody knows whether the password was right. Asking elsewhere might count as a second attempt."""
    return ControllerUnusable(
        f"{host} did not say whether the password is right: {why}",
        cause="the domain controller stopped answering at that moment",
        remedy="try again; another domain controller is then asked first, if there is one",
        is_final=True,
    )
