"""The N-services as a server performs them (PS3.7 section 10)."""

from __future__ import annotations

from dicomfab.dimse import command as dimse_command
from dicomfab.dimse.handlers import NormalizedRequest
from dicomfab.dimse.late_report import ReplyThenReport
from dicomfab.dimse.link import Message
from dicomfab.dimse.scp.session import Session


def perform(session: Session, message: Message) -> None:
    """Hand the request to the handler of its SOP class and answer what that says.

    Raises:
        Refusal: the handler's, or the data set cannot be read.
        Ending: the association ended.
    """
    command = message.command
    attributes = session.identifier(message) if message.has_data_set else None
    request = NormalizedRequest(
        operation=dimse_command.OPERATIONS[command["CommandField"]],
        sop_class_uid=command.get("AffectedSOPClassUID") or command.get("RequestedSOPClassUID", ""),
        sop_instance_uid=command.get("AffectedSOPInstanceUID") or command.get("RequestedSOPInstanceUID", ""),
        number=command.get("ActionTypeID") or command.get("EventTypeID", 0),
        tags=command.get("AttributeIdentifierList", ()),
        attributes=attributes,
    )
    reply = session.normalized[message.context.abstract_syntax].perform(session.requestor, request)
    response = dimse_command.response_to(command, reply.status, data_set=reply.attributes is not None)
    if reply.sop_instance_uid:
        response["AffectedSOPInstanceUID"] = reply.sop_instance_uid
    for keyword in ("ActionTypeID", "EventTypeID"):
        if keyword in command:
            response[keyword] = command[keyword]
    if isinstance(reply, ReplyThenReport) and reply.late is not None:
        session.late.add(reply.late, message.context)  # even if the answer cannot be sent: then it is told so
    session.respond(message, response, reply.attributes)
