"""The first page, and whether the interface is alive."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from dicomfab.access.policy import Action
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.templating import page

_NEWEST = 5

router = APIRouter()


@router.get("/", dependencies=[permission(Action.VIEW)])
def home(request: Request, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Where things stand, and where to go."""
    context = {
        "rows": application.pacs.overview(actor),
        "tasks": application.tasks.list(actor)[:_NEWEST],
        "found": application.studies.page(actor, limit=_NEWEST),
    }
    return page(request, "home.html", context)


@router.get("/healthz")
def healthz() -> PlainTextResponse:
    """For those who watch the process: it answers. Tells nothing, so it needs no permission."""
    return PlainTextResponse("ok")
