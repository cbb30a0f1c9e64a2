"""Jobs as their users see them: whose they are, in which order their items come, what is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicomfab.app.build import Application
from dicomfab.app.job_words import NO_WORKER, duration, rate, why_waiting
from dicomfab.app.settings import Settings
from dicomfab.model.actor import Role
from dicomfab.model.errors import AccessDenied, InvalidInput, NotFound
from dicomfab.model.job import ItemOutcome, ItemState, Job, JobEvent, JobKind, JobState, NewItem, NewJob
from dicomfab.storage.job_queue import Claim
from dicomfab.storage.jobs import JobFilter
from tests.unit.services.hospital import ADMIN, actor


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Application]:
    built = Application(Settings(tmp_path / "home", worker_idle_s=0))
    yield built
    built.close()


def submit(installation: Application, count: int = 0, **changes: object) -> Job:
    values = {
        "kind": JobKind.SEND,
        "title": "Send a study",
        "owner": ADMIN.name,
        "roles": ("admin",),
        "door": "api",
        "environment": "test",
        "queue": "pacs:a",
        "request": {},
        "store_id": installation.store_id,
    }
    new = NewJob(**{**values, **changes})  # type: ignore[arg-type]
    return installation.jobs._submit(new, (NewItem(f"1.2.{n}") for n in range(count)))


def claim(installation: Application) -> tuple[Job, Claim]:
    taken = installation.job_queue.claim("w", store_id=installation.store_id, limit=lambda _: 9)
    assert taken is not None
    return taken


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Application, int]]:
    """A job with items in every state."""
    built = Application(Settings(tmp_path_factory.mktemp("mixed"), worker_idle_s=0))
    job = submit(built, 12)
    _, held = claim(built)
    outcomes = [ItemState.DONE, ItemState.FAILED, ItemState.HELD, ItemState.DONE, ItemState.FAILED]
    built.job_queue.advance(held, [ItemOutcome(n, state) for n, state in enumerate(outcomes, 1)], begin=[9, 8])
    yield built, job.id
    built.close()


def test_items_that_failed_come_first(mixed: tuple[Application, int]) -> None:
    built, job = mixed
    found = built.jobs.items_worst_first(ADMIN, job)
    assert [item.number for item in found] == [2, 5, 3, 6, 7, 8, 9, 10, 11, 12, 1, 4]


@given(limit=st.integers(1, 14), offset=st.integers(0, 14))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_pages_of_items_are_parts_of_the_whole(mixed: tuple[Application, int], limit: int, offset: int) -> None:
    built, job = mixed
    whole = built.jobs.items_worst_first(ADMIN, job)
    assert built.jobs.items_worst_first(ADMIN, job, limit=limit, offset=offset) == whole[offset : offset + limit]


def test_only_owner_and_administrators_change_a_job(installation: Application) -> None:
    job, other = submit(installation), actor(Role.TEST_WRITE)
    with pytest.raises(AccessDenied):
        installation.jobs.ask(other, job.id, JobEvent.CANCEL)
    with pytest.raises(AccessDenied):
        installation.jobs.prefer(other, job.id, 1)
    assert installation.jobs.show(other, job.id).state is JobState.QUEUED
    theirs = submit(installation, owner=other.name)
    assert installation.jobs.ask(other, theirs.id, JobEvent.CANCEL).state is JobState.CANCELLED


def test_jobs_of_production_are_for_those_who_see_it(installation: Application) -> None:
    job = submit(installation, environment="prod")
    assert installation.jobs.page(actor(Role.TEST_READ), JobFilter()).total == 0
    with pytest.raises(NotFound):
        installation.jobs.items_worst_first(actor(Role.TEST_READ), job.id)
    assert installation.jobs.page(actor(Role.PROD_READ), JobFilter()).total == 1


def test_only_old_jobs_that_have_ended_are_forgotten(installation: Application) -> None:
    ended, waiting = submit(installation), submit(installation)
    installation.jobs.ask(ADMIN, ended.id, JobEvent.CANCEL)
    assert installation.jobs.forget(ADMIN, 1) == 0
    assert installation.jobs.forget(ADMIN, 0) == 1
    assert [job.id for job in installation.jobs.page(ADMIN, JobFilter()).jobs] == [waiting.id]
    with pytest.raises(AccessDenied):
        installation.jobs.forget(actor(Role.TEST_WRITE), 0)
    with pytest.raises(InvalidInput):
        installation.jobs.forget(ADMIN, -1)


class TestWhyAJobWaits:
    def why(self, installation: Application, job: Job) -> str:
        return why_waiting(installation, ADMIN, installation.jobs.show(ADMIN, job.id))

    def test_for_a_worker_if_there_is_none(self, installation: Application) -> None:
        job = submit(installation)
        assert self.why(installation, job) == NO_WORKER.replace("NUMBER", str(job.id))

    def test_for_a_worker_that_reaches_its_store(self, installation: Application) -> None:
        assert "local store it needs" in self.why(installation, submit(installation, store_id="elsewhere"))

    def test_for_its_turn(self, installation: Application) -> None:
        for _ in range(2):
            submit(installation, queue="local")
            claim(installation)
        assert "2 of at most 2 jobs on this computer" in self.why(installation, submit(installation, queue="local"))

    def test_for_its_time(self, installation: Application) -> None:
        later = installation.jobs.now() + timedelta(hours=2)
        assert self.why(installation, submit(installation, not_before=later)).startswith("It begins at ")

    def test_for_another_attempt_and_after_what(self, installation: Application) -> None:
        job = submit(installation, max_attempts=8)
        _, held = claim(installation)
        later = installation.jobs.now() + timedelta(minutes=2)
        error = {"what": "no connection to 10.0.0.9"}
        installation.job_queue.finish(held, JobEvent.POSTPONE, error=error, not_before=later)
        why = self.why(installation, job)
        assert "attempt 1 of 8 failed (no connection to 10.0.0.9)" in why

    def test_for_a_person(self, installation: Application) -> None:
        job = submit(installation)
        installation.jobs.ask(ADMIN, job.id, JobEvent.PAUSE)
        assert self.why(installation, job) == f"It is paused. Go on with it: dicomfab jobs resume {job.id}"

    def test_for_a_person_and_after_what(self, installation: Application) -> None:
        job = submit(installation)
        _, held = claim(installation)
        installation.job_queue.finish(held, JobEvent.PAUSE, error={"what": "the disk is full."})
        assert self.why(installation, job).startswith("It is paused: the disk is full. Go on")

    def test_not_at_all_when_it_runs_or_has_ended(self, installation: Application) -> None:
        job = submit(installation)
        _, held = claim(installation)
        assert self.why(installation, job) == ""
        installation.job_queue.finish(held, JobEvent.SUCCEED)
        assert self.why(installation, job) == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0.0 s"), (9.94, "9.9 s"), (59.4, "59 s"), (200, "3 min 20 s"), (7260, "2 h 01 min")]
)
def test_durations_are_in_the_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("per_second", "text"), [(310.4, "310/s"), (2.54, "2.5/s"), (0.2, "12.0/min")])
def test_rates_are_in_a_unit_that_can_be_imagined(per_second: float, text: str) -> None:
    assert rate(per_second) == text
