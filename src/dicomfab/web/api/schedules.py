"""Jobs that are made again and again."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Final

from fastapi import Path, Request, Response
from pydantic import Field, model_validator

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.app.plain import schedule_dict
from dicomfab.app.workers import ensure_worker
from dicomfab.fabricate.recipe_file import RecipeFile
from dicomfab.model.actor import Actor
from dicomfab.model.errors import InvalidInput
from dicomfab.model.job import JobKind
from dicomfab.services.study_filter import StudyFilter
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.api.jobs import Job
from dicomfab.web.api.queries import NewQuery
from dicomfab.web.api.shared import Given, Limit, Listed, Offset, Told, begun, cut, is_production, resource
from dicomfab.web.api.transfers import Get, Move, Send

router = resource("schedules")

Number = Annotated[int, Path(ge=1, lt=2**31, description="Number of the schedule.")]


class ScheduledFabrication(Given):
    """Studies to be made each time: new ones, unless the recipe names a seed."""

    recipe: RecipeFile | str = Field(description="A recipe, or the name of one.", examples=[{"series": ["text-card"]}])
    count: int = Field(1, ge=1, le=1000, examples=[1])
    priority: int = Field(5, ge=1, le=9, examples=[5])


class ScheduledQuery(NewQuery):
    """A search to be made each time; 'today' is the day on which it is made."""

    priority: int = Field(5, ge=1, le=9, examples=[5])


_KINDS: Final = ("send", "move", "get", "fabricate", "query")


class NewSchedule(Given):
    """When, and exactly one kind of job."""

    cron: str = Field(description="Five fields: minute, hour, day, month, weekday.", examples=["30 6 * * 1-5"])
    time_zone: str = Field("", description="IANA name; this machine's if left out.", examples=["Europe/Vienna"])
    title: str = Field("", max_length=200, description="For people, without a patient's name.")
    send: Send | None = Field(None, examples=[None])
    move: Move | None = Field(None, examples=[None])
    get: Get | None = Field(None, examples=[None])
    fabricate: ScheduledFabrication | None = None
    query: ScheduledQuery | None = Field(None, examples=[None])

    @model_validator(mode="after")
    def _one_kind(self) -> NewSchedule:
        """A schedule makes one kind of job."""
        if sum(getattr(self, kind) is not None for kind in _KINDS) != 1:
            raise ValueError(f"give exactly one of {', '.join(_KINDS)}")
        return self


class Schedule(Told):
    """A schedule, and when it is due."""

    id: int
    title: str
    kind: JobKind
    parameters: dict[str, Any]
    cron: str
    time_zone: str
    owner: str
    environment: str
    is_enabled: bool
    created_at: str
    next_at: str | None
    last_at: str | None
    last_job: int | None
    error: dict[str, Any] | None = Field(description="Why no job could be made the last time.")


@router.get("", response_model=Listed[Schedule], dependencies=[permission(Action.VIEW)])
def every(
    request: Request, actor: CurrentActor, application: CurrentApplication, limit: Limit = 50, offset: Offset = 0
) -> Any:
    """List the schedules, the oldest first."""
    return cut(request, [schedule_dict(one) for one in application.schedules.every(actor)], limit, offset)


@router.post("", status_code=201, response_model=Schedule, dependencies=[permission(Action.VIEW)])
def add(body: NewSchedule, response: Response, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Add a schedule; everything that its job would be refused for now is refused here."""
    kind, parameters = _parameters(application, actor, body)
    made = application.schedules.add(
        actor, kind, parameters, cron=body.cron, time_zone=body.time_zone, title=body.title
    )
    ensure_worker(application)
    response.headers["Location"] = f"/api/v1/schedules/{made.id}"
    return schedule_dict(made)


@router.get("/{schedule_id}", response_model=Schedule, dependencies=[permission(Action.VIEW)])
def show(schedule_id: Number, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Show a schedule."""
    return schedule_dict(application.schedules.show(actor, schedule_id))


@router.delete("/{schedule_id}", status_code=204, dependencies=[permission(Action.VIEW)])
def remove(schedule_id: Number, actor: CurrentActor, application: CurrentApplication) -> None:
    """Remove one's own schedule; the jobs that it made stay."""
    application.schedules.remove(actor, schedule_id)


@router.post("/{schedule_id}/pause", response_model=Schedule, dependencies=[permission(Action.VIEW)])
def pause(schedule_id: Number, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Let one's own schedule make no jobs until it is resumed."""
    return schedule_dict(application.schedules.pause(actor, schedule_id))


@router.post("/{schedule_id}/resume", response_model=Schedule, dependencies=[permission(Action.VIEW)])
def resume(schedule_id: Number, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Let one's own schedule make jobs again."""
    resumed = application.schedules.resume(actor, schedule_id)
    ensure_worker(application)
    return schedule_dict(resumed)


@router.post("/{schedule_id}/run", status_code=202, response_model=Job, dependencies=[permission(Action.VIEW)])
def run(schedule_id: Number, response: Response, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Make the job of one's own schedule now, out of turn."""
    return begun(application, response, application.schedules.run(actor, schedule_id))


def _parameters(application: Application, actor: Actor, body: NewSchedule) -> tuple[JobKind, dict[str, Any]]:
    if body.fabricate is not None:
        asked = body.fabricate.recipe
        recipe = application.recipes.named(actor, asked).recipe if isinstance(asked, str) else asked
        given = body.fabricate
        return JobKind.FABRICATE, {"recipe": recipe.text(), "count": given.count, "priority": given.priority}
    if body.query is not None:
        return JobKind.QUERY, _query(application, actor, body.query)
    if body.get is not None:
        if body.get.series:
            raise _no_series()
        source = application.pacs.resolve(actor, body.get.source)
        studies = [application.queries.identify(actor, source, one) for one in body.get.studies]
        return JobKind.GET, {"studies": studies, "source": source.id, "priority": body.get.priority}
    return _sent(application, actor, body)


def _sent(application: Application, actor: Actor, body: NewSchedule) -> tuple[JobKind, dict[str, Any]]:
    given = body.send or body.move
    assert given is not None
    destination = application.pacs.resolve(actor, given.destination)
    shared = {
        "destination": destination.id,
        "confirm_production": is_production(actor, destination, given.confirm_production),
        "verify_wait_s": given.verify_wait_s,
        "priority": given.priority,
    }
    if isinstance(given, Send):
        return JobKind.SEND, {"studies": given.studies, "transcode": given.transcode, **shared}
    if given.series:
        raise _no_series()
    source = application.pacs.resolve(actor, given.source)
    studies = [application.queries.identify(actor, source, one) for one in given.studies]
    return JobKind.MOVE, {"studies": studies, "source": source.id, **shared}


def _query(application: Application, actor: Actor, given: ScheduledQuery) -> dict[str, Any]:
    servers = [application.pacs.resolve(actor, one) for one in given.servers]
    servers = servers or [server for server in application.pacs.servers(actor) if server.is_active]
    values = given.model_dump(exclude={"servers", "limit", "via", "priority"})
    wanted = dataclasses.asdict(StudyFilter(**{**values, "keys": tuple(given.keys)}))
    return {
        "servers": [server.id for server in servers],
        "filter": {**wanted, "keys": list(given.keys)},
        "limit": given.limit,
        "via": given.via,
        "priority": given.priority,
    }


def _no_series() -> InvalidInput:
    return InvalidInput(
        "series: cannot be scheduled",
        field="series",
        cause="a schedule takes over what was added to a study, in whatever series",
        remedy="leave it out",
    )
