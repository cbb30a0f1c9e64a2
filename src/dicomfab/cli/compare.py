"""``dicomfab compare``: what two PACS servers hold, side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from dicomfab.cli import output
from dicomfab.cli.carry_out import ATTEMPTS, Detach, Priority, finish
from dicomfab.cli.session import actor, application
from dicomfab.cli.transfer_options import Wait, YesProduction
from dicomfab.model.errors import InvalidInput

app = typer.Typer(add_completion=False)


@app.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="Id or name of one server.")] = "",
    b: Annotated[str, typer.Argument(metavar="B", help="Id or name of the other.")] = "",
    patient_id: Annotated[str, typer.Option(help="Only studies of this Patient ID.")] = "",
    accession: Annotated[str, typer.Option(help="Only studies of this accession number.")] = "",
    date: Annotated[
        str,
        typer.Option(help="Study date: YYYY-MM-DD, A..B, today, yesterday, 'last 7 days', 'this week', 'this month'."),
    ] = "",
    date_from: Annotated[str, typer.Option(help="First study date, YYYY-MM-DD.")] = "",
    date_to: Annotated[str, typer.Option(help="Last study date, YYYY-MM-DD.")] = "",
    modality: Annotated[str, typer.Option(help="Only studies with this modality, such as CT.")] = "",
    study: Annotated[str, typer.Option(help="Only this study, by its Study Instance UID.")] = "",
    instances: Annotated[
        bool,
        typer.Option(
            "--instances",
            help="List the instances of every study, not only of those whose counts differ or are not told.",
        ),
    ] = False,
    fix: Annotated[
        int | None,
        typer.Option("--fix", metavar="JOB", min=1, help="Move what this comparison found missing; with --to."),
    ] = None,
    to: Annotated[str, typer.Option("--to", help="With --fix: which of its two servers is to receive.")] = "",
    yes_production: YesProduction = False,
    wait: Wait = 30.0,
    detach: Detach = False,
    priority: Priority = 5,
    _trace: output.Trace = False,
    as_json: output.Json = False,
) -> None:
    """Compare two PACS servers: studies and instances that only one has, counts and attributes that differ.

    Both list their studies; instances are asked for only where the counts differ or are not told. A study counts as
    missing only if the server, asked for it by UID, does not know it. Without a patient, accession number, UID or date,
    a comparison with a production server is refused. Exit code 0 equal, 6 not equal, 4 a server could not be asked to
    the end.

    --fix JOB --to SERVER moves what a comparison found missing there from the other server (C-MOVE): whole studies, or
    the series that lack an instance. Attributes that differ stay as they are.
    """
    if fix is not None or to:
        if fix is None or not to or a or b:
            raise _unclear("fix", "fixing needs the number of a comparison and which server is to receive")
        _fix(fix, to, yes_production=yes_production, wait=wait, detach=detach, priority=priority, as_json=as_json)
    if not a or not b:
        raise _unclear("b" if a else "a", "two servers are compared")
    from dicomfab.services.study_filter import StudyFilter

    built = application()
    one, other = built.pacs.resolve(actor(), a), built.pacs.resolve(actor(), b)
    wanted = StudyFilter(
        patient_id=patient_id, accession_number=accession, date=date, date_from=date_from, date_to=date_to,
        modality=modality, study_instance_uid=study,
    )  # fmt: skip
    job = built.compare_jobs.submit(
        actor(), one, other, wanted, instances=instances, priority=priority, max_attempts=ATTEMPTS[detach]
    )
    finish(job, f"compare {one.name} with {other.name}", detach=detach, as_json=as_json)


def _fix(
    job_id: int, to: str, *, yes_production: bool, wait: float, detach: bool, priority: int, as_json: bool
) -> None:
    from dicomfab.services.jobs.service import Options

    built = application()
    destination = built.pacs.resolve(actor(), to)
    job = built.compare_jobs.fix(
        actor(),
        job_id,
        destination,
        confirm_production=yes_production,
        options=Options(wait, priority, ATTEMPTS[detach]),
    )
    finish(job, f"move to {destination.name}", detach=detach, as_json=as_json)


def _unclear(field: str, cause: str) -> InvalidInput:
    return InvalidInput(
        f"{field}: not clear what to compare or to fix",
        field=field,
        cause=cause,
        remedy="dicomfab compare SERVER SERVER, or dicomfab compare --fix JOB --to SERVER",
    )
