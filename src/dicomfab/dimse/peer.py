"""The other side of an association, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field

from dicomfab.dimse.tls_settings import TlsSettings
from dicomfab.dimse.trace import Trace


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait before giving up.

    Args:
        connect_s: for the TCP connection.
        association_s: for the answer to A-ASSOCIATE-RQ and A-RELEASE-RQ.
        dimse_s: for each DIMSE response.
        retrieve_s: between two responses of a C-MOVE or C-GET; many servers send none before the last.
    """

    connect_s: float = 5.0
    association_s: float = 5.0
    dimse_s: float = 30.0
    retrieve_s: float = 300.0


@dataclass(frozen=True, slots=True)
class WebAccess:
    """That a peer is asked over DICOMweb, where and as whom.

    Args:
        root: address below which its services are.
        tls: how to secure an ``https`` connection.
        user: user name; blank if the secret is a bearer token.
        secret_file: path of the file with password or token; blank if the services want none.
    """

    root: str
    tls: TlsSettings
    user: str = ""
    secret_file: str = ""


@dataclass(frozen=True, slots=True)
class Peer:
    """An application entity to call, and the name to call it under.

    Args:
        host: name or address.
        port: TCP port.
        called_ae_title: the peer's AE title.
        calling_ae_title: ours.
        timeouts: how long to wait for what.
        name: what the user calls it, for messages; defaults to ``host:port``.
        tls: how to secure the connection (PS3.15 annex B); none means plain TCP.
        max_pdu_length: the longest P-DATA-TF variable field that we offer it to take and that we send to it, in bytes
            (PS3.8 D.1); 0 means ours for the one and whatever it offers for the other.
        web: to be asked over DICOMweb instead, by those functions that can.
        trace: where to note what happens on the way; no part of who the peer is.
    """

    host: str
    port: int
    called_ae_title: str
    calling_ae_title: str = "DICOMFAB"
    timeouts: Timeouts = field(default_factory=Timeouts)
    name: str = ""
    tls: TlsSettings | None = None
    max_pdu_length: int = 0
    web: WebAccess | None = None
    trace: Trace | None = field(default=None, compare=False, repr=False)

    @property
    def label(self) -> str:
        """The name with the address, as error messages show it."""
        address = f"{self.host}:{self.port}"
        return f"{self.name} ({address})" if self.name else address
