"""The page on validating lists every rule and every exit code."""

from __future__ import annotations

from pathlib import Path

from dicomfab.cli.validate import EXIT_CODES
from dicomfab.validity.rules import INSTANCE_RULES, SERIES_RULES, SET_RULES

PAGE = (Path(__file__).parents[2] / "docs" / "user-guides" / "validate.md").read_text(encoding="utf-8")


def test_every_rule_is_listed() -> None:
    rules = (*INSTANCE_RULES, *SERIES_RULES, *SET_RULES)
    assert [rule.id for rule in rules if f"`{rule.id}`" not in PAGE] == []


def test_every_exit_code_is_listed() -> None:
    assert [code for code in EXIT_CODES.values() if f"| {code} |" not in PAGE] == []
