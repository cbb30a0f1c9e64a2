"""What a modality says of its work: MPPS, storage commitment, availability (PS3.4 F.7, J.3, R.3; IHE RAD TF-2 A.1)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

from pydicom import Dataset

from dicomfab.archive.records import StoredInstance
from dicomfab.dimse.commitment import Reference, Transaction
from dicomfab.dimse.scu.availability import AvailabilityNotice, AvailableInstance, AvailableSeries
from dicomfab.fabricate.recipe import ResolvedStudy
from dicomfab.model.order import Order, OrderField

_SCHEDULED: Final = (
    "StudyInstanceUID", "AccessionNumber", "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest", "RequestedProcedureID", "RequestedProcedureDescription",
)  # fmt: skip
_STEP: Final = ("ScheduledProcedureStepID", "ScheduledProcedureStepDescription", "ScheduledProtocolCodeSequence")
_PATIENT: Final = ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex")
#: Why a step can be discontinued: the codes of CID 9301, scheme DCM (PS3.16).
REASONS: Final = {
    "110500": "Doctor canceled procedure",
    "110501": "Equipment failure",
    "110502": "Incorrect procedure ordered",
    "110503": "Patient allergic to media/contrast",
    "110504": "Patient died",
    "110505": "Patient refused to continue procedure",
    "110506": "Patient taken for treatment or surgery",
    "110507": "Patient did not arrive",
    "110508": "Patient pregnant",
    "110509": "Change of procedure for correct charging",
    "110510": "Duplicate order",
    "110511": "Nursing unit cancel",
    "110512": "Incorrect side ordered",
    "110513": "Discontinued for unspecified reason",
    "110514": "Incorrect worklist entry selected",
    "110515": "Patient condition prevented continuing",
    "110516": "Equipment change",
}
CANCELLED: Final = "110500"
FAILED: Final = "110501"
UNSPECIFIED: Final = "110513"
WRONG_ITEM: Final = "110514"
_SR: Final = "1.2.840.10008.5.1.4.1.1.88."
_UTF_8: Final = "ISO_IR 192"


def step_of(item: Dataset) -> Dataset:
    """The scheduled procedure step of an item of the worklist; an empty data set if it has none."""
    steps = item.get("ScheduledProcedureStepSequence") or ()
    return steps[0] if steps else Dataset()


def order_of(item: Dataset) -> Order:
    """An item of the worklist as an order, which a study can be proposed for."""
    fields = [
        OrderField(element.keyword, _text(element.value), "worklist")
        for part in (item, step_of(item))
        for element in part
        if element.keyword and element.VR != "SQ" and _text(element.value)
    ]
    for part in (item, step_of(item)):
        for keyword in ("RequestedProcedureCodeSequence", "ScheduledProtocolCodeSequence"):
            for code in part.get(keyword) or ():
                parts = (code.get(name, "") for name in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning"))
                fields.append(OrderField(keyword, "^".join(str(one) for one in parts), "worklist"))
                break
    return Order("MWL", "NW", "", "", "", tuple(fields))


def begun(
    items: Sequence[Dataset], station: str, step_id: str, modality: str, now: dt.datetime, *, study_id: str
) -> Dataset:
    """The N-CREATE of a performed procedure step in progress (PS3.4 table F.7.2-1).

    Args:
        items: of the worklist, that are performed together, all of one patient: each becomes an item of
            ScheduledStepAttributesSequence (0040,0270); :func:`unordered` if nobody ordered anything.
        station: AE title of the modality.
        step_id: PerformedProcedureStepID (0040,0253).
        modality: that is used.
        now: when it begins, local time.
        study_id: StudyID (0020,0010) of the images.
    """
    first = items[0]
    ds = Dataset()
    ds.Modality = modality
    _copy(first, ds, _PATIENT)
    ds.ReferencedPatientSequence = []
    ds.StudyID = study_id
    ds.PerformedStationAETitle, ds.PerformedStationName, ds.PerformedLocation = station, station, ""
    ds.PerformedProcedureStepID = step_id
    ds.PerformedProcedureStepStartDate, ds.PerformedProcedureStepStartTime = _moment(now)
    ds.PerformedProcedureStepEndDate = ds.PerformedProcedureStepEndTime = ""
    ds.PerformedProcedureStepStatus = "IN PROGRESS"
    step = step_of(first)
    ds.PerformedProcedureStepDescription = str(step.get("ScheduledProcedureStepDescription", "") or "")
    ds.PerformedProcedureTypeDescription = ""
    ds.ProcedureCodeSequence = _codes(items, "RequestedProcedureCodeSequence")
    ds.PerformedProtocolCodeSequence = _codes(map(step_of, items), "ScheduledProtocolCodeSequence")
    ds.PerformedSeriesSequence = []
    ds.ScheduledStepAttributesSequence = [_scheduled(item) for item in items]
    return _stated(ds, character_set(items))


def character_set(items: Sequence[Dataset]) -> str:
    """SpecificCharacterSet (0008,0005) of items that are performed together; empty if they have several."""
    stated = [item.get("SpecificCharacterSet") or "" for item in items]
    named = {one if isinstance(one, str) else "\\".join(one) for one in stated} - {""}
    return named.pop() if len(named) == 1 else ""


def unordered(study: ResolvedStudy) -> Dataset:
    """What stands for the item of the worklist where there is none: the patient, and the study that will be made."""
    ds = Dataset()
    ds.SpecificCharacterSet = study.character_set.split("\\")
    patient = study.patient
    ds.PatientName, ds.PatientID, ds.IssuerOfPatientID = patient.name, patient.patient_id, patient.issuer
    ds.PatientBirthDate, ds.PatientSex = patient.birth_date, patient.sex
    ds.StudyInstanceUID = study.study_instance_uid
    return ds


def ended(
    instances: Iterable[StoredInstance], protocol: str, now: dt.datetime, *, reason: str = "", written_in: str = ""
) -> Dataset:
    """The N-SET that ends it, with a reference to all that was acquired, a dose report among it.

    Args:
        instances: series by series.
        protocol: ProtocolName (0018,1030).
        now: when it ends, local time.
        reason: why it was broken off, one of :data:`REASONS`; empty if it was not.
        written_in: character set that the information system writes in, see :func:`character_set`.
    """
    ds = Dataset()
    ds.PerformedProcedureStepEndDate, ds.PerformedProcedureStepEndTime = _moment(now)
    ds.PerformedSeriesSequence = [
        _series(uid, list(found), protocol) for uid, found in groupby(instances, lambda one: one.series_instance_uid)
    ]
    if reason:
        code = _code(reason, "DCM", REASONS[reason])
        ds.PerformedProcedureStepDiscontinuationReasonCodeSequence = [code]
    return _stated(ds, written_in)


def to_commit(transaction_uid: str, instances: Iterable[StoredInstance]) -> Transaction:
    """The request that somebody answers for instances (PS3.4 J.3.2)."""
    found = (Reference(one.identity.sop_class_uid, one.identity.sop_instance_uid) for one in instances)
    return Transaction(transaction_uid, tuple(found))


def available(
    study_instance_uid: str, instances: Iterable[StoredInstance], step: str, ae_title: str
) -> AvailabilityNotice:
    """The notification that instances can be had at once (PS3.4 annex R, IHE RAD-49).

    Args:
        study_instance_uid: of their study.
        instances: series by series.
        step: SOP Instance UID of the performed procedure step that made them.
        ae_title: of who has them.
    """
    series = tuple(
        AvailableSeries(
            uid,
            tuple(
                AvailableInstance(one.identity.sop_class_uid, one.identity.sop_instance_uid, (ae_title,))
                for one in found
            ),
        )
        for uid, found in groupby(instances, lambda one: one.series_instance_uid)
    )
    return AvailabilityNotice(study_instance_uid, series, step)


def _stated(ds: Dataset, wanted: str) -> Dataset:
    """The same, saying its character set: the one that is wanted if that holds all of its texts, else UTF-8."""
    from dicomfab.fabricate.checks import holds

    texts = [str(element.value) for element in ds.iterall() if element.VR != "SQ"]
    if not all(text.isascii() for text in texts):
        is_held = wanted and all(holds(wanted, text) for text in texts)
        ds.SpecificCharacterSet = wanted.split("\\") if is_held else _UTF_8
    return ds


def _codes(parts: Iterable[Dataset], keyword: str) -> list[Dataset]:
    """The codes of all of them, each once."""
    found = {
        (str(code.get("CodeValue", "")), str(code.get("CodingSchemeDesignator", ""))): code
        for part in parts
        for code in part.get(keyword) or ()
    }
    return list(found.values())


def _scheduled(item: Dataset) -> Dataset:
    ds = Dataset()
    _copy(item, ds, _SCHEDULED)
    _copy(step_of(item), ds, _STEP)
    ds.ReferencedStudySequence = []
    return ds


def _copy(source: Dataset, target: Dataset, keywords: Iterable[str]) -> None:
    """Type 2: what is not known stands there empty."""
    for keyword in keywords:
        value = source.get(keyword)
        if keyword.endswith("Sequence"):
            setattr(target, keyword, list(value or ()))
        else:
            setattr(target, keyword, value if value is not None else "")


def _series(uid: str, instances: list[StoredInstance], protocol: str) -> Dataset:
    ds = Dataset()
    ds.SeriesInstanceUID, ds.SeriesDescription, ds.ProtocolName = uid, "", protocol or "unnamed"
    ds.RetrieveAETitle = ds.PerformingPhysicianName = ds.OperatorsName = ""
    images: list[Dataset] = []
    others: list[Dataset] = []
    for one in instances:
        item = Dataset()
        item.ReferencedSOPClassUID = one.identity.sop_class_uid
        item.ReferencedSOPInstanceUID = one.identity.sop_instance_uid
        (others if one.identity.sop_class_uid.startswith(_SR) else images).append(item)
    ds.ReferencedImageSequence = images
    ds.ReferencedNonImageCompositeSOPInstanceSequence = others
    return ds


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    ds = Dataset()
    ds.CodeValue, ds.CodingSchemeDesignator, ds.CodeMeaning = value, scheme, meaning
    return ds


def _moment(now: dt.datetime) -> tuple[str, str]:
    return now.strftime("%Y%m%d"), now.strftime("%H%M%S")


def _text(value: object) -> str:
    return "" if value is None else str(value)
