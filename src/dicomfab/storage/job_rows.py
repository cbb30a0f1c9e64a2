"""Rows of the ledger as values, and the transactions that change it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, Row, func, insert, select, update

from dicomfab.model.errors import NotFound
from dicomfab.model.job import (
    ARROWS,
    Counts,
    ItemState,
    Job,
    JobEvent,
    JobItem,
    JobKind,
    JobState,
    NewItem,
    NewJob,
    Wish,
)
from dicomfab.storage.database import Database
from dicomfab.storage.tables import job, job_item

_SUBJECT: Final = "jobs"
_CHUNK: Final = 500


@contextmanager
def changing(database: Database, *, synced: bool = True) -> Iterator[Connection]:
    """A transaction that changes jobs: on any database they are made one after the other.

    So two workers never take one job, and no limit is passed.

    Args:
        database: of the ledger.
        synced: whether a power cut may not undo it. What is noted again and again while a job runs need not be: undone,
            it means that some instances are sent once more.
    """
    with database.changing(_SUBJECT, synced=synced) as connection:
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


def add_job(connection: Connection, new: NewJob, items: Iterable[NewItem], now: datetime) -> int:
    """Keep a new job with its items; returns its number."""
    values = asdict(new) | {
        "kind": str(new.kind),
        "title": fitting(new.title, job.c.title),
        "roles": list(new.roles),
        "request": dict(new.request),
        "state": str(JobState.QUEUED),
        "wish": "",
        "created_at": now,
        "not_before": new.not_before or now,
        "worker": "",
        "stage": "",
        "error": {},
        "report": {},
    }
    numbers = (
        "fence",
        "attempts",
        "total",
        "done",
        "failed",
        "held",
        "resent",
        "size_bytes",
        "done_at_start",
        "workers_lost",
    )
    values |= dict.fromkeys((*numbers, "version"), 0)
    job_id: int = connection.execute(insert(job).values(values).returning(job.c.id)).scalar_one()
    total = held = 0
    stream = iter(items)
    while some := list(islice(stream, _CHUNK)):
        rows = [item_row(job_id, total + n, item, now) for n, item in enumerate(some, start=1)]
        connection.execute(insert(job_item), rows)
        total += len(some)
        held += sum(item.state is ItemState.HELD for item in some)
    connection.execute(update(job).where(job.c.id == job_id).values(total=total, held=held))
    return job_id


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


def fitting(text: str, column: Column[str]) -> str:
    """As much of a text for people as its column takes: SQLite would keep the rest, PostgreSQL refuse it all."""
    return text[: getattr(column.type, "length", None)]


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
        "label": fitting(item.label, job_item.c.label),
        "request": dict(item.request),
        "state": str(item.state),
        "attempts": 0,
        "resent": 0,
        "status": "",
        "detail": dict(item.detail),
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
    for name in ("lease_until", "workers_lost"):
        values.pop(name)
    counts = Counts(**{name: values.pop(name) for name in _COUNTS})
    values |= {
        "kind": JobKind(row.kind),
        "state": JobState(row.state),
        "wish": Wish(row.wish),
        "roles": tuple(row.roles),
    }
    return Job(**values, counts=counts)
