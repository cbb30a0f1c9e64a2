"""From a registry entry to the peer that is called."""

from __future__ import annotations

from dicomfab.dimse.peer import Timeouts
from dicomfab.model.values import Environment
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.peers import peer_for


def test_each_wait_of_the_entry_is_that_of_the_peer() -> None:
    server = PacsServer(
        id="slow", name="Slow", host="localhost", port=104, aec="SLOW", environment=Environment.TEST,
        connect_timeout_s=1.0, association_timeout_s=2.0, dimse_timeout_s=3.0, retrieve_timeout_s=1800.0,
    )  # fmt: skip
    assert peer_for(server, Capability.MOVE).timeouts == Timeouts(1.0, 2.0, 3.0, 1800.0)
