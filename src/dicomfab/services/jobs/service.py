"""Jobs as their users see them: listed, watched, cancelled, paused, gone on with, tried again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from dicomfab.access.policy import Action, Scope, decide, visible
from dicomfab.model.actor import Actor
from dicomfab.model.errors import AccessDenied, InvalidInput, NotFound
from dicomfab.model.job import ARROWS, ItemState, Job, JobEvent, JobItem, JobState, NewItem, NewJob, WorkerInfo
from dicomfab.services.jobs.worker import ALIVE_S
from dicomfab.services.progress import Cancelled, never
from dicomfab.storage.jobs import JobFilter, JobPage, JobRepository

POLL_S: Final = 0.2
#: What somebody may ask of a job.
REQUESTS: Final = (JobEvent.PAUSE, JobEvent.RESUME, JobEvent.CANCEL, JobEvent.RETRY)


@dataclass(slots=True)
class JobService:
    """Jobs of the installation, shown to those who may see their environment.

    Args:
        ledger: where they are kept.
        now: the moment, with time zone.
        list_workers: the workers seen since a moment.
    """

    ledger: JobRepository
    now: Callable[[], datetime]
    list_workers: Callable[[datetime], list[WorkerInfo]]

    def submit(self, new: NewJob, items: Iterable[NewItem]) -> Job:
        """Keep a job; who calls this has checked what the actor may do."""
        return self.ledger.find(self.ledger.submit(new, items))

    def show(self, actor: Actor, job_id: int) -> Job:
        """One job.

        Raises:
            NotFound: there is none, or it is of an environment that the actor does not see.
        """
        found = self.ledger.find(job_id)
        if found.environment not in self._visible(actor):
            raise NotFound(f"there is no job {job_id}.", cause="the number is mistyped", remedy="dicomfab jobs list")
        return found

    def page(self, actor: Actor, wanted: JobFilter, *, limit: int = 100, offset: int = 0) -> JobPage:
        """Jobs, the newest first."""
        seen = self._visible(actor)
        allowed = wanted.environments & seen if wanted.environments else seen
        if not allowed:
            return JobPage((), 0)
        return self.ledger.page(replace(wanted, environments=allowed), limit=limit, offset=offset)

    def items(
        self, actor: Actor, job_id: int, states: Iterable[ItemState] = (), *, limit: int = 200, offset: int = 0
    ) -> list[JobItem]:
        """Items of a job, in order."""
        self.show(actor, job_id)
        return self.ledger.items(job_id, states, limit=limit, offset=offset)

    def ask(self, actor: Actor, job_id: int, event: JobEvent) -> Job:
        """Pause, resume, cancel or retry a job.

        Raises:
            NotFound: there is no such job.
            AccessDenied: it is another's, and the actor is no administrator.
            Conflict: its state does not allow it.
        """
        self._mine(actor, job_id)
        return self.ledger.ask(job_id, event)

    def prefer(self, actor: Actor, job_id: int, priority: int) -> Job:
        """Change a job's priority, 1 (first) to 9.

        Raises:
            InvalidInput: the priority is none.
        """
        self._mine(actor, job_id)
        return self.ledger.prefer(job_id, priority_of(priority))

    def watch(self, actor: Actor, job_id: int, *, beat_s: float = 15.0, stopped: Cancelled = never) -> Iterator[Job]:
        """Yield a job now and after each change until it has ended; at least every ``beat_s`` seconds.

        A job that waits for a person (paused) is watched on.
        """
        seen, shown_at = -1, 0.0
        while not stopped():
            found = self.show(actor, job_id)
            if found.version != seen or time.monotonic() - shown_at >= beat_s:
                seen, shown_at = found.version, time.monotonic()
                yield found
            if found.state.has_ended:
                return
            time.sleep(POLL_S)

    def workers(self) -> list[WorkerInfo]:
        """The workers that are alive."""
        return self.list_workers(self.now() - timedelta(seconds=ALIVE_S))

    def _mine(self, actor: Actor, job_id: int) -> Job:
        found = self.show(actor, job_id)
        if found.owner != actor.name and not decide(actor, Action.CONFIGURE, Scope.SYSTEM).allowed:
            raise AccessDenied(
                f"job {job_id} belongs to {found.owner}",
                cause="only its owner and administrators may change a job",
                remedy=f"ask {found.owner}, or an administrator",
            )
        return found

    def _visible(self, actor: Actor) -> frozenset[str]:
        return frozenset(str(environment) for environment in visible(actor, Action.VIEW))


def priority_of(value: int) -> int:
    """A priority that can be used.

    Raises:
        InvalidInput: it is not one of 1 to 9.
    """
    if not 1 <= value <= 9:
        raise InvalidInput(
            f"priority: {value} is none",
            field="priority",
            value=value,
            cause="priorities are numbers",
            remedy="1 (first) to 9 (last); 5 is usual",
        )
    return value


def requests_possible(state: JobState) -> tuple[JobEvent, ...]:
    """What may be asked of a job in a state."""
    return tuple(event for event in REQUESTS if (state, event) in ARROWS)
