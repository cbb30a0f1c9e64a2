"""What the guide to the audit log says is what the software does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dicomfab.cli.audit import BROKEN
from dicomfab.model.audit import EventKind
from dicomfab.storage.audit_anchors import Anchor
from dicomfab.storage.audit_chain import BreakKind

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "user-guides" / "audit.md").read_text("utf-8")
REFERENCE = (ROOT / "docs" / "reference" / "command-line.md").read_text("utf-8")
COMMANDS = [
    line.split("#")[0].split("|")[0].strip()
    for block in re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]


def rows(heading: str) -> list[str]:
    """The first cells of a table."""
    return [row.split("|")[1] for row in PAGE.split(heading)[1].split("\n\n")[0].splitlines()[2:]]


def test_every_kind_is_explained() -> None:
    named = [word for row in rows("| Kind | What happened |") for word in re.findall(r"`([^`]+)`", row)]
    assert sorted(named) == sorted(EventKind)


def test_every_break_is_explained() -> None:
    assert [row.strip(" `") for row in rows("| It says | What was done |")] == list(BreakKind)


def test_the_code_for_a_broken_log_is_explained() -> None:
    assert str(BROKEN) in {row.strip() for row in rows("| Code | What it means |")}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_and_their_options_exist(command: str) -> None:
    words = command.split()
    sections = dict(re.findall(r"^#{2,4} (dicomfab [^\n]+)\n(.*?)(?=^#{2,4} |\Z)", REFERENCE, re.M | re.S))
    section = sections[" ".join(words[:3])]
    for option in (word for word in words if word.startswith("--")):
        assert f"`{option}" in section or f"{option}`" in section


def test_the_anchor_that_is_shown_has_the_form_of_one() -> None:
    (shown,) = re.findall(r"--anchor (\S+)", PAGE)
    assert str(Anchor.parse(shown)) == shown
