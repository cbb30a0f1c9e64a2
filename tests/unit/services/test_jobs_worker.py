"""Workers: what becomes of a job when the work, the worker or the ledger fails."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.model.errors import ConnectionFailed, DiskFull, LocalFailure
from dicomfab.model.job import ItemOutcome, ItemState, JobEvent, JobKind, JobState
from dicomfab.services.jobs.run import JobRun, Result
from dicomfab.services.jobs.worker import FIRST_PAUSE_S, LONGEST_PAUSE_S, pause_s
from dicomfab.storage.database import Database
from dicomfab.storage.job_queue import JobQueue
from tests.unit.services.job_office import STORE, Gate, Office, at_work, until
from tests.unit.storage.test_jobs import items, wanted


def submitted(office: Office, count: int = 3, **changes: object) -> int:
    return office.submit(wanted(store_id=STORE, **changes), items(count))


def work_through(run: JobRun) -> Result:
    for item in run.open_items():
        if run.stopped():
            return Result(None)
        run.note([], begin=[item.number])
        run.note([ItemOutcome(item.number, ItemState.DONE)])
    return Result(JobEvent.SUCCEED)


@contextmanager
def locked(office: Office) -> Iterator[None]:
    """Another program keeps the database for itself."""
    with closing(sqlite3.connect(office.site.folder / "jobs.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.fixture
def hasty(office: Office) -> Office:
    """An office whose ledger waits only a moment for another program's lock."""
    database = Database(office.site.folder / "jobs.sqlite3", busy_timeout_s=0.05)
    office.site.stack.callback(database.close)
    office.queue = JobQueue(database, now=office.now, lease_s=30)
    return office


@given(attempts=st.integers(1, 60), draw=st.floats(0, 1))
def test_pauses_double_and_are_spread_and_bounded(attempts: int, draw: float) -> None:
    longest = min(FIRST_PAUSE_S * 2 ** (attempts - 1), LONGEST_PAUSE_S)
    assert longest / 2 <= pause_s(attempts, lambda: draw) <= longest


def test_a_fault_in_this_program_fails_the_job_and_leaves_the_worker_alive(office: Office) -> None:
    def faulty(_run: JobRun) -> Result:
        raise ZeroDivisionError("a name that must not be shown")

    office.executors[JobKind.SEND] = faulty
    first, second = submitted(office), submitted(office)
    worker = office.worker()
    assert [worker.run_one(job_id) for job_id in (first, second)] == [True, True]
    job = office.ledger.find(first)
    assert (job.state, job.error["what"]) == (JobState.FAILED, "an unexpected error occurred")


@pytest.mark.parametrize(
    ("error", "max_attempts", "state"),
    [
        (ConnectionFailed("refused"), 2, JobState.QUEUED),
        (ConnectionFailed("refused"), 1, JobState.FAILED),
        (LocalFailure("no such thing"), 2, JobState.FAILED),
        (DiskFull("none left"), 2, JobState.PAUSED),
    ],
)
def test_only_what_may_pass_is_tried_again(
    office: Office, error: LocalFailure, max_attempts: int, state: JobState
) -> None:
    def failing(_run: JobRun) -> Result:
        raise error

    office.executors[JobKind.SEND] = failing
    job = office.run(submitted(office, max_attempts=max_attempts))
    assert (job.state, job.error["what"]) == (state, error.what)


def test_a_worker_that_cannot_note_what_it_does_leaves_the_job_to_whoever_can(hasty: Office) -> None:
    gate = Gate(2)

    def slow(run: JobRun) -> Result:
        for item in run.open_items():
            run.note([], begin=[item.number])
            gate()
            run.note([ItemOutcome(item.number, ItemState.DONE)])
        return Result(JobEvent.SUCCEED)

    hasty.executors[JobKind.SEND] = slow
    job_id = submitted(hasty)
    with at_work(hasty.worker(), job_id) as thread:
        gate.wait()
        with locked(hasty):
            gate.opened.set()
            thread.join(30)
            assert not thread.is_alive()
    job = hasty.checked(job_id)
    assert (job.state, job.counts.done, hasty.items(job_id)[1].state) == (JobState.RUNNING, 1, ItemState.UNDER_WAY)
    assert not hasty.worker().run_one(job_id)  # the lease is still on
    hasty.pass_s(60)
    assert hasty.run(job_id).state is JobState.SUCCEEDED
    assert (hasty.checked(job_id).counts.done, hasty.items(job_id)[1].resent) == (3, 1)


def test_a_worker_serves_on_when_the_ledger_was_out_of_reach(hasty: Office) -> None:
    done = threading.Event()

    def last(run: JobRun) -> Result:
        done.set()
        return work_through(run)

    hasty.executors[JobKind.SEND] = last
    worker = hasty.worker()
    serving = threading.Thread(target=worker.serve, kwargs={"threads": 2})
    serving.start()
    try:
        until(lambda: hasty.queue.workers(hasty.now().replace(year=2000)))
        with locked(hasty):
            assert not done.wait(1.0)
        job_id = submitted(hasty)
        assert done.wait(30)
    finally:
        worker.stop()
        serving.join(30)
    assert not serving.is_alive()
    assert hasty.checked(job_id).state in (JobState.SUCCEEDED, JobState.QUEUED)
    assert not hasty.queue.workers(hasty.now().replace(year=2000))


def test_a_worker_does_all_jobs_of_its_queues_and_ends_when_nothing_is_left(office: Office) -> None:
    office.executors[JobKind.SEND] = work_through
    jobs = [submitted(office, queue=f"pacs:{name}") for name in "abab"]
    other = submitted(office, queue="pacs:c")
    worker = office.worker()
    serving = threading.Thread(
        target=worker.serve, kwargs={"threads": 2, "queues": ("pacs:a", "pacs:b"), "idle_exit_s": 0.2}
    )
    serving.start()
    for job_id in jobs:
        until(lambda number=job_id: office.ledger.find(number).state.has_ended)
    office.ledger.ask(other, JobEvent.CANCEL)  # what waits for others keeps a worker, too
    serving.join(30)
    assert not serving.is_alive()
    assert [office.checked(job_id).state for job_id in jobs] == [JobState.SUCCEEDED] * 4


def test_a_job_of_another_store_is_left_to_who_reaches_it(office: Office) -> None:
    office.executors[JobKind.SEND] = work_through
    job_id = office.submit(wanted(store_id="elsewhere"), items(1))
    assert not office.worker().run_one(job_id)
    assert office.ledger.find(job_id).state is JobState.QUEUED
