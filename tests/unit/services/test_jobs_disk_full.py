"""No space left on this machine: a job waits with a message, what is complete is kept, and it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomfab.model.errors import DiskFull
from dicomfab.model.job import ItemState, Job, JobEvent, JobState
from dicomfab.storage.database import Database
from dicomfab.storage.jobs import JobFilter, JobRepository
from tests.unit.services.hospital import ADMIN, Hospital, hospital
from tests.unit.services.job_office import Office, cards, picky
from tests.unit.small_disk import SmallDisk, small_disk
from tests.unit.storage.test_jobs import items, wanted

MB = 1 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "site" / "local", 24 * MB) as mounted:
        yield mounted


@pytest.fixture
def site(tmp_path: Path, disk: SmallDisk) -> Iterator[Hospital]:
    """A hospital whose local store is on the small disk."""
    with hospital(tmp_path / "site") as running:
        yield running


def waits_for_room(job: Job) -> None:
    assert (job.state, job.error["heading"], job.error["fault"]) == (JobState.PAUSED, "Disk full", "us")
    assert "make room" in job.error["remedy"]


def going_on(office: Office, job_id: int) -> Job:
    office.ledger.ask(job_id, JobEvent.RESUME)
    office.run(job_id)
    return office.checked(job_id)


@pytest.mark.parametrize("count", [3, 12])  # cards of 1 MB, in few transactions and in many
def test_a_get_waits_for_room_and_then_fetches_the_rest(office: Office, disk: SmallDisk, count: int) -> None:
    _, source = picky(office, "SOURCE")
    studies = [office.site.make(cards(size, seed=seed)) for seed, size in ((1, 1), (2, count))]
    for study in studies:
        office.site.transfers.send(ADMIN, study, source)
        office.site.local.delete_study(study)
    job_id = office.get(studies, source)
    disk.fill(leave_bytes=3 * MB)
    job = office.run(job_id)
    waits_for_room(job)
    assert [item.state for item in office.items(job_id)] == [ItemState.DONE, ItemState.PENDING]
    assert len(office.site.held("local", studies[1])) < count
    waits_for_room(going_on(office, job_id))  # there is still none
    disk.make_room()
    assert going_on(office, job_id).state is JobState.SUCCEEDED
    assert office.site.held("local", studies[1]) == office.site.held("SOURCE", studies[1])


def test_fabricating_into_the_store_waits_for_room(office: Office, disk: SmallDisk) -> None:
    resolved = [office.site.studies.resolve_recipe(ADMIN, cards(size, seed=seed)) for seed, size in ((1, 1), (2, 6))]
    office.site.local.patients()  # opened
    disk.fill(leave_bytes=4 * MB)
    job_id = office.fabricate(resolved)
    waits_for_room(office.run(job_id))
    assert [item.state for item in office.items(job_id)] == [ItemState.DONE, ItemState.PENDING]
    assert office.site.held("local", resolved[1].study_instance_uid) == set()
    assert disk.free_bytes > 2 * MB  # nothing half done takes up what is left
    disk.make_room()
    job = going_on(office, job_id)
    assert (job.state, job.counts.done) == (JobState.SUCCEEDED, 2)
    assert len(office.site.held("local", resolved[1].study_instance_uid)) == 6


@pytest.mark.parametrize("leave_bytes", [0, 4 * MB])
def test_fabricating_files_waits_for_room_and_goes_on_in_the_same_folder(
    office: Office, disk: SmallDisk, leave_bytes: int
) -> None:
    resolved = office.site.studies.resolve_recipe(ADMIN, cards(6))
    out = disk.folder / "out"
    disk.fill(leave_bytes=leave_bytes)
    job_id = office.fabricate([resolved], out=out)
    waits_for_room(office.run(job_id))
    before = {path: path.stat().st_ino for path in out.glob("*.dcm")}
    assert 0 <= len(before) < 6
    assert not list(out.glob(".*.part"))
    waits_for_room(going_on(office, job_id))
    disk.make_room()
    job = going_on(office, job_id)
    assert (job.state, job.counts.done) == (JobState.SUCCEEDED, 1)
    after = {path: path.stat().st_ino for path in out.glob("*.dcm")}
    assert len(after) == 6
    assert before.items() <= after.items()
    assert {path.name for path in out.iterdir()} == {path.name for path in after}


def test_a_full_disk_under_the_ledger_is_said_to_be_one(tmp_path: Path) -> None:
    with small_disk(tmp_path / "home", 2 * MB) as mounted:
        database = Database(mounted.folder / "dicomfab.sqlite3")
        try:
            ledger = JobRepository(database)
            ledger.page(JobFilter())
            mounted.fill()
            with pytest.raises(DiskFull):
                _submit_many(ledger)
            mounted.make_room()
            _submit(ledger)
        finally:
            database.close()


def _submit_many(ledger: JobRepository) -> None:
    for _ in range(200):
        _submit(ledger)


def _submit(ledger: JobRepository) -> None:
    ledger.submit(wanted(), items(500))
