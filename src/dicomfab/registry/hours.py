"""The hours of the day in which a server may be burdened, by the wall clock of this machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from dicomfab.model.errors import InvalidInput

MAX_SPANS: Final = 12
_DAY_MINUTES: Final = 24 * 60
_SPAN: Final = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class PermittedHours:
    """Spans of the day; none means always. A span's first minute belongs to it, the minute that it ends at does not.

    Args:
        spans: (first minute, end) in minutes since midnight; an end before the first minute is on the next day.
    """

    spans: tuple[tuple[int, int], ...] = ()

    def allows(self, now: datetime) -> bool:
        """Whether work may go on at a moment.

        Args:
            now: with a time zone, or local time without.
        """
        local = now.astimezone()
        minute = local.hour * 60 + local.minute
        return not self.spans or any(_within(minute, start, end) for start, end in self.spans)

    def next_opening(self, now: datetime) -> datetime:
        """The first moment from ``now`` on at which work may go on: ``now`` itself, or the begin of a minute.

        Args:
            now: with a time zone, or local time without.

        Returns:
            Local time with its zone.
        """
        # Minute by minute, because the wall clock jumps when summer time begins and ends.
        moment = now.astimezone(UTC)
        while not self.allows(moment):
            moment = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
        return moment.astimezone()

    def __str__(self) -> str:
        """The text that :func:`permitted_hours` reads: ``18:00-06:00,12:00-13:00``."""
        return ",".join(f"{_clock(start)}-{_clock(end)}" for start, end in self.spans)


#: No hour is forbidden.
ALWAYS: Final = PermittedHours()


def permitted_hours(value: object, field: str) -> PermittedHours:
    """Read spans such as ``18:00-06:00, 12:00-13:00``; blank means always.

    Raises:
        InvalidInput: anything else.
    """
    if isinstance(value, PermittedHours):
        return value
    if not isinstance(value, str):
        raise _invalid(field, value, "is not a text")
    texts = [part.strip() for part in value.split(",")] if value.strip() else []
    if len(texts) > MAX_SPANS:
        raise _invalid(field, value, f"has {len(texts)} spans; at most {MAX_SPANS} are kept")
    return PermittedHours(tuple(_span(part, field) for part in texts))


def _span(part: str, field: str) -> tuple[int, int]:
    found = _SPAN.fullmatch(part)
    if found is None:
        raise _invalid(field, part, "is not a span of the day")
    hour, minute, end_hour, end_minute = map(int, found.groups())
    start, end = hour * 60 + minute, end_hour * 60 + end_minute
    if minute > 59 or end_minute > 59 or start >= _DAY_MINUTES or end > _DAY_MINUTES:
        raise _invalid(field, part, "holds a time that no clock shows")
    if start == end:
        raise _invalid(field, part, "has no length; 00:00-24:00 is the whole day")
    return start, end


def _within(minute: int, start: int, end: int) -> bool:
    return start <= minute < end if start < end else minute >= start or minute < end


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _invalid(field: str, value: object, problem: str) -> InvalidInput:
    return InvalidInput(
        f"{field}: {value!r} {problem}",
        field=field,
        value=value,
        cause="permitted hours are spans from HH:MM to HH:MM, joined by commas; blank means always",
        remedy="write for example 18:00-06:00,12:00-13:00",
    )
