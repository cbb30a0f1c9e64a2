"""Flipping any single cell of the policy table makes a test fail.

What is expected comes from two statements beside the table: the one written out in ``test_policy.py``, and the
reference page. Whoever changes a cell must change both.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.access.test_policy import cells, test_cell

from dicomfab.access.matrix import let_in, scopes_of, table
from dicomfab.access.policy import POLICY, Action, Scope
from dicomfab.app.build import build
from dicomfab.app.settings import Settings
from dicomfab.model.actor import Role
from dicomfab.web.routes import needs

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "access.md"
Table = dict[tuple[str, str], set[str]]


def documented_table() -> Table:
    """(action, role) -> scopes, as the page says."""
    header, _, *rows = re.findall(r"^\| (?:action|`[a-z_]+`) \|.*$|^\|(?:---\|)+$", _part("## Roles"), re.M)
    roles = [word.strip() for word in header.strip("|").split("|")][1:]
    found: Table = {}
    for row in rows:
        action, *places = (word.strip().strip("`") for word in row.strip("|").split("|"))
        for role, said in zip(roles, places, strict=True):
            found[action, role] = set() if said == "-" else set(said.split(", "))
    return found


def documented_routes() -> dict[str, tuple[str, str]]:
    """Route -> what it needs and whom it lets in, as the page says."""
    rows = re.findall(r"^\| `([A-Z]+ [^`]+)` \| (\S+) \| ([^|]+) \|$", _part("## Addresses"), re.M)
    return {route: (action, who.strip()) for route, action, who in rows}


def _part(title: str) -> str:
    return PAGE.read_text("utf-8").partition(title)[2].partition("\n## ")[0]


def written() -> Table:
    """The same as ``documented_table``, by the statement in ``test_policy.py``."""
    found: Table = {(action, role): set() for role, action, _, _ in cells()}
    for role, action, scope, allowed in cells():
        if allowed:
            found[action, role].add(scope)
    return found


def check_every_cell() -> None:
    for cell in cells():
        test_cell(*cell)


def check_the_page() -> None:
    told = {(str(a), str(r)): {str(s) for s in scopes} for a, row in table().items() for r, scopes in row.items()}
    assert told == documented_table()


def fails(check: Callable[[], None]) -> bool:
    try:
        check()
    except AssertionError:
        return True
    return False


def test_both_statements_say_the_same_and_the_table_is_as_they_say() -> None:
    assert len(documented_table()) == len(Role) * len(Action)
    assert documented_table() == written()
    check_every_cell()
    check_the_page()


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("role", Role)
def test_a_flipped_cell_is_seen(monkeypatch: pytest.MonkeyPatch, role: Role, scope: Scope) -> None:
    before = POLICY.get((role, scope), frozenset())
    for action in Action:
        with monkeypatch.context() as flipped:
            flipped.setitem(POLICY, (role, scope), before ^ {action})
            assert (scope in scopes_of(role, action)) is (action not in before)
            assert fails(check_every_cell), f"{role} {action} {scope}: not seen by test_policy.py"
            assert fails(check_the_page), f"{role} {action} {scope}: not seen by the page"
    check_every_cell()


def test_doors_let_in_whom_the_page_says(tmp_path: Path) -> None:
    said, may = documented_routes(), written()
    declared = needs(build(Settings(tmp_path)))
    assert set(said) == set(declared)
    for route, (action, who) in said.items():
        expected = {role for role in map(str, Role) if action == "-" or may[action, role]}
        everyone = {"every role", "everybody"}
        assert (set(map(str, Role)) if who in everyone else set(who.split(", "))) == expected, route
        assert [str(one) for one in declared[route]] == ([] if action == "-" else [action]), route
        assert set(map(str, let_in(declared[route]))) == expected, route
