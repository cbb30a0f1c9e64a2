"""C-MOVE and C-GET as a server performs them: sub-operations, counted and reported (PS3.4 C.4.2, C.4.3)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydicom import Dataset

from dicomfab.dimse import command as dimse_command
from dicomfab.dimse.c_store import NotTaken, Origin, Outgoing, Preparing
from dicomfab.dimse.contexts import identical_pixels
from dicomfab.dimse.endings import PeerViolated, Stage
from dicomfab.dimse.handlers import Refusal
from dicomfab.dimse.link import Message
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.scp.session import Session
from dicomfab.dimse.scu.store import store
from dicomfab.dimse.sop_classes import MODEL_OF
from dicomfab.dimse.status import CANCEL, PENDING, SUCCESS, Category, category
from dicomfab.model.errors import LocalFailure, PeerError
from dicomfab.model.study import InstanceFile

log = logging.getLogger(__name__)

_SOME_FAILED: Final = 0xB000
_ALL_FAILED: Final = 0xA702
_DESTINATION_UNKNOWN: Final = 0xA801
_MOST: Final = 0xFFFF  # a counter has 16 bits


@dataclass(slots=True)
class _Counters:
    """Sub-operations of one request (PS3.7 9.1.4.1.7 to 9.1.4.1.10)."""

    remaining: int
    completed: int = 0
    warning: int = 0
    failed_uids: list[str] = field(default_factory=list)

    def count(self, sop_instance_uid: str, status: int | None) -> None:
        """One more is done; ``None`` if it could not even be sent."""
        self.remaining -= 1
        kind = Category.FAILURE if status is None else category(status)
        if kind is Category.SUCCESS:
            self.completed += 1
        elif kind is Category.WARNING:
            self.warning += 1
        else:
            self.failed_uids.append(sop_instance_uid)

    def fail_rest(self, instances: Sequence[InstanceFile]) -> None:
        """None of those that remain will be done."""
        rest = instances[len(instances) - self.remaining :]
        self.failed_uids += [instance.identity.sop_instance_uid for instance in rest]
        self.remaining = 0

    @property
    def final_status(self) -> int:
        """What the request comes to when all are done."""
        if not self.failed_uids:
            return SUCCESS
        return _SOME_FAILED if self.completed or self.warning else _ALL_FAILED


def move(session: Session, message: Message) -> None:
    """Perform a C-MOVE.

    Raises:
        Refusal: A801 for an unknown destination; the handler's own.
        Ending: the association ended.
    """
    identifier = session.identifier(message)
    move_destination = message.command.get("MoveDestination", "")
    address = session.handlers.destination(session.requestor, move_destination)
    if address is None:
        raise Refusal(_DESTINATION_UNKNOWN, "move destination unknown")
    instances = session.handlers.select(session.requestor, MODEL_OF[message.context.abstract_syntax], identifier)
    counters = _Counters(len(instances))
    timeouts = Timeouts(dimse_s=session.config.pdu_timeout_s)
    peer = Peer(*address, move_destination, session.config.ae_title, timeouts, name=move_destination)
    cancel = _Cancel(session, message)
    comment = ""
    try:
        for uid, status in _moved(session, message, peer, instances, cancel):
            counters.count(uid, status)
            _report_progress(session, message, counters)
    except (PeerError, LocalFailure) as error:
        log.warning("C-MOVE to %s: %s with %d to go", move_destination, type(error).__name__, counters.remaining)
        counters.fail_rest(instances)
        comment = f"destination: {error.heading}"
    _report_end(session, message, counters, cancelled=cancel.asked and counters.remaining > 0, comment=comment)


def get(session: Session, message: Message) -> None:
    """Perform a C-GET.

    Raises:
        Refusal: the handler's own.
        Ending: the association ended.
    """
    identifier = session.identifier(message)
    instances = session.handlers.select(session.requestor, MODEL_OF[message.context.abstract_syntax], identifier)
    counters = _Counters(len(instances))
    cancel = _Cancel(session, message)
    contexts = session.link.contexts
    with Preparing(contexts, session.next_message_id, identical_pixels, as_scp=True) as preparing:
        for instance in instances:
            if cancel():
                break
            counters.count(instance.identity.sop_instance_uid, _sent_back(session, preparing, instance, cancel))
            _report_progress(session, message, counters)
    _report_end(session, message, counters, cancelled=counters.remaining > 0)


class _Cancel:
    """Whether the requestor has asked to stop; once asked for, it stays so."""

    def __init__(self, session: Session, message: Message) -> None:
        self.asked = False
        self._session = session
        self._message = message

    def __call__(self) -> bool:
        self.asked = self.asked or self._session.cancelled(self._message)
        return self.asked

    def noticed(self, message: Message) -> bool:
        """Whether a message is the C-CANCEL."""
        if message.command["CommandField"] != dimse_command.C_CANCEL_RQ:
            return False
        self.asked = True
        return True


def _moved(
    session: Session, message: Message, peer: Peer, instances: Sequence[InstanceFile], cancel: _Cancel
) -> Iterator[tuple[str, int | None]]:
    """Send to the destination; yields SOP instance UID and status of each."""
    origin = Origin(session.requestor.ae_title, message.command.get("MessageID", 0))
    for outcome in store(peer, instances, cancelled=cancel, origin=origin):
        yield outcome.instance.identity.sop_instance_uid, outcome.response.status if outcome.response else None


def _sent_back(session: Session, preparing: Preparing, instance: InstanceFile, cancel: _Cancel) -> int | None:
    """Send one instance over the requestor's own association; the status of its response."""
    try:
        outgoing: Outgoing = preparing.prepare(instance)
    except (NotTaken, LocalFailure) as reason:
        log.warning("C-GET: %s not sent: %s", instance.identity.sop_instance_uid, type(reason).__name__)
        return None
    with outgoing:
        session.link.send(outgoing.context.context_id, outgoing.command, outgoing.dataset)
    while True:
        response = session.link.receive(session.config.pdu_timeout_s, Stage.RESPONSE)
        if cancel.noticed(response):
            continue
        if response.command.get("MessageIDBeingRespondedTo") != outgoing.message_id:
            session.link.abort()
            raise PeerViolated(f"a {dimse_command.name_of(response.command)} instead of a C-STORE-RSP")
        return int(response.command.get("Status", 0x0110))


def _report_progress(session: Session, message: Message, counters: _Counters) -> None:
    _report(session, message, counters, PENDING[0], "", with_remaining=True)


def _report_end(session: Session, message: Message, counters: _Counters, *, cancelled: bool, comment: str = "") -> None:
    status = CANCEL if cancelled else counters.final_status
    _report(session, message, counters, status, comment, with_remaining=cancelled)


def _report(
    session: Session, message: Message, counters: _Counters, status: int, comment: str, *, with_remaining: bool
) -> None:
    final = status != PENDING[0]
    failed = Dataset()
    if final and counters.failed_uids:
        failed.FailedSOPInstanceUIDList = counters.failed_uids
    response = dimse_command.response_to(message.command, status, data_set=bool(failed))
    if with_remaining:
        response["NumberOfRemainingSuboperations"] = min(counters.remaining, _MOST)
    response["NumberOfCompletedSuboperations"] = min(counters.completed, _MOST)
    response["NumberOfFailedSuboperations"] = min(len(counters.failed_uids), _MOST)
    response["NumberOfWarningSuboperations"] = min(counters.warning, _MOST)
    if comment:
        response["ErrorComment"] = comment[:64]
    session.respond(message, response, failed if failed else None)
