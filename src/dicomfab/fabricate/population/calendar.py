"""When examinations take place: working hours mostly, few on weekends, emergencies at any time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from dicomfab.fabricate.population.exams import Exam
from dicomfab.fabricate.seeds import Draw

# How many come in each hour of the day, from midnight on.
_PLANNED: Final = (0, 0, 0, 0, 0, 0, 1, 14, 62, 84, 90, 82, 50, 58, 76, 70, 48, 22, 6, 1, 0, 0, 0, 0)
_URGENT: Final = (26, 20, 17, 14, 14, 17, 24, 34, 46, 56, 60, 60, 58, 58, 58, 58, 60, 62, 64, 62, 56, 48, 40, 32)
_SATURDAY_PERCENT: Final = 6
_FREE_DAYS: Final = frozenset(((1, 1), (5, 1), (12, 25), (12, 26)))
_FRIDAY: Final = 4


def hour_of(weights: Sequence[int], draw: Draw) -> int:
    """An hour by its weight."""
    at = draw.below(sum(weights))
    return next(hour for hour, until in enumerate(accumulate(weights)) if at < until)


def moment(exam: Exam, day: dt.date, draw: Draw, *, at_night: bool, after: dt.datetime | None) -> dt.datetime:
    """Date and time of an examination that is due about a day.

    Args:
        exam: what it is.
        day: when it is due.
        draw: decides.
        at_night: whether emergencies come to where it takes place.
        after: the examination before; this one is later, even if that means another day.
    """
    urgent = at_night and draw.below(1000) < exam.urgent * 1000
    saturday = draw.below(100) < _SATURDAY_PERCENT
    if not urgent and not _is_open(day, saturday):
        day -= dt.timedelta(days=max(0, day.weekday() - _FRIDAY) + draw.below(5))
        while not _is_open(day, saturday):
            day -= dt.timedelta(days=1)
    hour = hour_of(_URGENT if urgent else _PLANNED, draw)
    at = dt.datetime.combine(day, dt.time(hour, draw.below(60), draw.below(60)))
    while after is not None and (at <= after or not (urgent or _is_open(at.date(), saturday))):
        at += dt.timedelta(days=1)
    return at


def is_planned(at: dt.datetime) -> bool:
    """Whether examinations that were planned take place at such a time; emergencies do too."""
    return _is_open(at.date(), saturday=True) and _PLANNED[at.hour] > 0


def _is_open(day: dt.date, saturday: bool) -> bool:
    return (day.month, day.day) not in _FREE_DAYS and day.weekday() <= _FRIDAY + saturday
