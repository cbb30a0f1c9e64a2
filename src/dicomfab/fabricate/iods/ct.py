"""CT Image (PS3.3 A.3): a contrast-enhanced CT of the chest, one axial series."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from pydicom.dataset import Dataset

from dicomfab.fabricate.anatomy.thorax import build_thorax
from dicomfab.fabricate.iods.common import CHEST, base, burned_in, clock, coded, instance_uid
from dicomfab.fabricate.iods.series import SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.render import ct

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.2"
COVERAGE_MM: Final = 300.0
_KVP: Final = 120
_TABLE_SPEED_MM_S: Final = 60.0
_TUBE_CURRENT_MA: Final = 240
_ROTATION_S: Final = 0.5


def stack(slices: int) -> ct.AxialStack:
    """So many slices of always the same 300 mm: fewer of them lie further apart."""
    spacing_mm = round(COVERAGE_MM / slices, 4)
    return ct.AxialStack(round(COVERAGE_MM / 2 - spacing_mm / 2, 4), spacing_mm, slices)


def plan(study: ResolvedStudy, series: ResolvedSeries, series_number: int, workers: int) -> Iterator[SeriesPlan]:
    """One series from the apex of the lungs down."""
    slices = stack(series.count)

    def varying(index: int) -> dict[str, str]:
        z_mm = f"{slices.z_mm(index):.4f}"
        time = clock(study.study_time, 30 + index * slices.spacing_mm / _TABLE_SPEED_MM_S)
        return {
            "SOPInstanceUID": instance_uid(study, series_number, index + 1),
            "InstanceNumber": str(index + 1),
            "ImagePositionPatient": f"{slices.corner_mm:.6f}\\{slices.corner_mm:.6f}\\{z_mm}",
            "SliceLocation": z_mm,
            "AcquisitionTime": time,
            "ContentTime": time,
        }

    yield SeriesPlan(
        dataset=_dataset(study, series_number, slices),
        count=series.count,
        pixel_bytes=ct.MATRIX * ct.MATRIX * 2,
        varying=varying,
        pixels=partial(_pixels, study, slices, workers),
    )


def _pixels(study: ResolvedStudy, slices: ct.AxialStack, workers: int) -> Iterator[memoryview]:
    thorax = build_thorax(study.seed, study.patient.sex, "up")
    for pixels in ct.slices(thorax.scene, slices, study.seed, workers):
        yield pixels.data.cast("B")


def _dataset(study: ResolvedStudy, series_number: int, slices: ct.AxialStack) -> Dataset:
    ds = base(study, SOP_CLASS_UID, "CT", series_number)
    ds.SeriesDescription = "CHEST AXIAL 1.5 MM" if slices.count == 200 else f"CHEST AXIAL {slices.spacing_mm:g} MM"
    ds.ProtocolName = "CHEST ROUTINE W CONTRAST"
    ds.BodyPartExamined = "CHEST"
    ds.PatientPosition = "HFS"
    ds.FrameOfReferenceUID = study.uid("frame-of-reference", series_number)
    ds.PositionReferenceIndicator = "SN"
    _plane(ds, slices)
    _contrast(ds)
    _acquisition(ds, study)
    _pixel_module(ds)
    return ds


def _plane(ds: Dataset, slices: ct.AxialStack) -> None:
    """General Image and Image Plane."""
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.AcquisitionNumber = "1"
    ds.InstanceNumber = "1"
    ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    ds.ImagePositionPatient = ["0", "0", "0"]
    ds.SliceLocation = "0"
    ds.SliceThickness = f"{min(slices.spacing_mm, 5.0):g}"
    ds.SpacingBetweenSlices = f"{slices.spacing_mm:g}"
    ds.PixelSpacing = [f"{ct.PIXEL_MM}", f"{ct.PIXEL_MM}"]
    ds.AnatomicRegionSequence = coded(CHEST)


def _contrast(ds: Dataset) -> None:
    """Contrast/Bolus: the vessels of the body are enhanced."""
    ds.ContrastBolusAgent = "IOHEXOL 300"
    ds.ContrastBolusAgentSequence = coded(("109218004", "SCT", "Iohexol"))
    ds.ContrastBolusRoute = "IV"
    ds.ContrastBolusVolume = "80"
    ds.ContrastFlowRate = "3"
    ds.ContrastBolusIngredient = "IODINE"
    ds.ContrastBolusIngredientConcentration = "300"


def _acquisition(ds: Dataset, study: ResolvedStudy) -> None:
    """CT Image: how it was scanned."""
    ds.AcquisitionDate = ds.ContentDate = study.study_date
    ds.AcquisitionTime = ds.ContentTime = study.study_time
    ds.ScanOptions = "HELICAL MODE"
    ds.KVP = str(_KVP)
    ds.DataCollectionDiameter = "500"
    ds.ReconstructionDiameter = f"{ct.FIELD_OF_VIEW_MM:g}"
    ds.DistanceSourceToDetector = "950"
    ds.DistanceSourceToPatient = "540"
    ds.GantryDetectorTilt = "0"
    ds.TableHeight = "150"
    ds.RotationDirection = "CW"
    ds.ExposureTime = f"{_ROTATION_S * 1000:g}"
    ds.XRayTubeCurrent = str(_TUBE_CURRENT_MA)
    ds.Exposure = f"{_TUBE_CURRENT_MA * _ROTATION_S:g}"
    ds.FilterType = "BODY"
    ds.GeneratorPower = f"{_KVP * _TUBE_CURRENT_MA // 1000}"
    ds.FocalSpots = "1.2"
    ds.ConvolutionKernel = "STANDARD"
    ds.RevolutionTime = _ROTATION_S
    ds.SingleCollimationWidth = 0.625
    ds.TotalCollimationWidth = 40.0
    ds.TableSpeed = _TABLE_SPEED_MM_S
    ds.TableFeedPerRotation = _TABLE_SPEED_MM_S * _ROTATION_S
    ds.SpiralPitchFactor = _TABLE_SPEED_MM_S * _ROTATION_S / 40.0
    ds.ExposureModulationType = "NONE"
    ds.CTDIvol = 8.1
    ds.CTDIPhantomTypeCodeSequence = coded(("113691", "DCM", "IEC Body Dosimetry Phantom"))


def _pixel_module(ds: Dataset) -> None:
    """Image Pixel, Modality LUT and VOI LUT."""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows = ds.Columns = ct.MATRIX
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
    ds.PixelRepresentation = 0
    ds.RescaleIntercept = str(ct.OFFSET_HU)
    ds.RescaleSlope = "1"
    ds.RescaleType = "HU"
    ds.WindowCenter = ["40", "-600"]
    ds.WindowWidth = ["400", "1500"]
    ds.WindowCenterWidthExplanation = ["MEDIASTINUM", "LUNG"]
    ds.LossyImageCompression = "00"
    burned_in(ds, identifies_patient=False)
