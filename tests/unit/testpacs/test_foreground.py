"""``dicomfab lab run``: the four servers live as long as one process does, and no longer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from dicomfab.testpacs.lab import Lab, State

ENDS_S = 60


@contextmanager
def in_the_foreground(home: Path) -> Iterator[tuple[subprocess.Popen[str], Lab]]:
    """The command, from the moment at which all four answer; whatever becomes of it, no server stays."""
    lab = Lab(home / "lab")
    lab.configure(lambda config: replace(config, bind="0.0.0.0"))
    lab.use_free_ports()  # on all addresses: other tests have servers on others than 127.0.0.1
    environ = {**os.environ, "DICOMFAB_HOME": str(home)}
    command = [sys.executable, "-m", "dicomfab", "lab", "run", "--bind", "0.0.0.0", "--json"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline()]
            while lines[-1] and lines[-1] != "}\n":
                lines.append(process.stdout.readline())
            told = json.loads("".join(lines))
            assert {one["state"] for one in told.get("servers", ())} == {"running"}, told
            yield process, lab
        finally:
            process.kill()
            lab.stop(grace_s=5)


def states(lab: Lab) -> set[State]:
    return {one.state for one in lab.status()}


def test_sigterm_ends_it_and_the_servers(tmp_path: Path) -> None:
    with in_the_foreground(tmp_path / "home") as (process, lab):
        assert lab.config.bind == "0.0.0.0"
        assert states(lab) == {State.RUNNING}
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=ENDS_S)
        assert process.returncode == 0
        assert states(lab) == {State.STOPPED}


@pytest.mark.full
def test_a_server_that_ends_takes_the_others_with_it(tmp_path: Path) -> None:
    with in_the_foreground(tmp_path / "home") as (process, lab):
        killed = lab.status()[1]
        assert killed.pid is not None
        os.kill(killed.pid, signal.SIGKILL)
        said, _ = process.communicate(timeout=ENDS_S)
        assert process.returncode == 1
        assert f"{killed.server.name} ended" in json.loads(said)["error"]["what"]
        assert states(lab) == {State.STOPPED}


@pytest.mark.full
def test_it_ends_when_the_servers_are_stopped_from_elsewhere(tmp_path: Path) -> None:
    with in_the_foreground(tmp_path / "home") as (process, lab):
        lab.stop()
        process.communicate(timeout=ENDS_S)
        assert process.returncode == 0
