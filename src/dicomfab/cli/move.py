"""``dicomfab move``: have one PACS server send a study to another."""

from __future__ import annotations

import typer

from dicomfab.cli import output
from dicomfab.cli.carry_out import ATTEMPTS, Detach, Priority, finish
from dicomfab.cli.session import actor, application
from dicomfab.cli.transfer_options import From, ListFile, Series, SomeStudies, To, Wait, YesProduction, wanted

app = typer.Typer(add_completion=False)


@app.command()
def move(
    source: From,
    destination: To,
    studies: SomeStudies = None,
    list_file: ListFile = "",
    series: Series = None,
    yes_production: YesProduction = False,
    wait: Wait = 30.0,
    detach: Detach = False,
    priority: Priority = 5,
    _trace: output.Trace = False,
    as_json: output.Json = False,
) -> None:
    """Move studies, or series of one, from one PACS server to another (C-MOVE), and prove that they arrived.

    The name that the source knows the destination by comes from the route table (dicomfab pacs route). Without a route
    nothing is sent. The verdict compares the instances listed by both servers, whatever the counters say.
    """
    from dicomfab.services.jobs.service import Options

    built = application()
    asking = actor()
    at, to = built.pacs.resolve(asking, source), built.pacs.resolve(asking, destination)
    built.pacs.route(asking, at.id, to.id)
    job = built.jobs.move(
        asking,
        wanted(studies, list_file, at),
        at,
        to,
        series=series or (),
        confirm_production=yes_production,
        options=Options(wait, priority, ATTEMPTS[detach]),
    )
    finish(job, f"move to {to.name}", detach=detach, as_json=as_json)
