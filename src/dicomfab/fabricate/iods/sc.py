"""Secondary Capture Image (PS3.3 A.8.1): text cards that show the main attributes of their own header."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from pydicom.dataset import Dataset

from dicomfab.fabricate.iods.common import base, burned_in, instance_uid
from dicomfab.fabricate.iods.series import SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.render import card

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.7"
MODALITY: Final = "OT"
DESCRIPTION: Final = "TEXT CARD"


def plan(study: ResolvedStudy, series: ResolvedSeries, series_number: int, workers: int) -> Iterator[SeriesPlan]:
    """One series, of which the style makes cards."""
    yield SeriesPlan(
        dataset=_dataset(study, series_number),
        count=series.count,
        pixel_bytes=card.ROWS * card.COLUMNS,
        varying=partial(_varying, study, series_number),
        pixels=lambda: iter(()),  # the style draws them
    )


def _varying(study: ResolvedStudy, series_number: int, index: int) -> dict[str, str]:
    return {"SOPInstanceUID": instance_uid(study, series_number, index + 1), "InstanceNumber": str(index + 1)}


def _dataset(study: ResolvedStudy, series_number: int) -> Dataset:
    ds = base(study, SOP_CLASS_UID, MODALITY, series_number)
    ds.SeriesDescription = DESCRIPTION
    ds.Laterality = ""
    ds.ConversionType = "SYN"
    ds.SecondaryCaptureDeviceManufacturer = "DICOM Fabricator"
    ds.DateOfSecondaryCapture, ds.TimeOfSecondaryCapture = study.study_date, study.study_time
    ds.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    ds.InstanceNumber = "1"
    ds.PatientOrientation = ""
    ds.ContentDate, ds.ContentTime = study.study_date, study.study_time
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = card.ROWS, card.COLUMNS
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
    ds.PixelRepresentation = 0
    ds.WindowCenter, ds.WindowWidth = "128", "256"
    ds.LossyImageCompression = "00"
    burned_in(ds, identifies_patient=True)
    return ds
