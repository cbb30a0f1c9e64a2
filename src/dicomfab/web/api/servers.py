"""PACS servers, their C-MOVE routes, and their import and export."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Body, Query, Request, Response
from pydantic import Field, create_model

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.app.plain import import_dict, server_dict, test_dict
from dicomfab.model.actor import Actor
from dicomfab.model.values import Environment
from dicomfab.registry.fields import Capability
from dicomfab.registry.hours import PermittedHours
from dicomfab.registry.server import REQUIRED_FIELDS, PacsServer
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.api.shared import Given, Limit, Listed, Offset, Told, cut, described, resource, told_model
from dicomfab.web.confirmation import require_typed

router = resource("servers")

_SAYS = described(PacsServer)
_EXAMPLES: dict[str, Any] = {
    "name": "Test PACS 9",
    "host": "127.0.0.1",
    "port": 11119,
    "aec": "TESTPACS9",
    "environment": "test",
}


class ConnectionTest(Told):
    """A C-ECHO: how it ended."""

    server_id: str
    ok: bool
    tested_at: str
    latency_ms: float | None
    message: dict[str, Any] = Field(description="What the server said, or why it failed.")


def _given_fields(*, is_new: bool) -> dict[str, Any]:
    hints = {"port": int, "environment": Environment, "capabilities": list[Capability], "permitted_hours": str}
    fields: dict[str, Any] = {}
    for name, field in PacsServer.__dataclass_fields__.items():
        kind = hints.get(
            name, {"int": int, "float": float, "bool": bool, "bool | None": bool}.get(str(field.type), str)
        )
        says = Field(description=_SAYS.get(name), examples=[_EXAMPLES[name]] if name in _EXAMPLES else None)
        if name == "id" and not is_new:
            continue
        is_needed = is_new and name in REQUIRED_FIELDS
        fields[name] = (Annotated[kind, says], ...) if is_needed else (Annotated[kind | None, says], None)
    return fields


if TYPE_CHECKING:

    class NewServer(Given):
        """A server to be added."""

    class ServerChange(Given):
        """Fields of a server to be changed."""

        confirm_environment: str

    class Server(Told):
        """A PACS server with its routes and its last test."""

else:
    NewServer = create_model(
        "NewServer",
        __base__=Given,
        __doc__="A server to be added; without an id it gets one from its name.",
        **_given_fields(is_new=True),
    )
    ServerChange = create_model(
        "ServerChange",
        __base__=Given,
        __doc__="Fields of a server to be changed; what is not named stays.",
        **_given_fields(is_new=False),
        confirm_environment=(
            str,
            Field("", description="The server's name, if its environment is really to change.", examples=[""]),
        ),
    )
    Server = told_model(
        "Server",
        PacsServer,
        {PermittedHours: str, frozenset[Capability]: list[Capability]},
        move_routing=(dict[str, str] | None, Field(None, description="Destination id -> move AE title.")),
        last_test=(ConnectionTest | None, None),
    )


class ServerRef(Told):
    """A server by id and name."""

    id: str
    name: str
    environment: Environment


class Route(Told):
    """A C-MOVE route; a blank move AE title means that there is none."""

    source: str
    destination: str
    ae_title: str


class Routes(Told):
    """The C-MOVE routing of a server."""

    source: str
    move_routing: dict[str, str] = Field(description="Destination id -> move AE title.")


class RouteChange(Given):
    """Routes to be changed; destinations that are not named stay as they are."""

    move_routing: dict[str, str] = Field(
        description="Destination id -> move AE title; blank removes the route.",
        max_length=1000,
        examples=[{"test-pacs-2": "TESTPACS2"}],
    )


class Matrix(Told):
    """All servers that one may see, and all routes between them."""

    servers: list[ServerRef]
    routes: list[Route]


class ServerImport(Told):
    """What an import changed."""

    added: list[str]
    changed: dict[str, Any]
    unchanged: list[str]


@router.get("", response_model=Listed[Server], dependencies=[permission(Action.VIEW)])
def every(
    request: Request,
    actor: CurrentActor,
    application: CurrentApplication,
    environment: Environment | None = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> Any:
    """List the servers that one may see, by name."""
    rows = application.pacs.overview(actor)
    found = [server_dict(row) for row in rows if environment in (None, row.server.environment)]
    return cut(request, found, limit, offset)


@router.post("", status_code=201, response_model=Server, dependencies=[permission(Action.CONFIGURE)])
def add(body: NewServer, response: Response, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Add a server; name, host, port, aec and environment are needed."""
    server = application.pacs.add(actor, _said(body))
    response.headers["Location"] = f"/api/v1/servers/{server.id}"
    return _shown(application, actor, server.id)


@router.get("/matrix", response_model=Matrix, dependencies=[permission(Action.VIEW)])
def matrix(actor: CurrentActor, application: CurrentApplication) -> Any:
    """Tell every C-MOVE route between the servers that one may see."""
    rows = application.pacs.overview(actor)
    return {
        "servers": [{"id": s.id, "name": s.name, "environment": s.environment} for s in (row.server for row in rows)],
        "routes": [
            {"source": row.server.id, "destination": destination, "ae_title": title}
            for row in rows
            for destination, title in row.routes.items()
        ],
    }


@router.get("/export", response_model=dict[str, Any], dependencies=[permission(Action.CONFIGURE)])
def export(actor: CurrentActor, application: CurrentApplication, server: str | None = None) -> Any:
    """Export all servers keyed by id, or one as one object, as the import reads them."""
    return json.loads(application.pacs.export_json(actor, server))


@router.post("/import", response_model=ServerImport, dependencies=[permission(Action.CONFIGURE)])
def import_(
    servers: Annotated[
        dict[str, Any], Body(description="As exported: one server, or servers keyed by id.", examples=[_EXAMPLES])
    ],
    actor: CurrentActor,
    application: CurrentApplication,
    into: Annotated[str | None, Query(description="Take it as a fragment of this server.")] = None,
    confirm_environment: Annotated[
        str, Query(description="The names of all servers whose environment changes, joined by commas.")
    ] = "",
) -> Any:
    """Add and change servers and routes, all of them or none; nothing is removed but routes with a blank AE title."""
    text, source = json.dumps(servers), "the request"
    is_confirmed = bool(confirm_environment.strip())
    if is_confirmed:
        require_typed(confirm_environment, application.pacs.changing_sides(actor, text, source=source))
    report = application.pacs.import_json(actor, text, source=source, into=into, confirm_environment=is_confirmed)
    return import_dict(report)


@router.get("/{server_id}", response_model=Server, dependencies=[permission(Action.VIEW)])
def show(server_id: str, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Show everything known of one server."""
    return _shown(application, actor, server_id)


@router.patch("/{server_id}", response_model=Server, dependencies=[permission(Action.CONFIGURE)])
def change(server_id: str, body: ServerChange, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Change fields of a server; what is not named stays."""
    found = application.pacs.get(actor, server_id)
    changes = _said(body)
    changes.pop("confirm_environment", None)
    if changes.get("environment", found.environment) != found.environment:
        require_typed(body.confirm_environment, [found])
    application.pacs.edit(actor, found.id, changes, confirm_environment=True)
    return _shown(application, actor, found.id)


@router.delete(
    "/{server_id}",
    response_model=Server,
    response_model_exclude_unset=True,
    dependencies=[permission(Action.CONFIGURE)],
)
def remove(server_id: str, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Remove a server with every route from and to it; the answer is the server as it was."""
    return application.pacs.remove(actor, server_id).as_dict()


@router.post("/{server_id}/test", response_model=ConnectionTest, dependencies=[permission(Action.ECHO)])
def test(server_id: str, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Send one C-ECHO; a failure of the server is told in the answer."""
    return test_dict(application.pacs.test(actor, server_id))


@router.get("/{server_id}/routes", response_model=Routes, dependencies=[permission(Action.VIEW)])
def routes(server_id: str, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Show the C-MOVE routing of a server."""
    rows = application.pacs.routes(actor, server_id)
    return {"source": server_id, "move_routing": {row.destination.id: row.ae_title for row in rows if row.ae_title}}


@router.put("/{server_id}/routes", response_model=Routes, dependencies=[permission(Action.CONFIGURE)])
def set_routes(server_id: str, body: RouteChange, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Change routes of a server, all that are named or none."""
    rows = application.pacs.set_routes(actor, server_id, body.move_routing)
    return {"source": server_id, "move_routing": {row.destination.id: row.ae_title for row in rows if row.ae_title}}


def _shown(application: Application, actor: Actor, server_id: str) -> dict[str, Any]:
    found = application.pacs.get(actor, server_id)
    return next(server_dict(row) for row in application.pacs.overview(actor) if row.server.id == found.id)


def _said(body: Given) -> dict[str, Any]:
    given = body.model_dump(mode="json", exclude_unset=True)
    return {name: value for name, value in given.items() if value is not None}
