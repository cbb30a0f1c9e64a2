"""The page about benchmarks names those that there are, and each of them can begin."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.name for path in (ROOT / "benchmarks").glob("bench_*.py"))


def test_the_page_names_every_benchmark() -> None:
    page = (ROOT / "docs" / "reference" / "benchmarks.md").read_text("utf-8")
    assert sorted(set(re.findall(r"`(bench_\w+\.py)`", page))) == NAMES


@pytest.mark.full
def test_every_benchmark_finds_what_it_imports() -> None:
    modules = ", ".join(name.removesuffix(".py") for name in NAMES)
    done = subprocess.run(
        [sys.executable, "-c", f"import {modules}"],
        cwd=ROOT / "benchmarks",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
