"""The last test of a C-MOVE route: what came of it, and what it depended on."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dicomfab.registry.server import PacsServer, canonical_host


class RouteOutcome(enum.StrEnum):
    """What a test of a route showed."""

    WORKS = "works"  # an instance arrived
    ACCEPTED = "accepted"  # the source took a C-MOVE of nothing to this move destination
    UNCLEAR = "unclear"  # nothing that tells
    FAILS = "fails"


@dataclass(frozen=True, slots=True)
class RouteTest:
    """The outcome of one test.

    Args:
        source: id of the server that was asked to move.
        destination: id of the server that the route leads to.
        outcome: what it showed.
        tested_at: when, in UTC.
        message: heading, what, cause and remedy, as :meth:`DicomFabError.as_dict` gives them.
        tested: what it depended on, see :func:`way_of`.
    """

    source: str
    destination: str
    outcome: RouteOutcome
    tested_at: datetime
    message: Mapping[str, Any] = field(default_factory=dict)
    tested: Mapping[str, Any] = field(default_factory=dict)


def way_of(source: PacsServer, destination: PacsServer, ae_title: str) -> dict[str, Any]:
    """What a test of a route depends on; when that is different, an old test says nothing any more.

    Args:
        source: the server that is asked to move.
        destination: where the route leads.
        ae_title: the move AE title of the route.
    """
    return {
        "ae_title": ae_title,
        "source": [*_endpoint(source), source.aet_move or source.aet_find, source.tls],
        "destination": _endpoint(destination),
    }


def _endpoint(server: PacsServer) -> list[Any]:
    return [canonical_host(server.host), server.port, server.aec]
