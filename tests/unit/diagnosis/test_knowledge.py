"""The knowledge is well-formed: ids, placeholders, texts for somebody who is no DICOM expert."""

from __future__ import annotations

import re
import string
from collections import Counter

import pytest

import dicomfab.services.doctor.server as server_checks
from dicomfab.diagnosis.checks import Role
from dicomfab.diagnosis.knowledge import RULES
from dicomfab.diagnosis.products import PLACEHOLDERS
from dicomfab.diagnosis.rules import Rule

ABOUT_ONE_SERVER = [rule for rule in RULES if rule.about is Role.SERVER]
SERVER_NAMES = set("name id host address port called calling our_host our_port product environment".split())
every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
every_rule_about_one_server = pytest.mark.parametrize("rule", ABOUT_ONE_SERVER, ids=lambda rule: rule.id)


def texts(rule: Rule) -> list[str]:
    return [rule.cause, rule.remedy, str(rule.who), rule.tells]


def fields(text: str) -> list[tuple[str, str]]:
    """Name and format of each placeholder."""
    return [(name, form or "") for _, name, form, _ in string.Formatter().parse(text) if name is not None]


def test_ids_are_unique() -> None:
    assert [rule for rule, count in Counter(rule.id for rule in RULES).items() if count > 1] == []


@every_rule
def test_a_rule_says_what_is_wrong_and_what_to_do(rule: Rule) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9-]+", rule.id)
    assert rule.when
    assert 1 <= rule.likelihood <= 100
    assert rule.heading
    assert not rule.heading.endswith(".")
    for text in (rule.cause, rule.remedy):
        assert text[0].isupper() or text[0] == "{", text
        assert len(text) < 420, f"too long to be read: {text}"
    if rule.likelihood < 50:
        assert rule.tells, "where it cannot tell, it says what would"


@every_rule_about_one_server
def test_placeholders_are_those_that_the_examination_gives(rule: Rule) -> None:
    for text in texts(rule):
        for name, _form in fields(text):
            assert name in SERVER_NAMES | {"fact"}, text


@every_rule_about_one_server
def test_facts_in_texts_are_established_where_the_rule_holds(rule: Rule) -> None:
    documented = server_checks.__doc__ or ""
    for text in texts(rule):
        for name, fact in fields(text):
            if name == "fact":
                assert f"``{fact}``" in documented, f"{fact} is no fact"


@every_rule_about_one_server
def test_facts_of_conditions_are_documented(rule: Rule) -> None:
    documented = server_checks.__doc__ or ""
    for fact in rule.when:
        general = re.sub(r"^(context|association)\.(echo|find|move|get|store)$", r"\1.OPERATION", fact)
        general = re.sub(r"^find\.(study|patient)\.[A-Z]+$", "find.ROOT.LEVEL", general)
        assert f"``{general}``" in documented, f"{fact} is no fact"


@every_rule_about_one_server
def test_lines_to_add_need_only_known_names(rule: Rule) -> None:
    for setting in rule.settings:
        assert PLACEHOLDERS[setting] <= SERVER_NAMES


SEED = {
    "Connection failed": (
        "Check server address and port",
        "Verify network connectivity",
        "Ensure firewall allows DICOM traffic",
        "Check if server is running",
    ),
    "AE Title not recognized": (
        "Verify the server's AE Title (AEC)",
        "Check your application's AE Titles",
        "Ensure both sides use the same connection names",
    ),
}


@pytest.mark.parametrize("heading", SEED)
def test_the_troubleshooting_page_is_in_it_word_for_word(heading: str) -> None:
    remedies = " ".join(rule.remedy for rule in RULES if rule.heading == heading)
    for advice in SEED[heading]:
        assert advice in remedies
