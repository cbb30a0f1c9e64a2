"""VL Whole Slide Microscopy Image (PS3.3 A.32.8): a pyramid of three levels, the label and the whole slide."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicomfab.fabricate.iods import specimen
from dicomfab.fabricate.iods.common import base, burned_in, clock, coded, instance_uid
from dicomfab.fabricate.iods.icc import icc
from dicomfab.fabricate.iods.image_pixel import colour, even, numbered
from dicomfab.fabricate.plan import SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.render import slide

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.77.1.6"
_LEVELS: Final = 3
_SECTION_UM: Final = 4.0
_SCAN_S: Final = 40.0


@dataclass(frozen=True, slots=True)
class _Image:
    """One instance.

    Args:
        flavor: VOLUME, LABEL or OVERVIEW, the third value of ImageType.
        resampled: made from another instance.
        size: rows and columns of the total pixel matrix.
        tile: rows and columns of a frame.
        pixel_mm: from pixel to pixel.
        corner_mm: X and Y of the upper left corner in the slide's coordinates.
        frames: how many there are.
        labelled: the label can be read.
        render: workers to frames.
    """

    flavor: str
    resampled: bool
    size: tuple[int, int]
    tile: tuple[int, int]
    pixel_mm: float
    corner_mm: tuple[float, float]
    frames: int
    labelled: bool
    render: Callable[[int], Iterator[NDArray[np.uint8]]]


def plan(study: ResolvedStudy, series: ResolvedSeries, series_number: int, workers: int) -> Iterator[SeriesPlan]:
    """One series: the levels from the smallest to the base, which is so many tiles wide, then label and overview.

    The smallest comes first because it is the one to look at first.
    """
    for number, image in enumerate(_images(study, series.count * slide.TILE), start=1):
        rows, columns = image.tile
        yield SeriesPlan(
            dataset=_dataset(study, series_number, number, image),
            count=1,
            pixel_bytes=even(image.frames * rows * columns * 3),
            varying=numbered(study, series_number, number),
            pixels=partial(_buffers, image, workers),
            frames=image.frames,
        )


def _buffers(image: _Image, workers: int) -> Iterator[memoryview]:
    for frame in image.render(workers):
        yield frame.data.cast("B")


def _images(study: ResolvedStudy, side: int) -> Iterator[_Image]:
    code, lines = specimen.container(study), specimen.LABEL
    for level in slide.levels(side):
        extent_mm = level.side * level.pixel_um / 1000
        length_mm, height_mm = slide.CENTRE_MM
        yield _Image(
            flavor="VOLUME",
            resampled=level.reduction > 1,
            size=(level.side, level.side),
            tile=(level.tile, level.tile),
            pixel_mm=level.pixel_um / 1000,
            corner_mm=(height_mm + extent_mm / 2, length_mm + extent_mm / 2),
            frames=level.across**2,
            labelled=False,
            render=partial(slide.tiles, level, study.seed),
        )
    length_mm, height_mm = slide.SLIDE_MM
    edge_mm = slide.LABEL_EDGE_MM
    corner_mm = (height_mm - edge_mm, length_mm - edge_mm)
    yield _whole("LABEL", slide.LABEL_MM, corner_mm, lambda: slide.label(code, lines))
    yield _whole(
        "OVERVIEW", slide.OVERVIEW_MM, (height_mm, length_mm), lambda: slide.overview(side, study.seed, code, lines)
    )


def _whole(
    flavor: str, pixel_mm: float, corner_mm: tuple[float, float], make: Callable[[], NDArray[np.uint8]]
) -> _Image:
    """An image of one frame that is not tiled."""
    length_mm, height_mm = slide.SLIDE_MM
    size = (slide.LABEL_SIZE, slide.LABEL_SIZE)
    if flavor == "OVERVIEW":
        size = round(height_mm / pixel_mm), round(length_mm / pixel_mm)
    return _Image(flavor, False, size, size, pixel_mm, corner_mm, 1, True, lambda _workers: iter((make(),)))


def _dataset(study: ResolvedStudy, series_number: int, number: int, image: _Image) -> Dataset:
    ds = base(study, SOP_CLASS_UID, "SM", series_number)
    ds.SOPInstanceUID = instance_uid(study, series_number, number)
    ds.SeriesDescription = "COLON BIOPSY H&E"
    ds.BodyPartExamined = "COLON"
    ds.FrameOfReferenceUID = study.uid("frame-of-reference", "slide", series_number)
    ds.PositionReferenceIndicator = "SLIDE_CORNER"
    origin, how = ("DERIVED", "RESAMPLED") if image.resampled else ("ORIGINAL", "NONE")
    ds.ImageType = [origin, "PRIMARY", image.flavor, how]
    ds.InstanceNumber = str(number)
    ds.ContentDate, ds.ContentTime = study.study_date, clock(study.study_time, _SCAN_S)
    ds.AcquisitionDateTime = study.study_date + clock(study.study_time, 0)
    ds.AcquisitionDuration = _SCAN_S
    ds.AcquisitionContextSequence = Sequence()
    ds.VolumetricProperties = "VOLUME"
    colour(ds, *image.tile)
    burned_in(ds, identifies_patient=image.labelled)
    if image.resampled:
        _from_base(ds, study, series_number)
        ds.DerivationDescription = "Resampled from the base level"
        ds.DerivationCodeSequence = coded(("113085", "DCM", "Spatial resampling"))
    if image.flavor == "LABEL":
        ds.BarcodeValue = specimen.container(study)
        ds.LabelText = "\r\n".join((specimen.container(study), *specimen.LABEL))
    if image.flavor == "VOLUME":
        ds.PyramidUID = study.uid("pyramid", series_number)
        ds.PyramidLabel = "COLON BIOPSY H&E"
    specimen.describe(ds, study)
    _matrix(ds, image)
    _optics(ds, image)
    _functional_groups(ds, study, series_number, image)
    return ds


def _from_base(ds: Dataset, study: ResolvedStudy, series_number: int) -> None:
    """General Reference and Common Instance Reference modules: the base level is the source."""
    source = Dataset()
    source.ReferencedSOPClassUID = SOP_CLASS_UID
    source.ReferencedSOPInstanceUID = instance_uid(study, series_number, _LEVELS)
    series = Dataset()
    series.SeriesInstanceUID = ds.SeriesInstanceUID
    series.ReferencedInstanceSequence = Sequence([copy.deepcopy(source)])
    source.PurposeOfReferenceCodeSequence = coded(("121322", "DCM", "Source image for image processing operation"))
    ds.SourceImageSequence = Sequence([source])
    ds.ReferencedSeriesSequence = Sequence([series])


def _matrix(ds: Dataset, image: _Image) -> None:
    """Whole Slide Microscopy Image module: rows run along -Y, columns along -X of the slide (PS3.3 C.8.12.2)."""
    rows, columns = image.size
    ds.NumberOfFrames = str(image.frames)
    ds.TotalPixelMatrixRows, ds.TotalPixelMatrixColumns = rows, columns
    ds.TotalPixelMatrixFocalPlanes = 1
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = (
        f"{offset:.6f}" for offset in image.corner_mm
    )
    ds.TotalPixelMatrixOriginSequence = Sequence([origin])
    ds.ImageOrientationSlide = ["0", "-1", "0", "-1", "0", "0"]
    ds.ImagedVolumeWidth, ds.ImagedVolumeHeight = columns * image.pixel_mm, rows * image.pixel_mm
    ds.ImagedVolumeDepth = _SECTION_UM
    ds.SpecimenLabelInImage = "YES" if image.labelled else "NO"
    ds.FocusMethod = "AUTO"
    ds.ExtendedDepthOfField = "NO"


def _optics(ds: Dataset, image: _Image) -> None:
    path = Dataset()
    path.OpticalPathIdentifier = "1"
    path.OpticalPathDescription = "Brightfield"
    path.IlluminationTypeCodeSequence = coded(("111744", "DCM", "Brightfield illumination"))
    path.IlluminationColorCodeSequence = coded(("414298005", "SCT", "Full Spectrum"))
    if image.flavor == "VOLUME":
        path.ObjectiveLensPower = "20"
        path.ObjectiveLensNumericalAperture = "0.75"
    icc(path)
    ds.NumberOfOpticalPaths = 1
    ds.OpticalPathSequence = Sequence([path])


def _functional_groups(ds: Dataset, study: ResolvedStudy, series_number: int, image: _Image) -> None:
    """Multi-frame Functional Groups and Multi-frame Dimension, of full tiling: positions follow from frame numbers."""
    measures, frame_type, path = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [f"{image.pixel_mm:g}", f"{image.pixel_mm:g}"]
    measures.SliceThickness = f"{_SECTION_UM / 1000:g}"
    frame_type.FrameType = ds.ImageType
    path.OpticalPathIdentifier = "1"
    shared = Dataset()
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.WholeSlideMicroscopyImageFrameTypeSequence = Sequence([frame_type])
    shared.OpticalPathIdentificationSequence = Sequence([path])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    organisation = Dataset()
    organisation.DimensionOrganizationUID = study.uid("dimensions", series_number)
    ds.DimensionOrganizationSequence = Sequence([organisation])
    ds.DimensionOrganizationType = "TILED_FULL"
