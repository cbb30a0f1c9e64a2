"""Latency and uptime of a server over a day, a week or a month: as a chart, and as the table that says the same."""

from __future__ import annotations

import enum
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Final

from dicomfab.model.monitoring import Check, DaySum

WIDTH: Final = 760.0
HEIGHT: Final = 232.0
_LEFT: Final = 58.0
_RIGHT: Final = 10.0
_TOP: Final = 12.0
_PLOT: Final = 146.0
_STRIP_Y: Final = 174.0
_STRIP: Final = 20.0


class Span(enum.StrEnum):
    """How far back a chart goes."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


_LENGTH: Final = {Span.DAY: timedelta(days=1), Span.WEEK: timedelta(days=7), Span.MONTH: timedelta(days=30)}
_BUCKET: Final = {Span.DAY: timedelta(minutes=30), Span.WEEK: timedelta(hours=3), Span.MONTH: timedelta(days=1)}
#: Every how many buckets a time is written, and how.
_TICKS: Final = {Span.DAY: (8, "%H:%M"), Span.WEEK: (8, "%a %d"), Span.MONTH: (5, "%m-%d")}


@dataclass(frozen=True, slots=True)
class Bucket:
    """What was seen in one stretch of time.

    Args:
        start: its beginning.
        checks: how many there were.
        failures: how many of them failed.
        least, mean, most: latency in ms of those that succeeded, if any did.
    """

    start: datetime
    checks: int = 0
    failures: int = 0
    least: float | None = None
    mean: float | None = None
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart in units of the picture.

    Args:
        span: how far back.
        buckets: what is drawn, the oldest first.
        runs: mean latency, a polyline for each run of buckets that have one.
        bands: from the least to the most, a polygon for each run.
        y_ticks: (place, label) of the latency axis.
        x_ticks: (place, label) of the time axis.
        marks: (left edge, height of the part that failed, whether anything was checked) of the strip below.
        bar_width: of each part of the strip.
        label: the same in words.
    """

    span: Span
    buckets: tuple[Bucket, ...]
    runs: tuple[str, ...]
    bands: tuple[str, ...]
    y_ticks: tuple[tuple[float, str], ...]
    x_ticks: tuple[tuple[float, str], ...]
    marks: tuple[tuple[float, float, bool], ...]
    bar_width: float
    label: str
    width: float = WIDTH
    height: float = HEIGHT
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    top: float = _TOP
    bottom: float = _TOP + _PLOT
    strip_y: float = _STRIP_Y
    strip_height: float = _STRIP


def since(span: Span, now: datetime) -> datetime:
    """From when on checks are needed for a chart."""
    return _first(span, now)


def chart_of(span: Span, now: datetime, checks: Iterable[Check], days: Sequence[DaySum]) -> Chart:
    """Draw one.

    Args:
        span: how far back.
        now: where it ends.
        checks: those since :func:`since`, in any order; for a month the days are drawn instead.
        days: sums of the last 30 days at least, today included, the oldest first.
    """
    buckets = _of_days(days) if span is Span.MONTH else _of_checks(span, now, checks)
    known = [one.most for one in buckets if one.most is not None]
    top = _nice(max(known, default=1.0))
    step = (WIDTH - _LEFT - _RIGHT) / len(buckets)
    drawn = _runs(buckets)
    every, form = _TICKS[span]
    ticks = [
        (_LEFT + number * step, _written(one.start, form, span))
        for number, one in enumerate(buckets)
        if number % every == 0
    ]
    return Chart(
        span,
        buckets,
        tuple(_line(run, step, top) for run in drawn),
        tuple(_band(run, step, top) for run in drawn),
        tuple((_y(value, top), f"{value:g} ms") for value in (0.0, top / 2, top)),
        tuple((round(x, 1), text) for x, text in ticks),
        tuple(
            (
                round(_LEFT + number * step, 1),
                round(_STRIP * one.failures / one.checks, 1) if one.checks else 0.0,
                bool(one.checks),
            )
            for number, one in enumerate(buckets)
        ),
        round(max(step - 1, 1.0), 1),
        _words(span, buckets),
    )


def _first(span: Span, now: datetime) -> datetime:
    size = _BUCKET[span].total_seconds()
    end = math.ceil(now.timestamp() / size) * size
    return datetime.fromtimestamp(end, UTC) - _LENGTH[span]


def _of_checks(span: Span, now: datetime, checks: Iterable[Check]) -> tuple[Bucket, ...]:
    first, size = _first(span, now), _BUCKET[span]
    count = round(_LENGTH[span] / size)
    found: list[list[Check]] = [[] for _ in range(count)]
    for check in checks:
        number = math.floor((check.at - first) / size)
        if 0 <= number < count:
            found[number].append(check)
    return tuple(_bucket(first + number * size, made) for number, made in enumerate(found))


def _bucket(start: datetime, checks: Sequence[Check]) -> Bucket:
    known = [one.latency_ms for one in checks if one.latency_ms is not None]
    failures = sum(not one.ok for one in checks)
    if not known:
        return Bucket(start, len(checks), failures)
    return Bucket(start, len(checks), failures, min(known), statistics.fmean(known), max(known))


def _of_days(days: Sequence[DaySum]) -> tuple[Bucket, ...]:
    return tuple(
        Bucket(
            datetime(day.day.year, day.day.month, day.day.day, tzinfo=UTC),
            day.checks,
            day.failures,
            day.latency_min_ms,
            day.latency_mean_ms,
            day.latency_max_ms,
        )
        for day in days[-30:]
    )


def _runs(buckets: Sequence[Bucket]) -> list[list[tuple[int, Bucket]]]:
    grouped = groupby(enumerate(buckets), key=lambda pair: pair[1].mean is not None)
    return [list(run) for is_known, run in grouped if is_known]


def _line(run: Sequence[tuple[int, Bucket]], step: float, top: float) -> str:
    points = [(_LEFT + (number + 0.5) * step, _y(one.mean or 0.0, top)) for number, one in run]
    if len(points) == 1:  # a stretch that stands alone would be a point, which nobody sees
        (x, y) = points[0]
        points = [(x - step / 2, y), (x + step / 2, y)]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _band(run: Sequence[tuple[int, Bucket]], step: float, top: float) -> str:
    upper = [f"{_LEFT + (number + 0.5) * step:.1f},{_y(one.most or 0.0, top):.1f}" for number, one in run]
    lower = [f"{_LEFT + (number + 0.5) * step:.1f},{_y(one.least or 0.0, top):.1f}" for number, one in reversed(run)]
    return " ".join(upper + lower)


def _y(value: float, top: float) -> float:
    return round(_TOP + _PLOT * (1 - value / top), 1)


def _nice(value: float) -> float:
    """The next of 1, 2, 5, 10, ... from a value on, so that an axis reads well."""
    power = 10.0 ** math.floor(math.log10(max(value, 0.1)))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= value)


def _written(moment: datetime, form: str, span: Span) -> str:
    return (moment if span is Span.MONTH else moment.astimezone()).strftime(form)


def _words(span: Span, buckets: Sequence[Bucket]) -> str:
    checks, failures = sum(one.checks for one in buckets), sum(one.failures for one in buckets)
    if not checks:
        return f"last {span}: nothing was checked"
    words = f"last {span}: {checks} checks, {failures} failed"
    known = [(one.least, one.mean, one.most) for one in buckets if one.mean is not None]
    if known:
        least, most = min(one[0] or 0.0 for one in known), max(one[2] or 0.0 for one in known)
        words += f"; latency {least:.1f} to {most:.1f} ms"
    return words
