"""The modules that every IOD shares: patient, study, series, equipment, SOP common, and our marks."""

from __future__ import annotations

from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicomfab import __version__
from dicomfab.fabricate.kinds import ALL_KINDS, Code
from dicomfab.fabricate.people import age_string, age_years, physique
from dicomfab.fabricate.recipe import ResolvedStudy
from dicomfab.model.order import RequestAttributes

PRIVATE_GROUP: Final = 0x0099
PRIVATE_CREATOR: Final = "DICOM FABRICATOR"

_TURN_S: Final = 60.0

CHEST: Final[Code] = ("816094009", "SCT", "Chest")


def coded(*codes: Code) -> Sequence:
    """A code sequence (PS3.3 8.8)."""
    items = []
    for value, scheme, meaning in codes:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
        items.append(item)
    return Sequence(items)


def base(study: ResolvedStudy, sop_class_uid: str, modality: str, series_number: int) -> Dataset:
    """Patient, General Study, Patient Study, General Series, General Equipment and SOP Common modules.

    Args:
        study: what the attributes say.
        sop_class_uid: of all instances of the series.
        modality: of the series.
        series_number: of the series; the UIDs follow from it.
    """
    ds = Dataset()
    ds.SpecificCharacterSet = study.character_set
    ds.SOPClassUID = sop_class_uid
    ds.SOPInstanceUID = instance_uid(study, series_number, 1)
    ds.SyntheticData = "YES"
    _patient(ds, study)
    _study(ds, study)
    ds.Modality = modality
    ds.SeriesInstanceUID = study.uid("series", series_number)
    ds.SeriesNumber = str(series_number)
    ds.SeriesDate, ds.SeriesTime = study.study_date, study.study_time
    ds.Manufacturer = "DICOM Fabricator"
    ds.ManufacturerModelName = "DICOM Fabricator"
    ds.InstitutionName = "SYNTHETIC DATA"
    ds.StationName = f"SYN{modality}1"
    ds.DeviceSerialNumber = f"SYN-{modality}-0001"
    ds.SoftwareVersions = __version__
    _provenance(ds, study)
    return ds


def instance_uid(study: ResolvedStudy, series_number: int, instance_number: int) -> str:
    """SOPInstanceUID of an instance."""
    return study.uid("instance", series_number, instance_number)


def begun_s(series_number: int) -> float:
    """When a device begins a series, in seconds after the study: it acquires one after the other.

    Args:
        series_number: of the first series of its entry; of several in one turn, it is the same.
    """
    return _TURN_S * (series_number - 1)


def clock(study_time: str, after_s: float) -> str:
    """A time (VR TM, six decimals) some seconds after the start of the study, at the latest midnight."""
    start = int(study_time[:2]) * 3600 + int(study_time[2:4]) * 60 + float(study_time[4:])
    micros = min(round((start + after_s) * 1e6), 86_399_999_999)
    seconds, micros = divmod(micros, 1_000_000)
    return f"{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}.{micros:06d}"


def burned_in(ds: Dataset, *, identifies_patient: bool) -> None:
    """BurnedInAnnotation (0028,0301): the synthetic mark alone does not identify anyone."""
    ds.BurnedInAnnotation = "YES" if identifies_patient else "NO"


def _patient(ds: Dataset, study: ResolvedStudy) -> None:
    patient = study.patient
    ds.PatientName = patient.name
    ds.PatientID = patient.patient_id
    ds.IssuerOfPatientID = patient.issuer
    ds.PatientBirthDate = patient.birth_date
    ds.PatientSex = patient.sex
    if patient.address:
        ds.PatientAddress = patient.address
    if patient.phone:
        ds.PatientTelephoneNumbers = patient.phone
    age = age_string(patient.birth_date, study.study_date)
    if age:
        ds.PatientAge = age
    size_m, weight_kg = physique(study.body_seed, patient.sex, age_years(patient.birth_date, study.study_date))
    ds.PatientSize = f"{size_m if patient.size_m is None else patient.size_m:.2f}"
    ds.PatientWeight = f"{weight_kg if patient.weight_kg is None else patient.weight_kg:g}"


def _study(ds: Dataset, study: ResolvedStudy) -> None:
    ds.StudyInstanceUID = study.study_instance_uid
    begun = study.added_to or study
    ds.StudyDate, ds.StudyTime = begun.study_date, begun.study_time
    ds.ReferringPhysicianName = study.referring_physician
    ds.StudyID = study.study_id
    ds.AccessionNumber = study.accession_number
    ds.StudyDescription = study.study_description
    codes = dict.fromkeys(ALL_KINDS[kind].procedure for kind in study.kinds)
    procedures = [code for code in codes if code is not None]
    if procedures:
        ds.ProcedureCodeSequence = coded(*procedures)
    if study.order is not None:
        _request(ds, study, study.order)


def _request(ds: Dataset, study: ResolvedStudy, order: RequestAttributes) -> None:
    """What the order says, as IHE wants it copied: RequestAttributesSequence (0040,0275), PS3.3 table 10-9."""
    if order.requested_procedure_code:
        ds.ProcedureCodeSequence = coded_text(order.requested_procedure_code)
    if study.grouped:
        items = [_requested(one.attributes, one.accession_number, study) for one in study.grouped]
    else:
        items = [_requested(order, study.accession_number, study)]
    ds.RequestAttributesSequence = Sequence(items)
    if order.admission_id:
        ds.AdmissionID = order.admission_id


def _requested(order: RequestAttributes, accession_number: str, study: ResolvedStudy) -> Dataset:
    item = Dataset()
    item.AccessionNumber = accession_number
    item.StudyInstanceUID = order.study_instance_uid or study.study_instance_uid
    if order.requested_procedure_id:
        item.RequestedProcedureID = order.requested_procedure_id
    if order.requested_procedure_description:
        item.RequestedProcedureDescription = order.requested_procedure_description
    if order.requested_procedure_code:
        item.RequestedProcedureCodeSequence = coded_text(order.requested_procedure_code)
    if order.scheduled_step_id:
        item.ScheduledProcedureStepID = order.scheduled_step_id
    if order.scheduled_step_description:
        item.ScheduledProcedureStepDescription = order.scheduled_step_description
    if order.protocol_code:
        item.ScheduledProtocolCodeSequence = coded_text(order.protocol_code)
    return item


def coded_text(text: str) -> Sequence:
    """``value^scheme^meaning`` as a code sequence; empty if there is none."""
    if not text:
        return Sequence()
    value, scheme, meaning = text.split("^")
    return coded((value, scheme, meaning))


def _provenance(ds: Dataset, study: ResolvedStudy) -> None:
    """Our private block: all that it holds follows from the resolved recipe."""
    block = PRIVATE_GROUP << 16
    ds.add_new(block | 0x0010, "LO", PRIVATE_CREATOR)
    ds.add_new(block | 0x1001, "LO", __version__)
    ds.add_new(block | 0x1002, "LO", study.recipe_hash)
    ds.add_new(block | 0x1003, "LO", str(study.seed))
    if study.defects:
        ds.add_new(block | 0x1004, "LO", list(study.defects))
