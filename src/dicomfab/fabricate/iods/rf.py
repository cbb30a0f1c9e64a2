"""X-Ray Radiofluoroscopic Image (PS3.3 A.16): a cine run of a barium swallow."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from pydicom.dataset import Dataset

from dicomfab.fabricate.anatomy.thorax import build_thorax
from dicomfab.fabricate.iods import xray
from dicomfab.fabricate.iods.common import base, clock, coded
from dicomfab.fabricate.kinds import Code
from dicomfab.fabricate.plan import SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.render import swallow
from dicomfab.fabricate.render.angio import Run

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.12.2"
OESOPHAGUS: Final[Code] = ("32849002", "SCT", "Esophagus")


def plan(study: ResolvedStudy, series: ResolvedSeries, series_number: int, workers: int) -> Iterator[SeriesPlan]:
    """One run, one multi-frame instance."""
    run = Run(series.count, xray.frame_s(series.count, shortest_s=0.2, whole_s=swallow.SWALLOW_S))
    yield SeriesPlan(
        dataset=_dataset(study, series_number, run),
        count=1,
        pixel_bytes=swallow.SIZE * swallow.SIZE * 2 * run.frames,
        varying=xray.identified(study, series_number),
        pixels=partial(_pixels, study, run, workers),
        frames=run.frames,
    )


def _pixels(study: ResolvedStudy, run: Run, workers: int) -> Iterator[memoryview]:
    thorax = build_thorax(study.body_seed, study.patient.sex, "up", study.course_months)
    for frame in swallow.frames(thorax.scene, run, (study.body_seed, study.patient.sex), study.seed, workers):
        yield frame.data.cast("B")


def _dataset(study: ResolvedStudy, series_number: int, run: Run) -> Dataset:
    ds = base(study, SOP_CLASS_UID, "RF", series_number)
    xray.timed(ds, study.study_date, clock(study.study_time, 120))
    ds.SeriesDescription = ds.ProtocolName = "BARIUM SWALLOW RAO"
    ds.BodyPartExamined = "ESOPHAGUS"
    ds.AnatomicRegionSequence = coded(OESOPHAGUS)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "SINGLE PLANE"]
    ds.AcquisitionNumber = "1"
    ds.InstanceNumber = "1"
    ds.PatientOrientation = ["L", "F"]
    _positioner(ds)
    _acquisition(ds, run)
    ds.ContrastBolusAgent = "BARIUM SULFATE"
    ds.ContrastBolusRoute = "ORAL"
    ds.ContrastBolusVolume = "60"
    ds.ContrastBolusIngredient = "BARIUM"
    xray.cine(ds, run)
    xray.stored(ds, swallow.SIZE, swallow.SIZE, swallow.BITS, "MONOCHROME2")
    ds.PixelIntensityRelationship = "DISP"
    xray.window(ds, swallow.BITS)
    return ds


def _positioner(ds: Dataset) -> None:
    """XRF Positioner, and the detector."""
    arm = swallow.c_arm()
    ds.DistanceSourceToDetector = f"{arm.source_detector_mm:g}"
    ds.DistanceSourceToPatient = f"{arm.source_isocentre_mm:g}"
    ds.EstimatedRadiographicMagnificationFactor = f"{arm.magnification:.4f}"
    ds.ColumnAngulation = "0"
    ds.ImagerPixelSpacing = [f"{arm.pixel_mm:g}"] * 2
    xray.collimator(ds, swallow.SIZE, swallow.EDGES)


def _acquisition(ds: Dataset, run: Run) -> None:
    """X-Ray Acquisition."""
    ds.KVP = "90"
    ds.XRayTubeCurrent = "60"
    ds.ExposureTime = "10"
    ds.AveragePulseWidth = "10"
    ds.Exposure = f"{max(1, round(0.06 * 10 * run.frames))}"
    ds.RadiationSetting = "SC"
    ds.RadiationMode = "PULSED"
    ds.IntensifierSize = "410"
    ds.FieldOfViewShape = "RECTANGLE"
    ds.FieldOfViewDimensions = ["410", "410"]
    ds.Grid = "IN"
    ds.FocalSpots = "0.6"
    ds.ImageAndFluoroscopyAreaDoseProduct = f"{0.12 * run.frames:g}"
