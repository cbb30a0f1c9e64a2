"""Enhanced CT Image (PS3.3 A.38): the chest in one multi-frame instance."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicomfab.fabricate.encode.items import Item
from dicomfab.fabricate.iods import ct, regions
from dicomfab.fabricate.iods.common import coded
from dicomfab.fabricate.iods.enhanced import (
    dimensions,
    each_frame,
    enhanced_base,
    frame_groups,
    group,
    pixels,
    shared_groups,
)
from dicomfab.fabricate.iods.image_pixel import numbered
from dicomfab.fabricate.plan import SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.render.ct import OFFSET_HU
from dicomfab.fabricate.render.planes import Stack

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.2.1"
_PROTOCOL: Final = ct.CHEST
_START_S: Final = 30.0
_IMAGE_TYPE: Final = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
_WINDOWS: Final = ((40, 400, "SOFT_TISSUE"), (-600, 1500, "LUNG"))
_TABLE_TOP_MM: Final = 150.0  # below the isocentre


def plan(study: ResolvedStudy, series: ResolvedSeries, series_number: int, workers: int) -> Iterator[SeriesPlan]:
    """One instance, whose frames run downwards."""
    slices = ct.stack(study, _PROTOCOL, series.count)
    yield SeriesPlan(
        dataset=_dataset(study, series_number, slices),
        count=1,
        pixel_bytes=slices.rows * slices.columns * 2 * slices.count,
        varying=numbered(study, series_number),
        pixels=partial(ct.pixels, study, _PROTOCOL, slices, workers),
        frames=slices.count,
    )


def _dataset(study: ResolvedStudy, number: int, slices: Stack) -> Dataset:
    ds = enhanced_base(study, SOP_CLASS_UID, "CT", number, _START_S)
    ds.SeriesDescription = f"ENHANCED {_PROTOCOL.title} {-slices.step_mm:g} MM"
    ds.ProtocolName = _PROTOCOL.name
    ds.PatientPosition = "HFS"
    ds.ImageType = list(_IMAGE_TYPE)
    _describe_image(ds)
    ds.AcquisitionDuration = -slices.step_mm * slices.count / _PROTOCOL.table_speed_mm_s
    regions.describe(ds, study, _PROTOCOL.region)
    ds.ContrastBolusAgentSequence = _contrast()
    pixels(ds, slices)
    dimensions(ds, study, number)
    shared = shared_groups(ds, slices, _WINDOWS)
    shared.IrradiationEventIdentificationSequence = group(IrradiationEventUID=study.uid("irradiation", number))
    shared.PixelValueTransformationSequence = group(RescaleIntercept=str(OFFSET_HU), RescaleSlope="1", RescaleType="HU")
    shared.ContrastBolusUsageSequence = group(
        ContrastBolusAgentNumber=1,
        ContrastBolusAgentAdministered="YES",
        ContrastBolusAgentDetected="YES",
        ContrastBolusAgentPhase="VENOUS",
    )
    _frame_type(shared)
    _acquisition(shared)
    _reconstruction(shared, slices)
    _beam(shared)
    each_frame(ds, (_frame(study, slices, index) for index in range(slices.count)))
    return ds


def _describe_image(item: Dataset) -> None:
    """Common CT/MR Image Description macro, of the image and of its frames (PS3.3 C.8.16.2)."""
    item.PixelPresentation = "MONOCHROME"
    item.VolumetricProperties = "VOLUME"
    item.VolumeBasedCalculationTechnique = "NONE"


def _contrast() -> Sequence:
    """Enhanced Contrast/Bolus (PS3.3 C.7.6.4b)."""
    agent = coded(ct.IOHEXOL)
    item = agent[0]
    item.ContrastBolusAgentNumber = 1
    item.ContrastBolusAdministrationRouteSequence = coded(("47625008", "SCT", "Intravenous route"))
    item.ContrastBolusIngredientCodeSequence = coded(("44588005", "SCT", "Iodine"))
    item.ContrastBolusVolume = str(_PROTOCOL.contrast_ml)
    item.ContrastBolusIngredientConcentration = "300"
    item.ContrastBolusIngredientOpaque = "YES"
    return agent


def _frame_type(shared: Dataset) -> None:
    shared.CTImageFrameTypeSequence = group(FrameType=list(_IMAGE_TYPE))
    _describe_image(shared.CTImageFrameTypeSequence[0])


def _acquisition(shared: Dataset) -> None:
    """How table, gantry and detector move."""
    protocol = _PROTOCOL
    shared.CTAcquisitionTypeSequence = group(AcquisitionType="SPIRAL", ConstantVolumeFlag="NO", FluoroscopyFlag="NO")
    shared.CTAcquisitionDetailsSequence = group(
        RotationDirection="CW",
        RevolutionTime=protocol.rotation_s,
        SingleCollimationWidth=0.625,
        TotalCollimationWidth=ct.COLLIMATION_MM,
        TableHeight=str(_TABLE_TOP_MM),
        GantryDetectorTilt="0",
        DataCollectionDiameter="500",
    )
    shared.CTTableDynamicsSequence = group(
        TableSpeed=protocol.table_speed_mm_s,
        TableFeedPerRotation=protocol.table_speed_mm_s * protocol.rotation_s,
        SpiralPitchFactor=protocol.pitch,
    )
    shared.CTGeometrySequence = group(DistanceSourceToDetector="950", DistanceSourceToDataCollectionCenter=540.0)


def _reconstruction(shared: Dataset, slices: Stack) -> None:
    shared.CTReconstructionSequence = group(
        ReconstructionAlgorithm="FILTER_BACK_PROJ",
        ConvolutionKernel=_PROTOCOL.kernel,
        ConvolutionKernelGroup="SOFT_TISSUE",
        ReconstructionDiameter=f"{_PROTOCOL.field_of_view_mm:g}",
        ReconstructionPixelSpacing=[slices.pixel_mm] * 2,
        ReconstructionAngle=360.0,
        ImageFilter="NONE",
    )


def _beam(shared: Dataset) -> None:
    """The tube, and the dose."""
    protocol = _PROTOCOL
    shared.CTExposureSequence = group(
        ExposureTimeInms=protocol.rotation_s * 1000,
        XRayTubeCurrentInmA=float(protocol.current_ma),
        ExposureInmAs=protocol.current_ma * protocol.rotation_s,
        ExposureModulationType="NONE",
        CTDIvol=protocol.ctdi_vol_mgy,
        CTDIPhantomTypeCodeSequence=coded(protocol.phantom),
    )
    shared.CTXRayDetailsSequence = group(
        KVP=str(protocol.kvp),
        FocalSpots="1.2",
        FilterType=protocol.filter_type,
        FilterMaterial=["ALUMINUM", "COPPER"],
    )


def _frame(study: ResolvedStudy, slices: Stack, index: int) -> Item:
    protocol = _PROTOCOL
    start_s = _START_S + index * -slices.step_mm / protocol.table_speed_mm_s
    z_mm = slices.location_mm(index)
    position: Item = {
        "TablePosition": round(slices.location_mm(0) - z_mm, 4),
        "DataCollectionCenterPatient": [0.0, 0.0, z_mm],
        "ReconstructionTargetCenterPatient": [0.0, slices.first_mm[1], z_mm],
    }
    return {**frame_groups(study, slices, index, start_s, protocol.rotation_s), "CTPositionSequence": [position]}
