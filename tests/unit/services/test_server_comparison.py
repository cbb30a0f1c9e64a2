"""The comparing of two listings, for whatever two servers may list."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dicomfab.model.query import Level
from dicomfab.services.search_match import Match
from dicomfab.services.server_comparison import (
    ATTRIBUTES,
    Counts,
    Entry,
    counts_of,
    differing,
    entry_of,
    merged,
    missing,
    only_in,
    series_to_list,
    silent_on,
)

KEYS = st.text("12.", min_size=1, max_size=3)
COUNT = st.none() | st.integers(0, 3)
ENTRIES = st.builds(Entry, COUNT, COUNT, st.tuples(*[st.none() | st.sampled_from(["", "x", "y"])] * len(ATTRIBUTES)))
LISTINGS = st.dictionaries(KEYS, ENTRIES)
HELD = st.dictionaries(KEYS, st.sampled_from("abc"))


@given(LISTINGS, LISTINGS)
def test_each_study_is_on_one_side_or_on_both(a: dict[str, Entry], b: dict[str, Entry]) -> None:
    only_a, only_b = only_in(a, b), only_in(b, a)
    both = [key for key in a if key in b]
    assert sorted([*only_a, *only_b, *both]) == sorted(a.keys() | b.keys())
    assert only_in(a, a) == []


@given(ENTRIES, ENTRIES)
def test_what_one_does_not_say_never_differs(one: Entry, other: Entry) -> None:
    found = differing(one, other)
    assert found == differing(other, one)
    assert all(one.value(name) != other.value(name) and None not in (one.value(name), other.value(name))
               for name in found)  # fmt: skip
    assert differing(one, one) == ()
    silent = Entry(None, None, (None,) * len(ATTRIBUTES))
    assert differing(one, silent) == ()


@given(ENTRIES, ENTRIES)
def test_unknown_is_no_number(one: Entry, other: Entry) -> None:
    counts = counts_of(one, other)
    assert counts is counts_of(other, one)
    if counts is Counts.SAME:
        assert one.instances == other.instances is not None
    if None in (one.instances, other.instances):
        assert counts is not Counts.SAME
    known = all(None not in pair for pair in zip(one[:2], other[:2], strict=True))
    if known:
        assert (counts is Counts.DIFFER) == (one[:2] != other[:2])


@given(HELD, HELD)
def test_what_is_missing_is_what_has_to_be_added(here: dict[str, str], there: dict[str, str]) -> None:
    lacks = missing(here, there)
    added = {uid: series for series, uids in lacks.items() for uid in uids}
    assert not missing(here, {**there, **added})
    assert not added.keys() & there.keys()
    assert all(here[uid] == series for uid, series in added.items())
    assert all(uids for uids in lacks.values())


@given(st.dictionaries(KEYS, COUNT), st.dictionaries(KEYS, COUNT))
def test_series_whose_counts_agree_are_left_alone(a: dict[str, int | None], b: dict[str, int | None]) -> None:
    chosen = series_to_list(a, b, every=False)
    left = (a.keys() | b.keys()) - set(chosen)
    assert all(a[key] == b[key] is not None for key in left)
    assert all(not (key in a and key in b and a[key] is not None and a[key] == b[key]) for key in chosen)
    assert set(series_to_list(a, b, every=True)) == a.keys() | b.keys()
    assert sorted(chosen) == sorted(series_to_list(b, a, every=False))


@given(ENTRIES, ENTRIES)
def test_a_study_listed_twice_says_what_is_said_twice(one: Entry, other: Entry) -> None:
    assert merged(one, one) == one
    both = merged(one, other)
    assert differing(both, one) == differing(both, other) == ()
    assert both.instances in (None, one.instances)


@given(LISTINGS)
def test_silence_is_told_of_servers_that_list_something(listing: dict[str, Entry]) -> None:
    silent = silent_on(listing.values())
    if not listing:
        assert silent == ()
    for name in ATTRIBUTES:
        never = bool(listing) and all(entry.value(name) is None for entry in listing.values())
        assert (name in silent) == never


def entry(**values: str | None) -> Entry:
    return entry_of(Match("s", Level.STUDY, values))


def test_padding_and_order_are_no_difference() -> None:
    one = entry(PatientName="Doe^Jane^^=", PatientID="A ", ModalitiesInStudy="CT\\SR", StudyDate="20260105")
    other = entry(PatientName="Doe^Jane", PatientID="A", ModalitiesInStudy="SR\\CT ", StudyDate="20260105")
    assert one == other
    assert differing(one, entry(PatientName="doe^jane", ModalitiesInStudy="CT")) == ("PatientName", "ModalitiesInStudy")


def test_an_empty_value_is_one_where_a_study_may_have_none() -> None:
    empty = entry(AccessionNumber="", ModalitiesInStudy="", NumberOfStudyRelatedInstances="")
    assert differing(empty, entry(AccessionNumber="A1", ModalitiesInStudy="CT")) == ("AccessionNumber",)
    assert (empty.instances, empty.value("ModalitiesInStudy"), empty.value("PatientID")) == (None, None, None)
