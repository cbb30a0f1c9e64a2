"""Rows of the ledger as values, and the transactions that change it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, func, select, update

from dicomfab.model.errors import NotFound
from dicomfab.model.job import ARROWS, Counts, ItemState, Job, JobEvent, JobItem, JobKind, JobState, NewItem, Wish
from dicomfab.storage.database import Database
from dicomfab.storage.tables import job, job_item

_SUBJECT: Final = "jobs"


@contextmanager
def changing(database: Database) -> Iterator[Connection]:
    """A transaction that changes jobs: on any database they are made one after the other.

    So two workers never take one job, and no limit is passed.
    """
    with database.changing(_SUBJECT) as connection:
        yield connection


def found_job(connection: Connection, job_id: int) -> Job:
    """One job.

    Raises:
        NotFound: there is none of this number.
    """
    row = connection.execute(select(job).where(job.c.id == job_id)).first()
    if row is None:
        raise NotFound(
            f"there is no job {job_id}.", cause="it was deleted, or the number is mistyped", remedy="dicomfab jobs list"
        )
    return job_of(row)


def change(connection: Connection, where: ColumnElement[bool], values: Mapping[str, Any]) -> None:
    """Change jobs, so that watchers see it."""
    connection.execute(update(job).where(where).values({**values, "version": job.c.version + 1}))


def moved(found: Job, event: JobEvent, now: datetime) -> dict[str, Any]:
    """What changes with a move to another state."""
    state = ARROWS[found.state, event]
    values: dict[str, Any] = {"state": str(state)}
    if state.has_ended:
        values["ended_at"] = now
    elif state is JobState.QUEUED:
        values |= {"not_before": now, "ended_at": None, "attempts": 0}
    return values


def count(connection: Connection, job_id: int, state: ItemState) -> int:
    """How many items of a job are in a state."""
    where = job_item.c.job_id == job_id, job_item.c.state == str(state)
    return connection.execute(select(func.count()).select_from(job_item).where(*where)).scalar_one()


def item_row(job_id: int, number: int, item: NewItem, now: datetime) -> dict[str, Any]:
    """The row of a new item."""
    return {
        "job_id": job_id,
        "number": number,
        "key": item.key,
        "label": item.label,
        "request": dict(item.request),
        "state": str(item.state),
        "attempts": 0,
        "resent": 0,
        "status": "",
        "detail": dict(item.detail),
        "size_bytes": 0,
        "changed_at": now,
    }


def item_of(row: Row[Any]) -> JobItem:
    """An item from its row."""
    return JobItem(
        number=row.number,
        key=row.key,
        label=row.label,
        request=row.request,
        state=ItemState(row.state),
        attempts=row.attempts,
        resent=row.resent,
        status=row.status,
        detail=row.detail,
        changed_at=row.changed_at,
    )


_COUNTS: Final = ("total", "done", "failed", "held", "resent", "size_bytes")


def job_of(row: Row[Any]) -> Job:
    """A job from its row."""
    values = dict(row._mapping)
    values.pop("lease_until")
    counts = Counts(**{name: values.pop(name) for name in _COUNTS})
    values |= {
        "kind": JobKind(row.kind),
        "state": JobState(row.state),
        "wish": Wish(row.wish),
        "roles": tuple(row.roles),
    }
    return Job(**values, counts=counts)
