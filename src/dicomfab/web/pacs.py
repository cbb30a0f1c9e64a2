"""PACS Management: servers are added, changed and tested, and the C-MOVE routing of one of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, File, Form, Query, Request, UploadFile
from starlette.responses import RedirectResponse, Response

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.model.actor import Actor
from dicomfab.model.errors import ConfirmationRequired, Conflict, DicomFabError, InvalidInput
from dicomfab.services.pacs import PacsService, RemovedServer
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.confirmation import is_name, is_typed, require_typed
from dicomfab.web.errors import status_of
from dicomfab.web.pacs_list import row_context
from dicomfab.web.server_form import FormData, ServerForm, routing_from
from dicomfab.web.templating import page
from dicomfab.web.undo import Notice, to_notice
from dicomfab.web.uploads import text_of

router = APIRouter(prefix="/pacs")


@router.post("/test", dependencies=[permission(Action.ECHO)])
def test_all(actor: CurrentActor, application: CurrentApplication) -> Response:
    """One C-ECHO to every active server, side by side."""
    from dicomfab.registry.fields import Capability

    service = application.pacs
    able = [s.id for s in service.servers(actor) if s.is_active and s.can(Capability.ECHO)]
    service.test_all(actor, able)
    return RedirectResponse("/pacs", status_code=303)


@router.post("/{server_id}/test", dependencies=[permission(Action.ECHO)])
def test(request: Request, server_id: str, actor: CurrentActor, application: CurrentApplication) -> Response:
    """One C-ECHO; the answer is the server's row with the outcome."""
    application.pacs.test(actor, server_id)
    if "hx-request" not in request.headers:
        return RedirectResponse("/pacs", status_code=303)
    return page(request, "pacs/row.html", {**row_context(application, actor, server_id), "just_tested": True})


@router.get("/new", dependencies=[permission(Action.CONFIGURE)])
def new(request: Request) -> Response:
    """The empty form."""
    return _form(request, ServerForm.blank())


@router.post("/new", dependencies=[permission(Action.CONFIGURE)])
def add(request: Request, form: FormData, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Add a server, or show the form again with what is wrong."""
    given = ServerForm.submitted(form)
    try:
        confirmed = is_name(str(form.get("change_environment", "")), given.values["name"])
        server = application.pacs.add(actor, given.fields(), confirm_environment=confirmed)
    except (InvalidInput, Conflict, ConfirmationRequired) as error:
        return _form(request, given, error=error)
    return RedirectResponse(f"/pacs#{server.id}", status_code=303)


@router.get("/{server_id}/edit", dependencies=[permission(Action.CONFIGURE)])
def edit(request: Request, server_id: str, actor: CurrentActor, application: CurrentApplication) -> Response:
    """The form, filled in."""
    server = application.pacs.get(actor, server_id)
    return _form(request, ServerForm.of(server), server_id=server.id)


@router.post("/{server_id}/edit", dependencies=[permission(Action.CONFIGURE)])
def change(
    request: Request, server_id: str, form: FormData, actor: CurrentActor, application: CurrentApplication
) -> Response:
    """Change a server, or show the form again with what is wrong."""
    given = ServerForm.submitted(form)
    try:
        typed, before = str(form.get("change_environment", "")), application.pacs.get(actor, server_id)
        confirmed = is_typed(typed, before)
        server = application.pacs.edit(actor, server_id, given.fields(), confirm_environment=confirmed)
    except DicomFabError as error:
        if error.fault != "caller":
            raise
        return _form(request, given, error=error, server_id=server_id)
    return RedirectResponse(f"/pacs#{server.id}", status_code=303)


@router.get("/{server_id}/delete", dependencies=[permission(Action.CONFIGURE)])
def ask_delete(request: Request, server_id: str, actor: CurrentActor, application: CurrentApplication) -> Response:
    """What would go, and the question."""
    rows = application.pacs.overview(actor)
    application.pacs.get(actor, server_id)
    row = next(r for r in rows if r.server.id == server_id)
    incoming = [r.server for r in rows if server_id in r.routes]
    return page(request, "pacs/delete.html", {"row": row, "incoming": incoming})


@router.post("/{server_id}/delete", dependencies=[permission(Action.CONFIGURE)])
def delete(request: Request, server_id: str, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Remove a server with its routes."""
    removed = application.pacs.take_out(actor, server_id)
    what = f"is deleted, {_with_routes(removed)}."

    def put_back(application: Application, actor: Actor) -> str:
        return _back(removed, application.pacs.put_back(actor, removed))

    return to_notice(request, actor, Notice(removed.server.name, what, "/pacs", server_id, put_back))


@router.get("/{server_id}/routing", dependencies=[permission(Action.VIEW)])
def routing(request: Request, server_id: str, actor: CurrentActor, application: CurrentApplication) -> Response:
    """For each destination, the move AE title."""
    rows = application.pacs.routes(actor, server_id)
    titles = {row.destination.id: row.ae_title for row in rows}
    return _routing(request, application.pacs, actor, server_id, titles)


@router.post("/{server_id}/routing", dependencies=[permission(Action.CONFIGURE)])
def change_routing(
    request: Request, server_id: str, form: FormData, actor: CurrentActor, application: CurrentApplication
) -> Response:
    """Change the routes of one server, all or none of them."""
    titles = routing_from(form)
    try:
        application.pacs.set_routes(actor, server_id, titles)
    except InvalidInput as error:
        return _routing(request, application.pacs, actor, server_id, titles, error)
    return RedirectResponse(f"/pacs#{server_id}", status_code=303)


@router.get("/export", dependencies=[permission(Action.CONFIGURE)])
def export(
    actor: CurrentActor, application: CurrentApplication, server: Annotated[str | None, Query()] = None
) -> Response:
    """The registry, or one server, as a JSON file."""
    text = application.pacs.export_json(actor, server)
    name = f"pacs-{server}.json" if server else "pacs-servers.json"
    return Response(
        text, media_type="application/json", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


@router.get("/import", dependencies=[permission(Action.CONFIGURE)])
def import_form(request: Request) -> Response:
    """Choose a file."""
    return page(request, "pacs/import.html", {"error": None, "report": None})


@router.post("/import", dependencies=[permission(Action.CONFIGURE)])
def import_file(
    request: Request,
    actor: CurrentActor,
    application: CurrentApplication,
    file: Annotated[UploadFile, File()],
    change_environment: Annotated[str, Form()] = "",
) -> Response:
    """Apply a JSON file as a whole or not at all."""
    try:
        text = text_of(file, most_mb=4, remedy="choose a JSON file, such as one exported here")
        name, is_confirmed = file.filename or "file", bool(change_environment.strip())
        if is_confirmed:
            require_typed(change_environment, application.pacs.changing_sides(actor, text, source=name))
        report = application.pacs.import_json(actor, text, source=name, confirm_environment=is_confirmed)
    except DicomFabError as error:
        return page(request, "pacs/import.html", {"error": error, "report": None}, status_code=status_of(error))
    return page(request, "pacs/import.html", {"error": None, "report": report})


def _with_routes(removed: RemovedServer) -> str:
    count = len(removed.routes)
    return f"with {count or 'no'} C-MOVE route{'' if count == 1 else 's'} from and to it"


def _back(removed: RemovedServer, back: RemovedServer) -> str:
    """What is there again, and what is not."""
    said = f"is back, {_with_routes(back)}."
    if lacking := len(removed.routes) - len(back.routes):
        said += f" {lacking} of its routes stay away: their other ends are gone."
    if removed.server.is_default and not back.server.is_default:
        said += " Another server is the default by now, and stays it."
    return said


def _form(
    request: Request, form: ServerForm, *, error: DicomFabError | None = None, server_id: str | None = None
) -> Response:
    context = {"form": form, "error": error, "wrong": form.field_at_fault(error), "server_id": server_id}
    return page(request, "pacs/form.html", context, status_code=status_of(error) if error else 200)


def _routing(
    request: Request,
    service: PacsService,
    actor: Actor,
    server_id: str,
    titles: dict[str, str],
    error: InvalidInput | None = None,
) -> Response:
    context = {
        "source": service.get(actor, server_id),
        "rows": service.routes(actor, server_id),
        "titles": titles,
        "error": error,
        "wrong": error.field.rpartition(".")[2] if error else "",
    }
    return page(request, "pacs/routing.html", context, status_code=400 if error else 200)
