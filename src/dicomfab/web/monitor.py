"""Monitoring: which servers answer, since when, and how they did on each day; and the same for Prometheus."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.app.workers import ensure_worker
from dicomfab.model.actor import Actor
from dicomfab.model.errors import Conflict, DicomFabError, InvalidInput
from dicomfab.services.monitor.metrics import CONTENT_TYPE
from dicomfab.services.monitor.plan import LEAST_INTERVAL_S, MOST_INTERVAL_S, USUAL_ON
from dicomfab.services.monitor.service import Switch, percent
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.errors import status_of
from dicomfab.web.monitor_chart import Span, chart_of, since
from dicomfab.web.monitor_view import row_of
from dicomfab.web.templating import page

CHECKS_DRAWN = 60
CHECKS_LISTED = 20
EVENTS_LISTED = 10
DAYS_ON_PAGE = 90

router = APIRouter()


@router.get("/monitor", dependencies=[permission(Action.VIEW)])
def board(request: Request, actor: CurrentActor, application: CurrentApplication) -> Response:
    """All servers; asks nobody but the database."""
    service = application.monitoring
    rows = [row_of(one, service.checks(actor, one.server.id, limit=CHECKS_DRAWN)) for one in service.board(actor)]
    rows.sort(key=lambda row: row.look.kind not in ("bad", "warn"))
    return page(request, "monitor/board.html", {"rows": rows, "events": service.events(actor, limit=EVENTS_LISTED)})


@router.get("/monitor/{server_id}", dependencies=[permission(Action.VIEW)])
def show(
    request: Request, server_id: str, actor: CurrentActor, application: CurrentApplication, span: str = ""
) -> Response:
    """One server; ``span`` is how far back its chart goes."""
    return _server(request, application, actor, server_id, span=Span(span) if span in set(Span) else Span.DAY)


@router.post("/monitor/{server_id}", dependencies=[permission(Action.CONFIGURE)])
def change(
    request: Request,
    server_id: str,
    actor: CurrentActor,
    application: CurrentApplication,
    switch: Annotated[str, Form()],
    interval: Annotated[str, Form()] = "",
) -> Response:
    """Say whether and how often it is checked."""
    try:
        changed = application.monitoring.change(
            actor, server_id, switch=_switch(switch), interval_s=_seconds(interval) if interval.strip() else None
        )
    except (InvalidInput, Conflict) as error:
        return _server(request, application, actor, server_id, error=error, given=(switch, interval))
    if changed.is_monitored and changed.switch is Switch.ON:
        ensure_worker(application)
    return RedirectResponse(f"/monitor/{changed.server.id}", status_code=303)


@router.get("/metrics", dependencies=[permission(Action.VIEW)])
def metrics(actor: CurrentActor, application: CurrentApplication) -> Response:
    """What Prometheus scrapes; at most a second old, however many ask."""
    return Response(application.metrics.text(actor), media_type=CONTENT_TYPE)


def _server(
    request: Request,
    application: Application,
    actor: Actor,
    server_id: str,
    *,
    error: DicomFabError | None = None,
    given: tuple[str, str] | None = None,
    span: Span = Span.DAY,
) -> Response:
    service = application.monitoring
    status = service.show(actor, server_id, days=DAYS_ON_PAGE)
    environment = status.server.environment
    checks = service.checks(actor, server_id, limit=CHECKS_DRAWN)
    switch, interval = given or (str(status.switch), f"{status.interval_s:g}")
    usual = "on" if USUAL_ON[environment] else "off"
    drawn = () if span is Span.MONTH else service.checks_since(actor, server_id, since(span, status.now))
    context = {
        "row": row_of(status, checks),
        "chart": chart_of(span, status.now, drawn, status.days),
        "spans": tuple(Span),
        "checks": checks[:CHECKS_LISTED],
        "days": [(day, percent(day.uptime)) for day in reversed(status.days) if day.checks or day.uptime is not None],
        "events": service.events(actor, server_id=server_id, limit=EVENTS_LISTED),
        "switches": [("usual", f"As usual in {environment}: {usual}"), ("on", "On"), ("off", "Off")],
        "switch": switch,
        "interval": interval,
        "bounds": f"{LEAST_INTERVAL_S[environment]:g} to {MOST_INTERVAL_S:g}",
        "error": error,
        "wrong": getattr(error, "field", ""),
    }
    return page(request, "monitor/server.html", context, status_code=status_of(error) if error else 200)


def _switch(text: str) -> Switch:
    if text not in set(Switch):
        raise InvalidInput(f"switch: {text!r} is none of on, off, usual", field="switch", value=text)
    return Switch(text)


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidInput(
            f"interval: {text!r} is not a number of seconds",
            field="interval",
            value=text,
            remedy="write for example 60",
        ) from None
