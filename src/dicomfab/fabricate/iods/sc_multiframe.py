"""The four Multi-frame Secondary Capture IODs (PS3.3 A.8.2 to A.8.5): single bit, byte, word and true colour."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from dicomfab.fabricate.anatomy.scene import Scene
from dicomfab.fabricate.anatomy.thorax import build_thorax
from dicomfab.fabricate.iods.image_pixel import colour, even, grey, numbered
from dicomfab.fabricate.iods.sc import captured, of_chest
from dicomfab.fabricate.plan import SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.render import document, reformat, turntable
from dicomfab.fabricate.render.bits import packed

_FRAME_TIME_MS: Final = 120.0


@dataclass(frozen=True, slots=True)
class _Form:
    """One of the four.

    Args:
        sop_class_uid: of its instances.
        description: of the series.
        conversion: ConversionType.
        describe: adds what is its own to the data set, for so many frames.
        frame_bits: of a frame in the instance, without padding.
        render: study, frames and workers to buffers, one for each frame.
    """

    sop_class_uid: str
    description: str
    conversion: str
    describe: Callable[[Dataset, int], None]
    frame_bits: int
    render: Callable[[ResolvedStudy, int, int], Iterator[memoryview]]


def plan(study: ResolvedStudy, series: ResolvedSeries, series_number: int, workers: int) -> Iterator[SeriesPlan]:
    """One series of one instance."""
    form = _FORMS[series.kind]
    ds = captured(study, form.sop_class_uid, series_number, conversion=form.conversion, description=form.description)
    ds.NumberOfFrames = str(series.count)
    form.describe(ds, series.count)
    yield SeriesPlan(
        dataset=ds,
        count=1,
        pixel_bytes=even(-(-series.count * form.frame_bits // 8)),
        varying=numbered(study, series_number),
        pixels=lambda: form.render(study, series.count, workers),
        frames=series.count,
    )


def _scene(study: ResolvedStudy) -> Scene:
    return build_thorax(study.body_seed, study.patient.sex, "up", study.course_months).scene


def _buffers(frames: Iterable[NDArray[np.generic]]) -> Iterator[memoryview]:
    for frame in frames:
        yield frame.data.cast("B")


def _angles(ds: Dataset, frames: int) -> None:
    """The primary angle of each frame (PS3.3 C.8.6.4)."""
    ds.FrameIncrementPointer = Tag("FramePrimaryAngleVector")
    ds.FramePrimaryAngleVector = [round(360 * n / frames, 4) for n in range(frames)]


def _grey_meaning(ds: Dataset, intercept: int, unit: str) -> None:
    ds.PresentationLUTShape = "IDENTITY"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = str(intercept), "1", unit


def _describe_byte(ds: Dataset, frames: int) -> None:
    of_chest(ds)
    ds.DerivationDescription = "Maximum intensity projections of contrast-enhanced CT"
    grey(ds, turntable.SIZE, turntable.SIZE)
    _grey_meaning(ds, 0, "US")
    _angles(ds, frames)


def _describe_word(ds: Dataset, frames: int) -> None:
    of_chest(ds)
    ds.DerivationDescription = "Coronal reformats of contrast-enhanced CT"
    grey(ds, reformat.ROWS, reformat.COLUMNS, stored=12)
    _grey_meaning(ds, reformat.OFFSET_HU, "HU")
    ds.WindowCenter, ds.WindowWidth = "40", "400"
    ds.PatientOrientation = ["L", "F"]
    ds.FrameIncrementPointer = Tag("SliceLocationVector")
    ds.SliceLocationVector = [reformat.place_mm(n, frames) for n in range(frames)]


def _describe_colour(ds: Dataset, frames: int) -> None:
    of_chest(ds)
    ds.DerivationDescription = "Volume rendering of contrast-enhanced CT"
    colour(ds, turntable.SIZE, turntable.SIZE)
    ds.FrameIncrementPointer = Tag("FrameTime")
    ds.FrameTime = f"{_FRAME_TIME_MS:g}"
    ds.CineRate = ds.RecommendedDisplayFrameRate = str(round(1000 / _FRAME_TIME_MS))


def _describe_bit(ds: Dataset, frames: int) -> None:
    ds.Laterality = ""
    grey(ds, document.ROWS, document.COLUMNS, stored=1)
    ds.NominalScannedPixelSpacing = [f"{document.PIXEL_MM}", f"{document.PIXEL_MM}"]
    ds.DigitizingDeviceTransportDirection = "COLUMN"
    ds.FrameIncrementPointer = Tag("PageNumberVector")
    ds.PageNumberVector = [str(n + 1) for n in range(frames)]


def _byte(study: ResolvedStudy, frames: int, workers: int) -> Iterator[memoryview]:
    return _buffers(turntable.brightest(_scene(study), frames, workers))


def _word(study: ResolvedStudy, frames: int, workers: int) -> Iterator[memoryview]:
    return _buffers(reformat.coronal(_scene(study), study.seed, frames, workers))


def _colour(study: ResolvedStudy, frames: int, workers: int) -> Iterator[memoryview]:
    return _buffers(turntable.surfaces(_scene(study), 0, frames, frames, workers))


def _bit(study: ResolvedStudy, frames: int, workers: int) -> Iterator[memoryview]:
    return packed(document.pages(study.seed, frames), frames)


_BYTE_PIXELS: Final = turntable.SIZE * turntable.SIZE
_FORMS: Final = {
    "sc-multiframe-bit": _Form(
        "1.2.840.10008.5.1.4.1.1.7.1", "MR SAFETY QUESTIONNAIRE", "SD", _describe_bit,
        document.ROWS * document.COLUMNS, _bit,
    ),
    "sc-multiframe-byte": _Form(
        "1.2.840.10008.5.1.4.1.1.7.2", "ROTATING MIP", "WSD", _describe_byte, _BYTE_PIXELS * 8, _byte,
    ),
    "sc-multiframe-word": _Form(
        "1.2.840.10008.5.1.4.1.1.7.3", "CORONAL REFORMATS", "WSD", _describe_word,
        reformat.ROWS * reformat.COLUMNS * 16, _word,
    ),
    "sc-multiframe-colour": _Form(
        "1.2.840.10008.5.1.4.1.1.7.4", "ROTATING 3D BONES AND VESSELS", "WSD", _describe_colour,
        _BYTE_PIXELS * 24, _colour,
    ),
}  # fmt: skip
