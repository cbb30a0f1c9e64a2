"""The first page, and whether the interface is alive."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.model.actor import Actor
from dicomfab.model.job import Job, JobState
from dicomfab.storage.jobs import JobFilter
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.templating import page

_NEWEST = 5

router = APIRouter()


@router.get("/", dependencies=[permission(Action.VIEW)])
def home(request: Request, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Where things stand, and where to go."""
    context = {
        "rows": application.pacs.overview(actor),
        "jobs": _jobs(application, actor),
        "workers": application.jobs.workers(),
        "found": application.studies.page(actor, limit=_NEWEST),
    }
    return page(request, "home.html", context)


@router.get("/healthz")
def healthz() -> PlainTextResponse:
    """For those who watch the process: it answers. Tells nothing, so it needs no permission."""
    return PlainTextResponse("ok")


def _jobs(application: Application, actor: Actor) -> list[Job]:
    """The newest jobs, those that run before the others."""
    running = application.jobs.page(actor, JobFilter(states=frozenset({JobState.RUNNING})), limit=_NEWEST).jobs
    newest = application.jobs.page(actor, JobFilter(), limit=_NEWEST).jobs
    return [*running, *(job for job in newest if job not in running)][:_NEWEST]
