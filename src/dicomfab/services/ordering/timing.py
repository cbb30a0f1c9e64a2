"""When a simulated examination begins, when each of its series is acquired, and when it is over."""

from __future__ import annotations

import datetime as dt
import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from dicomfab.model.errors import Interrupted
from dicomfab.services.progress import Cancelled

if TYPE_CHECKING:
    from pydicom import Dataset

    from dicomfab.fabricate.recipe import ResolvedStudy

_PAIRS: Final = (("SeriesDate", "SeriesTime"), ("AcquisitionDate", "AcquisitionTime"), ("ContentDate", "ContentTime"))
_DATE_TIME: Final = re.compile(r"([0-9]{8})([0-9]{2})([0-9]{2})([0-9]{2})(\.[0-9]{1,6})?")
#: Times of MPPS have whole seconds, and its end must not lie before the last image.
_MARGIN_S: Final = 1.0
_SLICE_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Turn:
    """One series being acquired, in seconds after the study's own beginning.

    Args:
        modality: of the series.
        instances: how many.
        begins_s: its SeriesTime.
        ends_s: the last time that any of its attributes names.
    """

    modality: str
    instances: int
    begins_s: float
    ends_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """An examination on the clock.

    Args:
        study: with its date and time.
        begins: start of the performed procedure step.
        turns: by the time at which they begin.
        begins_s: the first of it, after the study's own beginning; more than 0 for what comes to a study later.
        pace: see :class:`~dicomfab.services.ordering.modality_config.ModalityConfig`.
    """

    study: ResolvedStudy
    begins: dt.datetime
    turns: tuple[Turn, ...]
    begins_s: float
    pace: float

    def wait_s(self, after_s: float) -> float:
        """How long a moment of the study is waited for, from the start of the step on."""
        return (after_s - self.begins_s) / self.pace if self.pace else 0.0

    @property
    def ends_s(self) -> float:
        """The last time in the study, after its own beginning."""
        return max(turn.ends_s for turn in self.turns)


def planned(study: ResolvedStudy, pace: float, now: dt.datetime) -> Plan:
    """Put a study on the clock, so that it is over when it has been waited for.

    What is not waited for lies before now: an examination never ends in the future.

    Args:
        study: as resolved; what its date and time are is decided here.
        pace: 1 waits as long as it takes in reality, 10 a tenth of that, 0 not at all.
        now: local time.
    """
    turns = tuple(sorted(_turns(study), key=lambda turn: turn.begins_s))
    begins_s = turns[0].begins_s if study.added_to is not None else 0.0
    takes_s = max(turn.ends_s for turn in turns) - begins_s
    begins = now - dt.timedelta(seconds=takes_s * (1 - (1 / pace if pace else 0.0)) + _MARGIN_S)
    begins = begins.replace(microsecond=0)
    zero = (begins - dt.timedelta(seconds=begins_s)).replace(microsecond=0)
    timed = replace(study, study_date=zero.strftime("%Y%m%d"), study_time=zero.strftime("%H%M%S"))
    return Plan(timed, begins, turns, begins_s, pace)


def wait(until: float, stopped: Cancelled) -> None:
    """Wait for a moment.

    Args:
        until: of :func:`time.monotonic`.
        stopped: asked all the while.

    Raises:
        Interrupted: it is to stop.
    """
    while not stopped():
        left = until - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(left, _SLICE_S))
    raise Interrupted("the modality was stopped")


def _turns(study: ResolvedStudy) -> list[Turn]:
    from dicomfab.fabricate.planning import plans

    # At midnight, because a fabricated time of day is never later than the day.
    early = replace(study, study_time="000000")
    midnight = dt.datetime.strptime(early.study_date, "%Y%m%d")  # noqa: DTZ007 - only differences are taken
    found = []
    for plan in plans(early, 1):
        first, last = plan.attributes(0), plan.attributes(plan.count - 1)
        seconds = [(one - midnight).total_seconds() for one in (*_moments(first), *_moments(last))]
        begun = _pair(first, "SeriesDate", "SeriesTime") or midnight
        begins_s = max((begun - midnight).total_seconds(), 0.0)
        found.append(Turn(str(first.Modality), plan.count, begins_s, max(*seconds, begins_s)))
    return found


def _moments(ds: Dataset) -> list[dt.datetime]:
    found = [_pair(ds, *pair) for pair in _PAIRS]
    for element in ds.iterall():
        if element.VR == "DT" and element.value:
            values = [element.value] if isinstance(element.value, str) else element.value
            found += [_moment(str(value)) for value in values]
    return [one for one in found if one is not None]


def _pair(ds: Dataset, date: str, at: str) -> dt.datetime | None:
    if not ds.get(at):
        return None
    return _moment(str(ds.get(date) or ds.get("SeriesDate")) + str(ds.get(at)))


def _moment(text: str) -> dt.datetime | None:
    """Of ``YYYYMMDDHHMMSS.FFFFFF``; ``None`` for what is less exact."""
    found = _DATE_TIME.match(text)
    if found is None:
        return None
    day, *clock, fraction = found.groups()
    whole = dt.datetime.strptime(day + "".join(clock), "%Y%m%d%H%M%S")  # noqa: DTZ007 - only differences are taken
    return whole + dt.timedelta(seconds=float(fraction or 0))
