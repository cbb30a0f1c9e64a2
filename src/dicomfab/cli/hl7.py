"""``dicomfab hl7``: HL7 messages that came and went."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer import Option

from dicomfab.cli import output
from dicomfab.cli.order import message_of
from dicomfab.cli.session import actor, application

if TYPE_CHECKING:
    from dicomfab.model.hl7_message import Hl7Message
    from dicomfab.storage.outbox import Delivery

app = typer.Typer(no_args_is_help=True, add_completion=False, help="HL7 messages: list, show, build, send, take.")

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

    service = application().ordering.messages
    found = service.show(actor(), message)
    text = decoded(found.data)[0]
    if as_json:
        delivery = _delivery_dict(service.delivery(actor(), message))
        output.print_json({**_dict(found), **delivery, "data": text, "acknowledgement": found.acknowledgement})
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
    is_secure: Annotated[bool, Option("--tls", help="Secure the connection with TLS.")] = False,
    tls_ca: Annotated[
        str, Option("--tls-ca", metavar="FILE", help="PEM file of the certificates to trust [this machine's own].")
    ] = "",
    tls_cert: Annotated[
        str, Option("--tls-cert", metavar="FILE", help="PEM file of our certificate, if the receiver demands one.")
    ] = "",
    tls_key: Annotated[str, Option("--tls-key", metavar="FILE", help="PEM file of its private key.")] = "",
    as_json: output.Json = False,
) -> None:
    """Send a message over MLLP and print what was answered; up to three times if nothing is."""
    from dicomfab.hl7.receiver import ReceiverTls
    from dicomfab.model import values
    from dicomfab.model.errors import InvalidInput

    host, _, port = to.rpartition(":")
    address = (values.host(host, field="--to"), values.port(port, field="--to"))
    files = (tls_ca, tls_cert, tls_key)
    if any(files) and not is_secure:
        raise InvalidInput("--tls: is missing, and files for it are given", field="--tls", remedy="add --tls")
    tls = ReceiverTls(*map(whole_path, files)) if is_secure else None
    sent = application().ordering.messages.send(actor(), message_of(file), _environment(is_test), *address, tls=tls)
    _tell(sent, as_json=as_json)


@app.command()
def resend(message: Annotated[int, typer.Argument(help="Its number.", min=1)], as_json: output.Json = False) -> None:
    """Send a message that failed once more, unchanged, to where it went."""
    _tell(application().ordering.messages.resend(actor(), message), as_json=as_json)


@app.command()
def templates(
    name: Annotated[str, typer.Argument(help="Of a template: tell which values it takes.")] = "",
    as_json: output.Json = False,
) -> None:
    """List the messages that can be built, or the values of one."""
    from dicomfab.hl7.templates import TEMPLATES, template

    chosen = [template(name)] if name else list(TEMPLATES.values())
    if as_json:
        output.print_json({"templates": [one.as_dict() for one in chosen]})
    elif name:
        rows = [
            (one.entry.keyword, one.entry.label, "yes" if one.is_needed else "", one.default, one.entry.example)
            for one in chosen[0].fields
        ]
        output.print_table(("keyword", "", "needed", "default", "example"), rows)
        if chosen[0].any_of:
            output.print_text(f"Needed: one of {', '.join(chosen[0].any_of)}")
    else:
        output.print_table(
            ("template", "message", "version", ""),
            [(one.name, one.message_type, one.version, one.description) for one in chosen],
        )


@app.command()
def build(
    template: Annotated[str, typer.Argument(help="One of: dicomfab hl7 templates")],
    given: Annotated[
        list[str] | None, Option("--set", metavar="KEYWORD=VALUE", help="A value; may be given several times.")
    ] = None,
    procedure: Annotated[
        int | None, Option("--from-procedure", min=1, help="Number of a requested procedure to fill it in from.")
    ] = None,
    step: Annotated[str, Option("--step", help="With --from-procedure: ID of the step, if not its first.")] = "",
    file: Annotated[str, Option("-o", "--output", metavar="FILE", help="Write it there instead of printing it.")] = "",
) -> None:
    """Build a message and print it; to be looked at, or piped into: dicomfab hl7 send - --to HOST:PORT"""
    from pathlib import Path

    from dicomfab.hl7.character_sets import decoded
    from dicomfab.model.errors import LocalFailure

    builder = application().ordering.builder
    values = builder.filled(actor(), template, procedure, step) if procedure else {}
    data = builder.build(actor(), template, {**values, **_given(given or [])})
    if file:
        try:
            Path(file).write_bytes(data)
        except OSError as error:
            raise LocalFailure(f"{file} cannot be written ({error.strerror})", remedy="name another file") from error
    elif sys.stdout.isatty():
        output.print_text(decoded(data)[0].replace("\r", "\n").rstrip())
    else:
        sys.stdout.buffer.write(data)


def whole_path(file: str) -> str:
    """A path that means the same from every folder; empty for none."""
    return os.path.abspath(os.path.expanduser(file)) if file else ""


def _given(pairs: list[str]) -> dict[str, str]:
    from dicomfab.model.errors import InvalidInput

    for pair in pairs:
        if "=" not in pair:
            raise InvalidInput(
                f"--set: {pair!r} is no KEYWORD=VALUE", field="--set", value=pair, remedy="such as --set PatientID=P1"
            )
    return {keyword.strip(): value for keyword, _, value in (pair.partition("=") for pair in pairs)}


def _tell(sent: Hl7Message, *, as_json: bool) -> None:
    """Print what became of a message that was sent.

    Raises:
        TransferIncomplete: it was not accepted.
    """
    from dicomfab.model.errors import TransferIncomplete

    if as_json:
        output.print_json({**_dict(sent), "acknowledgement": sent.acknowledgement})
    else:
        output.print_text(f"message {sent.number}: {sent.code} {sent.reason}".rstrip())
    if sent.state == "failed":
        raise TransferIncomplete(
            f"{sent.peer} did not accept the message: {sent.code} {sent.reason}".rstrip(),
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


def _delivery_dict(delivery: Delivery | None) -> dict[str, Any]:
    if delivery is None:
        return {}
    next_at = delivery.next_at.isoformat() if delivery.next_at else None
    return {"is_secure": delivery.receiver.tls is not None, "attempts": delivery.attempts, "next_at": next_at}
