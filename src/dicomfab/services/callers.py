"""Who calls us: registered servers, known by AE title and host."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable

from dicomfab.registry.server import PacsServer, canonical_host

log = logging.getLogger(__name__)


def callers(servers: Iterable[PacsServer], ae_title: str, address: str) -> list[PacsServer]:
    """The servers that a caller may be: those with its AE title on the host that it calls from."""
    return [server for server in servers if server.aec == ae_title and is_at(server.host, address)]


def is_at(host: str, address: str) -> bool:
    """Whether an IP address is one of a host's: by spelling, or by what the name resolves to.

    Args:
        host: name or address, as in the registry.
        address: of a caller. Every address of this machine's loopback counts as the same.
    """
    wanted = canonical_host(address)
    if canonical_host(host) == wanted:
        return True
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        log.warning("the host %s of a registered server cannot be resolved: %s", host, error)
        return False
    return wanted in {canonical_host(str(entry[4][0])) for entry in found}
