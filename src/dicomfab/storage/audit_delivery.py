"""How far the audit log was delivered to each receiver, who delivers now, and how the last attempt failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, case, delete, func, insert, or_, select, update
from sqlalchemy import exc as sql_errors

from dicomfab.storage.database import Database
from dicomfab.storage.tables import audit_delivery, audit_entry, audit_segment

_row: Final = audit_delivery.c


@dataclass(frozen=True, slots=True)
class Held:
    """What whoever holds a delivery has to deliver: the entries after one, up to another.

    Args:
        delivered: number of the last entry that was delivered.
        newest: number of the newest entry that is on the disk, so that no power cut gives its number to another one.
        attempts: that failed in a row.
    """

    delivered: int
    newest: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the delivery to a receiver is.

    Args:
        destination: the receiver, as host:port.
        delivered: number of the last entry that was delivered; 0 if none was.
        delivered_at: when that was.
        newest: number of the newest entry.
        waiting: how many entries wait.
        waiting_since: moment of the oldest of them.
        attempts: that failed in a row.
        next_at: when it is tried next, after a failure.
        problem: why the last attempt failed: ``what``, ``cause`` and ``remedy``; empty if it did not.
        is_held: a process delivers at this moment.
    """

    destination: str
    delivered: int
    delivered_at: datetime | None
    newest: int
    waiting: int
    waiting_since: datetime | None
    attempts: int
    next_at: datetime | None
    problem: Mapping[str, str]
    is_held: bool


class AuditDeliveries:
    """The deliveries of one installation, shared by all processes that use its database.

    Args:
        database: where they are.
        now: the moment, with time zone; the database's clock if left out.
    """

    def __init__(self, database: Database, *, now: Callable[[], datetime] | None = None) -> None:
        self._database = database
        #: The moment, by which pauses and holding are measured.
        self.now = now or database.now

    def is_due(self, destination: str) -> bool:
        """Whether something waits that may be tried now and nobody holds; writes nothing, so it may be asked often."""
        now = self.now()
        with self._database.read() as connection:
            newest = _newest(connection)
            row = connection.execute(select(audit_delivery).where(_row.destination == destination)).first()
        if row is None:
            return newest > 0
        waits_for = (row.next_at, row.held_until)
        return newest > row.delivered_seq and all(moment is None or moment <= now for moment in waits_for)

    def hold(self, destination: str, holder: str, span: timedelta, *, at_once: bool = False) -> Held | None:
        """Keep others from delivering for a while; ``None`` if another process does, or it is to be tried later.

        Args:
            destination: the receiver. One that is new begins at the oldest entry that is kept.
            holder: names who asks.
            span: for how long.
            at_once: also when it was to be tried later.
        """
        self._make(destination)
        now = self.now()
        is_free = [or_(_row.held_until.is_(None), _row.held_until <= now, _row.holder == holder)]
        if not at_once:
            is_free.append(or_(_row.next_at.is_(None), _row.next_at <= now))
        return self._changed(destination, is_free, holder=holder, held_until=now + span)

    def confirm(self, destination: str, holder: str, seq: int, span: timedelta) -> Held | None:
        """Note that everything up to an entry was delivered, and go on holding; ``None`` if another process holds it.

        Args:
            destination: the receiver.
            holder: as :meth:`hold`.
            seq: number of the entry.
            span: for how much longer it is held.
        """
        now = self.now()
        mine = [_row.holder == holder, _row.delivered_seq < seq]
        values = {"delivered_seq": seq, "delivered_at": now, "held_until": now + span}
        return self._changed(destination, mine, **values, attempts=0, next_at=None, problem=None)

    def go_back(self, destination: str, seq: int) -> bool:
        """Have everything after an entry delivered again; false while somebody delivers.

        Args:
            destination: the receiver.
            seq: number of the entry.
        """
        self._make(destination)
        is_free = or_(_row.held_until.is_(None), _row.held_until <= self.now())
        values = {"delivered_seq": case((_row.delivered_seq > seq, seq), else_=_row.delivered_seq)}
        return self._changed(destination, [is_free], holder="", **values) is not None

    def put_off(self, destination: str, holder: str, until: datetime, attempts: int, problem: dict[str, str]) -> None:
        """Let go after a failure.

        Args:
            destination: the receiver.
            holder: as :meth:`hold`.
            until: when it is tried next.
            attempts: that failed in a row.
            problem: why this one did.
        """
        self._let_go(destination, holder, attempts=attempts, next_at=until, problem=problem)

    def release(self, destination: str, holder: str) -> None:
        """Let go."""
        self._let_go(destination, holder)

    def standings(self, *always: str) -> tuple[Standing, ...]:
        """How far each delivery is, in the order of the receivers.

        Args:
            always: also these receivers, where nothing was tried yet.
        """
        now = self.now()
        with self._database.read() as connection:
            rows = {row.destination: row for row in connection.execute(select(audit_delivery))}
            newest = _newest(connection)
            return tuple(_standing(connection, name, rows.get(name), newest, now) for name in sorted({*rows, *always}))

    def delivered_to_all(self, *always: str) -> int | None:
        """Number of the last entry that every receiver has; ``None`` if there are no receivers.

        Args:
            always: also these receivers, where nothing was tried yet.
        """
        with self._database.read() as connection:
            found = {row.destination: row.delivered_seq for row in connection.execute(select(audit_delivery))}
        return min((found.get(name, 0) for name in {*found, *always}), default=None)

    def forget(self, destination: str) -> bool:
        """Deliver to a receiver no more; false if there is none of this name."""
        with self._database.write() as connection:
            gone = connection.execute(delete(audit_delivery).where(_row.destination == destination))
            return bool(gone.rowcount)

    def _make(self, destination: str) -> None:
        with self._database.read() as connection:
            if connection.execute(select(_row.destination).where(_row.destination == destination)).first():
                return
        values = {"destination": destination, "delivered_seq": 0, "holder": "", "attempts": 0}
        try:
            with self._database.write() as connection:
                connection.execute(insert(audit_delivery).values(values))
        except sql_errors.IntegrityError:
            return  # another process was faster

    def _changed(self, destination: str, allowed: Iterable[ColumnElement[bool]], **values: Any) -> Held | None:
        is_wanted = _row.destination == destination
        # A transaction with a sync puts everything before it on the disk as well: the entries that are to go out.
        with self._database.write() as connection:
            newest = _newest(connection)
            if not connection.execute(update(audit_delivery).where(is_wanted, *allowed).values(values)).rowcount:
                return None
            row = connection.execute(select(audit_delivery).where(is_wanted)).one()
            return Held(row.delivered_seq, newest, row.attempts)

    def _let_go(self, destination: str, holder: str, **values: Any) -> None:
        mine = (_row.destination == destination, _row.holder == holder)
        with self._database.write(synced=False) as connection:
            connection.execute(update(audit_delivery).where(*mine).values(holder="", held_until=None, **values))


def _newest(connection: Connection) -> int:
    found = connection.execute(select(func.max(audit_entry.c.seq))).scalar()
    return found or connection.execute(select(func.max(audit_segment.c.through_seq))).scalar() or 0


def _standing(connection: Connection, name: str, row: Row[Any] | None, newest: int, now: datetime) -> Standing:
    delivered = row.delivered_seq if row is not None else 0
    oldest = connection.execute(
        select(audit_entry.c.seq, audit_entry.c.at)
        .where(audit_entry.c.seq > delivered)
        .order_by(audit_entry.c.seq)
        .limit(1)
    ).first()
    return Standing(
        destination=name,
        delivered=delivered,
        delivered_at=row.delivered_at if row is not None else None,
        newest=newest,
        waiting=newest - oldest.seq + 1 if oldest is not None else 0,
        waiting_since=oldest.at if oldest is not None else None,
        attempts=row.attempts if row is not None else 0,
        next_at=row.next_at if row is not None else None,
        problem=(row.problem if row is not None else None) or {},
        is_held=row is not None and row.held_until is not None and row.held_until > now,
    )
