"""Jobs: long work that survives the process that does it. Their states and arrows, as data.

A job has items: the instances, studies or rows that it is about. The ledger that holds both is the truth for progress
and for going on; see :mod:`dicomfab.storage.jobs`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final


class JobKind(enum.StrEnum):
    """What a job does."""

    FABRICATE = "fabricate"
    SEND = "send"
    MOVE = "move"
    GET = "get"
    QUERY = "query"
    VERIFY = "verify"
    COMPARE = "compare"


class JobState(enum.StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"  # all done, and proven where it can be proven
    UNVERIFIED = "unverified"  # all done by the peer's word, which could not be checked
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def has_ended(self) -> bool:
        """Whether nothing happens to the job any more unless somebody asks for it."""
        return self in ENDED


class JobEvent(enum.StrEnum):
    """What moves a job from one state to the next."""

    CLAIM = "claim"  # a worker takes it
    SUCCEED = "succeed"
    DOUBT = "doubt"  # done, but not to be proven
    FAIL = "fail"
    POSTPONE = "postpone"  # a failure that may pass: again later
    LOSE = "lose"  # its worker is gone
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    RETRY = "retry"  # what failed, again


ARROWS: Final[Mapping[tuple[JobState, JobEvent], JobState]] = MappingProxyType(
    {
        (JobState.QUEUED, JobEvent.CLAIM): JobState.RUNNING,
        (JobState.QUEUED, JobEvent.PAUSE): JobState.PAUSED,
        (JobState.QUEUED, JobEvent.CANCEL): JobState.CANCELLED,
        (JobState.RUNNING, JobEvent.SUCCEED): JobState.SUCCEEDED,
        (JobState.RUNNING, JobEvent.DOUBT): JobState.UNVERIFIED,
        (JobState.RUNNING, JobEvent.FAIL): JobState.FAILED,
        (JobState.RUNNING, JobEvent.POSTPONE): JobState.QUEUED,
        (JobState.RUNNING, JobEvent.LOSE): JobState.QUEUED,
        (JobState.RUNNING, JobEvent.PAUSE): JobState.PAUSED,
        (JobState.RUNNING, JobEvent.CANCEL): JobState.CANCELLED,
        (JobState.PAUSED, JobEvent.RESUME): JobState.QUEUED,
        (JobState.PAUSED, JobEvent.CANCEL): JobState.CANCELLED,
        (JobState.CANCELLED, JobEvent.RETRY): JobState.QUEUED,
        (JobState.FAILED, JobEvent.RETRY): JobState.QUEUED,
        (JobState.UNVERIFIED, JobEvent.RETRY): JobState.QUEUED,
    }
)
"""Every move that a job can make; there is no other."""

ENDED: Final = frozenset({JobState.SUCCEEDED, JobState.UNVERIFIED, JobState.FAILED, JobState.CANCELLED})


class Wish(enum.StrEnum):
    """What a running job has been asked to do, at its next item."""

    NONE = ""
    PAUSE = "pause"
    CANCEL = "cancel"


class ItemState(enum.StrEnum):
    """Where an item stands."""

    PENDING = "pending"
    UNDER_WAY = "under_way"  # begun; whether it arrived is not known until it is done or begun again
    DONE = "done"
    FAILED = "failed"
    HELD = "held"  # wants a person's decision: nothing is done until then


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item of a job to be.

    Args:
        key: unique in its job, such as a SOP instance UID.
        label: for people, without a patient's name.
        request: what an executor wants to know of it, as JSON values.
        state: pending, or held with the reason in ``detail``.
        detail: as JSON values.
    """

    key: str
    label: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)
    state: ItemState = ItemState.PENDING
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobItem:
    """An item of a job.

    Args:
        number: from 1, in order.
        key, label, request: as of :class:`NewItem`.
        state: where it stands.
        attempts: how often it was begun.
        resent: how often it was begun again without its outcome being known.
        status: a DIMSE status in hexadecimal, such as ``A700``; empty if there was none.
        detail: the outcome as JSON values: an error as :meth:`~dicomfab.model.errors.DicomFabError.as_dict` gives it
            under ``error``, and what the kind of job notes.
        changed_at: with time zone.
    """

    number: int
    key: str
    label: str
    request: Mapping[str, Any]
    state: ItemState
    attempts: int
    resent: int
    status: str
    detail: Mapping[str, Any]
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """How an item ended.

    Args:
        number: of the item.
        state: done or failed (or pending: it was begun, but nothing was done).
        status, detail: as of :class:`JobItem`.
        size_bytes: what was transferred.
        resent: how often it was sent again in this run, since no response came.
    """

    number: int
    state: ItemState
    status: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    size_bytes: int = 0
    resent: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """The items of a job by state, and how many were begun again without their outcome being known."""

    total: int = 0
    done: int = 0
    failed: int = 0
    held: int = 0
    resent: int = 0
    size_bytes: int = 0

    @property
    def open(self) -> int:
        """Items that are still to be dealt with."""
        return self.total - self.done - self.failed - self.held


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to be.

    Args:
        kind: what to do.
        title: for people, without a patient's name.
        owner, roles, door, account_id: of the actor as whom it runs.
        environment: ``prod`` if either end is in production: who may see it.
        queue: ``pacs:<id>`` of the server whose associations it uses, or ``local``.
        request: parameters of the kind, as JSON values.
        store_id: of the local store that it reads or writes; empty if it needs none.
        priority: 1 (first) to 9.
        max_attempts: how often in a row it is begun when it ends with a failure that may pass.
        not_before: with time zone; at once if none.
        schedule: number of the schedule that made it, if one did.
    """

    kind: JobKind
    title: str
    owner: str
    roles: tuple[str, ...]
    door: str
    environment: str
    queue: str
    request: Mapping[str, Any]
    store_id: str = ""
    priority: int = 5
    max_attempts: int = 1
    not_before: datetime | None = None
    schedule: int | None = None
    account_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as the ledger has it.

    Args:
        id: number of the job in this installation.
        kind, title, owner, roles, door, environment, queue, request, store_id, priority, max_attempts, not_before,
            schedule, account_id: as of :class:`NewJob`.
        state: where it stands.
        wish: what it has been asked to do at its next item.
        created_at, started_at, ended_at: with time zone; when it was begun for the last time.
        worker: who does it, or did it last.
        fence: grows with every claim; whoever holds an older one has lost the job.
        attempts: runs in a row that ended with a failure that may pass.
        counts: its items.
        done_at_start: of them, those that were done when it was begun for the last time.
        stage: what is going on, for people.
        error: as :meth:`~dicomfab.model.errors.DicomFabError.as_dict` gives it; empty if there is none.
        report: what the kind of job found out.
        version: grows with every change, so that a watcher sees each once.
    """

    id: int
    kind: JobKind
    title: str
    owner: str
    roles: tuple[str, ...]
    door: str
    environment: str
    queue: str
    request: Mapping[str, Any]
    store_id: str
    priority: int
    max_attempts: int
    schedule: int | None
    state: JobState
    wish: Wish
    created_at: datetime
    not_before: datetime
    started_at: datetime | None
    ended_at: datetime | None
    worker: str
    fence: int
    attempts: int
    counts: Counts
    done_at_start: int
    stage: str
    error: Mapping[str, Any]
    report: Mapping[str, Any]
    version: int
    account_id: int | None = None

    def rate(self, now: datetime) -> float | None:
        """Items per second since it was begun for the last time; ``None`` before there is something to tell."""
        if self.started_at is None:
            return None
        seconds = ((self.ended_at or now) - self.started_at).total_seconds()
        gained = self.counts.done + self.counts.failed - self.done_at_start
        return gained / seconds if seconds > 0 and gained > 0 else None

    def seconds_left(self, now: datetime) -> float | None:
        """How long it still takes at that rate; ``None`` if that cannot be told."""
        rate = self.rate(now)
        return self.counts.open / rate if rate and self.state is JobState.RUNNING else None


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker process.

    Args:
        name: unique, of host and process.
        host: where it runs.
        process_id: there.
        store_id: of the local store that it can reach.
        started_at, seen_at: with time zone.
        queues: the only ones that it takes jobs from; of all if none are named.
    """

    name: str
    host: str
    process_id: int
    store_id: str
    started_at: datetime
    seen_at: datetime
    queues: tuple[str, ...] = ()
