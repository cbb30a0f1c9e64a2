"""Ultrasound Image and Ultrasound Multi-frame Image (PS3.3 A.6, A.7): the belly, a beating heart, flow in a carotid."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from dicomfab.fabricate.anatomy import regions, trunk
from dicomfab.fabricate.anatomy.body import person
from dicomfab.fabricate.iods.common import base, clock, coded
from dicomfab.fabricate.iods.image_pixel import colour, even, grey, numbered
from dicomfab.fabricate.kinds import Code
from dicomfab.fabricate.plan import SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.render import doppler, echo, us
from dicomfab.fabricate.render.us_screen import Sector

SINGLE: Final = "1.2.840.10008.5.1.4.1.1.6.1"
MULTI_FRAME: Final = "1.2.840.10008.5.1.4.1.1.3.1"
_CM: Final = 3  # PhysicalUnits (PS3.3 C.8.5.5.1.15)
_TISSUE, _FLOW = 1, 2  # RegionDataType (PS3.3 C.8.5.5.1.12)
_IMAGE_EVERY_S: Final = 25.0
_ABDOMEN: Final[Code] = ("818981001", "SCT", "Abdomen")
_HEART: Final[Code] = ("80891009", "SCT", "Heart")
_CAROTID: Final[Code] = ("69105007", "SCT", "Carotid artery")

Box = tuple[int, int, int, int]


def plan(study: ResolvedStudy, series: ResolvedSeries, series_number: int, workers: int) -> Iterator[SeriesPlan]:
    """One series: single images of the belly, or one cine."""
    make = {"us-abdomen": _abdomen, "us-cine": _heart, "us-colour": _carotid}[series.kind]
    yield make(study, series.count, series_number, workers)


def _abdomen(study: ResolvedStudy, count: int, series_number: int, workers: int) -> SeriesPlan:
    ds = _common(study, SINGLE, series_number, "ABDOMEN", "ABDOMEN COMPLETE", ["ABDOMINAL", "0001"])
    ds.AnatomicRegionSequence = coded(_ABDOMEN)
    _transducer(ds, "CURVED LINEAR", "C5-2, 3.5 MHz", us.CURVED.depth_mm, mechanical=1.0, bone=0.9, soft=0.6)
    ds.SequenceOfUltrasoundRegions = Sequence([_sector_region(us.CURVED, us.FREQUENCY_MHZ)])
    grey(ds, us.CURVED.rows, us.CURVED.columns)
    shared = numbered(study, series_number)

    def varying(index: int) -> dict[str, str]:
        time = clock(study.study_time, 15 + index * _IMAGE_EVERY_S)
        return {**shared(index), "AcquisitionTime": time, "ContentTime": time}

    return SeriesPlan(
        dataset=ds,
        count=count,
        pixel_bytes=us.CURVED.rows * us.CURVED.columns,
        varying=varying,
        pixels=partial(_belly, study, count, workers),
    )


def _belly(study: ResolvedStudy, count: int, workers: int) -> Iterator[memoryview]:
    build = person(study.body_seed, study.patient.sex)
    body = regions.build_abdomen(study.body_seed, study.patient.sex, study.course_months)
    for picture in us.images(body.scene, trunk.origin(build), build.size, study.seed, count, workers):
        yield picture.data.cast("B")


def _heart(study: ResolvedStudy, frames: int, series_number: int, workers: int) -> SeriesPlan:
    heart = echo.Heart.of(study.body_seed)
    ds = _common(study, MULTI_FRAME, series_number, "HEART", "APICAL FOUR CHAMBER", ["TTE", "0001"])
    ds.AnatomicRegionSequence = coded(_HEART)
    ds.ViewCodeSequence = coded(("399214001", "SCT", "Apical four chamber"))
    _transducer(ds, "SECTOR_PHASED", "P4-1, 2.5 MHz", echo.PHASED.depth_mm, mechanical=1.0, bone=1.4, soft=0.6)
    ds.SequenceOfUltrasoundRegions = Sequence([_sector_region(echo.PHASED, echo.FREQUENCY_MHZ)])
    grey(ds, echo.PHASED.rows, echo.PHASED.columns)
    _cine(ds, frames, echo.FRAME_TIME_MS, heart.rate_bpm)
    return SeriesPlan(
        dataset=ds,
        count=1,
        pixel_bytes=even(echo.PHASED.rows * echo.PHASED.columns * frames),
        varying=numbered(study, series_number),
        pixels=lambda: (one.data.cast("B") for one in echo.frames(heart, study.seed, frames, workers)),
        frames=frames,
    )


def _carotid(study: ResolvedStudy, frames: int, series_number: int, workers: int) -> SeriesPlan:
    vessel = doppler.Vessel.of(study.body_seed)
    ds = _common(study, MULTI_FRAME, series_number, "CAROTID", "RT CAROTID BIFURCATION", ["SMALL PARTS", "0011"])
    ds.AnatomicRegionSequence = coded(_CAROTID)
    ds.Laterality = "R"
    _transducer(ds, "LINEAR", "L12-5, 9 MHz", doppler.DEPTH_MM, mechanical=0.9, bone=1.3, soft=1.1)
    ds.UltrasoundColorDataPresent = 1
    left, top, _, _ = doppler.tissue_box()
    tissue = _region(_TISSUE, doppler.tissue_box(), doppler.PIXEL_MM, doppler.FREQUENCY_MHZ, (left, top))
    flow = _region(_FLOW, doppler.colour_box(), doppler.PIXEL_MM, doppler.DOPPLER_MHZ, (left, top))
    flow.PulseRepetitionFrequency = doppler.REPETITION_HZ
    flow.SteeringAngle = round(doppler.STEERING * 57.29578, 3)
    ds.SequenceOfUltrasoundRegions = Sequence([tissue, flow])
    colour(ds, doppler.ROWS, doppler.COLUMNS)
    _cine(ds, frames, doppler.FRAME_TIME_MS, vessel.rate_bpm)
    return SeriesPlan(
        dataset=ds,
        count=1,
        pixel_bytes=even(doppler.ROWS * doppler.COLUMNS * 3 * frames),
        varying=numbered(study, series_number),
        pixels=lambda: (one.data.cast("B") for one in doppler.frames(vessel, study.seed, frames, workers)),
        frames=frames,
    )


def _common(
    study: ResolvedStudy, sop_class_uid: str, series_number: int, body_part: str, description: str, kind: list[str]
) -> Dataset:
    """General Image and US Image modules; ``kind`` is what ImageType says of the examination and its modes."""
    ds = base(study, sop_class_uid, "US", series_number)
    ds.SeriesDescription = ds.ProtocolName = description
    ds.BodyPartExamined = body_part
    ds.ImageType = ["ORIGINAL", "PRIMARY", *kind]
    ds.InstanceNumber = ds.AcquisitionNumber = "1"
    ds.PatientOrientation = ""
    ds.AcquisitionDate = ds.ContentDate = study.study_date
    ds.AcquisitionTime = ds.ContentTime = clock(study.study_time, 15)
    ds.UltrasoundColorDataPresent = 0
    return ds


def _transducer(
    ds: Dataset, geometry: str, name: str, depth_mm: float, *, mechanical: float, bone: float, soft: float
) -> None:
    ds.TransducerType = geometry
    ds.TransducerData = name
    ds.DepthOfScanField = str(round(depth_mm))
    ds.MechanicalIndex = f"{mechanical:g}"
    ds.BoneThermalIndex, ds.SoftTissueThermalIndex = f"{bone:g}", f"{soft:g}"
    ds.CranialThermalIndex = f"{bone:g}"


def _sector_region(sector: Sector, frequency_mhz: float) -> Dataset:
    """The grey image of a sector, measured from the middle of the transducer's surface."""
    return _region(_TISSUE, sector.box, sector.pixel_mm, frequency_mhz, (sector.columns // 2, sector.top))


def _region(data_type: int, box: Box, pixel_mm: float, frequency_mhz: float, origin: tuple[int, int]) -> Dataset:
    """An item of SequenceOfUltrasoundRegions (PS3.3 C.8.5.5): two-dimensional, in centimetres."""
    region = Dataset()
    region.RegionSpatialFormat = 1
    region.RegionDataType = data_type
    region.RegionFlags = 0
    region.RegionLocationMinX0, region.RegionLocationMinY0 = box[:2]
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = box[2:]
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = _CM
    region.ReferencePixelX0, region.ReferencePixelY0 = origin[0] - box[0], origin[1] - box[1]
    region.ReferencePixelPhysicalValueX = region.ReferencePixelPhysicalValueY = 0.0
    region.PhysicalDeltaX = region.PhysicalDeltaY = round(pixel_mm / 10, 9)
    region.TransducerFrequency = round(frequency_mhz * 1000)
    return region


def _cine(ds: Dataset, frames: int, frame_time_ms: float, rate_bpm: int) -> None:
    """Multi-frame and Cine modules."""
    ds.NumberOfFrames = str(frames)
    ds.FrameIncrementPointer = Tag("FrameTime")
    ds.FrameTime = f"{frame_time_ms:g}"
    ds.HeartRate = str(rate_bpm)
    rate = round(1000 / frame_time_ms)
    ds.CineRate = ds.RecommendedDisplayFrameRate = str(rate)
    ds.FrameDelay = "0"
    ds.StartTrim, ds.StopTrim = "1", str(frames)
    ds.EffectiveDuration = f"{frames * frame_time_ms / 1000:g}"
    ds.PreferredPlaybackSequencing = 0
