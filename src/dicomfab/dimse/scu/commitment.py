"""Ask a peer to commit to the storage of instances, and hear what it says (PS3.4 annex J)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from dicomfab.dimse import command as dimse_command
from dicomfab.dimse.association import Association, associate
from dicomfab.dimse.commitment import (
    ALL_COMMITTED,
    FAILURES_EXIST,
    REQUEST_ACTION,
    InvalidCommitment,
    Transaction,
    Verdict,
)
from dicomfab.dimse.contexts import PLAIN_SYNTAXES
from dicomfab.dimse.endings import Ending
from dicomfab.dimse.handlers import NormalizedReply, NormalizedRequest, Refusal, Requestor
from dicomfab.dimse.identifier import IdentifierError, decode
from dicomfab.dimse.link import Message
from dicomfab.dimse.messages import ProposedContext
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scu.normalized import n_action, refused
from dicomfab.dimse.sop_classes import COMMITMENT, COMMITMENT_INSTANCE
from dicomfab.dimse.status import SUCCESS, Category, category

log = logging.getLogger(__name__)

#: We are the SCU, so the peer is the SCP, who may report on the same association: the default roles (PS3.7 D.3.3.4).
CONTEXT: Final = ProposedContext(COMMITMENT, PLAIN_SYNTAXES)

_REPORT: Final = "N-EVENT-REPORT"
_LOOK_S: Final = 0.01
_NO_SUCH_OBJECT_INSTANCE: Final = 0x0112
_NO_SUCH_EVENT_TYPE: Final = 0x0113
_INVALID_ARGUMENT_VALUE: Final = 0x0115
_UNRECOGNIZED_OPERATION: Final = 0x0211


def _nobody(_verdict: Verdict) -> None:
    """Not told."""


def request_commitment(
    to: Peer | Association,
    transaction: Transaction,
    *,
    wait_s: float = 0.0,
    on_report: Callable[[Verdict], None] = _nobody,
) -> Verdict | None:
    """Ask for a storage commitment (N-ACTION, PS3.4 J.3.2). The peer reports now or later; success says that it will.

    A report may come on the same association, even before the answer to the request (PS3.4 J.3.3). Those that come on
    an association of the peer's are for :class:`CommitmentReports`.

    Args:
        to: the peer, or an open association with :data:`CONTEXT` accepted.
        transaction: under a new transaction UID.
        wait_s: seconds that the association stays open for the report after the answer; 0 if it is expected elsewhere.
        on_report: told of each verdict that comes on this association, those on other transactions too.

    Returns:
        The verdict, if it came on this association; ``None`` if it is still to come.

    Raises:
        StatusFailure: the peer refuses.
        PeerError: no association, no context, no response.
    """
    if isinstance(to, Peer):
        with associate(to, [CONTEXT]) as association:
            return request_commitment(association, transaction, wait_s=wait_s, on_report=on_report)
    found: list[Verdict] = []
    requestor = Requestor(to.peer.called_ae_title, to.peer.host)

    def take(association: Association, message: Message) -> None:
        verdict = _taken(association, requestor, message)
        if verdict is not None:
            on_report(verdict)
            if verdict.transaction_uid == transaction.transaction_uid:
                found.append(verdict)

    information = transaction.to_dataset()
    answered = n_action(to, COMMITMENT, COMMITMENT_INSTANCE, REQUEST_ACTION, information, on_request=take)
    if category(answered.response.status) not in (Category.SUCCESS, Category.WARNING):
        raise refused("N-ACTION", answered.response, to.peer.label, to.implementation)
    deadline = time.monotonic() + wait_s
    while not found and time.monotonic() < deadline and _goes_on(to, take):
        time.sleep(_LOOK_S)
    return found[0] if found else None


def _goes_on(association: Association, take: Callable[[Association, Message], None]) -> bool:
    """Take what the peer has sent, without waiting and so without an end of the association if it has sent nothing.

    Returns:
        Whether the association is still open: a peer that ends it reports on one of its own.
    """
    try:
        while (message := association._link.poll()) is not None:
            if message.command["CommandField"] & dimse_command.RESPONSE:
                log.warning("%s answers what it was not asked", association.peer.label)
                association.abort()
                return False
            take(association, message)
    except Ending as ending:
        log.info("%s ended the association of a storage commitment: %s", association.peer.label, ending)
        return False
    return True


class CommitmentReports:
    """Takes reports on an association of the peer's (N-EVENT-REPORT, PS3.4 J.3.3); a handler of N-services.

    Args:
        told: gets each verdict and who sent it, from the thread of its association, before the report is answered: so
            what it has kept is safe when the peer forgets the transaction. It is told of transactions that it does not
            know as well. May raise :class:`~dicomfab.dimse.handlers.Refusal`, to be told again later.
    """

    def __init__(self, told: Callable[[Requestor, Verdict], None]) -> None:
        self._told = told

    def perform(self, requestor: Requestor, request: NormalizedRequest) -> NormalizedReply:
        """Take one report.

        Raises:
            Refusal: 0211 for another operation, 0112 for another instance than the well-known one, 0113 for another
                event type than 1 and 2, 0120 or 0115 for what cannot be understood; or the one of ``told``.
        """
        self._told(requestor, _verdict_of(requestor, request))
        return NormalizedReply(SUCCESS)


def _taken(association: Association, requestor: Requestor, message: Message) -> Verdict | None:
    command = message.command
    data = association.read_identifier(_REPORT) if message.has_data_set else None
    verdict, status, comment = None, SUCCESS, ""
    try:
        verdict = _verdict_of(requestor, _request_of(message, data))
    except Refusal as refusal:
        status, comment = refusal.status, refusal.comment
    response = dimse_command.response_to(command, status)
    if comment:
        response["ErrorComment"] = comment
    if "EventTypeID" in command:
        response["EventTypeID"] = command["EventTypeID"]
    association.send(message.context, response)
    return verdict


def _request_of(message: Message, data: bytes | None) -> NormalizedRequest:
    command = message.command
    try:
        attributes = None if data is None else decode(data, message.context.transfer_syntax)
    except IdentifierError as error:
        raise Refusal(_INVALID_ARGUMENT_VALUE, "the event information cannot be read") from error
    return NormalizedRequest(
        operation=dimse_command.OPERATIONS.get(command["CommandField"], ""),
        sop_class_uid=command.get("AffectedSOPClassUID", ""),
        sop_instance_uid=command.get("AffectedSOPInstanceUID", ""),
        number=command.get("EventTypeID", 0),
        attributes=attributes,
    )


def _verdict_of(requestor: Requestor, request: NormalizedRequest) -> Verdict:
    """What a report says.

    Raises:
        Refusal: as :meth:`CommitmentReports.perform` says.
    """
    if request.operation != _REPORT or request.sop_class_uid != COMMITMENT:
        raise Refusal(_UNRECOGNIZED_OPERATION)
    if request.sop_instance_uid != COMMITMENT_INSTANCE:
        raise Refusal(_NO_SUCH_OBJECT_INSTANCE, "reports are of the well-known instance")
    if request.number not in (ALL_COMMITTED, FAILURES_EXIST):
        raise Refusal(_NO_SUCH_EVENT_TYPE, "event types are 1 and 2")
    try:
        verdict = Verdict.from_dataset(request.attributes, request.number)
    except InvalidCommitment as error:
        log.warning("report of a storage commitment from %s: %s", requestor.ae_title, error.comment)
        raise Refusal(error.status, error.comment) from error
    log.info(
        "storage commitment %s by %s: %d committed, %d failed",
        verdict.transaction_uid, requestor.ae_title, len(verdict.committed), len(verdict.failed),
    )  # fmt: skip
    return verdict
