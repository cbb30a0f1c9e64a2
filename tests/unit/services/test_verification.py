"""Polling the destination, on a clock of the test's own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dicomfab.model.errors import ConnectionFailed
from dicomfab.services.progress import Progress, ignore, never
from dicomfab.services.verification import Verdict, VerdictKind, held_before, verify

EXPECTED = frozenset({"1.1", "1.2", "1.3"})


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += max(seconds, 0.01)


def run(answers: list[frozenset[str]], wait_s: float, **options: object) -> tuple[Verdict, Clock]:
    clock = Clock()
    remaining = list(answers)

    def listing() -> frozenset[str]:
        return remaining.pop(0) if len(remaining) > 1 else remaining[0]

    arguments = {"on_progress": ignore, "stopped": never, **options}
    verdict = verify(EXPECTED, frozenset(), listing, wait_s=wait_s, clock=clock, pause=clock.sleep, **arguments)  # type: ignore[arg-type]
    return verdict, clock


def test_a_destination_that_indexes_late_is_waited_for() -> None:
    seen: list[Progress] = []
    verdict, _ = run([frozenset(), frozenset({"1.1"}), EXPECTED], 30, on_progress=seen.append)
    assert verdict.kind is VerdictKind.VERIFIED
    assert [p.done for p in seen] == [0, 1, 3]


def test_the_wait_ends_and_what_is_missing_is_named() -> None:
    verdict, clock = run([frozenset({"1.2"})], 5)
    assert verdict.kind is VerdictKind.MISMATCH
    assert verdict.missing == ("1.1", "1.3")
    assert 5 <= clock.now <= 5.1


def test_more_than_expected_is_verified() -> None:
    verdict, _ = run([EXPECTED | {"9.9"}], 0)
    assert verdict.kind is VerdictKind.VERIFIED
    assert verdict.present == 3


def test_stopping_ends_the_wait() -> None:
    verdict, clock = run([frozenset()], 30, stopped=lambda: True)
    assert verdict.kind is VerdictKind.UNVERIFIED
    assert clock.now == 0


def test_a_destination_that_cannot_be_asked_is_neither_good_nor_bad() -> None:
    def listing() -> frozenset[str]:
        raise ConnectionFailed("nothing listens", cause="down")

    before = held_before(listing)
    assert isinstance(before, ConnectionFailed)
    verdict = verify(EXPECTED, before, listing, wait_s=5, on_progress=ignore, stopped=never)
    assert verdict.kind is VerdictKind.UNVERIFIED
    assert verdict.present is None
    assert verdict.arrived is None
    assert "nothing listens" in verdict.why


def test_where_nothing_is_expected_nothing_is_verified() -> None:
    for held in (frozenset[str](), EXPECTED):
        verdict = verify(frozenset(), held, lambda held=held: held, wait_s=0, on_progress=ignore, stopped=never)  # type: ignore[misc]
        assert (verdict.kind, verdict.expected) == (VerdictKind.UNVERIFIED, 0)


@given(st.frozensets(st.sampled_from(["1.1", "1.2", "1.3", "9.9"])))
def test_the_verdict_is_verified_exactly_if_all_is_there(held: frozenset[str]) -> None:
    verdict, _ = run([held], 0)
    assert (verdict.kind is VerdictKind.VERIFIED) == (held >= EXPECTED)
    assert set(verdict.missing) == EXPECTED - held
