"""X-Ray Angiographic Image (PS3.3 A.14): a cine run of the left coronary artery."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from pydicom.dataset import Dataset

from dicomfab.fabricate.anatomy.coronaries import build_coronaries
from dicomfab.fabricate.anatomy.thorax import build_thorax
from dicomfab.fabricate.iods import xray
from dicomfab.fabricate.iods.common import base, clock, coded
from dicomfab.fabricate.kinds import Code
from dicomfab.fabricate.plan import SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.render import angio

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.12.1"
HEART: Final[Code] = ("80891009", "SCT", "Heart")
LEFT_CORONARY: Final[Code] = ("63364005", "SCT", "Left coronary artery structure")
_BITS: Final = 8


def plan(study: ResolvedStudy, series: ResolvedSeries, series_number: int, workers: int) -> Iterator[SeriesPlan]:
    """One run, one multi-frame instance."""
    run = angio.Run(series.count, xray.frame_s(series.count, shortest_s=1 / 15, whole_s=2.0))
    yield SeriesPlan(
        dataset=_dataset(study, series_number, run),
        count=1,
        pixel_bytes=xray.even(angio.SIZE * angio.SIZE * run.frames),
        varying=xray.identified(study, series_number),
        pixels=partial(_pixels, study, run, workers),
        frames=run.frames,
    )


def _pixels(study: ResolvedStudy, run: angio.Run, workers: int) -> Iterator[memoryview]:
    sex = study.patient.sex
    thorax, tree = build_thorax(study.body_seed, sex, "up", study.course_months), build_coronaries(study.body_seed, sex)
    for frame in angio.frames(thorax.scene, tree, run, study.seed, workers):
        yield frame.data.cast("B")


def _dataset(study: ResolvedStudy, series_number: int, run: angio.Run) -> Dataset:
    ds = base(study, SOP_CLASS_UID, "XA", series_number)
    xray.timed(ds, study.study_date, clock(study.study_time, 180))
    ds.SeriesDescription = ds.ProtocolName = "LEFT CORONARY RAO 30 CAU 20"
    ds.BodyPartExamined = "HEART"
    ds.AnatomicRegionSequence = coded(HEART)
    ds.PrimaryAnatomicStructureSequence = coded(LEFT_CORONARY)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "SINGLE PLANE"]
    ds.AcquisitionNumber = "1"
    ds.InstanceNumber = "1"
    ds.PatientOrientation = ["L", "F"]
    _positioner(ds, study)
    _acquisition(ds, run)
    _contrast(ds)
    xray.cine(ds, run)
    xray.stored(ds, angio.SIZE, angio.SIZE, _BITS, "MONOCHROME2")
    ds.PixelIntensityRelationship = "DISP"
    xray.window(ds, _BITS)
    return ds


def _positioner(ds: Dataset, study: ResolvedStudy) -> None:
    """XA Positioner: a C-arm that stands still, and the table."""
    arm = angio.c_arm(build_coronaries(study.body_seed, study.patient.sex))
    ds.PositionerMotion = "STATIC"
    ds.PositionerPrimaryAngle = f"{arm.primary_deg:g}"
    ds.PositionerSecondaryAngle = f"{arm.secondary_deg:g}"
    ds.DistanceSourceToDetector = f"{arm.source_detector_mm:g}"
    ds.DistanceSourceToPatient = f"{arm.source_isocentre_mm:g}"
    ds.EstimatedRadiographicMagnificationFactor = f"{arm.magnification:.4f}"
    ds.ImagerPixelSpacing = [f"{arm.pixel_mm:g}"] * 2
    ds.TableMotion = "STATIC"
    xray.collimator(ds, angio.SIZE, angio.EDGES)


def _acquisition(ds: Dataset, run: angio.Run) -> None:
    """X-Ray Acquisition."""
    ds.KVP = "78"
    ds.XRayTubeCurrent = "620"
    ds.ExposureTime = "6"
    ds.AveragePulseWidth = "6"
    ds.Exposure = f"{max(1, round(0.62 * 6 * run.frames))}"
    ds.RadiationSetting = "GR"
    ds.RadiationMode = "PULSED"
    ds.IntensifierSize = "200"
    ds.FieldOfViewShape = "RECTANGLE"
    ds.FieldOfViewDimensions = ["189", "189"]
    ds.Grid = "IN"
    ds.FocalSpots = "0.6"
    ds.ImageAndFluoroscopyAreaDoseProduct = f"{0.09 * run.frames:g}"


def _contrast(ds: Dataset) -> None:
    """Contrast/Bolus: injected by hand through the catheter."""
    ds.ContrastBolusAgent = "IODIXANOL 320"
    ds.ContrastBolusRoute = "INTRA-ARTERIAL"
    ds.ContrastBolusVolume = "7"
    ds.ContrastBolusTotalDose = "7"
    ds.ContrastFlowRate = "4"
    ds.ContrastBolusIngredient = "IODINE"
    ds.ContrastBolusIngredientConcentration = "320"
