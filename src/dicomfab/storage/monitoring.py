"""Monitoring in the database: who checks which server when, and what was seen.

Changes are made one after the other with those of the registry, so that no server is removed in the middle of one. The
newest may be undone by a power cut, in whole transactions: the next check sees the same again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, Table, delete, func, insert, select, update

from dicomfab.model.errors import NotFound
from dicomfab.model.monitoring import (
    Check,
    DaySum,
    Monitored,
    ServerState,
    StateChange,
    Terms,
    after,
    covered,
    day_of,
)
from dicomfab.storage.database import Database
from dicomfab.storage.tables import job, monitor, monitor_check, monitor_day, monitor_event, pacs_server

_SUBJECT: Final = "registry"
#: Longer than any check lasts: who has a server to check for longer is dead or was cut off.
CLAIM_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class CheckClaim:
    """The right to check a server.

    Args:
        server_id: which.
        at: when it was given, with time zone: that is when the check begins.
        until: proves that it is still this worker's.
    """

    server_id: str
    at: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Untold:
    """An event that the webhook has yet to be told of.

    Args:
        event: which.
        tries: that were made, this one included.
    """

    event: StateChange
    tries: int


class MonitorRepository:
    """What is known of the servers of one installation.

    Args:
        database: where it is kept; the registry is there too.
        now: the moment, with time zone; the database's clock if left out, so that every worker has the same.
    """

    def __init__(self, database: Database, *, now: Callable[[], datetime] | None = None) -> None:
        self._database = database
        self._now = now or database.now

    def now(self) -> datetime:
        """The moment by which servers are due, with time zone."""
        return self._now()

    def states(self) -> dict[str, Monitored]:
        """What is known, by server; nothing of servers that were never set nor checked."""
        with self._database.read() as connection:
            return {row.server_id: _monitored(row) for row in connection.execute(select(monitor))}

    def configure(self, server_id: str, environment: str, *, is_on: bool | None, interval_s: float | None) -> Monitored:
        """Say whether and how often a server is to be checked; it is due at once.

        Args:
            server_id: which.
            environment: the one that this is said for.
            is_on: whether; ``None``: as is usual.
            interval_s: how often, in seconds; ``None``: as is usual.

        Raises:
            NotFound: it is no longer in the registry; nothing was changed.
        """
        values = {"is_on": is_on, "set_for": environment, "interval_s": interval_s, "next_at": None}
        with self._database.changing(_SUBJECT) as connection:
            if _row(connection, server_id) is None and not _add(connection, server_id):
                raise NotFound(
                    f"there is no PACS server {server_id!r}", cause="it was removed", remedy="dicomfab pacs list"
                )
            connection.execute(update(monitor).where(monitor.c.server_id == server_id).values(values))
            return _monitored(_row(connection, server_id))

    def claim(self, server_ids: Iterable[str]) -> list[CheckClaim]:
        """Take servers to check: of those named, the ones that are due and that nobody else has."""
        now = self._now()
        until = now + timedelta(seconds=CLAIM_S)
        taken = []
        with self._database.changing(_SUBJECT, synced=False) as connection:
            for server_id in server_ids:
                found = _row(connection, server_id)
                if found is None:
                    if not _add(connection, server_id):
                        continue
                elif not _is_free(found, now):
                    continue
                connection.execute(update(monitor).where(monitor.c.server_id == server_id).values(busy_until=until))
                taken.append(CheckClaim(server_id, now, until))
        return taken

    def record(self, claim: CheckClaim, check: Check, terms: Terms, *, tell: bool) -> StateChange | None:
        """Keep how a check ended, and let go of the server.

        Args:
            claim: by which it was made. If it is no longer valid, nothing is kept.
            check: how it ended.
            terms: what holds for this server.
            tell: whether the webhook is to be told of what is news.

        Returns:
            What is news, if anything is.
        """
        with self._database.changing(_SUBJECT, synced=False) as connection:
            found = _row(connection, claim.server_id)
            if found is None or found.busy_until != claim.until:
                return None
            before = _monitored(found)
            row, change = after(before, check, terms)
            values = asdict(row) | {"state": str(row.state), "busy_until": None}
            connection.execute(update(monitor).where(monitor.c.server_id == row.server_id).values(values))
            kept = {"at": check.at, "ok": check.ok, "latency_ms": check.latency_ms, "heading": _short(check.heading)}
            connection.execute(insert(monitor_check).values(server_id=row.server_id, **kept))
            _count(connection, before, check, terms.worth_s)
            if change is not None:
                _add_event(connection, change, check.at if tell else None)
            return change

    def give_back(self, claim: CheckClaim, next_at: datetime) -> None:
        """Let go of a server of which nothing was learned."""
        mine = monitor.c.server_id == claim.server_id, monitor.c.busy_until == claim.until
        with self._database.changing(_SUBJECT, synced=False) as connection:
            connection.execute(update(monitor).where(*mine).values(busy_until=None, next_at=next_at))

    def days(self, first: date, server_ids: Collection[str]) -> dict[str, dict[date, DaySum]]:
        """The days of some servers from one on; those in which nothing was checked are absent."""
        where = monitor_day.c.day >= first, monitor_day.c.server_id.in_(server_ids)
        found: dict[str, dict[date, DaySum]] = {server_id: {} for server_id in server_ids}
        with self._database.read() as connection:
            for row in connection.execute(select(monitor_day).where(*where).order_by(monitor_day.c.day)):
                found[row.server_id][row.day] = _day(row)
        return found

    def checks(self, server_id: str, limit: int) -> list[Check]:
        """The last checks of a server, the newest first; of an error no more than its heading is kept."""
        query = select(monitor_check).where(monitor_check.c.server_id == server_id)
        with self._database.read() as connection:
            rows = connection.execute(
                query.order_by(monitor_check.c.at.desc(), monitor_check.c.id.desc()).limit(limit)
            ).all()
        return [Check(r.at, r.ok, r.latency_ms, {"heading": r.heading} if r.heading else {}) for r in rows]

    def checks_since(self, server_id: str, first: datetime) -> list[Check]:
        """The checks of a server from a moment on, the oldest first; of errors nothing is given."""
        columns = monitor_check.c.at, monitor_check.c.ok, monitor_check.c.latency_ms
        query = select(*columns).where(monitor_check.c.server_id == server_id, monitor_check.c.at >= first)
        with self._database.read() as connection:
            return [Check(*row) for row in connection.execute(query.order_by(monitor_check.c.at))]

    def events(self, server_ids: Collection[str], limit: int) -> list[StateChange]:
        """The last events of some servers, the newest first."""
        query = select(monitor_event).where(monitor_event.c.server_id.in_(server_ids))
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(monitor_event.c.at.desc(), monitor_event.c.id.desc()).limit(limit))
            return [_event(row) for row in rows]

    def next_untold(self, again_at: datetime) -> Untold | None:
        """Take the oldest event that the webhook has yet to be told of, if its time has come.

        Args:
            again_at: when it is tried again if nothing is heard of this try.
        """
        oldest = select(monitor_event).where(monitor_event.c.tell_at.is_not(None)).order_by(monitor_event.c.id).limit(1)
        now = self._now()
        with self._database.read() as connection:  # as a rule there is none, and then nothing is written
            seen = connection.execute(oldest).first()
        if seen is None or seen.tell_at > now:
            return None
        as_seen = monitor_event.c.id == seen.id, monitor_event.c.tell_at == seen.tell_at
        values = {"tell_at": again_at, "tries": seen.tries + 1}
        with self._database.changing(_SUBJECT) as connection:
            if connection.execute(update(monitor_event).where(*as_seen).values(values)).rowcount != 1:
                return None
            return Untold(_event(seen), seen.tries + 1)

    def tell_again(self, event_id: int, at: datetime | None) -> None:
        """Say when the webhook is to be told of an event once more; ``None``: it was, or it has been tried enough."""
        with self._database.changing(_SUBJECT) as connection:
            connection.execute(update(monitor_event).where(monitor_event.c.id == event_id).values(tell_at=at))

    def purge(self, *, checks_before: datetime, rest_before: datetime) -> None:
        """Forget single checks, and days and events, that are older."""
        with self._database.changing(_SUBJECT, synced=False) as connection:
            connection.execute(delete(monitor_check).where(monitor_check.c.at < checks_before))
            connection.execute(delete(monitor_day).where(monitor_day.c.day < day_of(rest_before)))
            connection.execute(delete(monitor_event).where(monitor_event.c.at < rest_before))

    def job_counts(self, environments: Collection[str]) -> dict[tuple[str, str], int]:
        """How many jobs there are of each state and kind, in some environments."""
        query = select(job.c.state, job.c.kind, func.count()).where(job.c.environment.in_(environments))
        with self._database.read() as connection:
            rows = connection.execute(query.group_by(job.c.state, job.c.kind))
            return {(state, kind): number for state, kind, number in rows}


def _row(connection: Connection, server_id: str) -> Row[Any] | None:
    return connection.execute(select(monitor).where(monitor.c.server_id == server_id)).first()


def _add(connection: Connection, server_id: str) -> bool:
    """Begin to know of a server, if it is in the registry."""
    if connection.execute(select(pacs_server.c.id).where(pacs_server.c.id == server_id)).first() is None:
        return False
    blank = Monitored(server_id=server_id)
    connection.execute(insert(monitor).values(asdict(blank) | {"state": str(blank.state)}))
    return True


def _is_free(found: Row[Any], now: datetime) -> bool:
    is_due = found.next_at is None or found.next_at <= now
    return is_due and (found.busy_until is None or found.busy_until <= now)


def _count(connection: Connection, before: Monitored, check: Check, worth_s: float) -> None:
    """Add a check, and the time since the one before, to the days that they belong to."""
    spans = dict(covered(before.last_at, check.at, worth_s))
    for day in sorted({*spans, day_of(check.at)}):
        where = monitor_day.c.server_id == before.server_id, monitor_day.c.day == day
        found = connection.execute(select(monitor_day).where(*where)).first()
        total = DaySum(day) if found is None else _day(found)
        total = total.with_time(spans.get(day, 0.0), ok=bool(before.last_ok))
        if day == day_of(check.at):
            total = total.with_check(check)
        if found is None:
            connection.execute(insert(monitor_day).values(server_id=before.server_id, **asdict(total)))
        else:
            connection.execute(update(monitor_day).where(*where).values(asdict(total)))


def _add_event(connection: Connection, change: StateChange, tell_at: datetime | None) -> None:
    values: Mapping[str, Any] = {
        "server_id": change.server_id,
        "at": change.at,
        "state": str(change.state),
        "heading": _short(change.heading),
        "lasted_s": change.lasted_s,
        "tell_at": tell_at,
        "tries": 0,
    }
    connection.execute(insert(monitor_event).values(values))


def _short(heading: str) -> str:
    return heading[: monitor_check.c.heading.type.length]  # type: ignore[attr-defined]


def _monitored(row: Row[Any] | None) -> Monitored:
    assert row is not None
    return Monitored(**_without(row, monitor, "busy_until") | {"state": ServerState(row.state)})


def _day(row: Row[Any]) -> DaySum:
    return DaySum(**_without(row, monitor_day, "server_id"))


def _event(row: Row[Any]) -> StateChange:
    return StateChange(row.server_id, ServerState(row.state), row.at, row.heading, row.lasted_s, row.id)


def _without(row: Row[Any], table: Table, name: str) -> dict[str, Any]:
    return {column.name: row._mapping[column.name] for column in table.c if column.name != name}
