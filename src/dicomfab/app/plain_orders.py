"""Orders, what is to be done for them, and HL7 messages as plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dicomfab.model.hl7_message import Hl7Message
    from dicomfab.model.order import OrderField
    from dicomfab.model.procedure import RequestedProcedure
    from dicomfab.services.ordering.intake import Taken
    from dicomfab.services.ordering.loop import LoopStep
    from dicomfab.services.ordering.procedures import ProcedureDetails
    from dicomfab.storage.orders import StoredOrder


def order_dict(one: StoredOrder) -> dict[str, Any]:
    """An order, in short."""
    order = one.order
    return {
        "number": one.number,
        "environment": str(one.environment),
        "state": str(one.state),
        "message_type": order.message_type,
        "control": order.control,
        "status": order.status,
        "control_id": order.control_id,
        "sender": order.sender,
        "patient_id": order.value("PatientID"),
        "patient_name": order.value("PatientName"),
        "accession_number": order.value("AccessionNumber"),
        "procedure": one.procedure,
        "added_by": one.added_by,
        "added_at": one.added_at.isoformat(),
    }


def order_details(one: StoredOrder) -> dict[str, Any]:
    """An order with all that was read of it, and its message."""
    return {**order_read(one), "message": one.message}


def order_read(one: StoredOrder) -> dict[str, Any]:
    """An order with all that was read of it, and what was made from it."""
    return {
        **order_dict(one),
        "fields": field_dicts(one.order.fields),
        "notes": list(one.order.notes),
        "studies": [dataclasses.asdict(study) for study in one.studies],
    }


def field_dicts(fields: Iterable[OrderField]) -> list[dict[str, str]]:
    """Values, each with where it came from."""
    return [dataclasses.asdict(one) for one in fields]


def procedure_dict(one: RequestedProcedure) -> dict[str, Any]:
    """A requested procedure with its steps, in short."""
    return {
        "number": one.number,
        "environment": str(one.environment),
        "study_instance_uid": one.study_instance_uid,
        "accession_number": one.accession_number,
        "requested_procedure_id": one.requested_procedure_id,
        "patient_id": one.patient_id,
        "issuer": one.issuer,
        "patient_name": one.value("PatientName"),
        "steps": [
            {
                "step_id": step.step_id,
                "state": str(step.state),
                "modality": step.modality,
                "station_ae_title": step.station_ae_title,
                "start_date": step.start_date,
                "start_time": step.start_time,
            }
            for step in one.steps
        ],
        "created_at": one.created_at.isoformat(),
        "changed_at": one.changed_at.isoformat(),
    }


def procedure_details(found: ProcedureDetails) -> dict[str, Any]:
    """A requested procedure with all that is known of it."""
    brief = procedure_dict(found.procedure)
    steps = zip(brief["steps"], found.procedure.steps, strict=True)
    return {
        **brief,
        "fields": field_dicts(found.procedure.fields),
        "steps": [{**plain, "fields": field_dicts(step.fields)} for plain, step in steps],
        "events": [
            {**dataclasses.asdict(one), "kind": str(one.kind), "at": one.at.isoformat()} for one in found.events
        ],
        "performed": [
            {
                "sop_instance_uid": one.sop_instance_uid,
                "state": one.state,
                "calling_ae_title": one.calling_ae_title,
                "attributes": one.attributes,
                "created_at": one.created_at.isoformat(),
                "changed_at": one.changed_at.isoformat(),
            }
            for one in found.performed
        ],
        "orders": list(found.orders),
    }


def loop_dict(procedure: RequestedProcedure, steps: Sequence[LoopStep]) -> dict[str, Any]:
    """A requested procedure with the steps of its loop."""
    return {**procedure_dict(procedure), "loop": [step.as_dict() for step in steps]}


def message_dict(one: Hl7Message) -> dict[str, Any]:
    """A message of the ledger, without what it says."""
    return {
        "number": one.number,
        "direction": str(one.direction),
        "environment": str(one.environment),
        "message_type": one.message_type,
        "control_id": one.control_id,
        "sender": one.sender,
        "peer": one.peer,
        "state": str(one.state),
        "code": one.code,
        "reason": one.reason,
        "repeats": one.repeats,
        "at": one.at.isoformat(),
    }


def message_details(one: Hl7Message) -> dict[str, Any]:
    """A message with what it says and what was answered."""
    from dicomfab.hl7.character_sets import decoded

    text, notes = decoded(one.data)
    return {**message_dict(one), "message": text, "notes": list(notes), "acknowledgement": one.acknowledgement}


def taken_dict(taken: Taken) -> dict[str, Any]:
    """What became of a message that was taken."""
    problems = [{**dataclasses.asdict(one), "code": int(one.code)} for one in taken.problems]
    return {
        **message_dict(taken.message),
        "acknowledgement": taken.message.acknowledgement,
        "orders": [one.number for one in taken.orders],
        "problems": problems,
        "is_repeat": taken.is_repeat,
    }
