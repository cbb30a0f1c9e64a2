"""What is said about a job, in pages and commands alike: why it waits, how fast it is, how long it still takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dicomfab.model.job import Job, JobState

if TYPE_CHECKING:
    from dicomfab.app.build import Application
    from dicomfab.model.actor import Actor

_PACS: Final = "pacs:"
NO_WORKER: Final = "No worker is running. Start one: dicomfab worker (or watch the job: dicomfab jobs watch NUMBER)"


def why_waiting(application: Application, actor: Actor, job: Job) -> str:
    """Why nothing happens to a job at present; empty if it runs or has ended."""
    if job.state is JobState.PAUSED:
        why = f": {job.error['what'].rstrip('.')}" if job.error.get("what") else ""
        return f"It is paused{why}. Go on with it: dicomfab jobs resume {job.id}"
    if job.state is not JobState.QUEUED:
        return ""
    if job.not_before > application.jobs.now():
        return _not_yet(job)
    if job.store_id not in ("", application.store_id):
        return "It waits for a worker on the computer whose local store it needs: dicomfab worker, there."
    if turn := _turn(application, actor, job):
        return turn
    if not application.jobs.workers():
        return NO_WORKER.replace("NUMBER", str(job.id))
    return "It waits for a worker that is free."


def server_name(application: Application, queue: str) -> str:
    """The name of the server that a queue belongs to: its id if it is there no more; empty for a queue of none."""
    if not queue.startswith(_PACS):
        return ""
    server_id = queue.removeprefix(_PACS)
    return next((s.name for s in application.registry.load().servers if s.id == server_id), server_id)


def duration(value_s: float) -> str:
    """A duration for reading, in the two largest units: ``3 min 20 s``."""
    if value_s < 10:
        return f"{value_s:.1f} s"
    whole = round(value_s)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def rate(per_second: float) -> str:
    """A rate for reading: ``310/s``, or ``12/min`` if it is slow."""
    if per_second >= 10:
        return f"{per_second:.0f}/s"
    return f"{per_second:.1f}/s" if per_second >= 0.95 else f"{per_second * 60:.1f}/min"


def _not_yet(job: Job) -> str:
    at = job.not_before.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if not job.attempts:
        return f"It begins at {at}."
    why = f" ({job.error['what']})" if job.error.get("what") else ""
    return f"It is tried again at {at}: attempt {job.attempts} of {job.max_attempts} failed{why}."


def _turn(application: Application, actor: Actor, job: Job) -> str:
    """Whether as many jobs run as its queue bears."""
    from dicomfab.app.workers import limits
    from dicomfab.storage.jobs import JobFilter

    limit = limits(application.registry)(job.queue)
    running, waiting = (
        application.jobs.page(actor, JobFilter(states=frozenset({state}), queue=job.queue), limit=1).total
        for state in (JobState.RUNNING, JobState.QUEUED)
    )
    if running < limit:
        return ""
    server = server_name(application, job.queue)
    where = f"for {server}" if server else "on this computer"
    return f"It waits for its turn: {running} of at most {limit} jobs {where} run, and {waiting} wait."
