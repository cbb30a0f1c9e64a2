"""``dicomfab get``: fetch a study from a PACS server into the local store."""

from __future__ import annotations

import typer

from dicomfab.cli import output
from dicomfab.cli.carry_out import ATTEMPTS, Detach, Priority, finish
from dicomfab.cli.session import actor, application
from dicomfab.cli.transfer_options import From, ListFile, Series, SomeStudies, Via, wanted

app = typer.Typer(add_completion=False)


@app.command()
def get(
    source: From,
    studies: SomeStudies = None,
    list_file: ListFile = "",
    series: Series = None,
    via: Via = "",
    detach: Detach = False,
    priority: Priority = 5,
    _trace: output.Trace = False,
    as_json: output.Json = False,
) -> None:
    """Fetch studies, or series of one, from a PACS server into the local store, and prove that they are whole.

    By C-GET, or over DICOMweb by WADO-RS. The local study carries the environment of the server that it came from.
    """
    from dicomfab.services.jobs.service import Options

    built = application()
    asking = actor()
    at = built.pacs.resolve(asking, source).by(via)
    job = built.jobs.get(
        asking,
        wanted(studies, list_file, at),
        at,
        series=series or (),
        via=via,
        options=Options(priority=priority, max_attempts=ATTEMPTS[detach]),
    )
    finish(job, f"get from {at.name}", detach=detach, as_json=as_json)
