"""A job as people read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from dicomfab.app.plain import job_dict
from dicomfab.cli import output, report
from dicomfab.cli.session import actor, application
from dicomfab.model.errors import Recorded
from dicomfab.model.job import ItemState, Job, JobItem, JobState

if TYPE_CHECKING:
    from rich.text import Text

_SHOWN_FAILURES: Final = 10
#: Never colour alone: the word stands there.
_STYLES: Final = {
    JobState.SUCCEEDED: "green",
    JobState.UNVERIFIED: "yellow",
    JobState.FAILED: "bold red",
    JobState.CANCELLED: "yellow",
    JobState.PAUSED: "yellow",
}


def show_job(job: Job, wanted: Sequence[ItemState] | None, *, limit: int, offset: int, as_json: bool) -> None:
    """Print a job.

    Args:
        job: as it is.
        wanted: list items in these states, all if none is named; ``None`` lists only the first that failed or are held.
        limit: at most so many items.
        offset: so many items are left out before.
        as_json: print JSON.
    """
    from dicomfab.app.job_words import why_waiting
    from dicomfab.app.plain import item_dict

    service, why = application().jobs, why_waiting(application(), actor(), job)
    if wanted is None:
        items = service.items(actor(), job.id, (ItemState.FAILED, ItemState.HELD), limit=_SHOWN_FAILURES)
    elif wanted:
        items = service.items(actor(), job.id, wanted, limit=limit, offset=offset)
    else:
        items = service.items_worst_first(actor(), job.id, limit=limit, offset=offset)
    if as_json:
        plain = job_dict(job, service) | {"why_waiting": why or None}
        output.print_json({**plain, "listed_items": [item_dict(item) for item in items]})
        return
    output.print_table(("job", str(job.id)), _facts(job, why))
    report.print_studies(job)
    if job.error:
        output.print_text(("Last failure: " if job.state is JobState.QUEUED else "") + str(Recorded(job.error)))
    if items:
        output.print_table(("item", "state", "tries", "resent", "status", "key", "why"), [_cells(one) for one in items])
    if wanted is None and len(items) == _SHOWN_FAILURES:
        output.print_text(f"All of them: dicomfab jobs show {job.id} --state failed --state held")


def progress_line(job: Job) -> str:
    """How far a job is, in a line: state, items, rate, time left and stage."""
    from dicomfab.app.job_words import duration, rate, why_waiting

    counts, now = job.counts, application().jobs.now()
    parts = [str(job.state), f"{counts.done}/{counts.total}"]
    if counts.failed:
        parts.append(f"{counts.failed} failed")
    if counts.resent:
        parts.append(f"{counts.resent} resent")
    if job.state is JobState.RUNNING:
        speed, left = job.rate(now), job.seconds_left(now)
        parts += [] if speed is None else [rate(speed)]
        parts += [] if left is None else [f"{duration(left)} left"]
        parts += [job.stage] if job.stage else []
        parts += [f"asked to {job.wish}"] if job.wish else []
    elif why := why_waiting(application(), actor(), job):
        parts.append(why)
    return "  ".join(parts)


def _facts(job: Job, why: str) -> list[tuple[str, str | Text]]:
    from rich.text import Text

    from dicomfab.app.job_words import duration, rate, server_name

    counts, now = job.counts, application().jobs.now()
    speed, left = job.rate(now), job.seconds_left(now)
    state = Text(str(job.state), style=_STYLES.get(job.state, ""))
    state.append(f", asked to {job.wish}" if job.wish else "", style="default")
    rows: list[tuple[str, str | Text]] = [("what", job.title), ("state", state)]
    optional = (
        ("waits", why),
        ("stage", job.stage),
        ("server", server_name(application(), job.queue)),
        ("rate", "" if speed is None else rate(speed)),
        ("time left", "" if left is None else duration(left)),
        ("size", f"{counts.size_bytes / 1e6:.1f} MB" if counts.size_bytes else ""),
        ("verdict", str(job.report.get("verdict", ""))),
        ("schedule", "" if job.schedule is None else str(job.schedule)),
        ("worker", job.worker),
    )
    items = f"{counts.done} of {counts.total} done, {counts.failed} failed, {counts.open} open"
    items += f", {counts.held} held for a decision" if counts.held else ""
    rows.append(("items", items))
    rows.append(("resent", str(counts.resent)))
    rows += [(name, value) for name, value in optional if value]
    rows.append(("owner", job.owner))
    rows.append(("environment", output.environment_text(job.environment)))
    rows.append(("priority", str(job.priority)))
    times = (("made", job.created_at), ("begun", job.started_at), ("ended", job.ended_at))
    rows += [(name, f"{at.astimezone():%Y-%m-%d %H:%M:%S}") for name, at in times if at is not None]
    return rows


def _cells(item: JobItem) -> tuple[str, ...]:
    key = item.key if item.label in ("", item.key) else f"{item.key} ({item.label})"
    why = _why(item)
    return str(item.number), str(item.state), str(item.attempts), str(item.resent), item.status, key, why


def _why(item: JobItem) -> str:
    """Why an item failed or is held: of its own error, or of what its report says."""
    found = item.detail.get("error") or item.detail.get("report", {}).get("error")
    if found:
        return str(found["what"])
    verdict = item.detail.get("report", {}).get("verdict", {})
    return str(verdict.get("why", "")) if item.state is ItemState.FAILED else str(item.detail.get("why", ""))
