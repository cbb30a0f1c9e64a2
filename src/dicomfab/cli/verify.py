"""``dicomfab verify``: whether a server holds studies as they are elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from dicomfab.cli import output
from dicomfab.cli.carry_out import ATTEMPTS, Detach, Priority, finish
from dicomfab.cli.session import actor, application
from dicomfab.cli.transfer_options import Studies

if TYPE_CHECKING:
    from dicomfab.model.job import Job
    from dicomfab.registry.server import PacsServer

app = typer.Typer(add_completion=False)

LOCAL: Final = "local"


@app.command()
def verify(
    studies: Studies,
    source: Annotated[
        str, typer.Option("--from", help="Where the studies are as they should be: 'local', or id or name of a server.")
    ],
    at: Annotated[str, typer.Option("--at", help="Id or name of the server to look at.")],
    deep: Annotated[
        bool, typer.Option("--deep", help="Also retrieve the instances (C-GET) and compare attributes and pixels.")
    ] = False,
    allow: Annotated[
        list[str] | None,
        typer.Option("--allow", metavar="KEYWORD", help="An attribute that may differ, such as PatientID; repeatable."),
    ] = None,
    detach: Detach = False,
    priority: Priority = 5,
    _trace: output.Trace = False,
    as_json: output.Json = False,
) -> None:
    """Compare the SOP instances of studies at two places, and with --deep their attributes and pixels.

    Exit code 0 verified, 6 mismatch, 7 unverified.
    """
    built = application()
    destination = built.pacs.resolve(actor(), at)
    origin = None if source.casefold() == LOCAL else built.pacs.resolve(actor(), source)
    job = _submitted(studies, origin, destination, deep=deep, allow=allow or [], priority=priority, detach=detach)
    finish(job, f"verify at {destination.name}", detach=detach, as_json=as_json)


def _submitted(
    studies: list[str],
    origin: PacsServer | None,
    destination: PacsServer,
    *,
    deep: bool,
    allow: list[str],
    priority: int,
    detach: bool,
) -> Job:
    built = application()
    if origin is None:
        uids = [built.studies.resolve_reference(actor(), one) for one in studies]
    else:
        uids = [built.queries.identify(actor(), origin, one) for one in studies]
    return built.verify_jobs.submit(
        actor(),
        uids,
        origin,
        destination,
        deep=deep,
        allow=allow,
        priority=priority,
        max_attempts=ATTEMPTS[detach],
    )
