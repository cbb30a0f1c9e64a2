"""Imaging orders: what somebody asks for, with where each value came from."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Final


class OrderState(enum.StrEnum):
    """Where an order stands."""

    OPEN = "open"  # nothing was made of it here
    MADE = "made"  # a study was fabricated from it
    CANCELLED = "cancelled"  # its sender took it back
    COMPLETED = "completed"  # its sender says that it was performed
    NONE = "none"  # the message tells of a patient, and asks for nothing


#: Order control codes (HL7 table 0119) of orders that are taken back.
CANCELLING: Final = frozenset({"CA", "DC", "OC", "OD"})


@dataclass(frozen=True, slots=True)
class OrderField:
    """One value of an order.

    Args:
        keyword: of the DICOM attribute that holds it.
        value: as DICOM writes it; empty if nothing could be read.
        origin: segment, field and component, such as ``PID-3.1``; empty if the message does not say it.
        note: what was guessed, changed, cut or could not be read.
    """

    keyword: str
    value: str
    origin: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """One order of a message, or what a message says about a patient.

    Args:
        message_type: such as ``ORM^O01``.
        control: order control code (ORC-1), such as ``NW``; empty in a message without an order.
        status: order status (ORC-5), such as ``SC``.
        control_id: MSH-10.
        sender: sending application and facility (MSH-3, MSH-4).
        fields: in the order of the standard's modules; a keyword may occur more than once.
        notes: about the message as a whole.
    """

    message_type: str
    control: str
    status: str
    control_id: str
    sender: str
    fields: tuple[OrderField, ...]
    notes: tuple[str, ...] = ()

    def field(self, keyword: str) -> OrderField | None:
        """The first field of this keyword."""
        return next((one for one in self.fields if one.keyword == keyword), None)

    def value(self, keyword: str) -> str:
        """Its value; empty if there is none."""
        found = self.field(keyword)
        return found.value if found else ""

    @property
    def state(self) -> OrderState:
        """What the message itself says: open, cancelled or completed; none without an order."""
        if not self.control:
            return OrderState.NONE
        if self.control in CANCELLING:
            return OrderState.CANCELLED
        return OrderState.COMPLETED if self.status == "CM" else OrderState.OPEN

    def as_dict(self) -> dict[str, Any]:
        """Plain values; :meth:`from_dict` takes them back."""
        fields = [[one.keyword, one.value, one.origin, one.note] for one in self.fields]
        return {
            "message_type": self.message_type,
            "control": self.control,
            "status": self.status,
            "control_id": self.control_id,
            "sender": self.sender,
            "fields": fields,
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Order:
        """Take back what :meth:`as_dict` gave."""
        fields = tuple(OrderField(*one) for one in values["fields"])
        return cls(**{**values, "fields": fields, "notes": tuple(values["notes"])})


@dataclass(frozen=True, slots=True)
class RequestAttributes:
    """What the instances of a study say about the order behind it (PS3.3 table 10-9); empty is left out.

    Args:
        study_instance_uid: UI, given by whoever scheduled the study; empty leaves it to the recipe.
        requested_procedure_id: SH.
        requested_procedure_description: LO.
        requested_procedure_code: ``value^scheme^meaning``.
        scheduled_step_id: SH.
        scheduled_step_description: LO.
        protocol_code: ``value^scheme^meaning``.
        admission_id: LO.
    """

    study_instance_uid: str = ""
    requested_procedure_id: str = ""
    requested_procedure_description: str = ""
    requested_procedure_code: str = ""
    scheduled_step_id: str = ""
    scheduled_step_description: str = ""
    protocol_code: str = ""
    admission_id: str = ""


@dataclass(frozen=True, slots=True)
class GroupedRequest:
    """One of several orders that were performed together, as the instances of their one study name it.

    Args:
        accession_number: SH.
        attributes: the rest; its Study Instance UID is the one that was scheduled for it.
    """

    accession_number: str
    attributes: RequestAttributes
