"""Digital X-Ray Image (PS3.3 A.26): the chest, PA and lateral for presentation, or PA for processing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicomfab.fabricate.anatomy.thorax import Arms, build_thorax
from dicomfab.fabricate.iods import xray
from dicomfab.fabricate.iods.common import CHEST, base, begun_s, clock, coded
from dicomfab.fabricate.kinds import Code
from dicomfab.fabricate.plan import SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.render import dx
from dicomfab.fabricate.render.projection import RAW_BITS

FOR_PRESENTATION_UID: Final = "1.2.840.10008.5.1.4.1.1.1.1"
FOR_PROCESSING_UID: Final = "1.2.840.10008.5.1.4.1.1.1.1.1"
_BITS: Final = 12


@dataclass(frozen=True, slots=True)
class _Projection:
    """How a view is described.

    Args:
        view: what is rendered.
        arms: how the patient holds them.
        description: of the series.
        code: of CID 4010.
        view_position: (0018,5101).
        orientation: (0020,0020), of the rows and of the columns.
        exposure_mas: tube current times time.
        delay_s: after the start of the study.
    """

    view: dx.View
    arms: Arms
    description: str
    code: Code
    view_position: str
    orientation: tuple[str, str]
    exposure_mas: int
    delay_s: int


_PA: Final = _Projection(dx.PA, "hips", "CHEST PA", xray.PA, "PA", ("L", "F"), 2, 20)
_LATERAL: Final = _Projection(dx.LATERAL, "up", "CHEST LATERAL", xray.LEFT_LATERAL, "LL", ("P", "F"), 6, 95)


def plan(study: ResolvedStudy, series: ResolvedSeries, series_number: int, workers: int) -> Iterator[SeriesPlan]:
    """Series of one instance each, as most systems send them."""
    processing = series.kind == "dx-processing"
    for number, projection in enumerate((_PA,) if processing else (_PA, _LATERAL), start=series_number):
        yield SeriesPlan(
            dataset=_dataset(study, number, projection, processing, begun_s(series_number)),
            count=1,
            pixel_bytes=projection.view.rows * projection.view.columns * 2,
            varying=xray.identified(study, number),
            pixels=partial(_pixels, study, projection, processing, workers),
        )


def _pixels(study: ResolvedStudy, projection: _Projection, processing: bool, workers: int) -> Iterator[memoryview]:
    thorax = build_thorax(study.body_seed, study.patient.sex, projection.arms, study.course_months)
    render = dx.raw if processing else dx.radiograph
    yield render(thorax.scene, projection.view, study.seed, workers).data.cast("B")


def _dataset(
    study: ResolvedStudy, series_number: int, projection: _Projection, processing: bool, after_s: float
) -> Dataset:
    ds = base(study, FOR_PROCESSING_UID if processing else FOR_PRESENTATION_UID, "DX", series_number)
    xray.timed(ds, study.study_date, clock(study.study_time, after_s + projection.delay_s))
    ds.SeriesDescription = f"{projection.description} RAW" if processing else projection.description
    ds.ProtocolName = projection.description
    ds.PresentationIntentType = "FOR PROCESSING" if processing else "FOR PRESENTATION"
    ds.BodyPartExamined = "CHEST"
    ds.ImageLaterality = "U"
    ds.AnatomicRegionSequence = coded(CHEST)
    ds.AcquisitionContextSequence = Sequence()
    _positioning(ds, projection)
    _detector(ds)
    xray.technique(ds, xray.Technique(125, 250, projection.exposure_mas))
    ds.ImageAndFluoroscopyAreaDoseProduct = f"{projection.exposure_mas * 0.4:g}"
    ds.ExposureInuAs = str(projection.exposure_mas * 1000)
    ds.FocalSpots = "1.2"
    ds.FilterMaterial = "ALUMINUM"
    ds.AcquisitionNumber = "1"
    ds.InstanceNumber = "1"
    if processing:
        _raw_image(ds, projection.view)
    else:
        _image(ds, projection.view)
    return ds


def _positioning(ds: Dataset, projection: _Projection) -> None:
    ds.ViewCodeSequence = coded(projection.code)
    ds.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence()
    ds.ViewPosition = projection.view_position
    ds.PatientOrientation = list(projection.orientation)
    ds.PatientOrientationCodeSequence = coded(xray.ERECT)
    ds.PositionerType = "NONE"
    ds.DistanceSourceToDetector = "1800"


def _detector(ds: Dataset) -> None:
    ds.DetectorType = "SCINTILLATOR"
    ds.DetectorConfiguration = "AREA"
    ds.DetectorDescription = "CsI, 430 x 430 mm"
    ds.DetectorID = "SYN-DET-0001"
    ds.ImagerPixelSpacing = [f"{dx.PIXEL_MM}", f"{dx.PIXEL_MM}"]
    ds.DetectorActiveShape = "RECTANGLE"
    ds.Grid = ["FIXED", "FOCUSED"]


def _image(ds: Dataset, view: dx.View) -> None:
    """General Image, DX Image, Image Pixel and VOI LUT of a picture that is ready."""
    ds.ImageType = ["DERIVED", "PRIMARY", ""]
    xray.stored(ds, view.rows, view.columns, _BITS, "MONOCHROME2")
    ds.PixelIntensityRelationship = "LOG"
    ds.PixelIntensityRelationshipSign = -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    ds.PresentationLUTShape = "IDENTITY"
    xray.window(ds, _BITS)


def _raw_image(ds: Dataset, view: dx.View) -> None:
    """The same of what the detector counted: more radiation, larger values, shown dark."""
    ds.ImageType = ["ORIGINAL", "PRIMARY", ""]
    xray.stored(ds, view.rows, view.columns, RAW_BITS, "MONOCHROME1")
    ds.PixelIntensityRelationship = "LIN"
    ds.PixelIntensityRelationshipSign = 1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    ds.PresentationLUTShape = "INVERSE"
