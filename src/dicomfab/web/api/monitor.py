"""What is known of the servers by monitoring them with C-ECHO."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request
from pydantic import Field

from dicomfab.access.policy import Action
from dicomfab.app.plain import check_dict, day_dict, event_dict
from dicomfab.app.workers import ensure_worker
from dicomfab.services.monitor.service import Switch
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.api.shared import Given, Limit, Listed, Offset, Told, cut, resource

router = resource("monitor")


class ServerState(Told):
    """A server's state, since when, and its uptime."""

    server: str
    name: str
    environment: str
    is_monitored: bool
    switch: Switch
    interval_s: float
    state: str = Field(description="up, down or unknown.")
    since: str | None
    last_check_at: str | None
    next_check_at: str | None
    latency_ms: float | None
    error: dict[str, Any] | None
    uptime_today: float | None = Field(description="0 to 1; null if it was not monitored.")
    uptime_7_days: float | None
    uptime_30_days: float | None


class ServerHistory(ServerState):
    """The same with its days and its last checks."""

    days: list[dict[str, Any]]
    checks_made: list[dict[str, Any]] = Field(description="The newest first.")


class StateChange(Told):
    """A server went down or came up."""

    event: int
    server: str
    state: str
    since: str
    previous_state_lasted_s: float | None
    error: str | None


class MonitorChange(Given):
    """Whether and how often a server is checked; what is left out stays."""

    switch: Switch | None = Field(None, description="on, off or usual.", examples=["on"])
    interval_s: float | None = Field(None, ge=1, le=10**6, examples=[60.0])


@router.get("/servers", response_model=Listed[ServerState], dependencies=[permission(Action.VIEW)])
def board(
    request: Request, actor: CurrentActor, application: CurrentApplication, limit: Limit = 50, offset: Offset = 0
) -> Any:
    """List the servers with their state, by name."""
    return cut(request, [one.as_dict() for one in application.monitoring.board(actor)], limit, offset)


@router.get("/servers/{server_id}", response_model=ServerHistory, dependencies=[permission(Action.VIEW)])
def history(
    server_id: str,
    actor: CurrentActor,
    application: CurrentApplication,
    days: Annotated[int, Query(ge=1, le=400, description="How many days, today included.")] = 30,
    checks: Annotated[int, Query(ge=0, le=10_000, description="How many of the last checks.")] = 20,
) -> Any:
    """Show the state, the days and the last checks of a server."""
    found = application.monitoring.show(actor, server_id, days=days)
    last = application.monitoring.checks(actor, server_id, limit=checks)
    plain = {"days": [day_dict(day) for day in found.days], "checks_made": [check_dict(one) for one in last]}
    return found.as_dict() | plain


@router.patch("/servers/{server_id}", response_model=ServerState, dependencies=[permission(Action.CONFIGURE)])
def change(server_id: str, body: MonitorChange, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Say whether and how often a server is checked."""
    changed = application.monitoring.change(actor, server_id, switch=body.switch, interval_s=body.interval_s)
    if changed.is_monitored and changed.switch is Switch.ON:
        ensure_worker(application)
    return changed.as_dict()


@router.get("/events", response_model=Listed[StateChange], dependencies=[permission(Action.VIEW)])
def events(
    request: Request,
    actor: CurrentActor,
    application: CurrentApplication,
    server: Annotated[str | None, Query(description="Only of this server, by id.")] = None,
    limit: Limit = 50,
) -> Any:
    """List when servers went down and came up, the newest first; the latest ones only."""
    found = application.monitoring.events(actor, server_id=server, limit=limit)
    return cut(request, [event_dict(one) for one in found], limit, 0)
