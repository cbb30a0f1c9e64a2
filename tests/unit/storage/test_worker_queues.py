"""A worker that takes jobs of certain queues only says so, and keeps no other from being started."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from dicomfab.app import workers
from dicomfab.app.build import build
from dicomfab.app.workers import ensure_worker
from dicomfab.model.job import JobState, WorkerInfo
from dicomfab.storage.job_queue import JobQueue
from tests.unit.services.hospital import ADMIN, CARDS
from tests.unit.services.job_office import until


def test_queues_are_kept_with_the_worker(database):
    now = datetime(2026, 5, 1, tzinfo=UTC)
    queue = JobQueue(database)
    some = WorkerInfo("a", "h", 1, "s", now, now, ("pacs:x", "local"))
    every = WorkerInfo("b", "h", 2, "s", now, now)
    for info in (some, every, some):
        queue.see(info)
    assert queue.workers(now - timedelta(seconds=1)) == [some, every]


def test_one_for_a_single_queue_keeps_no_automatic_worker_from_starting(database, share, monkeypatch):
    share(database)
    monkeypatch.setenv("DICOMFAB_WORKER_IDLE_S", "1")
    application = build()
    own = application.worker
    thread = threading.Thread(target=own.serve, kwargs={"threads": 1, "queues": ["pacs:x"]})
    thread.start()
    try:
        until(lambda: application.jobs.workers())
        assert [one.queues for one in application.jobs.workers()] == [("pacs:x",)]
        job = application.jobs.fabricate(ADMIN, [application.studies.resolve_recipe(ADMIN, CARDS)])
        assert ensure_worker(application)
        assert not ensure_worker(application)  # the one that was started takes all
        until(lambda: application.jobs.show(ADMIN, job.id).state.has_ended)
        done = application.jobs.show(ADMIN, job.id)
        assert done.state is JobState.SUCCEEDED
        assert done.worker != own.name
        (child,) = [one for one in workers._CHILDREN if str(one.pid) == done.worker.rpartition(":")[2]]
        assert child.wait(timeout=60) == 0
    finally:
        own.stop()
        thread.join(30)
        application.close()
