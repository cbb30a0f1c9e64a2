"""The chart of latency and failures: what is drawn is what was measured, whatever came in which order."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.app.build import Application
from dicomfab.model.monitoring import Check, DaySum
from dicomfab.web.monitor_chart import HEIGHT, WIDTH, Span, chart_of, since
from tests.unit.web.conftest import Browser

NOW = datetime(2026, 5, 20, 13, 7, 1, tzinfo=UTC)

checks = st.lists(
    st.builds(
        lambda age_s, latency: Check(NOW - timedelta(seconds=age_s), latency is not None, latency),
        st.integers(0, 7 * 86_400),
        st.none() | st.floats(0, 60_000),
    ),
    max_size=60,
)


@given(checks, st.sampled_from([Span.DAY, Span.WEEK]))
def test_every_check_of_the_span_is_counted_once_and_all_stays_in_the_picture(made: list[Check], span: Span) -> None:
    first = since(span, NOW)
    chart = chart_of(span, NOW, made, [])
    inside = [one for one in made if one.at >= first]
    assert sum(one.checks for one in chart.buckets) == len(inside)
    assert sum(one.failures for one in chart.buckets) == sum(not one.ok for one in inside)
    assert chart.buckets[0].start == first
    for run in (*chart.runs, *chart.bands):
        for x, y in (map(float, point.split(",")) for point in run.split()):
            assert 0 <= x <= WIDTH
            assert 0 <= y <= HEIGHT
    known = [one.latency_ms for one in inside if one.latency_ms is not None]
    assert (
        (min(known), max(known))
        == (
            min(one.least for one in chart.buckets if one.least is not None),
            max(one.most for one in chart.buckets if one.most is not None),
        )
        if known
        else not chart.runs
    )


def test_a_gap_parts_the_line() -> None:
    ages = (1, 2, 9, 10)
    chart = chart_of(Span.DAY, NOW, [Check(NOW - timedelta(hours=h), True, 5.0) for h in ages], [])
    assert len(chart.runs) == 4
    assert chart.y_ticks[-1][1] == "5 ms"
    assert chart.label == "last day: 4 checks, 0 failed; latency 5.0 to 5.0 ms"


def test_a_month_is_drawn_from_its_days() -> None:
    days = [
        DaySum(date(2026, 5, 1) + timedelta(days=n), 80_000.0, 400.0, 10, 1 if n == 3 else 0, 2.0, 8.0, 45.0)
        for n in range(31)
    ]
    chart = chart_of(Span.MONTH, NOW, [], days)
    assert len(chart.buckets) == 30
    assert (len(chart.runs), chart.label) == (1, "last month: 300 checks, 1 failed; latency 2.0 to 8.0 ms")
    assert [height for _, height, _ in chart.marks if height] == [2.0]


def test_nothing_is_said_to_be_nothing() -> None:
    chart = chart_of(Span.WEEK, NOW, [], [])
    assert (chart.runs, chart.label) == ((), "last week: nothing was checked")


@pytest.mark.parametrize("span", ["day", "week", "month", "", "century"])
def test_the_page_has_chart_and_table(
    browser: Browser, application: Application, servers: tuple[str, str], span: str
) -> None:
    application.monitor.once()
    page = browser.get(f"/monitor/alpha?span={span}").text
    shown = span if span in set(Span) else "day"
    assert f'aria-label="Latency and failures, last {shown}"' in page
    assert f"last {shown}: 1 checks, 1 failed" in page
    assert f'<a href="/monitor/alpha?span={shown}#chart" aria-current="true">' in page
    assert f'hx-get="/monitor/alpha?span={shown}"' in page
