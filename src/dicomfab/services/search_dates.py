"""Dates as people write them, as a DA key of C-FIND (PS3.4 C.2.2.2.5.1)."""

from __future__ import annotations

import datetime
import re

from dicomfab.model.errors import InvalidInput

#: What is offered where dates are asked for.
SHORTCUTS = ("today", "yesterday", "last 7 days", "last 30 days", "this week", "this month")
_LAST_DAYS = re.compile(r"last ([1-9][0-9]{0,3}) days?")
_DICOM_RANGE = re.compile(r"(\d{8})?-(\d{8})?")
_DAY = datetime.timedelta(days=1)

Days = tuple[datetime.date | None, datetime.date | None]


def key(text: str, today: datetime.date, field: str) -> str:
    """``YYYYMMDD``, ``YYYYMMDD-YYYYMMDD``, open on either side, or blank.

    Args:
        text: a date, ``A..B`` (either side may be missing), or one of :data:`SHORTCUTS`; ``last N days`` ends today
            and has N days, weeks begin on Monday.
        today: what the shortcuts count from.
        field: for the error.

    Raises:
        InvalidInput: it is none of these.
    """
    first, last = days(text, today, field)
    return join(first, last, field, text)


def join(first: datetime.date | None, last: datetime.date | None, field: str, given: str) -> str:
    """A range as a key.

    Raises:
        InvalidInput: the last day is before the first.
    """
    if first and last and first > last:
        raise InvalidInput(
            f"{field}: {given} is before {first:%Y-%m-%d}"
            if ".." not in given
            else f"{field}: {given} ends before it begins",
            field=field,
            value=given,
            cause="the two dates are swapped",
            remedy="give the earlier date first",
        )
    start, end = (day.isoformat().replace("-", "") if day else "" for day in (first, last))
    return start if start == end else f"{start}-{end}"


def days(text: str, today: datetime.date, field: str) -> Days:
    """First and last day of what was written; ``None`` where it is open.

    Raises:
        InvalidInput: it cannot be read.
    """
    wanted = " ".join(text.strip().lower().replace("-", " ").split()) if text.strip()[:1].isalpha() else text.strip()
    if not wanted:
        return None, None
    named = _named(wanted, today)
    if named is not None:
        return named
    if ".." in wanted:
        start, _, end = wanted.partition("..")
        return _day(start, today, field), _day(end, today, field)
    written = _DICOM_RANGE.fullmatch(wanted)
    if written and wanted != "-":
        return _day(written[1] or "", today, field), _day(written[2] or "", today, field)
    day = _day(wanted, today, field)
    return day, day


def _named(text: str, today: datetime.date) -> Days | None:
    if text == "today":
        return today, today
    if text == "yesterday":
        return today - _DAY, today - _DAY
    if text == "this week":
        return today - today.weekday() * _DAY, today
    if text == "this month":
        return today.replace(day=1), today
    last = _LAST_DAYS.fullmatch(text)
    return (today - (int(last[1]) - 1) * _DAY, today) if last else None


def _day(text: str, today: datetime.date, field: str) -> datetime.date | None:
    text = text.strip()
    if not text:
        return None
    if text in ("today", "yesterday"):
        return today if text == "today" else today - _DAY
    for pattern in ("%Y-%m-%d", "%Y%m%d"):
        try:
            return datetime.datetime.strptime(text, pattern).date()  # noqa: DTZ007
        except ValueError:
            continue
    raise InvalidInput(
        f"{field}: {text!r} is not a date",
        field=field,
        value=text,
        cause="dates are YYYY-MM-DD or YYYYMMDD, alone or as A..B, or one of: " + ", ".join(SHORTCUTS),
        remedy="for example 2026-01-31, 2026-01-01..2026-01-31 or yesterday",
    )
