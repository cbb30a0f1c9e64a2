"""Do a job that was just submitted: here and now while the user waits, or in a worker while the user goes on."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, Final, NoReturn, TypeAlias

import typer

from dicomfab.app.plain import job_dict
from dicomfab.cli import output, report
from dicomfab.cli.progress import Shown, shown
from dicomfab.cli.session import actor, application
from dicomfab.model.errors import Conflict
from dicomfab.model.job import Job, JobEvent, JobState
from dicomfab.services.progress import Progress

_POLL_S: Final = 0.2
_TRY_AGAIN_S: Final = 2.0  # whether the worker that has the job is lost

Detach: TypeAlias = Annotated[
    bool,
    typer.Option("--detach/--wait", help="Leave it to a worker and return at once, or wait for it and its verdict."),
]
Priority: TypeAlias = Annotated[int, typer.Option(min=1, max=9, help="1 (first) to 9.")]


#: By whether nobody waits: how often a transfer is begun that fails for a reason that may pass.
ATTEMPTS: Final = {False: 1, True: 8}


def finish(job: Job, title: str, *, detach: bool, as_json: bool, also: Mapping[str, Any] | None = None) -> NoReturn:
    """Do a job or leave it to a worker, say how it ended or which it is, and leave.

    Args:
        job: just submitted.
        title: for the progress.
        detach: leave it to a worker.
        as_json: print JSON.
        also: further values for the JSON.

    Raises:
        Recorded: it failed before there was anything to report.
    """
    if not detach:
        report.finish(carried_out(job, title, quiet=as_json), as_json=as_json, also=also)
    from dicomfab.app.workers import ensure_worker

    ensure_worker(application())
    if as_json:
        output.print_json({**job_dict(job), **(also or {})})
    else:
        output.print_text(f"Job {job.id}: {job.title}")
        output.print_text(f"Watch it: dicomfab jobs watch {job.id}")
    sys.exit(0)


def carried_out(job: Job, title: str, *, quiet: bool) -> Job:
    """Do a job in this process, which is its worker for as long as it takes, and give it back as it ended.

    Ctrl-C cancels it before its next item. If another worker has it, that one is watched, and should it be lost, the
    job is gone on with here.
    """
    service = application().jobs
    tried_at = float("-inf")
    with shown(title, quiet=quiet) as view:
        while not job.state.has_ended and job.state is not JobState.PAUSED:
            done_here = False
            if job.state is JobState.QUEUED or time.monotonic() - tried_at > _TRY_AGAIN_S:
                done_here = application().worker.run_one(job.id, on_progress=view.on_progress, cancelled=view.cancelled)
                tried_at = time.monotonic()
            job = service.show(actor(), job.id)
            if not done_here and not job.state.has_ended:
                _wait(job, view)
                job = service.show(actor(), job.id)
    return job


def _wait(job: Job, view: Shown) -> None:
    """Watch a job for a moment that another worker does, or that waits for its turn."""
    stage = job.stage or ("waiting for its turn" if job.state is JobState.QUEUED else "running elsewhere")
    view.on_progress(Progress(stage, job.counts.done + job.counts.failed, job.counts.total or None))
    if view.cancelled() and not job.wish:
        with suppress(Conflict):  # it ended at this moment
            application().jobs.ask(actor(), job.id, JobEvent.CANCEL)
    time.sleep(_POLL_S)
