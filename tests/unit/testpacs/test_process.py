"""Pid files: what they say, and what they never make us do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from dicomfab.model.errors import LocalFailure
from dicomfab.testpacs import process
from dicomfab.testpacs.folders import LabFolders

SERVER = "test-pacs-1"


@pytest.fixture
def folders(tmp_path) -> LabFolders:
    made = LabFolders(tmp_path)
    made.make()
    return made


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with us."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as running:
        yield running
        running.kill()


def write_pid(folders: LabFolders, pid: int) -> None:
    content = {"pid": pid, "started_at": "2026-01-01T00:00:00+00:00"}
    folders.pid_file(SERVER).write_text(json.dumps(content))


def test_nothing_runs_where_nothing_was_started(tmp_path):
    assert process.running(LabFolders(tmp_path / "nowhere"), SERVER) is None
    assert not (tmp_path / "nowhere").exists()


def test_a_stale_file_with_a_recycled_pid_is_no_server(folders, stranger):
    write_pid(folders, stranger.pid)
    assert process.running(folders, SERVER) is None
    assert process.stop(folders, [SERVER], grace_s=0) == ()
    assert stranger.poll() is None


def test_a_locked_file_that_names_a_stranger_signals_nobody(folders, stranger, monkeypatch):
    monkeypatch.setattr(process, "_PID_FILE_WAIT_S", 0.1)
    held = process.take_pid_file(folders, SERVER)
    assert held is not None
    write_pid(folders, stranger.pid)
    try:
        with pytest.raises(LocalFailure, match="not by a server that can be seen from here"):
            process.stop(folders, [SERVER], grace_s=0)
    finally:
        os.close(held)
    assert stranger.poll() is None


def test_the_lock_survives_whoever_started_the_server(folders):
    """Between taking the lock and the server's first line its starter may be killed: the lock is the server's."""
    held = process.take_pid_file(folders, SERVER)
    assert held is not None
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(held,))
    os.close(held)
    assert process._is_locked(folders.pid_file(SERVER))
    child.communicate()
    assert not process._is_locked(folders.pid_file(SERVER))


def test_a_server_that_cannot_start_leaves_its_reason(folders):
    (folders.root / "lab.json").write_text('{"bind": "nonsense"}')
    assert process.start(folders, SERVER) is not None
    process._started.popitem()[1].wait(30)
    assert "bind: 'nonsense' is not an IPv4 address" in folders.output(SERVER).read_text()
    assert process.running(folders, SERVER) is None
