"""Delivers HL7 messages that wait: one at a time to each receiver, in order, until each is answered.

What is not answered is sent again, the same bytes with the same control ID, so that the receiver can know it again;
after growing pauses, which outlast this process, and for a day. What is answered, either way, is never sent again.
Several processes may deliver from one ledger: who sends a message holds it, and others wait until he lets go or ends.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from dicomfab.hl7.receiver import Receiver, Send
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.errors import InvalidInput, LocalFailure, PeerError
from dicomfab.model.hl7_message import Hl7Message, MessageState
from dicomfab.model.log_lines import log_failure
from dicomfab.model.values import Environment
from dicomfab.services.ordering.outgoing import Answer, answer_of
from dicomfab.services.recording import Record, nobody
from dicomfab.storage.hl7_messages import MessageRows
from dicomfab.storage.outbox import Delivery, OutboxRows
from dicomfab.storage.procedures import ProcedureRepository

log = logging.getLogger(__name__)

#: So long a message is tried.
PATIENCE: Final = dt.timedelta(hours=24)
_LONGEST_PAUSE_S: Final = 300
_LOOK_S: Final = 0.5
_JOIN_S: Final = 5.0
#: So long a message is held; after half of it for as long again. Who is killed holds it no longer than that.
_HOLD: Final = dt.timedelta(seconds=5)


@dataclass(slots=True)
class _Sending:
    """A message that is being sent.

    Args:
        thread: that does it.
        message: its number.
        until: it is held.
    """

    thread: threading.Thread
    message: int
    until: dt.datetime


class Outbox:
    """Delivers during a ``with`` block.

    Args:
        procedures: where the ledger is.
        environment: whose messages.
        send_one: over MLLP.
        actor: in whose name.
        record: the audit log.
    """

    def __init__(
        self,
        procedures: ProcedureRepository,
        environment: Environment,
        send_one: Send,
        actor: Actor,
        record: Record = nobody,
    ) -> None:
        self._procedures = procedures
        self._environment = environment
        self._send_one = send_one
        self._actor = actor
        self._record = record
        self._woken = threading.Event()
        self._is_over = False
        self._busy: dict[Receiver, _Sending] = {}
        self._thread = threading.Thread(target=self._run, name="hl7-outbox", daemon=True)

    def __enter__(self) -> Outbox:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        self._woken.set()
        self._thread.join()
        end = time.monotonic() + _JOIN_S
        for sending in list(self._busy.values()):
            sending.thread.join(max(0.0, end - time.monotonic()))

    def _run(self) -> None:
        while not self._is_over:
            self._woken.clear()
            try:
                self._begin()
            except LocalFailure as failure:
                log.error("messages that wait could not be looked for: %s", failure.what)
            except Exception as error:  # noqa: BLE001 (outermost door of a thread: nobody else delivers them)
                log_failure(log, "looking for messages that wait", error)
            self._woken.wait(_LOOK_S)

    def _begin(self) -> None:
        with self._procedures.read() as rows:
            heads = OutboxRows(rows.transaction, rows.now).heads(self._environment)
            due = [one for one in heads if one.next_at is not None and one.next_at <= rows.now]
        for sending in list(self._busy.values()):
            if sending.until - rows.now < _HOLD / 2:
                sending.until = self._held(sending.message, sending.until) or sending.until
        for delivery in due:
            if delivery.receiver in self._busy or delivery.next_at is None:
                continue
            until = self._held(delivery.message, delivery.next_at)
            if until is not None:
                thread = threading.Thread(
                    target=self._deliver, args=(delivery,), name=f"hl7-to-{delivery.receiver}", daemon=True
                )
                self._busy[delivery.receiver] = _Sending(thread, delivery.message, until)
                try:
                    thread.start()
                except RuntimeError as error:  # the operating system has no more
                    log.warning("message %d is not sent yet: %s", delivery.message, error)
                    del self._busy[delivery.receiver]

    def _held(self, number: int, seen: dt.datetime) -> dt.datetime | None:
        """Hold a message; gives until when, nothing if another process was faster."""
        with self._procedures.change() as rows:
            until = rows.now + _HOLD
            return until if OutboxRows(rows.transaction, rows.now).hold(number, seen, until) else None

    def _deliver(self, delivery: Delivery) -> None:
        try:
            message = self._taken(delivery)
            answer, problem = self._tried(message, delivery.receiver)
            if self._is_over and not self._thread.is_alive():
                return  # nobody waited for this: whoever delivers next sends it again, unchanged
            if answer is not None and answer.is_one:
                self._ended(message, answer)
            else:
                self._put_off(message, delivery, answer.reason if answer else problem)
            self._woken.set()
        except LocalFailure as failure:
            log.error("message %d could not be delivered: %s", delivery.message, failure.what)
        except Exception as error:  # noqa: BLE001 (outermost door of a thread)
            log_failure(log, f"delivering message {delivery.message}", error)
        finally:
            self._busy.pop(delivery.receiver)

    def _taken(self, delivery: Delivery) -> Hl7Message:
        """The message; that it leaves is recorded before it does."""
        if delivery.attempts:
            with self._procedures.read() as rows:
                return MessageRows(rows.transaction).get(delivery.message)
        with self._procedures.change() as rows:
            message = MessageRows(rows.transaction).get(delivery.message)
            given = {"subject": "HL7 message", "detail": {"message": message.control_id, "to": message.peer}}
            event = AuditEvent.by(self._actor, EventKind.EXPORT, environment=str(message.environment), **given)
            self._record(event, within=rows.transaction)
        return message

    def _tried(self, message: Hl7Message, receiver: Receiver) -> tuple[Answer | None, str]:
        """The answer, or why there is none."""
        try:
            return answer_of(message, self._send_one(receiver, message.data)), ""
        except (PeerError, InvalidInput) as error:
            return None, error.what
        except LocalFailure:
            raise
        except Exception as error:  # noqa: BLE001 (logged; it is tried again, but not at once and not for ever)
            log_failure(log, f"sending message {message.number}", error)
            return None, "the application failed"

    def _ended(self, message: Hl7Message, answer: Answer) -> None:
        with self._procedures.change() as rows:
            if not OutboxRows(rows.transaction, rows.now).end(message.number):
                return  # it was answered to somebody else
            MessageRows(rows.transaction).finish(
                message.number, answer.state, code=answer.code, acknowledgement=answer.text, reason=answer.reason
            )
        said = f"message {message.number} to {message.peer}: {answer.code}"
        log.log(logging.INFO if answer.state is MessageState.SENT else logging.WARNING, said)

    def _put_off(self, message: Hl7Message, delivery: Delivery, problem: str) -> None:
        attempts = delivery.attempts + 1
        with self._procedures.change() as rows:
            outbox = OutboxRows(rows.transaction, rows.now)
            if rows.now - message.at >= PATIENCE:
                hours = PATIENCE.total_seconds() / 3600
                outbox.end(message.number)
                reason = f"given up: no answer for {hours:g} hours, in {attempts} attempts; the last: {problem}"
                MessageRows(rows.transaction).finish(message.number, MessageState.FAILED, reason=reason)
                log.error("message %d to %s is given up", message.number, message.peer)
                return
            pause = dt.timedelta(seconds=min(_LONGEST_PAUSE_S, 2 ** min(delivery.attempts, 16)))
            reason = f"not answered yet, attempt {attempts}: {problem}"
            if not outbox.put_off(message.number, rows.now + pause, attempts=attempts, reason=reason):
                return  # it was answered to somebody else
        log.warning("message %d to %s was not answered, attempt %d", message.number, message.peer, attempts)
