"""CT Image (PS3.3 A.3): axial series of several regions, each by its protocol."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from pydicom.dataset import Dataset

from dicomfab.fabricate.anatomy.body import Region
from dicomfab.fabricate.iods import regions
from dicomfab.fabricate.iods.common import base, begun_s, burned_in, clock, coded, instance_uid
from dicomfab.fabricate.kinds import Code
from dicomfab.fabricate.plan import SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.render import ct
from dicomfab.fabricate.render.planes import Stack, position_text

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.2"
COLLIMATION_MM: Final = 40.0
HEAD_PHANTOM: Final[Code] = ("113690", "DCM", "IEC Head Dosimetry Phantom")
BODY_PHANTOM: Final[Code] = ("113691", "DCM", "IEC Body Dosimetry Phantom")
IOHEXOL: Final[Code] = ("109218004", "SCT", "Iohexol")
_MEDIASTINUM: Final = (40, 400, "MEDIASTINUM")
_LUNG: Final = (-600, 1500, "LUNG")
_ABDOMEN: Final = (50, 350, "ABDOMEN")
_BONE: Final = (500, 2200, "BONE")
_BRAIN: Final = (36, 80, "BRAIN")


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a region is scanned and reconstructed.

    Args:
        region: which body.
        title: begins SeriesDescription (0008,103E).
        name: ProtocolName (0018,1030).
        field_of_view_mm: of the 512 x 512 pixels.
        windows: centre, width and explanation of each.
        contrast_ml: volume of the contrast medium; 0 if none was given.
        kvp: tube voltage.
        current_ma: tube current.
        rotation_s: of the gantry.
        pitch: table feed per rotation, in collimations.
        kernel: ConvolutionKernel (0018,1210).
        ctdi_vol_mgy: CTDIvol (0018,9345).
        noise_hu: standard deviation.
    """

    region: Region
    title: str
    name: str
    field_of_view_mm: float
    windows: tuple[tuple[int, int, str], ...]
    contrast_ml: int = 0
    kvp: int = 120
    current_ma: int = 240
    rotation_s: float = 0.5
    pitch: float = 0.75
    kernel: str = "STANDARD"
    ctdi_vol_mgy: float = 8.1
    noise_hu: float = 11.0

    @property
    def table_speed_mm_s(self) -> float:
        """TableSpeed (0018,9309)."""
        return self.pitch * COLLIMATION_MM / self.rotation_s

    @property
    def phantom(self) -> Code:
        """Which phantom the dose refers to."""
        return HEAD_PHANTOM if self.region == "head" else BODY_PHANTOM

    @property
    def filter_type(self) -> str:
        """FilterType (0018,1160)."""
        return "HEAD" if self.region == "head" else "BODY"


CHEST: Final = Protocol(
    "chest", "CHEST AXIAL", "CHEST ROUTINE W CONTRAST", 400.0, (_MEDIASTINUM, _LUNG), contrast_ml=80
)
PROTOCOLS: Final = {
    "ct-chest": CHEST,
    "ct-head": Protocol(
        "head", "HEAD AXIAL", "HEAD ROUTINE WO CONTRAST", 250.0, (_BRAIN, _BONE),
        current_ma=300, rotation_s=1.0, pitch=0.55, kernel="SOFT", ctdi_vol_mgy=52.0, noise_hu=3.6,
    ),
    "ct-abdomen": Protocol(
        "abdomen", "ABDOMEN PELVIS AXIAL PORTAL VENOUS", "ABDOMEN PELVIS PORTAL VENOUS", 420.0, (_ABDOMEN, _BONE),
        contrast_ml=110, current_ma=280, pitch=0.98, ctdi_vol_mgy=10.4, noise_hu=10.0,
    ),
    "ct-abdomen-native": Protocol(
        "abdomen", "ABDOMEN PELVIS AXIAL NATIVE", "ABDOMEN PELVIS NATIVE", 420.0, (_ABDOMEN, _BONE),
        current_ma=200, pitch=0.98, ctdi_vol_mgy=7.4, noise_hu=12.0,
    ),
    "ct-body": Protocol(
        "whole", "WB LOW DOSE CT FOR AC", "PET CT WHOLE BODY LOW DOSE", 600.0, (_MEDIASTINUM, _LUNG, _BONE),
        current_ma=60, pitch=1.375, ctdi_vol_mgy=2.3, noise_hu=21.0,
    ),
}  # fmt: skip


def stack(study: ResolvedStudy, protocol: Protocol, slices: int) -> Stack:
    """So many slices of always the same coverage: fewer of them lie further apart."""
    top_mm, bottom_mm, centre_y_mm = regions.axial_range(study, protocol.region)
    spacing_mm = round((top_mm - bottom_mm) / slices, 4)
    return Stack(
        plane="axial",
        first_mm=(0.0, centre_y_mm, round(top_mm - spacing_mm / 2, 4)),
        step_mm=-spacing_mm,
        count=slices,
        rows=ct.MATRIX,
        columns=ct.MATRIX,
        pixel_mm=protocol.field_of_view_mm / ct.MATRIX,
        thickness_mm=min(spacing_mm, 5.0),
    )


def plan(study: ResolvedStudy, series: ResolvedSeries, series_number: int, workers: int) -> Iterator[SeriesPlan]:
    """One series from the head downwards."""
    protocol = PROTOCOLS[series.kind]
    slices = stack(study, protocol, series.count)
    start_s = begun_s(series_number) + 30

    def varying(index: int) -> dict[str, str]:
        time = clock(study.study_time, start_s + index * -slices.step_mm / protocol.table_speed_mm_s)
        return {
            "SOPInstanceUID": instance_uid(study, series_number, index + 1),
            "InstanceNumber": str(index + 1),
            "ImagePositionPatient": position_text(slices.position_mm(index)),
            "SliceLocation": f"{slices.location_mm(index):.4f}",
            "AcquisitionTime": time,
            "ContentTime": time,
        }

    yield SeriesPlan(
        dataset=_dataset(study, series_number, protocol, slices),
        count=series.count,
        pixel_bytes=ct.MATRIX * ct.MATRIX * 2,
        varying=varying,
        pixels=partial(pixels, study, protocol, slices, workers),
    )


def pixels(study: ResolvedStudy, protocol: Protocol, slices: Stack, workers: int) -> Iterator[memoryview]:
    """The slices of a protocol, as native frames."""
    scene = regions.body(study, protocol.region).scene
    contrast = protocol.contrast_ml > 0
    for one in ct.slices(scene, slices, study.seed, workers, contrast=contrast, noise_hu=protocol.noise_hu):
        yield one.data.cast("B")


def _dataset(study: ResolvedStudy, series_number: int, protocol: Protocol, slices: Stack) -> Dataset:
    ds = base(study, SOP_CLASS_UID, "CT", series_number)
    ds.SeriesTime = clock(study.study_time, begun_s(series_number))
    ds.SeriesDescription = f"{protocol.title} {-slices.step_mm:g} MM"
    ds.ProtocolName = protocol.name
    ds.PatientPosition = "HFS"
    regions.describe(ds, study, protocol.region)
    _plane(ds, slices)
    if protocol.contrast_ml:
        _contrast(ds, protocol)
    _acquisition(ds, study, protocol)
    _pixel_module(ds, protocol)
    return ds


def _plane(ds: Dataset, slices: Stack) -> None:
    """General Image and Image Plane."""
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.AcquisitionNumber = "1"
    ds.InstanceNumber = "1"
    ds.ImageOrientationPatient = [f"{value:g}" for value in slices.orientation]
    ds.ImagePositionPatient = ["0", "0", "0"]
    ds.SliceLocation = "0"
    ds.SliceThickness = f"{slices.thickness_mm:g}"
    ds.SpacingBetweenSlices = f"{-slices.step_mm:g}"
    ds.PixelSpacing = [f"{slices.pixel_mm:.10g}"] * 2


def _contrast(ds: Dataset, protocol: Protocol) -> None:
    """Contrast/Bolus: the vessels of the body are enhanced."""
    ds.ContrastBolusAgent = "IOHEXOL 300"
    ds.ContrastBolusAgentSequence = coded(IOHEXOL)
    ds.ContrastBolusRoute = "IV"
    ds.ContrastBolusVolume = str(protocol.contrast_ml)
    ds.ContrastFlowRate = "3"
    ds.ContrastBolusIngredient = "IODINE"
    ds.ContrastBolusIngredientConcentration = "300"


def _acquisition(ds: Dataset, study: ResolvedStudy, protocol: Protocol) -> None:
    """CT Image: how it was scanned."""
    ds.AcquisitionDate = ds.ContentDate = study.study_date
    ds.AcquisitionTime = ds.ContentTime = ds.SeriesTime
    ds.ScanOptions = "HELICAL MODE"
    ds.KVP = str(protocol.kvp)
    ds.DataCollectionDiameter = f"{max(protocol.field_of_view_mm, 500.0):g}"
    ds.ReconstructionDiameter = f"{protocol.field_of_view_mm:g}"
    ds.DistanceSourceToDetector = "950"
    ds.DistanceSourceToPatient = "540"
    ds.GantryDetectorTilt = "0"
    ds.TableHeight = "150"
    ds.RotationDirection = "CW"
    ds.ExposureTime = f"{protocol.rotation_s * 1000:g}"
    ds.XRayTubeCurrent = str(protocol.current_ma)
    ds.Exposure = f"{protocol.current_ma * protocol.rotation_s:g}"
    ds.FilterType = protocol.filter_type
    ds.GeneratorPower = f"{protocol.kvp * protocol.current_ma // 1000}"
    ds.FocalSpots = "1.2"
    ds.ConvolutionKernel = protocol.kernel
    ds.RevolutionTime = protocol.rotation_s
    ds.SingleCollimationWidth = 0.625
    ds.TotalCollimationWidth = COLLIMATION_MM
    ds.TableSpeed = protocol.table_speed_mm_s
    ds.TableFeedPerRotation = protocol.table_speed_mm_s * protocol.rotation_s
    ds.SpiralPitchFactor = protocol.pitch
    ds.ExposureModulationType = "NONE"
    ds.CTDIvol = protocol.ctdi_vol_mgy
    ds.CTDIPhantomTypeCodeSequence = coded(protocol.phantom)


def _pixel_module(ds: Dataset, protocol: Protocol) -> None:
    """Image Pixel, Modality LUT and VOI LUT."""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows = ds.Columns = ct.MATRIX
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
    ds.PixelRepresentation = 0
    ds.RescaleIntercept = str(ct.OFFSET_HU)
    ds.RescaleSlope = "1"
    ds.RescaleType = "HU"
    ds.WindowCenter = [str(centre) for centre, _, _ in protocol.windows]
    ds.WindowWidth = [str(width) for _, width, _ in protocol.windows]
    ds.WindowCenterWidthExplanation = [explanation for _, _, explanation in protocol.windows]
    ds.LossyImageCompression = "00"
    burned_in(ds, identifies_patient=False)
