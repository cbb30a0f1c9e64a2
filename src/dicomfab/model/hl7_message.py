"""HL7 messages that came or were sent: what they said, what became of them, and what was answered."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from dicomfab.model.values import Environment


class Direction(enum.StrEnum):
    """Whose message it is."""

    IN = "in"
    OUT = "out"


class MessageState(enum.StrEnum):
    """What became of a message."""

    KEPT = "kept"  # it is safe, and still to be applied
    APPLIED = "applied"
    REFUSED = "refused"  # it says nothing that can be done here; the reason stands beside it
    WAITING = "waiting"  # to be sent
    SENT = "sent"  # and accepted
    FAILED = "failed"  # not sent, or not accepted


@dataclass(frozen=True, slots=True)
class Hl7Message:
    """A message of the ledger.

    Args:
        number: identifies it here.
        direction: whether it came or went.
        environment: of the listener, or of who was sent to.
        peer: address of the other end.
        sender: sending application and facility (MSH-3, MSH-4), joined by ``|``.
        control_id: MSH-10.
        message_type: such as ``ORM^O01``.
        data: the bytes, without those of MLLP.
        state: what became of it.
        code: of the acknowledgement, such as ``AA``; empty before there is one.
        acknowledgement: as it was sent or came; empty if there is none.
        reason: why it was refused, or what is noteworthy; for people.
        repeats: how often it came again unchanged.
        at: when it came or was to be sent, with time zone.
    """

    number: int
    direction: Direction
    environment: Environment
    peer: str
    sender: str
    control_id: str
    message_type: str
    data: bytes
    state: MessageState
    code: str
    acknowledgement: str
    reason: str
    repeats: int
    at: datetime
