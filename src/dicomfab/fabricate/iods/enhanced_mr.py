"""Enhanced MR Image (PS3.3 A.36): a T2-weighted brain in one multi-frame instance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicomfab.fabricate.iods import mr, mr_protocols, regions
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
from dicomfab.fabricate.render.planes import Stack

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.4.1"
_PROTOCOL: Final = replace(mr_protocols.T2, description="ENHANCED T2 TSE AXIAL")
_START_S: Final = 60.0
_IMAGE_TYPE: Final = ["ORIGINAL", "PRIMARY", "T2", "NONE"]


def plan(study: ResolvedStudy, series: ResolvedSeries, series_number: int, workers: int) -> Iterator[SeriesPlan]:
    """One instance, whose frames run downwards."""
    slices = mr_protocols.stack(_PROTOCOL, series.count)
    yield SeriesPlan(
        dataset=_dataset(study, series_number, slices),
        count=1,
        pixel_bytes=slices.rows * slices.columns * 2 * slices.count,
        varying=numbered(study, series_number),
        pixels=partial(mr.pixels, study, _PROTOCOL, slices, workers),
        frames=slices.count,
    )


def _dataset(study: ResolvedStudy, number: int, slices: Stack) -> Dataset:
    ds = enhanced_base(study, SOP_CLASS_UID, "MR", number, _START_S)
    ds.SeriesDescription = _PROTOCOL.description
    ds.ProtocolName = _PROTOCOL.name
    ds.PatientPosition = "HFS"
    ds.ImageType = list(_IMAGE_TYPE)
    _describe_image(ds)
    _magnet(ds)
    _pulse_sequence(ds)
    regions.describe(ds, study, _PROTOCOL.region)
    pixels(ds, slices)
    dimensions(ds, study, number)
    shared = shared_groups(ds, slices, [(*_PROTOCOL.window, "STANDARD")])
    shared.PixelValueTransformationSequence = group(RescaleIntercept="0", RescaleSlope="1", RescaleType="US")
    shared.MRImageFrameTypeSequence = group(FrameType=list(_IMAGE_TYPE))
    _describe_image(shared.MRImageFrameTypeSequence[0])
    _timing(shared)
    _encoding(shared)
    _modifiers(shared)
    _coils(shared)
    each_s = _PROTOCOL.duration_s
    # The slices of a two-dimensional acquisition are interleaved: each takes as long as all.
    each_frame(ds, (frame_groups(study, slices, index, _START_S, each_s) for index in range(slices.count)))
    return ds


def _describe_image(item: Dataset) -> None:
    """Common CT/MR and MR Image Description macros, of the image and of its frames (PS3.3 C.8.16.2, C.8.13.3.1)."""
    item.PixelPresentation = "MONOCHROME"
    item.VolumetricProperties = "VOLUME"
    item.VolumeBasedCalculationTechnique = "NONE"
    item.ComplexImageComponent = "MAGNITUDE"
    item.AcquisitionContrast = "T2"


def _magnet(ds: Dataset) -> None:
    """Enhanced MR Image (PS3.3 C.8.13.1)."""
    ds.AcquisitionDuration = _PROTOCOL.duration_s
    ds.ResonantNucleus = "1H"
    ds.KSpaceFiltering = "NONE"
    ds.MagneticFieldStrength = f"{mr_protocols.FIELD_T:g}"
    ds.ApplicableSafetyStandardAgency = "IEC"
    ds.ApplicableSafetyStandardDescription = "IEC 60601-2-33"


def _pulse_sequence(ds: Dataset) -> None:
    """MR Pulse Sequence (PS3.3 C.8.13.4): a fast spin echo."""
    ds.PulseSequenceName = _PROTOCOL.sequence_name
    ds.MRAcquisitionType = "2D"
    ds.EchoPulseSequence = "SPIN"
    ds.MultipleSpinEcho = "YES"
    ds.MultiPlanarExcitation = "NO"
    ds.PhaseContrast = "NO"
    ds.TimeOfFlightContrast = "NO"
    ds.SteadyStatePulseSequence = "NONE"
    ds.EchoPlanarPulseSequence = "NO"
    ds.SaturationRecovery = "NO"
    ds.SpectrallySelectedSuppression = "NONE"
    ds.OversamplingPhase = "NONE"
    ds.GeometryOfKSpaceTraversal = "RECTILINEAR"
    ds.RectilinearPhaseEncodeReordering = "LINEAR"
    ds.SegmentedKSpaceTraversal = "PARTIAL"
    ds.NumberOfKSpaceTrajectories = 1


def _timing(shared: Dataset) -> None:
    sequence, train = _PROTOCOL.sequence, _PROTOCOL.echo_train
    shared.MRTimingAndRelatedParametersSequence = group(
        RepetitionTime=f"{sequence.tr_ms:g}",
        FlipAngle=str(_PROTOCOL.flip_deg),
        EchoTrainLength=str(train),
        RFEchoTrainLength=train,
        GradientEchoTrainLength=0,
        SpecificAbsorptionRateSequence=group(
            SpecificAbsorptionRateDefinition="IEC_WHOLE_BODY", SpecificAbsorptionRateValue=_PROTOCOL.sar_w_kg
        ),
        GradientOutputType="DB_DT",
        GradientOutput=_PROTOCOL.db_dt_t_s,
        OperatingModeSequence=Sequence(
            [
                group(OperatingModeType=kind, OperatingMode="IEC_NORMAL")[0]
                for kind in ("STATIC FIELD", "RF", "GRADIENT")
            ]
        ),
    )
    shared.MREchoSequence = group(EffectiveEchoTime=sequence.te_ms)
    shared.MRAveragesSequence = group(NumberOfAverages=str(_PROTOCOL.averages))


def _encoding(shared: Dataset) -> None:
    shared.MRFOVGeometrySequence = group(
        InPlanePhaseEncodingDirection="ROW",
        MRAcquisitionFrequencyEncodingSteps=_PROTOCOL.acquired,
        MRAcquisitionPhaseEncodingStepsInPlane=_PROTOCOL.acquired,
        PercentSampling="100",
        PercentPhaseFieldOfView="100",
    )


def _modifiers(shared: Dataset) -> None:
    shared.MRModifierSequence = group(
        InversionRecovery="NO",
        FlowCompensation="NONE",
        Spoiling="NONE",
        T2Preparation="NO",
        SpectrallySelectedExcitation="NONE",
        SpatialPresaturation="NONE",
        PartialFourier="NO",
        ParallelAcquisition="NO",
    )
    shared.MRImagingModifierSequence = group(
        MagnetizationTransfer="NONE",
        BloodSignalNulling="NO",
        Tagging="NONE",
        TransmitterFrequency=mr_protocols.FREQUENCY_MHZ,
        PixelBandwidth=str(_PROTOCOL.bandwidth_hz),
    )


def _coils(shared: Dataset) -> None:
    elements = Sequence(
        [group(MultiCoilElementName=f"E{number}", MultiCoilElementUsed="YES")[0] for number in range(1, 21)]
    )
    shared.MRReceiveCoilSequence = group(
        ReceiveCoilName=_PROTOCOL.coil_name,
        ReceiveCoilManufacturerName="DICOM Fabricator",
        ReceiveCoilType="MULTICOIL",
        QuadratureReceiveCoil="NO",
        MultiCoilDefinitionSequence=elements,
    )
    shared.MRTransmitCoilSequence = group(
        TransmitCoilName="BODY", TransmitCoilManufacturerName="DICOM Fabricator", TransmitCoilType="BODY"
    )
