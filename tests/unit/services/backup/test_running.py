"""Backups while other processes store, fabricate, rewrite and delete; and processes that are killed meanwhile.

What comes back is always an installation of one moment: after everything that was reported before the backup began, and
with nothing in the database that the archive does not bear out.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from dicomfab.model.job import JobState
from dicomfab.storage.jobs import JobFilter
from tests.unit.services.backup.world import ADMIN, check_archive, content, fill, installation

PATIENCE_S = 120.0


class Busy:
    """Processes at work on one home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.processes: list[subprocess.Popen[str]] = []
        self.done: dict[str, list[str]] = {}
        self._changed = threading.Condition()

    def start(self, what: str, run: int) -> None:
        command = [sys.executable, "-m", "tests.unit.services.backup.busy", str(self.home), what, str(run)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        threading.Thread(target=self._listen, args=(process.stdout,), daemon=True).start()

    def wait_for(self, **least: int) -> None:
        with self._changed:
            is_there = self._changed.wait_for(lambda: all(len(self.of(k)) >= n for k, n in least.items()), PATIENCE_S)
        assert is_there, {kind: len(uids) for kind, uids in self.done.items()}

    def of(self, kind: str) -> list[str]:
        return list(self.done.get(kind, ()))

    def end(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()

    def _listen(self, said: IO[str]) -> None:
        with said:
            for line in said:
                kind, _, uid = line.strip().partition(" ")
                with self._changed:
                    self.done.setdefault(kind, []).append(uid)
                    self._changed.notify_all()


@contextlib.contextmanager
def busy(home: Path) -> Iterator[Busy]:
    at_work = Busy(home)
    try:
        yield at_work
    finally:
        at_work.end()


def command(home: Path, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "DICOMFAB_HOME": str(home), "DICOMFAB_WORKER_IDLE_S": "0"}
    words = (sys.executable, "-m", "dicomfab", *words)
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(home: Path, *words: str) -> dict[str, Any]:
    """What a command says when it has done what it was to do."""
    running = command(home, *words, "--json")
    said, err = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 0, said + err
    return dict(json.loads(said))


def check(home: Path, stored: list[str], made: list[str]) -> None:
    """That an installation is whole, holds at least what was reported, and does not claim more than it holds."""
    instances = check_archive(home / "studies")
    assert set(stored) <= instances
    with contextlib.closing(sqlite3.connect(home / "dicomfab.sqlite3")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with installation(home) as restored:
        assert restored.audit.verify(ADMIN).broken is None
        jobs = restored._ledger.page(JobFilter(), limit=1000).jobs
        for job in jobs:
            if job.state is JobState.SUCCEEDED:
                (study,) = [item.key for item in restored._ledger.items(job.id)]
                assert restored.local_archive.has_study(study), "the database says that a study was made"
        assert all(restored.local_archive.has_study(study) for study in made)
        # What was under way goes on, when the lease of the worker that did it is over.
        restored.job_queue._now = lambda: restored.database.now() + datetime.timedelta(minutes=1)
        for job in jobs:
            if not job.state.has_ended:
                restored.worker.run_one(job.id)
        states = {job.state for job in restored._ledger.page(JobFilter(), limit=1000).jobs}
        assert states <= {JobState.SUCCEEDED}


def backed_up_while_busy(folder: Path, times: int, *kinds: str) -> None:
    home = folder / "home"
    with installation(home) as application:
        fill(application.local_archive, studies=3)
    with busy(home) as at_work:
        for number, what in enumerate(kinds, start=1):
            at_work.start(what, number)
        least = {"stored": 20, "deleted": 3, **({"made": 1} if "working" in kinds else {})}
        at_work.wait_for(**least)
        for number in range(times):
            stored, made = at_work.of("stored"), at_work.of("made")
            said = run(home, "backup", str(folder / f"{number}.tar"))
            assert (said["missing"], said["damaged"]) == ([], [])
            there = folder / f"there-{number}"
            run(there, "restore", str(folder / f"{number}.tar"))
            check(there, stored, made)
        before = {kind: len(at_work.of(kind)) for kind in least}
        at_work.wait_for(**{kind: count + 1 for kind, count in before.items()})  # nobody was stopped by it


def test_a_backup_is_of_one_moment_while_all_goes_on(tmp_path: Path) -> None:
    home, there = tmp_path / "home", tmp_path / "there"
    with installation(home) as application, busy(home) as at_work:
        for number, what in enumerate(("storing", "deleting"), start=1):
            at_work.start(what, number)
        at_work.wait_for(stored=20, deleted=3)
        stored = at_work.of("stored")
        taken = application.backups.take(ADMIN, tmp_path / "a.tar")
        assert (taken.missing, taken.damaged) == ([], [])
    with installation(there) as restored:
        restored.restoring.restore(ADMIN, taken.file)
    check(there, stored, [])


@pytest.mark.full
def test_five_are_with_jobs_that_are_done_meanwhile(tmp_path: Path) -> None:
    backed_up_while_busy(tmp_path, 5, "storing", "storing", "deleting", "rewriting", "working", "working")


def killed_at_work(words: tuple[str, ...], home: Path, partial: Callable[[], Iterable[Path]], after_s: float) -> bool:
    """Kill a command a while after it has begun to write; whether that was before its end."""
    left, deadline = set(partial()), time.monotonic() + PATIENCE_S
    running = command(home, *words)
    while running.poll() is None and not set(partial()) - left:
        assert time.monotonic() < deadline
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.wait(after_s)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    return running.returncode == -signal.SIGKILL


KILLS = 20


def large(home: Path) -> Path:
    """An installation that takes a while to be copied."""
    with installation(home) as application:
        fill(application.local_archive, studies=100)
    (home / "notes").write_bytes(os.urandom(100_000_000))
    return home


@pytest.mark.full
def test_a_killed_backup_leaves_the_one_before_or_a_whole_one(tmp_path: Path) -> None:
    home, file, chance = large(tmp_path / "home"), tmp_path / "a.tar", random.Random(1)
    lasts_s = run(home, "backup", str(file))["seconds"]
    ends = 0
    for _ in range(KILLS):
        before, words = file.stat(), ("backup", str(file), "--overwrite")
        ends += killed_at_work(words, home, lambda: tmp_path.glob(".a.tar.partial-*"), chance.uniform(0, lasts_s))
        assert len(list(tmp_path.glob(".a.tar.partial-*"))) <= 1
        if file.stat().st_ino != before.st_ino:
            run(tmp_path / "nowhere", "restore", str(file), "--check")
    assert ends >= KILLS / 2
    run(home, "backup", str(file), "--overwrite")
    run(tmp_path / "there", "restore", str(file))
    check(tmp_path / "there", [], [])
    assert {path.name for path in tmp_path.iterdir()} == {"home", "a.tar", "there"}
    assert list((home / "studies" / "incoming").iterdir()) == []
    assert {path.stat().st_nlink for path in (home / "studies" / "instances").rglob("*.dcm")} == {1}


@pytest.mark.full
def test_a_killed_restore_leaves_nothing_or_all(tmp_path: Path) -> None:
    home, file, there, chance = tmp_path / "home", tmp_path / "a.tar", tmp_path / "there", random.Random(2)
    run(large(home), "backup", str(file))
    lasts_s = run(there, "restore", str(file))["seconds"]
    whole = content(there).keys()
    ends = 0
    for _ in range(KILLS):
        shutil.rmtree(there, ignore_errors=True)
        words = ("restore", str(file))
        ends += killed_at_work(words, there, lambda: tmp_path.glob(".there.restoring-*"), chance.uniform(0, lasts_s))
        if there.exists():
            assert content(there).keys() == whole
    assert ends >= KILLS / 2
    shutil.rmtree(there, ignore_errors=True)
    run(there, "restore", str(file))
    check(there, [], [])
    assert {path.name for path in tmp_path.iterdir()} == {"home", "a.tar", "there"}
