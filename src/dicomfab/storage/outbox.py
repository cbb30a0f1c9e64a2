"""HL7 messages that go out: where each has to go, how often it was tried, and when it is tried next."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, func, insert, select, update

from dicomfab.hl7.receiver import Receiver, ReceiverTls
from dicomfab.model.hl7_message import Hl7Message, MessageState
from dicomfab.model.values import Environment
from dicomfab.storage.hl7_messages import MessageRows
from dicomfab.storage.order_tables import hl7_delivery, hl7_message, imaging_order

_delivery: Final = hl7_delivery.c


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message on its way out.

    Args:
        message: its number in the ledger.
        receiver: where it has to go.
        attempts: how often it was tried without an answer.
        next_at: when it is tried next, with time zone; ``None`` if it does not wait for that.
    """

    message: int
    receiver: Receiver
    attempts: int
    next_at: datetime | None


class OutboxRows:
    """Messages that go out, within one transaction.

    Args:
        connection: of the transaction.
        now: the moment, with time zone.
    """

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._now = now
        self._ledger = MessageRows(connection)

    def queue(self, message: Hl7Message, receiver: Receiver) -> Hl7Message:
        """Keep a message that is delivered as soon as those before it are; its number is given here."""
        return self._add(message, receiver, self._now)

    def keep(self, message: Hl7Message, receiver: Receiver) -> Hl7Message:
        """Keep a message that whoever asks sends himself; its number is given here."""
        return self._add(message, receiver, None)

    def get(self, message: int) -> Delivery | None:
        """How a message goes out; nothing if it came in, or went out before this was kept."""
        found = self._connection.execute(select(hl7_delivery).where(_delivery.message == message)).one_or_none()
        return _read(found) if found is not None else None

    def heads(self, environment: Environment) -> list[Delivery]:
        """The oldest message for each receiver, whether its moment has come or not."""
        first = (
            select(func.min(_delivery.message))
            .where(_delivery.next_at.is_not(None), _delivery.environment == str(environment))
            .group_by(_delivery.host, _delivery.port)
        )
        chosen = select(hl7_delivery).where(_delivery.message.in_(first)).order_by(_delivery.message)
        return [_read(row) for row in self._connection.execute(chosen)]

    def hold(self, message: int, seen: datetime, until: datetime) -> bool:
        """Keep others from trying a message for a while; false if one of them was faster.

        Args:
            message: its number.
            seen: when it was to be tried, or was held until, as whoever asks knows it.
            until: when others may try it, if nobody says otherwise meanwhile.
        """
        is_as_seen = (_delivery.message == message, _delivery.next_at == seen)
        return bool(self._connection.execute(update(hl7_delivery).where(*is_as_seen).values(next_at=until)).rowcount)

    def put_off(self, message: int, until: datetime, *, attempts: int, reason: str) -> bool:
        """Try a message again later, and say why; false if it waits for no attempt any more."""
        is_waiting = self._change(message, attempts=attempts, next_at=until)
        if is_waiting:
            self._ledger.finish(message, MessageState.WAITING, reason=reason)
        return is_waiting

    def end(self, message: int) -> bool:
        """Have a message wait for no attempt any more; false if it does not already."""
        return self._change(message, next_at=None)

    def take_up(self, message: int) -> bool:
        """Have a message wait again that failed, or whose sending was broken off; false if it is neither."""
        is_idle = select(_delivery.message).where(_delivery.message == message, _delivery.next_at.is_(None)).exists()
        done = self._connection.execute(
            update(hl7_message)
            .where(
                hl7_message.c.number == message,
                hl7_message.c.state.in_([str(MessageState.FAILED), str(MessageState.WAITING)]),
                is_idle,
            )
            .values(state=str(MessageState.WAITING), reason="")
        )
        return bool(done.rowcount)

    def who_ordered(self, procedure: int) -> str:
        """Sender of the first order of a procedure, as ``APPLICATION|FACILITY``; empty if nobody said who."""
        first = (
            select(imaging_order.c.content)
            .where(imaging_order.c.procedure == procedure)
            .order_by(imaging_order.c.number)
            .limit(1)
        )
        content = self._connection.execute(first).scalar()
        return str(content["sender"]) if content else ""

    def procedure_of(self, order: int) -> int:
        """Number of the procedure that an order is about; 0 if it is about none."""
        chosen = select(imaging_order.c.procedure).where(imaging_order.c.number == order)
        return self._connection.execute(chosen).scalar() or 0

    def _add(self, message: Hl7Message, receiver: Receiver, next_at: datetime | None) -> Hl7Message:
        kept = self._ledger.add(replace(message, peer=str(receiver), state=MessageState.WAITING, at=self._now))
        values = {
            "message": kept.number,
            "environment": str(message.environment),
            "host": receiver.host,
            "port": receiver.port,
            "tls": dataclasses.asdict(receiver.tls) if receiver.tls else None,
            "attempts": 0,
            "next_at": next_at,
        }
        self._connection.execute(insert(hl7_delivery), values)
        return kept

    def _change(self, message: int, **values: Any) -> bool:
        waiting = (_delivery.message == message, _delivery.next_at.is_not(None))
        return bool(self._connection.execute(update(hl7_delivery).where(*waiting).values(values)).rowcount)


def _read(row: Row[Any]) -> Delivery:
    tls = ReceiverTls(**row.tls) if row.tls else None
    return Delivery(row.message, Receiver(row.host, row.port, tls), row.attempts, row.next_at)
