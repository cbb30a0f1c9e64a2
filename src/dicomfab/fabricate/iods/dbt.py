"""Breast Tomosynthesis Image (PS3.3 A.55): both breasts in the mediolateral oblique view, one series each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicomfab import __version__
from dicomfab.fabricate.anatomy.breast import Side
from dicomfab.fabricate.encode.items import Item
from dicomfab.fabricate.iods import xray
from dicomfab.fabricate.iods.common import base, clock, coded
from dicomfab.fabricate.iods.enhanced import each_frame
from dicomfab.fabricate.iods.mammography import BREAST, CODES, Compression
from dicomfab.fabricate.plan import SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.render import dbt
from dicomfab.fabricate.render.mg import ROWS

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.13.1.3"
_BITS: Final = 12
_SIDES: Final[tuple[Side, ...]] = ("R", "L")
_ARC_DEG: Final = 15.0
_PROJECTIONS: Final = 15
_SCAN_S: Final = 3.7
_RELATIVE_EXPOSURE: Final = 400
_DIMENSIONS: Final = "dimensions"
_IMAGE_TYPE: Final = ("DERIVED", "PRIMARY", "TOMOSYNTHESIS", "NONE")


def plan(study: ResolvedStudy, series: ResolvedSeries, series_number: int, workers: int) -> Iterator[SeriesPlan]:
    """Two series of one multi-frame instance each."""
    for n, side in enumerate(_SIDES):
        one = Compression(study, side, "MLO")
        yield SeriesPlan(
            dataset=_dataset(one, series_number + n, series.count, 60 + 90 * n),
            count=1,
            pixel_bytes=dbt.PLANE_ROWS * dbt.PLANE_COLUMNS * 2 * series.count,
            varying=xray.identified(study, series_number + n),
            pixels=partial(_pixels, one, series.count, workers),
            frames=series.count,
        )


def _pixels(one: Compression, count: int, workers: int) -> Iterator[memoryview]:
    thickness_mm = one.pressed.thickness_mm
    for plane in dbt.planes(one.body(), one.exposure, thickness_mm, count, one.study.seed, workers):
        yield plane.data.cast("B")


def _dataset(one: Compression, series_number: int, count: int, delay_s: float) -> Dataset:
    study = one.study
    ds = base(study, SOP_CLASS_UID, "MG", series_number)
    time = clock(study.study_time, delay_s)
    ds.SeriesTime = ds.ContentTime = time
    ds.ContentDate = study.study_date
    ds.InstanceNumber = "1"
    ds.SeriesDescription = ds.ProtocolName = f"{one.side} MLO TOMOSYNTHESIS"
    ds.BodyPartExamined = "BREAST"
    ds.FrameOfReferenceUID = study.uid("frame-of-reference", "breast", one.side, one.view)
    ds.PositionReferenceIndicator = ""
    ds.AcquisitionContextSequence = Sequence()
    _image(ds)
    _view(ds, one)
    _dimensions(ds, study, series_number)
    ds.XRay3DAcquisitionSequence = Sequence([_acquisition(one)])
    ds.XRay3DReconstructionSequence = Sequence([_reconstruction()])
    ds.NumberOfFrames = str(count)
    ds.SharedFunctionalGroupsSequence = Sequence([_shared(one, count)])
    each_frame(ds, _frames(one, count))
    return ds


def _image(ds: Dataset) -> None:
    """X-Ray 3D Image and Image Pixel."""
    ds.ImageType = list(_IMAGE_TYPE)
    xray.stored(ds, dbt.PLANE_ROWS, dbt.PLANE_COLUMNS, _BITS, "MONOCHROME2")
    ds.PresentationLUTShape = "IDENTITY"
    ds.ContentQualification = "RESEARCH"
    ds.PixelPresentation = "MONOCHROME"
    ds.VolumetricProperties = "VOLUME"
    ds.VolumeBasedCalculationTechnique = "TOMOSYNTHESIS"


def _view(ds: Dataset, one: Compression) -> None:
    """Breast View."""
    ds.ViewCodeSequence = coded(CODES[one.view])
    ds.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence()
    ds.BreastImplantPresent = "NO"
    ds.PartialView = "NO"


def _dimensions(ds: Dataset, study: ResolvedStudy, series_number: int) -> None:
    """Multi-frame Dimension: planes in their stack."""
    uid = study.uid(_DIMENSIONS, series_number)
    ds.DimensionOrganizationSequence = Sequence([Dataset()])
    ds.DimensionOrganizationSequence[0].DimensionOrganizationUID = uid
    items = []
    for pointer, label in ((0x00209056, "Stack"), (0x00209057, "Plane")):
        item = Dataset()
        item.DimensionOrganizationUID = uid
        item.DimensionIndexPointer = pointer
        item.FunctionalGroupPointer = 0x00209111
        item.DimensionDescriptionLabel = label
        items.append(item)
    ds.DimensionIndexSequence = Sequence(items)


def _acquisition(one: Compression) -> Dataset:
    """Breast Tomosynthesis Acquisition: one sweep of the tube."""
    item = Dataset()
    item.FieldOfViewShape = "RECTANGLE"
    pixel = one.exposure.pixel_mm
    item.FieldOfViewDimensionsInFloat = [round(ROWS * pixel, 3), round(-one.exposure.front_mm, 3)]
    item.FieldOfViewOrigin = [0.0, 0.0]
    item.FieldOfViewRotation = 0.0
    item.FieldOfViewHorizontalFlip = "NO"
    item.KVP = str(one.kvp + 2)
    item.XRayTubeCurrentInmA = 100.0
    item.ExposureTimeInms = round(_PROJECTIONS * 34.0, 1)
    item.ExposureInmAs = round(_PROJECTIONS * 3.4, 1)
    item.FocalSpots = "0.3"
    item.AnodeTargetMaterial = "TUNGSTEN"
    item.FilterMaterial = "ALUMINUM"
    item.FilterType = "STRIP"
    item.FilterThicknessMinimum = item.FilterThicknessMaximum = "0.7"
    item.Grid = "NONE"
    item.BodyPartThickness = f"{one.pressed.thickness_mm:.0f}"
    item.CompressionForce = str(one.force_n)
    item.DistanceSourceToDetector = "660"
    item.DistanceSourceToPatient = "640"
    item.PrimaryPositionerScanArc = _ARC_DEG
    item.PrimaryPositionerScanStartAngle = -_ARC_DEG / 2
    item.PrimaryPositionerIncrement = round(_ARC_DEG / (_PROJECTIONS - 1), 4)
    item.SecondaryPositionerScanArc = 0.0
    item.SecondaryPositionerScanStartAngle = 0.0
    item.SecondaryPositionerIncrement = 0.0
    item.EstimatedRadiographicMagnificationFactor = f"{660 / 640:.4f}"
    item.ExposureControlMode = "AUTOMATIC"
    item.ExposureControlModeDescription = "Exposure of the first projection decides that of the others"
    item.HalfValueLayer = "0.55"
    item.DetectorTemperature = "31"
    item.XRayReceptorType = "DIGITAL_DETECTOR"
    item.PaddleDescription = "Flat, 240 x 300 mm" if pixel > 0.08 else "Flat, 180 x 240 mm"
    item.OrganDose = f"{one.dose_mgy * 1.2 / 100:.4f}"
    item.PerProjectionAcquisitionSequence = Sequence([_projection(one, n) for n in range(_PROJECTIONS)])
    return item


def _projection(one: Compression, number: int) -> Dataset:
    """One exposure of the sweep."""
    item = Dataset()
    item.PositionerPrimaryAngle = f"{-_ARC_DEG / 2 + number * _ARC_DEG / (_PROJECTIONS - 1):.3f}"
    item.KVP = str(one.kvp + 2)
    item.XRayTubeCurrentInmA = 100.0
    item.ExposureTimeInms = 34.0
    item.ExposureInmAs = 3.4
    item.RelativeXRayExposure = _RELATIVE_EXPOSURE
    return item


def _reconstruction() -> Dataset:
    """X-Ray 3D Reconstruction."""
    item = Dataset()
    item.ReconstructionDescription = "Planes of rendered anatomy"
    item.ApplicationName = item.ApplicationManufacturer = "DICOM Fabricator"
    item.ApplicationVersion = __version__
    item.AlgorithmType = "FILTER_BACK_PROJ"
    item.AlgorithmDescription = "Sharp plane with the blurred mean of the others"
    item.AcquisitionIndex = 1
    return item


def _shared(one: Compression, count: int) -> Dataset:
    """Functional groups that all planes share."""
    group, pixel = Dataset(), one.exposure.pixel_mm * dbt.BINNING
    measures = Dataset()
    measures.PixelSpacing = [f"{pixel:g}"] * 2
    measures.SliceThickness = measures.SpacingBetweenSlices = f"{one.pressed.thickness_mm / count:.4f}"
    group.PixelMeasuresSequence = Sequence([measures])
    orientation = Dataset()
    rows, columns = _directions(one)
    orientation.ImageOrientationPatient = [f"{value:.7g}" for value in (*rows, *columns)]
    group.PlaneOrientationSequence = Sequence([orientation])
    anatomy = Dataset()
    anatomy.FrameLaterality = one.side
    anatomy.AnatomicRegionSequence = coded(BREAST)
    group.FrameAnatomySequence = Sequence([anatomy])
    window = Dataset()
    xray.window(window, _BITS)
    group.FrameVOILUTSequence = Sequence([window])
    values = Dataset()
    values.RescaleIntercept, values.RescaleSlope, values.RescaleType = "0", "1", "US"
    group.PixelValueTransformationSequence = Sequence([values])
    return group


def _frames(one: Compression, count: int) -> Iterator[Item]:
    """Functional groups of each plane."""
    # X-Ray 3D Frame Type may not be shared.
    kind: Item = {
        "FrameType": _IMAGE_TYPE,
        "PixelPresentation": "MONOCHROME",
        "VolumetricProperties": "VOLUME",
        "VolumeBasedCalculationTechnique": "TOMOSYNTHESIS",
        "ReconstructionIndex": 1,
    }
    time = one.study.study_date + clock(one.study.study_time, 60)
    for n, z_mm in enumerate(dbt.heights_mm(one.pressed.thickness_mm, count), start=1):
        content: Item = {
            "FrameAcquisitionNumber": 1,
            "FrameReferenceDateTime": time,
            "FrameAcquisitionDateTime": time,
            "FrameAcquisitionDuration": _SCAN_S * 1000,
            "StackID": "1",
            "InStackPositionNumber": n,
            "DimensionIndexValues": [1, n],
        }
        yield {
            "FrameContentSequence": [content],
            "PlanePositionSequence": [{"ImagePositionPatient": [f"{value:.4f}" for value in _corner(one, z_mm)]}],
            "XRay3DFrameTypeSequence": [kind],
        }


def _directions(one: Compression) -> tuple[list[float], list[float]]:
    """Patient directions in which columns and rows are counted."""
    x, y, _ = one.pressed.axes
    sign = 1.0 if one.side == "R" else -1.0
    return [sign * value + 0.0 for value in y], [sign * value + 0.0 for value in x]


def _corner(one: Compression, z_mm: float) -> list[float]:
    """Centre of the first pixel of a plane, in the patient's directions; zero is that of the compressed breast."""
    exposure, pixel = one.exposure, one.exposure.pixel_mm * dbt.BINNING
    x, y = exposure.left_mm + pixel / 2, exposure.front_mm + pixel / 2
    if one.side == "L":
        x, y = exposure.left_mm + (dbt.PLANE_ROWS - 0.5) * pixel, -pixel / 2
    return [float(value) for value in np.array([x, y, z_mm]) @ np.array(one.pressed.axes)]
