"""``dicomfab hl7``: HL7 messages that came and went."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer import Option

from dicomfab.app.plain_orders import message_dict
from dicomfab.cli import output
from dicomfab.cli.hl7_sending import REFUSALS, finish, receiver_address, tell, tls_options
from dicomfab.cli.order import message_of, print_message
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
        output.print_json({"total": found.total, "messages": [message_dict(one) for one in found.messages]})
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
        output.print_json({**message_dict(found), **delivery, "data": text, "acknowledgement": found.acknowledgement})
        return
    print_message(found.acknowledgement if acknowledgement else text)


@app.command()
def take(file: _File, is_test: IsTest = False, as_json: output.Json = False) -> None:
    """Take a message as if it had come over MLLP: keep it, apply it, print what would be answered."""
    from dicomfab.model.errors import InvalidInput

    taken = application().ordering.intake.take(actor(), message_of(file), _environment(is_test), peer="command line")
    one, error = taken.message, None
    if one.state == "refused":
        error = InvalidInput(
            f"message {one.number} is refused with {one.code}: {one.reason}",
            field="message",
            cause=REFUSALS.get(one.code, ""),
            remedy=f"correct it, and take it again; the whole answer: dicomfab hl7 show {one.number} --acknowledgement",
        )
    text = f"message {one.number}: {one.code} {one.reason}".rstrip()
    finish(text, {**message_dict(one), "acknowledgement": one.acknowledgement}, error, as_json=as_json)


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
    from dicomfab.model.errors import InvalidInput

    address = receiver_address(to, field="--to")
    files = (tls_ca, tls_cert, tls_key)
    if any(files) and not is_secure:
        raise InvalidInput("--tls: is missing, and files for it are given", field="--tls", remedy="add --tls")
    tls = ReceiverTls(*map(whole_path, files)) if is_secure else None
    with tls_options():
        sent = application().ordering.messages.send(actor(), message_of(file), _environment(is_test), *address, tls=tls)
    tell(sent, message_dict(sent), as_json=as_json)


@app.command()
def resend(message: Annotated[int, typer.Argument(help="Its number.", min=1)], as_json: output.Json = False) -> None:
    """Send a message that failed once more, unchanged, to where it went."""
    sent = application().ordering.messages.resend(actor(), message)
    tell(sent, message_dict(sent), as_json=as_json)


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
    as_json: output.Json = False,
) -> None:
    """Build a message and print it; to be looked at, or piped into: dicomfab hl7 send - --to HOST:PORT"""
    from pathlib import Path

    from dicomfab.hl7.character_sets import decoded
    from dicomfab.model.errors import LocalFailure

    builder = application().ordering.builder
    values = builder.filled(actor(), template, procedure, step) if procedure else {}
    chosen = _given(given or [])
    data = builder.build(actor(), template, {**values, **chosen})
    if procedure and not step and not as_json and "ScheduledProcedureStepID" in values.keys() - chosen.keys():
        _tell_other_steps(procedure, values["ScheduledProcedureStepID"])
    if file:
        try:
            Path(file).write_bytes(data)
        except OSError as error:
            raise LocalFailure(f"{file} cannot be written ({error.strerror})", remedy="name another file") from error
    if as_json:
        output.print_json({"message": decoded(data)[0], "file": file or None})
    elif not file:
        _print_message(decoded(data)[0], data)


def _print_message(text: str, data: bytes) -> None:
    """For people a line for each segment; for programs the bytes as they are."""
    if sys.stdout.isatty():
        output.print_text(text.replace("\r", "\n").rstrip())
    else:
        sys.stdout.buffer.write(data)


def _tell_other_steps(procedure: int, chosen: str) -> None:
    """On standard error: a message names one step, and who orders or cancels may mean them all."""
    steps = application().ordering.schedule.show(actor(), procedure).procedure.steps
    if others := [one.step_id for one in steps if one.step_id != chosen]:
        said = f"Note: the message names step {chosen}; one each for the others: --step {', --step '.join(others)}"
        typer.echo(output.clean(said), err=True)


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


def _environment(is_test: bool) -> Any:
    from dicomfab.model.values import Environment

    return Environment.TEST if is_test else Environment.PROD


def _cells(one: Hl7Message) -> tuple[str, ...]:
    start = (str(one.number), str(one.direction), str(one.environment), one.message_type, one.control_id, one.sender)
    return (*start, str(one.state), one.code, one.reason)


def _delivery_dict(delivery: Delivery | None) -> dict[str, Any]:
    if delivery is None:
        return {}
    next_at = delivery.next_at.isoformat() if delivery.next_at else None
    return {"is_secure": delivery.receiver.tls is not None, "attempts": delivery.attempts, "next_at": next_at}
