"""Which servers are checked, and how often."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Final

from dicomfab.model.errors import InvalidInput
from dicomfab.model.monitoring import CHECK_IS_WORTH, Monitored, Terms
from dicomfab.model.values import Environment
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer

#: Unless somebody says otherwise: what is in production is left alone.
USUAL_ON: Final[Mapping[Environment, bool]] = {Environment.TEST: True, Environment.PROD: False}
USUAL_INTERVAL_S: Final[Mapping[Environment, float]] = {Environment.TEST: 60.0, Environment.PROD: 300.0}
#: Never more often, whatever anybody says; also while a failure is being confirmed.
LEAST_INTERVAL_S: Final[Mapping[Environment, float]] = {Environment.TEST: 10.0, Environment.PROD: 60.0}
MOST_INTERVAL_S: Final = 86_400.0
#: Each pause is longer or shorter by up to this share, so that servers do not all come at once.
JITTER: Final = 0.1


def said_on(server: PacsServer, row: Monitored) -> bool | None:
    """What somebody said about this server in its environment; ``None`` if nobody did.

    What was said while it was a test server does not hold for one in production.
    """
    return row.is_on if row.set_for == server.environment else None


def is_monitored(server: PacsServer, row: Monitored) -> bool:
    """Whether a server is checked."""
    said = said_on(server, row)
    wanted = USUAL_ON[server.environment] if said is None else said
    return wanted and server.is_active and server.can(Capability.ECHO)


def needs_a_worker(server: PacsServer, row: Monitored) -> bool:
    """Whether a worker has to be there for a server: somebody has switched its monitoring on."""
    return bool(said_on(server, row)) and is_monitored(server, row)


def interval_s(server: PacsServer, row: Monitored) -> float:
    """Seconds between two checks, without jitter."""
    usual = USUAL_INTERVAL_S[server.environment]
    said = row.interval_s if row.set_for == server.environment else None
    return max(usual if said is None else said, LEAST_INTERVAL_S[server.environment])


def terms(server: PacsServer, row: Monitored, *, down_after: int, draw: Callable[[], float] = random.random) -> Terms:
    """What holds for a check of a server.

    Args:
        server: which.
        row: what was said about it.
        down_after: failures in a row that make it down.
        draw: a number from 0 to 1.
    """
    interval = interval_s(server, row)
    least = LEAST_INTERVAL_S[server.environment]
    pause_s = max(interval * (1 + JITTER * (2 * draw() - 1)), least)
    return Terms(pause_s, min(pause_s, least), interval * CHECK_IS_WORTH, down_after)


def checked_interval(server: PacsServer, seconds: float) -> float:
    """An interval that may be asked for.

    Raises:
        InvalidInput: it would burden the server, or is longer than a day.
    """
    least = LEAST_INTERVAL_S[server.environment]
    if not least <= seconds <= MOST_INTERVAL_S:
        raise InvalidInput(
            f"interval: {seconds:g} s is not an interval for {server.name}",
            field="interval",
            value=seconds,
            cause=f"a server in {server.environment} is checked every {least:g} s to {MOST_INTERVAL_S:g} s",
            remedy=f"choose {least:g} or more",
        )
    return seconds
