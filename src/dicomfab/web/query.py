"""Query PACS: search many servers at once, then move or get what was found."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import RedirectResponse, Response, StreamingResponse

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.model.actor import Actor
from dicomfab.model.errors import DicomFabError, InvalidInput, NotFound
from dicomfab.model.values import uid
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.jobs.service import IN_THE_BACKGROUND
from dicomfab.services.query import DEFAULT_LIMIT
from dicomfab.services.search import SearchService, filter_of
from dicomfab.services.search_dates import SHORTCUTS
from dicomfab.services.search_export import KINDS
from dicomfab.services.search_match import shown
from dicomfab.services.study_filter import StudyFilter
from dicomfab.storage.searches import StoredSearch
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.confirmation import is_typed
from dicomfab.web.errors import status_of
from dicomfab.web.jobs import to_job
from dicomfab.web.query_address import LABELS, CurrentSearch, Search, search_from
from dicomfab.web.streams import stream
from dicomfab.web.templating import fragment, is_fragment_wanted, page

router = APIRouter(prefix="/query")

_LOOK_S = 0.1
#: No server is waited for longer than its time limits; nothing new for so long means that nobody asks any more.
_SILENCE_S = 3700.0


@router.get("", dependencies=[permission(Action.QUERY)])
def form(
    request: Request, search: CurrentSearch, actor: CurrentActor, application: CurrentApplication, saved: str = ""
) -> Response:
    """The form, and the answers to what was asked; asking leads to the address at which they stay for a day."""
    error: DicomFabError | None = None
    if saved:
        search = search.below(application.searches.saved.load(actor, saved))
    if search.is_asked:
        try:
            return RedirectResponse(_begin(application, actor, search), status_code=303)
        except (InvalidInput, NotFound) as problem:
            error = problem
    results, gone = None, None
    if search.id and error is None:
        try:
            results = application.searches.page(actor, search.id, search.view)
        except NotFound as problem:
            gone = problem
    context: dict[str, Any] = {
        "search": search,
        "offered": _offered(application, actor),
        "saved": application.searches.saved.every(actor),
        "error": error,
        "gone": gone,
        "wrong": error.field if isinstance(error, InvalidInput) else "",
        "default_limit": DEFAULT_LIMIT,
        "shortcuts": SHORTCUTS,
        "labels": LABELS,
        "kinds": tuple(KINDS),
        "results": results,
    }
    if results is not None:
        wanted = filter_of(results.search)
        context |= {"columns": shown(wanted), "level": str(wanted.query_level), "said": _said(results.search)}
    return page(request, "query/form.html", context, status_code=status_of(error) if error else 200)


@router.get("/answers", dependencies=[permission(Action.QUERY)])
def answers(search: str, actor: CurrentActor, application: CurrentApplication) -> EventSourceResponse:
    """One ``server-N`` for each server, as soon as it has answered, each with a ``summary`` and a ``changed``."""
    service = application.searches
    service.get(actor, search)
    return stream(_events(service, actor, search))


@router.get("/below", dependencies=[permission(Action.QUERY)])
def below(
    request: Request,
    server: str,
    actor: CurrentActor,
    application: CurrentApplication,
    study: str,
    series: str = "",
) -> Response:
    """What one server holds of a study, or of a series."""
    asked = application.pacs.get(actor, server)
    uids = {"study_instance_uid": uid(study, field="study")}
    if series:
        uids["series_instance_uid"] = uid(series, field="series")
    level = "instance" if series else "series"
    wanted = StudyFilter(level=level, **uids)  # type: ignore[arg-type]
    found = application.queries.below(actor, asked, wanted)
    number = "InstanceNumber" if series else "SeriesNumber"
    found.sort(key=lambda match: (match.number(number) is None, match.number(number) or 0))
    context = {"server": asked, "study": study, "series": series, "level": level, "found": found}
    return page(request, "query/below.html", {**context, "columns": shown(wanted)})


@router.get("/export", dependencies=[permission(Action.QUERY)])
def export(search: CurrentSearch, actor: CurrentActor, application: CurrentApplication, kind: str) -> Response:
    """The answers as a file: all pages of the view."""
    pieces = application.searches.export(actor, search.id, kind, search.view)
    headers = {"Content-Disposition": f'attachment; filename="query.{kind}"'}
    return StreamingResponse(pieces, media_type=KINDS[kind], headers=headers)


@router.post("/saved", dependencies=[permission(Action.QUERY)])
async def save(request: Request, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Keep the search under a name, without its answers."""
    given = await request.form()
    labels = tuple(str(value) for value in given.getlist("pacs"))
    search = search_from(dict(given), labels, str(given.get("limit", "")))
    application.searches.saved.save(actor, search.saved_as(str(given.get("save", "")).strip()))
    return RedirectResponse(search.address(), status_code=303)


@router.post("/saved/{name}/delete", dependencies=[permission(Action.QUERY)])
def forget(name: str, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Forget a saved search."""
    application.searches.saved.remove(actor, name)
    return RedirectResponse("/query", status_code=303)


@router.get("/move", dependencies=[permission(Action.STORE)])
def move_form(
    request: Request, source: str, study: str, actor: CurrentActor, application: CurrentApplication
) -> Response:
    """Choose a destination among those that the source has a route to."""
    return _move_form(request, application, actor, source, uid(study, field="study"))


@router.post("/move", dependencies=[permission(Action.STORE)])
def move(
    request: Request,
    actor: CurrentActor,
    application: CurrentApplication,
    source: Annotated[str, Form()],
    study: Annotated[str, Form()],
    destination: Annotated[str, Form()] = "",
    confirm_name: Annotated[str, Form()] = "",
) -> Response:
    """Start a C-MOVE by the route table."""
    study = uid(study, field="study")
    start = application.pacs.get(actor, source)
    try:
        end = chosen_destination(application, actor, destination, confirm_name=confirm_name)
    except InvalidInput as error:
        return _move_form(request, application, actor, source, study, error, destination)
    job = application.jobs.move(
        actor, [study], start, end, confirm_production=end.is_production, options=IN_THE_BACKGROUND
    )
    return to_job(application, job)


@router.post("/get", dependencies=[permission(Action.RETRIEVE)])
def get(
    actor: CurrentActor,
    application: CurrentApplication,
    source: Annotated[str, Form()],
    study: Annotated[str, Form()],
) -> Response:
    """Start a C-GET into the local store."""
    study = uid(study, field="study")
    start = application.pacs.get(actor, source)
    return to_job(application, application.jobs.get(actor, [study], start, options=IN_THE_BACKGROUND))


def chosen_destination(application: Application, actor: Actor, server_id: str, *, confirm_name: str) -> PacsServer:
    """The server that a form names as destination; for production, its name was typed as well.

    Raises:
        InvalidInput: none was chosen, or it is production and its name was not typed.
        NotFound, AccessDenied: as for any server.
    """
    if not server_id:
        raise InvalidInput("destination: choose a server", field="destination", value="")
    server = application.pacs.get(actor, server_id)
    if server.is_production and not is_typed(confirm_name, server):
        raise InvalidInput(
            f"confirm_name: {server.name} is a production server; nothing was sent",
            field="confirm_name",
            cause="writing to production wants an explicit yes each time",
            remedy=f"type its name if you mean it: {server.name}",
        )
    return server


def _begin(application: Application, actor: Actor, search: Search) -> str:
    """Begin to ask; the address of the answers."""
    if not search.pacs:
        raise InvalidInput("pacs: choose at least one server", field="pacs", value="")
    service = application.searches
    search_id = service.begin(actor, service.targets(actor, search.pacs), search.filter, search.limit)
    service.start(actor, search_id)
    return search.address(search=search_id, page="")


def _events(service: SearchService, actor: Actor, search_id: str) -> Iterator[ServerSentEvent]:
    sent: dict[int, str] = {}
    silent_since = time.monotonic()
    while time.monotonic() - silent_since < _SILENCE_S:
        search = service.get(actor, search_id)
        new = [answer for answer in search.answers if sent.get(answer.place, "waiting") != answer.state]
        for answer in new:
            sent[answer.place] = answer.state
            yield ServerSentEvent(event=f"server-{answer.place}", data=fragment("query/server.html", answer=answer))
        if new:
            silent_since = time.monotonic()
            yield ServerSentEvent(event="summary", data=fragment("query/summary.html", **_said(search)))
            yield ServerSentEvent(event="changed", data=str(len(sent)))
        failure = service.failure(search_id)
        if failure is not None:
            yield ServerSentEvent(event="summary", data=fragment("fragments/alert.html", error=failure))
        if search.state == "done" or len(sent) == len(search.answers) or failure is not None:
            return
        time.sleep(_LOOK_S)


def _said(search: StoredSearch) -> dict[str, Any]:
    """How far it is, in numbers."""
    states = [answer.state for answer in search.answers]
    bad = [state for state in states if state not in ("ok", "warning", "waiting")]
    answered = len(states) - states.count("waiting")
    found = sum(answer.found for answer in search.answers)
    level = filter_of(search).level
    return {"asked": len(states), "answered": answered, "failed": len(bad), "found": found, "what": level}


def _offered(application: Application, actor: Actor) -> list[PacsServer]:
    return [s for s in application.pacs.servers(actor) if s.is_active and s.can(Capability.FIND)]


def _move_form(
    request: Request,
    application: Application,
    actor: Actor,
    source_id: str,
    study: str,
    error: InvalidInput | None = None,
    chosen: str = "",
) -> Response:
    source = application.pacs.get(actor, source_id)
    rows = application.pacs.routes(actor, source.id)
    context = {
        "source": source,
        "study": study,
        "routed": [row for row in rows if row.ae_title],
        "unrouted": [row.destination for row in rows if not row.ae_title],
        "error": error,
        "wrong": error.field if error else "",
        "chosen": chosen,
    }
    template = "query/move_panel.html" if is_fragment_wanted(request) else "query/move.html"
    return page(request, template, context, status_code=400 if error else 200)
