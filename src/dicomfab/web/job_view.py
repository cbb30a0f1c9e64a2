"""What the pages say about a job: in words, with its figures."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from dicomfab.access.policy import Action, Scope, decide
from dicomfab.app import job_words
from dicomfab.app.build import Application
from dicomfab.fabricate.recipe import ResolvedStudy
from dicomfab.model.actor import Actor
from dicomfab.model.errors import Recorded
from dicomfab.model.job import ItemState, Job, JobEvent, JobKind, JobState, Wish
from dicomfab.registry.server import PacsServer
from dicomfab.services.jobs.service import requests_possible
from dicomfab.web.templating import capitalize_first, moment

LOCAL: Final = "local"
PACS: Final = "pacs:"
STUDIES_SHOWN: Final = 50

_UNITS: Final = {
    JobKind.SEND: ("instance", "instances"),
    JobKind.FABRICATE: ("study", "studies"),
    JobKind.MOVE: ("study", "studies"),
    JobKind.GET: ("study", "studies"),
    JobKind.VERIFY: ("study", "studies"),
    JobKind.QUERY: ("server", "servers"),
    JobKind.COMPARE: ("difference", "differences"),
}
# What a worker notes of an item that takes long, such as a study that is fabricated or moved.
_WITHIN_ITEM: Final = re.compile(r"(?P<what>.+): (?P<done>\d+)(?: of (?P<total>\d+))? instances")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is.

    Args:
        text: what is going on, or why nothing is.
        unit: what is counted.
        done: of them.
        total: ``None`` if it is not known.
        rate: ``12/s``; empty if it cannot be told.
        time: how long it still takes or took; empty if it cannot be told.
    """

    text: str
    unit: str
    done: int
    total: int | None
    rate: str = ""
    time: str = ""


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as its page shows it.

    Args:
        job: as the ledger has it.
        progress: how far it is.
        error: why it failed or waits, if it does.
        server: name of the server whose associations it uses; empty for work on this computer.
        requests: what may be asked of it by whoever looks.
        may_change: whether whoever looks may ask anything of it.
    """

    job: Job
    progress: Progress
    error: Recorded | None
    server: str
    requests: tuple[JobEvent, ...]
    may_change: bool

    @property
    def unit(self) -> str:
        """What its items are."""
        return unit_of(self.job.kind, self.job.counts.total)

    @property
    def resent_word(self) -> str:
        """What it is called that items were begun again without their outcome being known."""
        return "Resent" if self.job.kind is JobKind.SEND else "Begun again"


def view_of(application: Application, actor: Actor, job: Job) -> JobView:
    """Look at a job."""
    may_change = job.owner == actor.name or decide(actor, Action.CONFIGURE, Scope.SYSTEM).allowed
    return JobView(
        job,
        _progress(application, actor, job),
        Recorded(job.error) if job.error else None,
        job_words.server_name(application, job.queue),
        _requests(job) if may_change else (),
        may_change,
    )


def _requests(job: Job) -> tuple[JobEvent, ...]:
    """What may be asked that was not asked yet."""
    if job.wish is Wish.CANCEL:
        return ()
    return tuple(event for event in requests_possible(job.state) if str(event) != str(job.wish))


def unit_of(kind: JobKind, number: int) -> str:
    """What the items of a kind of job are called."""
    return _UNITS.get(kind, ("item", "items"))[number != 1]


def outcome_of(application: Application, actor: Actor, job: Job) -> dict[str, Any]:
    """What a job has found out, for its page: the transfers of studies, and the study that was made."""
    studies = list(job.report.get("studies", ()))
    studies.sort(key=lambda study: study["verdict"]["kind"] == "verified")
    made = resolved = None
    if job.kind is JobKind.FABRICATE and job.counts.done == job.counts.total == 1:
        (item,) = application.jobs.items(actor, job.id, (ItemState.DONE,), limit=1)
        made, resolved = item.detail, ResolvedStudy.from_dict(dict(item.request))
    found = {"studies": studies, "studies_shown": STUDIES_SHOWN, "made": made, "resolved": resolved}
    return found | _compared(application, actor, job) if "comparison" in job.report else found


@dataclass(frozen=True, slots=True)
class Fix:
    """What can be sent after a comparison.

    Args:
        source: who has it.
        to: who lacks it.
        has_route: whether the source has a name for it.
    """

    source: PacsServer
    to: PacsServer
    has_route: bool


def _compared(application: Application, actor: Actor, job: Job) -> dict[str, Any]:
    """The first differences of each kind, and what can be sent to make the servers equal."""
    found = application.compare_jobs.findings(actor, job, most=STUDIES_SHOWN)
    servers = {server.id: server for server in application.pacs.servers(actor)}
    registry = application.registry.load()
    fixes = []
    for one, other in (("a", "b"), ("b", "a")):
        source, to = servers.get(job.request[one]), servers.get(job.request[other])
        if job.report["comparison"][other]["lacking"] and source and to:
            fixes.append(Fix(source, to, to.id in registry.routes_from(source.id)))
    return {"compared": found, "fixes": fixes}


def _progress(application: Application, actor: Actor, job: Job) -> Progress:
    counts, now = job.counts, application.jobs.now()
    ended = counts.done + counts.failed
    within = _WITHIN_ITEM.fullmatch(job.stage) if job.state is JobState.RUNNING and counts.total == 1 else None
    if within:
        total = int(within["total"]) if within["total"] else None
        return _within(job, now, within["what"], int(within["done"]), total)
    left = job.seconds_left(now)
    time = _took(job) if job.state.has_ended else "" if left is None else job_words.duration(left)
    rate = job.rate(now) if job.state.has_ended or job.state is JobState.RUNNING else None
    return Progress(
        _text(application, actor, job),
        unit_of(job.kind, counts.total),
        ended,
        counts.total,
        "" if rate is None else job_words.rate(rate),
        time,
    )


def _within(job: Job, now: datetime, what: str, done: int, total: int | None) -> Progress:
    """The progress of a job's only item."""
    seconds = (now - job.started_at).total_seconds() if job.started_at else 0.0
    rate = done / seconds if seconds > 0 else 0.0
    left = job_words.duration((total - done) / rate) if total is not None and rate and total >= done else ""
    return Progress(
        _attempt(job, capitalize_first(what)), "instances", done, total, job_words.rate(rate) if rate else "", left
    )


def _text(application: Application, actor: Actor, job: Job) -> str:
    match job.state:
        case JobState.RUNNING:
            return _attempt(job, capitalize_first(job.stage) or "Starting")
        case JobState.QUEUED:
            return _why_waiting(application, actor, job)
        case JobState.PAUSED:
            return "Goes on when somebody asks for it."
    return f"Ended {moment(job.ended_at)}." if job.ended_at else ""


def _attempt(job: Job, text: str) -> str:
    return f"{text} (attempt {job.attempts + 1} of {job.max_attempts})" if job.attempts else text


def _why_waiting(application: Application, actor: Actor, job: Job) -> str:
    words = job_words.why_waiting(application, actor, job)
    if words == job_words.NO_WORKER.replace("NUMBER", str(job.id)) and application.settings.worker_idle_s:
        return "It waits for a worker. One is started within seconds."
    return words


def _took(job: Job) -> str:
    return (
        job_words.duration((job.ended_at - job.started_at).total_seconds()) if job.started_at and job.ended_at else ""
    )
