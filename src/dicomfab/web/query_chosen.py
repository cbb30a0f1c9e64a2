"""What is done with chosen rows of a search: moved, fetched, compared. Each source gets a job of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.app.workers import ensure_worker
from dicomfab.model.actor import Actor
from dicomfab.model.errors import DicomFabError, InvalidInput, NotFound
from dicomfab.model.job import Job
from dicomfab.registry.server import PacsServer
from dicomfab.services.jobs.service import IN_THE_BACKGROUND
from dicomfab.services.search import filter_of
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.jobs import to_job
from dicomfab.web.query import chosen_destination
from dicomfab.web.query_rows import Chosen, Task, chosen_of
from dicomfab.web.templating import is_fragment_wanted, page, query_string

router = APIRouter(prefix="/query")

Rows = Annotated[tuple[str, ...], Query()]
RowsInForm = Annotated[list[str] | None, Form()]


@dataclass(frozen=True, slots=True)
class Destination:
    """A server that everything could be moved to.

    Args:
        server: itself.
        ae_titles: what the sources call it, each name once.
        missing: sources that have no name for it.
    """

    server: PacsServer
    ae_titles: tuple[str, ...]
    missing: tuple[PacsServer, ...]


@router.get("/move", dependencies=[permission(Action.STORE)])
def move_form(
    request: Request, actor: CurrentActor, application: CurrentApplication, row: Rows = (), search: str = ""
) -> Response:
    """What would be moved, from where, and the destinations that every source has a route to."""
    return _move_form(request, application, actor, _chosen(application, actor, row, search), search)


@router.post("/move", dependencies=[permission(Action.STORE)])
def move(
    request: Request,
    actor: CurrentActor,
    application: CurrentApplication,
    row: RowsInForm = None,
    search: Annotated[str, Form()] = "",
    destination: Annotated[str, Form()] = "",
    confirm_name: Annotated[str, Form()] = "",
) -> Response:
    """Start a C-MOVE by the route table, one job for each source."""
    chosen = _chosen(application, actor, row or (), search)
    try:
        end = chosen_destination(application, actor, destination, confirm_name=confirm_name)
    except InvalidInput as error:
        return _move_form(request, application, actor, chosen, search, error, destination)
    for source in chosen.sources:  # before the first job is begun
        application.pacs.route(actor, source.id, end.id)

    def begin(task: Task) -> Job:
        return application.jobs.move(
            actor,
            task.studies,
            task.source,
            end,
            series=task.series,
            confirm_production=end.is_production,
            options=IN_THE_BACKGROUND,
        )

    return _begun(request, application, chosen.tasks, begin)


@router.post("/get", dependencies=[permission(Action.RETRIEVE)])
def get(request: Request, actor: CurrentActor, application: CurrentApplication, row: RowsInForm = None) -> Response:
    """Start a C-GET into the local store, one job for each source."""
    chosen = chosen_of(application, actor, row or ())

    def begin(task: Task) -> Job:
        return application.jobs.get(actor, task.studies, task.source, series=task.series, options=IN_THE_BACKGROUND)

    return _begun(request, application, chosen.tasks, begin)


@router.get("/compare", dependencies=[permission(Action.QUERY)])
def compare(actor: CurrentActor, application: CurrentApplication, row: Rows = (), search: str = "") -> Response:
    """To the form that compares two servers, filled in with the servers and the studies that are chosen."""
    chosen = _chosen(application, actor, row, search)
    if len(chosen.sources) > 2:
        raise InvalidInput(
            f"row: rows of {len(chosen.sources)} servers are chosen",
            field="row",
            cause="two servers are compared",
            remedy="choose rows of one or two servers",
        )
    studies = {part.study for part in chosen.parts}
    holders = [one.answer.server_id for found in chosen.held.values() for one in found]
    pair = list(dict.fromkeys([*(source.id for source in chosen.sources), *(holders if len(studies) == 1 else ())]))
    asked = dict(zip("ab", pair, strict=False))
    if len(studies) == 1:
        asked["study_instance_uid"] = next(iter(studies))
    elif search:
        wanted = filter_of(application.searches.get(actor, search))
        for name in ("patient_id", "accession_number", "date", "modality"):
            asked[name] = getattr(wanted, name)
    return RedirectResponse(f"/compare?{query_string(asked)}", status_code=303)


@router.get("/started", dependencies=[permission(Action.VIEW)])
def started(
    request: Request,
    actor: CurrentActor,
    application: CurrentApplication,
    job: Annotated[tuple[int, ...], Query()] = (),
) -> Response:
    """The jobs that were begun together."""
    return page(request, "query/started.html", {"jobs": [application.jobs.show(actor, n) for n in job], "error": None})


def _chosen(application: Application, actor: Actor, rows: Sequence[str], search: str) -> Chosen:
    """With what the search knows, if its results are still there."""
    try:
        return chosen_of(application, actor, rows, search)
    except NotFound:
        return chosen_of(application, actor, rows)


def _begun(request: Request, application: Application, tasks: Sequence[Task], begin: Callable[[Task], Job]) -> Response:
    """Begin the jobs; one that is refused after others were begun is told beside them."""
    jobs: list[Job] = []
    for task in tasks:
        try:
            jobs.append(begin(task))
        except DicomFabError as error:
            if not jobs:
                raise
            ensure_worker(application)
            return page(request, "query/started.html", {"jobs": jobs, "error": error}, status_code=409)
    if len(jobs) == 1:
        return to_job(application, jobs[0])
    ensure_worker(application)
    return RedirectResponse(f"/query/started?{query_string({'job': [job.id for job in jobs]})}", status_code=303)


def _destinations(application: Application, actor: Actor, chosen: Chosen) -> list[Destination]:
    titles: dict[str, dict[str, str]] = {}
    servers: dict[str, PacsServer] = {}
    for source in chosen.sources:
        for row in application.pacs.routes(actor, source.id):
            servers[row.destination.id] = row.destination
            titles.setdefault(row.destination.id, {})[source.id] = row.ae_title
    sources = {source.id for source in chosen.sources}
    return [
        Destination(
            server,
            tuple(dict.fromkeys(title for title in titles[server_id].values() if title)),
            tuple(one for one in chosen.sources if not titles[server_id].get(one.id)),
        )
        for server_id, server in servers.items()
        if server_id not in sources
    ]


def _move_form(
    request: Request,
    application: Application,
    actor: Actor,
    chosen: Chosen,
    search: str,
    error: InvalidInput | None = None,
    destination: str = "",
) -> Response:
    offered = _destinations(application, actor, chosen)
    context = {
        "chosen": chosen,
        "search_id": search,
        "routed": [one for one in offered if not one.missing],
        "unrouted": [one for one in offered if one.missing],
        "error": error,
        "wrong": error.field if error else "",
        "destination": destination,
        "picked": next((one.server for one in offered if one.server.id == destination), None),
    }
    template = "query/move_panel.html" if is_fragment_wanted(request) else "query/move.html"
    return page(request, template, context, status_code=400 if error else 200)
