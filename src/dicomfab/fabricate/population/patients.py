"""Who the patients are, and what they come for over the years."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final

from dicomfab.fabricate import people
from dicomfab.fabricate.population.exams import MONTH, Ages, Exam
from dicomfab.fabricate.population.names import fits
from dicomfab.fabricate.population.recipe import MAX_STUDIES_EACH, PopulationRecipe, Weights
from dicomfab.fabricate.seeds import Draw, derive
from dicomfab.model.study import Patient

_FOLLOW_UP_PERCENT: Final = 65
_OTHER_DAYS: Final = (3.0, 20 * MONTH)
# Odd and no multiple of 5, so that n -> n * _SCATTER mod 10**8 gives no number twice.
_SCATTER: Final = 61_803_399
_YEAR_DAYS: Final = 365.25
_MOVED_DAYS: Final = 30  # that a visit may be before or after it is due, and more
_ROOM_DAYS: Final = 14  # at both ends, for visits that take place some days before or after they are due


@dataclass(frozen=True, slots=True)
class Visit:
    """That a patient comes for an examination.

    Args:
        exam: what is done.
        day: when it is due.
        before: how many of the same were done before.
    """

    exam: Exam
    day: dt.date
    before: int


@dataclass(frozen=True, slots=True)
class Life:
    """A patient with all visits, in order.

    Args:
        patient: who it is.
        script: that the name is written in.
        visits: one at least.
    """

    patient: Patient
    script: str
    visits: tuple[Visit, ...]


def life(recipe: PopulationRecipe, number: int) -> Life:
    """The patient of a number, from 0.

    Args:
        recipe: a resolved one.
        number: below ``recipe.patients``.
    """
    assert recipe.seed is not None
    draw = Draw(recipe.seed, "patient", number)
    low, high = recipe.studies_per_patient
    exams, gaps = _course(recipe, low + draw.below(high - low + 1), draw)
    visits = _dated(exams, gaps, recipe, draw)
    # Who has an examination for women only is one; else the first decides.
    female = 1.0 if any(exam.female == 1 for exam in exams) else exams[0].female
    sex = "F" if draw.between(0, 1) < female else "M"
    born = _birth(visits, draw)
    script = str(_weighted(recipe.scripts, draw))
    return Life(_person(recipe.seed, number, born, sex, script), script, visits)


def _course(recipe: PopulationRecipe, count: int, draw: Draw) -> tuple[list[Exam], list[float]]:
    """Examinations, and days from each to the next: the same again as a follow-up, or another."""
    exams, gaps = [_exam(recipe, draw)], [0.0]
    at = 0.0
    last = {exams[0].name: at}
    for _ in range(count - 1):
        exam = exams[-1] if draw.below(100) < _FOLLOW_UP_PERCENT else _exam(recipe, draw)
        passed = at - last.get(exam.name, at)
        gap = _days(exam.follow_up_days if exam.name in last else _OTHER_DAYS, draw) - passed
        if passed and gap < _OTHER_DAYS[0]:  # what is due already can be at any time
            gap = _days(_OTHER_DAYS, draw)
        gaps.append(gap)
        at += gap
        last[exam.name] = at
        exams.append(exam)
    return exams, gaps


def _days(ends: tuple[float, float], draw: Draw) -> float:
    low, high = ends
    return float(low * (high / low) ** draw.between(0, 1))


def _exam(recipe: PopulationRecipe, draw: Draw) -> Exam:
    at, until = draw.between(0, 1), 0.0
    for exam, share in recipe.exams:
        until += share
        if at < until:
            return exam
    return recipe.exams[-1][0]


def _dated(exams: Sequence[Exam], gaps: Sequence[float], recipe: PopulationRecipe, draw: Draw) -> tuple[Visit, ...]:
    """Visits within the years of the recipe and of the ages; a course that is longer is made shorter."""
    window = recipe.years * _YEAR_DAYS - 2 * _ROOM_DAYS
    times = list(accumulate(gaps))
    scale = min(1.0, window * 0.95 / times[-1] if times[-1] else 1.0, _within_ages(exams, times))
    begun = draw.between(0, window - times[-1] * scale)
    start = recipe.last_day - dt.timedelta(days=int(window) + _ROOM_DAYS)
    seen: Counter[str] = Counter()
    visits = []
    for exam, time in zip(exams, times, strict=True):
        visits.append(Visit(exam, start + dt.timedelta(days=int(begun + time * scale)), seen[exam.name]))
        seen[exam.name] += 1
    return tuple(visits)


def _within_ages(exams: Sequence[Exam], times: Sequence[float]) -> float:
    """What to multiply times with, so that somebody can have the age for all of them."""
    pairs = itertools.combinations(zip(exams, times, strict=True), 2)
    spans = (
        (then - time, (later.ages.high - exam.ages.low) * _YEAR_DAYS - 2 * _MOVED_DAYS - 1)
        for (exam, time), (later, then) in pairs
    )
    return min((most / days for days, most in spans if days > most), default=1.0)


def _birth(visits: Sequence[Visit], draw: Draw) -> dt.date:
    """So that the age fits at every visit; the examination with the narrowest ages decides which is how frequent."""
    born = [_days_of_birth(visit) for visit in visits]
    first, last = max(low for low, _ in born), min(high for _, high in born)
    deciding = min(visits, key=lambda visit: visit.exam.ages.high - visit.exam.ages.low)
    ages, day = deciding.exam.ages, deciding.day.toordinal()
    youngest, oldest = (day - last) / _YEAR_DAYS, (day - first) / _YEAR_DAYS
    part = draw.between(_part(ages, youngest), _part(ages, oldest))
    return dt.date.fromordinal(day - round(_age(ages, part) * _YEAR_DAYS))


def _days_of_birth(visit: Visit) -> tuple[float, float]:
    """The first and the last on which somebody was born who has the age for a visit, also if it is moved a little."""
    day, ages = visit.day.toordinal(), visit.exam.ages
    return day - ages.high * _YEAR_DAYS + _MOVED_DAYS, day - ages.low * _YEAR_DAYS - _MOVED_DAYS


def _age(ages: Ages, part: float) -> float:
    """The age that this part of those who have an examination is younger than."""
    low, peak, high = ages.low, ages.peak, ages.high
    if part < (peak - low) / (high - low):
        return float(low + ((high - low) * (peak - low) * part) ** 0.5)
    return float(high - ((high - low) * (high - peak) * (1 - part)) ** 0.5)


def _part(ages: Ages, age: float) -> float:
    """The other way round."""
    low, peak, high = ages.low, ages.peak, ages.high
    if age < peak:
        return max(age - low, 0.0) ** 2 / ((high - low) * (peak - low))
    return 1 - max(high - age, 0.0) ** 2 / ((high - low) * (high - peak))


def _person(seed: int, number: int, born: dt.date, sex: str, script: str) -> Patient:
    name = _name(seed, number, sex, script)
    own = derive(seed, "population")
    patient_id = f"SYN{own % 10_000:04d}{(own + number * _SCATTER) % 10**8:08d}"
    return replace(name, patient_id=patient_id, birth_date=born.strftime("%Y%m%d"), sex=sex)


def _name(seed: int, number: int, sex: str, script: str) -> Patient:
    """Somebody whom :func:`~dicomfab.fabricate.people.invent` invents, of the sex that is wanted."""
    drawn = (people.invent(derive(seed, "name", number, attempt), _ANY_DAY, script) for attempt in itertools.count())
    return next(one for one in drawn if one.sex == sex and fits(one.name, script))


_ANY_DAY: Final = dt.date(2020, 1, 1)


def _weighted(weights: Weights, draw: Draw) -> str:
    at = draw.between(0, 1) * sum(value for _, value in weights)
    for name, value in weights:
        at -= value
        if at < 0:
            return name
    return next(name for name, value in reversed(weights) if value > 0)


def serial(patient: int, study: int) -> int:
    """A number below 10**8 that no other study of a population has; neighbours are far apart."""
    return (patient * MAX_STUDIES_EACH + study) * _SCATTER % 10**8
