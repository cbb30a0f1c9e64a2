"""Positron Emission Tomography Image (PS3.3 A.21): FDG, in Bq/ml, corrected for decay to the start of the scan."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicomfab.fabricate.iods import image_pixel, nuclear, regions
from dicomfab.fabricate.iods.common import base, instance_uid
from dicomfab.fabricate.plan import SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.render import pet
from dicomfab.fabricate.render.emission import Stack

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.128"
SCAN_AFTER_S: Final = 90
BED_S: Final = 120.0
_BED_MM: Final = 165.0  # of new body in each position of the bed
_MOVE_S: Final = 4.0


@dataclass(frozen=True, slots=True)
class Scan:
    """One examination.

    Args:
        injection: what was injected.
        weight_kg: of the patient.
        stack: where the slices lie.
    """

    injection: nuclear.Injection
    weight_kg: float
    stack: Stack

    @classmethod
    def of(cls, study: ResolvedStudy, slices: int, weight_kg: float) -> Scan:
        """So many slices from the vertex to the thighs, as the CT: fewer of them lie further apart."""
        top_mm, bottom_mm, _ = regions.axial_range(study, "whole")
        spacing_mm = round((top_mm - bottom_mm) / slices, 4)
        stack = Stack(round(top_mm - spacing_mm / 2, 4), spacing_mm, slices, pet.MATRIX, pet.PIXEL_MM)
        return cls(nuclear.Injection.draw(study, nuclear.FDG, weight_kg), weight_kg, stack)

    @property
    def slope_bq_ml(self) -> float:
        """Activity concentration of one stored step: SUV 1 is the activity at the scan spread over the body."""
        bq_per_g = self.injection.activity_at_scan_bq / (self.weight_kg * 1000)
        return float(f"{bq_per_g / pet.STORED_PER_SUV:.8g}")

    def bed_start_s(self, index: int) -> float:
        """When the position that a slice lies in was begun, after the start of the scan: from the feet upwards."""
        below_mm = (self.stack.count - 1 - index) * self.stack.spacing_mm
        return int(below_mm / _BED_MM) * (BED_S + _MOVE_S)

    def reference_s(self, index: int) -> float:
        """When the activity was what it was on average while a slice was acquired, after the start of the scan."""
        rate = math.log(2) / nuclear.F18.half_life_s
        decayed = rate * BED_S
        return self.bed_start_s(index) + math.log(decayed / -math.expm1(-decayed)) / rate


def plan(study: ResolvedStudy, series: ResolvedSeries, series_number: int, workers: int) -> Iterator[SeriesPlan]:
    """One series from the head down."""
    ds = base(study, SOP_CLASS_UID, "PT", series_number)
    scan = Scan.of(study, series.count, float(ds.PatientWeight))
    _describe(ds, study, scan)

    def varying(index: int) -> dict[str, str]:
        corner, z_mm = f"{scan.stack.corner_mm:.4f}", f"{scan.stack.z_mm(index):.4f}"
        date, time = nuclear.moment(study, SCAN_AFTER_S + scan.bed_start_s(index))
        reference_s = scan.reference_s(index)
        return {
            "SOPInstanceUID": instance_uid(study, series_number, index + 1),
            "InstanceNumber": str(index + 1),
            "ImageIndex": str(index + 1),
            "ImagePositionPatient": f"{corner}\\{corner}\\{z_mm}",
            "SliceLocation": z_mm,
            "AcquisitionDate": date,
            "AcquisitionTime": time,
            "ContentDate": date,
            "ContentTime": time,
            "FrameReferenceTime": f"{reference_s * 1000:.1f}",
            "DecayFactor": f"{1 / nuclear.F18.remaining(reference_s):.6f}",
        }

    yield SeriesPlan(
        dataset=ds,
        count=series.count,
        pixel_bytes=pet.MATRIX * pet.MATRIX * 2,
        varying=varying,
        pixels=partial(pixels, study, scan, workers),
    )


def pixels(study: ResolvedStudy, scan: Scan, workers: int) -> Iterator[memoryview]:
    """The slices in order."""
    for stored in pet.slices(regions.body(study, "whole"), scan.stack, study.seed, workers):
        yield stored.data.cast("B")


def _describe(ds: Dataset, study: ResolvedStudy, scan: Scan) -> None:
    ds.SeriesDescription = "PET WB AC"
    ds.ProtocolName = "FDG WHOLE BODY"
    ds.SeriesDate, ds.SeriesTime = nuclear.moment(study, SCAN_AFTER_S)
    regions.describe(ds, study, "whole")
    nuclear.lying(ds)
    _series(ds, scan)
    _isotope(ds, study, scan)
    _plane(ds, scan)
    _image(ds, scan)


def _series(ds: Dataset, scan: Scan) -> None:
    """PET Series (PS3.3 C.8.9.1)."""
    ds.Units = "BQML"
    ds.CountsSource = "EMISSION"
    ds.SeriesType = ["WHOLE BODY", "IMAGE"]
    ds.NumberOfSlices = scan.stack.count
    ds.CorrectedImage = ["DECY", "ATTN", "SCAT", "DTIM", "RAN", "NORM"]
    ds.RandomsCorrectionMethod = "DLYD"
    ds.AttenuationCorrectionMethod = "CT-derived mu-map"
    ds.ScatterCorrectionMethod = "Model-based"
    ds.DecayCorrection = "START"
    ds.ReconstructionDiameter = f"{scan.stack.matrix * scan.stack.pixel_mm:g}"
    ds.ConvolutionKernel = "Gaussian 4 mm"
    ds.ReconstructionMethod = "OSEM 2 iterations 21 subsets, TOF"
    ds.DetectorLinesOfResponseUsed = "3D"
    ds.AcquisitionStartCondition = "MANU"
    ds.AcquisitionTerminationCondition = "TIME"
    ds.FieldOfViewShape = "CYLINDRICAL RING"
    ds.FieldOfViewDimensions = ["700", "220"]
    ds.GantryDetectorTilt = "0"
    ds.TypeOfDetectorMotion = "NONE"
    ds.CollimatorType = "NONE"
    ds.CoincidenceWindowWidth = "4.1"
    ds.EnergyWindowRangeSequence = nuclear.energy_window(435, 650)


def _isotope(ds: Dataset, study: ResolvedStudy, scan: Scan) -> None:
    """PET Isotope (PS3.3 C.8.9.2)."""
    item = nuclear.injected(study, scan.injection, SCAN_AFTER_S, pet=True)
    ds.RadiopharmaceuticalInformationSequence = Sequence([item])


def _plane(ds: Dataset, scan: Scan) -> None:
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.AcquisitionNumber = "1"
    ds.InstanceNumber = "1"
    ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    ds.ImagePositionPatient = ["0", "0", "0"]
    ds.SliceLocation = "0"
    ds.SliceThickness = f"{min(scan.stack.spacing_mm, 5.0):g}"
    ds.SpacingBetweenSlices = f"{scan.stack.spacing_mm:g}"
    ds.PixelSpacing = [f"{scan.stack.pixel_mm:g}", f"{scan.stack.pixel_mm:g}"]


def _image(ds: Dataset, scan: Scan) -> None:
    """PET Image (PS3.3 C.8.9.4), Image Pixel and VOI LUT; what varies gets its values later."""
    image_pixel.grey(ds, scan.stack.matrix, scan.stack.matrix, stored=16)
    ds.RescaleIntercept, ds.RescaleSlope = "0", f"{scan.slope_bq_ml:.8g}"
    shown_bq_ml = 8 * scan.slope_bq_ml * pet.STORED_PER_SUV  # SUV 0 to 8
    ds.WindowCenter, ds.WindowWidth = f"{shown_bq_ml / 2:.1f}", f"{shown_bq_ml:.1f}"
    ds.WindowCenterWidthExplanation = "SUV 0 TO 8"
    ds.AcquisitionDate = ds.ContentDate = ds.SeriesDate
    ds.AcquisitionTime = ds.ContentTime = ds.SeriesTime
    ds.FrameReferenceTime = "0"
    ds.ActualFrameDuration = f"{BED_S * 1000:g}"
    ds.DecayFactor = "1"
    ds.DoseCalibrationFactor = "1"
    ds.ScatterFractionFactor = "0.34"
    ds.ImageIndex = 1
