"""HL7 messages that came and went: looked at, and sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from dicomfab.access.policy import Action, require, visible
from dicomfab.hl7.receiver import Receiver, ReceiverTls, Send
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.errors import Conflict, InvalidInput, NotFound, PeerError
from dicomfab.model.hl7_message import Hl7Message, MessageState
from dicomfab.model.values import Environment
from dicomfab.registry.server import PacsServer
from dicomfab.services.ordering.outgoing import answer_of, outgoing
from dicomfab.services.ordering.reach import require_reach
from dicomfab.services.recording import Record, nobody
from dicomfab.storage.hl7_messages import MessageFilter, MessagePage, MessageRepository, MessageRows
from dicomfab.storage.outbox import Delivery, OutboxRows
from dicomfab.storage.procedures import ProcedureRepository, ProcedureRows

_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class MessageService:
    """Use cases on HL7 messages: looking at those that came and went, and sending.

    Args:
        messages: the ledger, for reading.
        procedures: for changing it.
        send_one: over MLLP.
        servers: that are registered, as they are now.
        record: the audit log.
    """

    messages: MessageRepository
    procedures: ProcedureRepository
    send_one: Send
    servers: Callable[[], Sequence[PacsServer]]
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
        found = self._seen(actor, number)
        given = {"subject": "HL7 message", "detail": {"message": found.control_id}}
        self.record(AuditEvent.by(actor, EventKind.VIEW, environment=str(found.environment), **given))
        return found

    def delivery(self, actor: Actor, number: int) -> Delivery | None:
        """Where a message goes, how often it was tried, and when it is tried next; nothing if it came in.

        Raises:
            NotFound: as :meth:`show`.
        """
        self._seen(actor, number)
        with self.procedures.read() as rows:
            return OutboxRows(rows.transaction, rows.now).get(number)

    def send(
        self,
        actor: Actor,
        data: bytes,
        environment: Environment,
        host: str,
        port: int,
        *,
        tls: ReceiverTls | None = None,
    ) -> Hl7Message:
        """Send a message, up to three times if it is not answered, always unchanged.

        Args:
            actor: needs STORE in the environment.
            data: the message.
            environment: of the receiver.
            host: of the receiver.
            port: of the receiver.
            tls: secures the connection; none means plain TCP.

        Returns:
            The message as it stands in the ledger; its code says what the receiver made of it.

        Raises:
            AccessDenied: the actor may not, or nobody has registered the host as test.
            InvalidInput: it is no HL7 v2 message, the host is of production, or a file for TLS cannot be used.
            PeerError: no answer came; the ledger says so too.
        """
        require_reach(actor, Action.STORE, environment, host, port, self.servers())
        receiver = Receiver(host, port, tls)
        with self.procedures.change() as rows:
            message = outgoing(data, environment, rows.now)
            kept = OutboxRows(rows.transaction, rows.now).keep(message, receiver)
            self._note(actor, rows, kept)
        return self._sent(kept, receiver)

    def resend(self, actor: Actor, number: int) -> Hl7Message:
        """Send a message that failed once more to where it went, the same bytes; else as :meth:`send`.

        Raises:
            NotFound: as :meth:`show`.
            Conflict: it came in, was accepted, or waits for its turn.
            AccessDenied, InvalidInput, PeerError: as :meth:`send`.
        """
        found = self._seen(actor, number)
        require(actor, Action.STORE, found.environment)
        with self.procedures.change() as rows:
            outbox = OutboxRows(rows.transaction, rows.now)
            delivery = outbox.get(number)
            if delivery is None or not outbox.take_up(number):
                raise Conflict(
                    f"message {number} is not sent again: {_standing(found, delivery)}",
                    cause="only what failed, or was broken off, is sent again",
                    remedy=f"see how it stands: dicomfab hl7 show {number} --json",
                )
            at = delivery.receiver
            require_reach(actor, Action.STORE, found.environment, at.host, at.port, self.servers())
            self._note(actor, rows, found)
        return self._sent(found, at)

    def _seen(self, actor: Actor, number: int) -> Hl7Message:
        found = self.messages.get(number)
        if found.environment not in visible(actor, Action.VIEW):
            raise NotFound(
                f"there is no message {number}.",
                cause="the number is mistyped, or the message is of an environment that you do not see",
                remedy="see what there is: dicomfab hl7 list",
            )
        return found

    def _note(self, actor: Actor, rows: ProcedureRows, message: Hl7Message) -> None:
        given = {"subject": "HL7 message", "detail": {"message": message.control_id, "to": message.peer}}
        event = AuditEvent.by(actor, EventKind.EXPORT, environment=str(message.environment), **given)
        self.record(event, within=rows.transaction)

    def _sent(self, message: Hl7Message, receiver: Receiver) -> Hl7Message:
        try:
            answer = answer_of(message, self._answered(receiver, message.data))
        except (PeerError, InvalidInput) as error:
            self._finish(message.number, MessageState.FAILED, "", "", error.what)
            raise
        self._finish(message.number, answer.state, answer.code, answer.text, answer.reason)
        return replace(message, state=answer.state, code=answer.code, acknowledgement=answer.text, reason=answer.reason)

    def _answered(self, receiver: Receiver, data: bytes) -> bytes:
        for left in range(_TRIES - 1, -1, -1):
            try:
                return self.send_one(receiver, data)
            except PeerError:
                if not left:
                    raise
        raise AssertionError("unreachable")

    def _finish(self, number: int, state: MessageState, code: str, text: str, reason: str) -> None:
        with self.procedures.change() as rows:
            given = {"code": code, "acknowledgement": text, "reason": reason}
            MessageRows(rows.transaction).finish(number, state, **given)


def _standing(message: Hl7Message, delivery: Delivery | None) -> str:
    if delivery is None:
        return "it came in, or nobody knows any more where it went"
    if message.state is MessageState.WAITING:
        return "it waits, and is sent by itself"
    return f"it is {message.state}"
