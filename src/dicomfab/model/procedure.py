"""What is to be done for an order: requested procedures with their scheduled steps, and how far each has come."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from dicomfab.model.order import OrderField
from dicomfab.model.values import Environment


class StepState(enum.StrEnum):
    """Scheduled Procedure Step Status (0040,0020) while a step is on the worklist (PS3.3 C.4.10), then how it ended."""

    SCHEDULED = "SCHEDULED"
    ARRIVED = "ARRIVED"
    READY = "READY"
    STARTED = "STARTED"
    DEPARTED = "DEPARTED"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"
    CANCELLED = "CANCELLED"

    @property
    def is_over(self) -> bool:
        """Whether the step is off the worklist, for good."""
        return not ARROWS[self]


_OVER: Final = frozenset({StepState.COMPLETED, StepState.DISCONTINUED, StepState.CANCELLED})
#: State -> what may follow. A modality may begin what nobody has said to be ready; a report of its end may be all that
#: comes; what has begun is not taken back by an order, but ended by who performs it.
ARROWS: Final[dict[StepState, frozenset[StepState]]] = {
    StepState.SCHEDULED: frozenset({StepState.ARRIVED, StepState.READY, StepState.STARTED}) | _OVER,
    StepState.ARRIVED: frozenset({StepState.SCHEDULED, StepState.READY, StepState.STARTED, StepState.DEPARTED}) | _OVER,
    StepState.READY: frozenset({StepState.ARRIVED, StepState.STARTED, StepState.DEPARTED}) | _OVER,
    StepState.STARTED: frozenset({StepState.DEPARTED, StepState.COMPLETED, StepState.DISCONTINUED}),
    StepState.DEPARTED: frozenset({StepState.COMPLETED, StepState.DISCONTINUED}),
    StepState.COMPLETED: frozenset(),
    StepState.DISCONTINUED: frozenset(),
    StepState.CANCELLED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class ScheduledStep:
    """One scheduled procedure step.

    Args:
        number: identifies it here.
        procedure: number of the requested procedure that it belongs to.
        step_id: ScheduledProcedureStepID (0040,0009).
        state: how far it has come.
        modality: Modality (0008,0060); empty if nobody said it.
        station_ae_title: ScheduledStationAETitle (0040,0001); empty if any station may take it.
        start_date: ``YYYYMMDD``.
        start_time: ``HHMMSS``.
        fields: what the order says of it, with where from.
    """

    number: int
    procedure: int
    step_id: str
    state: StepState
    modality: str
    station_ae_title: str
    start_date: str
    start_time: str
    fields: tuple[OrderField, ...]


@dataclass(frozen=True, slots=True)
class RequestedProcedure:
    """One requested procedure: one study.

    Args:
        number: identifies it here.
        environment: where its order came from.
        study_instance_uid: given once, and never made anew.
        accession_number: AccessionNumber (0008,0050).
        requested_procedure_id: RequestedProcedureID (0040,1001).
        patient_id: PatientID (0010,0020).
        issuer: IssuerOfPatientID (0010,0021).
        fields: what the order says of patient, request and procedure, with where from.
        steps: by number.
        created_at: when it was ordered, with time zone.
        changed_at: when it was changed last.
    """

    number: int
    environment: Environment
    study_instance_uid: str
    accession_number: str
    requested_procedure_id: str
    patient_id: str
    issuer: str
    fields: tuple[OrderField, ...]
    steps: tuple[ScheduledStep, ...]
    created_at: datetime
    changed_at: datetime

    def value(self, keyword: str) -> str:
        """The first value of a keyword; empty if there is none."""
        return next((one.value for one in self.fields if one.keyword == keyword), "")

    @property
    def is_over(self) -> bool:
        """Whether all of its steps are off the worklist."""
        return all(step.state.is_over for step in self.steps)


class ProcedureEventKind(enum.StrEnum):
    """What can happen to a requested procedure, in the order in which it usually does."""

    ORDERED = "ordered"
    CHANGED = "changed"
    STATE = "state"
    PERFORMING = "performing"
    PERFORMED = "performed"
    STORED = "stored"
    COMMITTED = "committed"
    AVAILABLE = "available"
    REPORTED = "reported"
    PATIENT = "patient"


@dataclass(frozen=True, slots=True)
class ProcedureEvent:
    """Something that happened to a requested procedure.

    Args:
        kind: what.
        text: for people.
        at: when, with time zone.
        message: number of the HL7 message behind it; ``None`` if there is none.
        reference: UID of the performed procedure step, transaction or study behind it; empty if there is none.
    """

    kind: ProcedureEventKind
    text: str
    at: datetime
    message: int | None = None
    reference: str = ""


@dataclass(frozen=True, slots=True)
class ProcedureFilter:
    """Which requested procedures are wanted.

    Args:
        search: words, each in name, ID, accession number, description or another identifier, or a Study Instance UID.
        accession_number: exactly.
        patient_id: exactly.
        is_open: whether a step of them is still on the worklist; ``None`` for both.
        environments: what the actor may see.
    """

    search: str = ""
    accession_number: str = ""
    patient_id: str = ""
    is_open: bool | None = None
    environments: frozenset[Environment] = field(default_factory=lambda: frozenset(Environment))
