"""What a modality says of its work: the data sets of MPPS and storage commitment (PS3.4 F.7, J.3; IHE RAD TF-2 A.1)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

from pydicom import Dataset

from dicomfab.archive.records import StoredInstance
from dicomfab.dimse.commitment import Reference, Transaction
from dicomfab.model.order import Order, OrderField

_SCHEDULED: Final = (
    "StudyInstanceUID", "AccessionNumber", "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest", "RequestedProcedureID", "RequestedProcedureDescription",
)  # fmt: skip
_STEP: Final = ("ScheduledProcedureStepID", "ScheduledProcedureStepDescription", "ScheduledProtocolCodeSequence")
_PATIENT: Final = ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex")
#: DISCONTINUED: doctor cancelled the procedure (CID 9300).
_REASON: Final = ("110500", "DCM", "Doctor canceled procedure")
_SR: Final = "1.2.840.10008.5.1.4.1.1.88."


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


def begun(items: Sequence[Dataset], station: str, step_id: str, modality: str, now: dt.datetime) -> Dataset:
    """The N-CREATE of a performed procedure step in progress (PS3.4 table F.7.2-1).

    Args:
        items: of the worklist, that are performed together; all of one patient.
        station: AE title of the modality.
        step_id: PerformedProcedureStepID (0040,0253).
        modality: that is used.
        now: when it begins, local time.
    """
    first = items[0]
    ds = Dataset()
    if "SpecificCharacterSet" in first:
        ds.SpecificCharacterSet = first.SpecificCharacterSet
    ds.Modality = modality
    _copy(first, ds, _PATIENT)
    ds.ReferencedPatientSequence = []
    ds.StudyID = str(first.get("RequestedProcedureID", "") or "")
    ds.PerformedStationAETitle, ds.PerformedStationName, ds.PerformedLocation = station, station, ""
    ds.PerformedProcedureStepID = step_id
    ds.PerformedProcedureStepStartDate, ds.PerformedProcedureStepStartTime = _moment(now)
    ds.PerformedProcedureStepEndDate = ds.PerformedProcedureStepEndTime = ""
    ds.PerformedProcedureStepStatus = "IN PROGRESS"
    step = step_of(first)
    ds.PerformedProcedureStepDescription = str(step.get("ScheduledProcedureStepDescription", "") or "")
    ds.PerformedProcedureTypeDescription = ""
    ds.ProcedureCodeSequence = list(first.get("RequestedProcedureCodeSequence") or ())
    ds.PerformedProtocolCodeSequence = list(step.get("ScheduledProtocolCodeSequence") or ())
    ds.PerformedSeriesSequence = []
    ds.ScheduledStepAttributesSequence = [_scheduled(item) for item in items]
    return ds


def ended(instances: Iterable[StoredInstance], protocol: str, now: dt.datetime, *, discontinued: bool) -> Dataset:
    """The N-SET that ends it, with a reference to all that was acquired, a dose report among it.

    Args:
        instances: series by series.
        protocol: ProtocolName (0018,1030).
        now: when it ends, local time.
        discontinued: whether it was broken off.
    """
    ds = Dataset()
    ds.PerformedProcedureStepEndDate, ds.PerformedProcedureStepEndTime = _moment(now)
    ds.PerformedSeriesSequence = [
        _series(uid, list(found), protocol) for uid, found in groupby(instances, lambda one: one.series_instance_uid)
    ]
    if discontinued:
        ds.PerformedProcedureStepDiscontinuationReasonCodeSequence = [_code(*_REASON)]
    return ds


def to_commit(transaction_uid: str, instances: Iterable[StoredInstance]) -> Transaction:
    """The request that somebody answers for instances (PS3.4 J.3.2)."""
    found = (Reference(one.identity.sop_class_uid, one.identity.sop_instance_uid) for one in instances)
    return Transaction(transaction_uid, tuple(found))


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
