"""The DICOMweb services of a server, as plain values."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from dicomfab.model.errors import PeerError


class Notes(Protocol):
    """Takes what happens on the way, for a timeline. It is told of no value of a query, and of no credentials."""

    def sent(self, what: str, **details: Any) -> None:
        """Something went out."""

    def received(self, what: str, **details: Any) -> None:
        """Something came in."""

    def local(self, what: str, **details: Any) -> None:
        """Something happened here."""


@dataclass(frozen=True, slots=True)
class WebPeer:
    """A server to ask over DICOMweb.

    Args:
        root: address below which its services are, without a slash at its end.
        name: what the user calls it, for messages.
        connect_s: seconds to wait for the connection.
        read_s: seconds to wait for an answer, and between two pieces of one; also for the server to read on.
        retrieve_s: seconds to wait until an answer with instances begins, or that to those that were sent.
        user: user name of HTTP Basic; blank if the secret is a bearer token.
        secret: password or token; blank if the services want none.
        tls: how an ``https`` connection is secured; none means this machine's trust store.
        tls_name: name that the certificate must hold, if it is not the host of the root.
        explain_tls: tells why TLS failed; the second argument is whether the handshake had ended.
        notes: takes what happens.
    """

    root: str
    name: str = ""
    connect_s: float = 5.0
    read_s: float = 30.0
    retrieve_s: float = 300.0
    user: str = ""
    secret: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False, compare=False)
    tls_name: str = ""
    explain_tls: Callable[[ssl.SSLError, bool], PeerError | None] = field(
        default=lambda _error, _connected: None, repr=False, compare=False
    )
    notes: Notes | None = field(default=None, repr=False, compare=False)

    @property
    def label(self) -> str:
        """The name with the address, as error messages show it."""
        return f"{self.name} ({self.root})" if self.name else self.root

    @property
    def is_secure(self) -> bool:
        """Whether it is asked over TLS."""
        return urlsplit(self.root).scheme == "https"
