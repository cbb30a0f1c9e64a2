"""HL7 messages that came and went: looked at, taken over HTTP, sent over MLLP."""

from __future__ import annotations

from typing import Annotated, Any, Final

from anyio import to_thread
from fastapi import Query, Request
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.app.plain_orders import message_details, message_dict, taken_dict
from dicomfab.hl7.acknowledging import Code
from dicomfab.hl7.acknowledging import Problem as Hl7Problem
from dicomfab.hl7.mllp import END, START
from dicomfab.hl7.writing import from_text
from dicomfab.model import values
from dicomfab.model.actor import Actor
from dicomfab.model.errors import InvalidInput
from dicomfab.model.hl7_message import Direction, MessageState
from dicomfab.model.problem import MEDIA_TYPE, problem_of
from dicomfab.model.values import Environment
from dicomfab.services.ordering.intake import Taken, header_of
from dicomfab.storage.hl7_messages import MessageFilter
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.api.orders import MOST_CHARACTERS, Number, OfEnvironment, environments
from dicomfab.web.api.shared import PROBLEM_SCHEMA, Given, Limit, Listed, Offset, Told, listed, resource, told_model
from dicomfab.web.problems import ProblemResponse

HL7: Final = "application/hl7-v2"
_TAKEN_TYPES: Final = (HL7, "text/plain")
#: Of a message that is taken.
MOST_BYTES: Final = 10 << 20

router = resource("messages")
taking = resource("messages", takes=_TAKEN_TYPES)


class Message(Told):
    """A message of the ledger."""

    number: int
    direction: Direction
    environment: Environment
    message_type: str = Field(description="Such as ORM^O01.")
    control_id: str = Field(description="MSH-10.")
    sender: str = Field(description="Sending application and facility (MSH-3, MSH-4), joined by |.")
    peer: str = Field(description="Address of the other end.")
    state: MessageState = Field(description="kept: it is safe, and dicomfab ris run applies it.")
    code: str = Field(description="Of the acknowledgement, such as AA; blank before there is one.")
    reason: str = Field(description="Why it was refused, or what is noteworthy.")
    repeats: int = Field(description="How often it came again unchanged.")
    at: str


class Acknowledged(Message):
    """A message and what was answered."""

    acknowledgement: str = Field(description="As it was sent or came; blank if there is none.")


class MessageDetail(Acknowledged):
    """A message with what it says."""

    message: str = Field(description="As text, in the character set that MSH-18 names.")
    notes: list[str] = Field(description="What was guessed when it was decoded.")


Noted: Any = told_model("Hl7Problem", Hl7Problem, like={Code: int})


class TakenMessage(Acknowledged):
    """What became of a message that was taken."""

    orders: list[int] = Field(description="Numbers of the orders that were kept of it.")
    problems: list[Noted]
    is_repeat: bool = Field(description="It came before within a day, and is answered as then.")


class NewMessage(Given):
    """A message to be sent over MLLP."""

    host: str = Field(max_length=255, description="Of the receiver.", examples=["127.0.0.1"])
    port: int = Field(ge=1, le=65535, examples=[2575])
    message: str = Field(
        min_length=1,
        max_length=MOST_CHARACTERS,
        description="HL7 v2, its segments on lines of their own; it is sent in the character set that MSH-18 names.",
        examples=["MSH|^~\\&|RIS|HOSP|||||ADT^A04|M9|T|2.5.1\nPID|1||P9||DOE^JANE"],
    )
    environment: Environment = Field(description="Of the receiver.", examples=["test"])


@router.get("", response_model=Listed[Message], dependencies=[permission(Action.VIEW)])
def every(
    request: Request,
    actor: CurrentActor,
    application: CurrentApplication,
    search: Annotated[str, Query(description="Words, each part of control ID, sender or type.")] = "",
    state: Annotated[list[MessageState], Query(description="Only in this state; again for more.")] = [],  # noqa: B006
    direction: Direction | None = None,
    environment: OfEnvironment = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> Any:
    """List the messages, the newest first."""
    wanted = MessageFilter(search, frozenset(state), direction, environments(environment))
    page = application.ordering.messages.page(actor, wanted, limit=limit, offset=offset)
    return listed(request, [message_dict(one) for one in page.messages], page.total, limit, offset)


_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
_REFUSED: Final = {
    "description": "It was refused (AE, AR): a problem with its `number` and the `acknowledgement`, or that alone.",
    "content": {MEDIA_TYPE: {"schema": PROBLEM_SCHEMA}, HL7: _BINARY},
}


@taking.post(
    "",
    response_model=TakenMessage,
    dependencies=[permission(Action.FABRICATE)],
    responses={
        200: {"content": {HL7: _BINARY}, "description": "It was accepted (AA, CA)."},
        204: {"description": "It was accepted, and asks not to be told so (MSH-15)."},
        413: {"description": "It is larger than 10 MB.", "content": {MEDIA_TYPE: {"schema": PROBLEM_SCHEMA}}},
        415: {
            "description": f"The body must be {' or '.join(_TAKEN_TYPES)}.",
            "content": {MEDIA_TYPE: {"schema": PROBLEM_SCHEMA}},
        },
        422: _REFUSED,
    },
    openapi_extra={
        "requestBody": {"required": True, "content": {one: {"schema": {"type": "string"}} for one in _TAKEN_TYPES}}
    },
)
async def take(
    request: Request,
    actor: CurrentActor,
    application: CurrentApplication,
    environment: Annotated[
        Environment, Query(description="Whose orders and patients it is about; test only if no real person is in it.")
    ] = Environment.PROD,
) -> Any:
    """Take an HL7 v2 message as if it had come over MLLP, and answer it.

    It is kept, and applied or refused with a reason. With `Accept: application/hl7-v2` the answer is the
    acknowledgement itself. MSH-18 says which character set it is in, whatever the header says. The same message again
    within a day is answered as before.
    """
    data = await _body(request)
    return await to_thread.run_sync(_taken, request, application, actor, data, environment)


@router.post("/send", response_model=Acknowledged, dependencies=[permission(Action.STORE)])
def send(body: NewMessage, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Send an HL7 v2 message over MLLP, up to three times if it is not answered, always unchanged.

    That it was sent does not mean that it was accepted: look at `state` and `code`.
    """
    host = values.host(body.host, field="host")
    sent = application.ordering.messages.send(actor, _bytes(body.message), body.environment, host, body.port)
    return {**message_dict(sent), "acknowledgement": sent.acknowledgement}


@router.get("/{number}", response_model=MessageDetail, dependencies=[permission(Action.VIEW)])
def show(number: Number, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Show a message: what it says, what was answered, and why."""
    return message_details(application.ordering.messages.show(actor, number))


async def _body(request: Request) -> bytes:
    """What comes, up to the limit: more is not read.

    Raises:
        HTTPException: 413; 400 if it ends too early.
    """
    data = bytearray()
    try:
        async for part in request.stream():
            data += part
            if len(data) > MOST_BYTES:
                raise HTTPException(413, f"a message may have {MOST_BYTES >> 20} MB")
    except ClientDisconnect:
        raise HTTPException(400, "the message was broken off") from None
    return bytes(data)


def _taken(
    request: Request, application: Application, actor: Actor, data: bytes, environment: Environment
) -> dict[str, Any] | Response:
    taken = application.ordering.intake.take(actor, data, environment, peer=actor.address or "HTTP")
    is_refused = taken.message.state is MessageState.REFUSED
    if _wants_hl7(request) and taken.answer:
        return Response(taken.answer, 422 if is_refused else 200, media_type=HL7)
    if is_refused:
        return _refusal(taken)
    return Response(status_code=204) if _wants_hl7(request) else taken_dict(taken)


def _refusal(taken: Taken) -> Response:
    message = taken.message
    error = InvalidInput(
        f"message: {message.reason}",
        field="message",
        cause="its content cannot be applied, or it is none that is taken here",
        remedy="correct it, and send it under another control ID",
    )
    more = {"code": message.code, "number": message.number, "acknowledgement": message.acknowledgement}
    return ProblemResponse({**problem_of(error, 422), **more}, status_code=422)


def _wants_hl7(request: Request) -> bool:
    named = request.headers.get("accept", "").split(",")
    return any(one.partition(";")[0].strip().lower() == HL7 for one in named)


def _bytes(message: str) -> bytes:
    """A message that was written as text.

    Raises:
        InvalidInput: it has bytes of MLLP in it, or its MSH-18 names no character set that it can be written in.
    """
    if any(chr(byte) in message for byte in START + END):
        raise InvalidInput(
            "message: holds a character that begins or ends a message of MLLP (0B, 1C)",
            field="message",
            cause="it was copied together with its frame",
            remedy="leave the frame out",
        )
    if header_of(message.encode("utf-8")) is None:
        raise InvalidInput("message: has no MSH segment", field="message", remedy="give a whole HL7 v2 message")
    return from_text(message)
