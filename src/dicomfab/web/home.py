"""The dashboard, and whether the interface is alive."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import PlainTextResponse, Response

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.model.actor import Actor
from dicomfab.model.job import Job, JobState
from dicomfab.storage.jobs import JobFilter
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.monitor_view import row_of
from dicomfab.web.streams import stream
from dicomfab.web.templating import page

_JOBS = 5
_HAPPENINGS = 8
_CHECKS_DRAWN = 60
_LOOK_S = 1.0
#: A page that is left open asks again after this.
_STREAM_S = 600.0
_ACTIVE = frozenset({JobState.RUNNING, JobState.QUEUED, JobState.PAUSED})

router = APIRouter()


@router.get("/", dependencies=[permission(Action.OWN_ACCOUNT)])
def home(request: Request, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Where things stand, and where to go."""
    monitoring = application.monitoring
    board = monitoring.board(actor)
    rows = [row_of(one, monitoring.checks(actor, one.server.id, limit=_CHECKS_DRAWN)) for one in board]
    rows.sort(key=lambda row: row.look.kind not in ("bad", "warn"))
    context = {
        "rows": rows,
        "tests": {row.server.id: row.last_test for row in application.pacs.overview(actor)},
        "jobs": _jobs(application, actor),
        "workers": application.jobs.workers(),
        "held": application.dashboard.holdings(actor),
        "happenings": application.dashboard.activity(actor, _HAPPENINGS),
    }
    return page(request, "home.html", context)


@router.get("/changes", dependencies=[permission(Action.OWN_ACCOUNT)])
def changes(
    actor: CurrentActor, application: CurrentApplication, accept: Annotated[str, Header()] = ""
) -> EventSourceResponse:
    """A ``changed`` whenever the dashboard would look otherwise; for what takes no stream of events, one look."""
    gone = threading.Event()
    if "text/event-stream" not in accept:
        gone.set()
    return stream(_changes(application, actor, gone), on_close=gone.set)


@router.get("/healthz")
def healthz() -> PlainTextResponse:
    """For those who watch the process: it answers. Tells nothing, so it needs no permission."""
    return PlainTextResponse("ok")


def _jobs(application: Application, actor: Actor) -> list[Job]:
    """Jobs that are not over, those that run first."""
    active = application.jobs.page(actor, JobFilter(states=_ACTIVE), limit=100).jobs
    return sorted(active, key=lambda job: job.state is not JobState.RUNNING)[:_JOBS]


def _changes(application: Application, actor: Actor, gone: threading.Event) -> Iterator[ServerSentEvent]:
    shown, until = _fingerprint(application, actor), time.monotonic() + _STREAM_S
    yield ServerSentEvent(event="watching", data="")
    while time.monotonic() < until and not gone.wait(_LOOK_S):
        now = _fingerprint(application, actor)
        if now != shown:
            shown = now
            yield ServerSentEvent(event="changed", data="")


def _fingerprint(application: Application, actor: Actor) -> Any:
    """Differs when the dashboard does."""
    jobs = application.jobs.page(actor, JobFilter(), limit=_HAPPENINGS)
    active = application.jobs.page(actor, JobFilter(states=_ACTIVE), limit=_JOBS)
    newest = application.studies.page(actor, limit=1)
    states = [
        (one.server.id, one.server.name, one.state, one.row.last_at)
        for one in application.monitoring.board(actor, days=1)
    ]
    versions = [[(job.id, job.version) for job in found.jobs] for found in (jobs, active)]
    return versions, jobs.total, states, newest.total, [study.stored_at for study in newest.studies]
