"""The routing matrix: every C-MOVE route, edited in its cell, and whether it works."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Request
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import RedirectResponse, Response

from dicomfab.access.policy import Action, Scope, decide
from dicomfab.app.build import Application
from dicomfab.model.actor import Actor
from dicomfab.model.errors import DicomFabError, InvalidInput, NotFound
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.routes import Edge, How, Route
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.doctor import is_confirmed
from dicomfab.web.errors import status_of
from dicomfab.web.pacs_filter import CurrentFilter, ServerFilter, groups_of
from dicomfab.web.route_runs import RouteRun, RouteRuns
from dicomfab.web.streams import stream
from dicomfab.web.templating import fragment, is_fragment_wanted, page, query_string

router = APIRouter(prefix="/pacs/matrix")

#: State of a route -> kind, icon, word; the word is always there.
LOOKS: Final = {
    "none": ("quiet", "dash", "no route"),
    "never": ("quiet", "circle", "never tested"),
    "stale": ("warn", "clock-history", "changed since its test"),
    "works": ("good", "check-circle-fill", "works"),
    "accepted": ("good", "check-circle", "accepted"),
    "unclear": ("warn", "question-circle-fill", "cannot tell"),
    "fails": ("bad", "x-circle-fill", "fails"),
}
_HOWS: Final = (
    (str(How.ASK), "Ask the source for a study that nobody has: nothing is moved"),
    (str(How.MOVE), "Move one small synthetic instance, and remove it again where possible"),
)


@dataclass(frozen=True, slots=True)
class Matrix:
    """What the page shows.

    Args:
        servers: sources and destinations, by name.
        routes: of every pair of them.
    """

    servers: tuple[PacsServer, ...]
    routes: dict[Edge, Route]

    @property
    def existing(self) -> list[Route]:
        """Pairs that have a route."""
        return [route for route in self.routes.values() if route.ae_title]

    @property
    def is_production(self) -> bool:
        """Whether one of the routes has an end in production."""
        return any(route.is_production for route in self.existing)


def runs_of(request: Request) -> RouteRuns:
    """The tests of many routes of this installation's pages."""
    runs: RouteRuns = request.app.state.route_runs
    return runs


@router.get("", dependencies=[permission(Action.VIEW)])
def show(
    request: Request, actor: CurrentActor, application: CurrentApplication, asked: CurrentFilter, run: str = ""
) -> Response:
    """The matrix; with ``run``, its cells fill as a test of many routes goes on."""
    return _page(request, application, actor, asked, run_id=run)


@router.post("", dependencies=[permission(Action.QUERY)])
def examine_all(
    request: Request,
    actor: CurrentActor,
    application: CurrentApplication,
    asked: CurrentFilter,
    how: Annotated[str, Form()] = str(How.ASK),
    confirm_name: Annotated[str, Form()] = "",
) -> Response:
    """Test every route that is shown, in the background."""
    matrix = matrix_of(application, actor, asked)
    routes = [route for route in matrix.existing if may_test(actor, route)]
    try:
        chosen = _how(how)
        ends = {end.id: end for route in routes for end in (route.source, route.destination)}
        confirmed = is_confirmed(confirm_name, tuple(ends.values()))
        run_id = runs_of(request).begin(
            RouteRun(
                actor.name,
                (route.edge for route in routes),
                lambda source, destination, stopped: application.routes.test(
                    actor, source, destination, how=chosen, confirm_production=confirmed, stopped=stopped
                ),
            )
        )
    except DicomFabError as error:
        if error.fault != "caller":
            raise
        return _page(request, application, actor, asked, error=error, how=how)
    return RedirectResponse(f"/pacs/matrix?{query_string(asked.parameters, run=run_id)}", status_code=303)


@router.get("/tests", dependencies=[permission(Action.QUERY)])
def tests(
    request: Request, run: str, actor: CurrentActor, application: CurrentApplication, asked: CurrentFilter
) -> EventSourceResponse:
    """Each cell as its test ends, and how many are left."""
    return stream(_events(runs_of(request).get(actor, run), application, actor, asked))


@router.get("/{source}/{destination}", dependencies=[permission(Action.VIEW)])
def edit(
    request: Request,
    source: str,
    destination: str,
    actor: CurrentActor,
    application: CurrentApplication,
    asked: CurrentFilter,
    view: str = "",
) -> Response:
    """One route: a page of its own, or its form for the cell; ``view=cell`` is the cell as it was."""
    route = application.routes.get(actor, source, destination)
    if is_fragment_wanted(request) and view == "cell":
        return page(request, "pacs/matrix_cell.html", cell_of(route, actor, asked, focus="edit"))
    return _route(request, route, actor, asked)


@router.post("/{source}/{destination}", dependencies=[permission(Action.CONFIGURE)])
def save(
    request: Request,
    source: str,
    destination: str,
    actor: CurrentActor,
    application: CurrentApplication,
    asked: CurrentFilter,
    ae_title: Annotated[str, Form()] = "",
) -> Response:
    """Change one route; a blank AE title removes it."""
    try:
        application.routes.get(actor, source, destination)
        application.pacs.set_routes(actor, source, {destination: ae_title})
    except InvalidInput as error:
        route = application.routes.get(actor, source, destination)
        return _route(request, route, actor, asked, title=ae_title, error=error)
    if is_fragment_wanted(request):
        route = application.routes.get(actor, source, destination)
        return page(request, "pacs/matrix_cell.html", cell_of(route, actor, asked, focus="edit"))
    return RedirectResponse(f"/pacs/matrix{asked.address}#{source}~{destination}", status_code=303)


@router.post("/{source}/{destination}/test", dependencies=[permission(Action.QUERY)])
def examine(
    request: Request,
    source: str,
    destination: str,
    actor: CurrentActor,
    application: CurrentApplication,
    asked: CurrentFilter,
    how: Annotated[str, Form()] = str(How.ASK),
    confirm_name: Annotated[str, Form()] = "",
) -> Response:
    """Test one route."""
    route = application.routes.get(actor, source, destination)
    try:
        confirmed = is_confirmed(confirm_name, (route.source, route.destination))
        application.routes.test(actor, source, destination, how=_how(how), confirm_production=confirmed)
    except InvalidInput as error:
        return _route(request, route, actor, asked, error=error)
    if is_fragment_wanted(request):
        route = application.routes.get(actor, source, destination)
        return page(request, "pacs/matrix_cell.html", cell_of(route, actor, asked, focus="test"))
    return RedirectResponse(f"/pacs/matrix/{source}/{destination}{asked.address}", status_code=303)


def matrix_of(application: Application, actor: Actor, asked: ServerFilter) -> Matrix:
    """Servers that pass a filter, and the routes between them."""
    rows = asked.chosen(application.pacs.overview(actor), application.pacs.favourites(actor))
    servers = tuple(row.server for row in rows)
    ids = {server.id for server in servers}
    routes = {edge: route for edge, route in application.routes.all(actor).items() if ids.issuperset(edge)}
    return Matrix(servers, routes)


def may_test(actor: Actor, route: Route) -> bool:
    """Whether a route is there to be tested by the actor."""
    ends = (route.source, route.destination)
    is_able = route.source.can(Capability.MOVE) and all(end.is_active for end in ends)
    allowed = all(decide(actor, Action.QUERY, end.environment).allowed for end in ends)
    return bool(route.ae_title) and is_able and allowed


def cell_of(
    route: Route, actor: Actor, asked: ServerFilter, *, is_pending: bool = False, focus: str = ""
) -> dict[str, Any]:
    """What one cell shows."""
    return {
        "route": route,
        "look": LOOKS[route.state],
        "may_configure": decide(actor, Action.CONFIGURE, Scope.SYSTEM).allowed,
        "may_test": may_test(actor, route),
        "filter": asked,
        "is_pending": is_pending,
        "focus": focus,
    }


def _events(run: RouteRun, application: Application, actor: Actor, asked: ServerFilter) -> Iterator[ServerSentEvent]:
    for number, (source, destination) in enumerate(run.follow(), 1):
        try:
            route = application.routes.get(actor, source, destination)
        except (
            DicomFabError
        ):  # a server that is gone, or is not the actor's to see any more: its cell goes with the page
            continue
        cell = fragment("pacs/matrix_cell.html", **cell_of(route, actor, asked))
        yield ServerSentEvent(event=f"{source}~{destination}", data=cell)
        yield ServerSentEvent(event="progress", data=f"{number} of {len(run.edges)} routes tested")


def _how(text: str) -> How:
    if text not in set(How):
        raise InvalidInput(f"how: {text!r} is none of {', '.join(How)}", field="how", value=text)
    return How(text)


def _page(
    request: Request,
    application: Application,
    actor: Actor,
    asked: ServerFilter,
    *,
    run_id: str = "",
    error: DicomFabError | None = None,
    how: str = str(How.ASK),
) -> Response:
    matrix = matrix_of(application, actor, asked)
    pending: frozenset[Edge] = frozenset()
    total = 0
    try:
        if run_id:
            run = runs_of(request).get(actor, run_id)
            pending, total = (frozenset() if run.has_ended else run.pending), len(run.edges)
    except NotFound:
        pass  # an address of long ago: what came of it stands in the cells
    everything = application.pacs.servers(actor)
    context = {
        "matrix": matrix,
        "cells": {
            edge: cell_of(route, actor, asked, is_pending=edge in pending) for edge, route in matrix.routes.items()
        },
        "count": len(everything),
        "groups": groups_of(everything),
        "filter": asked,
        "testable": sum(may_test(actor, route) for route in matrix.existing),
        "run_id": run_id if pending else "",
        "total": total,
        "left": len(pending),
        "hows": _HOWS,
        "how": how,
        "error": error,
        "wrong": getattr(error, "field", ""),
    }
    return page(request, "pacs/matrix.html", context, status_code=status_of(error) if error else 200)


def _route(
    request: Request,
    route: Route,
    actor: Actor,
    asked: ServerFilter,
    *,
    title: str | None = None,
    error: InvalidInput | None = None,
) -> Response:
    template = "pacs/matrix_cell_form.html" if is_fragment_wanted(request) else "pacs/matrix_route.html"
    wrong = "" if error is None else "ae_title" if error.field.startswith("move_routing") else error.field
    context = {
        **cell_of(route, actor, asked),
        "title_typed": route.ae_title if title is None else title,
        "error": error,
        "wrong": wrong,
        "hows": _HOWS,
    }
    return page(request, template, context, status_code=status_of(error) if error else 200)
