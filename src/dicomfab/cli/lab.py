"""``dicomfab lab``: the four test PACS servers.

``status`` leaves with 0 when all four answer and with 3 when one does not, as the LSB has it for services.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicomfab.cli import output
from dicomfab.cli.session import actor, application
from dicomfab.model import values
from dicomfab.model.errors import InvalidInput

if TYPE_CHECKING:
    from dicomfab.registry.registry import RegistryDiff
    from dicomfab.testpacs.lab import Lab, ServerStatus
    from dicomfab.testpacs.spec import LabConfig

NOT_RUNNING_EXIT_CODE = 3

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="The four test PACS servers: start, run, status, stop, restart, clean, configure.",
)


class Engine(enum.StrEnum):
    """What the servers are run with."""

    EMBEDDED = "embedded"
    ORTHANC = "orthanc"


class OnDuplicate(enum.StrEnum):
    """What happens to a SOP instance UID that is there already with other content."""

    KEEP = "keep"
    REPLACE = "replace"
    REFUSE = "refuse"


Ports = Annotated[
    str | None, typer.Option(metavar="P,P,P,P", help="Ports of Test 1, Test 2, Prod 1, Prod 2; they last.")
]
FreePorts = Annotated[bool, typer.Option("--free-ports", help="Choose eight ports that nobody has now; they last.")]
Bind = Annotated[str | None, typer.Option(metavar="ADDRESS", help="Listen on this IPv4 address (127.0.0.1); it lasts.")]
Strict = Annotated[
    bool | None,
    typer.Option("--strict/--no-strict", help="Reject calling AE titles but DICOMFAB and the lab's own; it lasts."),
]
Duplicates = Annotated[
    OnDuplicate | None, typer.Option(help="A SOP instance UID that is there with other content (keep); it lasts.")
]

SameAssociation = Annotated[
    bool | None,
    typer.Option(
        "--same-association/--new-association",
        help="Where storage commitments are reported on (a new association); it lasts.",
    ),
]


Engines = Annotated[
    Engine | None,
    typer.Option(
        "--engine", help="Our own servers, or Debian's Orthanc (embedded); each keeps its own studies; it lasts."
    ),
]


@app.command()
def start(
    engine: Engines = None,
    dicom_ports: Ports = None,
    web_ports: Ports = None,
    free_ports: FreePorts = False,
    bind: Bind = None,
    strict: Strict = None,
    on_duplicate: Duplicates = None,
    same_association: SameAssociation = None,
    configured: Annotated[
        bool, typer.Option("--configure", help="Then put them into the registry, as `lab configure` does.")
    ] = False,
    as_json: output.Json = False,
) -> None:
    """Start the servers that do not run, and wait until they answer."""
    lab = _lab()
    if free_ports and (dicom_ports is not None or web_ports is not None):
        raise InvalidInput(
            "--free-ports was given together with ports",
            field="--free-ports",
            cause="either the ports are chosen, or they are named",
            remedy="leave one of the two out",
        )
    given = {
        "engine": engine,
        "bind": bind,
        "strict": strict,
        "on_duplicate": on_duplicate,
        "commitment_on_same_association": same_association,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    ports = {"dicom_ports": _ports(dicom_ports, "--dicom-ports"), "web_ports": _ports(web_ports, "--web-ports")}
    if changes or any(ports.values()):
        lab.configure(lambda config: _changed(config, changes, ports))
    if free_ports:
        lab.use_free_ports()
    _start(lab, as_json=as_json)
    if configured:
        from dicomfab.app.lab import configure_registry

        difference = configure_registry(application(), actor())
        if not as_json:
            _print_difference(difference)


@app.command()
def run(bind: Bind = None, as_json: output.Json = False) -> None:
    """Start the servers, and stop them on Ctrl-C; for service managers and containers.

    The document of --json is printed when all four answer. Leaves with 1 when one of them ends by itself: the others
    are stopped then. `dicomfab lab stop` ends this as well.
    """
    import contextlib

    from dicomfab.testpacs import foreground

    lab = _lab()
    if bind is not None:
        lab.configure(lambda config: _changed(config, {"bind": bind}, {"dicom_ports": None, "web_ports": None}))
    with contextlib.suppress(KeyboardInterrupt):
        foreground.run(lab, lambda started: _print_started(lab, started, as_json=as_json))


@app.command()
def status(as_json: output.Json = False) -> None:
    """Show whether the servers answer, and what they hold. Leaves with 3 unless all four do."""
    lab = _lab()
    found = lab.status()
    if as_json:
        output.print_json(_document(lab, found))
    else:
        columns = (
            "server", "environment", "AE title", "DICOM", "web", "state", "pid", "uptime", "studies", "instances",
            "bytes",
        )  # fmt: skip
        output.print_table(columns, [_cells(s) for s in found])
        for one in found:
            if one.problem:
                output.print_text(f"{one.server.name}: {one.problem}")
        output.print_text(f"Engine: {lab.config.engine}. Logs and data: {lab.folders.root}")
    if any(s.state != "running" for s in found):
        raise typer.Exit(NOT_RUNNING_EXIT_CODE)


@app.command()
def stop(as_json: output.Json = False) -> None:
    """Stop the servers; what they hold stays."""
    lab = _lab()
    _print_stopped(lab, lab.stop(), as_json=as_json)


@app.command()
def restart(as_json: output.Json = False) -> None:
    """Stop the servers and start them again."""
    lab = _lab()
    lab.stop()
    _start(lab, as_json=as_json)


@app.command()
def clean(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False, as_json: output.Json = False
) -> None:
    """Stop the servers and delete everything that they hold, and nothing else."""
    lab = _lab()
    output.confirm("All studies on the four test PACS servers would be deleted.", yes=yes, as_json=as_json)
    ran = lab.clean()
    if as_json:
        output.print_json({"stopped": ran, "deleted": [s.id for s in lab.config.servers]})
        return
    _print_stopped(lab, ran, as_json=False)
    output.print_text("Deleted what the four servers held. Local studies and the registry are as they were.")
    for other in lab.engines_with_data():
        output.print_text(f"What they held with --engine {other} is still there.")


@app.command()
def configure(as_json: output.Json = False) -> None:
    """Put the four servers and the routes between them into the registry; nothing else is touched."""
    from dicomfab.app.lab import configure_registry

    difference = configure_registry(application(), actor())
    if as_json:
        changed = {c.id: {field: list(pair) for field, pair in c.fields.items()} for c in difference.changed}
        output.print_json({"added": difference.added, "changed": changed})
        return
    _print_difference(difference)


def _lab() -> Lab:
    from dicomfab.app.lab import lab

    return lab(application().settings)


def _ports(text: str | None, option: str) -> list[int] | None:
    return None if text is None else [values.port(port, field=option) for port in text.split(",")]


def _changed(config: LabConfig, changes: dict[str, Any], ports: dict[str, list[int] | None]) -> LabConfig:
    from dataclasses import replace

    from dicomfab.archive.records import Duplicate
    from dicomfab.testpacs.spec import EngineName

    for name, kind in (("on_duplicate", Duplicate), ("engine", EngineName)):
        if name in changes:
            changes[name] = kind(changes[name])
    return replace(config, **changes).with_ports(dicom_ports=ports["dicom_ports"], web_ports=ports["web_ports"])


def _start(lab: Lab, *, as_json: bool) -> None:
    _print_started(lab, lab.start(), as_json=as_json)


def _print_started(lab: Lab, started: Sequence[ServerStatus], *, as_json: bool) -> None:
    import sys

    from dicomfab.app.lab import correct_registry

    correct_registry(application(), actor())
    if as_json:
        output.print_json({**_document(lab, started), "notes": lab.notes()})
        sys.stdout.flush()
        return
    for one in started:
        output.print_text(f"{_seed_line(one)} - {'already running' if one.was_running else 'started'}")
    output.print_text("Web pages: user test, password test123. Stop the servers with: dicomfab lab stop")
    for note in lab.notes():
        output.print_text(note)
    sys.stdout.flush()  # whoever reads a pipe waits for it


def _document(lab: Lab, servers: Sequence[ServerStatus]) -> dict[str, Any]:
    return {
        "folder": str(lab.folders.root),
        "engine": str(lab.config.engine),
        "servers": [server.as_dict() for server in servers],
    }


def _seed_line(status: ServerStatus) -> str:
    server = status.server
    host = "localhost" if status.host == "127.0.0.1" else status.host
    return f"{server.name}: {host}:{server.dicom_port} (DICOM), {host}:{server.web_port} (Web)"


def _cells(status: ServerStatus) -> Sequence[Any]:
    server, held = status.server, status.holdings
    return (
        server.name,
        output.environment_text(str(server.environment)),
        server.ae_title,
        str(server.dicom_port),
        str(server.web_port),
        output.verdict_text(status.state == "running", str(status.state)),
        "-" if status.pid is None else str(status.pid),
        "-" if status.uptime_s is None else _duration(status.uptime_s),
        *(("-", "-", "-") if held is None else (str(held.studies), str(held.instances), str(held.size_bytes))),
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _print_stopped(lab: Lab, ran: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        output.print_json({"stopped": ran})
        return
    for server in lab.config.servers:
        output.print_text(f"{server.name}: {'stopped' if server.id in ran else 'was not running'}")


def _print_difference(difference: RegistryDiff) -> None:
    for added in difference.added:
        output.print_text(f"Added {added}")
    for change in difference.changed:
        for field, (before, after) in change.fields.items():
            output.print_text(f"Changed {change.id}: {field} {before!r} -> {after!r}")
    if not difference.added and not difference.changed:
        output.print_text("The four test PACS servers and their 12 C-MOVE routes are configured already.")
    else:
        output.print_text("The four test PACS servers are configured, with C-MOVE routes between all of them.")
