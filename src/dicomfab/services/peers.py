"""From a registry entry to the peer that an operation calls."""

from __future__ import annotations

from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer


def peer_for(server: PacsServer, operation: Capability) -> Peer:
    """Address, AE titles and timeouts for one operation, as plain values.

    Raises:
        Conflict: the operation is switched off for this server; nothing was sent.
    """
    return Peer(
        host=server.host,
        port=server.port,
        called_ae_title=server.aec,
        calling_ae_title=server.calling_ae_title(operation),
        timeouts=Timeouts(server.connect_timeout_s, server.association_timeout_s, server.dimse_timeout_s),
        name=server.name,
    )
