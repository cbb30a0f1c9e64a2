"""The ledger: jobs and their items in the database, as those see it who submit and watch them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy import bindparam as bind

from dicomfab.model.errors import Conflict
from dicomfab.model.job import ARROWS, ItemState, Job, JobEvent, JobItem, JobKind, JobState, NewItem, NewJob, Wish
from dicomfab.storage.database import Database
from dicomfab.storage.job_rows import add_job, change, changing, count, found_job, item_of, job_of, moved
from dicomfab.storage.tables import job, job_item


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs are wanted; what is empty does not restrict.

    Args:
        states: any of them.
        kinds: any of them.
        environments: any of them; what the actor may see.
        owner: name of an actor.
        queue: of one server.
        search: part of the title.
    """

    states: frozenset[JobState] = frozenset()
    kinds: frozenset[JobKind] = frozenset()
    environments: frozenset[str] = frozenset()
    owner: str = ""
    queue: str = ""
    search: str = ""


@dataclass(frozen=True, slots=True)
class JobPage:
    """A page of a list, and how many jobs the whole list has."""

    jobs: tuple[Job, ...]
    total: int


class JobRepository:
    """Jobs of one installation.

    Args:
        database: where they are kept.
        now: the moment, with time zone; the database's clock if left out.
    """

    def __init__(self, database: Database, *, now: Callable[[], datetime] | None = None) -> None:
        self._database = database
        self._now = now or database.now

    def submit(self, new: NewJob, items: Iterable[NewItem]) -> int:
        """Keep a job with its items, in one transaction: from then on it will be done, whatever process dies.

        Returns:
            The job's number.
        """
        with self._database.write() as connection:
            return add_job(connection, new, items, self._now())

    def find(self, job_id: int) -> Job:
        """One job.

        Raises:
            NotFound: there is none of this number.
        """
        with self._database.read() as connection:
            return found_job(connection, job_id)

    def page(self, wanted: JobFilter, *, limit: int = 100, offset: int = 0) -> JobPage:
        """Jobs, the newest first."""
        where = _conditions(wanted)
        with self._database.read() as connection:
            total = connection.execute(select(func.count()).select_from(job).where(*where)).scalar_one()
            query = select(job).where(*where).order_by(job.c.id.desc()).limit(limit).offset(offset)
            return JobPage(tuple(job_of(row) for row in connection.execute(query)), total)

    def items(
        self, job_id: int, states: Iterable[ItemState] = (), *, limit: int | None = None, offset: int = 0
    ) -> list[JobItem]:
        """Items of a job in order, those of some states only if any are named."""
        query = select(job_item).where(job_item.c.job_id == job_id).order_by(job_item.c.number)
        if named := [str(state) for state in states]:
            query = query.where(job_item.c.state.in_(named))
        if limit is not None:
            query = query.limit(limit)
        with self._database.read() as connection:
            return [item_of(row) for row in connection.execute(query.offset(offset))]

    def ask(self, job_id: int, event: JobEvent) -> Job:
        """Pause, resume, cancel or retry a job. One that runs is asked to, and does it before its next item.

        Retrying makes failed items pending again, and leaves those that are done as they are.

        Raises:
            NotFound: there is no such job.
            Conflict: the job is in a state that this does not lead out of.
        """
        with changing(self._database) as connection:
            found = found_job(connection, job_id)
            if (found.state, event) not in ARROWS:
                raise _impossible(found, event)
            if found.state is JobState.RUNNING:
                values: dict[str, Any] = {"wish": str(Wish.PAUSE if event is JobEvent.PAUSE else Wish.CANCEL)}
            else:
                values = moved(found, event, self._now())
                if event is JobEvent.RETRY:
                    values |= {"failed": 0, "report": {}}
                    again = (str(ItemState.FAILED),)
                    connection.execute(
                        update(job_item)
                        .where(job_item.c.job_id == job_id, job_item.c.state.in_(again))
                        .values(state=str(ItemState.PENDING))
                    )
            change(connection, job.c.id == job_id, values)
            return found_job(connection, job_id)

    def prefer(self, job_id: int, priority: int) -> Job:
        """Change the priority, 1 (first) to 9, of a job."""
        with changing(self._database) as connection:
            found_job(connection, job_id)
            change(connection, job.c.id == job_id, {"priority": priority})
            return found_job(connection, job_id)

    def release(self, job_id: int, numbers: Sequence[int], detail: Mapping[int, Mapping[str, Any]]) -> Job:
        """Let items that were held go on, each with what was decided about it.

        Args:
            job_id: a job. One that runs does them before it ends.
            numbers: of held items.
            detail: what replaces the request of an item, by its number.
        """
        with changing(self._database) as connection:
            found, now = found_job(connection, job_id), self._now()
            rows = [{"n": n, "r": dict(detail[n])} for n in numbers if n in detail]
            if rows:
                connection.execute(
                    update(job_item)
                    .where(
                        job_item.c.job_id == job_id,
                        job_item.c.number == bind("n"),
                        job_item.c.state == str(ItemState.HELD),
                    )
                    .values(state=str(ItemState.PENDING), request=bind("r"), changed_at=now),
                    rows,
                )
            held = count(connection, job_id, ItemState.HELD)
            values: dict[str, Any] = {"held": held}
            if found.state.has_ended and held < found.counts.held:
                values |= {"state": str(JobState.QUEUED), "not_before": now, "ended_at": None, "report": {}}
            change(connection, job.c.id == job_id, values)
            return found_job(connection, job_id)

    def delete_ended(self, before: datetime) -> int:
        """Forget jobs that ended before a moment; returns how many."""
        ended = [str(state) for state in JobState if state.has_ended]
        with changing(self._database) as connection:
            return connection.execute(delete(job).where(job.c.state.in_(ended), job.c.ended_at < before)).rowcount


def _conditions(wanted: JobFilter) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    for column, values in (("state", wanted.states), ("kind", wanted.kinds), ("environment", wanted.environments)):
        if values:
            where.append(job.c[column].in_([str(value) for value in values]))
    if wanted.owner:
        where.append(job.c.owner == wanted.owner)
    if wanted.queue:
        where.append(job.c.queue == wanted.queue)
    if wanted.search:
        where.append(func.lower(job.c.title).contains(wanted.search.lower(), autoescape=True))
    return where


def _impossible(found: Job, event: JobEvent) -> Conflict:
    possible = ", ".join(str(e) for s, e in ARROWS if s is found.state and e in _ASKABLE) or "nothing"
    return Conflict(
        f"job {found.id} is {found.state}: it cannot {event}",
        cause="its state has changed meanwhile, or was another than thought",
        remedy=f"possible now: {possible}",
    )


_ASKABLE: Final = frozenset({JobEvent.PAUSE, JobEvent.RESUME, JobEvent.CANCEL, JobEvent.RETRY})
