"""Many rows: every way of looking at them, with an index or without, gives the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomfab.storage import search_rows
from dicomfab.storage.search_rows import Wanted
from dicomfab.storage.searches import SearchStore, StoredAnswer, StoredSearch

COLUMNS = ("PatientName", "NumberOfStudyRelatedInstances")
NUMERIC = frozenset({"NumberOfStudyRelatedInstances"})
ALL = frozenset({"test", "prod"})
ROWS = 60


def rows(place: int) -> list[tuple[str, list[str | None]]]:
    """A third of the keys is on both servers; the count of one row in seven is unknown."""
    numbers = range(place * ROWS // 3 * 2, place * ROWS // 3 * 2 + ROWS)
    return [(f"K{n}", [f"Name {n * 37 % 11}", None if n % 7 == 0 else str(n * 13 % 97)]) for n in numbers]


@pytest.fixture(params=["indexed", "not indexed", "still running"])
def search(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[SearchStore, StoredSearch]:
    monkeypatch.setattr(search_rows, "_WORTH_AN_INDEX", 0 if request.param == "indexed" else 10**9)
    store = SearchStore(tmp_path / "results")
    answers = [StoredAnswer(0, "lab", "Lab", "test"), StoredAnswer(1, "live", "Live", "prod")]
    search_id = store.create("me", {"filter": {}}, COLUMNS, NUMERIC, answers)
    made = store.find(search_id)
    for place, environment in enumerate(("test", "prod")):
        store.keep(made, place, environment, rows(place))
        store.answered(search_id, StoredAnswer(place, answers[place].server_id, "x", environment, "ok", found=ROWS))
    if request.param != "still running":
        store.finish(made)
    return store, store.find(search_id)


def paged(store: SearchStore, search: StoredSearch, wanted: Wanted) -> list[tuple[str, int]]:
    found, offset = [], 0
    while True:
        total, page = store.page(search, wanted, 7, offset)
        found += [(match.key, match.place) for match in page]
        offset += 7
        if not page:
            assert total == len(found)
            return found


def merged(store: SearchStore, search: StoredSearch, wanted: Wanted) -> list[str]:
    found, offset = [], 0
    while True:
        total, page = store.merged(search, wanted, 7, offset)
        found += [row.key for row in page]
        offset += 7
        if not page:
            assert total == len(found)
            return found


def test_every_row_is_on_one_page(search: tuple[SearchStore, StoredSearch]) -> None:
    expected = [(key, place) for place in (0, 1) for key, _ in rows(place)]
    assert paged(*search, Wanted(ALL)) == expected
    assert paged(*search, Wanted(ALL, descending=True)) == expected[::-1]
    assert paged(*search, Wanted(frozenset({"prod"}))) == [row for row in expected if row[1] == 1]
    assert paged(*search, Wanted(ALL, place=0)) == [row for row in expected if row[1] == 0]
    assert paged(*search, Wanted(frozenset())) == []


def test_numbers_are_sorted_as_numbers_and_what_is_unknown_is_the_smallest(
    search: tuple[SearchStore, StoredSearch],
) -> None:
    counts = {key: -1 if values[1] is None else int(values[1]) for place in (0, 1) for key, values in rows(place)}
    ordered = [counts[key] for key, _ in paged(*search, Wanted(ALL, sort=COLUMNS[1]))]
    assert ordered == sorted(ordered)
    assert [counts[k] for k, _ in paged(*search, Wanted(ALL, sort=COLUMNS[1], descending=True))] == ordered[::-1]


@pytest.mark.parametrize("sort", ["", *COLUMNS])
@pytest.mark.parametrize("text", ["", "name 3"])
@pytest.mark.parametrize("place", [None, 1])
@pytest.mark.parametrize("environments", [ALL, frozenset({"test"}), frozenset({"prod"})])
def test_merged_every_key_is_there_once(
    search: tuple[SearchStore, StoredSearch], sort: str, text: str, place: int | None, environments: frozenset[str]
) -> None:
    wanted = Wanted(environments, place, text, sort)
    keys = merged(*search, wanted)
    assert len(keys) == len(set(keys))
    assert set(keys) == {key for key, _ in paged(*search, wanted)}


def test_streams_hold_the_same_as_pages(search: tuple[SearchStore, StoredSearch]) -> None:
    store, made = search
    wanted = Wanted(ALL, text="name", sort="PatientName")
    assert [(row.key, row.place) for row in store.rows(made, wanted)] == paged(store, made, wanted)
    assert [row.key for row in store.all_merged(made, wanted)] == merged(store, made, wanted)
