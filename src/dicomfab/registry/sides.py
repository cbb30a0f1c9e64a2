"""Where production stands or once stood: no test server takes its place there unseen.

A production server that is removed, or is moved to another address, leaves its address remembered. Else removing it and
adding it again would change it to a test server without anybody being asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from dicomfab.model.errors import ConfirmationRequired
from dicomfab.registry.registry import Registry
from dicomfab.registry.server import PacsServer

#: Host as compared, port and AE title; see :attr:`PacsServer.endpoint`.
Endpoint: TypeAlias = tuple[str, int, str]


def production(registry: Registry) -> dict[Endpoint, str]:
    """Where production servers stand, each with its name."""
    return {server.endpoint: server.name for server in registry.servers if server.is_production}


def in_place_of_production(before: Registry, after: Registry, former: Mapping[Endpoint, str]) -> tuple[PacsServer, ...]:
    """The test servers that a change puts where production stands or stood.

    Args:
        before: the registry as it is.
        after: as it would be.
        former: addresses that are remembered, each with the name of the server that was there.
    """
    known = {*former, *production(before)}
    was_test = {server.endpoint for server in before.servers if not server.is_production}
    return tuple(
        server
        for server in after.servers
        if not server.is_production and server.endpoint in known and server.endpoint not in was_test
    )


def check_sides(before: Registry, after: Registry, former: Mapping[Endpoint, str]) -> None:
    """Refuse a change that puts a test server where production stands or stood.

    Raises:
        ConfirmationRequired: naming both.
    """
    names = {**former, **production(before)}
    for server in in_place_of_production(before, after, former):
        raise ConfirmationRequired(
            f"environment: {server.name} would be a test server at {server.address}, {server.aec}, "
            f"where {names[server.endpoint]} stood in production",
            cause="other roles would have access to what is there, and fabricated data could be sent to it",
            remedy="if that server itself really changed sides, confirm it (--change-environment)",
        )


def remembered(before: Registry, after: Registry, former: Mapping[Endpoint, str]) -> dict[Endpoint, str]:
    """The addresses to remember after a change: production stood there, and no server is entered there now."""
    taken = {server.endpoint for server in after.servers}
    return {end: name for end, name in {**former, **production(before)}.items() if end not in taken}
