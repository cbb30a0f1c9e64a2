"""``dicomfab get``: fetch a study from a PACS server into the local store."""

from __future__ import annotations

import typer

from dicomfab.cli import output, report
from dicomfab.cli.progress import shown
from dicomfab.cli.session import actor, application
from dicomfab.cli.transfer_options import From, Study

app = typer.Typer(add_completion=False)


@app.command()
def get(study: Study, source: From, _trace: output.Trace = False, as_json: output.Json = False) -> None:
    """Fetch a study from a PACS server into the local store (C-GET), and prove that it is whole.

    The local study carries the environment of the server that it came from.
    """
    from dicomfab.services.transfer import Watch

    built = application()
    asking = actor()
    at = built.pacs.resolve(asking, source)
    study_uid = built.queries.identify(asking, at, study)
    with shown(f"get from {at.name}", quiet=as_json) as view:
        done = built.transfers.get(asking, study_uid, at, watch=Watch(view.on_progress, view.cancelled))
    report.finish(done, as_json=as_json)
