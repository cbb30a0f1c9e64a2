"""A clone's set-up in a folder of its own, run as a user runs it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: What set-up itself is made of.
PARTS = ("tools/setup.sh", "tools/failures.sh", "tools/whole.py", "requirements")
#: What it needs of the system, and no Python, apt-get or npm among it.
PROGRAMS = "awk bash cat cut df dirname env flock grep id mkdir rm sed sh sleep tail touch".split()


@dataclass(frozen=True)
class Said:
    """How a set-up ended."""

    code: int
    text: str

    def failed(self, what: str, cause: str, remedy: str) -> None:
        """See that it said what happened, why and what to do, in this form and no other."""
        assert self.code not in (0, 130), self.text
        lines = self.text.strip().splitlines()
        first = next(place for place, line in enumerate(lines) if line.startswith("Setup failed: "))
        head, why, how = lines[first : first + 3]
        assert what in head
        assert why.startswith("  Likely cause: ")
        assert cause in why
        assert how.startswith("  What to do:   ")
        assert remedy in how
        for word in ("Traceback", "line ", "unbound", "not found\n"):
            assert word not in self.text


class Clone:
    """A folder with the parts of a clone that set-up needs.

    Args:
        folder: where.
        parts: files and folders of this clone.
    """

    def __init__(self, folder: Path, parts: Iterable[str] = PARTS) -> None:
        self.folder = folder
        for part in parts:
            target = folder / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, target)  # with what is compiled: that takes a minute
            else:
                shutil.copy(ROOT / part, target)

    def set_up(self, *options: str, before: Sequence[str] = (), **environment: str) -> Said:
        """Run it to its end.

        Args:
            options: of ``setup.sh``; ``runtime`` if none are given.
            before: words before the command, such as those that make it another user's.
            environment: what is different from ours; ``PYTHON`` is the Python of these tests.
        """
        with self.started(*options, before=before, **environment) as process:
            text, _ = process.communicate(timeout=900)
        return Said(process.returncode, text)

    def started(self, *options: str, before: Sequence[str] = (), **environment: str) -> subprocess.Popen[str]:
        """Start it in a process group of its own, as a terminal does."""
        return subprocess.Popen(
            [*before, str(self.folder / "tools" / "setup.sh"), *(options or ("runtime",))],
            env={**os.environ, "PYTHON": sys.executable, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


def end(process: subprocess.Popen[str], how: signal.Signals) -> str:
    """End a set-up and all that it started; what it had said."""
    os.killpg(process.pid, how)
    text, _ = process.communicate(timeout=60)
    return text


def programs(folder: Path, **scripts: str) -> str:
    """A search path with the system's few programs, and with shell scripts of these names."""
    folder.mkdir()
    for name in PROGRAMS:
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    for name, script in scripts.items():
        script_file(folder / name, script)
    return str(folder)


def script_file(path: Path, script: str) -> Path:
    """A shell script that can be run."""
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path
