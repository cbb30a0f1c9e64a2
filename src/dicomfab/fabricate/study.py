"""The instances of a resolved study, encoded, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dicomfab.fabricate import defects
from dicomfab.fabricate.instance import FabricatedInstance
from dicomfab.fabricate.kinds import ALL_KINDS
from dicomfab.fabricate.planning import numbered, plans
from dicomfab.fabricate.recipe import ResolvedStudy

if TYPE_CHECKING:
    from dicomfab.fabricate.plan import SeriesPlan

__all__ = ["FabricatedInstance", "count", "fabricate", "numbered", "plans"]


def count(study: ResolvedStudy) -> int:
    """How many instances :func:`fabricate` will yield."""
    return sum(ALL_KINDS[series.kind].instances(series.count) for series in study.series)


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
    made = (one for plan in plans(study, workers) for one in _encoded(plan, workers))
    yield from defects.applied(study, made) if study.defects else made


def _encoded(series: SeriesPlan, workers: int) -> Iterator[FabricatedInstance]:
    from dicomfab.fabricate.encode.document import encode_document
    from dicomfab.fabricate.encode.series import encode_series

    if not series.frames:
        return encode_document(series)
    return encode_series(series, series.transfer_syntax_uid, workers, quality=series.quality)
