"""Computed Radiography Image (PS3.3 A.2): the chest PA, or a knee AP and lateral, from imaging plates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from pydicom.dataset import Dataset

from dicomfab.fabricate.anatomy.body import Body
from dicomfab.fabricate.anatomy.knee import Side, affected
from dicomfab.fabricate.anatomy.regions import build_knee
from dicomfab.fabricate.anatomy.thorax import build_thorax
from dicomfab.fabricate.iods import xray
from dicomfab.fabricate.iods.common import CHEST, base, begun_s, clock, coded
from dicomfab.fabricate.kinds import Code
from dicomfab.fabricate.plan import SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.render import dx

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.1"
KNEE: Final[Code] = ("72696002", "SCT", "Knee")
_BITS: Final = 12


@dataclass(frozen=True, slots=True)
class _Plate:
    """One exposure.

    Args:
        view: what is rendered.
        body_part: (0018,0015).
        region: its code.
        laterality: of a paired part, R or L; empty if it is none.
        description: of the series.
        view_position: (0018,5101).
        orientation: (0020,0020).
        technique: of the exposure.
        delay_s: after the start of the study.
        plate: its identification and size.
    """

    view: dx.View
    body_part: str
    region: Code
    laterality: str
    description: str
    view_position: str
    orientation: tuple[str, str]
    technique: xray.Technique
    delay_s: int
    plate: tuple[str, str]


_CHEST_PA: Final = _Plate(
    view=dx.PA,
    body_part="CHEST",
    region=CHEST,
    laterality="",
    description="CHEST PA",
    view_position="PA",
    orientation=("L", "F"),
    technique=xray.Technique(120, 200, 4),
    delay_s=20,
    plate=("SYN-IP-0001", "35CMX43CM"),
)


def plan(study: ResolvedStudy, series: ResolvedSeries, series_number: int, workers: int) -> Iterator[SeriesPlan]:
    """Series of one instance each."""
    plates = (_CHEST_PA,) if series.kind == "cr-chest" else _knee(affected(study.body_seed))
    for number, plate in enumerate(plates, start=series_number):
        yield SeriesPlan(
            dataset=_dataset(study, number, plate, begun_s(series_number)),
            count=1,
            pixel_bytes=plate.view.rows * plate.view.columns * 2,
            varying=xray.identified(study, number),
            pixels=partial(_pixels, study, plate, workers),
        )


def _knee(side: Side) -> tuple[_Plate, ...]:
    """Both views of a knee; the lead letter says which one."""
    ap, lateral = (replace(view, marker=(side, 240, 70)) for view in (dx.KNEE_AP, dx.KNEE_LATERAL))
    exposure, plate = xray.Technique(60, 160, 5), ("SYN-IP-0002", "24CMX30CM")
    knee = partial(_Plate, body_part="KNEE", region=KNEE, laterality=side, technique=exposure, plate=plate)
    return (
        knee(ap, description="KNEE AP", view_position="AP", orientation=("L", "F"), delay_s=20),
        knee(lateral, description="KNEE LATERAL", view_position=f"{side}L", orientation=("P", "F"), delay_s=80),
    )


def _body(study: ResolvedStudy, plate: _Plate) -> Body:
    sex = study.patient.sex
    if plate.laterality:
        return build_knee(study.body_seed, sex, months=study.course_months)
    return build_thorax(study.body_seed, sex, "hips", study.course_months)


def _pixels(study: ResolvedStudy, plate: _Plate, workers: int) -> Iterator[memoryview]:
    pixels = dx.radiograph(_body(study, plate).scene, plate.view, study.seed, workers)
    if plate.laterality == "":
        # The plate's reader of the chest hands on the exposure, not its negative: MONOCHROME1.
        pixels = dx.MAX_VALUE - pixels
    yield pixels.data.cast("B")


def _dataset(study: ResolvedStudy, series_number: int, plate: _Plate, after_s: float) -> Dataset:
    ds = base(study, SOP_CLASS_UID, "CR", series_number)
    xray.timed(ds, study.study_date, clock(study.study_time, after_s + plate.delay_s))
    ds.SeriesDescription = ds.ProtocolName = plate.description
    ds.BodyPartExamined = plate.body_part
    if plate.laterality:
        ds.ImageLaterality = plate.laterality
    ds.AnatomicRegionSequence = coded(plate.region)
    ds.ViewPosition = plate.view_position
    ds.PatientOrientation = list(plate.orientation)
    _reader(ds, plate)
    xray.technique(ds, plate.technique)
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.AcquisitionNumber = "1"
    ds.InstanceNumber = "1"
    chest = plate.laterality == ""
    xray.stored(ds, plate.view.rows, plate.view.columns, _BITS, "MONOCHROME1" if chest else "MONOCHROME2")
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    ds.PresentationLUTShape = "INVERSE" if chest else "IDENTITY"
    xray.window(ds, _BITS)
    return ds


def _reader(ds: Dataset, plate: _Plate) -> None:
    """CR Series and CR Image: the plate and what read it."""
    ds.PlateID, ds.CassetteSize = plate.plate
    ds.CassetteOrientation = "LANDSCAPE" if plate.view.columns > plate.view.rows else "PORTRAIT"
    ds.PlateType = "BAFI"
    ds.PhosphorType = "BaFBr:Eu"
    ds.Sensitivity = "200"
    ds.AcquisitionDeviceProcessingDescription = plate.description
    ds.AcquisitionDeviceProcessingCode = f"{plate.body_part[:5]} {plate.view_position}"
    ds.ImagerPixelSpacing = [f"{plate.view.beam.pixel_mm:g}"] * 2
    ds.DistanceSourceToDetector = "1800" if plate.body_part == "CHEST" else "1150"
    ds.FilterType = "NONE"
    ds.FocalSpots = "0.6"
