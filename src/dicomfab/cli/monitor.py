"""``dicomfab monitor``: whether servers answer, and since when."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import typer

from dicomfab.app.plain import check_dict, day_dict, event_dict
from dicomfab.cli import output
from dicomfab.cli.session import actor, application, end_with_input
from dicomfab.model.errors import InvalidInput

if TYPE_CHECKING:
    from dicomfab.model.monitoring import Check, DaySum, StateChange
    from dicomfab.services.monitor.monitor import Checked
    from dicomfab.services.monitor.service import ServerStatus

DOWN: Final = 4
_UNITS: Final = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Monitoring by C-ECHO: status, history, events, set, run, metrics.",
)

Server: TypeAlias = Annotated[str, typer.Argument(help="Id or name of the server.")]


@app.command()
def status(as_json: output.Json = False) -> None:
    """Show which servers are up, since when, and the uptime of today, 7 and 30 days.

    Exit code 4: a server that is monitored is down. Days are those of UTC.
    """
    board = application().monitoring.board(actor())
    if as_json:
        output.print_json([one.as_dict() for one in board])
    elif not board:
        output.print_text("No PACS servers yet. Add one: dicomfab pacs add")
    else:
        columns = ("server", "environment", "state", "since", "last check", "latency", "today", "7 days", "30 days")
        output.print_table(columns, [_cells(one) for one in board])
        _print_hints(board)
    if any(str(one.state) == "down" for one in board):
        sys.exit(DOWN)


@app.command()
def history(
    server: Server,
    days: Annotated[int, typer.Option(min=1, max=400, help="How many days, today included.")] = 30,
    checks: Annotated[int, typer.Option(min=0, max=10_000, help="How many of the last checks.")] = 20,
    as_json: output.Json = False,
) -> None:
    """Show the days and the last checks of a server."""
    built, asking = application(), actor()
    found = built.monitoring.show(asking, built.pacs.resolve(asking, server).id, days=days)
    last = built.monitoring.checks(asking, found.server.id, limit=checks)
    if as_json:
        plain = {"days": [day_dict(day) for day in found.days], "checks": [check_dict(one) for one in last]}
        output.print_json(found.as_dict() | plain)
        return
    watched = [day for day in found.days if day.checks]
    if not watched:
        output.print_text(f"{found.server.name} has not been checked in this time.")
        return
    columns = ("day (UTC)", "uptime", "down", "not monitored", "checks", "failed", "latency min / mean / max")
    output.print_table(columns, [_day_cells(day) for day in watched])
    output.print_table(("check", "result", "latency"), [_check_cells(one) for one in last])


@app.command()
def events(
    server: Annotated[str, typer.Argument(help="Id or name of the server. [all]")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many of the last ones.")] = 50,
    as_json: output.Json = False,
) -> None:
    """Show when servers went down and came up, the newest first."""
    built, asking = application(), actor()
    which = built.pacs.resolve(asking, server).id if server else None
    found = built.monitoring.events(asking, server_id=which, limit=limit)
    if as_json:
        output.print_json([event_dict(one) for one in found])
    elif not found:
        output.print_text("No server that is monitored went down.")
    else:
        rows = [(_local(e.at), e.server_id, str(e.state), _lasted(e), e.heading) for e in found]
        output.print_table(("since", "server", "state", "before that", "why"), rows)


@app.command("set")
def set_(
    server: Server,
    every: Annotated[str, typer.Option(help="How often: 60s, 5m, 1h. At least 10s; in production 60s.")] = "",
    on: Annotated[bool, typer.Option("--on", help="Check it, and have a worker stay for it.")] = False,
    off: Annotated[bool, typer.Option("--off", help="Do not check it.")] = False,
    usual: Annotated[
        bool, typer.Option("--usual", help="As is usual: test servers every minute, production servers never.")
    ] = False,
    as_json: output.Json = False,
) -> None:
    """Say whether and how often a server is checked."""
    from dicomfab.app.workers import ensure_worker
    from dicomfab.services.monitor.service import Switch

    chosen = [switch for switch, is_given in zip(Switch, (on, off, usual), strict=True) if is_given]
    if len(chosen) > 1 or not (chosen or every):
        raise InvalidInput(
            "set: one of --on, --off and --usual, or --every, or both",
            field="set",
            remedy="for example: dicomfab monitor set SERVER --on --every 60s",
        )
    built, asking = application(), actor()
    changed = built.monitoring.change(
        asking,
        built.pacs.resolve(asking, server).id,
        switch=chosen[0] if chosen else None,
        interval_s=_seconds(every) if every else None,
    )
    if changed.is_monitored and changed.switch is Switch.ON:
        ensure_worker(built)
    if as_json:
        output.print_json(changed.as_dict())
    else:
        output.print_text(_what_happens(changed))


@app.command()
def run(
    once: Annotated[bool, typer.Option("--once", help="Check what is due, wait for it, and leave.")] = False,
    until_input_ends: Annotated[bool, typer.Option("--until-input-ends", hidden=True)] = False,
    as_json: output.Json = False,
) -> None:
    """Check servers until Ctrl-C; workers do the same beside their jobs.

    Several of them never check a server twice.
    """
    if once:
        _run_once(as_json=as_json)
        return
    from dicomfab.testpacs.log_file import log_to

    stopped = threading.Event()
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda *_: stopped.set())
    monitor = application().monitor
    if until_input_ends:
        log_to(application().settings.logs / "monitor.log")
        end_with_input(stopped.set)
    else:
        output.log_to_stderr()
        if as_json:
            output.print_json({"monitor": os.getpid()})
        else:
            output.print_text("Monitoring until Ctrl-C. What is known: dicomfab monitor status")
        sys.stdout.flush()
    monitor.run(stopped)


@app.command()
def metrics(as_json: output.Json = False) -> None:
    """Print the metrics that Prometheus scrapes from /metrics of the web interface."""
    text = application().metrics.text(actor())
    if not as_json:
        print(text, end="")
        return
    from prometheus_client.parser import text_string_to_metric_families

    output.print_json(
        [
            {"name": sample.name, "labels": sample.labels, "value": sample.value}
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]
    )


def _run_once(*, as_json: bool) -> None:
    checked = application().monitor.once()
    if as_json:
        output.print_json([{"server": one.server.id, **check_dict(one.check)} for one in checked])
    else:
        for one in checked:
            output.print_text(_sentence(one))
        if not checked:
            output.print_text("No server is due.")
    if any(not one.check.ok for one in checked):
        sys.exit(DOWN)


def _sentence(one: Checked) -> str:
    check = one.check
    return f"{one.server.id}: {_latency(check.latency_ms)}" if check.ok else f"{one.server.id}: {check.heading}"


def _what_happens(one: ServerStatus) -> str:
    name = one.server.name
    if not one.is_monitored:
        return f"{name} is not checked" + ("" if one.server.is_active else ": it is inactive in the registry")
    return (
        f"{name} ({one.server.environment}) is checked every {one.interval_s:g} s: one association with one C-ECHO, "
        "which reads and changes nothing there"
    )


def _print_hints(board: tuple[ServerStatus, ...]) -> None:
    if any(one.is_stale or (one.is_monitored and one.row.last_at is None) for one in board):
        output.print_text("Some servers are not being checked. Have it done: dicomfab worker, or dicomfab serve")
    if left := [one.server.id for one in board if not one.is_monitored]:
        output.print_text(f"Not monitored: {', '.join(left)}. Switch it on: dicomfab monitor set SERVER --on")


def _cells(one: ServerStatus) -> tuple[Any, ...]:
    from rich.text import Text

    from dicomfab.services.monitor.service import percent

    row, state = one.row, str(one.state)
    word = "not monitored" if not one.is_monitored else "not checked lately" if one.is_stale else state
    if word in {"up", "unknown"} and row.failures_in_a_row:
        word += ", the last check failed"
    shown = output.verdict_text(state == "up", word) if state != "unknown" else Text(word)
    since = _local(row.since) if row.since and state != "unknown" else ""
    return (
        one.server.id,
        output.environment_text(str(one.server.environment)),
        shown,
        since,
        _local(row.last_at) if row.last_at else "",
        _latency(row.latency_ms),
        *(percent(one.uptime(days)) for days in (1, 7, 30)),
    )


def _day_cells(day: DaySum) -> tuple[str, ...]:
    from dicomfab.services.monitor.service import percent

    latency = " / ".join(_latency(ms) for ms in (day.latency_min_ms, day.latency_mean_ms, day.latency_max_ms) if ms)
    times = (percent(day.uptime), _duration(day.down_s), _duration(day.unmonitored_s))
    return day.day.isoformat(), *times, str(day.checks), str(day.failures), latency


def _check_cells(one: Check) -> tuple[Any, ...]:
    return _local(one.at), output.verdict_text(one.ok, "ok" if one.ok else one.heading), _latency(one.latency_ms)


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d{1,6})\s*([a-z]*)", text.strip().lower(), re.ASCII)
    if found is None or found[2] not in _UNITS:
        raise InvalidInput(
            f"--every: {text!r} is not a time", field="--every", value=text, remedy="write for example 60s, 5m or 1h"
        )
    return float(int(found[1]) * _UNITS[found[2]])


def _lasted(one: StateChange) -> str:
    if one.lasted_s is None:
        return ""
    return f"{'up' if str(one.state) == 'down' else 'down'} for {_duration(one.lasted_s)}"


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _local(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def _latency(milliseconds: float | None) -> str:
    return "" if milliseconds is None else f"{milliseconds:.1f} ms"
