"""Populations are checked by name before anything is made, and what they leave open is decided."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections.abc import Callable, Sequence

from dicomfab.fabricate import checks
from dicomfab.fabricate.kinds import ALL_KINDS, KINDS
from dicomfab.fabricate.population import carriers
from dicomfab.fabricate.population.exams import EXAMS, MODALITIES
from dicomfab.fabricate.population.recipe import (
    IMAGES,
    MAX_PATIENTS,
    MAX_SITES,
    MAX_STUDIES_EACH,
    MAX_YEARS,
    PopulationRecipe,
    Weights,
)
from dicomfab.fabricate.scripts import LATIN, SCRIPTS
from dicomfab.fabricate.seeds import SEED_LIMIT
from dicomfab.model.errors import InvalidInput


def resolve(recipe: PopulationRecipe, *, today: dt.date, draw_seed: Callable[[], int]) -> PopulationRecipe:
    """Check a recipe and decide what it leaves open: seed and last day.

    Raises:
        InvalidInput: a value that cannot be used, by the name of its field; nothing is made.
    """
    checks.whole(recipe.patients, field="patients", low=1, high=MAX_PATIENTS)
    _check_range(recipe.studies_per_patient)
    checks.whole(recipe.years, field="years", low=1, high=MAX_YEARS)
    checks.whole(recipe.sites, field="sites", low=1, high=MAX_SITES)
    if recipe.slices is not None:
        checks.whole(recipe.slices, field="slices", low=1, high=1000)
    _check_one_of(recipe.images, IMAGES, "images")
    _check_weights(recipe.mix, "mix")
    for name, _ in recipe.mix:
        _check_mixed(name)
    _check_weights(recipe.scripts, "scripts")
    for name, _ in recipe.scripts:
        _check_one_of(name, (LATIN, *SCRIPTS), "scripts")
    _check_rates(recipe.defects)
    end = today.strftime("%Y%m%d") if recipe.end_date is None else checks.date(recipe.end_date, field="end_date")
    if int(end[:4]) - recipe.years < 1950:
        raise _refused("years", recipe.years, f"they begin before 1950, {recipe.years} years before {end}")
    seed = draw_seed() if recipe.seed is None else recipe.seed
    checks.whole(seed, field="seed", low=0, high=SEED_LIMIT - 1)
    resolved = dataclasses.replace(recipe, seed=seed, end_date=end)
    carriers.check(resolved)
    return resolved


def _check_range(given: tuple[int, int]) -> None:
    low, high = given
    for value in given:
        checks.whole(value, field="studies_per_patient", low=1, high=MAX_STUDIES_EACH)
    if low > high:
        raise _refused("studies_per_patient", f"{low}-{high}", "the first is more than the second")


def _check_weights(weights: Weights, field: str) -> None:
    for name, value in weights:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
            raise _refused(field, f"{name}={value}", "a share is a number from 0 on")
    _check_names(weights, field)
    total = sum(value for _, value in weights)
    if not 0 < total < math.inf:
        said = ",".join(f"{name}={value:g}" for name, value in weights)
        raise _refused(
            field, said, "the shares sum to 0" if total == 0 else "the shares sum to more than can be counted"
        )


def _check_names(weights: Weights, field: str) -> None:
    if len({name for name, _ in weights}) < len(weights):
        raise _refused(field, ", ".join(name for name, _ in weights), "a name is there twice")


def _check_mixed(name: str) -> None:
    if name in MODALITIES or name in KINDS or name in EXAMS:
        return
    cause = f"a mix names modalities ({', '.join(MODALITIES)}) or kinds of images (see: dicomfab recipe kinds)"
    if name in ALL_KINDS:
        cause = f"it is made of images and comes with them; {cause}"
    raise InvalidInput(
        f"mix: {name!r} is not known", field="mix", value=name, cause=cause, remedy="correct the name, or leave it out"
    )


def _check_one_of(value: str, known: Sequence[str], field: str) -> None:
    if value not in known:
        raise InvalidInput(
            f"{field}: {value!r} is not known",
            field=field,
            value=value,
            cause=f"known: {', '.join(known)}",
            remedy="name one of them",
        )


def _check_rates(rates: Weights) -> None:
    for name, rate in rates:
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
            raise _refused("defects", f"{name}={rate}", "a rate is a number from 0 to 1")
    _check_names(rates, "defects")


def _refused(field: str, value: object, cause: str) -> InvalidInput:
    return InvalidInput(
        f"{field}: {value} cannot be used", field=field, value=value, cause=cause, remedy=f"correct {field}"
    )
