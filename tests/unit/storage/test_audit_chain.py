"""Whatever is done to a chain without its key is found, at the first place where it was done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from dicomfab.model.audit import canonical
from dicomfab.storage.audit_anchors import Anchor
from dicomfab.storage.audit_chain import START, BreakKind, check, entry_mac

KEY = b"k" * 32
AT = datetime(2026, 3, 2, tzinfo=UTC)


@dataclass(frozen=True)
class Row:
    seq: int
    body: str
    mac: str
    at: datetime = AT

    @property
    def columns(self) -> dict[str, object]:
        return {}


def chain(names: list[str]) -> list[Row]:
    rows, previous = [], START.mac
    for seq, name in enumerate(names, start=1):
        at = AT.isoformat(timespec="microseconds")
        body = canonical({"kind": "query", "outcome": "success", "actor": name, "at": at})
        previous = entry_mac(KEY, previous, seq, body)
        rows.append(Row(seq, body, previous))
    return rows


def end(rows: list[Row]) -> Anchor:
    return Anchor(rows[-1].seq, rows[-1].mac)


chains = st.lists(st.text(max_size=5), min_size=1, max_size=12).map(chain)


@given(chains)
def test_a_chain_as_it_was_written_is_good(rows: list[Row]):
    found = check(lambda _: KEY, START, rows, [end(rows)])
    assert (found.broken, found.entries, found.last, found.anchors) == (None, len(rows), end(rows), 1)


@given(chains, st.data())
def test_an_edit_is_found_where_it_is(rows: list[Row], data: st.DataObject):
    place = data.draw(st.integers(0, len(rows) - 1))
    changed = data.draw(
        st.builds(replace, st.just(rows[place]), body=st.text(max_size=20))
        | st.builds(replace, st.just(rows[place]), mac=st.text("0123456789abcdef", min_size=64, max_size=64))
        | st.sampled_from(rows).map(lambda other: replace(other, seq=rows[place].seq))
    )
    edited = [*rows[:place], changed, *rows[place + 1 :]]
    broken = check(lambda _: KEY, START, edited, [end(rows)]).broken
    if changed == rows[place]:
        assert broken is None
    else:
        assert broken is not None
        assert broken.seq == place + 1


@given(chains, st.data())
def test_what_is_missing_is_found_where_it_is(rows: list[Row], data: st.DataObject):
    gone = data.draw(st.sets(st.integers(1, len(rows)), min_size=1))
    found = check(lambda _: KEY, START, [row for row in rows if row.seq not in gone], [end(rows)])
    assert found.broken is not None
    assert found.broken.seq == min(gone)
    assert found.broken.kind in (BreakKind.REMOVED, BreakKind.CUT)
    assert found.broken.through in gone
    assert found.entries == min(gone) - 1


@given(chains, st.data())
def test_rows_that_were_numbered_anew_or_moved_are_found(rows: list[Row], data: st.DataObject):
    moved = data.draw(st.permutations(rows))
    renumbered = [replace(row, seq=seq) for seq, row in enumerate(moved, start=1)]
    first = next((number for number, (a, b) in enumerate(zip(rows, renumbered, strict=True), start=1) if a != b), None)
    broken = check(lambda _: KEY, START, renumbered, [end(rows)]).broken
    assert (broken and broken.seq) == first


@given(chains, st.binary(min_size=32, max_size=32))
def test_nothing_fits_another_key(rows: list[Row], other: bytes):
    broken = check(lambda _: other, START, rows, []).broken
    assert (broken is None) == (other == KEY)
    if broken is not None and len(rows) > 1:
        assert (broken.seq, broken.kind) == (1, BreakKind.WRONG_KEY)
