"""``dicomfab jobs``: what was left to do, how far it is, and how it ended."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from dicomfab.app.plain import job_dict
from dicomfab.cli import output
from dicomfab.cli.session import actor, application
from dicomfab.model.job import ItemState, Job, JobEvent, JobKind, JobState

if TYPE_CHECKING:
    from dicomfab.storage.jobs import JobFilter

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Jobs: list, show, watch, cancel, pause, resume, retry, and the workers that do them.",
)

Number = Annotated[int, typer.Argument(help="Number of the job.")]


@app.command("list")
def list_(
    state: Annotated[list[JobState] | None, typer.Option(help="Only in this state; again for more.")] = None,
    kind: Annotated[list[JobKind] | None, typer.Option(help="Only of this kind; again for more.")] = None,
    owner: Annotated[str, typer.Option(help="Only those of a user.")] = "",
    server: Annotated[str, typer.Option(help="Only those that use this server, by id or name.")] = "",
    search: Annotated[str, typer.Option(help="Only those with this in their title.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 30,
    offset: Annotated[int, typer.Option(min=0, help="Leave out so many of the newest.")] = 0,
    as_json: output.Json = False,
) -> None:
    """List jobs, the newest first."""
    from dicomfab.app.job_words import NO_WORKER
    from dicomfab.storage.jobs import JobFilter

    service = application().jobs
    queue = f"pacs:{application().pacs.resolve(actor(), server).id}" if server else ""
    wanted = JobFilter(frozenset(state or ()), frozenset(kind or ()), owner=owner, queue=queue, search=search)
    page = service.page(actor(), wanted, limit=limit, offset=offset)
    if as_json:
        output.print_json({"total": page.total, "jobs": [job_dict(job, service) for job in page.jobs]})
        return
    if not page.total:
        output.print_text("No such jobs." if _is_narrowed(wanted) else "No jobs yet. Long commands make them: --detach")
        return
    columns = ("job", "state", "items", "failed", "resent", "time left", "owner", "made", "what")
    output.print_table(columns, [_cells(job) for job in page.jobs])
    if page.total > len(page.jobs):
        output.print_text(f"{len(page.jobs)} of {page.total}")
    if any(job.state is JobState.QUEUED for job in page.jobs) and not service.workers():
        output.print_text(NO_WORKER)


def _is_narrowed(wanted: JobFilter) -> bool:
    return any((wanted.states, wanted.kinds, wanted.owner, wanted.queue, wanted.search))


def _cells(job: Job) -> tuple[str, ...]:
    from dicomfab.app.job_words import duration

    counts, left = job.counts, job.seconds_left(application().jobs.now())
    return (
        str(job.id),
        f"{job.state}, to {job.wish}" if job.wish else str(job.state),
        f"{counts.done}/{counts.total}",
        str(counts.failed),
        str(counts.resent),
        "" if left is None else duration(left),
        job.owner,
        f"{job.created_at.astimezone():%Y-%m-%d %H:%M}",
        job.title,
    )


@app.command()
def show(
    job: Number,
    items: Annotated[bool, typer.Option("--items", help="List its items, those that failed first.")] = False,
    state: Annotated[
        list[ItemState] | None, typer.Option(help="Only items in this state; again for more. Lists them.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many items.")] = 50,
    offset: Annotated[int, typer.Option(min=0, help="Leave out so many items before.")] = 0,
    as_json: output.Json = False,
) -> None:
    """Show a job: how far it is, why it waits, what it found out, and what failed."""
    from dicomfab.cli.job_text import show_job

    wanted = state or [] if items or state else None
    show_job(application().jobs.show(actor(), job), wanted, limit=limit, offset=offset, as_json=as_json)


@app.command()
def watch(
    job: Number,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON for each change.")] = False,
) -> None:
    """Watch a job until it has ended, and leave with the exit code of the job.

    If no worker is there to do it, one is started. Ctrl-C ends the watching, not the job.
    """
    from dicomfab.cli.job_watch import watch_job

    watch_job(application().jobs.show(actor(), job), as_json=as_json)


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
        output.print_json(job_dict(asked))
    else:
        output.print_text(f"Job {asked.id} is {asked.state}" + (f", asked to {asked.wish}" if asked.wish else ""))
    sys.exit(0)


@app.command()
def prefer(
    job: Number,
    priority: Annotated[int, typer.Argument(min=1, max=9, help="1 (first) to 9 (last); 5 is usual.")] = 1,
    as_json: output.Json = False,
) -> None:
    """Change the priority of a job: of those that wait, the first ones are taken first."""
    changed = application().jobs.prefer(actor(), job, priority)
    if as_json:
        output.print_json(job_dict(changed))
    else:
        output.print_text(f"Job {changed.id} has priority {changed.priority}")


@app.command()
def forget(
    older_than: Annotated[
        int, typer.Option("--older-than", min=0, help="Days since a job ended; younger ones are kept.")
    ] = 30,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Delete jobs that ended long ago, with their items. What they did stays done."""
    output.confirm(f"Forget all jobs that ended more than {older_than} days ago?", yes=yes, as_json=as_json)
    forgotten = application().jobs.forget(actor(), older_than)
    if as_json:
        output.print_json({"forgotten": forgotten})
    else:
        output.print_text(f"Forgot {output.counted(forgotten, 'job')}")


@app.command()
def workers(as_json: output.Json = False) -> None:
    """List the workers that are alive, on this computer and on others that share its database."""
    from dicomfab.app.job_words import NO_WORKER, duration

    service, here = application().jobs, application().store_id
    found = service.workers()
    now = service.now()
    if as_json:
        output.print_json(
            [
                {
                    "name": one.name,
                    "host": one.host,
                    "process_id": one.process_id,
                    "reaches_local_store": one.store_id == here,
                    "started_at": one.started_at.isoformat(),
                    "seen_at": one.seen_at.isoformat(),
                }
                for one in found
            ]
        )
    elif not found:
        output.print_text(NO_WORKER)
    else:
        columns = ("worker", "host", "process", "local store", "runs for")
        rows = [
            (
                one.name,
                one.host,
                str(one.process_id),
                "this one" if one.store_id == here else "another",
                duration(max(0.0, (now - one.started_at).total_seconds())),
            )
            for one in found
        ]
        output.print_table(columns, rows)


@app.command()
def release(
    job: Number,
    line: Annotated[int, typer.Option(min=1, help="Line of the list whose row is held back.")],
    study: Annotated[str, typer.Option(help="Study Instance UID of the study that the row means.")],
    as_json: output.Json = False,
) -> None:
    """Say which study a row means that was held back because several fit; the job goes on with it."""
    from dicomfab.app.workers import ensure_worker

    decided = application().jobs.decide(actor(), job, line, study)
    ensure_worker(application())
    if as_json:
        output.print_json(job_dict(decided))
    else:
        output.print_text(f"Job {decided.id} is {decided.state}; {decided.counts.held} rows are held back")


@app.command()
def outcomes(
    job: Number,
    out: Annotated[str, typer.Option("--out", help="CSV file to write; - is standard output.")] = "-",
) -> None:
    """Write a CSV with a row for each item of a job, such as each row of a list: how it ended, and why."""
    from pathlib import Path

    from dicomfab.services.jobs.outcomes import outcome_rows

    text = outcome_rows(application().jobs.every_item(actor(), job))
    if out == "-":
        sys.stdout.write(text)
    else:
        Path(out).write_text(text, "utf-8")
        output.print_text(f"Written to {out}")
