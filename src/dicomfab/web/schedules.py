"""Schedules: jobs that are made again and again; listed, added, paused, run out of turn, removed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from dicomfab.access.policy import Action, Scope, decide, visible
from dicomfab.app.build import Application
from dicomfab.app.workers import ensure_worker
from dicomfab.fabricate.recipe_file import RecipeFile
from dicomfab.model.actor import Actor
from dicomfab.model.errors import InvalidInput
from dicomfab.model.job import JobKind
from dicomfab.services.jobs.cron import local_time_zone
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.jobs import to_job
from dicomfab.web.listing import Number
from dicomfab.web.query import chosen_destination
from dicomfab.web.server_form import FormData
from dicomfab.web.templating import page
from dicomfab.web.undo import Notice, notice_of, to_notice

router = APIRouter(prefix="/schedules", dependencies=[permission(Action.VIEW)])


#: Kind -> what the form calls it.
KINDS: Final = {
    JobKind.QUERY: "Query: a saved search",
    JobKind.MOVE: "Move studies to a server",
    JobKind.GET: "Get studies to the local store",
    JobKind.SEND: "Send local studies",
    JobKind.FABRICATE: "Fabricate studies by a recipe",
}
#: Examples of when; the form offers them.
TIMES: Final = {
    "0 2 * * *": "every night at 2:00",
    "0 * * * *": "every hour",
    "*/15 8-17 * * 1-5": "every 15 minutes, Monday to Friday, 8 to 17 o'clock",
    "30 6 * * 1": "Mondays at 6:30",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the form holds; studies a line each."""

    kind: str = "query"
    cron: str = "0 2 * * *"
    time_zone: str = ""
    title: str = ""
    saved: str = ""
    studies: str = ""
    source: str = ""
    destination: str = ""
    recipe: str = ""
    count: str = "1"
    confirm_name: str = ""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Wanted:
        """What an address or a form holds."""
        return cls(**{f.name: str(given.get(f.name, f.default)).strip() for f in fields(cls)})


@router.get("")
def overview(request: Request, actor: CurrentActor, application: CurrentApplication) -> Response:
    """All schedules, and the form for another; an address can fill it in."""
    return _overview(request, application, actor, Wanted.of(request.query_params))


@router.post("")
def add(request: Request, given: FormData, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Keep a schedule, after everything that its job could be refused for has been looked at."""
    wanted = Wanted.of(given)
    try:
        if wanted.kind not in KINDS:
            raise InvalidInput(f"kind: {wanted.kind!r} cannot be scheduled", field="kind", value=wanted.kind)
        parameters = _PARAMETERS[JobKind(wanted.kind)](application, actor, wanted)
        application.schedules.add(
            actor,
            JobKind(wanted.kind),
            parameters,
            cron=wanted.cron,
            time_zone=wanted.time_zone,
            title=wanted.title,
        )
    except InvalidInput as error:
        return _overview(request, application, actor, wanted, error)
    ensure_worker(application)
    return RedirectResponse("/schedules", status_code=303)


@router.post("/{schedule_id}/pause")
def pause(schedule_id: Number, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Let it make no jobs; the service lets nobody but the owner and administrators."""
    application.schedules.pause(actor, schedule_id)
    return RedirectResponse("/schedules", status_code=303)


@router.post("/{schedule_id}/resume")
def resume(schedule_id: Number, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Let it make jobs again; what it missed it does not make up for."""
    application.schedules.resume(actor, schedule_id)
    ensure_worker(application)
    return RedirectResponse("/schedules", status_code=303)


@router.post("/{schedule_id}/run")
def run(schedule_id: Number, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Make its job now, out of turn."""
    return to_job(application, application.schedules.run(actor, schedule_id))


@router.post("/{schedule_id}/remove")
def remove(request: Request, schedule_id: Number, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Forget it; the jobs that it made stay."""
    removed = application.schedules.remove(actor, schedule_id)

    def put_back(application: Application, actor: Actor) -> str:
        is_enabled = application.schedules.put_back(actor, removed).is_enabled
        if is_enabled:
            ensure_worker(application)
        return "is back." if is_enabled else "is back, and still paused."

    return to_notice(request, actor, Notice(removed.title, "makes no more jobs.", "/schedules", "", put_back))


def _query(application: Application, actor: Actor, wanted: Wanted) -> dict[str, Any]:
    if not wanted.saved:
        raise InvalidInput(
            "saved: choose a saved search", field="saved", value="", remedy="save one first, on the page Query PACS"
        )
    search = application.searches.saved.load(actor, wanted.saved)
    named = application.searches.targets(actor, search.servers)
    servers = named or [server for server in application.pacs.servers(actor) if server.is_active]
    wanted_filter = {**asdict(search.filter), "keys": list(search.filter.keys)}
    return {"servers": [server.id for server in servers], "filter": wanted_filter, "limit": search.limit}


def _move(application: Application, actor: Actor, wanted: Wanted) -> dict[str, Any]:
    end = chosen_destination(application, actor, wanted.destination, confirm_name=wanted.confirm_name)
    return {**_get(application, actor, wanted), "destination": end.id, "confirm_production": end.is_production}


def _get(application: Application, actor: Actor, wanted: Wanted) -> dict[str, Any]:
    if not wanted.source:
        raise InvalidInput("source: choose the server that holds the studies", field="source", value="")
    source = application.pacs.get(actor, wanted.source)
    studies = [application.queries.identify(actor, source, study) for study in _studies(wanted)]
    return {"studies": studies, "source": source.id}


def _send(application: Application, actor: Actor, wanted: Wanted) -> dict[str, Any]:
    end = chosen_destination(application, actor, wanted.destination, confirm_name=wanted.confirm_name)
    return {"studies": _studies(wanted), "destination": end.id, "confirm_production": end.is_production}


def _fabricate(application: Application, actor: Actor, wanted: Wanted) -> dict[str, Any]:
    if not (wanted.count.isascii() and wanted.count.isdigit() and 1 <= int(wanted.count[:5]) <= 1000):
        raise InvalidInput("count: 1 to 1000 studies each time", field="count", value=wanted.count)
    if not wanted.recipe:
        raise InvalidInput("recipe: choose a recipe", field="recipe", value="")
    recipe: RecipeFile = application.recipes.named(actor, wanted.recipe).recipe
    return {"recipe": recipe.text(), "count": int(wanted.count)}


def _studies(wanted: Wanted) -> list[str]:
    found = [line.strip() for line in wanted.studies.splitlines() if line.strip()]
    if not found:
        raise InvalidInput("studies: name at least one", field="studies", value="")
    return found


_PARAMETERS: Final[Mapping[JobKind, Callable[[Application, Actor, Wanted], dict[str, Any]]]] = {
    JobKind.QUERY: _query,
    JobKind.MOVE: _move,
    JobKind.GET: _get,
    JobKind.SEND: _send,
    JobKind.FABRICATE: _fabricate,
}


def _overview(
    request: Request, application: Application, actor: Actor, wanted: Wanted, error: InvalidInput | None = None
) -> Response:
    servers = application.pacs.servers(actor)
    own = {field.name for field in fields(Wanted)}
    context: dict[str, Any] = {
        "schedules": application.schedules.every(actor),
        "workers": application.jobs.workers(),
        "wanted": wanted,
        "kinds": [(str(kind), label) for kind, label in KINDS.items()],
        "times": TIMES,
        "local_zone": local_time_zone(),
        "saved": [("", "Choose a saved search …"), *((name, name) for name in _saved(application, actor))],
        "sources": [("", "Choose a server …"), *((s.id, f"{s.name} ({s.environment})") for s in servers)],
        "servers": servers,
        "recipes": [("", "Choose a recipe …"), *((name, name) for name in _recipes(application, actor))],
        "error": error,
        "wrong": error.field if error and error.field in own else "",
        **notice_of(request, actor),
    }
    return page(request, "schedules/list.html", context, status_code=400 if error else 200)


def _saved(application: Application, actor: Actor) -> list[str]:
    """Names of saved searches; none for those who may search nowhere."""
    return [one.name for one in application.searches.saved.every(actor)] if visible(actor, Action.QUERY) else []


def _recipes(application: Application, actor: Actor) -> list[str]:
    """Names of recipes; none for those who may not fabricate."""
    may = decide(actor, Action.FABRICATE, Scope.SYSTEM).allowed
    return [one.name for one in application.recipes.every(actor)] if may else []
