"""Schedules: jobs to be made again and again, at times that a cron expression names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dicomfab.model.job import JobKind


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSchedule:
    """A schedule to be.

    Args:
        title: for people, without a patient's name.
        kind: of the jobs that it makes.
        parameters: what each of them is made from, as JSON values; see :mod:`dicomfab.services.jobs.schedules`.
        cron: five fields: minute, hour, day of month, month, day of week.
        time_zone: IANA name of the zone whose clock the expression means.
        owner, roles, door, account_id: of the actor as whom its jobs run.
        environment: ``prod`` if either end is in production: who may see it.
        store_id: of the local store that its jobs need; empty if they need none.
        next_at: when the next job is due, with time zone.
    """

    title: str
    kind: JobKind
    parameters: Mapping[str, Any]
    cron: str
    time_zone: str
    owner: str
    roles: tuple[str, ...]
    door: str
    environment: str
    store_id: str
    next_at: datetime
    account_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A schedule as it is kept.

    Args:
        id: its number in this installation.
        title, kind, parameters, cron, time_zone, owner, roles, door, account_id, environment, store_id: as of
            :class:`NewSchedule`.
        is_enabled: whether it makes jobs at present.
        created_at: with time zone.
        next_at: when the next job is due, with time zone; looked at only while it is enabled.
        last_at: when it was due for the last time; ``None`` if never yet.
        last_job: number of the job that it made last, if it made one.
        error: why none could be made the last time, as :meth:`~dicomfab.model.errors.DicomFabError.as_dict` gives it;
            empty if one was made.
    """

    id: int
    title: str
    kind: JobKind
    parameters: Mapping[str, Any]
    cron: str
    time_zone: str
    owner: str
    roles: tuple[str, ...]
    door: str
    environment: str
    store_id: str
    is_enabled: bool
    created_at: datetime
    next_at: datetime
    last_at: datetime | None
    last_job: int | None
    error: Mapping[str, Any]
    account_id: int | None = None
