"""VL Photographic Image (PS3.3 A.32.4), and what all pictures in visible light share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicomfab.fabricate.iods.common import base, clock, coded
from dicomfab.fabricate.iods.icc import icc
from dicomfab.fabricate.iods.image_pixel import colour, numbered
from dicomfab.fabricate.kinds import Code
from dicomfab.fabricate.plan import SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.render import photo

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.77.1.4"
_BACK: Final[Code] = ("77568009", "SCT", "Back")
_EVERY_S: Final = 20.0


def plan(study: ResolvedStudy, series: ResolvedSeries, series_number: int, workers: int) -> Iterator[SeriesPlan]:
    """One series: photographs from further away and from near, in turn."""
    ds = visible_light(study, SOP_CLASS_UID, "XC", series_number, photo.ROWS, photo.COLUMNS)
    ds.SeriesDescription = "PIGMENTED LESION, BACK"
    ds.BodyPartExamined = "BACK"
    ds.AnatomicRegionSequence = coded(_BACK)
    yield SeriesPlan(
        dataset=ds,
        count=series.count,
        pixel_bytes=photo.ROWS * photo.COLUMNS * 3,
        varying=partial(timed, study, series_number, _EVERY_S),
        pixels=lambda: (one.data.cast("B") for one in photo.images(study.body_seed, study.seed, series.count, workers)),
    )


def visible_light(
    study: ResolvedStudy, sop_class_uid: str, modality: str, series_number: int, rows: int, columns: int
) -> Dataset:
    """General Image, Acquisition Context, VL Image and ICC Profile modules.

    Args:
        study: what the attributes say.
        sop_class_uid: of all instances.
        modality: ES, XC and the like.
        series_number: of the series.
        rows: of an image.
        columns: of it.
    """
    ds = base(study, sop_class_uid, modality, series_number)
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.InstanceNumber = ds.AcquisitionNumber = "1"
    ds.PatientOrientation = ""
    ds.AcquisitionDate = ds.ContentDate = study.study_date
    ds.AcquisitionTime = ds.ContentTime = study.study_time
    ds.AcquisitionContextSequence = Sequence()
    colour(ds, rows, columns)
    icc(ds)
    return ds


def timed(study: ResolvedStudy, series_number: int, every_s: float, index: int) -> dict[str, str]:
    """What varies in pictures that are taken one after the other."""
    time = clock(study.study_time, 10 + index * every_s)
    return {**numbered(study, series_number)(index), "AcquisitionTime": time, "ContentTime": time}
