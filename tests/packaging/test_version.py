"""The version stands in one place; whatever else tells it has it from there.

What the command and the REST interface of an installed wheel tell is seen in ``test_wheel.py``.
"""

from __future__ import annotations

import re
import subprocess
import tomllib

import pytest

from dicomfab import __version__
from tests.packaging.made import ROOT

PLACE = "src/dicomfab/__init__.py"
#: Tells what came with which version, and is the one other place where a release is named.
CHANGELOG = "CHANGELOG.md"
_TEXT = {".py", ".toml", ".md", ".json", ".yaml", ".yml", ".html", ".js", ".css", ".sh", ".service", ".cfg", ".txt", ""}
#: Versions of others, and numbers that only look like ours.
_OTHERS = (
    "requirements/",
    "frontend/package-lock.json",
    "tools/diagrams/package",
    "fuzz/corpus/",
    "tests/",
    "docs/images/",
)


def test_the_package_takes_it_from_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert "version" not in project["project"]
    assert project["tool"]["hatch"]["version"]["path"] == PLACE
    assert f'__version__ = "{__version__}"' in (ROOT / PLACE).read_text("utf-8")


def test_the_newest_entry_of_the_changelog_is_about_it() -> None:
    entries = re.findall(r"^## \[([^\]]+)\]", (ROOT / CHANGELOG).read_text("utf-8"), re.MULTILINE)
    assert entries[0] in (__version__, "Unreleased")
    assert __version__ in entries


def test_nothing_else_repeats_it() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split("\0")
    if listed == [""]:
        pytest.skip("this is no git working copy: nobody knows which files belong to it")
    ours = re.compile(rf"(?<![\d.]){re.escape(__version__)}(?![\d]|\.\d)")
    found = []
    for name in filter(None, listed):
        path = ROOT / name
        if name in (PLACE, CHANGELOG) or name.startswith(_OTHERS) or path.suffix not in _TEXT or not path.is_file():
            continue
        lines = path.read_text("utf-8", "replace").splitlines()
        found += [f"{name}: {line.strip()}" for line in lines if ours.search(line) and "Keep a Changelog" not in line]
    assert found == []
