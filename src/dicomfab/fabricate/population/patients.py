"""Who the patients are, and what they come for over the years."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from dicomfab.fabricate import people
from dicomfab.fabricate.population.exams import MONTH, Exam
from dicomfab.fabricate.population.names import fits
from dicomfab.fabricate.population.recipe import MAX_STUDIES_EACH, PopulationRecipe, Weights
from dicomfab.fabricate.seeds import Draw, derive
from dicomfab.model.study import Patient

_FOLLOW_UP_PERCENT: Final = 65
_OTHER_DAYS: Final = (3.0, 20 * MONTH)
# Odd and no multiple of 5, so that n -> n * _SCATTER mod 10**8 gives no number twice.
_SCATTER: Final = 61_803_399
_YEAR_DAYS: Final = 365.25
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
    # Who has the examination with the narrowest ages decides about the age, who has one for women only about the sex.
    first = min(visits, key=lambda visit: visit.exam.ages.high - visit.exam.ages.low).exam
    female = max(visit.exam.female for visit in visits)
    female = female if female == 1 else visits[0].exam.female
    sex = "F" if draw.between(0, 1) < female else "M"
    born = _birth(first, visits, draw)
    script = str(_weighted(recipe.scripts, draw))
    return Life(_person(recipe.seed, number, born, sex, script), script, visits)


def _course(recipe: PopulationRecipe, count: int, draw: Draw) -> tuple[list[Exam], list[float]]:
    """Examinations, and days from each to the next: the same again as a follow-up, or another."""
    exams, gaps = [_exam(recipe, draw)], [0.0]
    for _ in range(count - 1):
        if draw.below(100) < _FOLLOW_UP_PERCENT:
            exams.append(exams[-1])
            low, high = exams[-1].follow_up_days
        else:
            exams.append(_exam(recipe, draw))
            low, high = _OTHER_DAYS
        gaps.append(low * (high / low) ** draw.between(0, 1))
    return exams, gaps


def _exam(recipe: PopulationRecipe, draw: Draw) -> Exam:
    at, until = draw.between(0, 1), 0.0
    for exam, share in recipe.exams:
        until += share
        if at < until:
            return exam
    return recipe.exams[-1][0]


def _dated(exams: Sequence[Exam], gaps: Sequence[float], recipe: PopulationRecipe, draw: Draw) -> tuple[Visit, ...]:
    """Visits within the years of the recipe; a course that is longer than they are is made shorter."""
    window = recipe.years * _YEAR_DAYS - 2 * _ROOM_DAYS
    length = sum(gaps)
    scale = min(1.0, window * 0.95 / length) if length else 1.0
    at = draw.between(0, window - length * scale)
    start = recipe.last_day - dt.timedelta(days=int(window) + _ROOM_DAYS)
    seen: dict[str, int] = {}
    visits = []
    for exam, gap in zip(exams, gaps, strict=True):
        at += gap * scale
        visits.append(Visit(exam, start + dt.timedelta(days=int(at)), seen.get(exam.name, 0)))
        seen[exam.name] = seen.get(exam.name, 0) + 1
    return tuple(visits)


def _birth(exam: Exam, visits: Sequence[Visit], draw: Draw) -> dt.date:
    """So that the age fits the examination at every visit for it, if the years leave room for that."""
    ages = exam.ages
    days = [visit.day for visit in visits if visit.exam is exam]
    age = _triangle(ages.low, ages.peak, ages.high, draw.between(0, 1))
    youngest = max(ages.low, 0.0)
    oldest = ages.high - (days[-1] - days[0]).days / _YEAR_DAYS
    age = max(min(age, oldest), youngest)
    born = days[0] - dt.timedelta(days=round(age * _YEAR_DAYS))
    return min(born, visits[0].day - dt.timedelta(days=30))


def _triangle(low: float, peak: float, high: float, at: float) -> float:
    turn = (peak - low) / (high - low)
    if at < turn:
        return float(low + ((high - low) * (peak - low) * at) ** 0.5)
    return float(high - ((high - low) * (high - peak) * (1 - at)) ** 0.5)


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
    at = draw.between(0, sum(value for _, value in weights))
    for name, value in weights:
        at -= value
        if at < 0:
            return name
    return next(name for name, value in reversed(weights) if value > 0)


def serial(patient: int, study: int) -> int:
    """A number below 10**8 that no other study of a population has; neighbours are far apart."""
    return (patient * MAX_STUDIES_EACH + study) * _SCATTER % 10**8
