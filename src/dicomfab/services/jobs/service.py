"""Jobs as their users see them: listed, watched, cancelled, paused, gone on with, tried again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dicomfab.access.policy import Action, Scope, decide, require, visible
from dicomfab.model.actor import Actor
from dicomfab.model.errors import AccessDenied, InvalidInput, NotFound
from dicomfab.model.job import ARROWS, ItemState, Job, JobEvent, JobItem, JobState, NewItem, NewJob, WorkerInfo
from dicomfab.model.values import uid
from dicomfab.services.jobs.worker import ALIVE_S
from dicomfab.services.progress import Cancelled, never
from dicomfab.services.verification import DEFAULT_WAIT_S
from dicomfab.storage.jobs import JobFilter, JobPage, JobRepository

if TYPE_CHECKING:
    from dicomfab.archive.archive import Archive
    from dicomfab.fabricate.recipe import ResolvedStudy
    from dicomfab.registry.registry import Registry
    from dicomfab.registry.server import PacsServer
    from dicomfab.services.provenance import Provenance
    from dicomfab.services.study_list import ListedStudy

POLL_S: Final = 0.2
#: What somebody may ask of a job.
REQUESTS: Final = (JobEvent.PAUSE, JobEvent.RESUME, JobEvent.CANCEL, JobEvent.RETRY)


@dataclass(frozen=True, slots=True)
class Options:
    """What is alike for all transfers.

    Args:
        verify_wait_s: how long the destination may take to list what it received.
        priority: 1 (first) to 9.
        max_attempts: how often in a row it is begun when it ends with a failure that may pass; 1 for somebody who
            waits, and would rather hear of it.
    """

    verify_wait_s: float = DEFAULT_WAIT_S
    priority: int = 5
    max_attempts: int = 1


DEFAULTS: Final = Options()
#: For work that nobody waits for.
IN_THE_BACKGROUND: Final = Options(max_attempts=8)


@dataclass(slots=True)
class JobService:
    """Jobs of the installation, shown to those who may see their environment.

    Args:
        ledger: where they are kept.
        local: the local store.
        store_id: its identity.
        registry: servers and routes.
        now: the moment, with time zone.
        list_workers: the workers seen since a moment.
        judge: who judges at submission what is to be transferred; whoever does the job judges it in any case.
    """

    ledger: JobRepository
    local: Archive
    store_id: Callable[[], str]
    registry: Callable[[], Registry]
    now: Callable[[], datetime]
    list_workers: Callable[[datetime], list[WorkerInfo]]
    judge: Callable[[], Provenance | None] = lambda: None

    @property
    def provenance(self) -> Provenance | None:
        """Judges what is to be transferred; made when it is asked, since most only look at jobs."""
        return self.judge()

    def fabricate(
        self,
        actor: Actor,
        studies: Sequence[ResolvedStudy],
        *,
        out: Path | None = None,
        priority: int = 5,
        send_to: PacsServer | None = None,
        confirm_production: bool = False,
    ) -> Job:
        """Submit studies to be made; see :func:`~dicomfab.services.jobs.fabricate.fabricate_job`.

        With ``send_to``, a job that sends them to this server is submitted as soon as they are made.
        """
        from dicomfab.services.jobs.fabricate import fabricate_job
        from dicomfab.services.jobs.send_after import then_send

        then = None if send_to is None else then_send(actor, send_to, confirm_production=confirm_production)
        store, rank = self.store_id(), priority_of(priority)
        return self._submit(*fabricate_job(actor, studies, store_id=store, out=out, priority=rank, then=then))

    def send_made(self, job: Job, actor: Actor, studies: Sequence[str]) -> Job:
        """Submit what a fabricate job asked for; see :func:`~dicomfab.services.jobs.send_after.send_made`."""
        from dicomfab.services.jobs.send_after import send_made

        def send(left: Sequence[str], server_id: str, confirmed: bool) -> Job:
            server = self.registry().get(server_id)
            return self.send(actor, left, server, confirm_production=confirmed, options=IN_THE_BACKGROUND, after=job.id)

        return send_made(self.ledger, job, studies, send)

    def send(
        self,
        actor: Actor,
        studies: Sequence[str],
        destination: PacsServer,
        *,
        confirm_production: bool = False,
        transcode: bool = True,
        via: str = "",
        options: Options = DEFAULTS,
        after: int | None = None,
    ) -> Job:
        """Submit local studies to be sent; see :func:`~dicomfab.services.jobs.send.send_job`.

        ``after`` is the number of the job that made them, if one did.
        """
        from dicomfab.services.jobs.send import send_job

        made = send_job(
            actor,
            self.local,
            studies,
            destination,
            confirm_production=confirm_production,
            transcode=transcode,
            via=via,
            verify_wait_s=options.verify_wait_s,
            store_id=self.store_id(),
            priority=priority_of(options.priority),
            max_attempts=options.max_attempts,
            provenance=self.provenance,
        )
        if after is not None:
            made = replace(made[0], request={**made[0].request, "after": after}), made[1]
        return self._submit(*made)

    def move(
        self,
        actor: Actor,
        studies: Sequence[str | ListedStudy],
        source: PacsServer,
        destination: PacsServer,
        *,
        series: Sequence[str] = (),
        confirm_production: bool = False,
        options: Options = DEFAULTS,
    ) -> Job:
        """Submit studies, or series of one, to be moved; see :func:`~dicomfab.services.jobs.retrieve.move_job`."""
        from dicomfab.services.jobs.retrieve import move_job

        made = move_job(
            actor,
            self.registry(),
            studies,
            source,
            destination,
            series=series,
            confirm_production=confirm_production,
            verify_wait_s=options.verify_wait_s,
            priority=priority_of(options.priority),
            max_attempts=options.max_attempts,
            provenance=self.provenance,
        )
        return self._submit(*made)

    def get(
        self,
        actor: Actor,
        studies: Sequence[str | ListedStudy],
        source: PacsServer,
        *,
        series: Sequence[str] = (),
        to_look_at: bool = False,
        via: str = "",
        options: Options = DEFAULTS,
    ) -> Job:
        """Submit studies, or series of one, to be fetched; see :func:`~dicomfab.services.jobs.retrieve.get_job`."""
        from dicomfab.services.jobs.retrieve import get_job

        made = get_job(
            actor,
            studies,
            source,
            series=series,
            to_look_at=to_look_at,
            via=via,
            store_id=self.store_id(),
            priority=priority_of(options.priority),
            max_attempts=options.max_attempts,
        )
        return self._submit(*made)

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

    def items_worst_first(self, actor: Actor, job_id: int, *, limit: int = 50, offset: int = 0) -> list[JobItem]:
        """Items of a job: those that failed, those that are held, those that are open, then those that are done."""
        counts = self.show(actor, job_id).counts
        found: list[JobItem] = []
        for states, size in (
            ((ItemState.FAILED,), counts.failed),
            ((ItemState.HELD,), counts.held),
            ((ItemState.UNDER_WAY, ItemState.PENDING), counts.open),
            ((ItemState.DONE,), counts.done),
        ):
            if offset >= size:
                offset -= size
            elif len(found) < limit:
                found += self.ledger.items(job_id, states, limit=limit - len(found), offset=offset)
                offset = 0
        return found

    def ask(self, actor: Actor, job_id: int, event: JobEvent) -> Job:
        """Pause, resume, cancel or retry a job.

        Raises:
            NotFound: there is no such job.
            AccessDenied: it is another's, and the actor is no administrator.
            Conflict: its state does not allow it.
        """
        self._mine(actor, job_id)
        return self.ledger.ask(job_id, event)

    def every_item(self, actor: Actor, job_id: int) -> list[JobItem]:
        """All items of a job, in order.

        Raises:
            NotFound: there is no such job.
        """
        self.show(actor, job_id)
        return self.ledger.items(job_id)

    def decide(self, actor: Actor, job_id: int, line: int, study_instance_uid: str) -> Job:
        """Say which study a row means that was held back; the job goes on.

        Raises:
            NotFound: there is no such job, or no row of this line that is held back.
            AccessDenied: it is another's.
            InvalidInput: no UID.
        """
        self._mine(actor, job_id)
        study = uid(study_instance_uid, field="study")
        item = next((i for i in self.ledger.items(job_id, [ItemState.HELD]) if i.request.get("line") == line), None)
        if item is None:
            raise NotFound(
                f"no row of line {line} of job {job_id} is held back.",
                cause="it was decided already, or the line is mistyped",
                remedy=f"see them: dicomfab jobs show {job_id} --items --state held",
            )
        request = {**item.request, "study_instance_uid": study}
        return self.ledger.release(job_id, [item.number], {item.number: request})

    def prefer(self, actor: Actor, job_id: int, priority: int) -> Job:
        """Change a job's priority, 1 (first) to 9.

        Raises:
            InvalidInput: the priority is none.
        """
        self._mine(actor, job_id)
        return self.ledger.prefer(job_id, priority_of(priority))

    def forget(self, actor: Actor, older_than_days: int) -> int:
        """Delete jobs, whosever they are, that ended so many days ago or earlier; returns how many.

        Raises:
            AccessDenied: the actor is no administrator.
            InvalidInput: the number of days is negative.
        """
        require(actor, Action.CONFIGURE, Scope.SYSTEM)
        if older_than_days < 0:
            raise InvalidInput(
                f"older_than_days: {older_than_days} is negative",
                field="older_than_days",
                value=older_than_days,
                remedy="0 for all jobs that have ended, 30 for those that ended a month ago",
            )
        return self.ledger.delete_ended(self.now() - timedelta(days=older_than_days))

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

    def _submit(self, new: NewJob, items: Iterable[NewItem]) -> Job:
        return self.ledger.find(self.ledger.submit(new, items))

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
