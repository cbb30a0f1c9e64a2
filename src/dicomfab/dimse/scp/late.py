"""Reports to a requestor on the association that it has opened, between its requests (PS3.7 10.1.1, PS3.4 J.3.3)."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from dicomfab.dimse import command as dimse_command
from dicomfab.dimse.endings import Stage
from dicomfab.dimse.identifier import encode
from dicomfab.dimse.late_report import EventReport, LateReport
from dicomfab.dimse.link import Link, Message
from dicomfab.ul.negotiation import AcceptedContext

if TYPE_CHECKING:
    from dicomfab.dimse.command import Command

#: How long a request of the peer may lie there while a report is waited for, in seconds.
_LOOK_S: Final = 0.01
_PROCESSING_FAILURE: Final = 0x0110
#: Message IDs of reports are from here on: those of a C-GET's sub-operations begin at 1.
_FIRST_ID: Final = 0x8000


class _Due(NamedTuple):
    """A report that is wanted in a context, until a moment of the monotonic clock."""

    late: LateReport
    context: AcceptedContext
    until: float


class LateReports:
    """The reports that one association is waiting for. Used by its thread.

    Args:
        link: of the association.
        timeout_s: for the answer to a report, in seconds.
    """

    def __init__(self, link: Link, timeout_s: float) -> None:
        self._link = link
        self._timeout_s = timeout_s
        self._number = 0
        self._due: deque[_Due] = deque()

    def add(self, late: LateReport, context: AcceptedContext) -> None:
        """Report something in a context as soon as it is there."""
        self._due.append(_Due(late, context, time.monotonic() + late.within_s))

    def next_request(self, answer: Callable[[Message], None]) -> Message | None:
        """Report what there is to report, until a request comes.

        Args:
            answer: performs what the peer asks for before it answers a report.

        Returns:
            The request; ``None`` if none came, and there is nothing left to report.

        Raises:
            Ending: the association ended.
        """
        while self._due:
            due = self._due[0]
            left_s = due.until - time.monotonic()
            if left_s <= 0:
                self._due.popleft()
                due.late.ended(None)
                continue
            report = due.late.wait(min(_LOOK_S, left_s))
            message = self._link.poll()
            if message is not None:
                if report is None:
                    return message
                answer(message)  # a peer that asks without end is reported to all the same
            if report is not None:
                status = self._reported(due.context, report, answer)
                self._due.popleft()
                due.late.ended(status)
        return None

    def abandon(self) -> None:
        """The association is over: nothing more is reported on it."""
        while self._due:
            self._due.popleft().late.ended(None)

    def _reported(self, context: AcceptedContext, report: EventReport, answer: Callable[[Message], None]) -> int:
        """Send a report; the status that it is answered with."""
        self._number = (self._number + 1) % _FIRST_ID
        message_id = _FIRST_ID + self._number
        command: Command = {
            "AffectedSOPClassUID": report.sop_class_uid,
            "CommandField": dimse_command.N_EVENT_REPORT_RQ,
            "MessageID": message_id,
            "CommandDataSetType": dimse_command.DATA_SET,
            "AffectedSOPInstanceUID": report.sop_instance_uid,
            "EventTypeID": report.event_type,
        }
        data = encode(report.information, context.transfer_syntax)
        self._link.send(context.context_id, dimse_command.encode(command), (data,))
        while True:
            message = self._link.receive(self._timeout_s, Stage.RESPONSE)
            is_response = message.command["CommandField"] & dimse_command.RESPONSE
            if is_response and message.command.get("MessageIDBeingRespondedTo") == message_id:
                self._link.drop_data_set()
                return int(message.command.get("Status", _PROCESSING_FAILURE))
            answer(message)
