"""Nuclear Medicine Image (PS3.3 A.5), reconstructed: SPECT of bones, and gated SPECT of the heart."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicomfab.fabricate.anatomy.body import person
from dicomfab.fabricate.iods import image_pixel, nuclear, regions
from dicomfab.fabricate.iods.common import base, coded
from dicomfab.fabricate.iods.nm import SOP_CLASS_UID, detector, frames, image, isotope
from dicomfab.fabricate.kinds import Code
from dicomfab.fabricate.plan import SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.render import emission, nm, nm_heart
from dicomfab.fabricate.seeds import Draw

TRANSVERSE: Final[Code] = ("62824007", "SCT", "Transverse")
SHORT_AXIS: Final[Code] = ("103340004", "SCT", "Short axis")
HEART: Final[Code] = ("80891009", "SCT", "Heart")
_VIEW_S: Final = 20
_GATED_VIEW_S: Final = 25


def plan(study: ResolvedStudy, series: ResolvedSeries, series_number: int, workers: int) -> Iterator[SeriesPlan]:
    """One instance: of sections, or of as many sections in each part of the cardiac cycle."""
    ds = base(study, SOP_CLASS_UID, "NM", series_number)
    if series.kind == "nm-gated":
        view = nm_heart.ShortAxis.of(person(study.body_seed, study.patient.sex), series.count)
        _describe_gated(ds, study, view)
        pixels, count = partial(_gated_pixels, study, view, workers), series.count * len(nm_heart.CYCLE)
    else:
        stack = _stack(study, series.count)
        _describe_bones(ds, study, stack)
        pixels, count = partial(_bone_pixels, study, stack, workers), series.count
    yield SeriesPlan(
        dataset=ds,
        count=1,
        pixel_bytes=ds.Rows * ds.Columns * 2 * count,
        varying=image_pixel.numbered(study, series_number),
        pixels=pixels,
        frames=count,
    )


def _stack(study: ResolvedStudy, sections: int) -> emission.Stack:
    top_mm, bottom_mm, _ = regions.axial_range(study, "abdomen")
    spacing_mm = round((top_mm - bottom_mm) / sections, 4)
    first_mm = round(top_mm - spacing_mm / 2, 4)
    return emission.Stack(first_mm, spacing_mm, sections, nm.SPECT_MATRIX, nm.SPECT_PIXEL_MM)


def _bone_pixels(study: ResolvedStudy, stack: emission.Stack, workers: int) -> Iterator[memoryview]:
    body = regions.body(study, "abdomen")
    tracer = emission.Tracer(nm.BONE, list(nm.bone_uptake(body).values()))
    for section in nm.spect(body, tracer, stack, study.seed, workers):
        yield section.data.cast("B")


def _gated_pixels(study: ResolvedStudy, view: nm_heart.ShortAxis, workers: int) -> Iterator[memoryview]:
    for section in nm_heart.gated(regions.body(study, "chest"), view, study.seed, workers):
        yield section.data.cast("B")


def _describe_bones(ds: Dataset, study: ResolvedStudy, stack: emission.Stack) -> None:
    ds.SeriesDescription = ds.ProtocolName = "BONE SPECT TRANSVERSE"
    regions.describe(ds, study, "abdomen")
    image(ds, study, "RECON TOMO", 30 * _VIEW_S, counts=4_600_000)
    image_pixel.grey(ds, stack.matrix, stack.matrix, stored=16)
    frames(ds, SliceVector=range(1, stack.count + 1))
    ds.NumberOfSlices = stack.count
    isotope(ds, study, nuclear.MDP)
    # A negative spacing: sections follow one another downwards, against the normal of rows and columns.
    _reconstructed(ds, stack.pixel_mm, -stack.spacing_mm, stack.matrix)
    ds.WindowCenter, ds.WindowWidth = "1000", "2000"
    ds.CorrectedImage = ["UNIF", "COR", "ATTN", "SCAT"]
    _rotated(ds, views=60, arc=360, start=180, view_s=_VIEW_S)
    item = detector()
    item.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    item.ImagePositionPatient = [f"{stack.corner_mm:.4f}", f"{stack.corner_mm:.4f}", f"{stack.first_z_mm:.4f}"]
    _seen(ds, item, TRANSVERSE)


def _describe_gated(ds: Dataset, study: ResolvedStudy, view: nm_heart.ShortAxis) -> None:
    slots, sections = len(nm_heart.CYCLE), view.count
    ds.SeriesDescription = ds.ProtocolName = "MYOCARDIAL PERFUSION REST GATED SHORT AXIS"
    regions.describe(ds, study, "chest")
    ds.BodyPartExamined = "HEART"
    ds.AnatomicRegionSequence = coded(HEART)
    image(ds, study, "RECON GATED TOMO", 16 * _GATED_VIEW_S, counts=3_900_000)
    image_pixel.grey(ds, nm_heart.MATRIX, nm_heart.MATRIX, stored=16)
    frames(
        ds,
        RRIntervalVector=[1] * (slots * sections),
        TimeSlotVector=[slot for slot in range(1, slots + 1) for _ in range(sections)],
        SliceVector=list(range(1, sections + 1)) * slots,
    )
    ds.NumberOfRRIntervals, ds.NumberOfTimeSlots, ds.NumberOfSlices = 1, slots, sections
    isotope(ds, study, nuclear.MIBI)
    _reconstructed(ds, nm_heart.VOXEL_MM, nm_heart.VOXEL_MM, nm_heart.MATRIX)
    ds.WindowCenter, ds.WindowWidth = "900", "1800"
    ds.CorrectedImage = ["UNIF", "COR"]
    _rotated(ds, views=32, arc=180, start=135, view_s=_GATED_VIEW_S)
    _gate(ds, study, slots)
    item = detector()
    item.ImageOrientationPatient = [f"{value:.6f}" for value in (*view.row, *view.column)]
    item.ImagePositionPatient = [f"{value:.4f}" for value in view.position_mm(0)]
    _seen(ds, item, SHORT_AXIS)


def _seen(ds: Dataset, item: Dataset, view: Code) -> None:
    """The one item of DetectorInformationSequence that reconstructed images have."""
    item.ViewCodeSequence = coded(view)
    item.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence()
    ds.DetectorInformationSequence = Sequence([item])
    ds.NumberOfEnergyWindows = ds.NumberOfDetectors = 1


def _reconstructed(ds: Dataset, pixel_mm: float, spacing_mm: float, matrix: int) -> None:
    """NM Reconstruction (PS3.3 C.8.4.15)."""
    ds.PixelSpacing = [f"{pixel_mm:g}"] * 2
    ds.SpacingBetweenSlices = f"{spacing_mm:g}"
    ds.SliceThickness = f"{min(abs(spacing_mm), 10.0):g}"
    ds.ReconstructionDiameter = f"{matrix * pixel_mm:g}"
    ds.ConvolutionKernel = ["BUTTERWORTH", "0.5"]


def _rotated(ds: Dataset, *, views: int, arc: int, start: int, view_s: int) -> None:
    """NM TOMO Acquisition (PS3.3 C.8.4.12): one rotation of the two detectors."""
    item = Dataset()
    item.TableTraverse = "0"
    item.TableHeight = "150"
    item.StartAngle = str(start)
    item.AngularStep = f"{arc / views:g}"
    item.RotationDirection = "CW"
    item.ScanArc = str(arc)
    item.ActualFrameDuration = str(view_s * 1000)
    item.RadialPosition = "250"
    item.NumberOfFramesInRotation = views
    ds.RotationInformationSequence = Sequence([item])
    ds.NumberOfRotations = 1
    ds.TypeOfDetectorMotion = "STEP AND SHOOT"


def _gate(ds: Dataset, study: ResolvedStudy, slots: int) -> None:
    """NM Multi-gated Acquisition (PS3.3 C.8.4.13): beats of about one length, each in equal parts."""
    beat_ms = Draw(study.seed, "heart rate").below(320) + 780
    beats = 32 * _GATED_VIEW_S * 1000 // beat_ms
    rejected = beats // 25
    interval = Dataset()
    interval.FrameTime = f"{beat_ms / slots:.2f}"
    interval.NominalInterval = str(beat_ms)
    interval.LowRRValue, interval.HighRRValue = str(beat_ms * 8 // 10), str(beat_ms * 12 // 10)
    interval.IntervalsAcquired, interval.IntervalsRejected = str(beats - rejected), str(rejected)
    gated = Dataset()
    gated.TriggerTime = "0"
    gated.CardiacFramingType = "FORW"
    gated.DataInformationSequence = Sequence([interval])
    ds.GatedInformationSequence = Sequence([gated])
    ds.BeatRejectionFlag = "Y"
    ds.HeartRate = str(60_000 // beat_ms)
