"""What TLS shall be like, as plain values (PS3.15 annex B). The contexts made from them are in ``transport.tls``."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class TlsProfile(enum.StrEnum):
    """A Secure Transport Connection Profile of PS3.15 annex B, all with TLS 1.2 and 1.3 and nothing older.

    B.12 and B.13 are the standard's current ones. B.10 is retired, and kept because servers of its time offer TLS 1.2
    with finite-field Diffie-Hellman only. B.1, B.3 and B.9 allow what RFC 8996 and 9325 forbid; B.11 is within B.13.
    """

    BCP_195 = "bcp-195"  # B.12
    MODIFIED_BCP_195 = "modified-bcp-195"  # B.13
    NON_DOWNGRADING_BCP_195 = "non-downgrading-bcp-195"  # B.10, retired


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """TLS towards a peer that we call.

    Args:
        ca_file: PEM file of the certificates to trust; blank means the system's trust store.
        certificate_file: PEM file of our client certificate, with the chain below it; blank if we have none.
        key_file: PEM file of its private key, not encrypted; given exactly when ``certificate_file`` is.
        verify: whether the peer's certificate chain and host name must be right.
        profile: versions and cipher suites.
        server_name: the host name that the peer's certificate must hold, if it is not the address called.
    """

    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    verify: bool = True
    profile: TlsProfile = TlsProfile.BCP_195
    server_name: str = ""

    def name_for(self, host: str) -> str:
        """The name or address to check the certificate against and to send as SNI (RFC 6066 3).

        Args:
            host: as called; an IPv6 zone and the dot at the end of a complete name are no part of a certificate's.
        """
        return self.server_name or host.partition("%")[0].rstrip(".")


@dataclass(frozen=True, slots=True)
class TlsServerSettings:
    """TLS for associations that others open to us.

    Args:
        certificate_file: PEM file of our certificate, with the chain below it.
        key_file: PEM file of its private key, not encrypted.
        ca_file: PEM file of the certificates that sign callers' certificates; blank means that none are asked for.
        require_client_certificate: refuse callers that send no certificate; needs ``ca_file``.
        profile: versions and cipher suites.
    """

    certificate_file: str
    key_file: str
    ca_file: str = ""
    require_client_certificate: bool = False
    profile: TlsProfile = TlsProfile.BCP_195
