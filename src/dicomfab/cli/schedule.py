"""``dicomfab schedule``: jobs that are made again and again, at times that a cron expression names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from dicomfab.app.plain import job_dict, schedule_dict
from dicomfab.cli import output
from dicomfab.cli.carry_out import Priority
from dicomfab.cli.session import actor, application
from dicomfab.cli.transfer_options import From, Studies, To, Wait, YesProduction
from dicomfab.model.errors import InvalidInput
from dicomfab.model.job import JobKind

if TYPE_CHECKING:
    from dicomfab.model.schedule import Schedule

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Schedules: jobs made at certain times; add, list, pause, resume, remove, run.",
)
add = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Add a schedule of send, move, get, fabricate or query jobs."
)
app.add_typer(add, name="add")

Number = Annotated[int, typer.Argument(help="Number of the schedule.")]
Cron: TypeAlias = Annotated[
    str,
    typer.Option(help="When: minute, hour, day of month, month, day of week; '0 2 * * *' is every night at 2:00."),
]
TimeZone: TypeAlias = Annotated[
    str, typer.Option("--time-zone", help="Whose clock is meant, such as Europe/Berlin. [this machine's]")
]
Title: TypeAlias = Annotated[str, typer.Option(help="What people call it; without a patient's name.")]


@add.command("send")
def add_send(
    studies: Annotated[
        list[str],
        typer.Argument(help="Study Instance UIDs, accession numbers, or 'latest'; looked up each time."),
    ],
    destination: To,
    cron: Cron,
    time_zone: TimeZone = "",
    title: Title = "",
    yes_production: YesProduction = False,
    wait: Wait = 30.0,
    no_transcode: Annotated[
        bool, typer.Option("--no-transcode", help="Send as encoded, or not at all: convert nothing for the server.")
    ] = False,
    priority: Priority = 5,
    as_json: output.Json = False,
) -> None:
    """Send local studies to a server again and again."""
    parameters = {
        "studies": studies,
        "destination": application().pacs.resolve(actor(), destination).id,
        "confirm_production": yes_production,
        "transcode": not no_transcode,
        "verify_wait_s": wait,
        "priority": priority,
    }
    _add(JobKind.SEND, parameters, cron, time_zone, title, as_json=as_json)


@add.command("move")
def add_move(
    studies: Studies,
    source: From,
    destination: To,
    cron: Cron,
    time_zone: TimeZone = "",
    title: Title = "",
    yes_production: YesProduction = False,
    wait: Wait = 30.0,
    priority: Priority = 5,
    as_json: output.Json = False,
) -> None:
    """Move studies from one server to another again and again: what was added to them is moved too."""
    built, asking = application(), actor()
    at, to = built.pacs.resolve(asking, source), built.pacs.resolve(asking, destination)
    parameters = {
        "studies": [built.queries.identify(asking, at, study) for study in studies],
        "source": at.id,
        "destination": to.id,
        "confirm_production": yes_production,
        "verify_wait_s": wait,
        "priority": priority,
    }
    _add(JobKind.MOVE, parameters, cron, time_zone, title, as_json=as_json)


@add.command("get")
def add_get(
    studies: Studies,
    source: From,
    cron: Cron,
    time_zone: TimeZone = "",
    title: Title = "",
    priority: Priority = 5,
    as_json: output.Json = False,
) -> None:
    """Fetch studies into the local store again and again: what was added to them is fetched too."""
    built, asking = application(), actor()
    at = built.pacs.resolve(asking, source)
    parameters = {
        "studies": [built.queries.identify(asking, at, study) for study in studies],
        "source": at.id,
        "priority": priority,
    }
    _add(JobKind.GET, parameters, cron, time_zone, title, as_json=as_json)


@add.command("fabricate")
def add_fabricate(
    cron: Cron,
    recipe: Annotated[
        str, typer.Option(help="A recipe by name (see: dicomfab recipe list), or a YAML or JSON file.")
    ] = "",
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", help="Instead of a recipe: a kind, or KIND:COUNT; again for more in one study."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many studies each time.")] = 1,
    time_zone: TimeZone = "",
    title: Title = "",
    priority: Priority = 5,
    as_json: output.Json = False,
) -> None:
    """Fabricate studies into the local store again and again: new ones each time, unless the recipe names a seed."""
    from dicomfab.fabricate.recipe_file import RecipeFile

    if bool(recipe) == bool(kind):
        raise InvalidInput(
            "recipe: a recipe or kinds, one of them",
            field="recipe",
            value=recipe,
            remedy="name one: --recipe NAME, or --kind KIND",
        )
    found = application().recipes.load(actor(), recipe).recipe if recipe else RecipeFile(series=tuple(kind or ()))
    parameters = {"recipe": found.text(), "count": count, "priority": priority}
    _add(JobKind.FABRICATE, parameters, cron, time_zone, title, as_json=as_json)


@add.command("query")
def add_query(
    saved: Annotated[str, typer.Argument(help="Name of a saved search (dicomfab query ... --save NAME).")],
    cron: Cron,
    time_zone: TimeZone = "",
    title: Title = "",
    priority: Priority = 5,
    as_json: output.Json = False,
) -> None:
    """Make a saved search again and again, as it is saved now; 'today' in it is the day on which it is made."""
    built, asking = application(), actor()
    search = built.searches.saved.load(asking, saved)
    named = built.searches.targets(asking, search.servers)
    servers = named or [server for server in built.pacs.servers(asking) if server.is_active]
    parameters = {
        "servers": [server.id for server in servers],
        "filter": {**dataclasses.asdict(search.filter), "keys": list(search.filter.keys)},
        "limit": search.limit,
        "priority": priority,
    }
    _add(JobKind.QUERY, parameters, cron, time_zone, title, as_json=as_json)


def _add(kind: JobKind, parameters: Mapping[str, Any], cron: str, time_zone: str, title: str, *, as_json: bool) -> None:
    from dicomfab.app.workers import ensure_worker

    made = application().schedules.add(actor(), kind, parameters, cron=cron, time_zone=time_zone, title=title)
    ensure_worker(application())
    _finish(made, as_json=as_json)


@app.command("list")
def list_(as_json: output.Json = False) -> None:
    """List the schedules, and when each is due."""
    from dicomfab.app.job_words import NO_WORKER

    found = application().schedules.every(actor())
    if as_json:
        output.print_json([schedule_dict(one) for one in found])
        return
    if not found:
        output.print_text("No schedules yet. Add one: dicomfab schedule add")
        return
    columns = ("schedule", "cron", "time zone", "next", "last job", "owner", "what")
    output.print_table(columns, [_cells(one) for one in found])
    for one in found:
        if one.error:
            output.print_text(f"Schedule {one.id} made no job the last time: {one.error['what']}")
            output.print_text(f"  Remedy: {one.error['remedy']}")
    if any(one.is_enabled for one in found) and not application().jobs.workers():
        output.print_text(NO_WORKER)


@app.command()
def pause(schedule: Number, as_json: output.Json = False) -> None:
    """Let a schedule make no jobs until it is resumed."""
    _finish(application().schedules.pause(actor(), schedule), as_json=as_json)


@app.command()
def resume(schedule: Number, as_json: output.Json = False) -> None:
    """Let a schedule make jobs again; what it missed meanwhile it does not make up for."""
    from dicomfab.app.workers import ensure_worker

    resumed = application().schedules.resume(actor(), schedule)
    ensure_worker(application())
    _finish(resumed, as_json=as_json)


@app.command()
def remove(schedule: Number, as_json: output.Json = False) -> None:
    """Remove a schedule; the jobs that it made stay."""
    application().schedules.remove(actor(), schedule)
    if as_json:
        output.print_json({"removed": schedule})
    else:
        output.print_text(f"Removed schedule {schedule}")


@app.command()
def run(schedule: Number, as_json: output.Json = False) -> None:
    """Make the job of a schedule now, out of turn."""
    from dicomfab.app.workers import ensure_worker

    job = application().schedules.run(actor(), schedule)
    ensure_worker(application())
    if as_json:
        output.print_json(job_dict(job))
    else:
        output.print_text(f"Job {job.id}: {job.title}")
        output.print_text(f"Watch it: dicomfab jobs watch {job.id}")


def _finish(schedule: Schedule, *, as_json: bool) -> None:
    if as_json:
        output.print_json(schedule_dict(schedule))
    else:
        output.print_text(f"Schedule {schedule.id}: {schedule.title}, {_next(schedule)}")


def _next(schedule: Schedule) -> str:
    """When it is due, by the clock that its expression means."""
    from dicomfab.services.jobs.cron import zone_of

    if not schedule.is_enabled:
        return "paused"
    try:
        return f"next at {schedule.next_at.astimezone(zone_of(schedule.time_zone)):%Y-%m-%d %H:%M}"
    except InvalidInput:  # not known on this machine; the one that made it knows it
        return f"next at {schedule.next_at:%Y-%m-%d %H:%M} UTC"


def _cells(one: Schedule) -> tuple[str, ...]:
    due = _next(one).removeprefix("next at ")
    last = "" if one.last_job is None else str(one.last_job)
    return str(one.id), one.cron, one.time_zone, due, last, one.owner, one.title
