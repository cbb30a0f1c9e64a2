"""``dicomfab pacs``: the servers of the installation."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicomfab.app.plain import import_dict, server_dict, test_dict
from dicomfab.cli import output
from dicomfab.cli import pacs_options as options
from dicomfab.cli.files import read_text
from dicomfab.cli.session import actor, application
from dicomfab.model.errors import PeerError

if TYPE_CHECKING:
    from dicomfab.registry.seed_json import ImportReport
    from dicomfab.registry.server import ConnectionTest, PacsServer
    from dicomfab.services.pacs import PacsService, RouteRow, ServerOverview

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="PACS servers: list, add, edit, test, C-MOVE routes, import, export.",
)

Server = Annotated[str, typer.Argument(help="Id or name of a server.")]
ChangeEnvironment = Annotated[
    bool,
    typer.Option(
        "--change-environment",
        help="Yes, let the environment of an existing server change, or a test server stand where production stood.",
    ),
]


@app.command("list")
def list_servers(as_json: output.Json = False) -> None:
    """List the servers."""
    rows = application().pacs.overview(actor())
    if as_json:
        output.print_json([server_dict(row) for row in rows])
    elif not rows:
        output.print_text("No PACS servers yet. Add one: dicomfab pacs add, or dicomfab pacs import FILE")
    else:
        columns = ("id", "name", "environment", "address", "AE title", "C-STORE", "routes", "last test", "")
        output.print_table(columns, [_overview_cells(row) for row in rows])


@app.command()
def show(server: Server, as_json: output.Json = False) -> None:
    """Show everything known of one server."""
    service = application().pacs
    found = service.resolve(actor(), server)
    row = next(row for row in service.overview(actor()) if row.server.id == found.id)
    if as_json:
        output.print_json(server_dict(row))
        return
    settings = {**found.as_dict(), "capabilities": ", ".join(found.as_dict()["capabilities"])}
    cells: list[Any] = [(key, _plain(value)) for key, value in settings.items()]
    cells += [(f"move_routing.{destination}", title) for destination, title in row.routes.items()]
    cells.append(("last test", _test_cell(row.last_test)))
    output.print_table(("setting", "value"), cells)


@app.command()
@options.with_settings(*options.SETTINGS)
def add(
    change_environment: ChangeEnvironment = False,
    as_json: output.Json = False,
    **settings: Any,
) -> None:
    """Add a server; name, host, port, aec and environment are needed."""
    server = application().pacs.add(actor(), options.given_fields(settings), confirm_environment=change_environment)
    _print_server("Added", server, as_json=as_json)


@app.command()
@options.with_settings(*(name for name in options.SETTINGS if name != "id"))
def edit(
    server: Server,
    change_environment: ChangeEnvironment = False,
    as_json: output.Json = False,
    **settings: Any,
) -> None:
    """Change settings of a server; what is not given stays."""
    service = application().pacs
    found = service.resolve(actor(), server)
    edited = service.edit(actor(), found.id, options.given_fields(settings), confirm_environment=change_environment)
    _print_server("Changed" if edited != found else "Nothing to change in", edited, as_json=as_json)


@app.command()
def remove(
    server: Server,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Remove a server with every route from and to it."""
    service = application().pacs
    found = service.resolve(actor(), server)
    output.confirm(
        f"Remove {found.name} ({found.id}, {found.environment}) with every C-MOVE route from and to it?",
        yes=yes,
        as_json=as_json,
    )
    _print_server("Removed", service.remove(actor(), found.id), as_json=as_json)


@app.command("test")
def check_connections(
    servers: Annotated[list[str] | None, typer.Argument(help="Ids or names of servers.")] = None,
    all_servers: Annotated[bool, typer.Option("--all", help="Test every active server.")] = False,
    _trace: output.Trace = False,
    as_json: output.Json = False,
) -> None:
    """Test connections with C-ECHO.

    Several servers are tested at once. The exit code is 4 when any of them fails.
    """
    service = application().pacs
    results = service.test_all(actor(), _chosen(service, servers or [], all_servers=all_servers))
    if as_json:
        output.print_json([test_dict(result) for result in results])
    else:
        rows = [(result.server_id, _test_cell(result)) for result in results]
        output.print_table(("server", "C-ECHO"), rows)
        for result in results:
            if not result.ok:
                output.print_text(f"{result.server_id}: {_explained(result)}")
    if not all(result.ok for result in results):
        raise typer.Exit(PeerError.exit_code)


@app.command()
def route(
    source: Server,
    destination: Annotated[str | None, typer.Argument(help="Id or name of the destination.")] = None,
    ae: Annotated[str | None, typer.Option(help="Move AE title: the name that SOURCE knows DESTINATION by.")] = None,
    remove_route: Annotated[bool, typer.Option("--remove", help="C-MOVE to DESTINATION is not supported.")] = False,
    as_json: output.Json = False,
) -> None:
    """Show or edit the C-MOVE routing of a server."""
    editing = ae is not None or remove_route
    if (editing and destination is None) or (ae is not None and remove_route):
        raise typer.BadParameter("to edit, give a DESTINATION and either --ae TITLE or --remove")
    service = application().pacs
    start = service.resolve(actor(), source)
    if destination is None:
        rows = service.routes(actor(), start.id)
    else:
        end = service.resolve(actor(), destination)
        if editing:
            service.set_routes(actor(), start.id, {end.id: ae or ""})
        else:
            service.route(actor(), start.id, end.id)
        rows = tuple(row for row in service.routes(actor(), start.id) if row.destination.id == end.id)
    _print_routes(start, rows, as_json=as_json)


@app.command("import")
def import_file(
    file: Annotated[str, typer.Argument(help="A JSON file, or - for standard input.")],
    into: Annotated[str | None, typer.Option(help="Take the file as a fragment of this server.")] = None,
    change_environment: ChangeEnvironment = False,
    as_json: output.Json = False,
) -> None:
    """Add and change servers and routes from JSON.

    The file is taken as a whole or not at all.

    A server whose id (or, without id, name) is there is changed in the settings that the file gives; nothing is
    ever removed but routes whose AE title is blank.
    """
    service = application().pacs
    target = None if into is None else service.resolve(actor(), into).id
    report = service.import_json(
        actor(),
        read_text(file, remedy="save it as UTF-8"),
        source="standard input" if file == "-" else file,
        into=target,
        confirm_environment=change_environment,
    )
    if as_json:
        output.print_json(import_dict(report))
    else:
        _print_report(report)


@app.command()
def export(
    server: Annotated[str | None, typer.Argument(help="Id or name; all servers if absent.")] = None,
    as_json: output.Json = False,
) -> None:
    """Print servers as JSON that `pacs import` reads.

    All servers are printed keyed by id, one server as one object.
    """
    service = application().pacs
    chosen = None if server is None else service.resolve(actor(), server).id
    sys.stdout.write(service.export_json(actor(), chosen))


def _chosen(service: PacsService, labels: list[str], *, all_servers: bool) -> list[str]:
    if bool(labels) == all_servers:
        raise typer.BadParameter("give the servers to test, or --all")
    if all_servers:
        return [server.id for server in service.servers(actor()) if server.is_active]
    return list(dict.fromkeys(service.resolve(actor(), label).id for label in labels))


def _print_server(verb: str, server: PacsServer, *, as_json: bool) -> None:
    if as_json:
        output.print_json(server.as_dict())
    else:
        output.print_text(f"{verb} {server.name} ({server.id}): {server.aec} at {server.address}, {server.environment}")


def _print_routes(source: PacsServer, rows: tuple[RouteRow, ...], *, as_json: bool) -> None:
    if as_json:
        routes = {row.destination.id: row.ae_title for row in rows if row.ae_title}
        output.print_json({"source": source.id, "move_routing": routes})
        return
    cells = [
        (
            row.destination.name,
            row.destination.id,
            output.environment_text(row.destination.environment),
            row.ae_title or "not supported",
        )
        for row in rows
    ]
    output.print_text(f"C-MOVE from {source.name} ({source.id}, {source.environment}):")
    output.print_table(("to", "id", "environment", "move AE title"), cells)


def _print_report(report: ImportReport) -> None:
    for server_id in report.added:
        output.print_text(f"added      {server_id}")
    for change in report.changed:
        output.print_text(f"changed    {change.id}")
        for name, (before, after) in change.fields.items():
            output.print_text(f"             {name}: {_plain(before) or '-'} -> {_plain(after) or '-'}")
    for server_id in report.unchanged:
        output.print_text(f"unchanged  {server_id}")


def _overview_cells(row: ServerOverview) -> tuple[Any, ...]:
    server = row.server
    marks = [
        word
        for word, holds in (
            ("default", server.is_default),
            ("inactive", not server.is_active),
            ("TLS" if server.tls_verify else "TLS, not verified", server.tls),
            ("takes synthetic", bool(server.is_production and server.allow_synthetic)),
            ("takes real", bool(not server.is_production and server.allow_real)),
        )
        if holds
    ]
    return (
        server.id,
        server.name,
        output.environment_text(server.environment),
        server.address,
        server.aec,
        server.aet_store or "disabled",
        str(len(row.routes)),
        _test_cell(row.last_test),
        ", ".join(marks),
    )


def _test_cell(result: ConnectionTest | None) -> Any:
    if result is None:
        return "never"
    when = result.tested_at.astimezone().strftime("%Y-%m-%d %H:%M")
    if result.ok:
        return output.verdict_text(True, f"ok, {result.latency_ms:.0f} ms, {when}")
    return output.verdict_text(False, f"{result.message.get('heading', 'failed')}, {when}")


def _explained(result: ConnectionTest) -> str:
    message = result.message
    lines = [f"{message['heading']}: {message['what']}"]
    lines += [f"  {label} {message[key]}" for label, key in (("Likely cause:", "cause"), ("What to do:  ", "remedy"))]
    return "\n".join(line for line in lines if line.strip())


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(str(v) for v in value) if isinstance(value, list) else str(value)
