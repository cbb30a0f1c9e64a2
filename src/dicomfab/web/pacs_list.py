"""The list of servers, and what is changed in it with one click: favourite, default, active."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from dicomfab.access.policy import Action, Scope, decide
from dicomfab.app.build import Application
from dicomfab.model.actor import Actor
from dicomfab.model.errors import InvalidInput, NotFound
from dicomfab.services.pacs import ServerOverview
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.monitor_view import Line, line_of
from dicomfab.web.pacs_filter import CurrentFilter, ServerFilter, groups_of
from dicomfab.web.templating import page, query_string
from dicomfab.web.undo import notice_of

CHECKS_DRAWN: Final = 40
_FLAGS: Final = ("is_active", "is_default")

router = APIRouter(prefix="/pacs")


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of the list.

    Args:
        row: the server with its routes and its last test.
        is_favourite: whether the actor marked it.
        line: latency of its last checks, if it is monitored.
    """

    row: ServerOverview
    is_favourite: bool
    line: Line | None


@router.get("", dependencies=[permission(Action.VIEW)])
def overview(
    request: Request,
    actor: CurrentActor,
    application: CurrentApplication,
    asked: CurrentFilter,
    changed: str = "",
    flag: str = "",
    before: str = "",
) -> Response:
    """The list of servers; with ``changed``, what was just changed and how to undo it."""
    rows = application.pacs.overview(actor)
    context = {
        "listed": _listed(application, actor, asked.chosen(rows, application.pacs.favourites(actor))),
        "count": len(rows),
        "filter": asked,
        "groups": groups_of(row.server for row in rows),
        "undo": _undo(rows, changed, flag, before),
        "may_configure": _may_configure(actor),
        **notice_of(request, actor),
    }
    return page(request, "pacs/list.html", context)


@router.post("/{server_id}/favourite", dependencies=[permission(Action.OWN_ACCOUNT)])
def favourite(
    server_id: str,
    actor: CurrentActor,
    application: CurrentApplication,
    asked: CurrentFilter,
    on: Annotated[str, Form()] = "",
) -> Response:
    """Mark a server for oneself, or take the mark away."""
    application.pacs.set_favourite(actor, server_id, is_on=on == "true")
    return RedirectResponse(f"/pacs{asked.address}#{server_id}", status_code=303)


@router.post("/{server_id}/flag", dependencies=[permission(Action.CONFIGURE)])
def change_flag(
    server_id: str,
    actor: CurrentActor,
    application: CurrentApplication,
    asked: CurrentFilter,
    flag: Annotated[str, Form()],
    on: Annotated[str, Form()] = "",
) -> Response:
    """Make a server the default or active, or no more."""
    if flag not in _FLAGS:
        raise InvalidInput(f"flag: {flag!r} is none of {', '.join(_FLAGS)}", field="flag", value=flag)
    default = application.pacs.default(actor)
    application.pacs.edit(actor, server_id, {flag: on == "true"})
    before = default.id if flag == "is_default" and default is not None and default.id != server_id else ""
    address = query_string(asked.parameters, changed=server_id, flag=flag, before=before)
    return RedirectResponse(f"/pacs?{address}", status_code=303)


def row_context(application: Application, actor: Actor, server_id: str) -> Mapping[str, Any]:
    """What the row of one server shows.

    Raises:
        NotFound, AccessDenied: there is none of this id, or the actor may not see it.
    """
    application.pacs.get(actor, server_id)
    rows = [row for row in application.pacs.overview(actor) if row.server.id == server_id]
    if not rows:
        raise NotFound(f"no PACS server {server_id!r}", remedy="see the list")
    (one,) = _listed(application, actor, tuple(rows))
    return {"one": one, "filter": ServerFilter(), "may_configure": _may_configure(actor)}


def _listed(application: Application, actor: Actor, rows: tuple[ServerOverview, ...]) -> tuple[Listed, ...]:
    favourites = application.pacs.favourites(actor)
    checks = application.monitoring.recent(actor, [row.server.id for row in rows], limit=CHECKS_DRAWN)
    return tuple(Listed(row, row.server.id in favourites, line_of(checks[row.server.id])) for row in rows)


def _may_configure(actor: Actor) -> bool:
    return decide(actor, Action.CONFIGURE, Scope.SYSTEM).allowed


def _undo(rows: tuple[ServerOverview, ...], changed: str, flag: str, before: str) -> Mapping[str, str] | None:
    """What was changed, as long as it still is so, and what undoes it."""
    by_id = {row.server.id: row.server for row in rows}
    server = by_id.get(changed)
    if server is None or flag not in _FLAGS:
        return None
    is_on = bool(getattr(server, flag))
    words = {
        ("is_active", True): "is active now: it is offered for work",
        ("is_active", False): "is inactive now: it is not offered for work",
        ("is_default", True): "is the default server now",
        ("is_default", False): "is not the default server any more",
    }[flag, is_on]
    undone, on = (before, True) if is_on and flag == "is_default" and before in by_id else (server.id, not is_on)
    return {"what": f"{server.name} {words}.", "id": undone, "flag": flag, "on": str(on).lower()}
