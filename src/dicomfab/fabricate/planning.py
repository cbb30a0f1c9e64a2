"""What a study is made of, series by series, before anything is rendered."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dicomfab.fabricate.devices import describe
from dicomfab.fabricate.kinds import OBJECTS
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy

if TYPE_CHECKING:
    from dicomfab.fabricate.plan import Planned, SeriesPlan


def plans(study: ResolvedStudy, workers: int) -> Iterator[SeriesPlan]:
    """What the study is made of, in order; nothing is rendered before the pixels of a plan are iterated."""
    return (plan for _, _, plan in numbered(study, workers))


def numbered(study: ResolvedStudy, workers: int) -> Iterator[tuple[int, ResolvedSeries, SeriesPlan]]:
    """The same, each with the SeriesNumber of the first series that its entry becomes, and the entry."""
    from dicomfab.fabricate.plan import Planned

    number = 1 if study.added_to is None else study.added_to.last_series + 1
    before: list[Planned] = []
    for series in study.series:
        first = number
        for plan in _planned(study, series, first, workers, tuple(before)):
            before.append(Planned(series.kind, plan))
            yield first, series, plan
            number = int(plan.dataset.SeriesNumber) + 1


def _planned(
    study: ResolvedStudy, series: ResolvedSeries, number: int, workers: int, before: Sequence[Planned]
) -> Iterator[SeriesPlan]:
    from dicomfab.fabricate.cards import as_cards
    from dicomfab.fabricate.iods import family, object_family
    from dicomfab.fabricate.smalls import as_small

    if series.kind in OBJECTS:
        made = iter((object_family(series.kind).plan_object(study, series, number, before),))
    else:
        made = family(series.kind).plan(study, series, number, workers)
    for one in made:
        plan = dataclasses.replace(one, transfer_syntax_uid=series.transfer_syntax, quality=series.quality)
        if series.description:
            plan.dataset.SeriesDescription = series.description
        if series.device is not None:
            describe(plan.dataset, series.device)
        if series.style == "card":
            plan = as_cards(plan, study)
        elif series.style == "small":
            plan = as_small(plan)
        yield plan
