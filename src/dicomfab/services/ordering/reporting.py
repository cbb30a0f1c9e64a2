"""Reports that come as messages (ORU^R01): which study they are about (IHE RAD TF-2 4.28)."""

from __future__ import annotations

from typing import Final

from dicomfab.hl7.acknowledging import Code, Problem, content_error
from dicomfab.hl7.er7 import Segment, parse
from dicomfab.model.hl7_message import Hl7Message
from dicomfab.model.order import Order
from dicomfab.model.procedure import ProcedureEventKind, RequestedProcedure
from dicomfab.model.values import is_uid
from dicomfab.services.ordering.scheduling import is_of_placer
from dicomfab.storage.procedures import ProcedureRows

_STATES: Final = {"F": "final", "P": "preliminary", "C": "corrected", "R": "not verified yet", "X": "withdrawn"}


def note_report(rows: ProcedureRows, told: Order, message: Hl7Message, text: str) -> list[Problem]:
    """Note with a requested procedure that it was reported.

    Args:
        rows: the procedures, within the transaction of the message.
        told: what the message says, read as an order.
        message: of the ledger.
        text: of the message.

    Raises:
        Unacceptable: it is about nothing that was ordered here, or about another patient.
    """
    segments = parse(text).segments
    found = _procedure(rows, told, message, segments)
    if told.value("PatientID") not in ("", found.patient_id):
        raise content_error(Code.DUPLICATE_KEY, "the order that it reports is of another patient", "PID-3.1")
    status = next((segment.get(25) for segment in segments if segment.name == "OBR"), "")
    said = f"report {_STATES.get(status, 'of unknown state')}"
    rows.note(found.number, ProcedureEventKind.REPORTED, said, message=message.number)
    return []


def study_named(segments: tuple[Segment, ...]) -> str:
    """The StudyInstanceUID that an OBX names; empty if none does."""
    for segment in segments:
        what = f"{segment.get(3, 1)} {segment.get(3, 2)}".casefold()
        if segment.name == "OBX" and ("study instance uid" in what or "113014" in what) and is_uid(segment.get(5)):
            return segment.get(5)
    return ""


def _procedure(
    rows: ProcedureRows, told: Order, message: Hl7Message, segments: tuple[Segment, ...]
) -> RequestedProcedure:
    uid = study_named(segments) or told.value("StudyInstanceUID")
    found = rows.with_study(uid) if uid else None
    if found is not None and found.environment is message.environment:
        return found
    for column, keyword in (
        ("accession_number", "AccessionNumber"),
        ("filler_order_number", "FillerOrderNumberImagingServiceRequest"),
        ("placer_order_number", "PlacerOrderNumberImagingServiceRequest"),
    ):
        value = told.value(keyword)
        having = rows.with_value(message.environment, **{column: value}) if value else []
        procedure_id = told.value("RequestedProcedureID")
        same = [one for one in having if procedure_id in ("", one.requested_procedure_id)] or having
        same = [one for one in same if is_of_placer(told, one)] or same
        if same:
            return same[0]
    raise content_error(Code.UNKNOWN_KEY, "nothing that was ordered here has the numbers of this report", "OBR-18")
