"""The N-services: create, read, change, act upon and delete SOP instances at a peer, and report events (PS3.7 10).

Each function sends one request over an open association and returns what the peer answered, whatever the status:
which statuses are failures is for the SOP class to say. Every one raises a
:class:`~dicomfab.model.errors.PeerError` when there is no context for the SOP class or no response comes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pydicom import Dataset

from dicomfab.dimse import command as dimse_command
from dicomfab.dimse import explain
from dicomfab.dimse.association import Association, OnRequest
from dicomfab.dimse.endings import PeerViolated
from dicomfab.dimse.identifier import IdentifierError, decode, encode
from dicomfab.dimse.messages import Implementation, Response
from dicomfab.dimse.scu.responses import response_of
from dicomfab.dimse.status import failure
from dicomfab.model.errors import StatusFailure

_NO_LONGER: Final = "Performed Procedure Step Object may no longer be updated"
# Error IDs (0000,0903): that of MPPS (PS3.4 table F.7.2-2), and that of the retired general purpose steps, which some
# send for it as well.
_ERROR_IDS: Final = {0xA710: _NO_LONGER, 0xA506: _NO_LONGER}


@dataclass(frozen=True, slots=True)
class NormalizedResponse:
    """What a peer answered to an N-service request.

    Args:
        response: status, comment and error ID.
        sop_instance_uid: of the instance that it is about; the peer may have made it up for an N-CREATE.
        attributes: the data set that came with it, if any.
    """

    response: Response
    sop_instance_uid: str = ""
    attributes: Dataset | None = None


def n_create(
    association: Association, sop_class_uid: str, sop_instance_uid: str = "", attributes: Dataset | None = None
) -> NormalizedResponse:
    """N-CREATE (PS3.7 10.1.5).

    Args:
        association: with a context for the SOP class.
        sop_class_uid: of the instance to make.
        sop_instance_uid: of the instance to make; empty leaves it to the peer.
        attributes: of the instance to make.
    """
    fields = {"AffectedSOPClassUID": sop_class_uid, "CommandField": dimse_command.N_CREATE_RQ}
    more = {"AffectedSOPInstanceUID": sop_instance_uid} if sop_instance_uid else {}
    return _performed(association, sop_class_uid, fields, more, attributes)


def n_set(
    association: Association, sop_class_uid: str, sop_instance_uid: str, attributes: Dataset
) -> NormalizedResponse:
    """N-SET: change attributes (PS3.7 10.1.3)."""
    fields = {"RequestedSOPClassUID": sop_class_uid, "CommandField": dimse_command.N_SET_RQ}
    return _performed(association, sop_class_uid, fields, {"RequestedSOPInstanceUID": sop_instance_uid}, attributes)


def n_get(
    association: Association, sop_class_uid: str, sop_instance_uid: str, tags: Sequence[int] = ()
) -> NormalizedResponse:
    """N-GET: read attributes (PS3.7 10.1.2).

    Args:
        association: with a context for the SOP class.
        sop_class_uid: of the instance.
        sop_instance_uid: of the instance.
        tags: of the attributes wanted; none means all.
    """
    fields = {"RequestedSOPClassUID": sop_class_uid, "CommandField": dimse_command.N_GET_RQ}
    more: dict[str, Any] = {"RequestedSOPInstanceUID": sop_instance_uid}
    if tags:
        more["AttributeIdentifierList"] = tuple(tags)
    return _performed(association, sop_class_uid, fields, more, None)


def n_action(
    association: Association,
    sop_class_uid: str,
    sop_instance_uid: str,
    action_type: int,
    information: Dataset | None = None,
    *,
    on_request: OnRequest | None = None,
) -> NormalizedResponse:
    """N-ACTION (PS3.7 10.1.4), such as the request of a storage commitment (PS3.4 J.3.2).

    Args:
        association: with a context for the SOP class.
        sop_class_uid: of the instance.
        sop_instance_uid: of the instance, often a well-known one.
        action_type: as the SOP class numbers it.
        information: as the action wants it.
        on_request: takes what the peer asks of us before it answers, such as the report of an event.
    """
    fields = {"RequestedSOPClassUID": sop_class_uid, "CommandField": dimse_command.N_ACTION_RQ}
    more = {"RequestedSOPInstanceUID": sop_instance_uid, "ActionTypeID": action_type}
    return _performed(association, sop_class_uid, fields, more, information, on_request)


def n_event_report(
    association: Association,
    sop_class_uid: str,
    sop_instance_uid: str,
    event_type: int,
    information: Dataset | None = None,
) -> NormalizedResponse:
    """N-EVENT-REPORT (PS3.7 10.1.1).

    Args:
        association: with a context for the SOP class, proposed ``as_scp``: the SCP of a service is who reports.
        sop_class_uid: of the instance.
        sop_instance_uid: of the instance.
        event_type: as the SOP class numbers it.
        information: about the event.
    """
    fields = {"AffectedSOPClassUID": sop_class_uid, "CommandField": dimse_command.N_EVENT_REPORT_RQ}
    more = {"AffectedSOPInstanceUID": sop_instance_uid, "EventTypeID": event_type}
    return _performed(association, sop_class_uid, fields, more, information)


def n_delete(association: Association, sop_class_uid: str, sop_instance_uid: str) -> NormalizedResponse:
    """N-DELETE (PS3.7 10.1.6)."""
    fields = {"RequestedSOPClassUID": sop_class_uid, "CommandField": dimse_command.N_DELETE_RQ}
    return _performed(association, sop_class_uid, fields, {"RequestedSOPInstanceUID": sop_instance_uid}, None)


def _performed(
    association: Association,
    sop_class_uid: str,
    fields: Mapping[str, Any],
    more: Mapping[str, Any],
    data: Dataset | None,
    on_request: OnRequest | None = None,
) -> NormalizedResponse:
    operation = dimse_command.OPERATIONS[fields["CommandField"]]
    reports = fields["CommandField"] == dimse_command.N_EVENT_REPORT_RQ
    context = association.context_for(sop_class_uid, operation, as_scp=reports)
    message_id = association.next_message_id()
    command = {
        **fields,
        "MessageID": message_id,
        "CommandDataSetType": dimse_command.NO_DATA_SET if data is None else dimse_command.DATA_SET,
        **more,
    }
    association.send(context, command, () if data is None else (encode(data, context.transfer_syntax),))
    message = association.response_to(message_id, operation, association.peer.timeouts.dimse_s, on_request)
    attributes = None
    if message.has_data_set:
        try:
            attributes = decode(association.read_identifier(operation), message.context.transfer_syntax)
        except IdentifierError as error:
            raise explain.ended(association.peer, PeerViolated(str(error)), f"during {operation}") from error
    uid = message.command.get("AffectedSOPInstanceUID", "")
    response = replace(response_of(message.command), error_id=message.command.get("ErrorID"))
    return NormalizedResponse(response, uid, attributes)


def refused(operation: str, response: Response, peer_label: str, implementation: Implementation) -> StatusFailure:
    """Turn a failure response of an N-service into the error that the user sees; says its Error ID in words.

    Args:
        operation: its name.
        response: the peer's.
        peer_label: what to call the peer.
        implementation: of the peer.
    """
    error = failure(operation, replace(response, comment=_said(response)), peer_label, implementation)
    error.comment = response.comment
    return error


def _said(response: Response) -> str:
    """Comment and Error ID; the words of one that is known are said once."""
    if response.error_id is None:
        return response.comment
    number, words = f"Error ID {response.error_id:04X}", _ERROR_IDS.get(response.error_id, "")
    if words and words.casefold() not in response.comment.casefold():
        number = f"{number}: {words}"
    return f"{response.comment}; {number}" if response.comment else number
