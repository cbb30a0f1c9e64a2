"""The picture of the network: environments, servers, and the routes between them; and the same as a list."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.model.actor import Actor
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.assets import STATIC
from dicomfab.web.network_picture import picture_of
from dicomfab.web.pacs_filter import CurrentFilter, ServerFilter, groups_of
from dicomfab.web.pacs_matrix import LOOKS
from dicomfab.web.templating import fragment, page

router = APIRouter(prefix="/pacs")


@router.get("/network", dependencies=[permission(Action.VIEW)])
def show(request: Request, actor: CurrentActor, application: CurrentApplication, asked: CurrentFilter) -> Response:
    """Picture and list."""
    everything = application.pacs.servers(actor)
    context = {
        **_drawn(application, actor, asked),
        "count": len(everything),
        "groups": groups_of(everything),
        "filter": asked,
        "style": "",
    }
    return page(request, "pacs/network.html", context)


@router.get("/network.svg", dependencies=[permission(Action.VIEW)])
def download(actor: CurrentActor, application: CurrentApplication, asked: CurrentFilter) -> Response:
    """The picture alone, as a file that holds its own style."""
    style = (STATIC / "network-picture.css").read_text("utf-8")
    svg = fragment("pacs/network_picture.html", **_drawn(application, actor, asked), style=style)
    name = {"Content-Disposition": 'attachment; filename="network.svg"'}
    return Response(svg.strip() + "\n", media_type="image/svg+xml", headers=name)


def _drawn(application: Application, actor: Actor, asked: ServerFilter) -> dict[str, Any]:
    rows = asked.chosen(application.pacs.overview(actor), application.pacs.favourites(actor))
    ids = {row.server.id for row in rows}
    routes = [route for edge, route in application.routes.all(actor).items() if route.ae_title and ids.issuperset(edge)]
    by_source: dict[str, list[Any]] = {}
    for route in routes:
        by_source.setdefault(route.source.id, []).append(route)
    titles = sorted({title for row in rows for title in (row.server.aet_find, row.server.aet_store) if title})
    return {
        "picture": picture_of(rows, routes),
        "rows": rows,
        "routes": routes,
        "routes_by_source": by_source,
        "looks": LOOKS,
        "our_titles": ", ".join(titles[:3]) + (" …" if len(titles) > 3 else ""),
    }
