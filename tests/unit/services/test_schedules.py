"""Schedules: what they may hold, when they make a job, and why they did not."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dicomfab.app.build import Application
from dicomfab.app.settings import Settings
from dicomfab.model.actor import Role
from dicomfab.model.errors import (
    AccessDenied,
    ConfirmationRequired,
    DicomFabError,
    InvalidInput,
    NotFound,
    RouteMissing,
)
from dicomfab.model.job import JobEvent, JobKind, JobState
from dicomfab.model.schedule import NewSchedule, Schedule
from dicomfab.services.jobs.run import JobRun, Result
from dicomfab.services.jobs.schedules import ScheduleService
from dicomfab.services.jobs.worker import Worker
from dicomfab.storage.database import Database
from dicomfab.storage.jobs import JobFilter
from dicomfab.storage.schedules import ScheduleRepository
from tests.unit.services.hospital import ADMIN, CARDS, actor

NIGHTLY = "0 2 * * *"


class Clock:
    moment = datetime(2026, 5, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Application]:
    built = Application(Settings(tmp_path / "home", worker_idle_s=0))
    yield built
    built.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(installation: Application, clock: Clock) -> ScheduleService:
    return ScheduleService(
        ScheduleRepository(installation.database, now=clock), installation.jobs, installation.studies
    )


def server(installation: Application, name: str, environment: str = "test") -> str:
    values = {"name": name, "host": "127.0.0.1", "port": 4, "aec": name.upper(), "environment": environment}
    return installation.pacs.add(ADMIN, values).id


def study(installation: Application) -> str:
    resolved = installation.studies.resolve_recipe(ADMIN, CARDS)
    installation.studies.create(ADMIN, resolved)
    return resolved.study_instance_uid


def fabricating(service: ScheduleService, recipe: str = "series: ['text-card:2']", count: int = 1) -> Schedule:
    parameters = {"recipe": recipe, "count": count}
    return service.add(ADMIN, JobKind.FABRICATE, parameters, cron=NIGHTLY, time_zone="UTC")


def jobs(installation: Application) -> int:
    return installation.jobs.page(ADMIN, JobFilter()).total


def test_a_due_schedule_makes_one_job_and_waits_for_its_next_time(
    service: ScheduleService, installation: Application, clock: Clock
) -> None:
    one = fabricating(service, count=3)
    assert service.beat()
    assert jobs(installation) == 0
    clock.moment = datetime(2026, 5, 2, 2, tzinfo=UTC)
    assert [service.beat(), service.beat()] == [True, True]
    assert jobs(installation) == 1
    after = service.show(ADMIN, one.id)
    assert after.next_at == datetime(2026, 5, 3, 2, tzinfo=UTC)
    made = installation.jobs.show(ADMIN, after.last_job or 0)
    assert (made.kind, made.counts.total, made.schedule, made.owner) == (JobKind.FABRICATE, 3, one.id, ADMIN.name)
    assert made.max_attempts > 1  # nobody waits for it


def test_times_that_passed_while_nothing_ran_make_one_job(
    service: ScheduleService, installation: Application, clock: Clock
) -> None:
    one = fabricating(service)
    clock.moment += timedelta(days=40, hours=3)
    service.beat()
    assert jobs(installation) == 1
    assert service.show(ADMIN, one.id).next_at == datetime(2026, 6, 11, 2, tzinfo=UTC)


def test_of_several_workers_one_makes_the_job(
    service: ScheduleService, installation: Application, clock: Clock
) -> None:
    for _ in range(3):
        fabricating(service)
    clock.moment += timedelta(days=1)
    with ThreadPoolExecutor(6) as workers:
        list(workers.map(lambda _: service.beat(), range(6)))
    assert jobs(installation) == 3


def test_each_time_fabricates_new_studies(service: ScheduleService, installation: Application, clock: Clock) -> None:
    fabricating(service)
    made = set()
    for _ in range(3):
        clock.moment += timedelta(days=1)
        service.beat()
        (newest,) = installation.jobs.page(ADMIN, JobFilter(), limit=1).jobs
        made.add(installation.jobs.items(ADMIN, newest.id)[0].key)
    assert len(made) == 3


def test_adding_uses_up_no_identifiers(service: ScheduleService, installation: Application, clock: Clock) -> None:
    fabricating(service, "series: ['text-card:2']\naccession_pattern: 'NIGHT{4digits}'")
    clock.moment += timedelta(days=1)
    service.beat()
    (job,) = installation.jobs.page(ADMIN, JobFilter()).jobs
    assert installation.jobs.items(ADMIN, job.id)[0].request["accession_number"].startswith("NIGHT")


def test_a_send_looks_its_studies_up_each_time(
    service: ScheduleService, installation: Application, clock: Clock
) -> None:
    uid = study(installation)
    parameters = {"studies": ["latest"], "destination": server(installation, "a")}
    one = service.add(ADMIN, JobKind.SEND, parameters, cron=NIGHTLY)
    assert (one.store_id, one.title) == (installation.store_id, "Send a study to a")
    clock.moment += timedelta(days=1)
    service.beat()
    (job,) = installation.jobs.page(ADMIN, JobFilter()).jobs
    assert {item.label for item in installation.jobs.items(ADMIN, job.id)} == {uid}
    installation.studies.delete(ADMIN, uid)
    clock.moment += timedelta(days=1)
    service.beat()
    after = service.show(ADMIN, one.id)
    assert after.error["error"] == "NotFound"
    assert (jobs(installation), after.last_job) == (1, job.id)
    assert after.next_at > clock()


def test_a_role_that_was_taken_away_makes_no_job(
    service: ScheduleService, installation: Application, clock: Clock
) -> None:
    nobody = altered(service, roles=())
    clock.moment += timedelta(days=1)
    service.beat()
    assert "not allowed" in str(service.show(ADMIN, nobody.id).error).lower()
    assert jobs(installation) == 0


def test_a_move_needs_no_local_store(service: ScheduleService, installation: Application) -> None:
    source, destination = server(installation, "a"), server(installation, "b")
    parameters = {"studies": ["1.2.3"], "source": source, "destination": destination}
    with pytest.raises(RouteMissing):
        service.add(ADMIN, JobKind.MOVE, parameters, cron=NIGHTLY)
    installation.pacs.set_routes(ADMIN, source, {destination: "B"})
    assert service.add(ADMIN, JobKind.MOVE, parameters, cron=NIGHTLY).store_id == ""
    get = service.add(ADMIN, JobKind.GET, {"studies": ["1.2.3"], "source": source}, cron=NIGHTLY)
    assert get.store_id == installation.store_id


def test_what_a_job_would_be_refused_for_refuses_the_schedule(
    service: ScheduleService, installation: Application
) -> None:
    uid, prod = study(installation), server(installation, "p", "prod")
    installation.pacs.edit(ADMIN, prod, {"allow_synthetic": True})
    wanted = {"studies": [uid], "destination": prod}
    with pytest.raises(ConfirmationRequired):
        service.add(ADMIN, JobKind.SEND, wanted, cron=NIGHTLY)
    confirmed = {**wanted, "confirm_production": True}
    with pytest.raises(AccessDenied):
        service.add(actor(Role.TEST_WRITE), JobKind.SEND, confirmed, cron=NIGHTLY)
    made = service.add(ADMIN, JobKind.SEND, confirmed, cron=NIGHTLY)
    assert made.environment == "prod"
    assert service.every(actor(Role.TEST_READ)) == []
    with pytest.raises(NotFound):
        service.show(actor(Role.TEST_READ), made.id)


@pytest.mark.parametrize(
    ("kind", "parameters", "cron", "field"),
    [
        (JobKind.FABRICATE, {"recipe": "series: ['ct-chest']"}, "0 2 * *", "cron"),
        (JobKind.FABRICATE, {"recipe": "series: ['nothing-such']"}, NIGHTLY, "kind"),
        (JobKind.FABRICATE, {}, NIGHTLY, "parameters"),
        (JobKind.FABRICATE, {"recipe": "series: ['ct-chest']", "shell": "rm"}, NIGHTLY, "parameters"),
        (JobKind.FABRICATE, {"recipe": "series: ['ct-chest']", "priority": 10}, NIGHTLY, "priority"),
        (JobKind.FABRICATE, {"recipe": "series: ['ct-chest']", "count": 0}, NIGHTLY, "count"),
        (JobKind.VERIFY, {}, NIGHTLY, "kind"),
    ],
)
def test_what_cannot_be_used_is_refused_and_keeps_nothing(
    kind: JobKind, parameters: dict[str, object], cron: str, field: str, service: ScheduleService
) -> None:
    with pytest.raises(InvalidInput) as refused:
        service.add(ADMIN, kind, parameters, cron=cron)
    assert refused.value.field == field
    assert service.every(ADMIN) == []


def test_only_owner_and_administrators_change_a_schedule(service: ScheduleService) -> None:
    one = fabricating(service)
    other = actor(Role.TEST_WRITE)
    for act in (service.pause, service.resume, service.remove, service.run):
        with pytest.raises(AccessDenied):
            act(other, one.id)
    mine = service.add(other, JobKind.FABRICATE, {"recipe": "series: ['text-card:2']"}, cron=NIGHTLY)
    assert not service.pause(other, mine.id).is_enabled
    assert not service.pause(ADMIN, mine.id).is_enabled


def test_a_paused_schedule_makes_up_for_nothing(
    service: ScheduleService, installation: Application, clock: Clock
) -> None:
    one = fabricating(service)
    service.pause(ADMIN, one.id)
    assert not service.need_a_worker()
    clock.moment += timedelta(days=5)
    assert not service.beat()
    assert service.resume(ADMIN, one.id).next_at > clock()
    service.beat()
    assert jobs(installation) == 0


def test_run_makes_a_job_out_of_turn(service: ScheduleService) -> None:
    one = fabricating(service)
    job = service.run(ADMIN, one.id)
    assert (job.state, job.schedule) == (JobState.QUEUED, one.id)
    assert service.show(ADMIN, one.id).next_at == one.next_at
    service.remove(ADMIN, one.id)
    with pytest.raises(NotFound):
        service.show(ADMIN, one.id)


def test_a_database_out_of_reach_ends_no_worker(tmp_path: Path, service: ScheduleService, clock: Clock) -> None:
    fabricating(service)
    (tmp_path / "folder").mkdir()
    broken = ScheduleRepository(Database(tmp_path / "folder"), now=clock)
    with pytest.raises(DicomFabError):
        broken.due("here")
    assert dataclasses.replace(service, schedules=broken).beat()


def altered(service: ScheduleService, **changes: object) -> Schedule:
    """A schedule as no command would make it."""
    one = fabricating(service)
    fields = {field.name: getattr(one, field.name) for field in dataclasses.fields(NewSchedule)}
    service.remove(ADMIN, one.id)
    return service.schedules.add(NewSchedule(**{**fields, **changes}))


def test_a_schedule_that_is_at_fault_keeps_no_other_from_its_job(
    service: ScheduleService, installation: Application, clock: Clock
) -> None:
    faulty = altered(service, parameters={"recipe": 7})
    elsewhere = altered(service, time_zone="Mars/Olympus")
    sound = fabricating(service)
    clock.moment += timedelta(days=1)
    assert service.beat()
    assert service.show(ADMIN, faulty.id).error["error"] == "LocalFailure"
    assert service.show(ADMIN, elsewhere.id).next_at == elsewhere.next_at
    assert service.show(ADMIN, sound.id).last_job is not None
    assert jobs(installation) == 1


def test_a_worker_stays_for_as_long_as_a_schedule_needs_it(installation: Application) -> None:
    beats = iter([True, True, True, False])
    looked: list[bool] = []

    def beat() -> bool:
        looked.append(next(beats, False))
        return looked[-1]

    worker = Worker(
        installation.job_queue,
        installation._ledger,
        {},
        limit=lambda _: 1,
        store_id="x",
        now=installation.jobs.now,
        beat=beat,
    )
    worker.serve(threads=1, idle_exit_s=0.05)
    assert looked[:4] == [True, True, True, False]


def test_a_worker_is_seen_while_it_does_a_job(service: ScheduleService, installation: Application) -> None:
    service.run(ADMIN, fabricating(service).id)
    began, enough = threading.Event(), threading.Event()
    seen: list[datetime] = []

    def execute(_run: JobRun) -> Result:
        began.set()
        assert enough.wait(30)
        return Result(JobEvent.SUCCEED)

    def beat() -> bool:
        if began.is_set():
            seen.append(installation.jobs.workers()[0].seen_at)
        if len(seen) == 3:
            enough.set()
        return not enough.is_set()

    Worker(
        installation.job_queue,
        installation._ledger,
        {JobKind.FABRICATE: execute},
        limit=lambda _: 1,
        store_id=installation.store_id,
        now=installation.jobs.now,
        beat=beat,
    ).serve(threads=1, idle_exit_s=0.05)
    assert seen[0] < seen[1] < seen[2]


def test_parameters_are_plain_values(service: ScheduleService) -> None:
    one = fabricating(service)
    assert json.loads(json.dumps(dict(one.parameters))) == {
        "recipe": "series: ['text-card:2']",
        "count": 1,
        "priority": 5,
    }
