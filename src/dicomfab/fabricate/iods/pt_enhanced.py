"""Enhanced PET Image (PS3.3 A.56): the slices of one scan as frames of one instance."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicomfab.fabricate.encode.items import Item
from dicomfab.fabricate.iods import image_pixel, nuclear, regions
from dicomfab.fabricate.iods.common import base, coded, instance_uid
from dicomfab.fabricate.iods.enhanced import each_frame
from dicomfab.fabricate.iods.pt import BED_S, SCAN_AFTER_S, Scan, pixels
from dicomfab.fabricate.kinds import Code
from dicomfab.fabricate.plan import SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.render import pet

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.130"
AXIAL: Final[Code] = ("24422004", "SCT", "Axial")
_AGENT_NUMBER: Final = 1


def plan(study: ResolvedStudy, series: ResolvedSeries, series_number: int, workers: int) -> Iterator[SeriesPlan]:
    """One instance with a frame for each slice, from the head down."""
    ds = base(study, SOP_CLASS_UID, "PT", series_number)
    scan = Scan.of(study, series.count, float(ds.PatientWeight))
    _describe(ds, study, scan)
    shared = _shared(scan)
    shared.FrameAnatomySequence = _item(AnatomicRegionSequence=ds.AnatomicRegionSequence, FrameLaterality="U")
    del ds.AnatomicRegionSequence
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    each_frame(ds, (_frame(study, scan, index) for index in range(series.count)))
    yield SeriesPlan(
        dataset=ds,
        count=1,
        pixel_bytes=pet.MATRIX * pet.MATRIX * 2 * series.count,
        varying=lambda _: {"SOPInstanceUID": instance_uid(study, series_number, 1), "InstanceNumber": "1"},
        pixels=partial(pixels, study, scan, workers),
        frames=series.count,
    )


def _item(**values: object) -> Sequence:
    """A sequence of one item with these attributes."""
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return Sequence([item])


def _describe(ds: Dataset, study: ResolvedStudy, scan: Scan) -> None:
    ds.SeriesDescription = "PET WB AC ENHANCED"
    ds.ProtocolName = "FDG WHOLE BODY"
    ds.SeriesDate, ds.SeriesTime = nuclear.moment(study, SCAN_AFTER_S)
    regions.describe(ds, study, "whole")
    ds.PatientPosition = "HFS"
    ds.ViewCodeSequence = coded(AXIAL)
    ds.InstanceNumber = "1"
    ds.AcquisitionContextSequence = Sequence()
    _acquisition(ds)
    _isotope(ds, study, scan)
    _image(ds, study, scan)
    _dimensions(ds, study)


def _acquisition(ds: Dataset) -> None:
    """Enhanced PET Acquisition and Enhanced PET Corrections (PS3.3 C.8.22.3, C.8.22.5)."""
    ds.TypeOfDetectorMotion = "STATIONARY"
    ds.DetectorGeometry = "CYLINDRICAL_RING"
    ds.TransverseDetectorSeparation = 0.0
    ds.AxialDetectorDimension = 220.0
    ds.CollimatorType = "NONE"
    ds.CoincidenceWindowWidth = "4.1"
    ds.EnergyWindowRangeSequence = nuclear.energy_window(435, 650)
    ds.AcquisitionStartCondition = "MANU"
    ds.AcquisitionTerminationCondition = "TIME"
    ds.TerminationTimeThreshold = BED_S
    ds.TableMotion = "STATIC"
    ds.TimeOfFlightInformationUsed = "TRUE"
    ds.CountsSource = "EMISSION"
    ds.DecayCorrected = "YES"
    ds.AttenuationCorrected = "YES"
    ds.AttenuationCorrectionSource = "CT"
    ds.AttenuationCorrectionTemporalRelationship = "SIMULTANEOUS"
    ds.ScatterCorrected = "YES"
    ds.ScatterCorrectionMethod = "Model-based"
    ds.DeadTimeCorrected = "YES"
    ds.GantryMotionCorrected = "NO"
    ds.PatientMotionCorrected = "NO"
    ds.CountLossNormalizationCorrected = "YES"
    ds.RandomsCorrected = "YES"
    ds.RandomsCorrectionMethod = "DLYD"
    ds.NonUniformRadialSamplingCorrected = "YES"
    ds.SensitivityCalibrated = "YES"
    ds.DetectorNormalizationCorrection = "YES"


def _isotope(ds: Dataset, study: ResolvedStudy, scan: Scan) -> None:
    """Enhanced PET Isotope (PS3.3 C.8.22.4)."""
    ds.DecayCorrectionDateTime = "".join(nuclear.moment(study, SCAN_AFTER_S))
    item = nuclear.injected(study, scan.injection, SCAN_AFTER_S, pet=True)
    del item.RadiopharmaceuticalStartTime
    del item.RadiopharmaceuticalRoute
    del item.Radiopharmaceutical
    item.RadiopharmaceuticalAgentNumber = _AGENT_NUMBER
    ds.RadiopharmaceuticalInformationSequence = Sequence([item])


def _image(ds: Dataset, study: ResolvedStudy, scan: Scan) -> None:
    """Enhanced PET Image (PS3.3 C.8.22.6), Multi-frame Functional Groups and Image Pixel."""
    end_s = scan.bed_start_s(0) + BED_S
    ds.ImageType = ["ORIGINAL", "PRIMARY", "WHOLE_BODY", "NONE"]
    ds.PixelPresentation = "MONOCHROME"
    ds.VolumetricProperties = "VOLUME"
    ds.VolumeBasedCalculationTechnique = "NONE"
    ds.ContentQualification = "RESEARCH"
    ds.PresentationLUTShape = "IDENTITY"
    ds.AcquisitionNumber = "1"
    ds.AcquisitionDateTime = "".join(nuclear.moment(study, SCAN_AFTER_S))
    ds.AcquisitionDuration = end_s
    ds.ContentDate, ds.ContentTime = nuclear.moment(study, SCAN_AFTER_S + end_s)
    ds.NumberOfFrames = str(scan.stack.count)
    image_pixel.grey(ds, scan.stack.matrix, scan.stack.matrix, stored=16)


def _dimensions(ds: Dataset, study: ResolvedStudy) -> None:
    """Multi-frame Dimension (PS3.3 C.7.6.17): one stack, and the place in it."""
    uid = study.uid("dimensions", "pt-enhanced")
    ds.DimensionOrganizationType = "3D"
    ds.DimensionOrganizationSequence = _item(DimensionOrganizationUID=uid)
    ds.DimensionIndexSequence = Sequence()
    for pointer, label in ((0x00209056, "Stack ID"), (0x00209057, "In-Stack Position Number")):
        ds.DimensionIndexSequence.extend(
            _item(
                DimensionOrganizationUID=uid,
                DimensionIndexPointer=pointer,
                FunctionalGroupPointer=0x00209111,
                DimensionDescriptionLabel=label,
            )
        )


def _shared(scan: Scan) -> Dataset:
    """Functional groups that are the same for all frames."""
    stack, suv = scan.stack, scan.slope_bq_ml * pet.STORED_PER_SUV
    groups = Dataset()
    groups.PixelMeasuresSequence = _item(
        PixelSpacing=[f"{stack.pixel_mm:g}"] * 2,
        SliceThickness=f"{min(stack.spacing_mm, 5.0):g}",
        SpacingBetweenSlices=f"{stack.spacing_mm:g}",
    )
    groups.PlaneOrientationSequence = _item(ImageOrientationPatient=["1", "0", "0", "0", "1", "0"])
    groups.PixelValueTransformationSequence = _item(
        RescaleIntercept="0", RescaleSlope=f"{scan.slope_bq_ml:.8g}", RescaleType="US"
    )
    groups.FrameVOILUTSequence = _item(
        WindowCenter=f"{4 * suv:.1f}", WindowWidth=f"{8 * suv:.1f}", WindowCenterWidthExplanation="SUV 0 TO 8"
    )
    groups.RealWorldValueMappingSequence = _real_world(scan)
    groups.RadiopharmaceuticalUsageSequence = _item(RadiopharmaceuticalAgentNumber=_AGENT_NUMBER)
    groups.PETFrameTypeSequence = _item(
        FrameType=["ORIGINAL", "PRIMARY", "WHOLE_BODY", "NONE"],
        PixelPresentation="MONOCHROME",
        VolumetricProperties="VOLUME",
        VolumeBasedCalculationTechnique="NONE",
    )
    groups.PETFrameAcquisitionSequence = _item(
        TableHeight="150", GantryDetectorTilt="0", GantryDetectorSlew="0", DataCollectionDiameter="700"
    )
    groups.PETReconstructionSequence = _item(
        ReconstructionType="3D",
        ReconstructionAlgorithm="MLEM",
        IterativeReconstructionMethod="YES",
        NumberOfIterations=2,
        NumberOfSubsets=21,
        ReconstructionFieldOfView=[stack.matrix * stack.pixel_mm] * 2,
    )
    return groups


def _real_world(scan: Scan) -> Sequence:
    """Real World Value Mapping: to Bq/ml, and to SUV by body weight."""
    mappings = Sequence()
    for label, units, slope in (
        ("BQML", ("Bq/ml", "UCUM", "Becquerels/milliliter"), scan.slope_bq_ml),
        ("SUVBW", ("g/ml{SUVbw}", "UCUM", "Standardized Uptake Value body weight"), 1 / pet.STORED_PER_SUV),
    ):
        mappings.extend(
            _item(
                RealWorldValueFirstValueMapped=0,
                RealWorldValueLastValueMapped=65535,
                RealWorldValueIntercept=0.0,
                RealWorldValueSlope=slope,
                LUTExplanation=label,
                LUTLabel=label,
                MeasurementUnitsCodeSequence=coded(units),
            )
        )
    return mappings


def _frame(study: ResolvedStudy, scan: Scan, index: int) -> Item:
    """Functional groups of one frame."""
    stack, start_s, reference_s = scan.stack, scan.bed_start_s(index), scan.reference_s(index)
    content: Item = {
        "FrameAcquisitionNumber": 1,
        "FrameReferenceDateTime": "".join(nuclear.moment(study, SCAN_AFTER_S + reference_s)),
        "FrameAcquisitionDateTime": "".join(nuclear.moment(study, SCAN_AFTER_S + start_s)),
        "FrameAcquisitionDuration": BED_S * 1000,
        "DimensionIndexValues": [1, index + 1],
        "TemporalPositionIndex": 1,
        "StackID": "1",
        "InStackPositionNumber": index + 1,
    }
    corner, z_mm = f"{stack.corner_mm:.4f}", f"{stack.z_mm(index):.4f}"
    factors: Item = {
        "PrimaryPromptsCountsAccumulated": _prompts(scan, index),
        "SliceSensitivityFactor": "1",
        "DecayFactor": f"{1 / nuclear.F18.remaining(reference_s):.6f}",
        "ScatterFractionFactor": "0.34",
        "DeadTimeFactor": "1.02",
    }
    position: Item = {
        "TablePosition": stack.z_mm(index),
        "DataCollectionCenterPatient": [0.0, 0.0, stack.z_mm(index)],
        "ReconstructionTargetCenterPatient": [0.0, 0.0, stack.z_mm(index)],
    }
    return {
        "FrameContentSequence": [content],
        "PlanePositionSequence": [{"ImagePositionPatient": [corner, corner, z_mm]}],
        "PETFrameCorrectionFactorsSequence": [factors],
        "PETPositionSequence": [position],
    }


def _prompts(scan: Scan, index: int) -> int:
    """Coincidences of the bed position, which decay with time."""
    now = nuclear.F18.remaining(scan.bed_start_s(index))
    return round(scan.injection.activity_at_scan_bq * now * BED_S * 0.0007)
