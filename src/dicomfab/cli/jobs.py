"""``dicomfab jobs``: what was left to do, how far it is, and how it ended."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dicomfab.cli import output, report
from dicomfab.cli.session import actor, application
from dicomfab.model.job import Job, JobEvent, JobState

app = typer.Typer(add_completion=False, no_args_is_help=True)

Number = Annotated[int, typer.Argument(help="Number of the job.")]


@app.command("list")
def list_(
    state: Annotated[list[JobState] | None, typer.Option(help="Only in this state; again for more.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 30,
    as_json: output.Json = False,
) -> None:
    """List jobs, the newest first."""
    from dicomfab.storage.jobs import JobFilter

    service = application().jobs
    page = service.page(actor(), JobFilter(states=frozenset(state or ())), limit=limit)
    if as_json:
        output.print_json({"total": page.total, "jobs": [report.job_dict(job, service) for job in page.jobs]})
        return
    columns = ("job", "state", "items", "failed", "resent", "what")
    output.print_table(columns, [_cells(job) for job in page.jobs])
    if page.total > len(page.jobs):
        output.print_text(f"{len(page.jobs)} of {page.total}")


def _cells(job: Job) -> tuple[str, ...]:
    counts = job.counts
    return (
        str(job.id),
        str(job.state),
        f"{counts.done}/{counts.total}",
        str(counts.failed),
        str(counts.resent),
        job.title,
    )


@app.command()
def cancel(job: Number, as_json: output.Json = False) -> None:
    """Cancel a job: it stops before its next item."""
    _ask(job, JobEvent.CANCEL, as_json=as_json)


@app.command()
def pause(job: Number, as_json: output.Json = False) -> None:
    """Pause a job before its next item."""
    _ask(job, JobEvent.PAUSE, as_json=as_json)


@app.command()
def resume(job: Number, as_json: output.Json = False) -> None:
    """Go on with a paused job."""
    _ask(job, JobEvent.RESUME, as_json=as_json)


@app.command()
def retry(job: Number, as_json: output.Json = False) -> None:
    """Do again what failed of a job, and what was not done yet; what is done stays done."""
    _ask(job, JobEvent.RETRY, as_json=as_json)


def _ask(job: int, event: JobEvent, *, as_json: bool) -> None:
    from dicomfab.app.workers import ensure_worker

    asked = application().jobs.ask(actor(), job, event)
    if asked.state is JobState.QUEUED:
        ensure_worker(application())
    if as_json:
        output.print_json(report.job_dict(asked))
    else:
        output.print_text(f"Job {asked.id} is {asked.state}" + (f", asked to {asked.wish}" if asked.wish else ""))
    sys.exit(0)
