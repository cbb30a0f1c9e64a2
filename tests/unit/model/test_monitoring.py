"""What a check changes, and how time is shared out between days."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.model.monitoring import (
    DAY_S,
    Check,
    DaySum,
    Monitored,
    ServerState,
    StateChange,
    Terms,
    after,
    covered,
    day_of,
    uptime,
)

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
TERMS = Terms(pause_s=60, confirm_s=10, worth_s=120, down_after=2)
BLANK = Monitored(server_id="a")
WHY = {"heading": "Connection failed"}


def at(second: float, *, ok: bool) -> Check:
    moment = NOON + timedelta(seconds=second)
    return Check(moment, ok, 2.5) if ok else Check(moment, ok, None, WHY)


def followed(*checks: tuple[float, bool], terms: Terms = TERMS) -> tuple[Monitored, list[StateChange]]:
    row, news = BLANK, []
    for second, ok in checks:
        row, change = after(row, at(second, ok=ok), terms)
        news += [change] if change else []
    return row, news


def test_one_failure_makes_no_server_down_and_is_looked_at_again_soon() -> None:
    row, news = followed((0, True), (60, False))
    assert (row.state, row.since, row.failures_in_a_row) == (ServerState.UP, NOON, 1)
    assert row.next_at == NOON + timedelta(seconds=70)
    assert row.error == WHY
    assert news == []
    row, news = followed((0, True), (60, False), (70, True))
    assert (row.state, row.since, row.failures_in_a_row, row.failing_since) == (ServerState.UP, NOON, 0, None)
    assert row.next_at == NOON + timedelta(seconds=130)
    assert (row.checks, row.failures, row.error) == (3, 1, {})
    assert news == []


def test_it_went_down_when_the_first_check_failed() -> None:
    row, news = followed((0, True), (60, False), (70, False), (130, False))
    first = NOON + timedelta(seconds=60)
    assert (row.state, row.since, row.failing_since) == (ServerState.DOWN, first, first)
    assert row.next_at == NOON + timedelta(seconds=190)  # what is known to be down is not asked more often
    assert news == [StateChange("a", ServerState.DOWN, first, "Connection failed", 60)]
    assert row.latency_ms == 2.5


def test_one_success_makes_it_up_again() -> None:
    _, news = followed((0, True), (60, False), (70, False), (130, True), (190, True))
    assert [(one.state, one.at, one.lasted_s) for one in news] == [
        (ServerState.DOWN, NOON + timedelta(seconds=60), 60),
        (ServerState.UP, NOON + timedelta(seconds=130), 70),
    ]


def test_the_first_success_is_no_news_and_the_first_failures_are() -> None:
    assert followed((0, True))[1] == []
    row, news = followed((0, False))
    assert (row.state, row.since, news) == (ServerState.UNKNOWN, None, [])
    _, news = followed((0, False), (10, False))
    assert news == [StateChange("a", ServerState.DOWN, NOON, "Connection failed", None)]


def test_how_many_failures_make_it_down_can_be_set() -> None:
    _, news = followed((0, True), (60, False), terms=Terms(60, 10, 120, down_after=1))
    assert [one.state for one in news] == [ServerState.DOWN]
    _, news = followed((0, True), (1, False), (2, False), (3, False), terms=Terms(60, 10, 120, down_after=4))
    assert news == []


def test_time_over_midnight_belongs_to_both_days() -> None:
    start = datetime(2026, 5, 1, 23, 59, 30, tzinfo=UTC)
    assert list(covered(start, start + timedelta(seconds=60), 120)) == [(date(2026, 5, 1), 30), (date(2026, 5, 2), 30)]


def test_a_check_accounts_for_no_more_than_it_is_worth_and_none_for_the_past() -> None:
    assert list(covered(NOON, NOON + timedelta(hours=5), 120)) == [(NOON.date(), 120)]
    assert list(covered(NOON, NOON - timedelta(seconds=5), 120)) == []  # a clock that was set back
    assert list(covered(None, NOON, 120)) == []


@pytest.mark.parametrize("other", [timedelta(hours=9), timedelta(hours=-7)])
def test_days_are_those_of_utc_whatever_zone_a_moment_is_given_in(other: timedelta) -> None:
    from datetime import timezone

    moment = NOON.astimezone(timezone(other))
    assert day_of(moment) == NOON.date()
    assert list(covered(moment, moment + timedelta(seconds=9), 120)) == [(NOON.date(), 9)]


def test_latency_is_that_of_checks_that_succeeded() -> None:
    day = DaySum(NOON.date())
    for one in (Check(NOON, True, 4.0), Check(NOON, False, None, WHY), Check(NOON, True, 2.0)):
        day = day.with_check(one)
    assert (day.checks, day.failures) == (3, 1)
    assert (day.latency_min_ms, day.latency_mean_ms, day.latency_max_ms) == (2.0, 3.0, 4.0)
    assert DaySum(NOON.date()).latency_mean_ms is None


def test_nobody_looked_is_neither_up_nor_down() -> None:
    assert uptime([]) is None
    assert uptime([DaySum(NOON.date())]) is None
    assert uptime([DaySum(NOON.date(), up_s=30, down_s=10), DaySum(NOON.date())]) == 0.75


moments = st.integers(min_value=0, max_value=4 * 86_400 * 10).map(
    lambda tenth: NOON + timedelta(milliseconds=100 * tenth)
)


@given(st.lists(st.tuples(moments, st.booleans()), max_size=40), st.floats(min_value=1, max_value=100_000))
def test_up_down_and_unmonitored_are_the_whole_day(checks: list[tuple[datetime, bool]], worth_s: float) -> None:
    days: dict[date, DaySum] = {}
    checks.sort(key=lambda one: one[0])
    for (before, ok), (then, _) in pairwise(checks):
        spans = list(covered(before, then, worth_s))
        assert sum(seconds for _, seconds in spans) == pytest.approx(
            min((then - before).total_seconds(), worth_s), abs=1e-5
        )
        assert [day for day, _ in spans] == sorted({day for day, _ in spans})
        for day, seconds in spans:
            assert 0 < seconds <= DAY_S
            days[day] = days.get(day, DaySum(day)).with_time(seconds, ok=ok)
    for total in days.values():
        assert total.up_s >= 0
        assert total.down_s >= 0
        assert total.up_s + total.down_s + total.unmonitored_s == pytest.approx(DAY_S, abs=1e-4)


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(min_value=1, max_value=5))
def test_news_come_in_turn_and_tell_the_state(answers: list[bool], down_after: int) -> None:
    terms = Terms(60, 10, 120, down_after)
    row, news = followed(*((60.0 * n, ok) for n, ok in enumerate(answers)), terms=terms)
    states = [one.state for one in news]
    assert states == [ServerState.DOWN if n % 2 == 0 else ServerState.UP for n in range(len(states))]
    assert [one.at for one in news] == sorted(one.at for one in news)
    runs = "".join("x" if ok else "." for ok in answers).split("x")
    assert states.count(ServerState.DOWN) == sum(len(run) >= down_after for run in runs)
    assert row.failures == answers.count(False)
    assert row.failures_in_a_row == len(runs[-1])
    if news:
        assert row.since == news[-1].at
        assert row.state is states[-1]
