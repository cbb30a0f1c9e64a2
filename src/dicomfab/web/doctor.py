"""The doctor: say why DICOM fails, on one server or in a C-MOVE between two; checks appear as they are made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Request
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import RedirectResponse, Response

from dicomfab.access.policy import Action, require
from dicomfab.app.build import Application
from dicomfab.diagnosis.checks import Outcome
from dicomfab.model.actor import Actor
from dicomfab.model.errors import Conflict, DicomFabError, InvalidInput, NotFound
from dicomfab.model.values import uid
from dicomfab.registry.server import PacsServer
from dicomfab.services.doctor.examination import LIMIT_S
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.confirmation import untyped
from dicomfab.web.doctor_runs import Run, Runs, Wanted, of_move, of_server
from dicomfab.web.doctor_view import LOOKS, NO_KNOWN_CAUSE, SHOWN, counted, lines_by_product, on_page, report, tree_of
from dicomfab.web.errors import status_of
from dicomfab.web.streams import stream
from dicomfab.web.templating import fragment, page, query_string

router = APIRouter(prefix="/doctor")

#: How often the time that has passed is shown while a check takes long.
_TICK_S: Final = 1.0


def runs_of(request: Request) -> Runs:
    """The diagnoses of this installation's pages."""
    runs: Runs = request.app.state.doctor_runs
    return runs


@router.get("", dependencies=[permission(Action.VIEW)])
def form(
    request: Request,
    actor: CurrentActor,
    application: CurrentApplication,
    run: str = "",
) -> Response:
    """The forms, filled in as the address says; nothing is called before one is sent. With ``run``, its diagnosis."""
    pacs, source, destination, study = (
        request.query_params.get(name, "").strip() for name in ("pacs", "from", "to", "study")
    )
    wanted = Wanted(pacs, source, destination, study)
    if not run:
        return _form(request, application, actor, wanted)
    try:
        kept = runs_of(request).get(actor, run)
    except NotFound as gone:
        return _form(request, application, actor, wanted, gone)
    return _form(request, application, actor, kept.wanted, run=kept, run_id=run)


@router.post("/server", dependencies=[permission(Action.ECHO)])
def server(
    request: Request, actor: CurrentActor, application: CurrentApplication, pacs: Annotated[str, Form()] = ""
) -> Response:
    """Have one server examined."""
    wanted = Wanted(pacs=pacs)
    try:
        found = _chosen(application, actor, pacs, "pacs")
        require(actor, Action.ECHO, found.environment)
        return _begun(request, of_server(application, actor, found))
    except (InvalidInput, NotFound, Conflict) as error:
        return _form(request, application, actor, wanted, error)


@router.post("/move", dependencies=[permission(Action.QUERY)])
def move(
    request: Request,
    actor: CurrentActor,
    application: CurrentApplication,
    source: Annotated[str, Form(alias="from")] = "",
    destination: Annotated[str, Form(alias="to")] = "",
    study: Annotated[str, Form()] = "",
    confirm_name: Annotated[str, Form()] = "",
) -> Response:
    """Have a C-MOVE examined; in production with C-ECHO and C-FIND only, unless the names there were typed."""
    wanted = Wanted(source=source, destination=destination, study=study.strip())
    try:
        ends = _chosen(application, actor, source, "from"), _chosen(application, actor, destination, "to")
        for end in ends:
            require(actor, Action.QUERY, end.environment)
        if ends[0].id == ends[1].id:
            raise InvalidInput(f"to: {ends[1].name} is the source itself", field="to", remedy="choose another server")
        moved = uid(wanted.study, field="study") if wanted.study else ""
        confirmed = is_confirmed(confirm_name, ends)
        return _begun(request, of_move(application, actor, *ends, study=moved, is_confirmed=confirmed))
    except (InvalidInput, NotFound, Conflict) as error:
        return _form(request, application, actor, wanted, error)


@router.get("/checks", dependencies=[permission(Action.ECHO)])
def checks(request: Request, run: str, actor: CurrentActor) -> EventSourceResponse:
    """Make the diagnosis: ``checks`` and ``progress`` as they come, then ``diagnosis``. It ends when the page goes."""
    kept = runs_of(request).get(actor, run)
    return stream(_events(kept, actor), on_close=kept.stop)


def _events(run: Run, actor: Actor) -> Iterator[ServerSentEvent]:
    run.start_as(actor)
    shown = 0
    while not run.has_ended:
        run.wait(shown, _TICK_S)
        if len(run.checks) != shown:
            shown = len(run.checks)
            yield ServerSentEvent(event="checks", data=fragment("doctor/checks.html", **_said(run)))
        yield ServerSentEvent(event="progress", data=fragment("doctor/progress.html", **_said(run)))
    said = _said(run)
    yield ServerSentEvent(event="checks", data=fragment("doctor/checks.html", **said))
    yield ServerSentEvent(event="progress", data=fragment("doctor/progress.html", **said))
    yield ServerSentEvent(event="diagnosis", data=fragment("doctor/diagnosis.html", **said))


def _said(run: Run) -> dict[str, Any]:
    made = tuple(run.checks)
    return {
        "run": run,
        "tree": tree_of(made),
        "looks": LOOKS,
        "limit_s": LIMIT_S,
        "odd": counted(made, Outcome.ODD),
        "skipped": counted(made, Outcome.SKIPPED),
        "shown": SHOWN,
        "no_known_cause": NO_KNOWN_CAUSE,
        "lines_by_product": lines_by_product,
        "on_page": on_page,
        "report": report(run),
    }


def _begun(request: Request, run: Run) -> Response:
    """Keep what is to be made; the page that it leads to makes it."""
    run_id = runs_of(request).add(run)
    address = query_string(run.wanted.parameters, run=run_id)
    return RedirectResponse(f"/doctor?{address}#diagnosis", status_code=303)


def _chosen(application: Application, actor: Actor, server_id: str, field: str) -> PacsServer:
    if not server_id:
        raise InvalidInput(f"{field}: choose a server", field=field, value="")
    return application.pacs.get(actor, server_id)


def is_confirmed(typed: str, ends: tuple[PacsServer, ...]) -> bool:
    """Whether the names of all ends in production were typed, joined by commas; nothing typed is no.

    Raises:
        InvalidInput: something else was typed.
    """
    if not typed.strip():
        return False
    production = [end for end in ends if end.is_production]
    left = untyped(typed, production)
    if left is not None:
        raise InvalidInput(
            f"confirm_name: {left.name} is a production server; nothing was tried",
            field="confirm_name",
            cause="storing there wants an explicit yes each time",
            remedy=f"type its name if you mean it, or nothing for C-ECHO and C-FIND only: {left.name}",
        )
    return bool(production)


def _form(
    request: Request,
    application: Application,
    actor: Actor,
    wanted: Wanted,
    error: DicomFabError | None = None,
    *,
    run: Run | None = None,
    run_id: str = "",
) -> Response:
    fields = {"pacs", "from", "to", "study", "confirm_name"}
    field = error.field if isinstance(error, InvalidInput) else ""
    context: dict[str, Any] = {
        "wanted": wanted,
        "servers": application.pacs.servers(actor),
        "error": error,
        "wrong": field if field in fields else "",
        "run_id": run_id,
        **(_said(run) if run is not None else {"run": None}),
    }
    return page(request, "doctor/form.html", context, status_code=status_of(error) if error else 200)
