"""Digital Mammography X-Ray Image, for presentation (PS3.3 A.27): the four views of a screening, one series each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicomfab.fabricate.anatomy.breast import Side, View
from dicomfab.fabricate.iods import xray
from dicomfab.fabricate.iods.common import base, clock
from dicomfab.fabricate.iods.mammography import Compression, described, detector
from dicomfab.fabricate.plan import SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.render import mg

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.1.2"
VIEWS: Final[tuple[tuple[Side, View], ...]] = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
_BITS: Final = 12
_BETWEEN_VIEWS_S: Final = 75


def plan(study: ResolvedStudy, series: ResolvedSeries, series_number: int, workers: int) -> Iterator[SeriesPlan]:
    """Four series of one instance each."""
    for n, (side, view) in enumerate(VIEWS):
        one = Compression(study, side, view)
        yield SeriesPlan(
            dataset=_dataset(one, series_number + n, 30 + n * _BETWEEN_VIEWS_S),
            count=1,
            pixel_bytes=mg.ROWS * mg.COLUMNS * 2,
            varying=xray.identified(study, series_number + n),
            pixels=partial(_pixels, one, workers),
        )


def _pixels(one: Compression, workers: int) -> Iterator[memoryview]:
    yield mg.mammogram(one.body(), one.exposure, one.study.seed, workers).data.cast("B")


def _dataset(one: Compression, series_number: int, delay_s: float) -> Dataset:
    study = one.study
    ds = base(study, SOP_CLASS_UID, "MG", series_number)
    xray.timed(ds, study.study_date, clock(study.study_time, delay_s))
    ds.SeriesDescription = ds.ProtocolName = f"{one.side} {one.view}"
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.ImageType = ["DERIVED", "PRIMARY", ""]
    ds.AcquisitionNumber = "1"
    ds.InstanceNumber = "1"
    ds.AcquisitionContextSequence = Sequence()
    described(ds, one)
    ds.PartialView = "NO"
    detector(ds, one)
    xray.technique(ds, xray.Technique(one.kvp, 100, 50 * one.dose_mgy))
    ds.ExposureInuAs = str(round(50_000 * one.dose_mgy))
    ds.OrganDose = f"{one.dose_mgy / 100:.4f}"
    ds.EntranceDoseInmGy = f"{one.dose_mgy * 4.1:.2f}"
    ds.HalfValueLayer = "0.52"
    xray.stored(ds, mg.ROWS, mg.COLUMNS, _BITS, "MONOCHROME2")
    ds.PixelIntensityRelationship = "LOG"
    ds.PixelIntensityRelationshipSign = -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    ds.PresentationLUTShape = "IDENTITY"
    ds.PixelPaddingValue = 0
    xray.window(ds, _BITS)
    return ds
