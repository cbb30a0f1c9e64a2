"""Whose worklist is meant: a registered server, or host, port and AE title."""

from __future__ import annotations

from collections.abc import Callable

from dicomfab.dimse.peer import Peer
from dicomfab.model import values
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import DEFAULT_AE_TITLE, PacsServer
from dicomfab.services.peers import peer_for


def own_ris(port: int) -> str:
    """Where ``dicomfab ris run`` answers on this computer, as it is typed."""
    return f"127.0.0.1:{port}:{DEFAULT_AE_TITLE}"


def ris_peer(text: str, resolve: Callable[[str], PacsServer], *, field: str) -> Peer:
    """The peer of ``HOST:PORT:AE`` or of a registered server.

    Args:
        text: as typed; the AE title may be left out.
        resolve: finds a registered server by its id or name.
        field: named in errors.

    Raises:
        InvalidInput: host, port or AE title cannot be used.
        NotFound: no server is registered by that name.
    """
    host, colon, rest = text.strip().partition(":")
    if not colon:
        return peer_for(resolve(text.strip()), Capability.FIND)
    port, _, title = rest.partition(":")
    return Peer(
        values.host(host, field=field),
        values.port(port, field=field),
        values.ae_title(title or DEFAULT_AE_TITLE, field=field),
    )
