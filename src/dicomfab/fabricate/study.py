"""The instances of a resolved study, encoded, one after the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dicomfab.fabricate.devices import describe
from dicomfab.fabricate.instance import FabricatedInstance
from dicomfab.fabricate.kinds import ALL_KINDS, OBJECTS
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy

if TYPE_CHECKING:
    from dicomfab.fabricate.plan import Planned, SeriesPlan

__all__ = ["FabricatedInstance", "count", "fabricate", "plans"]


def count(study: ResolvedStudy) -> int:
    """How many instances :func:`fabricate` will yield."""
    return sum(ALL_KINDS[series.kind].instances(series.count) for series in study.series)


def plans(study: ResolvedStudy, workers: int) -> Iterator[SeriesPlan]:
    """What the study is made of, in order; nothing is rendered before the pixels of a plan are iterated."""
    return (plan for _, _, plan in numbered(study, workers))


def numbered(study: ResolvedStudy, workers: int) -> Iterator[tuple[int, ResolvedSeries, SeriesPlan]]:
    """The same, each with the SeriesNumber of the first series that its entry becomes, and the entry."""
    from dicomfab.fabricate.plan import Planned

    number = 1
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
        yield as_cards(plan, study) if series.style == "card" else plan


def check_syntaxes(study: ResolvedStudy) -> None:
    """Ask of every series whether its transfer syntax can hold its pixels, before any of them is rendered.

    Raises:
        InvalidInput: one cannot, and why.
    """
    from dicomfab.fabricate.encode.series import check
    from dicomfab.pixels.description import described
    from dicomfab.pixels.writable import writable

    for plan in plans(study, 1):
        if plan.frames:
            check(writable(plan.transfer_syntax_uid), described(plan.dataset, plan.frames), plan.dataset.SOPClassUID)


def fabricate(study: ResolvedStudy, *, workers: int | None = None) -> Iterator[FabricatedInstance]:
    """Make the instances of a study.

    Args:
        study: decides every byte.
        workers: threads that render, and as many that encode; by default one per processor. The bytes do not depend
            on it.

    Yields:
        Instances in order of series and instance number, each rendered shortly before it is asked for.
    """
    from dicomfab.fabricate.render.batches import default_workers

    workers = workers or default_workers()
    for plan in plans(study, workers):
        yield from _encoded(plan, workers)


def _encoded(series: SeriesPlan, workers: int) -> Iterator[FabricatedInstance]:
    from dicomfab.fabricate.encode.document import encode_document
    from dicomfab.fabricate.encode.series import encode_series

    if not series.frames:
        return encode_document(series)
    return encode_series(series, series.transfer_syntax_uid, workers, quality=series.quality)
