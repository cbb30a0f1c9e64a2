"""The Image Pixel module (PS3.3 C.7.6.3) of pictures, and what series of them vary."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pydicom.dataset import Dataset

from dicomfab.fabricate.iods.common import burned_in, instance_uid
from dicomfab.fabricate.recipe import ResolvedStudy


def even(size: int) -> int:
    """The length of PixelData: padded to whole words."""
    return size + size % 2


def grey(ds: Dataset, rows: int, columns: int, *, stored: int = 8) -> None:
    """Unsigned MONOCHROME2 in 1, 8 or 16 bits, without loss and without anything that identifies a patient."""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    allocated = 1 if stored == 1 else 8 if stored <= 8 else 16
    _size(ds, rows, columns, allocated, stored)


def colour(ds: Dataset, rows: int, columns: int) -> None:
    """RGB, by pixel, 8 bits a sample."""
    ds.SamplesPerPixel = 3
    ds.PhotometricInterpretation = "RGB"
    ds.PlanarConfiguration = 0
    _size(ds, rows, columns, 8, 8)


def _size(ds: Dataset, rows: int, columns: int, allocated: int, stored: int) -> None:
    ds.Rows, ds.Columns = rows, columns
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = allocated, stored, stored - 1
    ds.PixelRepresentation = 0
    ds.LossyImageCompression = "00"
    burned_in(ds, identifies_patient=False)


def numbered(study: ResolvedStudy, series_number: int, first: int = 1) -> Callable[[int], dict[str, str]]:
    """What varies if nothing but the number of the instance does."""
    return partial(_numbered, study, series_number, first)


def _numbered(study: ResolvedStudy, series_number: int, first: int, index: int) -> dict[str, str]:
    number = first + index
    return {"SOPInstanceUID": instance_uid(study, series_number, number), "InstanceNumber": str(number)}
