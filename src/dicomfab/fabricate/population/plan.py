"""The studies of a population, patient by patient in order of time; nothing is held of what came before."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from dicomfab.fabricate.population import patients
from dicomfab.fabricate.population.calendar import is_planned, moment
from dicomfab.fabricate.population.carriers import can_carry
from dicomfab.fabricate.population.patients import Life, Visit
from dicomfab.fabricate.population.recipe import PopulationRecipe
from dicomfab.fabricate.population.series import entries
from dicomfab.fabricate.population.sites import Site, sites
from dicomfab.fabricate.recipe import ResolvedStudy, StudyRecipe
from dicomfab.fabricate.resolve import resolve
from dicomfab.fabricate.scripts import LATIN
from dicomfab.fabricate.seeds import SEED_LIMIT, Draw, derive
from dicomfab.fabricate.study import count
from dicomfab.model.errors import InvalidInput
from dicomfab.model.order import RequestAttributes

_AT_HOME_PERCENT: Final = 85
_ORDERED_PERCENT: Final = 94


@dataclass(frozen=True, slots=True)
class PlannedStudy:
    """One study of a population.

    Args:
        patient: number of the patient, from 0.
        number: of the study among those of the patient, from 0.
        exam: name of the examination.
        modality: as a mix names it.
        study: with everything decided.
    """

    patient: int
    number: int
    exam: str
    modality: str
    study: ResolvedStudy

    @property
    def instances(self) -> int:
        """How many it has."""
        return count(self.study)


def studies(recipe: PopulationRecipe, first: int = 0, end: int | None = None) -> Iterator[PlannedStudy]:
    """The studies of the patients from ``first`` to before ``end``, those of each in order of time.

    Args:
        recipe: a resolved one, see :func:`dicomfab.fabricate.population.resolve.resolve`.
        first: number of the first patient.
        end: number after the last; all if ``None``.
    """
    for number in range(first, recipe.patients if end is None else end):
        yield from of_patient(recipe, number)


def of_patient(recipe: PopulationRecipe, number: int) -> Iterator[PlannedStudy]:
    """The studies of one patient, in order of time."""
    life = patients.life(recipe, number)
    places = sites(_seed(recipe), recipe.sites)
    home = Draw(_seed(recipe), "home", number).choice(places)
    begun: dt.datetime | None = None
    at: dt.datetime | None = None
    for index, visit in enumerate(life.visits):
        draw = Draw(_seed(recipe), "study", number, index)
        site = home if draw.below(100) < _AT_HOME_PERCENT else draw.choice(places)
        site = site if site.offers(visit.exam) else places[0]
        due = moment(visit.exam, visit.day, draw, at_night=site.is_open_at_night, after=at)
        if at is not None and due.date() > recipe.last_day:  # no day is left: at once, then
            due = at + dt.timedelta(minutes=1 + draw.below(5))
        at = due
        begun = begun or at
        study = _study(recipe, life, visit, site, draw, (number, index), (begun, at))
        yield PlannedStudy(number, index, visit.exam.name, visit.exam.modality, study)


def _seed(recipe: PopulationRecipe) -> int:
    assert recipe.seed is not None
    return recipe.seed


def _study(
    recipe: PopulationRecipe,
    life: Life,
    visit: Visit,
    site: Site,
    draw: Draw,
    numbers: tuple[int, int],
    times: tuple[dt.datetime, dt.datetime],
) -> ResolvedStudy:
    begun, at = times
    series = entries(
        visit.exam,
        site,
        draw,
        script=life.script,
        on=at.date(),
        visit=visit.before,
        images=recipe.images,
        slices=recipe.slices,
    )
    kinds = tuple(dict.fromkeys(one.kind for one in series))
    serial, title = patients.serial(*numbers), site.title(visit.exam, draw)
    wanted = StudyRecipe(
        series=series,
        patient=life.patient,
        seed=derive(_seed(recipe), "study seed", *numbers) % SEED_LIMIT,
        accession_number=site.accession(at.year, serial),
        study_date=at.strftime("%Y%m%d"),
        study_time=at.strftime("%H%M%S"),
        study_description=title,
        referring_physician=site.physician("referring", life.script, draw, pool=40) if draw.below(100) < 94 else "",
        script=None if life.script == LATIN else life.script,
        course_months=max(0, (at.year - begun.year) * 12 + at.month - begun.month - (at.day < begun.day)),
        order=_order(serial, title, site.protocol(visit.exam, draw), draw) if is_planned(at) else None,
        defects=_defects(recipe, kinds, numbers),
    )
    return _resolved(wanted, at)


def _order(serial: int, title: str, protocol: str, draw: Draw) -> RequestAttributes | None:
    """What was asked for; of some studies, their device was not told."""
    if draw.below(100) >= _ORDERED_PERCENT:
        return None
    return RequestAttributes(
        requested_procedure_id=f"RP{serial:08d}",
        requested_procedure_description=title,
        scheduled_step_id=f"SPS{serial:08d}",
        scheduled_step_description=protocol,
    )


def _resolved(wanted: StudyRecipe, at: dt.datetime) -> ResolvedStudy:
    """The study, with those of its defects that it can have: some want more instances or series than it may have."""
    try:
        return resolve(wanted, now=at, draw_seed=lambda: 0)
    except InvalidInput as error:
        if not wanted.defects or error.field != "defects":
            raise
    fitting: tuple[str, ...] = ()
    for name in wanted.defects:
        if _fits(dataclasses.replace(wanted, defects=(*fitting, name)), at):
            fitting = (*fitting, name)
    return resolve(dataclasses.replace(wanted, defects=fitting), now=at, draw_seed=lambda: 0)


def _fits(wanted: StudyRecipe, at: dt.datetime) -> bool:
    try:
        resolve(wanted, now=at, draw_seed=lambda: 0)
    except InvalidInput:
        return False
    return True


def _defects(recipe: PopulationRecipe, kinds: tuple[str, ...], numbers: tuple[int, int]) -> tuple[str, ...]:
    """Those drawn by their rates that a study of these kinds can have."""
    return tuple(
        name
        for name, rate in recipe.defects
        if Draw(_seed(recipe), "defect", name, *numbers).between(0, 1) < rate and can_carry(name, kinds)
    )


def summary(recipe: PopulationRecipe) -> dict[str, Any]:
    """What a population will be, counted; nothing is made, and nothing but counts is held."""
    totals: Counter[str] = Counter()
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("modalities", "exams", "years", "sexes", "defects")}
    for planned in studies(recipe):
        totals.update(studies=1, instances=planned.instances)
        counts["modalities"][planned.modality] += 1
        counts["exams"][planned.exam] += 1
        counts["years"][planned.study.study_date[:4]] += 1
        counts["defects"].update(planned.study.defects)
        if planned.number == 0:
            counts["sexes"][planned.study.patient.sex] += 1
    return {
        "patients": recipe.patients,
        "studies": totals["studies"],
        "instances": totals["instances"],
        **{name: dict(sorted(found.items())) for name, found in counts.items()},
    }
