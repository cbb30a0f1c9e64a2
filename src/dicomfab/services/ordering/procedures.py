"""Requested procedures and HL7 messages, looked at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dicomfab.access.policy import Action, require, visible
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.errors import NotFound
from dicomfab.model.hl7_message import Hl7Message
from dicomfab.model.procedure import ProcedureEvent, ProcedureFilter, RequestedProcedure
from dicomfab.services.recording import Record, nobody
from dicomfab.storage.performed import PerformedRows, PerformedStep
from dicomfab.storage.procedures import ProcedurePage, ProcedureRepository, WorklistFilter

if TYPE_CHECKING:
    from pydicom import Dataset


@dataclass(frozen=True, slots=True)
class ProcedureDetails:
    """A requested procedure with all that is known of it.

    Args:
        procedure: itself, with its steps.
        events: what happened to it, the oldest first.
        performed: what modalities reported of it.
        orders: numbers of the orders that it follows from.
    """

    procedure: RequestedProcedure
    events: tuple[ProcedureEvent, ...]
    performed: tuple[PerformedStep, ...]
    orders: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ProcedureService:
    """Use cases on requested procedures.

    Args:
        procedures: where they are kept.
        record: the audit log.
    """

    procedures: ProcedureRepository
    record: Record = nobody

    def page(self, actor: Actor, wanted: ProcedureFilter, *, limit: int = 100, offset: int = 0) -> ProcedurePage:
        """One page of those that the actor may see, the newest first."""
        seen = replace(wanted, environments=wanted.environments & visible(actor, Action.VIEW))
        with self.procedures.read() as rows:
            return rows.page(seen, limit=limit, offset=offset)

    def of_message(self, actor: Actor, message: Hl7Message) -> tuple[RequestedProcedure, ...]:
        """The procedures that a message of the ledger did something to."""
        require(actor, Action.VIEW, message.environment)
        with self.procedures.read() as rows:
            return tuple(rows.get(number) for number in rows.of_message(message.number))

    def show(self, actor: Actor, number: int) -> ProcedureDetails:
        """One procedure with all that is known of it.

        Raises:
            NotFound: there is none, or it is of an environment that the actor does not see.
        """
        with self.procedures.read() as rows:
            procedure = rows.get(number)
            if procedure.environment not in visible(actor, Action.VIEW):
                raise NotFound(
                    f"there is no requested procedure {number}.",
                    cause="the number is mistyped, or it is of an environment that you do not see",
                    remedy="see what there is: dicomfab order procedures",
                )
            performed = PerformedRows(rows.transaction, rows.now).of_procedure(number)
            found = ProcedureDetails(procedure, rows.events(number), tuple(performed), tuple(rows.orders_of(number)))
        event = AuditEvent.by(
            actor,
            EventKind.VIEW,
            environment=str(procedure.environment),
            subject="requested procedure",
            patient_ids=(procedure.patient_id,) if procedure.patient_id else (),
            study_uids=(procedure.study_instance_uid,),
        )
        self.record(event)
        return found

    def worklist(
        self, actor: Actor, wanted: WorklistFilter, *, limit: int = 100, offset: int = 0
    ) -> tuple[list[Dataset], int]:
        """One part of what modalities are offered, by its start, as items of the worklist; and how many all are.

        Raises:
            AccessDenied: the actor may not see the environment.
        """
        from dicomfab.services.ordering.worklist import item

        require(actor, Action.VIEW, wanted.environment)
        with self.procedures.read() as rows:
            offered = list(rows.on_worklist(wanted))
        shown = offered[offset : offset + limit]
        event = AuditEvent.by(
            actor,
            EventKind.QUERY,
            environment=str(wanted.environment),
            subject="worklist",
            patient_ids=tuple(dict.fromkeys(one.patient_id for one, _ in shown if one.patient_id)),
        )
        self.record(event)
        return [item(*one) for one in shown], len(offered)
