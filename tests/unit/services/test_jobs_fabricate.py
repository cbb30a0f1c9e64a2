"""Fabricate jobs: each study whole or not at all, the same bytes whenever and however often the job is begun."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dicomfab.fabricate.unfinished import MARKER
from dicomfab.model.errors import LocalFailure
from dicomfab.model.job import ItemState, Job, JobEvent, JobKind, JobState
from dicomfab.services.jobs.fabricate import FabricateExecutor
from dicomfab.services.jobs.send_after import then_send
from dicomfab.services.jobs.service import JobService
from dicomfab.services.progress import Progress
from dicomfab.storage.jobs import JobFilter
from tests.unit.services.hospital import ADMIN
from tests.unit.services.job_office import STORE, Office, cards, picky


def resolved(office: Office, *counts: int) -> list[Any]:
    return [
        office.site.studies.resolve_recipe(ADMIN, cards(count, seed=seed)) for seed, count in enumerate(counts, start=1)
    ]


def test_studies_are_made_into_the_local_store(office: Office) -> None:
    studies = resolved(office, 2, 3)
    job_id = office.fabricate(studies)
    assert office.run(job_id).state is JobState.SUCCEEDED
    assert office.checked(job_id).counts.done == 2
    assert [len(office.site.held("local", one.study_instance_uid)) for one in studies] == [2, 3]
    made = office.items(job_id)[1].detail
    assert (made["instances"], made["study_instance_uid"]) == (3, studies[1].study_instance_uid)
    assert made["size_bytes"] == sum(i.size_bytes for i in office.site.local.instances(studies[1].study_instance_uid))


def test_a_study_is_begun_again_when_its_worker_was_lost(office: Office) -> None:
    studies = resolved(office, 2)
    job_id = office.fabricate(studies)
    _, claim = office.queue.claim("lost", store_id=STORE, limit=lambda _: 1) or pytest.fail("no job")
    office.queue.advance(claim, [], begin=[1])
    office.site.studies.create(ADMIN, studies[0])  # it was made, and nobody could note it any more
    office.pass_s(60)
    assert office.run(job_id).state is JobState.SUCCEEDED
    assert (office.checked(job_id).counts.done, office.items(job_id)[0].resent) == (1, 1)
    assert len(office.site.held("local", studies[0].study_instance_uid)) == 2


def test_cancelling_keeps_whole_studies_only(office: Office) -> None:
    studies = resolved(office, 1, 4)
    job_id = office.fabricate(studies)
    seen: list[Progress] = []
    job = office.run(job_id, on_progress=seen.append, cancelled=lambda: any(p.total == 4 for p in seen))
    assert (job.state, [item.state for item in office.items(job_id)]) == (
        JobState.CANCELLED,
        [ItemState.DONE, ItemState.PENDING],
    )
    assert not office.site.held("local", studies[1].study_instance_uid)
    assert office.retried(job_id).state is JobState.SUCCEEDED
    assert len(office.site.held("local", studies[1].study_instance_uid)) == 4


@pytest.mark.parametrize("count", [1, 2])
def test_files_go_into_one_folder_or_one_for_each_study(office: Office, tmp_path: Path, count: int) -> None:
    studies, out = resolved(office, *[2] * count), tmp_path / "out"
    assert office.run(office.fabricate(studies, out=out)).state is JobState.SUCCEEDED
    folders = [out] if count == 1 else [out / one.study_instance_uid for one in studies]
    assert [len(list(folder.glob("*.dcm"))) for folder in folders] == [2] * count


def test_a_folder_is_gone_on_with(office: Office, tmp_path: Path) -> None:
    studies, out = resolved(office, 5), tmp_path / "out"
    job_id = office.fabricate(studies, out=out)
    seen: list[Progress] = []
    job = office.run(job_id, on_progress=seen.append, cancelled=lambda: any(p.done == 3 for p in seen))
    assert job.state is JobState.CANCELLED
    before = {path: path.stat().st_ino for path in out.glob("*.dcm")}
    assert len(before) == 3
    assert office.retried(job_id).state is JobState.SUCCEEDED
    after = {path: path.stat().st_ino for path in out.glob("*.dcm")}
    assert len(after) == 5
    assert before.items() <= after.items()


@pytest.mark.parametrize("left", ["complete", "only the folder", "nothing"])
def test_a_folder_that_was_left_by_a_worker_that_is_gone(office: Office, tmp_path: Path, left: str) -> None:
    studies, out = resolved(office, 3), tmp_path / "out"
    job_id = office.fabricate(studies, out=out)
    _, claim = office.queue.claim("lost", store_id=STORE, limit=lambda _: 1) or pytest.fail("no job")
    office.queue.advance(claim, [], begin=[1])
    if left == "complete":
        office.site.studies.write_files(ADMIN, studies[0], out)
    elif left == "only the folder":
        out.mkdir()
    office.pass_s(60)
    job = office.run(job_id)
    assert job.state is JobState.SUCCEEDED
    assert len(list(out.glob("*.dcm"))) == 3
    assert not (out / MARKER).exists()


def test_a_folder_of_somebody_else_fails_that_study_and_leaves_it_alone(office: Office, tmp_path: Path) -> None:
    studies, out = resolved(office, 2, 2), tmp_path / "out"
    taken = out / studies[0].study_instance_uid
    office.site.studies.write_files(ADMIN, resolved(office, 1, 1, 2)[2], taken)
    before = {path.name: path.read_bytes() for path in taken.iterdir()}
    job_id = office.fabricate(studies, out=out)
    for _ in range(2):
        job = office.run(job_id)
        assert (job.state, job.counts.done, job.counts.failed) == (JobState.FAILED, 1, 1)
        assert "exists already" in job.error["what"]
        assert {path.name: path.read_bytes() for path in taken.iterdir()} == before
        office.ledger.ask(job_id, JobEvent.RETRY)


def test_a_worker_that_ends_hands_a_study_over(office: Office) -> None:
    studies, worker = resolved(office, 6), office.worker()
    job_id = office.fabricate(studies)
    seen: list[Progress] = []

    def stop_at_two(progress: Progress) -> None:
        seen.append(progress)
        if progress.done == 2:
            worker.stop()

    assert worker.run_one(job_id, on_progress=stop_at_two)
    job = office.checked(job_id)
    assert (job.state, job.counts.open, office.items(job_id)[0].state) == (JobState.QUEUED, 1, ItemState.PENDING)
    assert office.run(job_id).counts.done == 1
    assert office.ledger.find(job_id).counts.resent == 0


def sends(office: Office) -> list[Job]:
    """The jobs that send, the oldest first."""
    return list(office.ledger.page(JobFilter(kinds=frozenset({JobKind.SEND}))).jobs[::-1])


def test_what_only_a_retry_made_is_sent_and_nothing_twice(office: Office) -> None:
    _, server = picky(office)
    jobs = JobService(
        office.ledger, office.site.local, lambda: STORE, lambda: office.registry, office.now, lambda _: []
    )
    asked: list[str] = []

    def note(study: str) -> None:
        asked.append(study)
        if len(asked) == 2:
            raise LocalFailure("it cannot be noted now")

    unlucky = replace(office.site.studies, note_study=note)
    office.executors[JobKind.FABRICATE] = FabricateExecutor(unlucky, jobs.send_made)
    studies = resolved(office, 1, 2)
    first, second = (one.study_instance_uid for one in studies)
    job_id = office.fabricate(studies, then=then_send(ADMIN, server))
    assert office.run(job_id).state is JobState.FAILED
    assert [{item.label for item in office.items(one.id)} for one in sends(office)] == [{first}]

    again = office.retried(job_id)
    assert again.state is JobState.SUCCEEDED
    assert [{item.label for item in office.items(one.id)} for one in sends(office)] == [{first}, {second}]
    assert again.report["sent_by"] == sends(office)[1].id
    # Whoever does the job again, since its end was not noted, submits no third one.
    assert jobs.send_made(again, ADMIN, [first, second]).id == sends(office)[1].id
    assert len(sends(office)) == 2
