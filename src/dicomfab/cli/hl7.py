"""``dicomfab hl7``: HL7 messages that came and went."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer import Option

from dicomfab.cli import output
from dicomfab.cli.order import message_of
from dicomfab.cli.session import actor, application

if TYPE_CHECKING:
    from dicomfab.model.hl7_message import Hl7Message

app = typer.Typer(no_args_is_help=True, add_completion=False, help="HL7 messages: list, show, send, take.")

IsTest = Annotated[bool, Option("--test", help="Of the test environment. Without it, of production.")]
_File = Annotated[str, typer.Argument(help="A file with an HL7 v2 message, or - for standard input.")]


@app.command("list")
def list_messages(
    search: Annotated[str, Option(help="Words, each part of control ID, sender or type.")] = "",
    state: Annotated[
        Literal["kept", "applied", "refused", "waiting", "sent", "failed"] | None, Option(help="Only of this state.")
    ] = None,
    limit: Annotated[int, Option(min=1, max=10**9, help="At most so many.")] = 100,
    offset: Annotated[int, Option(min=0, max=10**9, help="So many before the first.")] = 0,
    as_json: output.Json = False,
) -> None:
    """List the messages, the newest first."""
    from dicomfab.model.hl7_message import MessageState
    from dicomfab.storage.hl7_messages import MessageFilter

    wanted = MessageFilter(search=search, states=frozenset({MessageState(state)} if state else ()))
    found = application().ordering.messages.page(actor(), wanted, limit=limit, offset=offset)
    if as_json:
        output.print_json({"total": found.total, "messages": [_dict(one) for one in found.messages]})
    elif not found.total:
        output.print_text("No message matches." if search or state else "No messages yet. Take some: dicomfab ris run")
    else:
        output.print_table(
            ("message", "", "environment", "type", "control ID", "from", "state", "answer", "reason"),
            [_cells(one) for one in found.messages],
        )


@app.command()
def show(
    message: Annotated[int, typer.Argument(help="Its number.", min=1)],
    acknowledgement: Annotated[bool, Option("--acknowledgement", help="Print the acknowledgement instead.")] = False,
    as_json: output.Json = False,
) -> None:
    """Print a message as it came, or what was answered."""
    from dicomfab.hl7.character_sets import decoded

    found = application().ordering.messages.show(actor(), message)
    text = decoded(found.data)[0]
    if as_json:
        output.print_json({**_dict(found), "data": text, "acknowledgement": found.acknowledgement})
        return
    shown = found.acknowledgement if acknowledgement else text
    sys.stdout.write(shown.replace("\r\n", "\r").replace("\r", "\n"))


@app.command()
def take(file: _File, is_test: IsTest = False, as_json: output.Json = False) -> None:
    """Take a message as if it had come over MLLP: keep it, apply it, print what would be answered."""
    from dicomfab.model.errors import InvalidInput

    taken = application().ordering.intake.take(actor(), message_of(file), _environment(is_test), peer="command line")
    if as_json:
        output.print_json({**_dict(taken.message), "acknowledgement": taken.message.acknowledgement})
    else:
        output.print_text(f"message {taken.message.number}: {taken.message.code} {taken.message.reason}".rstrip())
    if taken.message.state == "refused":
        raise InvalidInput(f"message: {taken.message.reason}", field="message", remedy="correct it, and send it again")


@app.command()
def send(
    file: _File,
    to: Annotated[str, Option("--to", metavar="HOST:PORT", help="Where the receiver listens.")],
    is_test: IsTest = False,
    as_json: output.Json = False,
) -> None:
    """Send a message over MLLP and print what was answered; up to three times if nothing is."""
    from dicomfab.model import values
    from dicomfab.model.errors import TransferIncomplete

    host, _, port = to.rpartition(":")
    address = (values.host(host, field="--to"), values.port(port, field="--to"))
    sent = application().ordering.messages.send(actor(), message_of(file), _environment(is_test), *address)
    if as_json:
        output.print_json({**_dict(sent), "acknowledgement": sent.acknowledgement})
    else:
        output.print_text(f"message {sent.number}: {sent.code} {sent.reason}".rstrip())
    if sent.state == "failed":
        raise TransferIncomplete(
            f"{to} did not accept the message: {sent.code} {sent.reason}".rstrip(),
            cause="its reason stands before",
            remedy="correct the message; sent again unchanged it is refused again",
        )


def _environment(is_test: bool) -> Any:
    from dicomfab.model.values import Environment

    return Environment.TEST if is_test else Environment.PROD


def _cells(one: Hl7Message) -> tuple[str, ...]:
    start = (str(one.number), str(one.direction), str(one.environment), one.message_type, one.control_id, one.sender)
    return (*start, str(one.state), one.code, one.reason)


def _dict(one: Hl7Message) -> dict[str, Any]:
    return {
        "number": one.number,
        "direction": str(one.direction),
        "environment": str(one.environment),
        "message_type": one.message_type,
        "control_id": one.control_id,
        "sender": one.sender,
        "peer": one.peer,
        "state": str(one.state),
        "code": one.code,
        "reason": one.reason,
        "repeats": one.repeats,
        "at": one.at.isoformat(),
    }
