"""Which defects studies of a population can have: by their kinds, and by how many series and instances they have."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from functools import lru_cache

from dicomfab.fabricate import defects
from dicomfab.fabricate.population.exams import Exam
from dicomfab.fabricate.population.recipe import PopulationRecipe
from dicomfab.fabricate.population.series import Everything, entries
from dicomfab.fabricate.population.sites import Site, sites
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.fabricate.resolve import resolve
from dicomfab.fabricate.scripts import LATIN
from dicomfab.model.errors import InvalidInput


def check(recipe: PopulationRecipe) -> None:
    """Each defect has to be known, and some study of the population has to be able to have it.

    Raises:
        InvalidInput: naming the field.
    """
    for name, _ in recipe.defects:
        refusal = None
        for series in _studies(recipe):
            refusal = _refusal(name, series, recipe.last_day)
            if refusal is None:
                break
        if refusal is not None:
            raise refusal


def _studies(recipe: PopulationRecipe) -> Iterator[tuple[SeriesRecipe, ...]]:
    """The most that a study can have, of each examination and institution."""
    assert recipe.seed is not None
    places = sites(recipe.seed, recipe.sites)
    return (
        _most(recipe, exam, site)
        for exam, _ in recipe.exams
        for site in places
        if site.offers(exam) or site is places[0]
    )


def _most(recipe: PopulationRecipe, exam: Exam, site: Site) -> tuple[SeriesRecipe, ...]:
    return entries(
        exam,
        site,
        Everything(0),
        script=LATIN,
        on=recipe.last_day,
        visit=recipe.studies_per_patient[1] - 1,
        images=recipe.images,
        slices=recipe.slices,
    )


@lru_cache(maxsize=4096)
def can_carry(name: str, kinds: tuple[str, ...]) -> bool:
    """Whether a study of these kinds can have a defect, if there are enough of them."""
    try:
        defects.checked((name,), kinds)
    except InvalidInput:
        return False
    return True


def _refusal(name: str, series: tuple[SeriesRecipe, ...], on: dt.date) -> InvalidInput | None:
    at = dt.datetime.combine(on, dt.time(12))
    try:
        resolve(StudyRecipe(series=series, seed=0, defects=(name,)), now=at, draw_seed=lambda: 0)
    except InvalidInput as error:
        if error.field != "defects":
            raise
        return error
    return None
