"""The contract of schedules, the same on every database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from dicomfab.model.errors import Conflict, NotFound
from dicomfab.model.job import JobKind, JobState, NewItem, NewJob
from dicomfab.model.schedule import NewSchedule
from dicomfab.storage.database import Database
from dicomfab.storage.jobs import JobFilter, JobRepository
from dicomfab.storage.schedules import ScheduleRepository

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
NEXT_DAY = NOON + timedelta(days=1)


@pytest.fixture
def schedules(database: Database) -> ScheduleRepository:
    return ScheduleRepository(database, now=lambda: NOON)


@pytest.fixture
def ledger(database: Database) -> JobRepository:
    return JobRepository(database, now=lambda: NOON)


def new(**changes: object) -> NewSchedule:
    values = {
        "title": "Send the newest study",
        "kind": JobKind.SEND,
        "parameters": {"studies": ["latest"], "destination": "a"},
        "cron": "0 12 * * *",
        "time_zone": "Europe/Berlin",
        "owner": "ada",
        "roles": ("admin",),
        "door": "cli",
        "environment": "test",
        "store_id": "here",
        "next_at": NOON,
    }
    return NewSchedule(**{**values, **changes})  # type: ignore[arg-type]


def job(schedule: int) -> NewJob:
    return NewJob(
        kind=JobKind.SEND,
        title="Send a study",
        owner="ada",
        roles=("admin",),
        door="cli",
        environment="test",
        queue="pacs:a",
        request={},
        schedule=schedule,
    )


def items() -> list[NewItem]:
    return [NewItem("1.2.3"), NewItem("1.2.4")]


def test_a_schedule_is_kept_as_it_was_made(schedules: ScheduleRepository) -> None:
    made = schedules.add(new())
    assert schedules.find(made.id) == made
    assert schedules.every() == [made]
    assert (made.is_enabled, made.next_at, made.last_at, made.last_job, made.error) == (True, NOON, None, None, {})
    assert (made.kind, made.roles, made.parameters["studies"]) == (JobKind.SEND, ("admin",), ["latest"])


def test_those_are_due_whose_time_has_come_and_whose_store_is_here(schedules: ScheduleRepository) -> None:
    due = schedules.add(new())
    schedules.add(new(next_at=NOON + timedelta(seconds=1)))
    schedules.add(new(store_id="elsewhere"))
    anywhere = schedules.add(new(store_id="", next_at=NOON - timedelta(days=3)))
    schedules.enable(schedules.add(new()).id, None)
    assert [one.id for one in schedules.due("here")] == [anywhere.id, due.id]


def test_firing_makes_the_job_with_its_items_and_sets_the_next_time(
    schedules: ScheduleRepository, ledger: JobRepository
) -> None:
    due = schedules.add(new())
    made = schedules.fire(due, NEXT_DAY, job(due.id), items())
    assert made is not None
    found = ledger.find(made)
    assert (found.state, found.counts.total, found.schedule) == (JobState.QUEUED, 2, due.id)
    after = schedules.find(due.id)
    assert (after.next_at, after.last_at, after.last_job) == (NEXT_DAY, NOON, made)
    assert schedules.due("here") == []


def test_of_many_workers_one_fires(schedules: ScheduleRepository, ledger: JobRepository) -> None:
    due = schedules.add(new())
    with ThreadPoolExecutor(8) as workers:
        made = list(workers.map(lambda _: schedules.fire(due, NEXT_DAY, job(due.id), items()), range(8)))
    assert len([one for one in made if one is not None]) == 1
    assert ledger.page(JobFilter()).total == 1


@pytest.mark.parametrize("change", ["paused", "removed", "resumed"])
def test_a_schedule_that_was_changed_meanwhile_does_not_fire(
    change: str, schedules: ScheduleRepository, ledger: JobRepository
) -> None:
    due = schedules.add(new())
    if change == "paused":
        schedules.enable(due.id, None)
    elif change == "resumed":
        schedules.enable(due.id, NEXT_DAY)
    else:
        schedules.remove(due.id)
    assert schedules.fire(due, NEXT_DAY, job(due.id), items()) is None
    assert not schedules.miss(due, NEXT_DAY, {"what": "x"})
    assert ledger.page(JobFilter()).total == 0


def test_a_job_that_cannot_be_kept_leaves_the_schedule_due(
    schedules: ScheduleRepository, ledger: JobRepository
) -> None:
    due = schedules.add(new())
    with pytest.raises(Exception, match=r"UNIQUE|unique"):
        schedules.fire(due, NEXT_DAY, job(due.id), [NewItem("1"), NewItem("1")])
    assert schedules.due("here") == [due]
    assert ledger.page(JobFilter()).total == 0


def test_why_no_job_was_made_is_kept_until_one_is(schedules: ScheduleRepository) -> None:
    due = schedules.add(new())
    assert schedules.miss(due, NOON, {"what": "there is no such study"})
    missed = schedules.find(due.id)
    assert (missed.error, missed.last_job) == ({"what": "there is no such study"}, None)
    schedules.fire(missed, NEXT_DAY, job(due.id), items())
    assert schedules.find(due.id).error == {}


def test_a_job_out_of_turn_leaves_the_next_time_as_it_is(schedules: ScheduleRepository, ledger: JobRepository) -> None:
    one = schedules.add(new())
    made = schedules.make_now(one.id, job(one.id), items())
    after = schedules.find(one.id)
    assert (after.last_job, after.next_at, after.last_at) == (made, NOON, None)
    assert ledger.find(made).schedule == one.id


def test_only_enabled_schedules_need_a_worker(schedules: ScheduleRepository) -> None:
    assert not schedules.is_any_enabled("here")
    one = schedules.add(new(next_at=NEXT_DAY))
    assert schedules.is_any_enabled("here")
    assert not schedules.is_any_enabled("elsewhere")
    assert not schedules.enable(one.id, None).is_enabled
    assert not schedules.is_any_enabled("here")


def test_what_is_not_there_is_said(schedules: ScheduleRepository) -> None:
    for act in (schedules.find, schedules.remove, lambda n: schedules.enable(n, None)):
        with pytest.raises(NotFound):
            act(7)
    with pytest.raises(NotFound):
        schedules.make_now(7, job(7), ())


def test_what_was_removed_is_put_back_as_it_was(schedules: ScheduleRepository, ledger: JobRepository) -> None:
    one = schedules.add(new())
    assert schedules.fire(one, NEXT_DAY, job(one.id), [NewItem("1.2.3", "1.2.3")]) is not None
    schedules.miss(schedules.find(one.id), NEXT_DAY + timedelta(days=1), {"what": "no"})
    schedules.enable(one.id, None)
    before = schedules.find(one.id)
    assert schedules.remove(one.id) == before
    assert schedules.put_back(before) == before == schedules.find(one.id)
    with pytest.raises(Conflict, match="there again already"):
        schedules.put_back(before)
    assert schedules.add(new()).id > one.id


def test_a_number_is_never_given_twice(schedules: ScheduleRepository) -> None:
    """Jobs keep the number of the schedule that made them."""
    first = schedules.add(new())
    schedules.remove(first.id)
    assert schedules.add(new()).id != first.id


def test_without_another_clock_the_databases_is_used(database: Database) -> None:
    repository = ScheduleRepository(database)
    assert abs(repository.now() - datetime.now(UTC)) < timedelta(minutes=1)
    repository.add(new(next_at=repository.now() - timedelta(seconds=1)))
    assert len(repository.due("here")) == 1
