"""Jobs from Python: submitted here, done by a worker process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import dicomfab
from dicomfab.app import workers
from dicomfab.model.errors import NotFound
from dicomfab.model.job import ItemState, JobKind, JobState
from tests.unit.services.hospital import hospital
from tests.unit.test_api import add


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Workers end soon after they have nothing to do, and have ended when the test has."""
    monkeypatch.setenv("DICOMFAB_WORKER_IDLE_S", "0.5")
    yield
    for child in workers._CHILDREN:
        assert child.wait(60) == 0


@pytest.mark.usefixtures("busy")
def test_a_worker_makes_sends_moves_and_fetches(tmp_path: Path) -> None:
    with hospital(tmp_path / "hospital") as site, dicomfab.connect(tmp_path / "home") as lab:
        add(lab, site, "ONE")
        add(lab, site, "TWO")
        lab.application.pacs.set_routes(lab.actor, "one", {"two": "TWO"})
        made = lab.jobs.wait(lab.jobs.fabricate("text-card:2", count=2, seed=3).id, timeout_s=60)
        assert (made.state, made.counts.done) == (JobState.SUCCEEDED, 2)
        studies = [summary.study_instance_uid for summary in lab.studies()]
        assert [item.state for item in lab.jobs.items(made.id)] == [ItemState.DONE] * 2

        for submit in (
            lambda: lab.jobs.send(*studies, to="one"),
            lambda: lab.jobs.move(*studies, source="one", to="two"),
            lambda: lab.jobs.get(studies[0], source="two", priority=2),
        ):
            ended = lab.jobs.wait(submit().id, timeout_s=60)
            assert (ended.state, ended.report.get("verdict"), ended.error) == (JobState.SUCCEEDED, "verified", {})
        assert [job.kind for job in lab.jobs.list()] == [
            JobKind.GET,
            JobKind.MOVE,
            JobKind.SEND,
            JobKind.FABRICATE,
        ]
        assert [job.id for job in lab.jobs.list(JobState.SUCCEEDED, kind=JobKind.SEND)] == [made.id + 1]
        assert lab.jobs.list(JobState.FAILED) == ()


def test_waiting_may_be_given_up_and_the_job_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICOMFAB_WORKER_IDLE_S", "0")  # nobody does it
    with dicomfab.connect(tmp_path) as lab:
        job = lab.jobs.fabricate("text-card:2")
        with pytest.raises(TimeoutError, match="queued after 0 s"):
            lab.jobs.wait(job.id, timeout_s=0)
        assert lab.jobs.cancel(job.id).state is JobState.CANCELLED
        assert lab.jobs.wait(job.id).state is JobState.CANCELLED
        assert lab.jobs.retry(job.id).state is JobState.QUEUED
        with pytest.raises(NotFound):
            lab.jobs.show(99)
