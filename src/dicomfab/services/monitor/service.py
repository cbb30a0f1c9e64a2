"""What is known of the servers, for those who may see them; and whether they are checked."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from dicomfab.access.policy import Action, Scope, require
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.monitoring import Check, DaySum, Monitored, ServerState, StateChange, day_of, uptime
from dicomfab.model.values import Environment
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.monitor.plan import checked_interval, interval_s, is_monitored, said_on
from dicomfab.services.pacs import PacsService
from dicomfab.services.recording import Record, nobody, recorded
from dicomfab.storage.monitoring import CLAIM_S, MonitorRepository

DAYS_ON_BOARD: Final = 30
MOST_DAYS: Final = 400


class Switch(enum.StrEnum):
    """Whether a server is checked."""

    ON = "on"
    OFF = "off"
    USUAL = "usual"  # test servers are, production servers are not; as often as is usual


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What is known of one server.

    Args:
        server: of the registry.
        row: settings and state as they are kept.
        now: the moment that this is about.
        days: the days that were asked for, the oldest first, today last; none is left out.
    """

    server: PacsServer
    row: Monitored
    now: datetime
    days: tuple[DaySum, ...]

    @property
    def is_monitored(self) -> bool:
        """Whether it is checked."""
        return is_monitored(self.server, self.row)

    @property
    def switch(self) -> Switch:
        """What was said about it."""
        return {None: Switch.USUAL, True: Switch.ON, False: Switch.OFF}[said_on(self.server, self.row)]

    @property
    def interval_s(self) -> float:
        """Seconds between two checks."""
        return interval_s(self.server, self.row)

    @property
    def is_stale(self) -> bool:
        """Whether it should have been checked by now, and was not: no worker is there."""
        last = self.row.last_at
        overdue = timedelta(seconds=2 * self.interval_s + CLAIM_S)
        return self.is_monitored and last is not None and self.now - last > overdue

    @property
    def state(self) -> ServerState:
        """What is known now: nothing, if it is not checked, or was not for long."""
        return self.row.state if self.is_monitored and not self.is_stale else ServerState.UNKNOWN

    def uptime(self, days: int = 1) -> float | None:
        """Share of the monitored time of the last days, today included, in which it was up; ``None`` if none was."""
        return uptime(list(self.days[-days:]))

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        row = self.row
        return {
            "server": self.server.id,
            "name": self.server.name,
            "environment": str(self.server.environment),
            "is_monitored": self.is_monitored,
            "switch": str(self.switch),
            "interval_s": self.interval_s,
            "state": str(self.state),
            "since": _iso(row.since) if self.state is not ServerState.UNKNOWN else None,
            "last_check_at": _iso(row.last_at),
            "next_check_at": _iso(row.next_at) if self.is_monitored else None,
            "latency_ms": row.latency_ms,
            "error": dict(row.error) or None,
            "failures_in_a_row": row.failures_in_a_row,
            "checks": row.checks,
            "failures": row.failures,
            "uptime_today": self.uptime(),
            "uptime_7_days": self.uptime(7),
            "uptime_30_days": self.uptime(30),
        }


@dataclass(frozen=True, slots=True)
class MonitorService:
    """Use cases of monitoring. A server's is seen by those who may VIEW in its environment.

    Args:
        repository: what is known.
        pacs: the servers.
        record: has it recorded when monitoring is switched.
    """

    repository: MonitorRepository
    pacs: PacsService
    record: Record = nobody

    def board(self, actor: Actor, *, days: int = DAYS_ON_BOARD) -> tuple[ServerStatus, ...]:
        """Every server that the actor may see, by name.

        Args:
            actor: who asks.
            days: how many days are wanted, today included.
        """
        return self._known(self.pacs.servers(actor), days)

    def show(self, actor: Actor, server_id: str, *, days: int = DAYS_ON_BOARD) -> ServerStatus:
        """One server.

        Raises:
            NotFound, AccessDenied: there is none of this id, or the actor may not see it.
        """
        (found,) = self._known((self.pacs.get(actor, server_id),), days)
        return found

    def checks(self, actor: Actor, server_id: str, *, limit: int = 50) -> list[Check]:
        """The last checks of a server, the newest first.

        Raises:
            NotFound, AccessDenied: as :meth:`show`.
        """
        return self.repository.checks(self.pacs.get(actor, server_id).id, limit)

    def checks_since(self, actor: Actor, server_id: str, first: datetime) -> list[Check]:
        """The checks of a server from a moment on, the oldest first; why one failed is left out.

        Raises:
            NotFound, AccessDenied: as :meth:`show`.
        """
        return self.repository.checks_since(self.pacs.get(actor, server_id).id, first)

    def recent(self, actor: Actor, server_ids: Sequence[str], *, limit: int) -> Mapping[str, list[Check]]:
        """The last checks of several servers by id, the newest first; none of one that the actor may not see."""
        seen = {server.id for server in self.pacs.servers(actor)}
        return {one: self.repository.checks(one, limit) if one in seen else [] for one in server_ids}

    def events(self, actor: Actor, *, server_id: str | None = None, limit: int = 50) -> list[StateChange]:
        """What was news, the newest first: of one server, or of all that the actor may see.

        Raises:
            NotFound, AccessDenied: as :meth:`show`.
        """
        seen = self.pacs.servers(actor) if server_id is None else (self.pacs.get(actor, server_id),)
        return self.repository.events([server.id for server in seen], limit)

    def change(
        self, actor: Actor, server_id: str, *, switch: Switch | None = None, interval_s: float | None = None
    ) -> ServerStatus:
        """Say whether and how often a server is checked; what is ``None`` stays.

        Args:
            actor: who asks; needs CONFIGURE.
            server_id: which.
            switch: as usual also means: as often as is usual, unless an interval is given.
            interval_s: seconds between two checks.

        Raises:
            AccessDenied, NotFound: nothing was changed.
            InvalidInput: the interval would burden the server.
            Conflict: its entry forbids C-ECHO.
        """
        require(actor, Action.CONFIGURE, Scope.SYSTEM)
        server = self.pacs.get(actor, server_id)
        if switch is Switch.ON:
            server.calling_ae_title(Capability.ECHO)
        row = self.repository.states().get(server.id, Monitored(server_id=server.id))
        holds = row.set_for == server.environment
        is_on = said_on(server, row) if switch is None else {Switch.ON: True, Switch.OFF: False}.get(switch)
        if interval_s is not None:
            every: float | None = checked_interval(server, interval_s)
        else:
            every = row.interval_s if holds and switch is not Switch.USUAL else None
        detail = {"monitoring": str(switch or "as before"), "interval_s": str(every or "as usual")}
        given = {"environment": str(server.environment), "subject": server.id, "detail": detail}
        with recorded(self.record, AuditEvent.by(actor, EventKind.SETTINGS_CHANGE, **given), ahead=True):
            self.repository.configure(server.id, str(server.environment), is_on=is_on, interval_s=every)
        return self.show(actor, server.id)

    def job_counts(self, environments: frozenset[Environment]) -> Mapping[tuple[str, str], int]:
        """How many jobs there are of each state and kind; for metrics, which ask the policy first."""
        return self.repository.job_counts([str(one) for one in environments])

    def _known(self, servers: tuple[PacsServer, ...], days: int) -> tuple[ServerStatus, ...]:
        now = self.repository.now()
        first = day_of(now) - timedelta(days=max(1, min(days, MOST_DAYS)) - 1)
        wanted = [first + timedelta(days=number) for number in range((day_of(now) - first).days + 1)]
        states, sums = self.repository.states(), self.repository.days(first, [server.id for server in servers])
        return tuple(
            ServerStatus(
                server, states.get(server.id, Monitored(server_id=server.id)), now, _filled(wanted, sums[server.id])
            )
            for server in servers
        )


def percent(share: float | None) -> str:
    """A share of time for reading; never rounded up to 100, so that a minute of downtime stays in sight."""
    if share is None:
        return "–"
    return "100 %" if share == 1 else f"{min(share * 100, 99.99):.2f} %"


def _filled(wanted: list[date], known: Mapping[date, DaySum]) -> tuple[DaySum, ...]:
    return tuple(known.get(day, DaySum(day)) for day in wanted)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
