"""From facts to ranked causes."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dicomfab.diagnosis.checks import Check, Outcome, Role, Stage, facts_of
from dicomfab.diagnosis.reason import Diagnosis, Verdict, diagnose
from dicomfab.diagnosis.rules import Rule, Who

NAMES = {"name": "Lab", "host": "pacs", "product": ""}


def rule(id_: str, likelihood: int, stage: Stage = Stage.TCP, when: dict[str, str] | None = None, **more: str) -> Rule:
    texts = {"heading": "Heading", "cause": "Cause.", "remedy": "Remedy.", **more}
    return Rule(id_, stage, when or {"tcp": "refused"}, who=Who.ADMINISTRATOR, likelihood=likelihood, **texts)


def check(outcome: Outcome = Outcome.FAILED, role: Role = Role.SERVER, **facts: str) -> Check:
    return Check(role, Stage.TCP, "TCP", outcome, "seen", 0.1, facts or {"tcp": "refused"})


def diagnosed(
    *rules: Rule, checks: list[Check] | None = None, names: dict[Role, dict[str, str]] | None = None
) -> Diagnosis:
    return diagnose(checks or [check()], names or {Role.SERVER: NAMES}, rules, seconds=1.0, limit_s=20.0)


def ids(found: Diagnosis) -> list[str]:
    return [cause.rule for cause in found.causes]


@given(st.lists(st.integers(1, 100), min_size=1, max_size=8), st.randoms())
def test_the_likeliest_comes_first_whatever_the_order_of_the_rules(likelihoods: list[int], random: object) -> None:
    rules = [rule(f"rule-{n}", likelihood) for n, likelihood in enumerate(likelihoods)]
    shuffled = list(rules)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    found = diagnosed(*shuffled)
    assert [cause.likelihood for cause in found.causes] == sorted(likelihoods, reverse=True)
    assert ids(found) == ids(diagnosed(*rules))
    assert found.verdict is (Verdict.FOUND if max(likelihoods) >= 50 else Verdict.CANNOT_TELL)


def test_of_equals_what_fails_first_on_the_road_comes_first() -> None:
    found = diagnosed(rule("a", 90, Stage.FIND), rule("b", 90, Stage.NAME), rule("c", 90, Stage.FIND))
    assert ids(found) == ["b", "a", "c"]


def test_what_does_not_hold_is_no_cause() -> None:
    assert ids(diagnosed(rule("a", 90), rule("b", 95, when={"tcp": "ok"}))) == ["a"]


def test_nothing_wrong() -> None:
    found = diagnosed(rule("a", 90), checks=[check(Outcome.OK, tcp="ok"), check(Outcome.SKIPPED, echo="no")])
    assert (found.verdict, found.causes) == (Verdict.HEALTHY, ())


def test_a_failure_that_no_rule_knows() -> None:
    assert diagnosed(checks=[check()]).verdict is Verdict.CANNOT_TELL


def test_something_odd_that_no_rule_minds_is_nothing_wrong() -> None:
    assert diagnosed(checks=[check(Outcome.ODD)]).verdict is Verdict.HEALTHY


def test_texts_are_filled_with_names_and_facts() -> None:
    cause = "{name} at {host} said {fact:tcp}, and {fact:echo}."
    found = diagnosed(rule("a", 90, cause=cause, tells="ask {name}", remedy="see {fact:association.in}")).causes[0]
    assert found.cause == "Lab at pacs said refused, and unknown."
    assert (found.tells, found.who) == ("ask Lab", "the administrator of Lab")


@given(st.text())
def test_what_a_peer_says_stays_text(said: str) -> None:
    texts = {"cause": "It said {fact:tcp}.", "remedy": "Ask {name}."}
    found = diagnosed(rule("a", 90, when={"tcp": "*"}, **texts), checks=[check(tcp=said)])
    assert found.causes[0].cause == f"It said {said}."
    named = diagnosed(rule("a", 90, **texts), names={Role.SERVER: {**NAMES, "name": said}})
    assert named.causes[0].remedy == f"Ask {said}."


def test_each_server_is_judged_by_its_own_facts() -> None:
    checks = [check(role=Role.SOURCE, tcp="ok"), check(role=Role.DESTINATION)]
    names = {Role.SOURCE: {**NAMES, "name": "A"}, Role.DESTINATION: {**NAMES, "name": "B"}}
    found = diagnosed(rule("a", 90), checks=checks, names=names)
    assert [(cause.role, cause.who) for cause in found.causes] == [(Role.DESTINATION, "the administrator of B")]


def test_a_rule_about_a_move_sees_the_facts_of_both_ends() -> None:
    checks = [check(role=Role.SOURCE, tcp="ok"), check(role=Role.DESTINATION), check(role=Role.MOVE, move="A801")]
    names = dict.fromkeys((Role.SOURCE, Role.DESTINATION, Role.MOVE), NAMES)
    about = replace(rule("a", 90, when={"destination.tcp": "refused", "move": "A801"}), about=Role.MOVE)
    assert ids(diagnosed(about, checks=checks, names=names)) == ["a"]
    assert ids(diagnosed(about, checks=[check(role=Role.DESTINATION)])) == []


def test_certainty_in_words() -> None:
    found = diagnosed(rule("a", 90), rule("b", 89), rule("c", 50), rule("d", 49))
    assert [cause.certainty for cause in found.causes] == ["certain", "most likely", "most likely", "possible"]


def test_as_plain_values() -> None:
    plain = diagnosed(rule("a", 90)).as_dict()
    assert (plain["verdict"], plain["limit_s"]) == ("found", 20.0)
    assert plain["checks"][0] == {
        "role": "server",
        "stage": "tcp",
        "title": "TCP",
        "outcome": "failed",
        "seen": "seen",
        "seconds": 0.1,
        "facts": {"tcp": "refused"},
        "error": None,
    }
    assert plain["causes"][0]["rule"] == "a"
    assert plain["causes"][0]["certainty"] == "certain"


def test_facts_are_kept_by_role() -> None:
    checks = [check(role=Role.SOURCE, tcp="ok"), check(role=Role.DESTINATION, tcp="refused")]
    assert facts_of(checks) == {"source.tcp": "ok", "destination.tcp": "refused"}
