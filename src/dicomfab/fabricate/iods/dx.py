"""Digital X-Ray Image, for presentation (PS3.3 A.26): the chest, PA and lateral, one series each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicomfab.fabricate.anatomy.thorax import Arms, build_thorax
from dicomfab.fabricate.iods.common import CHEST, base, burned_in, clock, coded, instance_uid
from dicomfab.fabricate.iods.series import SeriesPlan
from dicomfab.fabricate.kinds import Code
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.render import dx

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.1.1"


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


_PROJECTIONS: Final = (
    _Projection(dx.PA, "hips", "CHEST PA", ("272479007", "SCT", "postero-anterior"), "PA", ("L", "F"), 2, 20),
    _Projection(dx.LATERAL, "up", "CHEST LATERAL", ("399173006", "SCT", "left lateral"), "LL", ("P", "F"), 6, 95),
)


def plan(study: ResolvedStudy, series: ResolvedSeries, series_number: int, workers: int) -> Iterator[SeriesPlan]:
    """Two series of one instance each, as most systems send them."""
    for number, projection in enumerate(_PROJECTIONS, start=series_number):
        yield SeriesPlan(
            dataset=_dataset(study, number, projection),
            count=1,
            pixel_bytes=projection.view.rows * projection.view.columns * 2,
            varying=partial(_varying, study, number),
            pixels=partial(_pixels, study, projection, workers),
        )


def _varying(study: ResolvedStudy, series_number: int, index: int) -> dict[str, str]:
    return {"SOPInstanceUID": instance_uid(study, series_number, index + 1), "InstanceNumber": str(index + 1)}


def _pixels(study: ResolvedStudy, projection: _Projection, workers: int) -> Iterator[memoryview]:
    thorax = build_thorax(study.seed, study.patient.sex, projection.arms)
    yield dx.radiograph(thorax.scene, projection.view, study.seed, workers).data.cast("B")


def _dataset(study: ResolvedStudy, series_number: int, projection: _Projection) -> Dataset:
    ds = base(study, SOP_CLASS_UID, "DX", series_number)
    time = clock(study.study_time, projection.delay_s)
    ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = time
    ds.AcquisitionDate = ds.ContentDate = study.study_date
    ds.SeriesDescription = projection.description
    ds.ProtocolName = projection.description
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.BodyPartExamined = "CHEST"
    ds.ImageLaterality = "U"
    ds.AnatomicRegionSequence = coded(CHEST)
    ds.AcquisitionContextSequence = Sequence()
    _positioning(ds, projection)
    _detector(ds)
    _acquisition(ds, projection)
    _image(ds, projection)
    return ds


def _positioning(ds: Dataset, projection: _Projection) -> None:
    ds.ViewCodeSequence = coded(projection.code)
    ds.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence()
    ds.ViewPosition = projection.view_position
    ds.PatientOrientation = list(projection.orientation)
    ds.PatientOrientationCodeSequence = coded(("10904000", "SCT", "erect"))
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


def _acquisition(ds: Dataset, projection: _Projection) -> None:
    ds.KVP = "125"
    ds.ExposureTime = str(projection.exposure_mas * 4)
    ds.XRayTubeCurrent = "250"
    ds.Exposure = str(projection.exposure_mas)
    ds.ExposureInuAs = str(projection.exposure_mas * 1000)
    ds.FocalSpots = "1.2"
    ds.FilterMaterial = "ALUMINUM"
    ds.ImageAndFluoroscopyAreaDoseProduct = f"{projection.exposure_mas * 0.4:g}"


def _image(ds: Dataset, projection: _Projection) -> None:
    """General Image, DX Image, Image Pixel and VOI LUT."""
    view = projection.view
    ds.ImageType = ["DERIVED", "PRIMARY", ""]
    ds.AcquisitionNumber = "1"
    ds.InstanceNumber = "1"
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = view.rows, view.columns
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
    ds.PixelRepresentation = 0
    ds.PixelIntensityRelationship = "LOG"
    ds.PixelIntensityRelationshipSign = -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    ds.PresentationLUTShape = "IDENTITY"
    ds.WindowCenter, ds.WindowWidth = "2048", "4096"
    ds.WindowCenterWidthExplanation = "NORMAL"
    ds.LossyImageCompression = "00"
    burned_in(ds, identifies_patient=False)
