"""The queue: how workers take jobs of the ledger, keep them by a lease, and write down what they did."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Integer, Row, and_, case, delete, func, insert, or_, select, update
from sqlalchemy import bindparam as bind

from dicomfab.model.errors import LocalFailure
from dicomfab.model.job import ARROWS, ItemOutcome, ItemState, Job, JobEvent, JobState, NewItem, Wish, WorkerInfo
from dicomfab.storage.database import Database
from dicomfab.storage.job_rows import change, changing, fitting, found_job, item_row, job_of, moved
from dicomfab.storage.tables import job, job_item, worker

LEASE_S: Final = 15.0
_WORTH_A_STATEMENT: Final = 8
_SUCCESSES: Final = (JobEvent.SUCCEED, JobEvent.DOUBT)
_GOING_ON: Final = (JobEvent.LOSE, JobEvent.POSTPONE, JobEvent.PAUSE)
_LOST_IN_VAIN: Final = 5  # workers in a row that ended over a job without getting on with it
_GAVE_UP: Final = LocalFailure(
    f"{_LOST_IN_VAIN} workers in a row ended while they did this job, and none got on with it",
    cause="it needs more memory than there is, or a fault in this program ends the process",
    remedy="look at the workers' log and at free memory; then: dicomfab jobs retry",
)


class LeaseLost(Exception):
    """Another worker has the job, or may have it: whoever held it stops and writes nothing more."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a worker that has taken a job holds.

    Args:
        job_id: the job.
        fence: proves that it is still this worker's.
    """

    job_id: int
    fence: int


class ItemBrief(NamedTuple):
    """An item of a job in short, for those who want all of them: many are read in little time.

    Args:
        number, key, label, state, attempts, resent: as of :class:`~dicomfab.model.job.JobItem`.
    """

    number: int
    key: str
    label: str
    state: ItemState
    attempts: int
    resent: int


class JobQueue:
    """Jobs of one installation, for those who do them.

    Args:
        database: where they are kept.
        now: the moment, with time zone. The database's clock if left out, so that workers whose own clocks differ
            measure leases alike.
        lease_s: for how long a job is a worker's that does not renew its claim.
    """

    def __init__(
        self, database: Database, *, now: Callable[[], datetime] | None = None, lease_s: float = LEASE_S
    ) -> None:
        self._database = database
        self._now = now or database.now
        self.lease_s = lease_s
        self._lease = timedelta(seconds=lease_s)

    def claim(
        self,
        name: str,
        *,
        store_id: str,
        limit: Callable[[str], int],
        queues: Sequence[str] = (),
        only: int | None = None,
    ) -> tuple[Job, Claim] | None:
        """Take the next job: of the highest priority, then the oldest, whose queue has room.

        Jobs whose worker has not renewed its lease are taken back first. One that has cost several workers in a row
        their life, without an item done in between, fails. One that was to pause or be cancelled is.

        Args:
            name: of the worker.
            store_id: of the local store that it can reach; jobs that need another are left.
            limit: how many jobs of a queue may run at once.
            queues: take only of these, if any are named.
            only: take this job or none.
        """
        now = self._now()
        with changing(self._database) as connection:
            _take_back(connection, now)
            waiting = [
                job.c.state == str(JobState.QUEUED),
                job.c.not_before <= now,
                job.c.store_id.in_(("", store_id)),
            ]
            if queues:
                waiting.append(job.c.queue.in_(queues))
            if only is not None:
                waiting.append(job.c.id == only)
            at_work = select(job.c.queue, func.count()).where(job.c.state == str(JobState.RUNNING))
            running = [(queue, count) for queue, count in connection.execute(at_work.group_by(job.c.queue))]
            full = [queue for queue, count in running if count >= limit(queue)]
            query = select(job).where(*waiting, job.c.queue.not_in(full)).order_by(job.c.priority, job.c.id).limit(1)
            row = connection.execute(query).first()
            if row is None:
                return None
            found = job_of(row)
            fence = found.fence + 1
            change(
                connection,
                job.c.id == found.id,
                {
                    "state": str(ARROWS[found.state, JobEvent.CLAIM]),
                    "worker": name,
                    "fence": fence,
                    "lease_until": now + self._lease,
                    "started_at": now,
                    "ended_at": None,
                    "done_at_start": found.counts.done + found.counts.failed,
                    "wish": "",
                    "error": {},
                },
            )
            return found_job(connection, found.id), Claim(found.id, fence)

    def next_due(self, store_id: str) -> datetime | None:
        """When the first of the waiting jobs is due, or a lease ends; ``None`` if nothing waits or runs."""
        waits = and_(job.c.state == str(JobState.QUEUED), job.c.store_id.in_(("", store_id)))
        runs = job.c.state == str(JobState.RUNNING)
        due = case((runs, job.c.lease_until), else_=job.c.not_before)
        with self._database.read() as connection:
            found: datetime | None = connection.execute(select(func.min(due)).where(or_(waits, runs))).scalar()
            return found

    def renew(self, claim: Claim, stage: str) -> Wish:
        """Keep the job for another while.

        Args:
            claim: on the job.
            stage: what is going on, for people.

        Returns:
            What the job is asked to do.

        Raises:
            LeaseLost: it is another worker's.
        """
        until = self._now() + self._lease
        with changing(self._database, synced=False) as connection:
            found = _held(connection, claim)
            values: dict[str, Any] = {"lease_until": until}
            stage = fitting(stage, job.c.stage)
            if stage != found.stage:
                values["stage"] = stage
                change(connection, job.c.id == claim.job_id, values)
            else:  # nothing that a watcher wants to see
                connection.execute(update(job).where(job.c.id == claim.job_id).values(values))
            return Wish(found.wish)

    def briefs(self, job_id: int) -> list[ItemBrief]:
        """All items of a job in short, in order."""
        of = job_item.c
        columns = (of.number, of.key, of.label, of.state, of.attempts, of.resent)
        query = select(*columns).where(of.job_id == job_id).order_by(of.number)
        states = {str(state): state for state in ItemState}
        with self._database.read() as connection:
            return [ItemBrief(n, key, label, states[s], a, r) for n, key, label, s, a, r in connection.execute(query)]

    def add_items(self, claim: Claim, items: Sequence[NewItem]) -> None:
        """Add items that the work itself found; those whose keys are there already are left as they are."""
        now = self._now()
        with changing(self._database) as connection:
            found = _held(connection, claim)
            there = set(connection.execute(select(job_item.c.key).where(job_item.c.job_id == claim.job_id)).scalars())
            new = [item for item in items if item.key not in there]
            rows = [item_row(claim.job_id, found.total + n, item, now) for n, item in enumerate(new, start=1)]
            if rows:
                connection.execute(insert(job_item), rows)
            held = sum(item.state is ItemState.HELD for item in new)
            values = {"total": job.c.total + len(rows), "held": job.c.held + held}
            change(connection, job.c.id == claim.job_id, values)

    def advance(self, claim: Claim, outcomes: Sequence[ItemOutcome], begin: Sequence[int] = ()) -> Wish:
        """Note how items ended and which are begun next, in one transaction.

        An item that is begun was marked before anything of it is sent: whoever goes on after a crash knows which
        items may have arrived, does them again under the same UIDs, and counts them as resent.

        Returns:
            What the job is asked to do.

        Raises:
            LeaseLost: the job is another worker's; nothing was noted.
        """
        now = self._now()
        with changing(self._database, synced=False) as connection:
            wish = _held(connection, claim).wish
            resent = _begin(connection, claim.job_id, begin, now)
            _end(connection, claim.job_id, outcomes, now)
            ended = [outcome.state for outcome in outcomes]
            values = {
                "id_": claim.job_id,
                "done_": ended.count(ItemState.DONE),
                "failed_": ended.count(ItemState.FAILED),
                "held_": ended.count(ItemState.HELD),
                "resent_": resent + sum(outcome.resent for outcome in outcomes),
                "size_": sum(outcome.size_bytes for outcome in outcomes),
                "lease_": now + self._lease,
            }
            connection.execute(_ADVANCED, values)
            return Wish(wish)

    def revise(self, claim: Claim, outcomes: Sequence[ItemOutcome]) -> None:
        """Note something else of items that were noted as done: they failed after all, or more is known of them.

        Raises:
            LeaseLost: the job is another worker's; nothing was noted.
        """
        now = self._now()
        with changing(self._database) as connection:
            _held(connection, claim)
            _end(connection, claim.job_id, outcomes, now)
            failed = [outcome.state for outcome in outcomes].count(ItemState.FAILED)
            changed = {"done": job.c.done - failed, "failed": job.c.failed + failed, "lease_until": now + self._lease}
            change(connection, job.c.id == claim.job_id, changed)

    def finish(
        self,
        claim: Claim,
        event: JobEvent,
        *,
        report: Mapping[str, Any] | None = None,
        error: Mapping[str, Any] | None = None,
        not_before: datetime | None = None,
    ) -> Job:
        """Let go of a job.

        One that was to be cancelled or to pause, and would go on or wait, is cancelled or pauses. One that has
        succeeded goes on if somebody has decided about an item meanwhile, and the work has not seen it.

        Args:
            claim: on the job.
            event: how it ended.
            report: what was found out; that of the run before stays if none is given.
            error: why it failed or waits.
            not_before: when to try again, for :attr:`~dicomfab.model.job.JobEvent.POSTPONE`.

        Raises:
            LeaseLost: it is another worker's.
        """
        with changing(self._database) as connection:
            _held(connection, claim)
            found = found_job(connection, claim.job_id)
            if event in _SUCCESSES and _has_been_decided(connection, found):
                event = JobEvent.LOSE
            if event in _GOING_ON and found.wish is not Wish.NONE:  # it came too late for the work to heed it
                event = JobEvent(found.wish)
            values = moved(found, event, self._now())
            values |= {"lease_until": None, "workers_lost": 0, "wish": "", "stage": ""}
            if report is not None:
                values["report"] = dict(report)
            if error is not None:
                values["error"] = dict(error)
            if event is JobEvent.POSTPONE:
                values |= {"attempts": found.attempts + bool(error), "not_before": not_before or self._now()}
            change(connection, job.c.id == claim.job_id, values)
            return found_job(connection, claim.job_id)

    def see(self, info: WorkerInfo) -> None:
        """Note that a worker is alive."""
        with changing(self._database, synced=False) as connection:
            values = asdict(info) | {"queues": list(info.queues)}
            changed = connection.execute(update(worker).where(worker.c.name == info.name).values(values)).rowcount
            if not changed:
                connection.execute(insert(worker).values(values))

    def forget(self, name: str) -> None:
        """A worker has ended."""
        with changing(self._database) as connection:
            connection.execute(delete(worker).where(worker.c.name == name))

    def workers(self, seen_since: datetime) -> list[WorkerInfo]:
        """The workers that were alive after a moment."""
        with self._database.read() as connection:
            rows = connection.execute(select(worker).where(worker.c.seen_at >= seen_since).order_by(worker.c.name))
            return [WorkerInfo(**{**row._mapping, "queues": tuple(row.queues)}) for row in rows]


def _take_back(connection: Connection, now: datetime) -> None:
    """Jobs whose worker is gone wait again, unless they have brought down one worker after the other.

    What they were asked to do meanwhile is done, since no worker is left who could.
    """
    lost = and_(job.c.state == str(JobState.RUNNING), job.c.lease_until < now)
    again, never = str(ARROWS[JobState.RUNNING, JobEvent.LOSE]), str(ARROWS[JobState.RUNNING, JobEvent.FAIL])
    in_vain = and_(lost, job.c.workers_lost >= _LOST_IN_VAIN - 1)
    let_go: dict[str, Any] = {"lease_until": None, "wish": ""}
    change(connection, in_vain, {**let_go, "state": never, "ended_at": now, "error": _GAVE_UP.as_dict()})
    let_go |= {"workers_lost": job.c.workers_lost + 1}
    for wish, ended_at in ((Wish.CANCEL, now), (Wish.PAUSE, None)):
        state = str(ARROWS[JobState.RUNNING, JobEvent(wish)])
        asked = and_(lost, job.c.wish == str(wish))
        change(connection, asked, {**let_go, "state": state, "stage": "", "ended_at": ended_at})
    change(connection, lost, {**let_go, "state": again})


def _has_been_decided(connection: Connection, found: Job) -> bool:
    """Whether a held item was released since a job was begun, and is still to be dealt with."""
    of = job_item.c
    decided = of.job_id == found.id, of.state == str(ItemState.PENDING), of.changed_at > found.started_at
    return connection.execute(select(of.number).where(*decided).limit(1)).first() is not None


# What every batch of a transfer executes is put together once: that costs more than executing it.
_HELD: Final = select(job.c.fence, job.c.state, job.c.wish, job.c.stage, job.c.total, job.c.attempts).where(
    job.c.id == bind("id_")
)
_ADVANCED: Final = (
    update(job)
    .where(job.c.id == bind("id_"))
    .values(
        done=job.c.done + bind("done_"),
        failed=job.c.failed + bind("failed_"),
        held=job.c.held + bind("held_"),
        resent=job.c.resent + bind("resent_"),
        size_bytes=job.c.size_bytes + bind("size_"),
        # When it got on, what failed before has passed.
        attempts=case((bind("done_", type_=Integer) > 0, 0), else_=job.c.attempts),
        workers_lost=case((bind("done_", type_=Integer) > 0, 0), else_=job.c.workers_lost),
        lease_until=bind("lease_"),
        version=job.c.version + 1,
    )
)
_ITEM: Final = and_(job_item.c.job_id == bind("id_"), job_item.c.number == bind("n_"))
_RUN: Final = and_(job_item.c.job_id == bind("id_"), job_item.c.number.between(bind("first_"), bind("last_")))
_AGAIN: Final = (
    update(job_item).where(_RUN, job_item.c.state == str(ItemState.UNDER_WAY)).values(resent=job_item.c.resent + 1)
)
_BEGUN: Final = (
    update(job_item)
    .where(_RUN)
    .values(state=str(ItemState.UNDER_WAY), attempts=job_item.c.attempts + 1, changed_at=bind("at_"))
)
_OUTCOME: Final = {
    "state": bind("state_"),
    "status": bind("status_"),
    "detail": bind("detail_"),
    "resent": job_item.c.resent + bind("resent_"),
    "changed_at": bind("at_"),
}
_ENDED_ONE: Final = update(job_item).where(_ITEM).values(_OUTCOME)
_ENDED_RUN: Final = update(job_item).where(_RUN).values(_OUTCOME)


def _held(connection: Connection, claim: Claim) -> Row[Any, Any, Any, Any, Any, Any]:
    """What is known of the job in short, if it is still this worker's."""
    found = connection.execute(_HELD, {"id_": claim.job_id}).first()
    if found is None or found.fence != claim.fence or found.state != str(JobState.RUNNING):
        raise LeaseLost(f"job {claim.job_id}")
    return found


def _begin(connection: Connection, job_id: int, numbers: Sequence[int], now: datetime) -> int:
    """Mark items as under way; returns how many of them were so already."""
    resent = 0
    for first, last in _runs(numbers):
        run = {"id_": job_id, "first_": first, "last_": last}
        resent += connection.execute(_AGAIN, run).rowcount
        connection.execute(_BEGUN, {**run, "at_": now})
    return resent


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of those that follow one another; most often that is one run."""
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return found


def _end(connection: Connection, job_id: int, outcomes: Sequence[ItemOutcome], now: datetime) -> None:
    """Note outcomes: runs of those that are alike with one statement, and the others each by itself."""
    runs: list[list[ItemOutcome]] = []
    for outcome in outcomes:
        if runs and _goes_on(runs[-1][-1], outcome):
            runs[-1].append(outcome)
        else:
            runs.append([outcome])
    single: list[dict[str, Any]] = []
    for run in runs:
        values = _values(job_id, run[0], now)
        if len(run) >= _WORTH_A_STATEMENT:
            connection.execute(_ENDED_RUN, {**values, "first_": run[0].number, "last_": run[-1].number})
        else:
            single += [{**values, "n_": outcome.number} for outcome in run]
    if single:
        connection.execute(_ENDED_ONE, single)


def _goes_on(before: ItemOutcome, after: ItemOutcome) -> bool:
    """Whether an outcome is that of the next item, and the same."""
    if after.number != before.number + 1 or after.state is not before.state or after.detail != before.detail:
        return False
    return (after.status, after.resent) == (before.status, before.resent)


def _values(job_id: int, outcome: ItemOutcome, now: datetime) -> dict[str, Any]:
    return {
        "id_": job_id,
        "state_": str(outcome.state),
        "status_": outcome.status,
        "detail_": dict(outcome.detail),
        "resent_": outcome.resent,
        "at_": now,
    }
