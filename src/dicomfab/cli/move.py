"""``dicomfab move``: have one PACS server send a study to another."""

from __future__ import annotations

import typer

from dicomfab.cli import output, report
from dicomfab.cli.progress import shown
from dicomfab.cli.session import actor, application
from dicomfab.cli.transfer_options import From, Study, To, Wait, YesProduction

app = typer.Typer(add_completion=False)


@app.command()
def move(
    study: Study,
    source: From,
    destination: To,
    yes_production: YesProduction = False,
    wait: Wait = 30.0,
    _trace: output.Trace = False,
    as_json: output.Json = False,
) -> None:
    """Move a study from one PACS server to another (C-MOVE), and prove that it arrived.

    The name that the source knows the destination by comes from the route table (dicomfab pacs route). Without a route
    nothing is sent. The verdict compares the instances listed by both servers, whatever the counters say.
    """
    from dicomfab.services.transfer import Watch

    built = application()
    asking = actor()
    at, to = built.pacs.resolve(asking, source), built.pacs.resolve(asking, destination)
    route = built.pacs.route(asking, at.id, to.id)
    study_uid = built.queries.identify(asking, at, study)
    with shown(f"move to {to.name}", quiet=as_json) as view:
        done = built.transfers.move(
            asking,
            study_uid,
            at,
            to,
            route,
            confirm_production=yes_production,
            watch=Watch(view.on_progress, view.cancelled, wait),
        )
    report.finish(done, as_json=as_json)
