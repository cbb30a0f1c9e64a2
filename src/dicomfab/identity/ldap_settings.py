"""Which directory to ask, and as whom."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LdapServer:
    """One domain controller. There is no way to ask it without TLS.

    Args:
        host: name or address; its certificate has to be for it.
        port: 636 for LDAPS, 389 for StartTLS, unless somebody chose others.
        start_tls: whether TLS begins after a first, public request (RFC 4511 4.14), instead of with the connection.
    """

    host: str
    port: int
    start_tls: bool


@dataclass(frozen=True, slots=True)
class LdapSettings:
    r"""An Active Directory, and the account that reads it.

    Args:
        servers: domain controllers, in the order to be asked.
        base: below which people are looked for, such as ``DC=hospital,DC=example``.
        account: of the service that searches, as Active Directory takes it at a simple bind: a user principal name,
            ``DOMAIN\name`` or a distinguished name (MS-ADTS 5.1.1.1.1).
        password: of that account.
        ca_file: certificates of authorities to trust, in PEM form; blank for those that this machine trusts.
        timeout_s: how long a controller may take to be reached, and for each answer.
        refusal_s: how long a refusal takes at least. A name that nobody has is found out sooner than a password that is
            wrong, and whoever measures that from outside would learn which names there are.
    """

    servers: tuple[LdapServer, ...]
    base: str
    account: str
    password: str = field(repr=False)
    ca_file: str = ""
    timeout_s: float = 2.0
    refusal_s: float = 0.25
