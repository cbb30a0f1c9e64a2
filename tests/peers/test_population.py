"""A population is valid, whatever patients come for, but where it says that it is not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.peers.dciodvfy import dcentvfy, dciodvfy_all

pytestmark = pytest.mark.peers

EVERYTHING = "DX=3,CR=3,CT=4,MR=2,US=3,MG=2,NM=2,PT=3,XA=1,RF=1,ES=1,XC=1"


def dicomfab(tmp_path: Path, *words: str, check: bool = True) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "dicomfab", *words, "--json"],
        capture_output=True,
        env={"DICOMFAB_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def populate(tmp_path: Path, *words: str) -> Path:
    out = tmp_path / "out"
    given = ("--patients", "8", "--end-date", "2026-06-30", "--out", str(out), *words)
    dicomfab(tmp_path, "population", "create", *given)
    return out


def validated(tmp_path: Path, out: Path) -> dict[str, Any]:
    return dicomfab(tmp_path, "validate", str(out), check=False)


SCRIPTS = ("--script", "latin=4,japanese=2,korean=2,arabic=1,thai=1")


@pytest.mark.parametrize(
    "words",
    [
        ("--small", "--seed", "4", "--mix", EVERYTHING, *SCRIPTS),
        pytest.param(("--slices", "4", "--seed", "5", "--mix", EVERYTHING, *SCRIPTS), marks=pytest.mark.full),
    ],
    ids=["small", "full"],
)
def test_a_population_has_no_errors(tmp_path: Path, words: tuple[str, ...]) -> None:
    out = populate(tmp_path, *words)
    report = validated(tmp_path, out)
    assert report["counts"]["error"] == 0
    assert report["files_invalid"] == 0
    for patient in out.glob("SYN*"):
        paths = sorted(patient.glob("*/*.dcm"))
        assert dcentvfy(paths).errors == ()


def test_what_is_broken_on_purpose_is_said_and_nothing_else_is(tmp_path: Path) -> None:
    out = populate(tmp_path, "--small", "--seed", "6", "--mix", "DX=1,CR=1", "--defect", "empty-type-1=0.4")
    truths = {path.parent: json.loads(path.read_text()) for path in out.glob("*/*/truth.json")}
    broken = {folder for folder, truth in truths.items() if truth["defects"]}
    assert broken
    assert len(broken) < len(truths)
    paths = sorted(out.glob("*/*/*.dcm"))
    verdicts = zip(paths, dciodvfy_all(paths), strict=True)
    assert {path.parent for path, verdict in verdicts if verdict.errors} == broken
