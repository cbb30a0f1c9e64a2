from __future__ import annotations

import subprocess
import sys

import pytest

from dicomfab.cli.main import COMMANDS

HEAVY = {"numpy", "numba", "pydicom", "imagecodecs", "sqlalchemy", "alembic", "dbos", "fastapi", "uvicorn", "rich"}

SCRIPT = """
import sys
from dicomfab.cli.main import run
try:
    run(sys.argv[1:])
except SystemExit as leaving:
    assert not leaving.code, leaving.code
print("LOADED", *sorted(sys.modules))
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
