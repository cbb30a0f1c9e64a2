"""Requested procedures and HL7 messages, looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from dicomfab.access.policy import Action, require, visible
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.errors import InvalidInput, NotFound, PeerError
from dicomfab.model.hl7_message import Direction, Hl7Message, MessageState
from dicomfab.model.procedure import ProcedureEvent, ProcedureFilter, RequestedProcedure
from dicomfab.model.values import Environment
from dicomfab.services.ordering.intake import header_of
from dicomfab.services.recording import Record, nobody
from dicomfab.storage.hl7_messages import MessageFilter, MessagePage, MessageRepository, MessageRows
from dicomfab.storage.performed import PerformedRows, PerformedStep
from dicomfab.storage.procedures import ProcedurePage, ProcedureRepository

_TRIES = 3


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


#: Sends a message to host and port; gives the acknowledgement.
Send = Callable[[str, int, bytes], bytes]


@dataclass(frozen=True, slots=True)
class MessageService:
    """Use cases on HL7 messages: looking at those that came and went, and sending.

    Args:
        messages: the ledger, for reading.
        procedures: for changing it.
        send_one: over MLLP.
        record: the audit log.
    """

    messages: MessageRepository
    procedures: ProcedureRepository
    send_one: Send
    record: Record = nobody

    def page(self, actor: Actor, wanted: MessageFilter, *, limit: int = 100, offset: int = 0) -> MessagePage:
        """One page of those that the actor may see, the newest first; without their bytes."""
        seen = replace(wanted, environments=wanted.environments & visible(actor, Action.VIEW))
        return self.messages.page(seen, limit=limit, offset=offset)

    def show(self, actor: Actor, number: int) -> Hl7Message:
        """One message.

        Raises:
            NotFound: there is none, or it is of an environment that the actor does not see.
        """
        found = self.messages.get(number)
        if found.environment not in visible(actor, Action.VIEW):
            raise NotFound(
                f"there is no message {number}.",
                cause="the number is mistyped, or the message is of an environment that you do not see",
                remedy="see what there is: dicomfab hl7 list",
            )
        given = {"subject": "HL7 message", "detail": {"message": found.control_id}}
        self.record(AuditEvent.by(actor, EventKind.VIEW, environment=str(found.environment), **given))
        return found

    def send(self, actor: Actor, data: bytes, environment: Environment, host: str, port: int) -> Hl7Message:
        """Send a message, up to three times if it is not answered, always unchanged.

        Args:
            actor: needs STORE in the environment.
            data: the message.
            environment: of the receiver.
            host: of the receiver.
            port: of the receiver.

        Returns:
            The message as it stands in the ledger; its code says what the receiver made of it.

        Raises:
            AccessDenied: the actor may not.
            InvalidInput: it is no HL7 v2 message.
            PeerError: no answer came; the ledger says so too.
        """
        require(actor, Action.STORE, environment)
        header = header_of(data)
        if header is None:
            raise InvalidInput("message: has no MSH segment", field="message", remedy="send a whole HL7 v2 message")
        kind = "^".join(one for one in (header.get(9, 1), header.get(9, 2)) if one)
        with self.procedures.change() as rows:
            waiting = Hl7Message(
                0, Direction.OUT, environment, f"{host}:{port}", f"{header.get(3)}|{header.get(4)}".strip("|"),
                header.get(10), kind, data, MessageState.WAITING, "", "", "", 0, rows.now,
            )  # fmt: skip
            kept = MessageRows(rows.transaction).add(waiting)
            given = {"subject": "HL7 message", "detail": {"message": header.get(10), "to": f"{host}:{port}"}}
            event = AuditEvent.by(actor, EventKind.EXPORT, environment=str(environment), **given)
            self.record(event, within=rows.transaction)
        try:
            answer = self._answered(host, port, data)
        except PeerError as error:
            self._finish(kept.number, MessageState.FAILED, "", "", error.what)
            raise
        text = answer.decode("utf-8", "replace")
        code, reason = _told(text)
        state = MessageState.SENT if code in ("AA", "CA") else MessageState.FAILED
        self._finish(kept.number, state, code, text, reason)
        return replace(kept, state=state, code=code, acknowledgement=text, reason=reason)

    def _answered(self, host: str, port: int, data: bytes) -> bytes:
        for left in range(_TRIES - 1, -1, -1):
            try:
                return self.send_one(host, port, data)
            except PeerError:
                if not left:
                    raise
        raise AssertionError("unreachable")

    def _finish(self, number: int, state: MessageState, code: str, text: str, reason: str) -> None:
        with self.procedures.change() as rows:
            given = {"code": code, "acknowledgement": text, "reason": reason}
            MessageRows(rows.transaction).finish(number, state, **given)


def _told(text: str) -> tuple[str, str]:
    """Code and reason of an acknowledgement."""
    from dicomfab.hl7.er7 import parse

    try:
        segments = parse(text).segments
    except InvalidInput:
        return "??", "the answer is no HL7 v2 message"
    msa = next((one for one in segments if one.name == "MSA"), None)
    if msa is None:
        return "??", "the answer has no MSA segment"
    errors = [one.get(8) or one.get(3, 2) for one in segments if one.name == "ERR"]
    return msa.get(1)[:2], "; ".join(dict.fromkeys(one for one in (*errors, msa.get(3)) if one))[:1000]
