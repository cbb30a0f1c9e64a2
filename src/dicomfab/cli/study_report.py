"""``dicomfab study report``: what is to be found in a fabricated study, as text, as a message, or as SR."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer import Option

from dicomfab.app.plain_orders import message_dict
from dicomfab.cli import output
from dicomfab.cli.hl7_sending import receiver_address, tell
from dicomfab.cli.session import actor, application
from dicomfab.model.errors import InvalidInput

if TYPE_CHECKING:
    from dicomfab.hl7.reports import Report


def report(
    study: Annotated[str, typer.Argument(help="Study Instance UID, accession number, or 'latest'.")],
    kind: Annotated[
        Literal["text", "oru", "sr"],
        Option(
            "--format", help="Text; an HL7 message ORU^R01; or structured reports, which become series of the study."
        ),
    ] = "text",
    status: Annotated[Literal["F", "P", "C"], Option(help="With text and oru: final, preliminary or corrected.")] = "F",
    send: Annotated[str, Option("--send", metavar="HOST:PORT", help="With oru: send it over MLLP.")] = "",
    receiver: Annotated[
        str, Option(metavar="APPLICATION|FACILITY", help="With oru: who is meant to receive it (MSH-5 and MSH-6).")
    ] = "",
    as_json: output.Json = False,
) -> None:
    """Report the lesions of a study that was fabricated here, with the sizes of its truth."""
    if kind != "oru" and (send or receiver):
        option = "--send" if send else "--receiver"
        raise InvalidInput(f"{option}: is for messages", field=option, remedy="add --format oru")
    built = application()
    uid = built.studies.resolve_reference(actor(), study)
    if kind == "sr":
        _add(uid, as_json=as_json)
        return
    found = built.reports.report_of(actor(), uid, status)
    if kind == "oru":
        _message(found, send, receiver, as_json=as_json)
    elif as_json:
        output.print_json(dataclasses.asdict(found))
    else:
        from dicomfab.hl7.reports import text

        output.print_text(text(found).rstrip())


def _add(study_uid: str, *, as_json: bool) -> None:
    added = application().reports.add_documents(actor(), study_uid)
    if as_json:
        output.print_json({"study_instance_uid": study_uid, "series": [dataclasses.asdict(one) for one in added]})
        return
    for one in added:
        verb = "Added" if one.is_new else "Was there:"
        output.print_text(f"{verb} series {one.series_number}, {one.description}  {one.series_instance_uid}")
    if not added:
        output.print_text("The study was made with its structured reports: see dicomfab study show")


def _message(found: Report, send: str, receiver: str, *, as_json: bool) -> None:
    import secrets

    from dicomfab.app.clock import local_now
    from dicomfab.hl7.reports import message
    from dicomfab.model.values import Environment

    application_name, _, facility = receiver.partition("|")
    named = (application_name, facility)
    data = message(found, control_id=secrets.token_hex(10), now=local_now(), receiver=named)
    if not send:
        if as_json:
            output.print_json({"message": data.decode("utf-8")})
        elif sys.stdout.isatty():
            output.print_text(data.decode("utf-8").replace("\r", "\n").rstrip())
        else:
            sys.stdout.buffer.write(data)
        return
    sent = application().ordering.messages.send(
        actor(), data, Environment.TEST, *receiver_address(send, field="--send")
    )
    tell(sent, message_dict(sent), as_json=as_json)
