"""Messages that go out, and what is answered to them."""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass
from typing import Final

from dicomfab.hl7.acknowledging import Acknowledgement
from dicomfab.hl7.character_sets import decoded
from dicomfab.hl7.er7 import parse
from dicomfab.hl7.mllp import END, START
from dicomfab.model.errors import InvalidInput
from dicomfab.model.hl7_message import Direction, Hl7Message, MessageState
from dicomfab.model.values import Environment

_KNOWN: Final = frozenset(map(str, Acknowledgement))
_UNREADABLE: Final = "??"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver made of a message.

    Args:
        code: such as ``AA``; ``??`` if what came is no acknowledgement of it.
        text: as it came.
        reason: why it was not accepted, or what is noteworthy.
    """

    code: str
    text: str
    reason: str

    @property
    def is_one(self) -> bool:
        """Whether it says what became of the message."""
        return self.code != _UNREADABLE

    @property
    def state(self) -> MessageState:
        """Of the message."""
        is_accepted = self.is_one and Acknowledgement(self.code).is_accepted
        return MessageState.SENT if is_accepted else MessageState.FAILED


def outgoing(data: bytes, environment: Environment, now: dt.datetime) -> Hl7Message:
    """A message for the ledger.

    Raises:
        InvalidInput: it is no HL7 v2 message, or would be torn apart on its way.
    """
    if START in data or END in data:
        raise InvalidInput(
            "message: holds a byte that begins or ends a message of MLLP (0B, 1C)",
            field="message",
            cause="it was written together with its frame",
            remedy="leave the frame out",
        )
    header = parse(decoded(data)[0]).segments[0]
    return Hl7Message(
        number=0,
        direction=Direction.OUT,
        environment=environment,
        peer="",
        sender=f"{header.get(3)}|{header.get(4)}".strip("|"),
        control_id=header.get(10),
        message_type="^".join(one for one in (header.get(9, 1), header.get(9, 2)) if one),
        data=data,
        state=MessageState.WAITING,
        code="",
        acknowledgement="",
        reason="",
        repeats=0,
        at=now,
    )


def answer_of(message: Hl7Message, data: bytes) -> Answer:
    """Read an acknowledgement of a message."""
    text = decoded(data)[0]
    try:
        segments = parse(text).segments
    except InvalidInput:
        return Answer(_UNREADABLE, text, "the answer is no HL7 v2 message")
    msa = next((one for one in segments if one.name == "MSA"), None)
    if msa is None:
        return Answer(_UNREADABLE, text, "the answer has no MSA segment")
    if msa.get(1) not in _KNOWN:
        return Answer(_UNREADABLE, text, f"the answer's code {msa.get(1)[:20]!r} is none of HL7 table 0008")
    if msa.get(2) not in ("", message.control_id.strip()):
        return Answer(_UNREADABLE, text, "the answer is to another message: its MSA-2 is another control ID")
    errors = [one.get(8) or one.get(3, 2) for one in segments if one.name == "ERR"]
    reason = "; ".join(dict.fromkeys(one for one in (*errors, msa.get(3)) if one))[:1000]
    return Answer(msa.get(1), text, reason)


def new_control_id() -> str:
    """A control ID (MSH-10) that nobody else will give."""
    return f"DF{secrets.token_hex(8)}"
