"""The matching rules, against an oracle that knows nothing of regular expressions."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.archive.matching import compile_key, date_bounds, is_literal, matches, matches_any

SPECIAL = "ab[]%_\\.^$(){}|+-#*?é"
values_text = st.text(alphabet=SPECIAL.replace("\\", "").replace("*", "").replace("?", ""), max_size=8)
patterns = st.text(alphabet=SPECIAL.replace("\\", ""), max_size=8)


def glob(pattern: str, text: str) -> bool:
    """The oracle: wildcard matching straight from its definition."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(glob(pattern[1:], text[i:]) for i in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and glob(pattern[1:], text[1:])


@given(pattern=patterns, text=values_text)
def test_wildcards_agree_with_the_oracle(pattern: str, text: str) -> None:
    assert matches("LO", pattern, text) == (pattern == "" or glob(pattern, text))


@given(pattern=st.text(alphabet="ab*?", min_size=1, max_size=12), text=st.text(alphabet="abAB", max_size=12))
def test_names_agree_with_the_oracle_in_any_case(pattern: str, text: str) -> None:
    assert matches("PN", pattern, text) == glob(pattern, text.lower())


@given(text=st.text(alphabet=st.characters(blacklist_categories=("Cs", "Cc")), min_size=1).map(str.strip).filter(bool))
def test_a_literal_value_matches_itself_whatever_it_contains(text: str) -> None:
    wanted = text.replace("*", "").replace("?", "").replace("\\", "").strip()
    assert matches("LO", wanted, wanted)
    assert matches("PN", wanted, wanted) or not wanted.strip("^= ")


@given(
    stored=st.lists(values_text.map(str.strip).filter(bool), min_size=1, max_size=3),
    wanted=st.lists(values_text.map(str.strip).filter(bool), min_size=1, max_size=3),
)
def test_several_values_match_if_any_two_do(stored: list[str], wanted: list[str]) -> None:
    assert matches_any("CS", "\\".join(wanted), "\\".join(stored)) == bool(set(stored) & set(wanted))


@given(
    day=st.dates(),
    first=st.none() | st.dates(),
    last=st.none() | st.dates(),
)
def test_date_ranges_include_both_ends(day, first, last) -> None:  # type: ignore[no-untyped-def]
    if first is None and last is None:
        return
    key = f"{first.strftime('%Y%m%d') if first else ''}-{last.strftime('%Y%m%d') if last else ''}"
    key = "-".join(part.rjust(8, "0") if part else "" for part in key.split("-"))
    stored = day.strftime("%Y%m%d").rjust(8, "0")
    expected = (first is None or first <= day) and (last is None or day <= last)
    assert matches("DA", key, stored) == expected
    bounds = date_bounds(key)
    assert bounds is not None
    assert (bounds[0] <= stored <= bounds[1]) == expected


@pytest.mark.parametrize(
    ("vr", "pattern", "stored", "expected"),
    [
        # universal
        ("PN", "", "", True),
        ("LO", "*", "", True),
        ("UI", "*", "1.2.3", True),
        ("DA", "*", "", True),
        ("PN", "*^*", "", True),
        ("PN", "^", "DOE", True),
        ("LO", "?*", "", False),
        ("LO", "A", "", False),
        # padding
        ("LO", "A ", " A", True),
        ("UI", "1.2\0", "1.2", True),
        ("ST", " A", "A", False),
        # case counts but in names
        ("LO", "abc", "ABC", False),
        ("PN", "doe^john", "DOE^JOHN", True),
        ("PN", "MÜLLER*", "Müller^Jörg", True),
        ("PN", "MULLER*", "Müller^Jörg", False),
        ("PN", "mu\u0308ller*", "M\u00fcller", True),
        ("PN", "STRASSE", "Straße", True),
        # name components and groups
        ("PN", "DOE", "DOE^JOHN", False),
        ("PN", "DOE^*", "DOE", True),
        ("PN", "DOE", "DOE^^^^", True),
        ("PN", "DOE^JOHN^^", "DOE^JOHN", True),
        ("PN", "DOE^J?HN", "DOE^JOHN", True),
        ("PN", "山田*", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("PN", "yamada*=山田*", "Yamada^Tarou=山田^太郎", True),
        ("PN", "yamada*=田中*", "Yamada^Tarou=山田^太郎", False),
        ("PN", "=山田^太郎", "Yamada^Tarou=山田^太郎", True),
        ("PN", "=山田^太郎", "Yamada^Tarou", False),
        # lists
        ("UI", "1.2\\1.3", "1.3", True),
        ("UI", "1.2\\1.3", "1.30", False),
        ("CS", "CT\\MR", "MR", True),
        ("CS", "C?\\MR", "CR", True),
        # no wildcards in these
        ("UI", "1.2*", "1.2.3", False),
        ("AE", "ST*", "STORE", True),
        # dates and times
        ("DA", "20240131", "20240131", True),
        ("DA", "2024.01.31", "20240131", True),
        ("DA", "20240101-", "2024.01.31", True),
        ("DA", "20240101-20241231", "garbage", False),
        ("DA", "20240101 - 20240131", "20240131", True),
        ("TM", "10-12", "125959.999", True),
        ("TM", "10-12", "130000", False),
        ("TM", "-1015", "101559.5", True),
        ("TM", "10", "101530", True),
        ("TM", "101530", "101530.000000", True),
        ("TM", "101530", "10:15:30", True),
        ("TM", "101530", "1015", False),
        # numbers
        ("IS", "7", "+007", True),
        ("DS", "0.5", "5E-1", True),
        ("US", "512", "512", True),
        ("IS", "7", "", False),
        ("IS", "7", "seven", False),
        # special characters of SQL, globs and regular expressions mean themselves
        ("LO", "100%", "100x", False),
        ("LO", "A_B", "AxB", False),
        ("LO", "[AB]*", "A1", False),
        ("LO", "[AB]*", "[AB]1", True),
        ("LO", ".*", "x", False),
        ("LO", "A.B", "AxB", False),
    ],
)
def test_examples(vr: str, pattern: str, stored: str, expected: bool) -> None:
    assert matches(vr, pattern, stored) is expected


@pytest.mark.parametrize(
    ("vr", "pattern"),
    [("DA", "2024"), ("DA", "2024*"), ("DA", "2024-01-31"), ("DA", "-"), ("TM", "noon"), ("IS", "x"), ("US", "1_0"),
     ("DS", "nan")],
)  # fmt: skip
def test_a_key_that_can_match_nothing_is_an_error_not_an_empty_result(vr: str, pattern: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        compile_key(vr, pattern)


def test_a_pattern_full_of_asterisks_costs_no_time() -> None:
    start = time.perf_counter()
    assert not matches("LO", "*a" * 31 + "b", "a" * 5000)
    assert time.perf_counter() - start < 1


def test_what_counts_as_literal() -> None:
    assert is_literal("LO", "A%_[1]")
    assert is_literal("UI", "1.2.*")
    assert not is_literal("LO", "A?")
