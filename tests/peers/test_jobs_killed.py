"""A job outlives kill -9 of the process that does it: nothing lost, at most one batch twice, and the ledger knows."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.peers.job_trials import BATCH, COUNT, STUDY, Laboratory, laboratory, trials
from tests.peers.postgres import postgres_server

MANY, SOME = 10, 5


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints whatever becomes of the test."""

    def printed(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n  {line}")
            sys.stdout.flush()

    return printed


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where that can be had: a process is killed here, no machine, and disks are slow."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="dicomfab-killed-", dir=memory) as made:
        yield Path(made)


def proven(lab: Laboratory, kind: str, count: int, tell: Callable[[str], None]) -> None:
    for trial in trials(lab, kind, count, seed=1, tell=tell):
        assert (trial.at_peer, trial.in_ledger) == (COUNT, COUNT)
        assert trial.repeated <= trial.resent * (1 if kind == "send" else STUDY)
        assert trial.resent <= (BATCH if kind == "send" else 1)


@pytest.mark.full
def test_a_send_and_a_move_survive_the_kill_of_their_worker(folder: Path, tell: Callable[[str], None]) -> None:
    with laboratory(folder) as lab:
        proven(lab, "send", 1, tell)
        proven(lab, "move", 1, tell)


@pytest.mark.full
@pytest.mark.parametrize("kind", ["send", "move"])
def test_ten_survive(folder: Path, kind: str, tell: Callable[[str], None]) -> None:
    with laboratory(folder) as lab:
        proven(lab, kind, MANY, tell)


@pytest.mark.full
@pytest.mark.parametrize("kind", ["send", "move"])
def test_five_survive_with_a_postgresql_ledger(folder: Path, kind: str, tell: Callable[[str], None]) -> None:
    with postgres_server() as server, server.database() as name, laboratory(folder, server.address(name)) as lab:
        proven(lab, kind, SOME, tell)
