"""What an executor is given to do a job with."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeAlias, TypeVar

from dicomfab.model.actor import Actor, Role
from dicomfab.model.errors import DicomFabError
from dicomfab.model.job import ItemOutcome, ItemState, Job, JobEvent, JobItem, NewItem, Wish
from dicomfab.model.schedule import Schedule
from dicomfab.services.progress import Cancelled, OnProgress, Progress, ignore, never
from dicomfab.storage.job_queue import Claim, ItemBrief, JobQueue, LeaseLost
from dicomfab.storage.jobs import JobRepository

log = logging.getLogger(__name__)

RENEWAL_S: Final = 1.0
_RENEWALS: Final = 4  # in each lease, so that one that comes late does no harm

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Result:
    """How an executor's work ended.

    Args:
        event: succeeded, to be doubted, failed, or postponed; ``None`` if it was stopped before the end.
        report: what was found out, as JSON values.
        error: why it failed.
        not_before: when it goes on, if it is postponed.
    """

    event: JobEvent | None
    report: Mapping[str, Any] = field(default_factory=dict)
    error: DicomFabError | None = None
    not_before: datetime | None = None


class JobRun:
    """A job while it is done: its items, what is noted of them, and whether to go on.

    Args:
        job: as it was claimed.
        claim: on it.
        queue: where the claim is kept.
        ledger: where the items are read.
        on_progress: told after everything that is noted.
        told_to_stop: whether the worker is to end.

    ``actor`` is as whom the job runs: as whom it was submitted, until the worker has looked who that is by now.
    """

    def __init__(
        self,
        job: Job,
        claim: Claim,
        queue: JobQueue,
        ledger: JobRepository,
        *,
        on_progress: OnProgress = ignore,
        told_to_stop: Cancelled = never,
    ) -> None:
        self.job = job
        self.actor = submitted_by(job)
        self.wish = Wish.NONE
        self._claim = claim
        self._queue = queue
        self._ledger = ledger
        self._on_progress = on_progress
        self._told_to_stop = told_to_stop
        self._stage = ""
        self._counted = job.counts.done + job.counts.failed
        self._total = job.counts.total
        self._renewed = time.monotonic()
        self._lost = False
        self._got_on = False
        self._ended = threading.Event()

    @property
    def failures_in_a_row(self) -> int:
        """How often the work failed without getting on in between, if it fails now."""
        return 1 if self._got_on else self.job.attempts + 1

    def stopped(self) -> bool:
        """Whether to stop before the next item: it was asked for, the worker is to end, or the job is another's."""
        if time.monotonic() - self._renewed > self._queue.lease_s:
            self._lost = True
        return self._lost or self.wish is not Wish.NONE or self._told_to_stop()

    def open_items(self) -> list[JobItem]:
        """The items that are still to be dealt with, in order; some may have been begun by a worker that is gone."""
        return self.items((ItemState.PENDING, ItemState.UNDER_WAY))

    def items(self, states: Sequence[ItemState] = ()) -> list[JobItem]:
        """The items in some states, or all.

        Raises:
            LeaseLost: as :meth:`note`.
        """
        return self._with_ledger(lambda: self._ledger.items(self.job.id, states))

    def briefs(self) -> list[ItemBrief]:
        """All items in short, in order.

        Raises:
            LeaseLost: as :meth:`note`.
        """
        return self._with_ledger(lambda: self._queue.briefs(self.job.id))

    def add_items(self, items: Sequence[NewItem]) -> None:
        """Note items that the work itself found.

        Raises:
            LeaseLost: as :meth:`note`.
        """
        self._with_ledger(lambda: self._queue.add_items(self._claim, items))
        self._total = self._with_ledger(lambda: self._ledger.find(self.job.id)).counts.total

    def note(self, outcomes: Sequence[ItemOutcome], *, begin: Sequence[int] = ()) -> None:
        """Note how items ended, and mark those that are begun next, in one transaction.

        Raises:
            LeaseLost: the job is another worker's, or the ledger is out of reach, which comes to the same: what cannot
                be noted must not be done. Nothing was noted.
        """
        begun = time.monotonic()
        self._heed(self._with_ledger(lambda: self._queue.advance(self._claim, outcomes, begin)), begun)
        self._got_on = self._got_on or any(outcome.state is ItemState.DONE for outcome in outcomes)
        self._counted += sum(outcome.state in (ItemState.DONE, ItemState.FAILED) for outcome in outcomes)
        self._on_progress(Progress(self._stage, self._counted, self._total))

    def revise(self, outcomes: Sequence[ItemOutcome]) -> None:
        """Note something else of items that were noted as done: they failed after all, or more is known of them.

        Raises:
            LeaseLost: as :meth:`note`.
        """
        self._with_ledger(lambda: self._queue.revise(self._claim, outcomes))

    def progress(self, progress: Progress) -> None:
        """Show how far something is that is not noted item by item."""
        of = "" if progress.total is None else f" of {progress.total}"
        self._stage = f"{progress.stage}: {progress.done}{of} instances" if progress.done else progress.stage
        self._on_progress(progress)

    def stage(self, text: str) -> None:
        """Say what is going on."""
        self._stage = text
        self._on_progress(Progress(text, self._counted, self._total))

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the job while the block runs."""
        thread = threading.Thread(target=self._renew, name=f"lease-{self.job.id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _with_ledger(self, call: Callable[[], T]) -> T:
        if self._lost:
            raise LeaseLost(f"job {self.job.id}")
        try:
            return call()
        except LeaseLost:
            self._lost = True
            raise
        except DicomFabError as error:
            self._lost = True
            log.warning("job %d: left, since the ledger is out of reach: %s", self.job.id, error.heading)
            raise LeaseLost(f"job {self.job.id}") from error

    def _renew(self) -> None:
        while not self._ended.wait(min(RENEWAL_S, self._queue.lease_s / _RENEWALS)):
            begun = time.monotonic()
            try:
                self._heed(self._queue.renew(self._claim, self._stage), begun)
            except LeaseLost:
                self._lost = True
                return
            except DicomFabError as error:  # the database is out of reach: it may come back before the lease ends
                log.warning("job %d: the lease could not be renewed: %s", self.job.id, error.heading)

    def _heed(self, wish: Wish, begun: float) -> None:
        """Take up a wish; the lease counts from when it was asked for, not from when the answer came."""
        self.wish = wish
        self._renewed = max(self._renewed, begun)


def submitted_by(made: Job | Schedule) -> Actor:
    """As whom a job was submitted, or a schedule made, with the roles of that moment."""
    return Actor(made.owner, frozenset(Role(role) for role in made.roles), made.door, made.account_id)


def unchanged(actor: Actor) -> Actor:
    """For those who have no accounts: the roles stay."""
    return actor


Executor: TypeAlias = Callable[[JobRun], Result]
