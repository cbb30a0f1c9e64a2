"""The style ``small``: any series with small pictures instead of a body, for many studies in little time and space.

A picture says modality, series and instance, and that it is synthetic; it names nobody. The field of view stays what it
is, so that all that is said in millimetres holds: there are only fewer, larger pixels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final

from pydicom.datadict import keyword_for_tag

from dicomfab.fabricate.cards import Look
from dicomfab.fabricate.plan import SeriesPlan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

#: Pixels of the longer side.
SIDE: Final = 96
_LEAST: Final = 16
_SPACINGS: Final = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
_PAPER, _INK, _PALE = 24, 245, 150
_REGION_X: Final = ("RegionLocationMinX0", "RegionLocationMaxX1", "ReferencePixelX0")


def as_small(plan: SeriesPlan) -> SeriesPlan:
    """The same series with small pictures. The data set is changed."""
    ds = plan.dataset
    rows, columns = _size(int(ds.Rows), int(ds.Columns))
    taller, wider = int(ds.Rows) / rows, int(ds.Columns) / columns
    varying = _moved(plan, taller, wider) if "ImagePositionPatient" in ds else plan.varying
    for keyword in _SPACINGS:
        if keyword in ds:
            down, across = (float(value) for value in ds[keyword].value)
            setattr(ds, keyword, [f"{down * taller:.8g}", f"{across * wider:.8g}"])
    for region in ds.get("SequenceOfUltrasoundRegions", ()):
        _shrink(region, taller, wider)
    ds.Rows, ds.Columns = rows, columns
    frame = rows * columns * int(ds.SamplesPerPixel) * -(-int(ds.BitsAllocated) // 8)
    size = plan.frames * frame
    return dataclasses.replace(plan, pixel_bytes=size + size % 2, varying=varying, pixels=partial(_pixels, plan))


def _size(rows: int, columns: int) -> tuple[int, int]:
    scale = min(1.0, SIDE / max(rows, columns))
    return min(rows, max(_LEAST, round(rows * scale))), min(columns, max(_LEAST, round(columns * scale)))


def _moved(plan: SeriesPlan, taller: float, wider: float) -> Callable[[int], Mapping[str, str]]:
    """The centre of the first pixel moves, since that pixel is larger now (PS3.3 C.7.6.2.1.1)."""
    ds, before = plan.dataset, plan.varying
    along = [float(value) for value in ds.ImageOrientationPatient]
    down, across = (float(value) for value in ds.PixelSpacing)
    right, below = across * (wider - 1) / 2, down * (taller - 1) / 2
    shift = [along[axis] * right + along[axis + 3] * below for axis in range(3)]

    def varying(index: int) -> Mapping[str, str]:
        values = before(index)
        corner = values["ImagePositionPatient"].split("\\")
        moved = "\\".join(f"{float(value) + by:.4f}" for value, by in zip(corner, shift, strict=True))
        return {**values, "ImagePositionPatient": moved}

    return varying


def _shrink(region: Dataset, taller: float, wider: float) -> None:
    """A region of an ultrasound image, in its pixels (PS3.3 C.8.5.5)."""
    for element in region:
        keyword = keyword_for_tag(element.tag)
        by = wider if keyword in _REGION_X or keyword == "PhysicalDeltaX" else taller
        if keyword.startswith(("RegionLocation", "ReferencePixel")) and not keyword.endswith("Value"):
            element.value = int(element.value / by)
        elif keyword in ("PhysicalDeltaX", "PhysicalDeltaY"):
            element.value = float(element.value) * by


def _pixels(plan: SeriesPlan) -> Iterator[memoryview]:
    ds = plan.dataset
    look, of = Look.of(ds), plan.count * plan.frames
    for number in range(1, of + 1):
        picture = _picture(str(ds.Modality), int(ds.SeriesNumber), number, of, look.rows, look.columns)
        yield look.stored(picture).data.cast("B")


@lru_cache(maxsize=256)
def _picture(modality: str, series: int, number: int, of: int, rows: int, columns: int) -> NDArray[np.uint8]:
    """(rows, columns), 8 bits."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("L", (columns, rows), _PAPER)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, columns - 1, rows - 1), outline=_PALE)
    small, large = ImageFont.load_default(10), ImageFont.load_default(20)
    draw.text((5, 2), f"{modality} {series}", fill=_INK, font=large)
    draw.text((5, 28), f"{number} of {of}", fill=_INK, font=small)
    draw.text((5, 44), "SYNTHETIC", fill=_PALE, font=small)
    return np.array(image, np.uint8)
