"""Where messages are sent to, as plain values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReceiverTls:
    """How a connection with a receiver is secured.

    Args:
        ca_file: PEM file of the certificates to trust; empty for those that this machine trusts.
        certificate_file: PEM file of our certificate, if the receiver demands one.
        key_file: PEM file of its private key.
    """

    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where messages are sent to.

    Args:
        host: name or address.
        port: that it listens on.
        tls: none means plain TCP.
    """

    host: str
    port: int
    tls: ReceiverTls | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


#: Sends a message and waits for its acknowledgement.
Send = Callable[[Receiver, bytes], bytes]
