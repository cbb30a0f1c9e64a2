"""Schedules in the database, and the one transaction in which a due one makes its job."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import Connection, Row, and_, delete, func, insert, select, true, update

from dicomfab.model.errors import Conflict, NotFound
from dicomfab.model.job import JobKind, NewItem, NewJob
from dicomfab.model.schedule import NewSchedule, Schedule
from dicomfab.storage.database import Database
from dicomfab.storage.job_rows import add_job, changing, fitting
from dicomfab.storage.tables import schedule

Note: TypeAlias = Callable[[Connection, int | None], None]
"""Given the job that was made, if one was, within the transaction that makes it; what it raises undoes that."""


class ScheduleRepository:
    """Schedules of one installation.

    Args:
        database: where they are kept; the jobs that they make are there too.
        now: the moment, with time zone; the database's clock if left out, so that every worker has the same.
    """

    def __init__(self, database: Database, *, now: Callable[[], datetime] | None = None) -> None:
        self._database = database
        self._now = now or database.now

    def now(self) -> datetime:
        """The moment by which schedules are due, with time zone."""
        return self._now()

    def add(self, new: NewSchedule) -> Schedule:
        """Keep a new schedule, enabled."""
        values = asdict(new) | {
            "kind": str(new.kind),
            "title": fitting(new.title, schedule.c.title),
            "roles": list(new.roles),
            "parameters": dict(new.parameters),
            "is_enabled": True,
            "created_at": self._now(),
            "error": {},
        }
        with self._database.write() as connection:
            made: int = connection.execute(insert(schedule).values(values).returning(schedule.c.id)).scalar_one()
            return _found(connection, made)

    def find(self, schedule_id: int) -> Schedule:
        """One schedule.

        Raises:
            NotFound: there is none of this number.
        """
        with self._database.read() as connection:
            return _found(connection, schedule_id)

    def every(self) -> list[Schedule]:
        """All schedules, the oldest first."""
        with self._database.read() as connection:
            return [_schedule(row) for row in connection.execute(select(schedule).order_by(schedule.c.id))]

    def due(self, store_id: str) -> list[Schedule]:
        """Enabled schedules whose time has come, and whose jobs a worker with this local store can make."""
        mine = _mine(store_id), schedule.c.next_at <= self._now()
        with self._database.read() as connection:
            query = select(schedule).where(*mine).order_by(schedule.c.next_at, schedule.c.id)
            return [_schedule(row) for row in connection.execute(query)]

    def is_any_enabled(self, store_id: str) -> bool:
        """Whether a worker with this local store has to be there for a schedule, now or later."""
        with self._database.read() as connection:
            count = connection.execute(select(func.count()).select_from(schedule).where(_mine(store_id))).scalar_one()
            return count > 0

    def fire(
        self, due: Schedule, next_at: datetime, job: NewJob, items: Iterable[NewItem], note: Note = lambda *_: None
    ) -> int | None:
        """Submit the job of a due schedule and set its next time, in one transaction.

        Args:
            due: as it was read; another worker may have dealt with it since.
            next_at: when it is due again, with time zone.
            job: to be submitted.
            items: of the job.
            note: see :data:`Note`.

        Returns:
            The number of the job; ``None`` if another worker was first, or the schedule was changed: nothing was done.
        """
        now = self._now()
        with changing(self._database) as connection:
            if not _set_next(connection, due, next_at):
                return None
            made = add_job(connection, job, items, now)
            _note(connection, due.id, {"last_job": made, "error": {}})
            note(connection, made)
            return made

    def miss(self, due: Schedule, next_at: datetime, error: Mapping[str, Any], note: Note = lambda *_: None) -> bool:
        """Note why a due schedule could not make its job, and set its next time.

        Returns:
            Whether it was this worker's to note.
        """
        with changing(self._database) as connection:
            if not _set_next(connection, due, next_at):
                return False
            _note(connection, due.id, {"error": dict(error)})
            note(connection, None)
            return True

    def make_now(self, schedule_id: int, job: NewJob, items: Iterable[NewItem], note: Note = lambda *_: None) -> int:
        """Submit a job of a schedule out of turn; its next time stays as it is. Returns the number of the job.

        Raises:
            NotFound: there is no such schedule any more.
        """
        with changing(self._database) as connection:
            _found(connection, schedule_id)
            made = add_job(connection, job, items, self._now())
            _note(connection, schedule_id, {"last_job": made, "error": {}})
            note(connection, made)
            return made

    def enable(self, schedule_id: int, next_at: datetime | None) -> Schedule:
        """Let a schedule make jobs from a moment on, or none for now (``None``).

        Raises:
            NotFound: there is none of this number.
        """
        values = {"is_enabled": False} if next_at is None else {"is_enabled": True, "next_at": next_at}
        with changing(self._database) as connection:
            _found(connection, schedule_id)
            _note(connection, schedule_id, values)
            return _found(connection, schedule_id)

    def remove(self, schedule_id: int) -> Schedule:
        """Forget a schedule, and return it as it was; the jobs that it made stay.

        Raises:
            NotFound: there is none of this number.
        """
        with changing(self._database) as connection:
            removed = _found(connection, schedule_id)
            connection.execute(delete(schedule).where(schedule.c.id == schedule_id))
            return removed

    def put_back(self, removed: Schedule) -> Schedule:
        """Keep a schedule that was removed, under the same number, which no other one ever gets.

        Raises:
            Conflict: it is there again already.
        """
        plain: dict[str, Any] = {"kind": str(removed.kind), "roles": list(removed.roles)}
        plain |= {"parameters": dict(removed.parameters), "error": dict(removed.error)}
        with changing(self._database) as connection:
            if connection.execute(select(schedule.c.id).where(schedule.c.id == removed.id)).first() is not None:
                raise Conflict(
                    f"schedule {removed.id} is there again already",
                    cause="somebody put it back before",
                    remedy="see the list: dicomfab schedule list",
                )
            connection.execute(insert(schedule).values(asdict(removed) | plain))
            return _found(connection, removed.id)


def _mine(store_id: str) -> Any:
    return and_(schedule.c.is_enabled == true(), schedule.c.store_id.in_(("", store_id)))


def _found(connection: Connection, schedule_id: int) -> Schedule:
    row = connection.execute(select(schedule).where(schedule.c.id == schedule_id)).first()
    if row is None:
        raise NotFound(
            f"there is no schedule {schedule_id}.",
            cause="it was removed, or the number is mistyped",
            remedy="dicomfab schedule list",
        )
    return _schedule(row)


def _set_next(connection: Connection, due: Schedule, next_at: datetime) -> bool:
    """Set the next time, unless the schedule is no longer as it was read."""
    as_read = and_(schedule.c.id == due.id, schedule.c.next_at == due.next_at, schedule.c.is_enabled == true())
    values = {"next_at": next_at, "last_at": due.next_at}
    return connection.execute(update(schedule).where(as_read).values(values)).rowcount == 1


def _note(connection: Connection, schedule_id: int, values: Mapping[str, Any]) -> None:
    connection.execute(update(schedule).where(schedule.c.id == schedule_id).values(dict(values)))


def _schedule(row: Row[Any]) -> Schedule:
    return Schedule(**{**row._mapping, "kind": JobKind(row.kind), "roles": tuple(row.roles)})
