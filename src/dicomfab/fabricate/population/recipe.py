"""What a population is to be: as asked for, checked by name before anything is made."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

from dicomfab.fabricate import checks, defects
from dicomfab.fabricate.kinds import ALL_KINDS, KINDS, OBJECTS
from dicomfab.fabricate.population.exams import COMPANIONS, EXAMS, MODALITIES, Exam, of_kind
from dicomfab.fabricate.scripts import LATIN, SCRIPTS
from dicomfab.fabricate.seeds import SEED_LIMIT
from dicomfab.model.errors import InvalidInput

Weights = tuple[tuple[str, float], ...]

MAX_PATIENTS: Final = 1_000_000
MAX_STUDIES_EACH: Final = 50
MAX_YEARS: Final = 40
MAX_SITES: Final = 4
IMAGES: Final = ("full", "small")
DEFAULT_MIX: Final[Weights] = (
    ("DX", 30.0), ("CR", 8.0), ("CT", 26.0), ("MR", 13.0), ("US", 12.0), ("MG", 6.0), ("PT", 3.0), ("NM", 2.0),
)  # fmt: skip


@dataclass(frozen=True)
class PopulationRecipe:
    """A population as asked for.

    Args:
        patients: how many.
        studies_per_patient: fewest and most.
        mix: modality or kind, and its share; the shares need not sum to anything.
        years: that the studies lie in, up to ``end_date``.
        seed: 0 to 2**63 - 1; ``None`` to draw one.
        end_date: ``YYYYMMDD``, the last day; ``None`` for today.
        scripts: that names are written in, and their shares.
        defects: name and the part of the studies that has it, of those that can, from 0 to 1.
        images: ``full``, or ``small`` for small pictures without anatomy.
        slices: of each series of slices; ``None`` leaves it to the kind, or is 3 if images are small.
        sites: institutions, 1 to 4.
    """

    patients: int = 100
    studies_per_patient: tuple[int, int] = (1, 5)
    mix: Weights = DEFAULT_MIX
    years: int = 10
    seed: int | None = None
    end_date: str | None = None
    scripts: Weights = ((LATIN, 1.0),)
    defects: Weights = ()
    images: str = "full"
    slices: int | None = None
    sites: int = 3

    @cached_property
    def exams(self) -> tuple[tuple[Exam, float], ...]:
        """Every examination of the mix with its share; these sum to 1."""
        found: dict[str, tuple[Exam, float]] = {}
        for name, weight in self.mix:
            rows = [row for row in EXAMS.values() if name in (row.modality, row.name)] or [of_kind(name)]
            if self.images == "small":  # of a modality, only what can be small, if anything can
                rows = [row for row in rows if all(_is_small(kind) for kind in row.kinds)] or rows
            of = sum(row.share for row in rows)
            for row in rows:
                before = found.get(row.name, (row, 0.0))[1]
                found[row.name] = row, before + weight * row.share / of
        total = sum(weight for _, weight in found.values())
        return tuple((row, weight / total) for row, weight in found.values() if weight > 0)

    @property
    def last_day(self) -> dt.date:
        """``end_date`` of a resolved recipe."""
        return dt.date.fromisoformat(self.end_date or "")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them; :meth:`from_dict` takes them back."""
        plain = dataclasses.asdict(self)
        shares = {name: dict(plain[name]) for name in _SHARES}
        return {**plain, **shares, "studies_per_patient": list(self.studies_per_patient)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PopulationRecipe:
        """Take back what :meth:`as_dict` gave."""
        low, high = values["studies_per_patient"]
        shares = {name: tuple(values[name].items()) for name in _SHARES}
        return cls(**{**values, **shares, "studies_per_patient": (low, high)})


_SHARES: Final = ("mix", "scripts", "defects")


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
    end = today.strftime("%Y%m%d") if recipe.end_date is None else checks.date(recipe.end_date, field="end_date")
    if int(end[:4]) - recipe.years < 1950:
        raise _refused("years", recipe.years, f"they begin before 1950, {recipe.years} years before {end}")
    seed = draw_seed() if recipe.seed is None else recipe.seed
    checks.whole(seed, field="seed", low=0, high=SEED_LIMIT - 1)
    resolved = dataclasses.replace(recipe, seed=seed, end_date=end)
    _check_defects(resolved)
    return resolved


def _is_small(kind: str) -> bool:
    return kind in OBJECTS or "small" in KINDS[kind].looks


def can_carry(name: str, kinds: tuple[str, ...]) -> bool:
    """Whether a study of these kinds can have a defect."""
    return _refusal(name, kinds) is None


@lru_cache(maxsize=4096)
def _refusal(name: str, kinds: tuple[str, ...]) -> InvalidInput | None:
    try:
        defects.checked((name,), kinds)
    except InvalidInput as error:
        return error
    return None


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
    if len({name for name, _ in weights}) < len(weights):
        raise _refused(field, ", ".join(name for name, _ in weights), "a name is there twice")
    if not sum(value for _, value in weights) > 0:
        raise _refused(field, ",".join(f"{name}={value:g}" for name, value in weights), "the shares sum to 0")


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


def _check_defects(recipe: PopulationRecipe) -> None:
    """Each has to be known, and at least one examination of the mix has to be able to have it."""
    for name, rate in recipe.defects:
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
            raise _refused("defects", f"{name}={rate}", "a rate is a number from 0 to 1")
        refusals = [_refusal(name, (*exam.kinds, *COMPANIONS)) for exam, _ in recipe.exams]
        if refusals and all(refusals):
            assert refusals[0] is not None
            raise refusals[0]


def _refused(field: str, value: object, cause: str) -> InvalidInput:
    return InvalidInput(
        f"{field}: {value} cannot be used", field=field, value=value, cause=cause, remedy=f"correct {field}"
    )
