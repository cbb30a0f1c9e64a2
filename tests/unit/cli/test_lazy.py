from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dicomfab.cli.main import COMMANDS

HEAVY = {"numpy", "numba", "pydicom", "imagecodecs", "sqlalchemy", "alembic", "dbos", "fastapi", "uvicorn", "rich"}
# What reading a database and printing a table needs.
NEEDED = {"sqlalchemy", "rich"}
# What only looks at what this installation keeps. `study attributes` is left out: it reads a DICOM file; so is
# `access matrix`: it makes the web interface, to ask it for its addresses.
READING = (
    "pacs list", "pacs show prod-pacs-1", "pacs route test-pacs-1", "pacs export", "study list", "patient list",
    "patient export", "patient merges", "order list", "order procedures", "order profiles", "hl7 list",
    "jobs list", "jobs workers", "schedule list", "monitor status", "monitor history test-pacs-1", "monitor events",
    "monitor metrics", "users list", "token list", "auth show", "auth groups", "audit list", "audit show 1",
    "audit delivery",
)  # fmt: skip
WITHOUT_DATABASE = ("recipe list", "recipe kinds", "recipe defects", "hl7 templates", "settings", "lab status")

SCRIPT = """
import sys
from dicomfab.cli.main import run
try:
    run(sys.argv[1:])
except SystemExit as leaving:
    assert not leaving.code, leaving.code
print("LOADED", *sorted(sys.modules))
"""

# The commands one after the other: what one of them loads is told with its name.
EACH = """
import sys
from dicomfab.cli.main import run
known = set()
for line in sys.argv[2:]:
    try:
        run(line.split())
    except SystemExit as leaving:
        assert leaving.code in (0, None, 3), line
    heavy = set(sys.argv[1].split(",")) & set(sys.modules) - known
    known |= heavy
    print("LOADED", line, *sorted(heavy), sep=":")
"""


def loaded(*words: str) -> tuple[str, set[str]]:
    run = subprocess.run([sys.executable, "-c", SCRIPT, *words], capture_output=True, text=True, check=True)
    text, _, modules = run.stdout.rpartition("LOADED")
    return text, set(modules.split())


@pytest.mark.parametrize("words", [("--help",), ("--version",)])
def test_the_root_loads_nothing_heavy_and_no_command(words):
    _, modules = loaded(*words)
    assert not modules & HEAVY
    assert not {module for module, _ in COMMANDS.values()} & modules


def test_help_shows_every_command_with_its_line():
    text, _ = loaded("--help")
    for name, (_, summary) in COMMANDS.items():
        assert f"  {name}" in text
        assert summary.split(":")[0][:30] in text


def test_a_commands_help_opens_nothing():
    text, modules = loaded("pacs", "--help")
    assert "import" in text
    assert not modules & HEAVY


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_named_is_there(name):
    text, _ = loaded(name, "--help")
    assert text.startswith(f"Usage: dicomfab {name} ")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """An installation with the lab's servers, and a database that is up to date."""
    folder = tmp_path_factory.mktemp("home")
    environment = {**os.environ, "DICOMFAB_HOME": str(folder)}
    for words in ("lab", "configure"), ("audit", "list"):
        subprocess.run([sys.executable, "-m", "dicomfab", *words], env=environment, check=True, capture_output=True)
    return environment


@pytest.mark.parametrize(
    ("commands", "heavy"),
    [(READING, HEAVY - NEEDED), (WITHOUT_DATABASE, HEAVY - {"rich"})],
    ids=["reading", "without the database"],
)
def test_what_only_reads_loads_nothing_heavy(home, commands, heavy):
    command = [sys.executable, "-c", EACH, ",".join(heavy), *commands]
    done = subprocess.run(command, env=home, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    told = [line.split(":")[1:] for line in done.stdout.splitlines() if line.startswith("LOADED")]
    assert [name for name, *_ in told] == list(commands)
    assert [(name, *modules) for name, *modules in told if modules] == []
