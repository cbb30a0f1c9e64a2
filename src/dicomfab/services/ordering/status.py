"""Tells whoever ordered how far an order has come, by what modalities report (as IHE RAD-13 does; ORC-1 SC, ORC-5)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dicomfab.hl7.building import build
from dicomfab.hl7.profile import Profile, Replies, profile_of
from dicomfab.hl7.templates import template
from dicomfab.model.errors import Conflict, InvalidInput, LocalFailure
from dicomfab.model.procedure import ProcedureEventKind, RequestedProcedure, ScheduledStep, StepState
from dicomfab.services.ordering.building import values_of
from dicomfab.services.ordering.outgoing import new_control_id, outgoing
from dicomfab.storage.outbox import OutboxRows
from dicomfab.storage.procedures import ProcedureRows

log = logging.getLogger(__name__)


def order_status(steps: Iterable[ScheduledStep]) -> str:
    """The order status (ORC-5, HL7 table 0038) that follows from the steps of a procedure."""
    states = {step.state for step in steps}
    if not all(state.is_over for state in states):
        has_begun = states - {StepState.SCHEDULED, StepState.ARRIVED, StepState.READY, StepState.CANCELLED}
        return "IP" if has_begun else "SC"
    if StepState.COMPLETED in states:
        return "CM"
    return "DC" if StepState.DISCONTINUED in states else "CA"


@dataclass(frozen=True, slots=True)
class StatusMessages:
    """Puts status messages into the outbox, in the transaction of what they tell of.

    Args:
        profiles: say where the senders of orders want to hear of them.
    """

    profiles: Callable[[], Sequence[Profile]]

    def tell(self, rows: ProcedureRows, number: int, before: str) -> None:
        """Tell of a procedure, if its order has another status than before, and if its sender wants to hear of it.

        Args:
            rows: the procedures, within the transaction.
            number: of the procedure.
            before: its status before the change.
        """
        procedure = rows.get(number)
        status = order_status(procedure.steps)
        if status == before:
            return
        sender = OutboxRows(rows.transaction, rows.now).who_ordered(number)
        try:
            replies = profile_of(sender, self.profiles()).replies
        except (InvalidInput, Conflict, LocalFailure) as error:
            log.error("whether %s is to be told of procedure %d is not known: %s", sender, number, error.what)
            text = f"{sender} was not told of {status}: a mapping profile cannot be used"
            rows.note(number, ProcedureEventKind.STATE, text)
            return
        if replies is not None:
            self._queue(rows, procedure, status, sender, replies)

    def cancelled(self, rows: ProcedureRows, order: int, by: str) -> None:
        """Tell whoever ordered that somebody else took the order back.

        Args:
            rows: the procedures, within the transaction.
            order: number of the order that says so.
            by: its sender.
        """
        outbox = OutboxRows(rows.transaction, rows.now)
        number = outbox.procedure_of(order)
        is_over = order_status(rows.get(number).steps) in ("CA", "DC")
        if is_over and outbox.who_ordered(number) != by:
            self.tell(rows, number, "")

    @staticmethod
    def _queue(rows: ProcedureRows, procedure: RequestedProcedure, status: str, sender: str, replies: Replies) -> None:
        chosen = template(f"{replies.message}-status")
        # A message that names a step is about that alone.
        step = procedure.steps[0] if len(procedure.steps) == 1 else None
        values, left_out = values_of(chosen, procedure, step)
        values |= {
            "OrderStatus": status,
            "ReceivingApplication": replies.application,
            "ReceivingFacility": replies.facility,
        }
        try:
            data = build(chosen, values, control_id=new_control_id(), now=rows.now.astimezone())
        except InvalidInput as error:
            log.error("%s cannot be told of procedure %d: %s", sender, procedure.number, error.field)
            text = f"{sender} was not told of {status}: {error.field} cannot stand in a message"
            rows.note(procedure.number, ProcedureEventKind.STATE, text)
            return
        message = outgoing(data, procedure.environment, rows.now)
        kept = OutboxRows(rows.transaction, rows.now).queue(message, replies.receiver)
        text = f"{sender} is told of {status}"
        if left_out:
            text += f", without {', '.join(left_out)}, which cannot stand in a message"
        rows.note(procedure.number, ProcedureEventKind.STATE, text, message=kept.number)
