"""In enhanced mode: what became of a message that we sent, told by its receiver later (HL7 v2 chapter 2.9.3)."""

from __future__ import annotations

from typing import Final

from dicomfab.hl7.acknowledging import Code, content_error
from dicomfab.hl7.er7 import Segment, parse
from dicomfab.model.hl7_message import Hl7Message, MessageState
from dicomfab.services.ordering.outgoing import answer_of
from dicomfab.storage.hl7_messages import MessageRows

#: What a message of this type is: an answer, which is answered itself only if it asks for that.
ACK: Final = "ACK"
_GONE: Final = frozenset({MessageState.SENT, MessageState.FAILED})


def note_answer(ledger: MessageRows, message: Hl7Message, header: Segment, text: str) -> None:
    """Note with a message that was sent what its receiver made of it.

    Args:
        ledger: within the transaction of the answer.
        message: the answer, of the ledger.
        header: its MSH.
        text: of the answer.

    Raises:
        Unacceptable: it answers nothing that was sent from here.
    """
    msa = next((one for one in parse(text).segments if one.name == "MSA"), None)
    if msa is None:
        raise content_error(Code.SEGMENT_SEQUENCE, "an acknowledgement without MSA answers nothing", "MSA")
    sender = f"{header.get(5)}|{header.get(6)}".strip("|")
    for sent in ledger.sent(msa.get(2), message.environment):
        if sent.state in _GONE and sender in ("", sent.sender):
            answer = answer_of(sent, message.data)
            if not answer.is_one:
                raise content_error(Code.TABLE_VALUE_NOT_FOUND, answer.reason, "MSA-1")
            given = {"code": answer.code, "acknowledgement": answer.text, "reason": answer.reason}
            ledger.finish(sent.number, answer.state, **given)
            return
    raise content_error(Code.UNKNOWN_KEY, "no message that was sent from here has this control ID", "MSA-2")
