"""What the pages of monitoring show: words, bars and lines, ready to be drawn."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dicomfab.model.monitoring import Check, DaySum, ServerState
from dicomfab.services.monitor.service import ServerStatus, percent

#: Whichever way it is drawn, a day differs in height, not in colour alone: bar, tall bar.
_TALL: Final = 32.0
_USUAL: Final = 26.0
_LEAST_DOWN: Final = 8.0
_STEP: Final = 8
_LINE_WIDTH: Final = 180.0
_LINE_HEIGHT: Final = 32.0
_WORST_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Bar:
    """One day of a strip.

    Args:
        x: its left edge.
        up: (top, height) of the part that was up, if any.
        down: (top, height) of the part that was down, if any.
        is_empty: nobody looked.
        title: the same in words.
    """

    x: int
    up: tuple[float, float] | None
    down: tuple[float, float] | None
    is_empty: bool
    title: str


@dataclass(frozen=True, slots=True)
class Strip:
    """Some days, a bar each."""

    bars: tuple[Bar, ...]
    label: str
    width: int
    height: float = _TALL


@dataclass(frozen=True, slots=True)
class Line:
    """Latency over time.

    Args:
        runs: the points of each run of checks that succeeded, as an SVG polyline wants them.
        failures: where, from the left, a check failed.
        label: the same in words.
    """

    runs: tuple[str, ...]
    failures: tuple[float, ...]
    label: str
    width: float = _LINE_WIDTH
    height: float = _LINE_HEIGHT


@dataclass(frozen=True, slots=True)
class Look:
    """How a state is shown: always the word, never the colour alone."""

    word: str
    kind: str
    symbol: str


@dataclass(frozen=True, slots=True)
class Row:
    """One server of the board."""

    status: ServerStatus
    look: Look
    uptimes: tuple[tuple[str, str], ...]
    strip: Strip
    line: Line | None


def row_of(status: ServerStatus, checks: Sequence[Check]) -> Row:
    """A server as the pages show it.

    Args:
        status: what is known of it, with its days.
        checks: the last ones, the newest first.
    """
    spans = (("today", 1), ("7 days", 7), ("30 days", 30))
    uptimes = tuple((name, percent(status.uptime(days))) for name, days in spans)
    return Row(status, _look(status), uptimes, _strip(status.days), line_of(checks))


def _look(status: ServerStatus) -> Look:
    if not status.is_monitored:
        return Look("Not monitored", "quiet", "dash-circle")
    if status.is_stale:
        return Look("Not checked lately", "warn", "question-circle-fill")
    if status.state is ServerState.DOWN:
        return Look("Down", "bad", "x-circle-fill")
    if status.row.failures_in_a_row:
        return Look("Last check failed", "warn", "exclamation-circle-fill")
    if status.state is ServerState.UP:
        return Look("Up", "good", "check-circle-fill")
    return Look("Not checked yet", "quiet", "hourglass-split")


def _strip(days: Sequence[DaySum]) -> Strip:
    bars = tuple(_bar(number * _STEP, day) for number, day in enumerate(days))
    watched = [(day, share) for day in days if (share := day.uptime) is not None]
    broken = sorted((one for one in watched if one[1] < 1), key=lambda one: one[1])
    parts = [f"last {len(days)} days: {len(watched)} monitored, {len(broken)} of them with downtime"]
    if broken:
        worst = [f"{day.day.isoformat()} {percent(share)} up" for day, share in broken[:_WORST_NAMED]]
        parts.append("the worst: " + ", ".join(worst))
    return Strip(bars, "; ".join(parts), len(days) * _STEP - 2)


def _bar(x: int, day: DaySum) -> Bar:
    share = day.uptime
    if share is None:
        return Bar(x, None, None, True, f"{day.day.isoformat()}: not monitored")
    title = f"{day.day.isoformat()}: {percent(share)} up"
    if day.down_s:
        title += f", {_minutes(day.down_s)} down"
        height = max(round(_TALL * (1 - share), 1), _LEAST_DOWN)
        rest = _TALL - height
        return Bar(x, (height, rest) if rest > 0 else None, (0, height), False, title)
    return Bar(x, (_TALL - _USUAL, _USUAL), None, False, title)


def _minutes(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def line_of(checks: Sequence[Check]) -> Line | None:
    """Latency of some checks; none of fewer than two."""
    if len(checks) < 2:
        return None
    ordered = sorted(checks, key=lambda one: one.at)
    first, span_s = ordered[0].at, (ordered[-1].at - ordered[0].at).total_seconds() or 1.0
    known = [one.latency_ms for one in ordered if one.latency_ms is not None]
    most = max(known, default=1.0) or 1.0
    runs: list[list[str]] = [[]]
    failures: list[float] = []
    for one in ordered:
        x = round((one.at - first).total_seconds() / span_s * (_LINE_WIDTH - 4) + 2, 1)
        if one.latency_ms is None:
            failures.append(x)
            runs.append([])
        else:
            runs[-1].append(f"{x},{round(_LINE_HEIGHT - 2 - one.latency_ms / most * (_LINE_HEIGHT - 6), 1)}")
    label = f"last {len(ordered)} checks: "
    if known:
        label += f"{min(known):.1f} to {most:.1f} ms, median {statistics.median(known):.1f} ms"
    label += f"{', ' if known else ''}{len(failures)} failed"
    return Line(tuple(" ".join(run) for run in runs if len(run) > 1), tuple(failures), label)
