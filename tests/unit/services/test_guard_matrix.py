"""Real data into test, and synthetic data to production: every way there is refused with its reason, nothing arrives.

The servers are real ones over sockets, and what arrived is counted in what they keep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dicomfab.archive.archive import Archive
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scu.store import store
from dicomfab.model.actor import Role
from dicomfab.model.errors import AccessDenied, DicomFabError
from dicomfab.model.job import Job, JobKind
from dicomfab.services.study_filter import StudyFilter
from dicomfab.services.study_list import ListedStudy
from tests.unit.services.guarded import REAL, Guarded, guarded
from tests.unit.services.hospital import ADMIN, actor


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Guarded]:
    with guarded(tmp_path) as made:
        yield made


def received(world: Guarded, source: str, archive: Archive, study: str) -> None:
    """A server sends a study to our own Storage SCP, of its own accord."""
    server = world.server(source)
    with world.app.receiving.listening(ADMIN, port=0) as port:
        peer = Peer("127.0.0.1", port, "DICOMFAB", calling_ae_title=server.aec)
        outcomes = list(store(peer, [one.file for one in archive.instances(study)]))
    assert outcomes
    assert all(outcome.accepted for outcome in outcomes)


def sent(world: Guarded, study: str, _source: str, to: str) -> None:
    world.app.transfers.send(ADMIN, study, world.server(to), confirm_production=True)


def sent_as_job(world: Guarded, study: str, _source: str, to: str) -> Job:
    return world.app.jobs.send(ADMIN, [study], world.server(to), confirm_production=True)


def moved(world: Guarded, study: str, source: str, to: str) -> None:
    ends = world.server(source), world.server(to)
    world.app.transfers.move(ADMIN, study, *ends, ends[1].aec, confirm_production=True)


def moved_as_job(world: Guarded, study: str, source: str, to: str) -> Job:
    return world.app.jobs.move(ADMIN, [study], world.server(source), world.server(to), confirm_production=True)


def moved_as_listed(world: Guarded, study: str, source: str, to: str) -> Job:
    rows = [ListedStudy(1, study_instance_uid=study)]
    return world.app.jobs.move(ADMIN, rows, world.server(source), world.server(to), confirm_production=True)


def got_then_sent(world: Guarded, study: str, source: str, to: str) -> None:
    if not world.app.local_archive.instances(study):
        world.app.transfers.get(ADMIN, study, world.server(source))
    sent(world, study, source, to)


def received_then_sent(world: Guarded, study: str, source: str, to: str) -> None:
    if not world.app.local_archive.instances(study):
        received(world, source, world.archive(source), study)
    sent(world, study, source, to)


def imported_then_sent(world: Guarded, study: str, source: str, to: str) -> None:
    world.app.importing.take(ADMIN, [world.site.folder / "file"])
    sent(world, study, source, to)


def fixed(world: Guarded, study: str, source: str, to: str) -> Job:
    ends = world.server(source), world.server(to)
    compared = world.done(world.app.compare_jobs.submit(ADMIN, *ends, StudyFilter(study_instance_uid=study)))
    return world.app.compare_jobs.fix(ADMIN, compared.id, ends[1], confirm_production=True)


def _scheduled(world: Guarded, kind: JobKind, ends: dict[str, str], study: str) -> Job:
    wanted = {"studies": [study], "confirm_production": True, **ends}
    return world.app.schedules.run(ADMIN, world.app.schedules.add(ADMIN, kind, wanted, cron="0 2 * * *").id)


def sent_by_schedule(world: Guarded, study: str, _source: str, to: str) -> Job:
    return _scheduled(world, JobKind.SEND, {"destination": to}, study)


def moved_by_schedule(world: Guarded, study: str, source: str, to: str) -> Job:
    return _scheduled(world, JobKind.MOVE, {"source": source, "destination": to}, study)


#: Ways that begin at a server, and ways that begin with a study in the local store.
REMOTE = (moved, moved_as_job, moved_as_listed, got_then_sent, received_then_sent, fixed, moved_by_schedule)
LOCAL = (sent, sent_as_job, imported_then_sent, sent_by_schedule)
QUICK = (moved, moved_as_job, received_then_sent, sent, sent_as_job, imported_then_sent)


def reason(world: Guarded, way: Callable[[Guarded, str, str, str], Job | None], study: str, *ends: str) -> str:
    """Why it was refused; blank if it was not."""
    try:
        job = way(world, study, *ends)
    except AccessDenied as error:
        return str(error)
    if job is None:
        return ""
    ended = world.done(job)
    items = [item.detail.get("error") for item in world.app.jobs.every_item(ADMIN, job.id)]
    return str([ended.error, items]) if ended.error or any(items) else ""


@pytest.mark.parametrize(
    "way",
    [way if way in QUICK else pytest.param(way, marks=pytest.mark.full) for way in (*REMOTE, *LOCAL)],
    ids=lambda way: way.__name__,
)
@pytest.mark.parametrize("direction", ["real into test", "synthetic to production"])
def test_every_way_is_refused_with_its_reason_and_open_when_the_entry_allows_it(
    world: Guarded, way: Callable[[Guarded, str, str, str], Job | None], direction: str
) -> None:
    is_real = direction == "real into test"
    source, to, setting = ("theirs", "test", "allow_real") if is_real else ("other", "prod", "allow_synthetic")
    study = _placed(world, way, source) if is_real else _made(world, source)
    said = reason(world, way, study, source, to)
    assert f"{setting} is off" in said
    assert world.held(to, study) == 0
    world.edit(to, **{setting: True})
    assert reason(world, way, study, source, to) == ""
    assert world.held(to, study) == (1 if is_real else 3)


def _placed(world: Guarded, way: object, source: str) -> str:
    """A patient's study where the way begins."""
    world.real(world.archive(source))
    (folder := world.site.folder / "file").mkdir()
    world.real_file(folder)
    if way in (sent, sent_as_job, sent_by_schedule):
        world.real(world.app.local_archive)
    return REAL


def _made(world: Guarded, source: str) -> str:
    """A fabricated study in the local store, on the source, and as files."""
    study = world.synthetic()
    world.copy(study, source)
    (folder := world.site.folder / "file").mkdir()
    for number, one in enumerate(world.app.local_archive.instances(study)):
        (folder / f"{number}.dcm").write_bytes(one.path.read_bytes())
    return study


def test_what_came_from_production_stays_production_for_those_of_test(world: Guarded) -> None:
    """Got, received or imported: a role of test neither sees it nor sends it, wherever the entry allows real data."""
    world.edit("test", allow_real=True)
    world.real(world.archive("theirs"))
    world.app.transfers.get(ADMIN, REAL, world.server("theirs"))
    with pytest.raises(AccessDenied, match="may not export in prod"):
        world.app.transfers.send(actor(Role.TEST_WRITE), REAL, world.server("test"))
    with pytest.raises(AccessDenied, match="may not store in prod"):
        world.app.transfers.move(actor(Role.TEST_WRITE), REAL, world.server("theirs"), world.server("test"), "TEST")
    assert world.held("test", REAL) == 0


class _Defects:
    """The mark that the guard's hook reads: of a study that was fabricated to be wrong."""

    def __init__(self, *studies: str) -> None:
        self.studies = set(studies)

    def __call__(self, study_instance_uid: str) -> bool:
        return study_instance_uid in self.studies


@pytest.mark.parametrize("way", [sent, sent_as_job, moved, moved_as_job, fixed, sent_by_schedule, moved_by_schedule])
def test_a_declared_defect_never_reaches_production_outside_the_lab_whatever_its_entry_allows(
    world: Guarded, way: Callable[[Guarded, str, str, str], Job | None]
) -> None:
    study = _made(world, "other")
    world.edit("prod", allow_synthetic=True, allow_real=True)
    world.app.provenance.has_defect = _Defects(study)
    assert "declared defect" in reason(world, way, study, "other", "prod")
    assert world.held("prod", study) == 0
    world.app.provenance.is_in_lab = lambda server: server.id == "prod"
    assert reason(world, way, study, "other", "prod") == ""
    assert world.held("prod", study) == 3


def test_a_defect_that_is_declared_while_the_job_waits_counts(world: Guarded) -> None:
    study = _made(world, "other")
    world.edit("prod", allow_synthetic=True)
    jobs = [way(world, study, "other", "prod") for way in (sent_as_job, moved_as_job)]
    world.app.provenance.has_defect = _Defects(study)
    for job in jobs:
        ended = world.done(job)
        items = [item.detail for item in world.app.jobs.every_item(ADMIN, job.id)]
        assert "declared defect" in str([ended.error, items])
    assert world.held("prod", study) == 0


def test_moving_wants_a_role_and_a_yes_at_either_end(world: Guarded) -> None:
    study = _made(world, "other")
    world.edit("prod", allow_synthetic=True)
    ends = world.server("other"), world.server("prod")
    for who, confirmed in ((ADMIN, False), (actor(Role.TEST_WRITE), True), (actor(Role.PROD_WRITE), True)):
        with pytest.raises(DicomFabError, match=r"production server|may not store"):
            world.app.transfers.move(who, study, *ends, "PROD", confirm_production=confirmed)
        with pytest.raises(DicomFabError, match=r"production server|may not store"):
            world.app.jobs.move(who, [study], *ends, confirm_production=confirmed)
    assert world.held("prod", study) == 0
