"""Query PACS: search many servers at once, then move or get what was found."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import Response

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.model.actor import Actor
from dicomfab.model.errors import DicomFabError, InvalidInput
from dicomfab.model.values import Environment, uid
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.query import DEFAULT_LIMIT, ServerAnswer
from dicomfab.services.study_filter import StudyFilter
from dicomfab.services.transfer import Watch
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.errors import status_of
from dicomfab.web.streams import stream
from dicomfab.web.tasks import to_task
from dicomfab.web.templating import fragment, is_fragment_wanted, page

router = APIRouter(prefix="/query")

_LABELS = {
    "patient_name": "Patient name",
    "patient_id": "Patient ID",
    "accession_number": "Accession number",
    "date_from": "Date from",
    "date_to": "Date to",
    "modality": "Modality",
    "study_description": "Study description",
    "study_instance_uid": "Study Instance UID",
}

_OPTIONS = {
    "patient_name": "--patient-name",
    "patient_id": "--patient-id",
    "accession_number": "--accession",
    "date_from": "--date-from",
    "date_to": "--date-to",
    "modality": "--modality",
    "study_description": "--description",
    "study_instance_uid": "--study",
}


@dataclass(frozen=True, slots=True)
class Search:
    """The search as the address of the page holds it."""

    pacs: tuple[str, ...]
    filter: StudyFilter
    limit: int
    is_asked: bool

    @property
    def parameters(self) -> dict[str, Any]:
        """For an address that asks the same."""
        limit = "" if self.limit == DEFAULT_LIMIT else self.limit
        return {"pacs": list(self.pacs), **asdict(self.filter), "limit": limit}

    @property
    def active(self) -> dict[str, str]:
        """Label -> value of the fields that restrict the search."""
        return {_LABELS[name]: value for name, value in asdict(self.filter).items() if value.strip()}

    @property
    def command(self) -> str:
        """The options that ask the same on the command line, each with a space in front."""
        options = [(option, value) for name, option in _OPTIONS.items() if (value := getattr(self.filter, name))]
        servers = [("--pacs", server) for server in self.pacs]
        limit = [] if self.limit == DEFAULT_LIMIT else [("--limit", str(self.limit))]
        return "".join(f" {option} {shlex.quote(value)}" for option, value in (*servers, *options, *limit))


def search_of(request: Request, pacs: Annotated[tuple[str, ...], Query()] = (), limit: str = "") -> Search:
    """Read the search from the address.

    Raises:
        InvalidInput: the limit is no number.
    """
    if limit and not (limit.isascii() and limit.isdigit() and len(limit) <= 6):
        raise InvalidInput(f"limit: {limit!r} is not a number of studies", field="limit", value=limit)
    given = {field.name: request.query_params.get(field.name, "") for field in fields(StudyFilter)}
    asked = "run" in request.query_params
    return Search(pacs, StudyFilter(**given), int(limit) if limit else DEFAULT_LIMIT, asked)


CurrentSearch = Annotated[Search, Depends(search_of)]


@router.get("", dependencies=[permission(Action.QUERY)])
def form(request: Request, search: CurrentSearch, actor: CurrentActor, application: CurrentApplication) -> Response:
    """The form, and a card for each server asked; the answers come by :func:`answers`."""
    offered = _offered(application, actor)
    error: DicomFabError | None = None
    asked: list[PacsServer] = []
    if search.is_asked:
        try:
            asked = _asked(application, actor, search)
            search.filter.identifier()
        except InvalidInput as problem:
            error, asked = problem, []
    context = {
        "search": search,
        "offered": offered,
        "asked": asked,
        "error": error,
        "wrong": error.field if isinstance(error, InvalidInput) else "",
        "default_limit": DEFAULT_LIMIT,
    }
    return page(request, "query/form.html", context, status_code=status_of(error) if error else 200)


@router.get("/answers", dependencies=[permission(Action.QUERY)])
def answers(search: CurrentSearch, actor: CurrentActor, application: CurrentApplication) -> EventSourceResponse:
    """One ``answer-N`` per server, the N-th of those asked, as soon as it is there, each with a ``summary``."""
    servers = _asked(application, actor, search)
    gone = threading.Event()
    found = application.queries.studies(actor, servers, search.filter, limit=search.limit, cancelled=gone.is_set)
    return stream(_events(servers, found, search), on_close=gone.set)


@router.get("/series", dependencies=[permission(Action.QUERY)])
def series(request: Request, server: str, study: str, actor: CurrentActor, application: CurrentApplication) -> Response:
    """The series of one study on one server."""
    asked = application.pacs.get(actor, server)
    found = application.queries.series(actor, asked, uid(study, field="study"))
    return page(request, "query/series.html", {"server": asked, "study": study, "series": found})


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
    yes_production: Annotated[bool, Form()] = False,
) -> Response:
    """Start a C-MOVE by the route table."""
    study = uid(study, field="study")
    start = application.pacs.get(actor, source)
    try:
        end = chosen_destination(application, actor, destination, yes_production=yes_production)
    except InvalidInput as error:
        return _move_form(request, application, actor, source, study, error, destination)
    route = application.pacs.route(actor, start.id, end.id)
    transfers = application.transfers
    task = application.tasks.start(
        actor,
        f"Move a study from {start.name} to {end.name}",
        lambda report, cancelled: transfers.move(
            actor, study, start, end, route, confirm_production=yes_production, watch=Watch(report, cancelled)
        ),
    )
    return to_task(task)


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
    transfers = application.transfers
    task = application.tasks.start(
        actor,
        f"Get a study from {start.name} to the local store",
        lambda report, cancelled: transfers.get(actor, study, start, watch=Watch(report, cancelled)),
    )
    return to_task(task)


def chosen_destination(application: Application, actor: Actor, server_id: str, *, yes_production: bool) -> PacsServer:
    """The server that a form names as destination.

    Raises:
        InvalidInput: none was chosen, or it is production and the box was not ticked.
        NotFound, AccessDenied: as for any server.
    """
    if not server_id:
        raise InvalidInput("destination: choose a server", field="destination", value="")
    server = application.pacs.get(actor, server_id)
    if server.environment is Environment.PROD and not yes_production:
        raise InvalidInput(
            f"yes_production: {server.name} is a production server; nothing was sent",
            field="yes_production",
            cause="writing to production wants an explicit yes each time",
            remedy="tick the box if you mean it",
        )
    return server


def _events(servers: list[PacsServer], found: Iterator[ServerAnswer], search: Search) -> Iterator[ServerSentEvent]:
    places = {server.id: place for place, server in enumerate(servers)}
    answered: list[ServerAnswer] = []
    for answer in found:
        answered.append(answer)
        body = fragment("query/answer.html", answer=answer, search=search)
        yield ServerSentEvent(event=f"answer-{places[answer.server.id]}", data=body)
        summary = fragment("query/summary.html", answered=answered, asked=len(servers))
        yield ServerSentEvent(event="summary", data=summary)


def _offered(application: Application, actor: Actor) -> list[PacsServer]:
    return [s for s in application.pacs.servers(actor) if s.is_active and s.can(Capability.FIND)]


def _asked(application: Application, actor: Actor, search: Search) -> list[PacsServer]:
    if not search.pacs:
        raise InvalidInput("pacs: choose at least one server", field="pacs", value="")
    found = {s.id: s for s in (application.pacs.resolve(actor, label) for label in search.pacs)}
    return list(found.values())


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
