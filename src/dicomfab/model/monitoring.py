"""Monitoring: what a check changes about a server, as values and pure functions.

Two things are kept apart. The **state** of a server is what alarms are about: it is down after some failed checks in a
row, so that one lost packet wakes nobody. **Uptime** is time: from each check to the next, it is up if the check
succeeded and down if it failed, but no longer than a check is worth; time that nobody looked is neither. Days are
UTC's, so that each has 86,400 s and all machines mean the same.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

DAY_S: Final = 86_400.0
#: For how many intervals a check says something about the time after it.
CHECK_IS_WORTH: Final = 2.0


class ServerState(enum.StrEnum):
    """What is known of a server."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitored:
    """Settings and state of one server's monitoring.

    Args:
        server_id: of the registry.
        is_on: whether somebody has switched it on or off; ``None``: as is usual in its environment.
        set_for: the environment that this was said for; in another one it does not count.
        interval_s: seconds between two checks; ``None``: as is usual.
        next_at: when it is due, with time zone; ``None``: at once.
        state: as alarms see it.
        since: since when.
        last_at: when it was checked for the last time.
        last_ok: how that ended.
        latency_ms: of the last check that succeeded.
        error: why the last check failed, as :meth:`~dicomfab.model.errors.DicomFabError.as_dict` gives it; or empty.
        failures_in_a_row: checks that failed since the last success.
        failing_since: when the first of them was.
        checks, failures: since monitoring began.
    """

    server_id: str
    is_on: bool | None = None
    set_for: str = ""
    interval_s: float | None = None
    next_at: datetime | None = None
    state: ServerState = ServerState.UNKNOWN
    since: datetime | None = None
    last_at: datetime | None = None
    last_ok: bool | None = None
    latency_ms: float | None = None
    error: Mapping[str, Any] = field(default_factory=dict)
    failures_in_a_row: int = 0
    failing_since: datetime | None = None
    checks: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Check:
    """How one check ended.

    Args:
        at: when it began, with time zone.
        ok: whether the server answered C-ECHO with success.
        latency_ms: from opening the connection to the response, if it did.
        error: why not, as :meth:`~dicomfab.model.errors.DicomFabError.as_dict` gives it; or empty.
    """

    at: datetime
    ok: bool
    latency_ms: float | None = None
    error: Mapping[str, Any] = field(default_factory=dict)

    @property
    def heading(self) -> str:
        """Why it failed, in few words; or empty."""
        return str(self.error.get("heading", ""))


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for a check of one server.

    Args:
        pause_s: until the next one.
        confirm_s: until the next one while a failure is not yet confirmed.
        worth_s: for how long the check before says something.
        down_after: failures in a row that make it down.
    """

    pause_s: float
    confirm_s: float
    worth_s: float
    down_after: int = 2


@dataclass(frozen=True, slots=True)
class DaySum:
    """One server on one day.

    Args:
        day: in UTC.
        up_s, down_s: seconds; what is missing of the day was not monitored.
        checks, failures: that began on this day.
        latency_min_ms, latency_max_ms, latency_sum_ms: of the checks that succeeded.
    """

    day: date
    up_s: float = 0.0
    down_s: float = 0.0
    checks: int = 0
    failures: int = 0
    latency_min_ms: float | None = None
    latency_max_ms: float | None = None
    latency_sum_ms: float = 0.0

    @property
    def unmonitored_s(self) -> float:
        """Seconds of the whole day in which nobody looked."""
        return max(DAY_S - self.up_s - self.down_s, 0.0)

    @property
    def uptime(self) -> float | None:
        """Share of the monitored time in which it was up, 0 to 1; ``None`` if nobody looked."""
        return uptime([self])

    @property
    def latency_mean_ms(self) -> float | None:
        """Of the checks that succeeded."""
        answered = self.checks - self.failures
        return self.latency_sum_ms / answered if answered else None

    def with_time(self, seconds: float, *, ok: bool) -> DaySum:
        """The same with more time that was up or down."""
        return replace(self, up_s=self.up_s + seconds) if ok else replace(self, down_s=self.down_s + seconds)

    def with_check(self, check: Check) -> DaySum:
        """The same with one more check."""
        if not check.ok or check.latency_ms is None:
            return replace(self, checks=self.checks + 1, failures=self.failures + (not check.ok))
        known = [ms for ms in (self.latency_min_ms, self.latency_max_ms) if ms is not None]
        return replace(
            self,
            checks=self.checks + 1,
            latency_min_ms=min([check.latency_ms, *known]),
            latency_max_ms=max([check.latency_ms, *known]),
            latency_sum_ms=self.latency_sum_ms + check.latency_ms,
        )


@dataclass(frozen=True, slots=True)
class StateChange:
    """A server went down, or came up again.

    Args:
        server_id: of the registry.
        state: which it is now.
        at: since when; for down, when the first of the failed checks began.
        heading: why, in few words; or empty.
        lasted_s: how long the state before had lasted, if that is known.
        id: its number in this installation; 0 before it is kept.
    """

    server_id: str
    state: ServerState
    at: datetime
    heading: str = ""
    lasted_s: float | None = None
    id: int = 0


def after(row: Monitored, check: Check, terms: Terms) -> tuple[Monitored, StateChange | None]:
    """What a server is after a check, and whether that is news.

    The first success of a server of which nothing was known is none.
    """
    failures = 0 if check.ok else row.failures_in_a_row + 1
    first = None if check.ok else row.failing_since or check.at
    state = ServerState.UP if check.ok else ServerState.DOWN if failures >= terms.down_after else row.state
    waits_for_proof = not check.ok and state is not ServerState.DOWN
    since, change = row.since, None
    if state is not row.state:
        since = first or check.at
        lasted_s = None if row.since is None else max((since - row.since).total_seconds(), 0.0)
        if state is ServerState.DOWN or row.state is ServerState.DOWN:
            change = StateChange(row.server_id, state, since, check.heading, lasted_s)
    changed = replace(
        row,
        state=state,
        since=since,
        last_at=check.at,
        last_ok=check.ok,
        latency_ms=check.latency_ms if check.ok else row.latency_ms,
        error=dict(check.error),
        failures_in_a_row=failures,
        failing_since=first,
        next_at=check.at + timedelta(seconds=terms.confirm_s if waits_for_proof else terms.pause_s),
        checks=row.checks + 1,
        failures=row.failures + (not check.ok),
    )
    return changed, change


def covered(last_at: datetime | None, at: datetime, worth_s: float) -> Iterator[tuple[date, float]]:
    """The time that a check accounts for once the next one has begun, split at the midnights of UTC.

    Args:
        last_at: when the check began; ``None`` if there was none.
        at: when the next one begins.
        worth_s: the longest time that a check accounts for; the rest was not monitored.

    Returns:
        (day, seconds), each day once, in order; nothing if no time has passed.
    """
    if last_at is None:
        return
    start = last_at.astimezone(UTC)
    end = min(at.astimezone(UTC), start + timedelta(seconds=worth_s))
    while start < end:
        midnight = datetime.combine(start.date() + timedelta(days=1), time(), UTC)
        stop = min(end, midnight)
        yield start.date(), (stop - start).total_seconds()
        start = stop


def day_of(moment: datetime) -> date:
    """The day, in UTC, that a moment belongs to."""
    return moment.astimezone(UTC).date()


def uptime(days: list[DaySum]) -> float | None:
    """Share of the monitored time of some days in which a server was up, 0 to 1; ``None`` if nobody looked."""
    up_s, down_s = sum(day.up_s for day in days), sum(day.down_s for day in days)
    return up_s / (up_s + down_s) if up_s + down_s > 0 else None
