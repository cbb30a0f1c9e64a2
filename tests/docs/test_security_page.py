"""Every test that the security page names exists, and every fault that was proven before has a row with a test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`((?:tests|fuzz|benchmarks)/[^`]+)`", PAGE)))
FAULTS = ROOT / "tests" / "security" / "test_predecessor_faults.py"


def rows(text: str) -> list[list[str]]:
    """The cells of all tables, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    bodies = []
    for number, row in enumerate(cells):
        is_rule = set("".join(row)) <= {"-"}
        is_head = number + 1 < len(cells) and set("".join(cells[number + 1])) <= {"-"}
        if not is_rule and not is_head:
            bodies.append(row)
    return bodies


def section(heading: str) -> str:
    level = heading.split(" ")[0]
    return PAGE.split(f"\n{heading}\n")[1].split(f"\n{level} ")[0]


@pytest.mark.parametrize("named", NAMED)
def test_what_is_named_exists(named: str) -> None:
    file, _, name = named.partition("::")
    path = ROOT / file
    assert path.exists(), file
    if name:
        assert re.search(rf"^(async )?def {re.escape(name)}\(", path.read_text("utf-8"), re.MULTILINE), named


def test_every_threat_and_every_fault_names_a_test() -> None:
    threats, faults = rows(section("## Threats and answers")), rows(section("## Faults that were proven before"))
    assert len(threats) > 40
    assert len(faults) >= 29
    for row in [*threats, *faults]:
        assert re.search(r"`(tests|fuzz|benchmarks)/", row[-1]), row
    assert {row[0] for row in threats} == set("STRIDE")


def test_every_boundary_of_the_picture_has_its_table() -> None:
    drawn = set(re.findall(r'"(\d) [^"]*"|"(\d)"', PAGE.split("```mermaid")[1].split("```")[0]))
    numbers = {one or other for one, other in drawn}
    assert numbers == set(re.findall(r"^### (\d)\. ", PAGE, re.MULTILINE)) == set("1234567")


def test_every_test_of_the_faults_is_named() -> None:
    made = set(re.findall(r"^def (test_\w+)", FAULTS.read_text("utf-8"), re.MULTILINE))
    assert made == {named.partition("::")[2] for named in NAMED if named.startswith("tests/security/test_predecessor")}


def test_every_fuzz_target_is_named() -> None:
    made = {f"fuzz/{path.name}" for path in (ROOT / "fuzz").glob("fuzz_*.py")}
    assert made - {"fuzz/fuzz_pdu_round_trip.py"} <= set(NAMED)
