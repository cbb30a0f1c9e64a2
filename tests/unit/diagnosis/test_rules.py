"""How a rule meets the facts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dicomfab.diagnosis.checks import Stage
from dicomfab.diagnosis.rules import Rule, Who, holds

plain = st.text(st.characters(exclude_characters="|*?[]!-"), min_size=1)


def rule(when: dict[str, str]) -> Rule:
    return Rule("some", Stage.TCP, when, "Heading", "Cause.", "Remedy.", Who.US, 90)


@given(plain, plain)
def test_a_plain_pattern_is_the_fact_itself(fact: str, other: str) -> None:
    assert holds(fact, fact)
    assert holds(fact, other) == (fact == other)
    assert holds(fact, f"{other}|{fact}")


@given(st.none() | plain, st.lists(plain | st.sampled_from(["-", "*", "?/1/3"]), min_size=1, max_size=4))
def test_the_opposite_holds_exactly_when_the_pattern_does_not(fact: str | None, alternatives: list[str]) -> None:
    pattern = "|".join(alternatives)
    assert holds(fact, f"!{pattern}") is not holds(fact, pattern)


def test_a_fact_that_was_not_established() -> None:
    assert holds(None, "-")
    assert not holds(None, "*")
    assert not holds("ok", "-")
    assert holds(None, "none|-")
    assert not holds(None, "!ok|-")
    assert holds(None, "!ok")


def test_codes_match_by_their_parts() -> None:
    assert holds("1/1/3", "?/1/3")
    assert not holds("1/1/7", "?/1/3")
    assert holds("C1A0", "C[0-9A-F][0-9A-F][0-9A-F]")
    assert not holds("A900", "C[0-9A-F][0-9A-F][0-9A-F]")
    assert not holds("OK", "ok")


@given(st.dictionaries(st.sampled_from("abc"), st.sampled_from(["1", "2"])), st.sampled_from(["1", "2"]))
def test_all_conditions_have_to_hold(facts: dict[str, str], wanted: str) -> None:
    both = rule({"a": wanted, "b": wanted})
    assert both.matches(facts) == (facts.get("a") == wanted and facts.get("b") == wanted)


def test_a_rule_without_conditions_always_holds() -> None:
    assert rule({}).matches({})
