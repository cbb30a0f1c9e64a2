"""Dates and ages that contradict each other (PS3.3 C.7.1, C.7.2)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Final

from dicomfab.validity.dataset import label
from dicomfab.validity.findings import Problem, Rule, Severity, rule
from dicomfab.validity.instance import Instance
from dicomfab.validity.values import date

_BIRTH: Final = 0x00100030
_STUDY: Final = 0x00080020
_AGE: Final = 0x00101010
_LATER: Final = (0x00080021, 0x00080022, 0x00080023)  # series, acquisition, content
_DAYS: Final = {"D": 1.0, "W": 7.0, "M": 30.44, "Y": 365.25}


@rule("birth-date", "PS3.3 C.7.1.1", "correct PatientBirthDate or StudyDate")
def birth_date(instance: Instance) -> Iterator[Problem]:
    """Nobody is examined before birth, or 130 years after."""
    born, studied = _day(instance, _BIRTH), _day(instance, _STUDY)
    if born is None or studied is None:
        return
    if born > studied:
        yield Problem("born after the study", "PatientBirthDate", f"{born} after {studied}")
    elif (studied - born).days > 130 * 365.25:
        yield Problem("born more than 130 years before the study", "PatientBirthDate", f"{born}, study of {studied}")


@rule("age", "PS3.3 C.7.2.2", "write the age that follows from PatientBirthDate and StudyDate")
def age(instance: Instance) -> Iterator[Problem]:
    """PatientAge follows from birth date and study date, give or take one of its units."""
    born, studied, stated = _day(instance, _BIRTH), _day(instance, _STUDY), instance.string(_AGE)
    if born is None or studied is None or len(stated) != 4 or not stated[:3].isdigit() or stated[3] not in _DAYS:
        return
    lived = (studied - born).days / _DAYS[stated[3]]
    if lived >= 0 and not int(stated[:3]) - 1 <= lived < int(stated[:3]) + 2:
        yield Problem("does not follow from birth date and study date", "PatientAge", f"{stated}, born {born}")


@rule("date-order", "PS3.3 C.7.2.1", "correct the date that is wrong", Severity.WARNING)
def date_order(instance: Instance) -> Iterator[Problem]:
    """Series, acquisition and content are not older than their study."""
    studied = _day(instance, _STUDY)
    for tag in _LATER:
        made = _day(instance, tag)
        if studied is not None and made is not None and made < studied:
            yield Problem("before the study began", label(tag), f"{made}, study of {studied}")


def _day(instance: Instance, tag: int) -> dt.date | None:
    return date(instance.string(tag))


RULES: Final[tuple[Rule[Instance], ...]] = (birth_date, age, date_order)
