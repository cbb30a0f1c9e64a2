"""Watch a job on the terminal until it has ended."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

from dicomfab.app.plain import job_dict
from dicomfab.cli import output, report
from dicomfab.cli.job_text import progress_line
from dicomfab.cli.session import actor, application
from dicomfab.model.job import Job, JobState

_BEAT_S: Final = 1.0
_TENTHS: Final = 10
_INTERRUPTED: Final = 130


def watch_job(job: Job, *, as_json: bool) -> NoReturn:
    """Show a job until it has ended, and leave with its exit code.

    Ctrl-C ends the watching only.

    Raises:
        Recorded: it failed before there was anything to report.
    """
    try:
        with _shown(as_json=as_json) as show:
            job = _watched(job, show)
    except KeyboardInterrupt:
        if not as_json:
            output.print_text(f"No longer watched; job {job.id} goes on. Again: dicomfab jobs watch {job.id}")
        sys.exit(_INTERRUPTED)
    if as_json:
        sys.exit(report.exit_code(job))
    output.print_text(f"Job {job.id}: {progress_line(job)}")
    report.finish(job, as_json=False)


def _watched(job: Job, show: Callable[[Job], None]) -> Job:
    from dicomfab.app.workers import ensure_worker, replace_lost_worker

    if not job.state.has_ended and job.state is not JobState.PAUSED:
        ensure_worker(application())
    for seen in application().jobs.watch(actor(), job.id, beat_s=_BEAT_S):
        show(seen)
        if seen.state in (JobState.QUEUED, JobState.RUNNING):
            replace_lost_worker(application())
        job = seen
    return job


@contextmanager
def _shown(*, as_json: bool) -> Iterator[Callable[[Job], None]]:
    """What a job is shown with: lines of JSON, a line that changes on a terminal, or a line now and then."""
    if as_json:
        yield _OnChange(job_dict, _print_json)
    elif sys.stdout.isatty():
        with _live() as show:
            yield show
    else:
        yield _OnChange(_tenth, lambda job: output.print_text(f"Job {job.id}: {progress_line(job)}"))


class _OnChange:
    """Shows a job when what is looked at has changed.

    Args:
        of: what is looked at.
        show: shows it.
    """

    def __init__(self, of: Callable[[Job], object], show: Callable[[Job], None]) -> None:
        self._of = of
        self._show = show
        self._seen: object = None

    def __call__(self, job: Job) -> None:
        found = self._of(job)
        if found != self._seen:
            self._seen = found
            self._show(job)


def _tenth(job: Job) -> object:
    counts = job.counts
    return job.state, job.wish, job.attempts, _TENTHS * (counts.done + counts.failed) // max(counts.total, 1)


def _print_json(job: Job) -> None:
    from dicomfab.app.job_words import why_waiting

    plain = job_dict(job, application().jobs)
    plain["why_waiting"] = why_waiting(application(), actor(), job) or None
    print(json.dumps(plain, default=str), flush=True)


@contextmanager
def _live() -> Iterator[Callable[[Job], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=Console(), transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(job: Job) -> None:
            counts = job.counts
            text = output.clean(f"Job {job.id}: {progress_line(job)}")
            bar.update(task, description=text, completed=counts.done + counts.failed, total=counts.total or None)

        yield show
