"""Secondary Capture Image (PS3.3 A.8.1): text cards that show their own header, and pictures of a workstation."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from pydicom.dataset import Dataset

from dicomfab.fabricate.anatomy.thorax import build_thorax
from dicomfab.fabricate.iods.common import CHEST, base, burned_in, coded
from dicomfab.fabricate.iods.image_pixel import colour, grey, numbered
from dicomfab.fabricate.plan import SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.render import card, turntable

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.7"
MODALITY: Final = "OT"
DESCRIPTION: Final = "TEXT CARD"
_TURN: Final = 12


def plan(study: ResolvedStudy, series: ResolvedSeries, series_number: int, workers: int) -> Iterator[SeriesPlan]:
    """One series: cards, which the style draws, or rendered views."""
    if series.kind == "sc-rgb":
        yield SeriesPlan(
            dataset=_rendered(study, series_number),
            count=series.count,
            pixel_bytes=turntable.SIZE * turntable.SIZE * 3,
            varying=numbered(study, series_number),
            pixels=partial(_views, study, series.count, workers),
        )
        return
    yield SeriesPlan(
        dataset=_card(study, series_number),
        count=series.count,
        pixel_bytes=card.ROWS * card.COLUMNS,
        varying=numbered(study, series_number),
        pixels=lambda: iter(()),
    )


def captured(
    study: ResolvedStudy, sop_class_uid: str, series_number: int, *, conversion: str, description: str
) -> Dataset:
    """SC Equipment, General Image and SC Image modules, of single and multi-frame instances.

    Args:
        study: what the attributes say.
        sop_class_uid: of all instances.
        series_number: of the series.
        conversion: ConversionType (0008,0064).
        description: SeriesDescription.
    """
    ds = base(study, sop_class_uid, MODALITY, series_number)
    ds.SeriesDescription = description
    ds.ConversionType = conversion
    ds.SecondaryCaptureDeviceManufacturer = "DICOM Fabricator"
    ds.SecondaryCaptureDeviceManufacturerModelName = "DICOM Fabricator"
    ds.DateOfSecondaryCapture, ds.TimeOfSecondaryCapture = study.study_date, study.study_time
    ds.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    ds.InstanceNumber = "1"
    ds.PatientOrientation = ""
    ds.ContentDate, ds.ContentTime = study.study_date, study.study_time
    return ds


def of_chest(ds: Dataset) -> None:
    """What was captured shows the chest."""
    ds.BodyPartExamined = "CHEST"
    ds.AnatomicRegionSequence = coded(CHEST)


def _card(study: ResolvedStudy, series_number: int) -> Dataset:
    ds = captured(study, SOP_CLASS_UID, series_number, conversion="SYN", description=DESCRIPTION)
    ds.Laterality = ""
    grey(ds, card.ROWS, card.COLUMNS)
    ds.WindowCenter, ds.WindowWidth = "128", "256"
    burned_in(ds, identifies_patient=True)
    return ds


def _rendered(study: ResolvedStudy, series_number: int) -> Dataset:
    ds = captured(study, SOP_CLASS_UID, series_number, conversion="WSD", description="3D BONES AND VESSELS")
    of_chest(ds)
    ds.DerivationDescription = "Volume rendering of contrast-enhanced CT"
    colour(ds, turntable.SIZE, turntable.SIZE)
    return ds


def _views(study: ResolvedStudy, count: int, workers: int) -> Iterator[memoryview]:
    scene = build_thorax(study.body_seed, study.patient.sex, "up", study.course_months).scene
    for picture in turntable.surfaces(scene, 0, count, _TURN, workers):
        yield picture.data.cast("B")
