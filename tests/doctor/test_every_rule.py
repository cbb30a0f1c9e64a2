"""Each rule of the knowledge ranks first in a world of its own."""

from __future__ import annotations

from collections import Counter

from dicomfab.diagnosis.knowledge import RULES
from tests.doctor.cases import all_cases


def test_no_rule_is_without_a_case() -> None:
    reached = {case.rule for case in all_cases()}
    assert {rule.id for rule in RULES} - reached == set()


def test_no_case_names_a_rule_that_is_not() -> None:
    known = {rule.id for rule in RULES}
    named = {rule for case in all_cases() for rule in (case.rule, *case.also) if rule}
    assert named - known == set()


def test_names_of_cases_are_unique() -> None:
    assert [name for name, count in Counter(case.name for case in all_cases()).items() if count > 1] == []
