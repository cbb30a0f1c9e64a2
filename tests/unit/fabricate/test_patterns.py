from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomfab.fabricate.patterns import ALPHABETS, DEFAULT, MARK, Pattern, Purpose, Slot, parse, risk
from dicomfab.model.errors import InvalidInput

TEXT = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="\\*?{}"), max_size=4)
SLOTS = st.builds(lambda count, kind: f"{{{count}{kind}}}", st.integers(1, 3), st.sampled_from(sorted(ALPHABETS)))
PATTERNS = st.builds(
    "".join, st.lists(st.one_of(TEXT, SLOTS), max_size=4).flatmap(lambda p: st.just([*p, "{1digits}"]))
)


def accession(text: str, **options: object) -> Pattern:
    return parse(text, Purpose.ACCESSION, **options)


@pytest.mark.parametrize(
    ("text", "capacity"),
    [
        ("PID{6digits}", 10**6),
        ("HSP{5digits}", 10**5),
        ("{8letters}", 26**8),
        ("2025{2letters}{7digits}", 26**2 * 10**7),
        ("HEX{8hex}", 16**8),
        ("A{1letter}-{1digit}-{3alnum}", 26 * 10 * 36**3),
        (DEFAULT, 10**10),
    ],
)
def test_patterns_of_hospitals(text, capacity):
    pattern = accession(text)
    assert pattern.capacity == capacity
    assert len({pattern.value(index, 1) for index in range(500)}) == 500
    assert accession(pattern.text) == pattern


@given(PATTERNS)
def test_a_pattern_that_is_written_out_and_parsed_again_is_the_same(text):
    pattern = parse(text, Purpose.PATIENT_ID)
    assert parse(pattern.text, Purpose.PATIENT_ID) == pattern


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(sorted(ALPHABETS)), min_size=1, max_size=3), st.integers(0, 2**63 - 1))
def test_every_value_of_a_small_space_comes_exactly_once(kinds, seed):
    slots = tuple(Slot(1, kind) for kind in kinds)
    pattern = Pattern(Purpose.PATIENT_ID, ("A", *slots))
    if pattern.capacity > 3000:
        slots = slots[:2]
        pattern = Pattern(Purpose.PATIENT_ID, ("A", *slots))
    values = {pattern.value(index, seed) for index in range(pattern.capacity)}
    assert len(values) == pattern.capacity == math.prod(len(ALPHABETS[slot.kind]) for slot in slots)


@given(st.integers(0, 999), st.integers(1, 50))
def test_a_count_begins_at_its_start_and_ends_with_the_space(start, increment):
    pattern = accession("P{3digits}", start=start, increment=increment)
    values = [int(pattern.value(index)[1:]) for index in range(pattern.capacity)]
    assert values == list(range(start, 1000, increment))
    with pytest.raises(IndexError):
        pattern.value(pattern.capacity)


@given(st.integers(0, 2**128), st.integers(0, 2**63 - 1))
def test_the_largest_space_needs_no_search(index, seed):
    value = parse("{64alnum}", Purpose.PATIENT_ID).value(index, seed)
    assert len(value) == 64
    assert set(value) <= set(ALPHABETS["alnum"])


def test_the_order_follows_from_the_seed_and_looks_like_none():
    pattern = accession("SYN{6digits}")
    one, two = ([pattern.value(index, seed) for index in range(100)] for seed in (1, 2))
    assert one == [pattern.value(index, 1) for index in range(100)]
    assert not set(one) & set(two)
    assert len({int(after[3:]) - int(before[3:]) for before, after in itertools.pairwise(one)}) == 99


def test_letters_count_like_digits():
    pattern = accession("{2letters}", start=25)
    assert [pattern.value(index) for index in (0, 1, pattern.capacity - 1)] == ["AZ", "BA", "ZZ"]


def test_prefix_and_suffix_are_part_of_the_pattern():
    pattern = accession("{3digits}", prefix="SYN", suffix="-X", increment=2)
    assert [pattern.value(0), pattern.value(1)] == ["SYN001-X", "SYN003-X"]
    assert pattern.text == "SYN{3digits}-X"
    assert pattern.key != accession("SYN{3digits}-X").key


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("PID", "has no slot"),
        ("PID{6digts}", "position 4: '{6digts}' is not a slot"),
        ("P{0digits}", "position 2: '{0digits}' is not a slot"),
        ("P{65digits}", "is not a slot"),
        ("P{-1digits}", "is not a slot"),
        ("P{6 digits}", "is not a slot"),
        ("P{6}", "is not a slot"),
        ("P{}", "is not a slot"),
        ("P{6digits", "position 2: the brace is not closed"),
        ("P}{6digits}", "position 2: '}' is not allowed"),
        ("A{1digits}*", "position 11: '*' is not allowed"),
        ("A\\{1digits}", "position 2: '\\\\' is not allowed"),
        ("Ä{1digits}", "position 1: 'Ä' is not allowed"),
        ("A\n{1digits}", "is not allowed"),
        ("{1digits} ", "begins or ends with a space"),
        ("SYN{14digits}", "makes values of 17 characters"),
        ("X" * 2000, "has 2000 characters"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused_with_position_and_what_is_allowed(text, said):
    with pytest.raises(InvalidInput) as caught:
        accession(text)
    assert said in caught.value.what
    assert caught.value.field == "pattern"
    assert "at most" in caught.value.cause or "slots" in caught.value.cause or "spaces" in caught.value.cause


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"start": -1}, "start"),
        ({"start": 1000}, "start"),
        ({"start": 0, "increment": 0}, "increment"),
        ({"increment": -2}, "increment"),
        ({"prefix": "{1digits}"}, "prefix"),
        ({"suffix": "?"}, "suffix"),
    ],
)
def test_the_option_at_fault_is_named(options, field):
    with pytest.raises(InvalidInput) as caught:
        accession("P{3digits}", **options)
    assert caught.value.field == field


def test_values_fit_their_attribute():
    assert accession("SYN{13digits}").value(0).startswith(MARK)
    long = parse("SYN{61digits}", Purpose.PATIENT_ID)
    assert len(long.value(0)) == 64
    with pytest.raises(InvalidInput, match="65 characters"):
        parse("SYN{62digits}", Purpose.PATIENT_ID)


@given(st.text(max_size=40))
def test_any_text_is_parsed_or_refused(text):
    try:
        pattern = parse(text, Purpose.PATIENT_ID)
    except InvalidInput:
        return
    assert 1 <= len(pattern.value(0)) <= 64


def test_what_does_not_begin_with_syn_is_risky():
    assert risk(DEFAULT) == ""
    assert "merge" in risk("PID{6digits}")
