"""``dicomfab worker``: do jobs."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from dicomfab.cli import output
from dicomfab.cli.session import actor, application
from dicomfab.model.errors import DicomFabError, LocalFailure

app = typer.Typer(add_completion=False)


@app.command()
def worker(
    queue: Annotated[
        list[str] | None, typer.Option("--queue", help="Only of this queue: pacs:ID or local; again for more. All.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, max=64, help="Jobs at once.")] = 4,
    idle_exit: Annotated[
        float | None, typer.Option("--idle-exit", min=0.1, help="End after so many seconds with nothing to do. [never]")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Do jobs until Ctrl-C: a job stops before its next item, and another worker goes on with it.

    The web pages and commands with --detach start one when there is none, so this is only for workers that shall stay,
    and for other machines. Each machine's workers do what its local store is needed for, and all moves.
    """
    output.log_to_stderr()
    built = application()
    worker_ = built.worker
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda *_: worker_.stop())
    if as_json:
        output.print_json({"worker": worker_.name, "queues": queue or []})
    else:
        output.print_text(f"Worker {worker_.name} does jobs until Ctrl-C")
    try:
        with built.audit.running(actor(), "worker"):
            worker_.serve(threads=threads, queues=queue or (), idle_exit_s=idle_exit)
    except DicomFabError:
        if not built.database.is_gone:
            raise
    if built.database.is_gone:
        raise LocalFailure(
            f"the database {built.database.place} was removed or replaced while this worker used it; it ends.",
            cause="the home folder was deleted, or a copy was put in its place",
            remedy="start it again for the database that is there now",
        )
