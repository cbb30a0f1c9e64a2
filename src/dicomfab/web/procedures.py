"""Requested procedures: what is to be done for orders, how far it has come, and whether the loop is closed."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.model.actor import Actor
from dicomfab.model.errors import DicomFabError
from dicomfab.model.procedure import ProcedureEventKind, ProcedureFilter, StepState
from dicomfab.registry.fields import Capability
from dicomfab.services.ordering.loop import LoopState
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.errors import status_of
from dicomfab.web.listing import PAGE_SIZE, Listing, Number, page_count, page_number
from dicomfab.web.templating import is_fragment_wanted, page

#: Which are shown: those with a step on the worklist, or those that are over.
_OPEN: Final = {"open": True, "over": False}
#: State -> class and symbol of how it is shown.
STEP_LOOKS: Final = {
    StepState.SCHEDULED: ("quiet", "calendar-event"),
    StepState.ARRIVED: ("quiet", "person-check"),
    StepState.READY: ("quiet", "person-check-fill"),
    StepState.STARTED: ("warn", "play-circle-fill"),
    StepState.DEPARTED: ("warn", "box-arrow-right"),
    StepState.COMPLETED: ("good", "check-circle-fill"),
    StepState.DISCONTINUED: ("bad", "slash-circle-fill"),
    StepState.CANCELLED: ("quiet", "x-circle"),
}
EVENT_ICONS: Final = {
    ProcedureEventKind.ORDERED: "clipboard2-plus",
    ProcedureEventKind.CHANGED: "pencil",
    ProcedureEventKind.STATE: "arrow-repeat",
    ProcedureEventKind.PERFORMING: "play-circle",
    ProcedureEventKind.PERFORMED: "stop-circle",
    ProcedureEventKind.STORED: "hdd",
    ProcedureEventKind.COMMITTED: "shield-check",
    ProcedureEventKind.AVAILABLE: "eye",
    ProcedureEventKind.REPORTED: "file-text",
    ProcedureEventKind.PATIENT: "person",
}
LOOP_LOOKS: Final = {
    LoopState.EQUAL: ("good", "check-circle-fill"),
    LoopState.DIFFERENT: ("bad", "exclamation-octagon-fill"),
    LoopState.MISSING: ("bad", "circle"),
    LoopState.UNKNOWN: ("warn", "question-circle-fill"),
}

router = APIRouter(prefix="/procedures")


def listing_of(q: str = "", state: str = "", page: str = "1") -> Listing:
    """Read the listing from the address; what makes no sense there is taken as absent."""
    return Listing(q.strip(), state if state in _OPEN else "", page_number(page))


@router.get("", dependencies=[permission(Action.VIEW)])
def overview(
    request: Request,
    listing: Annotated[Listing, Depends(listing_of)],
    actor: CurrentActor,
    application: CurrentApplication,
) -> Response:
    """One page of the procedures, the newest first."""
    wanted = ProcedureFilter(search=listing.search, is_open=_OPEN.get(listing.state))
    offset = (listing.number - 1) * PAGE_SIZE
    found = application.ordering.schedule.page(actor, wanted, limit=PAGE_SIZE, offset=offset)
    context = {
        "found": found,
        "listing": listing,
        "pages": page_count(found.total),
        "states": [("", "Any state"), ("open", "On the worklist"), ("over", "Over")],
        "looks": STEP_LOOKS,
    }
    return page(request, "procedures/list.html", context)


@router.get("/{number}", dependencies=[permission(Action.VIEW)])
def show(request: Request, number: Number, actor: CurrentActor, application: CurrentApplication) -> Response:
    """One procedure: its steps, what happened, and where each value came from."""
    return page(request, "procedures/show.html", _context(application, actor, number))


@router.get("/{number}/loop", dependencies=[permission(Action.QUERY)])
def loop(
    request: Request, number: Number, actor: CurrentActor, application: CurrentApplication, pacs: str = ""
) -> Response:
    """The same, with the closed loop checked at a server: a part of the page if that is what is asked for."""
    if not pacs:
        return RedirectResponse(f"/procedures/{number}#loop-head", status_code=303)
    context = _context(application, actor, number)
    error: DicomFabError | None = None
    try:
        server = application.pacs.get(actor, pacs)
        found = application.loops.check(actor, context["procedure"].accession_number, server)
        context["loop"] = next((steps for one, steps in found if one.number == number), None)
        context["pacs"] = server
    except DicomFabError as failure:
        error = failure
    context["error"] = error
    name = "procedures/loop.html" if is_fragment_wanted(request) else "procedures/show.html"
    return page(request, name, context, status_code=status_of(error) if error else 200)


def _context(application: Application, actor: Actor, number: int) -> dict[str, Any]:
    details = application.ordering.schedule.show(actor, number)
    procedure = details.procedure
    able = [one for one in application.pacs.servers(actor) if one.is_active and one.can(Capability.FIND)]
    able.sort(key=lambda one: not one.is_default)
    return {
        "details": details,
        "procedure": procedure,
        "has_study": application.studies.local.has_study(procedure.study_instance_uid),
        "servers": [one for one in able if one.environment is procedure.environment],
        "looks": STEP_LOOKS,
        "event_icons": EVENT_ICONS,
        "loop_looks": LOOP_LOOKS,
        "loop": None,
        "pacs": None,
        "error": None,
    }
