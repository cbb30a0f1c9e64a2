"""Tasks on threads: watched, cancelled, and never lost in silence."""

from __future__ import annotations

import threading

import pytest

from dicomfab.model.actor import local_admin
from dicomfab.model.errors import LocalFailure, NotFound
from dicomfab.services.progress import Cancelled, OnProgress, Progress
from dicomfab.services.tasks import TaskRunner, TaskState

ANNA = local_admin("anna", "web")
BEN = local_admin("ben", "web")


def test_a_watcher_sees_progress_and_the_result() -> None:
    go = threading.Event()

    def work(report: OnProgress, _cancelled: Cancelled) -> str:
        report(Progress("sending", 1, 2))
        assert go.wait(10)
        report(Progress("sending", 2, 2))
        return "done"

    runner = TaskRunner()
    task = runner.start(ANNA, "send", work)
    states = []
    for status in runner.watch(ANNA, task.id, beat_s=10):
        states.append(status)
        if status.progress and status.progress.done == 1:
            go.set()
    assert states[-1].state is TaskState.DONE
    assert states[-1].result == "done"
    assert states[-1].progress == Progress("sending", 2, 2)
    assert [s.version for s in states] == sorted({s.version for s in states})


def test_a_failure_is_handed_over() -> None:
    def work(_report: OnProgress, _cancelled: Cancelled) -> None:
        raise LocalFailure("disk full")

    runner = TaskRunner()
    last = list(runner.watch(ANNA, runner.start(ANNA, "x", work).id))[-1]
    assert last.state is TaskState.FAILED
    assert last.error is not None
    assert last.error.what == "disk full"


def test_a_fault_of_ours_ends_the_task_too(caplog: pytest.LogCaptureFixture) -> None:
    def work(_report: OnProgress, _cancelled: Cancelled) -> None:
        raise ZeroDivisionError

    runner = TaskRunner()
    last = list(runner.watch(ANNA, runner.start(ANNA, "x", work).id))[-1]
    assert last.state is TaskState.FAILED
    assert isinstance(last.error, LocalFailure)
    assert "ZeroDivisionError" in caplog.text


def test_cancel_and_shutdown_stop_the_work() -> None:
    def work(_report: OnProgress, cancelled: Cancelled) -> str:
        while not cancelled():
            threading.Event().wait(0.001)
        return "stopped"

    runner = TaskRunner()
    first = runner.start(ANNA, "first", work)
    assert runner.cancel(ANNA, first.id).cancelling
    assert list(runner.watch(ANNA, first.id))[-1].result == "stopped"
    second = runner.start(ANNA, "second", work)
    runner.shutdown()
    assert runner.status(ANNA, second.id).state is TaskState.DONE


def test_shutdown_does_not_wait_for_ever_for_a_silent_peer(caplog: pytest.LogCaptureFixture) -> None:
    release, runner = threading.Event(), TaskRunner()
    task = runner.start(ANNA, "stuck", lambda _report, _cancelled: release.wait(30))
    runner.shutdown(wait_s=0.05)
    assert runner.status(ANNA, task.id).state is TaskState.RUNNING
    assert "did not stop" in caplog.text
    release.set()
    assert list(runner.watch(ANNA, task.id))[-1].state is TaskState.DONE


def test_the_list_is_the_actors_own_and_newest_first() -> None:
    runner = TaskRunner()
    for who, title in ((ANNA, "one"), (BEN, "two"), (ANNA, "three")):
        runner.start(who, title, lambda _report, _cancelled: None)
    assert [status.title for status in runner.list(ANNA)] == ["three", "one"]
    runner.shutdown()


def test_a_task_belongs_to_who_started_it() -> None:
    runner = TaskRunner()
    task = runner.start(ANNA, "x", lambda _report, _cancelled: None)
    with pytest.raises(NotFound):
        runner.status(BEN, task.id)
    runner.shutdown()
