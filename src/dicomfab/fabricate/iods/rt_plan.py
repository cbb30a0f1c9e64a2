"""RT Plan (PS3.3 A.20): four static photon fields that meet at the centre of the largest lesion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from dicomfab.fabricate.iods import rt_dose, rt_structures
from dicomfab.fabricate.iods.radiotherapy import (
    FRACTIONS,
    GANTRY_DEG,
    PRESCRIBED_GY,
    Treatment,
    rt_base,
    treatment,
)
from dicomfab.fabricate.iods.references import references, without_pixels
from dicomfab.fabricate.plan import Planned, SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.481.5"
_AFTER_S: Final = 1500.0
_ENERGY_MV: Final = 6
_MU: Final = 62.5  # of a beam in a fraction
_AXIS_MM: Final = 1000


def plan_object(
    study: ResolvedStudy, series: ResolvedSeries, series_number: int, before: Sequence[Planned]
) -> SeriesPlan:
    """One plan on the last CT, or on that of the last structure set."""
    return without_pixels(study, series_number, _dataset(study, series_number, treatment(study, before, series.kind)))


def truth_of(
    study: ResolvedStudy, series: ResolvedSeries, series_number: int, before: Sequence[Planned]
) -> dict[str, Any]:
    """Where the beams meet and what is prescribed, ready for JSON.

    Returns:
        ``isocentre_mm``; ``lesion``: the target's index in the region's lesions, or null; ``prescribed_gy``;
        ``fractions``; ``gantry_deg`` of each beam; ``half_field_mm``; ``structure_set``: its SOPInstanceUID, or empty.
    """
    given = treatment(study, before, series.kind)
    return {
        "region": given.source.region,
        "isocentre_mm": list(given.isocentre_mm),
        "lesion": given.target.index if given.target else None,
        "prescribed_gy": PRESCRIBED_GY,
        "fractions": FRACTIONS,
        "gantry_deg": list(GANTRY_DEG),
        "half_field_mm": given.half_field_mm,
        "structure_set": given.structures.sop_instance_uid() if given.structures else "",
    }


def _dataset(study: ResolvedStudy, number: int, given: Treatment) -> Dataset:
    ds = rt_base(study, SOP_CLASS_UID, "RTPLAN", number, _AFTER_S)
    ds.SeriesDescription = "PLAN 4 FIELDS"
    ds.RTPlanLabel = "4 FIELDS"
    ds.RTPlanName = f"Four {_ENERGY_MV} MV photon fields"
    ds.RTPlanDate, ds.RTPlanTime = study.study_date, ds.SeriesTime
    ds.PlanIntent = "RESEARCH"
    ds.RTPlanGeometry = "TREATMENT_DEVICE" if given.structures is None else "PATIENT"
    ds.DoseReferenceSequence = Items([_dose_reference(study, number, given)])
    ds.ToleranceTableSequence = Items([_tolerances()])
    ds.FractionGroupSequence = Items([_fractions(rt_dose.shares(study, given))])
    ds.BeamSequence = Items([_beam(beam, angle, given) for beam, angle in enumerate(GANTRY_DEG, start=1)])
    setup = Dataset()
    setup.PatientSetupNumber = "1"
    setup.PatientPosition = str(given.source.planned.dataset.PatientPosition)
    setup.SetupTechnique = "ISOCENTRIC"
    ds.PatientSetupSequence = Items([setup])
    if given.structures is not None:
        ds.ReferencedStructureSetSequence = Items(references(given.structures))
    ds.ApprovalStatus = "UNAPPROVED"
    return ds


def _dose_reference(study: ResolvedStudy, number: int, given: Treatment) -> Dataset:
    """The target: the volume of the structure set, or the point where the beams meet."""
    item = Dataset()
    item.DoseReferenceNumber = "1"
    item.DoseReferenceUID = study.uid("dose-reference", number)
    target = _target_roi(study, given)
    if target:
        item.DoseReferenceStructureType = "VOLUME"
        item.ReferencedROINumber = str(target)
        item.DoseReferenceDescription = "Gross tumour volume"
    else:
        item.DoseReferenceStructureType = "COORDINATES"
        item.DoseReferencePointCoordinates = _point(given)
        item.DoseReferenceDescription = "Isocentre"
    item.DoseReferenceType = "TARGET"
    item.TargetPrescriptionDose = f"{PRESCRIBED_GY:g}"
    return item


def _target_roi(study: ResolvedStudy, given: Treatment) -> int:
    """ROINumber of the target in the structure set; 0 if there is none."""
    if given.structures is None or given.target is None:
        return 0
    index = given.target.index
    drawn = rt_structures.rois(study, given.source)
    return next(roi.number for roi in drawn if roi.mask is not None and roi.mask.index == index)


def _point(given: Treatment) -> list[str]:
    return [f"{value:g}" for value in given.isocentre_mm]


def _tolerances() -> Dataset:
    item = Dataset()
    item.ToleranceTableNumber = "1"
    item.ToleranceTableLabel = "STANDARD"
    item.GantryAngleTolerance = "0.5"
    item.BeamLimitingDeviceAngleTolerance = "0.5"
    item.PatientSupportAngleTolerance = "1"
    return item


def _fractions(shares: Sequence[float]) -> Dataset:
    item = Dataset()
    item.FractionGroupNumber = "1"
    item.NumberOfFractionsPlanned = str(FRACTIONS)
    item.NumberOfBeams = str(len(GANTRY_DEG))
    item.NumberOfBrachyApplicationSetups = "0"
    beams = []
    for number, share in enumerate(shares, start=1):
        beam = Dataset()
        beam.BeamDose = f"{PRESCRIBED_GY / FRACTIONS * share:.5f}"
        beam.BeamMeterset = f"{_MU:g}"
        beam.ReferencedBeamNumber = str(number)
        beams.append(beam)
    item.ReferencedBeamSequence = Items(beams)
    return item


def _beam(number: int, angle_deg: int, given: Treatment) -> Dataset:
    """A static field of two control points: before and after it was given (PS3.3 C.8.8.14)."""
    item = Dataset()
    item.BeamNumber = str(number)
    item.BeamName = f"G{angle_deg:03d}"
    item.BeamType = "STATIC"
    item.RadiationType = "PHOTON"
    item.TreatmentDeliveryType = "TREATMENT"
    item.TreatmentMachineName = "SYN-LINAC 1"
    item.PrimaryDosimeterUnit = "MU"
    item.SourceAxisDistance = str(_AXIS_MM)
    jaws = []
    for kind in ("X", "Y"):
        jaw = Dataset()
        jaw.RTBeamLimitingDeviceType = kind
        jaw.NumberOfLeafJawPairs = "1"
        jaws.append(jaw)
    item.BeamLimitingDeviceSequence = Items(jaws)
    item.ReferencedPatientSetupNumber = item.ReferencedToleranceTableNumber = "1"
    item.NumberOfWedges = item.NumberOfCompensators = item.NumberOfBoli = item.NumberOfBlocks = "0"
    item.FinalCumulativeMetersetWeight = "1"
    item.NumberOfControlPoints = "2"
    last = Dataset()
    last.ControlPointIndex = "1"
    last.CumulativeMetersetWeight = "1"
    item.ControlPointSequence = Items([_first_control_point(angle_deg, given), last])
    return item


def _first_control_point(angle_deg: int, given: Treatment) -> Dataset:
    item = Dataset()
    item.ControlPointIndex = "0"
    item.NominalBeamEnergy = str(_ENERGY_MV)
    item.DoseRateSet = "600"
    half = f"{given.half_field_mm:g}"
    openings = []
    for kind in ("X", "Y"):
        opening = Dataset()
        opening.RTBeamLimitingDeviceType = kind
        opening.LeafJawPositions = [f"-{half}", half]
        openings.append(opening)
    item.BeamLimitingDevicePositionSequence = Items(openings)
    item.GantryAngle = str(angle_deg)
    item.BeamLimitingDeviceAngle = item.PatientSupportAngle = item.TableTopEccentricAngle = "0"
    item.GantryRotationDirection = item.BeamLimitingDeviceRotationDirection = "NONE"
    item.PatientSupportRotationDirection = item.TableTopEccentricRotationDirection = "NONE"
    item.TableTopVerticalPosition = item.TableTopLongitudinalPosition = item.TableTopLateralPosition = ""
    item.IsocenterPosition = _point(given)
    item.CumulativeMetersetWeight = "0"
    return item
