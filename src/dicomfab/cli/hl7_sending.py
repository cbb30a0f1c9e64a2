"""What the commands that send HL7 messages have in common: where to, by which files, and what became of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import typer

from dicomfab.cli import output
from dicomfab.model.errors import DicomFabError, InvalidInput, TransferIncomplete

if TYPE_CHECKING:
    from dicomfab.model.hl7_message import Hl7Message

_NOT_TAKEN: Final = (
    "messages of this type, version, processing ID or sender are not taken there, or it is no whole message"
)
#: Answers of HL7 table 0008 that are a no -> what they most likely mean.
REFUSALS: Final = {
    "AE": "a value of the message cannot be applied, or its order is not known or is over",
    "AR": _NOT_TAKEN,
    "CE": "the receiver could not keep it",
    "CR": _NOT_TAKEN,
}
_TLS_OPTIONS: Final = {"tls_ca_file": "--tls-ca", "tls_certificate_file": "--tls-cert", "tls_key_file": "--tls-key"}


def receiver_address(text: str, *, field: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``; an address of IPv6 stands in brackets.

    Args:
        text: as typed.
        field: the option, named in errors.

    Raises:
        InvalidInput: it is none.
    """
    from dicomfab.model import values

    host, _, port = text.strip().rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    if not host or not port or (":" in host and not is_bracketed):
        raise InvalidInput(
            f"{field}: {text!r} is not HOST:PORT",
            field=field,
            value=text,
            cause="host or port is missing, or there is more than these two",
            remedy="such as 127.0.0.1:2575, ris.example.com:2575 or [::1]:2575",
        )
    try:
        number = values.port(port, field=field)
    except InvalidInput as error:
        error.cause = "a port is a whole number from 1 to 65535 (HL7 usually 2575)"
        error.remedy = "ask the receiver's administrator where it listens for HL7 over MLLP"
        raise
    return values.host(host[1:-1] if is_bracketed else host, field=field), number


@contextlib.contextmanager
def tls_options() -> Iterator[None]:
    """Within it, a file that TLS cannot use is refused by the option that named it."""
    try:
        yield
    except InvalidInput as error:
        option = _TLS_OPTIONS.get(error.field)
        if option is None:
            raise
        what = error.what.replace(f"{error.field}: missing", f"{option}: is missing").replace(error.field, option)
        raise InvalidInput(what, field=option, value=error.value, cause=error.cause, remedy=error.remedy) from error


def not_accepted(sent: Hl7Message) -> TransferIncomplete:
    """The failure that a message is which its receiver did not accept."""
    see = f"dicomfab hl7 show {sent.number} --acknowledgement"
    if sent.code in REFUSALS:
        error = TransferIncomplete(
            f"{sent.peer} answered message {sent.number} with {sent.code}: {sent.reason}".rstrip(": "),
            cause=REFUSALS[sent.code],
            remedy=f"correct and send it; the whole answer: {see}",
        )
    else:
        error = TransferIncomplete(
            f"{sent.peer} did not acknowledge message {sent.number}: {sent.reason}",
            cause="it is no HL7 listener, or answers in a form of its own; whether it took the message is not known",
            remedy=f"look at the answer: {see}; send it again unchanged: dicomfab hl7 resend {sent.number}",
        )
    error.heading = "Not accepted"
    return error


def tell(sent: Hl7Message, document: dict[str, Any], *, as_json: bool) -> None:
    """Print what became of a message that was sent.

    Args:
        sent: the message, with its answer.
        document: it as JSON has it.
        as_json: print that instead of text.

    Raises:
        TransferIncomplete: it was not accepted.
        typer.Exit: the same, and the JSON document has said so.
    """
    finish(
        f"message {sent.number}: {sent.code} {sent.reason}".rstrip(),
        {**document, "acknowledgement": sent.acknowledgement},
        not_accepted(sent) if sent.state == "failed" else None,
        as_json=as_json,
    )


def finish(text: str, document: dict[str, Any], error: DicomFabError | None, *, as_json: bool) -> None:
    """Print what became of a message once: its text or its failure; as JSON both in one document.

    Raises:
        DicomFabError: the failure.
        typer.Exit: the same, and the JSON document has said so.
    """
    if as_json:
        output.print_json({**document, "error": error.as_dict()} if error else document)
        if error:
            raise typer.Exit(error.exit_code)
    elif error:
        raise error
    else:
        output.print_text(text)
