"""Query PACS: search many servers at once, then move or get what was found."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.datastructures import FormData as SubmittedForm
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.model.actor import Actor
from dicomfab.model.errors import DicomFabError, InvalidInput, NotFound
from dicomfab.model.query import DEFAULT_LIMIT
from dicomfab.model.values import uid
from dicomfab.registry.server import PacsServer
from dicomfab.services.jobs.service import IN_THE_BACKGROUND
from dicomfab.services.search import Page, SearchService, filter_of
from dicomfab.services.search_dates import SHORTCUTS
from dicomfab.services.search_export import KINDS
from dicomfab.services.search_match import shown
from dicomfab.services.search_messages import lines, steps
from dicomfab.services.study_filter import StudyFilter
from dicomfab.storage.searches import StoredSearch
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.confirmation import is_typed
from dicomfab.web.errors import status_of
from dicomfab.web.jobs import to_job
from dicomfab.web.plain_text import plain
from dicomfab.web.query_address import LABELS, CurrentSearch, Search, search_from
from dicomfab.web.query_servers import offered
from dicomfab.web.server_form import FormData
from dicomfab.web.streams import stream
from dicomfab.web.templating import fragment, is_fragment_wanted, page
from dicomfab.web.undo import Notice, notice_of, to_notice

router = APIRouter(prefix="/query")

_LOOK_S = 0.1
#: No server is waited for longer than its time limits; nothing new for so long means that nobody asks any more.
_SILENCE_S = 3700.0


@router.get("", dependencies=[permission(Action.QUERY)])
def form(
    request: Request,
    search: CurrentSearch,
    actor: CurrentActor,
    application: CurrentApplication,
    saved: str = "",
    choose: str = "",
) -> Response:
    """The form, and the answers to what was asked; asking leads to the address at which they stay for a day."""
    error: DicomFabError | None = None
    if saved:
        search = search.below(application.searches.saved.load(actor, saved))
    if search.is_asked and not choose:
        try:
            return RedirectResponse(_begin(application, actor, search), status_code=303)
        except (InvalidInput, NotFound) as problem:
            error = problem
    return _form(request, application, actor, search, error, choose=choose)


@router.post("/background", dependencies=[permission(Action.QUERY)])
def in_the_background(
    request: Request, given: FormData, actor: CurrentActor, application: CurrentApplication
) -> Response:
    """Leave the search to a job, which goes on when the page is closed; its page leads to the answers."""
    search = _search_of(given)
    try:
        _check_chosen(search)
        job = application.query_jobs.submit(
            actor,
            application.searches.targets(actor, search.pacs),
            search.filter,
            limit=search.limit,
            priority=IN_THE_BACKGROUND.priority,
            max_attempts=IN_THE_BACKGROUND.max_attempts,
        )
    except (InvalidInput, NotFound) as problem:
        return _form(request, application, actor, replace(search, is_asked=True, id=""), problem)
    return to_job(application, job)


def _form(
    request: Request,
    application: Application,
    actor: Actor,
    search: Search,
    error: DicomFabError | None,
    *,
    choose: str = "",
) -> Response:
    results, gone = None, None
    if search.id and error is None:
        try:
            results = application.searches.page(actor, search.id, search.view)
        except NotFound as problem:
            gone = problem
    if results is not None and not search.pacs:
        search = _as_asked(search, results.search)
    servers = offered(application, actor)
    if choose:
        search = replace(search, pacs=servers.ids(choose))
    elif not search.pacs and not search.is_asked:
        search = replace(search, pacs=servers.ids("test"))  # production is asked only when somebody chooses it
    context: dict[str, Any] = {
        "search": search,
        "offered": servers,
        "asked": servers.chosen(search.pacs),
        "saved": application.searches.saved.every(actor),
        "error": error,
        "gone": gone,
        "wrong": error.field if isinstance(error, InvalidInput) else "",
        "default_limit": DEFAULT_LIMIT,
        "shortcuts": SHORTCUTS,
        "labels": LABELS,
        "kinds": tuple(KINDS),
        "results": results,
        **notice_of(request, actor),
    }
    if results is not None:
        wanted = filter_of(results.search)
        context |= {"columns": shown(wanted), "level": str(wanted.query_level), "said": _said(results.search)}
        context |= {"study": wanted.study_instance_uid, "elsewhere": _elsewhere(search, results, wanted)}
    return page(request, "query/form.html", context, status_code=status_of(error) if error else 200)


@router.get("/answers", dependencies=[permission(Action.QUERY)])
def answers(search: str, actor: CurrentActor, application: CurrentApplication) -> EventSourceResponse:
    """One ``server-N`` for each server, as soon as it has answered, each with a ``summary`` and a ``changed``."""
    service = application.searches
    service.get(actor, search)
    gone = threading.Event()
    return stream(_events(service, actor, search, gone), on_close=gone.set)


@router.get("/below", dependencies=[permission(Action.QUERY)])
def below(
    request: Request,
    server: str,
    actor: CurrentActor,
    application: CurrentApplication,
    study: str,
    series: str = "",
    search: str = "",
) -> Response:
    """What one server holds of a study, or of a series."""
    asked = application.pacs.get(actor, server)
    uids = {"study_instance_uid": uid(study, field="study")}
    if series:
        uids["series_instance_uid"] = uid(series, field="series")
    level = "instance" if series else "series"
    wanted = StudyFilter(level=level, **uids)  # type: ignore[arg-type]
    warnings: list[str] = []
    found = application.queries.below(actor, asked, wanted, warned=warnings.append)
    number = "InstanceNumber" if series else "SeriesNumber"
    found.sort(key=lambda match: (match.number(number) is None, match.number(number) or 0))
    context = {"server": asked, "study": study, "series": series, "level": level, "found": found, "search_id": search}
    return page(request, "query/below.html", {**context, "columns": shown(wanted), "warnings": warnings})


@router.get("/export", dependencies=[permission(Action.QUERY)])
def export(search: CurrentSearch, actor: CurrentActor, application: CurrentApplication, kind: str) -> Response:
    """The answers as a file: all pages of the view, or the chosen rows alone."""
    named = [row.split("|") for row in search.rows]
    only = frozenset((one[0], one[-1]) for one in named) or None
    pieces = application.searches.export(actor, search.id, kind, search.view, only=only)
    headers = {"Content-Disposition": f'attachment; filename="query.{kind}"'}
    return StreamingResponse(pieces, media_type=KINDS[kind], headers=headers)


@router.get("/messages", dependencies=[permission(Action.QUERY)])
def messages(
    request: Request, search: str, server: str, actor: CurrentActor, application: CurrentApplication, kind: str = ""
) -> Response:
    """What was sent to one server and what it answered, to be read, or as a text file."""
    log = application.searches.messages(actor, search, server)
    name = next(one.name for one in application.searches.get(actor, search).answers if one.server_id == server)
    text = "" if log is None else "\n".join(map(plain, lines(name, log))) + "\n"
    if kind == "txt":
        headers = {"Content-Disposition": f'attachment; filename="messages-{server}.txt"', "Cache-Control": "no-store"}
        return PlainTextResponse(text, headers=headers)
    context: dict[str, Any] = {"name": name, "search_id": search, "server_id": server, "log": log, "text": text}
    context["steps"] = [] if log is None else steps(log)
    template = "query/messages_list.html" if is_fragment_wanted(request) else "query/messages.html"
    return page(request, template, context)


@router.post("/saved", dependencies=[permission(Action.QUERY)])
def save(given: FormData, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Keep the search under a name, without its answers."""
    search = _search_of(given)
    application.searches.saved.save(actor, search.saved_as(str(given.get("save", "")).strip()))
    return RedirectResponse(search.address(), status_code=303)


@router.post("/saved/{name}/delete", dependencies=[permission(Action.QUERY)])
def forget(request: Request, name: str, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Forget a saved search."""
    removed = application.searches.saved.remove(actor, name)

    def put_back(application: Application, actor: Actor) -> str:
        application.searches.saved.put_back(actor, removed)
        return "is saved again."

    return to_notice(request, actor, Notice(name, "is a saved search no more.", "/query", "", put_back))


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
    _check_chosen(search)
    service = application.searches
    search_id = service.begin(actor, service.targets(actor, search.pacs), search.filter, search.limit)
    service.start(actor, search_id)
    return search.address(search=search_id, page="")


def _as_asked(search: Search, kept: StoredSearch) -> Search:
    """For an address that names the answers alone, such as a job's: what was asked, and whom."""
    servers = tuple(answer.server_id for answer in kept.answers)
    return replace(search, pacs=servers, filter=filter_of(kept), limit=int(kept.spec["limit"]))


def _check_chosen(search: Search) -> None:
    if not search.pacs:
        raise InvalidInput("pacs: choose at least one server", field="pacs", value="")


def _search_of(given: SubmittedForm) -> Search:
    labels = tuple(str(value) for value in given.getlist("pacs"))
    return search_from(dict(given), labels, str(given.get("limit", "")))


def _events(service: SearchService, actor: Actor, search_id: str, gone: threading.Event) -> Iterator[ServerSentEvent]:
    sent: dict[int, str] = {}
    silent_since = time.monotonic()
    while time.monotonic() - silent_since < _SILENCE_S:
        search = service.get(actor, search_id)
        new = [answer for answer in search.answers if sent.get(answer.place, "waiting") != answer.state]
        for answer in new:
            sent[answer.place] = answer.state
            text = fragment("query/server.html", answer=answer, search_id=search_id)
            yield ServerSentEvent(event=f"server-{answer.place}", data=text)
        if new:
            silent_since = time.monotonic()
            yield ServerSentEvent(event="summary", data=fragment("query/summary.html", **_said(search)))
            yield ServerSentEvent(event="changed", data=str(len(sent)))
        failure = service.failure(search)
        if failure is not None:
            yield ServerSentEvent(event="summary", data=fragment("fragments/alert.html", error=failure))
        is_over = search.state == "done" or len(sent) == len(search.answers) or failure is not None
        if is_over or gone.wait(_LOOK_S):
            return


def _said(search: StoredSearch) -> dict[str, Any]:
    """How far it is, in numbers."""
    states = [answer.state for answer in search.answers]
    bad = [state for state in states if state not in ("ok", "warning", "waiting")]
    answered = len(states) - states.count("waiting")
    found = sum(answer.found for answer in search.answers)
    level = filter_of(search).level
    return {"asked": len(states), "answered": answered, "failed": len(bad), "found": found, "what": level}


def _elsewhere(search: Search, results: Page, wanted: StudyFilter) -> list[str]:
    """The chosen rows that the shown page does not hold."""
    found = results.rows or tuple(one for row in results.merged for one in row.found)
    middle = "" if wanted.level == "study" else f"|{wanted.study_instance_uid}"
    here = {f"{one.answer.server_id}{middle}|{one.match.key}" for one in found}
    return [row for row in search.rows if row not in here]
