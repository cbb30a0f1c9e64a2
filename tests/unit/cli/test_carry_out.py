"""A command that does its own job, and a worker: how they end, and that the job can be gone on with."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from dicomfab.model.job import JobState
from dicomfab.storage.jobs import JobFilter
from tests.peers.job_trials import ACTOR, Laboratory, fill, laboratory
from tests.unit.services.job_office import Gate, until

COUNT = 60


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Laboratory]:
    with laboratory(tmp_path, crew=0) as made:
        yield made


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    out, _ = process.communicate(timeout=120)
    return process.returncode, out.decode()


def run(lab: Laboratory, *words: str) -> tuple[int, str]:
    return ended(lab.start(*words, stdout=subprocess.PIPE))


def work(lab: Laboratory) -> None:
    """Have a worker do what there is to do."""
    assert run(lab, "worker", "--idle-exit", "0.1")[0] == 0


@pytest.mark.full
def test_a_worker_ends_when_its_database_is_removed(lab: Laboratory) -> None:
    database = lab.application.database.place
    assert isinstance(database, Path)
    working = lab.start("worker", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert working.stdout is not None
    assert b"does jobs" in working.stdout.readline()
    long_ago = lab.application.database.now() - timedelta(minutes=1)
    until(lambda: lab.application.job_queue.workers(long_ago))
    database.unlink()
    _, said = working.communicate(timeout=120)
    assert working.returncode == 1
    assert b"was removed or replaced while this worker used it" in said


def only_job(lab: Laboratory):  # type: ignore[no-untyped-def]
    (job,) = lab.application.jobs.page(ACTOR, JobFilter()).jobs
    return job


def test_ctrl_c_cancels_in_good_order_and_a_retry_goes_on(lab: Laboratory) -> None:
    (study,) = fill(lab.application.local_archive, studies=1, each=COUNT, root=1)
    lab.handlers.on_store = gate = Gate(20)
    sending = lab.start("send", study, "--to", "target", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    gate.wait()
    sending.send_signal(signal.SIGINT)
    assert sending.stderr is not None
    while b"Stopping before the next instance" not in sending.stderr.readline():
        pass
    gate.opened.set()
    code, out = ended(sending)
    job = only_job(lab)
    assert (code, job.state) == (130, JobState.CANCELLED)
    assert 20 <= job.counts.done == len(lab.handlers.received) <= 21
    assert f"dicomfab jobs retry {job.id}" in out
    lab.handlers.received.clear()
    assert run(lab, "jobs", "retry", str(job.id))[0] == 0
    work(lab)
    again = only_job(lab)
    assert (again.state, again.counts.done, again.counts.resent) == (JobState.SUCCEEDED, COUNT, 0)
    assert len(lab.handlers.received) == COUNT - job.counts.done


def test_a_worker_that_is_terminated_hands_its_job_over_at_once(lab: Laboratory) -> None:
    (study,) = fill(lab.application.local_archive, studies=1, each=COUNT, root=1)
    lab.handlers.on_store = gate = Gate(20)
    job_id = lab.send([study]).id
    worker = lab.start("worker", stdout=subprocess.PIPE)
    gate.wait()
    worker.terminate()
    gate.opened.set()
    assert ended(worker)[0] == 0
    job = only_job(lab)
    assert (job.id, job.state, job.attempts) == (job_id, JobState.QUEUED, 0)
    assert not lab.application.jobs.workers()
    work(lab)
    job = only_job(lab)
    assert (job.state, job.counts.done, job.counts.resent) == (JobState.SUCCEEDED, COUNT, 0)


def test_a_command_goes_on_with_its_job_when_the_worker_that_took_it_is_killed(lab: Laboratory) -> None:
    (study,) = fill(lab.application.local_archive, studies=1, each=COUNT, root=1)
    lab.handlers.on_store = gate = Gate(20)
    worker = lab.start("worker", stdout=subprocess.DEVNULL)
    until(lab.application.jobs.workers)
    lab.application.registry.change(lambda registry: registry.edit("target", {"max_associations": 1}))
    other = lab.send([study])  # the command's own has to wait for it
    gate.wait()
    sending = lab.start("send", study, "--to", "target", "--json", stdout=subprocess.PIPE)
    until(lambda: lab.application.jobs.page(ACTOR, JobFilter()).total == 2)
    worker.kill()
    worker.wait()
    gate.opened.set()
    code, out = ended(sending)
    assert (code, json.loads(out)["verdict"]["kind"]) == (0, "verified")
    work(lab)
    assert lab.application.jobs.show(ACTOR, other.id).state is JobState.SUCCEEDED


def test_success_with_no_suboperations_is_no_success(lab: Laboratory) -> None:
    (study,) = fill(lab.source_archive, studies=1, each=3, root=2)
    lab.by_title["SOURCE"].select = lambda *_: []  # type: ignore[method-assign]
    code, out = run(lab, "move", study, "--from", "source", "--to", "target", "--verify-wait", "0", "--json")
    said = json.loads(out)
    assert (code, said["verdict"]["kind"], said["suboperations"]["completed"]) == (6, "mismatch", 0)
    job = only_job(lab)
    assert (job.state, job.counts.failed, job.error["error"]) == (JobState.FAILED, 1, "TransferIncomplete")
