"""``dicomfab receive``: our own Storage SCP, in the foreground."""

from __future__ import annotations

import contextlib
import json
import queue
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from dicomfab.cli import output
from dicomfab.cli.session import actor, application, end_with_input, terminate

if TYPE_CHECKING:
    from dicomfab.app.build import Application
    from dicomfab.services.receiving import Reception

app = typer.Typer(add_completion=False)


@app.command()
def receive(
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port to listen on. [default: DICOMFAB_SCP_PORT, or 11112]")
    ] = None,
    bind: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Address to listen on; 0.0.0.0 for all of this computer's. [default: DICOMFAB_SCP_HOST, or 127.0.0.1]",
        ),
    ] = None,
    until_input_ends: Annotated[bool, typer.Option("--until-input-ends", hidden=True)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document a line instead of text.")] = False,
) -> None:
    """Receive instances into the local store as DICOMFAB (C-STORE), until Ctrl-C.

    Only servers that are registered may send, each under its own AE title (aec) and from its own host. What arrives
    carries the environment of its server. A line is printed for each association; it names no patient. Those who ask
    for a storage commitment are answered, and called back at the address of their entry.
    """
    from dicomfab.model import values
    from dicomfab.services.receiving import AE_TITLE
    from dicomfab.testpacs.log_file import log_to

    built = application()
    log_to(built.settings.logs / "receive.log")
    over: queue.SimpleQueue[Reception] = queue.SimpleQueue()
    host = built.settings.scp_host if bind is None else values.host(bind, field="--bind")
    with (
        contextlib.suppress(KeyboardInterrupt),
        built.audit.running(actor(), "receive"),
        built.receiving.listening(actor(), host=host, port=port, on_reception=over.put) as listens_on,
    ):
        if until_input_ends:
            end_with_input(terminate)
        if as_json:
            _print_line({"listening": {"ae_title": AE_TITLE, "host": host, "port": listens_on}})
        else:
            output.print_text(f"Receiving as {AE_TITLE} on {host} port {listens_on} (stop with Ctrl-C)")
            _print_hint(built, host)
            sys.stdout.flush()
        while True:
            _print_reception(over.get(), as_json=as_json)
    while not over.empty():  # those that the end has cut off
        _print_reception(over.get(), as_json=as_json)


def _print_reception(reception: Reception, *, as_json: bool) -> None:
    if as_json:
        _print_line(reception.as_dict())
    else:
        output.print_text(f"{reception.began_at.astimezone():%Y-%m-%d %H:%M:%S} {reception}")
        sys.stdout.flush()


def _print_line(document: object) -> None:
    print(json.dumps(document), flush=True)


def _print_hint(built: Application, host: str) -> None:
    from dicomfab.registry.server import canonical_host

    if host not in {"0.0.0.0", "::"} and canonical_host(host) == "localhost":  # noqa: S104 (compared, not bound)
        elsewhere = [s.name for s in built.pacs.servers(actor()) if canonical_host(s.host) != "localhost"]
        if elsewhere:
            output.print_text(f"Only this computer reaches it. For {', '.join(elsewhere)}, add: --bind 0.0.0.0")
