"""What may be sent is judged when a job is submitted, and again when its turn has come: nothing is sent in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from dicomfab.model.actor import Actor, Role
from dicomfab.model.errors import AccessDenied, ConfirmationRequired, DicomFabError
from dicomfab.model.job import Job, JobKind, JobState
from dicomfab.model.values import Environment
from dicomfab.services.jobs.compare import CompareJobs
from dicomfab.services.jobs.schedules import ScheduleService
from dicomfab.services.study_filter import StudyFilter
from dicomfab.storage.schedules import ScheduleRepository
from tests.unit.services.guarded import REAL, Guarded, guarded
from tests.unit.services.hospital import ADMIN

NIGHTLY = "0 2 * * *"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Guarded]:
    with guarded(tmp_path) as made:
        yield made


def submitted(world: Guarded, way: str, who: Actor, study: str) -> Job:
    """A job that sends the study to ``test``: it is on ``other`` and in the local store."""
    test, other = world.server("test"), world.server("other")
    if way == "send":
        return world.app.jobs.send(who, [study], test)
    if way == "move":
        return world.app.jobs.move(who, [study], other, test)
    compared = world.app.compare_jobs.submit(who, other, test, StudyFilter(study_instance_uid=study))
    assert world.done(compared).state is JobState.SUCCEEDED
    return world.app.compare_jobs.fix(who, compared.id, test)


def role_removed(world: Guarded, who: Actor, _study: str) -> None:
    world.app.accounts.set_roles(ADMIN, who.account_id or 0, [Role.TEST_READ])


def disabled(world: Guarded, who: Actor, _study: str) -> None:
    world.app.accounts.disable(ADMIN, who.account_id or 0)


def removed(world: Guarded, who: Actor, _study: str) -> None:
    world.app.accounts.remove(ADMIN, who.account_id or 0)


def now_production(world: Guarded, _who: Actor, _study: str) -> None:
    world.edit("test", environment="prod", allow_synthetic=True)


def takes_no_synthetic(world: Guarded, _who: Actor, _study: str) -> None:
    world.edit("test", allow_synthetic=False)


def real_instance_came(world: Guarded, _who: Actor, study: str) -> None:
    world.real(world.app.local_archive, study, Environment.TEST)


@pytest.mark.parametrize("way", ["send", *(pytest.param(way, marks=pytest.mark.full) for way in ("move", "fix"))])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (role_removed, "may not"),
        (disabled, "may not"),
        (removed, "may not"),
        (now_production, "may not store in prod"),
        (takes_no_synthetic, "allow_synthetic is off"),
        (real_instance_came, "allow_real is off"),
    ],
)
def test_what_changed_while_a_job_waited_counts(
    world: Guarded, way: str, change: Callable[[Guarded, Actor, str], None], reason: str
) -> None:
    who, study = world.person(Role.TEST_WRITE), world.synthetic()
    world.copy(study, "other")
    job = submitted(world, way, who, study)
    change(world, who, study)
    ended = world.done(job)
    said = str([ended.error, *(item.detail for item in world.app.jobs.every_item(ADMIN, job.id))])
    assert ended.state is JobState.FAILED
    assert reason in said
    assert world.held("test", study) == 0


@pytest.mark.parametrize("way", ["send", *(pytest.param(way, marks=pytest.mark.full) for way in ("move", "fix"))])
def test_a_server_that_went_to_production_meanwhile_wants_its_own_yes(world: Guarded, way: str) -> None:
    study = world.synthetic()
    world.copy(study, "other")
    job = submitted(world, way, ADMIN, study)
    world.edit("test", environment="prod", allow_synthetic=True)
    ended = world.done(job)
    assert ended.state is JobState.FAILED
    assert "is a production server: nothing was sent" in str(
        [ended.error, *(item.detail for item in world.app.jobs.every_item(ADMIN, job.id))]
    )
    assert world.held("test", study) == 0


@pytest.mark.parametrize("way", ["send", *(pytest.param(way, marks=pytest.mark.full) for way in ("move", "fix"))])
def test_with_nothing_changed_it_is_sent(world: Guarded, way: str) -> None:
    who, study = world.person(Role.TEST_WRITE), world.synthetic()
    world.copy(study, "other")
    assert world.done(submitted(world, way, who, study)).state is JobState.SUCCEEDED
    assert world.held("test", study) == 3


def test_more_roles_than_it_was_submitted_with_a_job_never_gets(world: Guarded) -> None:
    who, study = world.person(Role.TEST_WRITE), world.synthetic()
    job = submitted(world, "send", who, study)
    world.app.accounts.set_roles(ADMIN, who.account_id or 0, [Role.ADMIN])
    world.edit("test", environment="prod", allow_synthetic=True)
    assert "may not store in prod" in str(world.done(job).error)
    assert world.held("test", study) == 0


def parameters(
    kind: JobKind, study: str, source: str, destination: str, *, confirmed: bool = False
) -> dict[str, object]:
    ends = {"destination": destination} if kind is JobKind.SEND else {"source": source, "destination": destination}
    return {"studies": [study], **ends, "confirm_production": confirmed}


@pytest.mark.parametrize("kind", [JobKind.SEND, pytest.param(JobKind.MOVE, marks=pytest.mark.full)])
def test_a_schedule_is_judged_when_it_is_made(world: Guarded, kind: JobKind) -> None:
    study, add = world.synthetic(), world.app.schedules.add
    world.copy(study, "other")
    world.real(world.app.local_archive)
    world.real(world.archive("theirs"))
    cases: list[tuple[dict[str, object], Actor, type[DicomFabError], str]] = [
        (parameters(kind, study, "other", "prod"), ADMIN, ConfirmationRequired, "production server"),
        (parameters(kind, study, "other", "prod", confirmed=True), ADMIN, AccessDenied, "allow_synthetic is off"),
        (parameters(kind, REAL, "theirs", "test"), ADMIN, AccessDenied, "allow_real is off"),
        (parameters(kind, study, "other", "test"), world.person(Role.TEST_READ), AccessDenied, "may not store"),
    ]
    for wanted, who, error, reason in cases:
        with pytest.raises(error, match=reason):
            add(who, kind, wanted, cron=NIGHTLY)
    assert world.app.schedules.every(ADMIN) == []


@pytest.mark.parametrize("kind", [JobKind.SEND, pytest.param(JobKind.MOVE, marks=pytest.mark.full)])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (role_removed, "may not"),
        (disabled, "may not"),
        (now_production, "may not store in prod"),
        (takes_no_synthetic, "allow_synthetic is off"),
        (real_instance_came, "allow_real is off"),
    ],
)
def test_a_schedule_is_judged_again_each_time(
    world: Guarded, kind: JobKind, change: Callable[[Guarded, Actor, str], None], reason: str
) -> None:
    who, study = world.person(Role.TEST_WRITE), world.synthetic()
    world.copy(study, "other")
    world.app.schedules.add(who, kind, parameters(kind, study, "other", "test"), cron=NIGHTLY)
    change(world, who, study)
    ahead = world.app.database.now() + timedelta(days=1)
    repository = ScheduleRepository(world.app.database, now=lambda: ahead)
    own = world.app.schedules
    ScheduleService(repository, own.jobs, own.studies, own.record, own.present).beat()
    (kept,) = own.every(ADMIN)
    assert (kept.last_job, kept.last_at is not None) == (None, True)
    assert reason in str(kept.error)
    assert world.held("test", study) == 0


def test_a_role_taken_after_a_schedule_made_its_job_counts_too(world: Guarded) -> None:
    who, study = world.person(Role.TEST_WRITE), world.synthetic()
    made = world.app.schedules.add(who, JobKind.SEND, parameters(JobKind.SEND, study, "", "test"), cron=NIGHTLY)
    job = world.app.schedules.run(who, made.id)
    role_removed(world, who, study)
    assert "may not" in str(world.done(job).error)
    assert world.held("test", study) == 0


def test_a_fix_is_judged_when_it_is_submitted(world: Guarded) -> None:
    study = world.synthetic()
    world.copy(study, "other")
    world.real(world.archive("theirs"))
    fixes: CompareJobs = world.app.compare_jobs
    for source, to, uid, reason in (
        ("other", "prod", study, "allow_synthetic is off"),
        ("theirs", "test", REAL, "allow_real is off"),
    ):
        ends = world.server(source), world.server(to)
        compared = world.done(fixes.submit(ADMIN, *ends, StudyFilter(study_instance_uid=uid)))
        if ends[1].environment is Environment.PROD:
            with pytest.raises(ConfirmationRequired):
                fixes.fix(ADMIN, compared.id, ends[1])
        with pytest.raises(AccessDenied, match=reason):
            fixes.fix(ADMIN, compared.id, ends[1], confirm_production=True)
        assert world.held(to, uid) == 0
