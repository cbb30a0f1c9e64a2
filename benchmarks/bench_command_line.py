"""How long commands take that only read: what a person waits for at every step.

``python benchmarks/bench_command_line.py [--quick] [--dir DIR]``

Each command is a process of its own, on an installation with the lab's servers and 20 studies. Its processor time is
set against that of a Python that imports what no such command can do without, in turn with it: so what else the machine
does meets both alike. How long a person waits is reported, with the goal.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bench_archive
import report
from report import Table

from dicomfab.app.build import build
from dicomfab.app.lab import configure_registry
from dicomfab.app.settings import Settings
from dicomfab.model.actor import local_admin

OWNER = local_admin("benchmark", "cli")
STUDIES = 20
HELP_S, READ_S = 0.3, 0.6
# Our own part may be as long as that of the libraries, for help half of it.
HELP_TIMES, READ_TIMES = 1.5, 2.0
NEEDED = {"help": "import typer", "reading": "import typer, pydantic.types, sqlalchemy, rich.table"}
HELP = ("--help", "--version")
READING = (
    "pacs list", "pacs show test-pacs-1", "pacs route test-pacs-1", "pacs export", "study list", "patient list",
    "patient merges", "recipe list", "recipe kinds", "order list", "order procedures", "hl7 list", "jobs list",
    "jobs workers", "schedule list", "monitor status", "monitor events", "monitor metrics", "users list", "token list",
    "auth show", "auth groups", "audit list", "audit verify", "settings", "lab status",
)  # fmt: skip


class Timed:
    """Processes on one home.

    Args:
        home: of the installation.
    """

    def __init__(self, home: Path) -> None:
        self._environment = {**os.environ, "DICOMFAB_HOME": str(home)}
        self.waited: list[float] = []

    def command(self, words: str) -> float:
        """Seconds of a processor that a command takes; how long it takes is put to what was waited."""
        began = time.perf_counter()
        spent = self._seconds(sys.executable, "-m", "dicomfab", *words.split())
        self.waited.append(time.perf_counter() - began)
        return spent

    def python(self, code: str) -> float:
        """Seconds of a processor that a Python takes for this."""
        return self._seconds(sys.executable, "-c", code)

    def _seconds(self, *command: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode not in (0, 3):  # 3: `lab status` says that the servers do not run
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def fill(home: Path) -> None:
    """The lab's servers, and studies."""
    application = build(Settings(home))
    bench_archive.fill(application.local_archive, STUDIES)
    application.patients.invent(OWNER, STUDIES, seed=1)
    configure_registry(application, OWNER)
    application.close()


def measure(table: Table, timed: Timed, runs: int) -> None:
    """All commands, each in turn with its floor."""
    parts = ("help", HELP, HELP_S, HELP_TIMES), ("reading", READING, READ_S, READ_TIMES)
    for kind, commands, goal_s, times in parts:
        table.section(f"{kind}: at most {times} times the processor time of python -c '{NEEDED[kind]}'")
        for words in commands:
            timed.command(words)  # the first one compiles, and brings the home up to date
            timed.waited.clear()
            measured = report.alternating(
                runs,
                ours=lambda words=words: timed.command(words),
                floor=lambda code=NEEDED[kind]: timed.python(code),
            )
            table.lower(words, "s CPU", measured["ours"], "imports", measured["floor"], 1 / times)
            table.report(f"  waited for (goal {goal_s})", "s", timed.waited)


def main() -> int:
    """Fill a home, and read it."""
    given = report.options(__doc__ or "")
    table = Table()
    with tempfile.TemporaryDirectory(dir=given.dir, prefix="command-line-") as name:
        home = Path(name)
        report.facts({"home": home})
        fill(home)
        measure(table, Timed(home), given.runs)
    return table.finish()


if __name__ == "__main__":
    raise SystemExit(main())
