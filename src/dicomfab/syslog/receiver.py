"""Where syslog messages are sent to, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: RFC 5425 4.1.
DEFAULT_PORT: Final = 6514


@dataclass(frozen=True, slots=True)
class SyslogReceiver:
    """A syslog server that takes messages over TLS, and proves who it is as we do.

    Args:
        host: name or address; its certificate must hold it.
        port: that it listens on.
        certificate: PEM file of our certificate, with the chain below it.
        key: PEM file of its private key, not encrypted.
        ca: PEM file of the certificates to trust; ``None`` for those that this machine trusts.
    """

    host: str
    port: int
    certificate: Path
    key: Path
    ca: Path | None = None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
