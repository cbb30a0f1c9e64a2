"""``dicomfab modality`` as a process of its own, on a computer of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dicomfab.app.build import build
from dicomfab.app.settings import Settings
from dicomfab.model.procedure import StepState
from tests.peers.modality_hospital import ACTOR, Hospital, hospital
from tests.unit.services.ordering.conftest import orm

__all__ = ["hospital"]

WAIT_S = 60.0
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(hospital: Hospital, tmp_path: Path) -> Start:
    """Starts ``dicomfab modality run`` at an installation that knows the PACS."""
    home = tmp_path / "modality"
    site = build(Settings(home))
    known = {"id": "the-pacs", "name": "The PACS", "host": "127.0.0.1", "aec": "THEPACS", "environment": "test"}
    site.pacs.add(ACTOR, {**known, "port": hospital.pacs.port})
    site.close()
    ris = f"{hospital.config.worklist.host}:{hospital.config.worklist.port}:DICOMFAB"

    def started(*words: str) -> subprocess.Popen[str]:
        common = (
            "--ris",
            ris,
            "--pacs",
            "the-pacs",
            "--bind",
            "127.0.0.1",
            "--port",
            str(hospital.config.port),
            "--kind",
            "us-abdomen",
        )
        return subprocess.Popen(
            [sys.executable, "-m", "dicomfab", "modality", "run", *common, *words],
            env={**os.environ, "DICOMFAB_HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return started


def read(process: subprocess.Popen[str], step: str) -> list[dict[str, str]]:
    """What it tells, as far as a step."""
    assert process.stdout is not None
    told = []
    for line in process.stdout:
        told.append(json.loads(line))
        if told[-1]["step"] == step:
            return told
    raise AssertionError(f"it ended without {step}: {told}")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_an_examination_in_good_order(hospital: Hospital, start: Start, ending: signal.Signals) -> None:
    hospital.send(orm())
    process = start("--poll", "0.2", "--timing", "real", "--json")
    try:
        read(process, "acquiring")
        process.send_signal(ending)
        out, err = process.communicate(timeout=WAIT_S)
    finally:
        process.kill()
    assert (process.returncode, err) == (0, "")
    assert [json.loads(line)["step"] for line in out.splitlines()] == ["discontinued"]
    assert hospital.steps() == [StepState.DISCONTINUED]


@pytest.mark.full
def test_the_options_reach_the_modality(hospital: Hospital, start: Start) -> None:
    for accession in ("A1", "A2"):
        hospital.send(orm(f"M{accession}", accession=accession, rp=f"R{accession}", sps=f"S{accession}"))

    def performed(*words: str) -> list[str]:
        process = start(*words)
        try:
            out, err = process.communicate(timeout=WAIT_S)
        finally:
            process.kill()
        assert (process.returncode, err) == (0, "")
        return [line[:13].strip() for line in out.splitlines()]

    together = performed("--accession", "A1", "--accession", "A2", "--timing", "500x", "--announce")
    assert together == [
        "worklist", "in progress", "acquiring", "acquired", "stored", "completed", "committed", "announced",
    ]  # fmt: skip
    assert hospital.steps() == [StepState.COMPLETED] * 2
    nobody = performed("--unscheduled", "--patient", "P9", "--discontinue", "--reason", "110505", "--no-commitment")
    assert nobody == ["unscheduled", "in progress", "acquired", "stored", "discontinued"]
    assert performed("--append", "--no-commitment")[0] == "append"
    assert [one.PatientID for one in hospital.reported()] == ["P100", "P9", "P9"]


@pytest.mark.parametrize(
    ("words", "field"),
    [(["--unscheduled"], "--patient"), (["--patient", "P1"], "--patient"), (["--timing", "slow"], "--timing")],
)
def test_what_does_not_fit_is_refused(start: Start, words: list[str], field: str) -> None:
    process = start(*words)
    try:
        out, err = process.communicate(timeout=WAIT_S)
    finally:
        process.kill()
    assert process.returncode == 2
    assert out == ""
    assert field in err
