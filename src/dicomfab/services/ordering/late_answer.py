"""In enhanced mode: what became of a message that was only committed to, told to its sender (HL7 v2 chapter 2.9.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dicomfab.hl7.acknowledging import Acknowledgement, Problem, acknowledged, wanted
from dicomfab.hl7.er7 import Segment
from dicomfab.hl7.profile import Profile, profile_for
from dicomfab.hl7.writing import encoded
from dicomfab.model.errors import InvalidInput
from dicomfab.model.hl7_message import Hl7Message
from dicomfab.services.ordering.outgoing import new_control_id, outgoing
from dicomfab.storage.outbox import OutboxRows
from dicomfab.storage.procedures import ProcedureRows


def queue_answer(
    rows: ProcedureRows,
    profiles: Callable[[], Sequence[Profile]],
    message: Hl7Message,
    header: Segment,
    what: Acknowledgement,
    problems: Sequence[Problem],
) -> None:
    """Put the application acknowledgement into the outbox, if MSH-16 wants one and a profile says where it goes.

    Args:
        rows: the procedures, within the transaction of the message.
        profiles: that there are; asked for only if an acknowledgement is wanted.
        message: that was applied or refused.
        header: its MSH.
        what: became of it.
        problems: with it.
    """
    if not wanted(header).application[not what.is_accepted]:
        return
    replies = profile_for(header, profiles()).replies
    if replies is None:
        return
    # A message of its own, whose receiver says that he has it.
    text = acknowledged(
        header, what, problems, control_id=new_control_id(), now=rows.now.astimezone(), accept_wanted="AL"
    )
    try:
        data = encoded(text, "~".join(one.get(1) for one in header.repetitions(18)) if header.raw(18) else "")
    except InvalidInput:
        data = text.encode("utf-8")
    OutboxRows(rows.transaction, rows.now).queue(outgoing(data, message.environment, rows.now), replies.receiver)
