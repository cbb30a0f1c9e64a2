"""The contract of the ledger and its queue, the same on every database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dicomfab.model.errors import Conflict, NotFound
from dicomfab.model.job import ARROWS, ItemOutcome, ItemState, JobEvent, JobKind, JobState, NewItem, NewJob, Wish
from dicomfab.storage.database import Database
from dicomfab.storage.job_queue import LEASE_S, JobQueue, LeaseLost
from dicomfab.storage.jobs import JobFilter, JobRepository


class Clock:
    def __init__(self) -> None:
        self.moment = datetime(2026, 5, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def pass_s(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(database: Database, clock: Clock) -> JobRepository:
    return JobRepository(database, now=clock)


@pytest.fixture
def queue(database: Database, clock: Clock) -> JobQueue:
    return JobQueue(database, now=clock)


def wanted(**changes: object) -> NewJob:
    values = {
        "kind": JobKind.SEND,
        "title": "Send a study",
        "owner": "ada",
        "roles": ("admin",),
        "door": "cli",
        "environment": "test",
        "queue": "pacs:a",
        "request": {"study": "1.2.3"},
    }
    return NewJob(**{**values, **changes})  # type: ignore[arg-type]


def items(count: int) -> Iterator[NewItem]:
    return (NewItem(f"1.2.{n}", f"instance {n}") for n in range(count))


def take(queue: JobQueue, name: str = "w1", limit: int = 9, **options: object):  # type: ignore[no-untyped-def]
    return queue.claim(name, store_id="here", limit=lambda _: limit, **options)  # type: ignore[arg-type]


def test_a_submitted_job_is_kept_with_its_items(ledger: JobRepository) -> None:
    job_id = ledger.submit(wanted(), items(1200))
    found = ledger.find(job_id)
    assert (found.state, found.counts.total, found.counts.open) == (JobState.QUEUED, 1200, 1200)
    assert found.request == {"study": "1.2.3"}
    assert [item.number for item in ledger.items(job_id)] == list(range(1, 1201))


def test_a_key_twice_in_one_job_keeps_nothing(ledger: JobRepository) -> None:
    with pytest.raises(Exception, match=r"UNIQUE|unique"):
        ledger.submit(wanted(), [NewItem("1"), NewItem("1")])
    assert ledger.page(JobFilter()).total == 0


def test_jobs_are_taken_by_priority_and_then_by_age(ledger: JobRepository, queue: JobQueue) -> None:
    late, urgent, early = (ledger.submit(wanted(priority=p), ()) for p in (5, 1, 5))
    assert [take(queue)[0].id for _ in range(3)] == [urgent, late, early]
    assert take(queue) is None


def test_no_queue_runs_more_jobs_than_its_limit(ledger: JobRepository, queue: JobQueue) -> None:
    for name in ("pacs:a", "pacs:a", "pacs:b"):
        ledger.submit(wanted(queue=name), ())
    assert [take(queue, limit=1)[0].queue for _ in range(2)] == ["pacs:a", "pacs:b"]
    assert take(queue, limit=1) is None


def test_a_job_of_another_store_or_a_later_hour_is_left(ledger: JobRepository, queue: JobQueue, clock: Clock) -> None:
    ledger.submit(wanted(store_id="elsewhere"), ())
    later = ledger.submit(wanted(not_before=clock() + timedelta(minutes=1)), ())
    assert take(queue) is None
    assert queue.next_due("here") == clock() + timedelta(minutes=1)
    clock.pass_s(60)
    assert take(queue)[0].id == later


def test_a_lost_lease_lets_another_worker_go_on_and_stops_the_first(
    ledger: JobRepository, queue: JobQueue, clock: Clock
) -> None:
    job_id = ledger.submit(wanted(), items(3))
    _, first = take(queue, "w1")
    queue.advance(first, [], begin=[1, 2])
    queue.advance(first, [ItemOutcome(1, ItemState.DONE, size_bytes=10)])
    assert take(queue, "w2") is None
    clock.pass_s(LEASE_S + 1)
    job, second = take(queue, "w2")
    assert (job.worker, job.counts.done, job.done_at_start) == ("w2", 1, 1)
    for forbidden in (
        lambda: queue.renew(first, ""),
        lambda: queue.advance(first, [ItemOutcome(2, ItemState.DONE)]),
        lambda: queue.finish(first, JobEvent.SUCCEED),
    ):
        with pytest.raises(LeaseLost):
            forbidden()
    queue.advance(second, [], begin=[2, 3])
    assert [(item.state, item.attempts, item.resent) for item in ledger.items(job_id)] == [
        (ItemState.DONE, 1, 0),
        (ItemState.UNDER_WAY, 2, 1),
        (ItemState.UNDER_WAY, 1, 0),
    ]
    assert ledger.find(job_id).counts.resent == 1


def test_a_running_job_is_asked_and_hears_it_with_its_next_note(ledger: JobRepository, queue: JobQueue) -> None:
    job_id = ledger.submit(wanted(), items(2))
    _, claim = take(queue)
    assert ledger.ask(job_id, JobEvent.PAUSE).state is JobState.RUNNING
    assert queue.advance(claim, [ItemOutcome(1, ItemState.DONE)]) is Wish.PAUSE
    assert queue.finish(claim, JobEvent.PAUSE).state is JobState.PAUSED
    assert ledger.ask(job_id, JobEvent.RESUME).state is JobState.QUEUED
    job, _ = take(queue)
    assert (job.wish, job.counts.open) == (Wish.NONE, 1)


ASKED = [(JobEvent.CANCEL, JobState.CANCELLED), (JobEvent.PAUSE, JobState.PAUSED)]


@pytest.mark.parametrize(("event", "state"), ASKED)
def test_what_a_job_was_asked_is_done_when_its_worker_is_gone(
    ledger: JobRepository, queue: JobQueue, clock: Clock, event: JobEvent, state: JobState
) -> None:
    job_id, other = ledger.submit(wanted(), items(3)), ledger.submit(wanted(), items(1))
    _, claim = take(queue, only=job_id)
    assert take(queue, only=other) is not None
    queue.advance(claim, [ItemOutcome(1, ItemState.DONE)], begin=[2])
    queue.renew(claim, "sending")
    ledger.ask(job_id, event)
    clock.pass_s(LEASE_S + 1)
    assert take(queue, only=job_id) is None
    found = ledger.find(job_id)
    assert (found.state, found.wish, found.stage, found.counts.open) == (state, Wish.NONE, "", 2)
    assert found.ended_at == (clock() if state.has_ended else None)
    assert take(queue)[0].id == other  # nobody asked anything of this one
    again = ledger.ask(job_id, JobEvent.RETRY if state.has_ended else JobEvent.RESUME)
    assert (again.state, take(queue)[0].id) == (JobState.QUEUED, job_id)


@pytest.mark.parametrize("end", [JobEvent.LOSE, JobEvent.POSTPONE, JobEvent.PAUSE])
@pytest.mark.parametrize(("event", "state"), ASKED)
def test_what_a_job_was_asked_is_done_when_its_worker_did_not_hear_it(
    ledger: JobRepository, queue: JobQueue, clock: Clock, event: JobEvent, state: JobState, end: JobEvent
) -> None:
    job_id = ledger.submit(wanted(), items(2))
    _, claim = take(queue)
    queue.advance(claim, [ItemOutcome(1, ItemState.DONE)])
    ledger.ask(job_id, event)
    found = queue.finish(claim, end, error={"what": "no answer"}, not_before=clock() + timedelta(seconds=5))
    assert (found.state, found.wish, found.counts.open) == (state, Wish.NONE, 1)
    assert found.ended_at == (clock() if state.has_ended else None)
    clock.pass_s(LEASE_S + 5)
    assert take(queue) is None


def test_a_job_that_was_done_before_it_heard_of_a_wish_stays_done(ledger: JobRepository, queue: JobQueue) -> None:
    job_id = ledger.submit(wanted(), items(1))
    _, claim = take(queue)
    queue.advance(claim, [ItemOutcome(1, ItemState.DONE)])
    ledger.ask(job_id, JobEvent.CANCEL)
    assert queue.finish(claim, JobEvent.SUCCEED).state is JobState.SUCCEEDED


def test_retry_does_again_only_what_failed(ledger: JobRepository, queue: JobQueue) -> None:
    job_id = ledger.submit(wanted(), items(3))
    _, claim = take(queue)
    ended = [ItemOutcome(1, ItemState.DONE), ItemOutcome(2, ItemState.FAILED, "A700"), ItemOutcome(3, ItemState.DONE)]
    queue.advance(claim, ended)
    queue.finish(claim, JobEvent.FAIL, error={"what": "one was refused"}, report={"verdict": "mismatch"})
    failed = ledger.find(job_id)
    assert (failed.state, failed.counts.failed, failed.error["what"]) == (JobState.FAILED, 1, "one was refused")
    again = ledger.ask(job_id, JobEvent.RETRY)
    assert (again.counts.done, again.counts.failed, again.counts.open) == (2, 0, 1)
    assert [item.number for item in ledger.items(job_id, [ItemState.PENDING])] == [2]


def test_a_postponed_job_counts_its_failures_in_a_row(ledger: JobRepository, queue: JobQueue, clock: Clock) -> None:
    job_id = ledger.submit(wanted(), items(1))
    for attempt in range(1, 4):
        job, claim = take(queue)
        assert job.attempts == attempt - 1
        queue.finish(claim, JobEvent.POSTPONE, not_before=clock() + timedelta(seconds=5), error={"what": "no answer"})
        assert take(queue) is None
        clock.pass_s(5)
    _, claim = take(queue)
    queue.advance(claim, [ItemOutcome(1, ItemState.DONE)])
    assert ledger.find(job_id).attempts == 0


@pytest.mark.parametrize("state", JobState)
@pytest.mark.parametrize("event", [JobEvent.PAUSE, JobEvent.RESUME, JobEvent.CANCEL, JobEvent.RETRY])
def test_a_job_moves_along_the_arrows_and_no_other_way(
    ledger: JobRepository, queue: JobQueue, state: JobState, event: JobEvent
) -> None:
    job_id = ledger.submit(wanted(), items(1))
    bring(ledger, queue, job_id, state)
    if (state, event) not in ARROWS:
        with pytest.raises(Conflict):
            ledger.ask(job_id, event)
        assert ledger.find(job_id).state is state
    elif state is JobState.RUNNING:
        assert ledger.ask(job_id, event).wish is not Wish.NONE
    else:
        assert ledger.ask(job_id, event).state is ARROWS[state, event]


def bring(ledger: JobRepository, queue: JobQueue, job_id: int, state: JobState) -> None:
    """Bring a queued job into a state."""
    if state is JobState.PAUSED:
        ledger.ask(job_id, JobEvent.PAUSE)
    elif state is not JobState.QUEUED:
        _, claim = take(queue)
        ends = {ARROWS[at, event]: event for at, event in ARROWS if at is JobState.RUNNING}
        if state is not JobState.RUNNING:
            queue.finish(claim, ends[state])


def test_held_items_wait_for_a_decision(ledger: JobRepository, queue: JobQueue) -> None:
    held = NewItem("row 2", state=ItemState.HELD, detail={"why": "two studies fit"})
    job_id = ledger.submit(wanted(), [NewItem("row 1"), held])
    _, claim = take(queue)
    queue.advance(claim, [ItemOutcome(1, ItemState.DONE)])
    queue.finish(claim, JobEvent.SUCCEED)
    assert ledger.find(job_id).counts.held == 1
    again = ledger.release(job_id, [2], {2: {"study": "1.2.3"}})
    assert (again.state, again.counts.held, again.counts.open) == (JobState.QUEUED, 0, 1)
    assert ledger.items(job_id, [ItemState.PENDING])[0].request == {"study": "1.2.3"}


@pytest.mark.parametrize("end", [JobEvent.SUCCEED, JobEvent.DOUBT])
def test_an_item_that_was_decided_unseen_while_the_job_ran_keeps_it_from_ending(
    ledger: JobRepository, queue: JobQueue, clock: Clock, end: JobEvent
) -> None:
    held = NewItem("row 2", state=ItemState.HELD)
    job_id = ledger.submit(wanted(), [NewItem("row 1"), held])
    _, claim = take(queue)
    queue.advance(claim, [ItemOutcome(1, ItemState.DONE)])
    clock.pass_s(1)
    assert ledger.release(job_id, [2], {2: {"study": "1.2.3"}}).state is JobState.RUNNING
    again = queue.finish(claim, end)
    assert (again.state, again.ended_at, again.counts.open) == (JobState.QUEUED, None, 1)
    clock.pass_s(1)
    _, claim = take(queue)
    queue.advance(claim, [ItemOutcome(2, ItemState.DONE)], begin=[2])
    assert queue.finish(claim, end).state.has_ended


def test_lists_are_filtered_and_paged(ledger: JobRepository) -> None:
    for n in range(5):
        ledger.submit(wanted(title=f"Send {n}", environment="prod" if n % 2 else "test"), ())
    page = ledger.page(JobFilter(environments=frozenset({"test"})), limit=2)
    assert ([job.title for job in page.jobs], page.total) == (["Send 4", "Send 2"], 3)
    assert [job.title for job in ledger.page(JobFilter(search="SEND 3")).jobs] == ["Send 3"]


def test_an_unknown_job_is_not_found(ledger: JobRepository) -> None:
    with pytest.raises(NotFound):
        ledger.find(99)


def test_a_killed_process_leaves_the_job_as_it_was_noted(tmp_path: Path, clock: Clock) -> None:
    first = Database(tmp_path / "x.sqlite3")
    job_id = JobRepository(first, now=clock).submit(wanted(), items(2))
    _, claim = take(JobQueue(first, now=clock))
    JobQueue(first, now=clock).advance(claim, [ItemOutcome(1, ItemState.DONE)], begin=[2])
    first.close()
    second = Database(tmp_path / "x.sqlite3")
    assert JobRepository(second, now=clock).find(job_id).counts.done == 1
    second.close()


def test_texts_for_people_are_cut_to_what_is_kept(ledger: JobRepository, queue: JobQueue) -> None:
    job_id = ledger.submit(wanted(title="t" * 300), [NewItem("1", "l" * 300)])
    _, claim = take(queue)
    queue.renew(claim, "s" * 300)
    found = ledger.find(job_id)
    assert (found.title, ledger.items(job_id)[0].label) == ("t" * 200, "l" * 200)
    assert found.stage == "s" * 100


def test_without_another_clock_the_databases_is_used(database: Database) -> None:
    job_id = JobRepository(database).submit(wanted(), items(1))
    before = database.now()
    taken = take(JobQueue(database))
    assert taken is not None
    due = JobQueue(database).next_due("here")
    assert before <= due - timedelta(seconds=LEASE_S) <= database.now()
    assert JobRepository(database).find(job_id).created_at <= before


def test_a_job_over_which_one_worker_after_the_other_ends_fails_and_can_be_tried_again(
    ledger: JobRepository, queue: JobQueue, clock: Clock
) -> None:
    job_id = ledger.submit(wanted(), items(2))
    for _ in range(4):
        assert take(queue) is not None
        clock.pass_s(LEASE_S + 1)
    _, claim = take(queue)
    queue.advance(claim, [ItemOutcome(1, ItemState.DONE)], begin=[2])  # it gets on: what was before does not count
    clock.pass_s(LEASE_S + 1)
    for _ in range(4):
        assert take(queue) is not None
        clock.pass_s(LEASE_S + 1)
    assert take(queue) is None
    job = ledger.find(job_id)
    assert job.state is JobState.FAILED
    assert "5 workers in a row ended" in job.error["what"]
    assert job.ended_at is not None
    ledger.ask(job_id, JobEvent.RETRY)
    assert take(queue)[0].id == job_id
