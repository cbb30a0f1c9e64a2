"""``dicomfab jobs`` and ``dicomfab schedule``, and the exit codes by which a script goes on."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from dicomfab.app import workers
from dicomfab.app.build import Application
from dicomfab.app.job_words import NO_WORKER
from dicomfab.app.settings import Settings
from dicomfab.cli.session import actor
from dicomfab.model.job import JobState
from dicomfab.storage.jobs import JobFilter
from tests.unit.dimse import raw
from tests.unit.services.test_query_answers import answers_with

Run = Callable[..., SimpleNamespace]


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker is started: what is submitted waits."""
    monkeypatch.setenv("DICOMFAB_WORKER_IDLE_S", "0")


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A worker is started when one is needed, and has ended when the test has."""
    monkeypatch.setenv("DICOMFAB_WORKER_IDLE_S", "0.5")
    yield
    for child in workers._CHILDREN:
        assert child.wait(60) == 0


def printed(result: SimpleNamespace) -> object:
    assert (result.code, result.err) == (0, "")
    return json.loads(result.out)


def cards(dicomfab: Run, *more: str) -> int:
    """A job that waits for a worker; gives its number."""
    return printed(dicomfab("study", "create", "--kind", "text-card:2", "--detach", "--json", *more))["id"]  # type: ignore[index]


def unreachable(dicomfab: Run) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = str(bound.getsockname()[1])
    options = ("--host", "127.0.0.1", "--port", port, "--aec", "AWAY", "--environment", "test")
    assert dicomfab("pacs", "add", "--id", "away", "--name", "away", *options).code == 0


@pytest.mark.usefixtures("idle")
class TestJobs:
    def test_there_are_none_yet(self, dicomfab: Run) -> None:
        assert "No jobs yet" in dicomfab("jobs", "list").out
        assert printed(dicomfab("jobs", "list", "--json")) == {"total": 0, "jobs": []}
        assert "No such jobs" in dicomfab("jobs", "list", "--state", "failed").out

    def test_a_study_left_to_a_worker_is_a_job_and_not_yet_a_study(self, dicomfab: Run) -> None:
        said = dicomfab("study", "create", "--kind", "text-card:2", "--count", "3", "--detach")
        assert (said.code, said.out.splitlines()[1]) == (0, "Watch it: dicomfab jobs watch 1")
        assert printed(dicomfab("study", "list", "--json"))["total"] == 0  # type: ignore[index]
        (job,) = printed(dicomfab("jobs", "list", "--json"))["jobs"]  # type: ignore[index]
        assert (job["kind"], job["state"], job["items"], job["priority"]) == ("fabricate", "queued", 3, 5)

    def test_where_lesions_will_be_and_files_elsewhere(self, dicomfab: Run, tmp_path: Path) -> None:
        words = ("--truth", str(tmp_path / "truth.json"), "--out", str(tmp_path / "out"))
        job = cards(dicomfab, *words)
        assert len(json.loads((tmp_path / "truth.json").read_text("utf-8"))["studies"]) == 1
        assert not (tmp_path / "out").exists()
        with closing(Application(Settings(tmp_path / "home"))) as built:
            assert built.worker.run_one(job)
        assert len(list((tmp_path / "out").rglob("*.dcm"))) == 2

    @pytest.mark.parametrize("option", [("--resume", "--out", "x"), ("--workers", "2")])
    def test_what_only_works_here_and_now_is_not_left_to_a_worker(self, dicomfab: Run, option: tuple[str, ...]) -> None:
        assert dicomfab("study", "create", "--detach", *option).code == 2
        assert printed(dicomfab("jobs", "list", "--json"))["total"] == 0  # type: ignore[index]

    def test_lists_those_that_are_wanted(self, dicomfab: Run) -> None:
        first, second = cards(dicomfab), cards(dicomfab, "--count", "2")
        dicomfab("jobs", "cancel", str(second))

        def ids(*words: str) -> list[int]:
            return [job["id"] for job in printed(dicomfab("jobs", "list", "--json", *words))["jobs"]]  # type: ignore[index]

        assert ids() == [second, first]
        assert ids("--state", "cancelled") == [second]
        assert ids("--state", "cancelled", "--state", "queued", "--limit", "1", "--offset", "1") == [first]
        assert ids("--kind", "send") == []
        assert ids("--owner", "nobody") == []
        assert ids("--search", "2 STUDIES") == [second]
        unreachable(dicomfab)
        assert ids("--server", "away") == []
        assert dicomfab("jobs", "list", "--server", "nowhere").code == 3

    def test_says_that_nobody_does_what_waits(self, dicomfab: Run) -> None:
        job = cards(dicomfab)
        assert NO_WORKER in dicomfab("jobs", "list").out
        assert f"dicomfab jobs watch {job}" in dicomfab("jobs", "show", str(job)).out
        assert NO_WORKER in dicomfab("jobs", "workers").out
        assert printed(dicomfab("jobs", "workers", "--json")) == []

    def test_shows_items(self, dicomfab: Run) -> None:
        job = str(cards(dicomfab, "--count", "3"))
        assert printed(dicomfab("jobs", "show", job, "--json"))["listed_items"] == []  # type: ignore[index]
        listed = printed(dicomfab("jobs", "show", job, "--items", "--limit", "2", "--offset", "1", "--json"))
        assert [item["number"] for item in listed["listed_items"]] == [2, 3]  # type: ignore[index]
        done = printed(dicomfab("jobs", "show", job, "--state", "done", "--json"))
        assert done["listed_items"] == []  # type: ignore[index]
        assert "pending" in dicomfab("jobs", "show", job, "--items").out
        assert dicomfab("jobs", "show", "99").code == 3

    def test_a_transfer_that_failed_is_shown_with_cause_and_remedy(self, dicomfab: Run) -> None:
        unreachable(dicomfab)
        dicomfab("study", "create", "--kind", "text-card:2", "--accession", "A1")
        assert dicomfab("study", "send", "A1", "--to", "away").code == 4
        shown = dicomfab("jobs", "show", "1")
        assert shown.code == 0
        assert "Likely cause" in shown.out
        assert "What to do" in shown.out
        assert dicomfab("jobs", "watch", "1").code == 4
        line = json.loads(dicomfab("jobs", "watch", "1", "--json").out)
        assert (line["state"], line["error"]["error"]) == ("failed", "ConnectionFailed")

    def test_pausing_resuming_preferring_cancelling(self, dicomfab: Run) -> None:
        job = str(cards(dicomfab))
        for words, key, value in (
            (("pause", job), "state", "paused"),
            (("prefer", job, "2"), "priority", 2),
            (("resume", job), "state", "queued"),
            (("cancel", job), "state", "cancelled"),
            (("retry", job), "state", "queued"),
        ):
            assert printed(dicomfab("jobs", *words, "--json"))[key] == value  # type: ignore[index]
        assert dicomfab("jobs", "resume", job).code == 2
        assert dicomfab("jobs", "prefer", job, "10").code == 2

    def test_a_warning_ends_a_search_in_the_same_way_whoever_did_it(self, dicomfab: Run, tmp_path: Path) -> None:
        with raw.peer(answers_with(0xB000)) as peer:
            options = ("--host", "127.0.0.1", "--port", str(peer.port), "--aec", "WARNS", "--environment", "test")
            assert dicomfab("pacs", "add", "--name", "warns", *options).code == 0
            assert dicomfab("query").code == 9
            job = str(printed(dicomfab("query", "--detach", "--json"))["id"])
            with closing(Application(Settings(tmp_path / "home"))) as built:
                assert built.worker.run_one(int(job))
        assert dicomfab("jobs", "watch", job).code == 9

    def test_a_cancelled_job_ends_its_watching_as_stopped(self, dicomfab: Run) -> None:
        job = str(cards(dicomfab))
        dicomfab("jobs", "cancel", job)
        assert dicomfab("jobs", "watch", job).code == 130

    def test_ended_jobs_are_forgotten_when_that_is_confirmed(self, dicomfab: Run) -> None:
        job = str(cards(dicomfab))
        dicomfab("jobs", "cancel", job)
        assert dicomfab("jobs", "forget", "--older-than", "0").code == 5
        assert printed(dicomfab("jobs", "forget", "--yes", "--json")) == {"forgotten": 0}
        assert printed(dicomfab("jobs", "forget", "--older-than", "0", "--yes", "--json")) == {"forgotten": 1}
        assert dicomfab("jobs", "show", job).code == 3

    def test_ctrl_c_ends_the_watching_and_not_the_job(self, dicomfab: Run) -> None:
        job = str(cards(dicomfab))
        dicomfab("jobs", "pause", job)
        command = [sys.executable, "-m", "dicomfab", "jobs", "watch", job]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as watching:
            assert watching.stdout is not None
            assert "paused" in watching.stdout.readline()
            watching.send_signal(signal.SIGINT)
            assert f"job {job} goes on" in watching.stdout.read()
        assert watching.returncode == 130
        assert printed(dicomfab("jobs", "show", job, "--json"))["state"] == "paused"  # type: ignore[index]


@pytest.mark.usefixtures("busy")
class TestWatching:
    def test_starts_a_worker_and_ends_with_the_job(self, dicomfab: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as nobody:
            nobody.setenv("DICOMFAB_WORKER_IDLE_S", "0")
            job = str(cards(dicomfab, "--count", "2"))
        watched = dicomfab("jobs", "watch", job, "--json")
        lines = [json.loads(line) for line in watched.out.splitlines()]
        assert (watched.code, watched.err) == (0, "")
        assert (lines[0]["state"], lines[-1]["state"], lines[-1]["done"]) == ("queued", "succeeded", 2)
        assert len({json.dumps(line) for line in lines}) == len(lines)
        assert printed(dicomfab("study", "list", "--json"))["total"] == 2  # type: ignore[index]
        assert f"Job {job}: succeeded  2/2" in dicomfab("jobs", "watch", job).out


@pytest.mark.usefixtures("idle")
class TestSchedules:
    def add(self, dicomfab: Run, *more: str) -> dict[str, object]:
        words = ("--kind", "text-card:2", "--cron", "0 2  * * *", "--time-zone", "Europe/Berlin", "--json")
        return printed(dicomfab("schedule", "add", "fabricate", *words, *more))  # type: ignore[return-value]

    def test_one_is_added_listed_paused_resumed_run_and_removed(self, dicomfab: Run) -> None:
        assert "No schedules yet" in dicomfab("schedule", "list").out
        made = self.add(dicomfab, "--count", "3", "--title", "Night shift")
        assert (made["cron"], made["kind"], made["title"]) == ("0 2 * * *", "fabricate", "Night shift")
        assert printed(dicomfab("schedule", "list", "--json")) == [made]
        listed = dicomfab("schedule", "list").out
        assert " 02:00 " in listed
        assert NO_WORKER in listed
        assert printed(dicomfab("schedule", "pause", "1", "--json"))["next_at"] is None  # type: ignore[index]
        assert "paused" in dicomfab("schedule", "list").out
        assert printed(dicomfab("schedule", "resume", "1", "--json"))["next_at"] == made["next_at"]  # type: ignore[index]
        job = printed(dicomfab("schedule", "run", "1", "--json"))
        assert (job["items"], job["kind"]) == (3, "fabricate")  # type: ignore[index]
        assert printed(dicomfab("schedule", "remove", "1", "--json")) == {"removed": 1}
        assert dicomfab("schedule", "run", "1").code == 3

    def test_a_send_and_a_get_hold_servers_by_their_id(self, dicomfab: Run) -> None:
        unreachable(dicomfab)
        dicomfab("study", "create", "--kind", "text-card:2")
        words = ("--to", "away", "--cron", "*/5 8-17 * * 1-5", "--json")
        made = printed(dicomfab("schedule", "add", "send", "latest", *words))
        assert made["parameters"]["destination"] == "away"  # type: ignore[index]
        got = printed(dicomfab("schedule", "add", "get", "1.2.3", "--from", "away", "--cron", "0 3 * * *", "--json"))
        assert got["parameters"]["studies"] == ["1.2.3"]  # type: ignore[index]

    def test_a_recipe_in_a_file_may_go_away(self, dicomfab: Run, tmp_path: Path) -> None:
        file = tmp_path / "night.yaml"
        file.write_text("series: ['text-card:2']\n", "utf-8")
        words = ("--recipe", str(file), "--cron", "0 2 * * *")
        assert dicomfab("schedule", "add", "fabricate", *words).code == 0
        file.unlink()
        assert dicomfab("schedule", "run", "1").code == 0

    @pytest.mark.parametrize(
        "words",
        [
            ("fabricate", "--kind", "text-card", "--cron", "0 2 * *"),
            ("fabricate", "--cron", "0 2 * * *"),
            ("fabricate", "--kind", "text-card", "--recipe", "trauma-ct", "--cron", "0 2 * * *"),
            ("fabricate", "--kind", "text-card", "--cron", "0 2 * * *", "--time-zone", "Mars/Olympus"),
        ],
    )
    def test_what_cannot_be_used_is_refused(self, dicomfab: Run, words: tuple[str, ...]) -> None:
        assert dicomfab("schedule", "add", *words).code == 2
        assert printed(dicomfab("schedule", "list", "--json")) == []


@pytest.mark.usefixtures("idle")
def test_of_two_worker_processes_one_makes_the_job_that_a_schedule_missed(dicomfab: Run, tmp_path: Path) -> None:
    words = ("--kind", "text-card:2", "--cron", "0 0 1 * *")  # once a month: not twice in a test
    assert dicomfab("schedule", "add", "fabricate", *words).code == 0
    with closing(Application(Settings(tmp_path / "home", worker_idle_s=0))) as built:
        long_ago = built.jobs.now() - timedelta(days=100)
        built.schedules.schedules.enable(1, long_ago)
        command = [sys.executable, "-m", "dicomfab", "worker"]
        running = [subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ) for _ in range(2)]
        try:
            ends = time.monotonic() + 60
            while len(built.jobs.workers()) < 2 or not built.jobs.page(actor(), JobFilter()).total:
                assert time.monotonic() < ends
                time.sleep(0.05)
            *_, ended = built.jobs.watch(actor(), 1)
        finally:
            for process in running:
                process.terminate()
            codes = [process.wait(60) for process in running]
        assert (ended.state, ended.counts.done, ended.schedule) == (JobState.SUCCEEDED, 1, 1)
        assert built.jobs.page(actor(), JobFilter()).total == 1
        assert built.schedules.show(actor(), 1).next_at > built.jobs.now()
    assert codes == [0, 0]
