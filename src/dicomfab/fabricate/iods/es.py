"""VL Endoscopic Image (PS3.3 A.32.1): a colonoscopy on its way to a polyp."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from dicomfab.fabricate.iods.common import coded
from dicomfab.fabricate.iods.specimen import COLON
from dicomfab.fabricate.iods.vl import timed, visible_light
from dicomfab.fabricate.plan import SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.render import endoscopy

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.77.1.1"
_EVERY_S: Final = 12.0


def plan(study: ResolvedStudy, series: ResolvedSeries, series_number: int, workers: int) -> Iterator[SeriesPlan]:
    """One series."""
    ds = visible_light(study, SOP_CLASS_UID, "ES", series_number, endoscopy.ROWS, endoscopy.COLUMNS)
    ds.SeriesDescription = "COLONOSCOPY"
    ds.BodyPartExamined = "COLON"
    ds.AnatomicRegionSequence = coded(COLON)
    yield SeriesPlan(
        dataset=ds,
        count=series.count,
        pixel_bytes=endoscopy.ROWS * endoscopy.COLUMNS * 3,
        varying=partial(timed, study, series_number, _EVERY_S),
        pixels=lambda: (one.data.cast("B") for one in endoscopy.images(study.body_seed, series.count, workers)),
    )
