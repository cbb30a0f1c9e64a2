"""``dicomfab ris``: the side of a radiology information system, in the foreground."""

from __future__ import annotations

import contextlib
import json
import queue
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from dicomfab.cli import output
from dicomfab.cli.hl7 import IsTest, whole_path
from dicomfab.cli.hl7_sending import tls_options
from dicomfab.cli.session import actor, application, end_with_input, terminate

if TYPE_CHECKING:
    from ssl import SSLContext

    from dicomfab.services.ordering.intake import Taken

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Take orders over MLLP, and offer the worklist.")


@app.callback()
def ris() -> None:
    """Take orders over MLLP, and offer the worklist."""


@app.command()
def run(
    is_test: IsTest = False,
    hl7_port: Annotated[
        int | None,
        Option(
            min=0,
            max=65535,
            help="Port for HL7 messages (MLLP); 0 takes a free one. [default: DICOMFAB_HL7_PORT, or 2575]",
        ),
    ] = None,
    dicom_port: Annotated[
        int | None,
        Option(
            min=0,
            max=65535,
            help="Port for worklist and MPPS; 0 takes a free one. [default: DICOMFAB_WORKLIST_PORT, or 11114]",
        ),
    ] = None,
    bind: Annotated[
        str, Option(metavar="ADDRESS", help="Address to listen on; 0.0.0.0 for all of this computer's.")
    ] = "127.0.0.1",
    ae_title: Annotated[str, Option("--ae", help="AE title of the worklist.")] = "DICOMFAB",
    any_caller: Annotated[
        bool, Option("--any-caller", help="With --test: answer any AE title, not only registered servers.")
    ] = False,
    tls_cert: Annotated[
        str, Option("--tls-cert", metavar="FILE", help="PEM file of our certificate: take HL7 messages over TLS only.")
    ] = "",
    tls_key: Annotated[str, Option("--tls-key", metavar="FILE", help="PEM file of its private key.")] = "",
    tls_ca: Annotated[
        str,
        Option(
            "--tls-ca", metavar="FILE", help="PEM file of who signs senders' certificates, which are demanded then."
        ),
    ] = "",
    until_input_ends: Annotated[bool, Option("--until-input-ends", hidden=True)] = False,
    as_json: Annotated[bool, Option("--json", help="Print one JSON document a line instead of text.")] = False,
) -> None:
    """Be the RIS until Ctrl-C: orders come in by HL7, modalities ask for the worklist and report by MPPS.

    A line is printed for each message; it names no patient.
    """
    from dicomfab.model import values
    from dicomfab.model.errors import InvalidInput
    from dicomfab.model.values import Environment
    from dicomfab.services.ordering.ris import RisConfig
    from dicomfab.testpacs.log_file import log_to

    if any_caller and not is_test:
        raise InvalidInput(
            "--any-caller: is for the test environment",
            field="--any-caller",
            cause="the worklist of production names real patients",
            remedy="add --test, or register the modalities: dicomfab pacs add",
        )
    built = application()
    log_to(built.settings.logs / "ris.log")
    config = RisConfig(
        Environment.TEST if is_test else Environment.PROD,
        host=values.host(bind, field="--bind"),
        hl7_port=built.settings.hl7_port if hl7_port is None else hl7_port,
        dicom_port=built.settings.worklist_port if dicom_port is None else dicom_port,
        ae_title=values.ae_title(ae_title, field="--ae"),
        any_caller=any_caller,
        tls=_tls(tls_cert, tls_key, tls_ca),
    )
    over: queue.SimpleQueue[Taken] = queue.SimpleQueue()
    with (
        contextlib.suppress(KeyboardInterrupt),
        built.audit.running(actor(), "ris"),
        built.ordering.ris.serving(actor(), config, on_message=over.put) as serving,
    ):
        if until_input_ends:
            end_with_input(terminate)
        if as_json:
            listening = {"hl7_port": serving.hl7_port, "dicom_port": serving.dicom_port, "ae_title": serving.ae_title}
            print(json.dumps({"listening": {**listening, "host": serving.host}}), flush=True)
        else:
            secured = " with TLS" if serving.tls else ""
            output.print_text(f"HL7 over MLLP{secured} on {serving.host} port {serving.hl7_port}")
            where = f"{serving.host} port {serving.dicom_port}"
            output.print_text(f"Worklist and MPPS as {serving.ae_title} on {where} (stop with Ctrl-C)")
            sys.stdout.flush()
        while True:
            _print(over.get(), as_json=as_json)


def _tls(certificate: str, key: str, authority: str) -> SSLContext | None:
    from dicomfab.app.ordering import listening_tls
    from dicomfab.model.errors import InvalidInput

    if not (certificate or key or authority):
        return None
    for option, file in (("--tls-cert", certificate), ("--tls-key", key)):
        if not file:
            raise InvalidInput(
                f"{option}: is missing: certificate and key go together",
                field=option,
                remedy="give --tls-cert and --tls-key",
            )
    with tls_options():
        return listening_tls(*map(whole_path, (certificate, key, authority)))


def _print(taken: Taken, *, as_json: bool) -> None:
    message = taken.message
    again = " (came again)" if taken.is_repeat else ""
    if as_json:
        document = {"number": message.number, "message_type": message.message_type, "control_id": message.control_id}
        answer = {"code": message.code, "reason": message.reason, "is_repeat": taken.is_repeat}
        print(json.dumps({"message": {**document, **answer}}), flush=True)
        return
    said = f"{message.message_type} {message.control_id}: {message.code} {message.reason}".rstrip()
    output.print_text(f"{message.at:%H:%M:%S} message {message.number} {said}{again}")
    sys.stdout.flush()
