"""The guide to the doctor says what the software does, and what it knows of C-MOVE is on the page about it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from dicomfab.cli.doctor_report import EXIT_CODES
from dicomfab.diagnosis.checks import Outcome, Role
from dicomfab.diagnosis.knowledge import RULES
from dicomfab.diagnosis.reason import Verdict
from dicomfab.services.doctor.examination import LIMIT_S

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "user-guides" / "doctor.md").read_text("utf-8")
KNOWN = ROOT / "docs" / "troubleshooting" / "cmove-troubleshooting.md"


def test_results_and_their_exit_codes_are_explained() -> None:
    rows = re.findall(r"^\| ([a-z ]+) \| .+ \| (\d) \|$", PAGE, re.MULTILINE)
    assert {word: int(code) for word, code in rows} == {str(one): EXIT_CODES[one] for one in Verdict}


def test_outcomes_certainties_and_the_limit_are_explained() -> None:
    for word in (*Outcome, "certain", "most likely", "possible"):
        assert f"**{word}**" in PAGE
    assert f"takes {LIMIT_S:g} seconds at most" in PAGE


def test_options_exist() -> None:
    reference = (ROOT / "docs" / "reference" / "command-line.md").read_text("utf-8")
    section = reference.split("\n### dicomfab doctor move")[1].split("\n## ")[0]
    options = set(re.findall(r"--[a-z][a-z-]*", PAGE))
    assert options == {"--from", "--to", "--study", "--limit", "--yes-production"}
    assert all(option in section for option in options)


def test_what_is_known_of_c_move_is_the_generated_text(tmp_path: Path) -> None:
    copy = tmp_path / KNOWN.name
    copy.write_text(KNOWN.read_text("utf-8"), "utf-8")
    tool = ROOT / "tools" / "cmove_troubleshooting.py"
    subprocess.run([sys.executable, str(tool), str(copy)], check=True)
    remedy = f"run: .venv/bin/python tools/{tool.name} docs/troubleshooting/{KNOWN.name}"
    assert copy.read_text("utf-8") == KNOWN.read_text("utf-8"), remedy


def test_every_cause_of_a_failing_c_move_is_listed() -> None:
    listed = re.findall(r"\(`(move-[a-z0-9-]+)`\)", KNOWN.read_text("utf-8"))
    assert sorted(listed) == sorted(rule.id for rule in RULES if rule.about is Role.MOVE)
