"""What the guide to jobs says is what the software does."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicomfab.cli.carry_out import ATTEMPTS
from dicomfab.cli.report import EXIT_CODES, VERDICT_EXIT_CODES
from dicomfab.model.job import ARROWS, JobState
from dicomfab.services.jobs.cron import next_time
from dicomfab.services.jobs.worker import FIRST_PAUSE_S, LONGEST_PAUSE_S
from dicomfab.storage.job_queue import LEASE_S

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "user-guides" / "jobs.md").read_text("utf-8")
REFERENCE = (ROOT / "docs" / "reference" / "command-line.md").read_text("utf-8")
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
COMMANDS += re.findall(r"`(dicomfab [^`]+)`", PAGE)


def test_the_diagram_has_every_arrow_and_no_other() -> None:
    (diagram,) = re.findall(r"```mermaid\nstateDiagram-v2\n(.*?)```", PAGE, re.DOTALL)
    drawn = re.findall(r"^  (\w+) --> (\w+): (\w+)$", diagram, re.MULTILINE)
    arrows = [(str(start), str(end), str(event)) for (start, event), end in ARROWS.items()]
    assert sorted(drawn) == sorted(arrows)
    starts, ends = re.findall(r"\[\*\] --> (\w+)", diagram), re.findall(r"(\w+) --> \[\*\]", diagram)
    assert starts == [JobState.QUEUED]
    assert ends == [state for state in JobState if not any(start is state for start, _ in ARROWS)]
    assert len(diagram.splitlines()) == len(drawn) + len(starts) + len(ends)


def test_every_state_is_explained() -> None:
    rows = re.findall(r"^\| (\w+) \| ", PAGE.split("| State |")[1].split("\n\n")[0], re.MULTILINE)
    assert rows == [str(state) for state in JobState]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_and_their_options_exist(command: str) -> None:
    words = re.sub(r'"[^"]*"', "X", command).split()
    sections = dict(re.findall(r"^#{2,4} (dicomfab [^\n]+)\n(.*?)(?=^#{2,4} |\Z)", REFERENCE, re.M | re.S))
    name = next(" ".join(words[:n]) for n in (4, 3, 2) if " ".join(words[:n]) in sections)
    for option in (word for word in words if word.startswith("--")):
        assert f"`{option}" in sections[name] or f"{option}`" in sections[name], f"{name} has no {option}"


def test_the_schedules_shown_are_due_some_time() -> None:
    shown = re.findall(r'--cron "([^"]+)"', PAGE)
    assert len(shown) >= 3
    for cron in shown:
        assert next_time(cron, "Europe/Berlin", datetime(2026, 1, 1, tzinfo=UTC))


def test_figures_are_those_of_the_software() -> None:
    assert f"{ATTEMPTS[True]} times in a row at most" in PAGE
    assert f"wait after {LEASE_S:.0f} seconds" in PAGE
    assert f"again after {FIRST_PAUSE_S:.0f} s, {2 * FIRST_PAUSE_S:.0f} s, {4 * FIRST_PAUSE_S:.0f} s" in PAGE
    assert f"to {LONGEST_PAUSE_S / 60:.0f} minutes" in PAGE


def test_exit_codes_are_explained() -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d+) \| ", PAGE.split("| Code |")[1], re.MULTILINE)}
    assert set(EXIT_CODES.values()) | set(VERDICT_EXIT_CODES.values()) <= codes
