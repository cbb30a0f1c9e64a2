"""A modality to be: what the worklist offers, and an examination as it happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from pydicom import Dataset
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import RedirectResponse, Response

from dicomfab.access.policy import Action, Scope, require
from dicomfab.app.build import Application
from dicomfab.fabricate.kinds import ALL_KINDS
from dicomfab.model.actor import Actor
from dicomfab.model.errors import DicomFabError, InvalidInput, NotFound
from dicomfab.model.values import Environment
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.ordering.modality import ModalityConfig
from dicomfab.services.ordering.modality_config import Told
from dicomfab.services.ordering.performing import REASONS, step_of
from dicomfab.services.ordering.ris_address import own_ris
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.errors import status_of
from dicomfab.web.modality_form import CASES, PACES, SPECIAL, Wanted, config_of, wanted_of
from dicomfab.web.modality_runs import ModalityRun, ModalityRuns
from dicomfab.web.streams import stream
from dicomfab.web.templating import fragment, is_fragment_wanted, page, query_string

#: Items that are shown; a modality narrows its query if there are more.
SHOWN: Final = 100
_TICK_S: Final = 1.0
#: Step -> symbol.
ICONS: Final = {
    "not asked": "question-circle",
    "waiting": "hourglass",
    "skipped": "skip-forward",
    "worklist": "list-check",
    "append": "plus-circle",
    "unscheduled": "person-exclamation",
    "wrong item": "exclamation-triangle",
    "in progress": "play-circle",
    "acquiring": "camera-video",
    "acquired": "camera",
    "stored": "hdd",
    "completed": "check-circle",
    "discontinued": "slash-circle",
    "committed": "shield-check",
    "not committed": "shield-x",
    "announced": "megaphone",
}

router = APIRouter(prefix="/modality")


def runs_of(request: Request) -> ModalityRuns:
    """The examinations of this installation's pages."""
    runs: ModalityRuns = request.app.state.modality_runs
    return runs


@router.get("", dependencies=[permission(Action.FABRICATE)])
def show(request: Request, actor: CurrentActor, application: CurrentApplication, run: str = "") -> Response:
    """The form, with the worklist below it; with ``run``, that examination."""
    wanted = wanted_of(request)
    if not run:
        return _page(request, application, actor, wanted)
    try:
        kept = runs_of(request).get(actor, run)
    except NotFound as gone:
        return _page(request, application, actor, wanted, error=gone)
    return _page(request, application, actor, wanted, run=kept, run_id=run)


@router.get("/worklist", dependencies=[permission(Action.QUERY)])
def worklist(request: Request, actor: CurrentActor, application: CurrentApplication) -> Response:
    """What the worklist offers: a part of the page if that is what is asked for."""
    wanted = wanted_of(request)
    error: DicomFabError | None = None
    items: list[dict[str, str]] = []
    try:
        found = application.modality.items(actor, config_of(application, actor, wanted), limit=SHOWN + 1)
        items = [_row(item) for item in found]
    except DicomFabError as failure:
        error = failure
    if not is_fragment_wanted(request):
        return _page(request, application, actor, wanted, error=error, items=items)
    context = {"wanted": wanted, "items": items, "error": error, "most": SHOWN}
    return page(request, "modality/worklist.html", context, status_code=status_of(error) if error else 200)


@router.post("", dependencies=[permission(Action.FABRICATE)])
def perform(
    request: Request, wanted: Annotated[Wanted, Form()], actor: CurrentActor, application: CurrentApplication
) -> Response:
    """Begin an examination; the page that it leads to follows it."""
    if wanted.item:
        wanted = wanted.model_copy(update={"accession": wanted.item, "item": ""})
    try:
        config = config_of(application, actor, wanted)
        require(actor, Action.FABRICATE, Scope.SYSTEM)
        require(actor, Action.STORE, config.pacs.environment)
        run_id = runs_of(request).begin(ModalityRun(actor.name, partial(_perform, application, actor, config)))
    except DicomFabError as error:
        return _page(request, application, actor, wanted, error=error)
    return RedirectResponse(f"/modality?{query_string(wanted.parameters, run=run_id)}#run", status_code=303)


@router.post("/stop", dependencies=[permission(Action.FABRICATE)])
def stop(request: Request, run: Annotated[str, Form()], actor: CurrentActor) -> Response:
    """Have an examination broken off."""
    runs_of(request).get(actor, run).stop()
    return RedirectResponse(f"/modality?run={run}#run", status_code=303)


@router.get("/events", dependencies=[permission(Action.FABRICATE)])
def events(request: Request, run: str, actor: CurrentActor) -> EventSourceResponse:
    """``run`` each time that something happened, to the end."""
    return stream(_events(runs_of(request).get(actor, run), run))


def _events(run: ModalityRun, run_id: str) -> Iterator[ServerSentEvent]:
    seen = -1
    while not run.has_ended:
        seen = run.changes
        yield ServerSentEvent(event="run", data=fragment("modality/run.html", run=run, run_id=run_id, icons=ICONS))
        run.wait(seen, _TICK_S)
    yield ServerSentEvent(event="run", data=fragment("modality/run.html", run=run, run_id=run_id, icons=ICONS))


def _perform(
    application: Application, actor: Actor, config: ModalityConfig, stopped: Callable[[], bool]
) -> Iterator[Told]:
    return application.modality.perform(actor, config, stopped)


def _row(item: Dataset) -> dict[str, str]:
    step = step_of(item)
    named = {
        "patient": (item, "PatientName"),
        "patient_id": (item, "PatientID"),
        "accession": (item, "AccessionNumber"),
        "procedure": (item, "RequestedProcedureDescription"),
        "step": (step, "ScheduledProcedureStepID"),
        "state": (step, "ScheduledProcedureStepStatus"),
        "modality": (step, "Modality"),
        "date": (step, "ScheduledProcedureStepStartDate"),
        "time": (step, "ScheduledProcedureStepStartTime"),
    }
    return {name: "" if ds.get(key) is None else str(ds.get(key)) for name, (ds, key) in named.items()}


def _alone() -> list[tuple[str, str]]:
    """Kinds that a modality can make by themselves."""
    return [(name, kind.title) for name, kind in ALL_KINDS.items() if not kind.needs]


def _servers(application: Application, actor: Actor) -> list[PacsServer]:
    able = [one for one in application.pacs.servers(actor) if one.is_active and one.can(Capability.STORE)]
    # The default server first: it is the one that is proposed.
    return sorted((one for one in able if one.environment is Environment.TEST), key=lambda one: not one.is_default)


def _page(
    request: Request,
    application: Application,
    actor: Actor,
    wanted: Wanted,
    *,
    error: DicomFabError | None = None,
    items: list[dict[str, str]] | None = None,
    run: ModalityRun | None = None,
    run_id: str = "",
) -> Response:
    servers = _servers(application, actor)
    if not wanted.pacs and servers:
        wanted = wanted.model_copy(update={"pacs": servers[0].id})
    field = error.field if isinstance(error, InvalidInput) else ""
    context = {
        "wanted": wanted,
        "servers": servers,
        "error": error,
        "wrong": field if field in Wanted.model_fields else "",
        "items": items,
        "most": SHOWN,
        "run": run,
        "run_id": run_id,
        "icons": ICONS,
        "cases": CASES,
        "own_ris": own_ris(application.settings.worklist_port),
        "paces": PACES,
        "special": SPECIAL,
        "reasons": [("", "no reason named"), *REASONS.items()],
        "kinds": [("", "what the item asks for"), *_alone()],
    }
    return page(request, "modality/show.html", context, status_code=status_of(error) if error else 200)
