"""When a cron expression is due, by the clock of a place.

Five fields: minute, hour, day of month, month, day of week, as Debian's cron reads them. A time that the clock leaps
over when summer time begins is due at the end of the leap; one that it passes twice when summer time ends is due once.
Expressions that begin with stars for minute or hour go by elapsed time, and so are due in both hours.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from dicomfab.model.errors import InvalidInput

_FIELDS: Final = 5
_ZONES: Final = "zoneinfo/"


def next_time(cron: str, time_zone: str, after: datetime) -> datetime:
    """The first moment after another one at which an expression is due.

    Args:
        cron: five fields, such as ``0 2 * * *``.
        time_zone: IANA name of the zone whose clock is meant, such as ``Europe/Berlin``.
        after: with time zone.

    Returns:
        In UTC.

    Raises:
        InvalidInput: the expression cannot be read or is never due, or there is no such time zone.
    """
    zone = zone_of(time_zone)
    if len(cron.split()) != _FIELDS:
        raise _unusable(cron, f"it has {len(cron.split())} fields instead of {_FIELDS}")
    try:
        # When summer time ends, what is due in the hour that comes twice is found again in the second one.
        return next(moment for due in CronSim(cron, after.astimezone(zone)) if (moment := due.astimezone(UTC)) > after)
    except CronSimError as error:
        raise _unusable(cron, str(error).lower()) from error
    except StopIteration:
        raise _unusable(cron, "it is never due") from None


def local_time_zone(*, root: Path = Path("/")) -> str:
    """The IANA name of this machine's time zone: of ``TZ``, or of what ``/etc/localtime`` leads to; else UTC.

    Args:
        root: where ``etc`` is looked for.

    Raises:
        InvalidInput: the machine has a time zone, but none that can be named.
    """
    if named := os.environ.get("TZ", "").removeprefix(":"):
        return zone_of(named).key
    link = root / "etc/localtime"
    if not link.exists():
        return "UTC"
    _, found, name = str(Path(os.path.realpath(link))).rpartition(_ZONES)
    file = root / "etc/timezone"
    if not found:
        name = file.read_text("utf-8").strip() if file.exists() else ""
    return zone_of(name).key


def zone_of(name: str) -> ZoneInfo:
    """The time zone of an IANA name.

    Raises:
        InvalidInput: it is not known here.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: a folder of the database, such as Europe
        raise InvalidInput(
            f"time_zone: {name!r} is not known here",
            field="time_zone",
            value=name,
            cause="it is mistyped, or this machine has no time zone database",
            remedy="a name such as Europe/Berlin, America/New_York or UTC; on Debian: apt install tzdata",
        ) from error


def _unusable(cron: str, why: str) -> InvalidInput:
    return InvalidInput(
        f"cron: {cron!r} cannot be used: {why}",
        field="cron",
        value=cron,
        cause="five fields are needed: minute, hour, day of month, month, day of week",
        remedy="for instance '0 2 * * *' (every night at 2:00) or '*/15 8-17 * * 1-5'",
    )
