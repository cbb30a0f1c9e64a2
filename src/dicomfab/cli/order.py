"""``dicomfab order``: HL7 orders, and what was made from them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer import Option

from dicomfab.app.plain_orders import loop_dict, order_details, order_read, procedure_details, procedure_dict
from dicomfab.cli import output
from dicomfab.cli.session import actor, application
from dicomfab.model.errors import NotFound

if TYPE_CHECKING:
    from dicomfab.model.procedure import RequestedProcedure
    from dicomfab.storage.orders import StoredOrder

app = typer.Typer(no_args_is_help=True, add_completion=False, help="HL7 orders: what came, and what became of it.")

IsTest = Annotated[
    bool,
    Option("--test", help="No real person is in the message. Without it, the order counts as production."),
]


@app.command()
def add(
    file: Annotated[str, typer.Argument(help="A file with an HL7 v2 message, or - for standard input.")],
    is_test: IsTest = False,
    as_json: output.Json = False,
) -> None:
    """Read an HL7 v2 message (ORM, OMG, OMI; ADT for the patient alone) and keep its orders."""
    from dicomfab.model.values import Environment

    environment = Environment.TEST if is_test else Environment.PROD
    added = application().orders.add(actor(), message_of(file), environment)
    if as_json:
        output.print_json({"orders": [order_read(one) for one in added]})
        return
    for one in added:
        output.print_text(f"order {one.number} ({one.environment}): {_line(one)}")
        for note in one.order.notes:
            output.print_text(f"  note  {note}")


@app.command("list")
def list_orders(
    search: Annotated[str, Option(help="Words, each in name, ID, accession number, procedure or order number.")] = "",
    state: Annotated[
        Literal["open", "made", "cancelled", "completed", "none"] | None, Option(help="Only of this state.")
    ] = None,
    limit: Annotated[int, Option(min=1, max=10**9, help="At most so many.")] = 100,
    offset: Annotated[int, Option(min=0, max=10**9, help="So many before the first.")] = 0,
    as_json: output.Json = False,
) -> None:
    """List the orders, the newest first."""
    from dicomfab.model.order import OrderState
    from dicomfab.storage.orders import OrderFilter

    wanted = OrderFilter(search=search, states=frozenset({OrderState(state)} if state else ()))
    found = application().orders.page(actor(), wanted, limit=limit, offset=offset)
    if as_json:
        output.print_json({"total": found.total, "orders": [order_read(one) for one in found.orders]})
    elif not found.total:
        output.print_text("No order matches." if search or state else "No orders yet. Add one: dicomfab order add FILE")
    else:
        rows = [_cells(one) for one in found.orders]
        output.print_table(("order", "environment", "state", "patient", "accession", "procedure", "scheduled"), rows)
        if found.total > len(found.orders):
            output.print_text(f"{len(found.orders)} of {output.counted(found.total, 'order')}")


@app.command()
def show(
    order: Annotated[int, typer.Argument(help="Its number.", min=1)],
    message: Annotated[bool, Option("--message", help="Print the message alone, as it came.")] = False,
    as_json: output.Json = False,
) -> None:
    """Show what was read from an order, each value with where it came from."""
    found = application().orders.show(actor(), order)
    if message:
        print_message(found.message)
        return
    if as_json:
        output.print_json(order_details(found))
        return
    output.print_text(f"order {found.number} ({found.environment}, {found.state}): {_line(found)}")
    rows = [(one.keyword, one.value, one.origin or "default", one.note) for one in found.order.fields]
    output.print_table(("attribute", "value", "from", "note"), rows)
    for note in found.order.notes:
        output.print_text(f"note   {note}")
    for one in found.studies:
        output.print_text(f"study  {one.study_instance_uid}" + (f" (job {one.job})" if one.job else ""))


@app.command()
def procedures(
    search: Annotated[str, Option(help="Words, each in name, ID, accession number, procedure or order number.")] = "",
    is_open: Annotated[bool, Option("--open", help="Only with a step that is still on the worklist.")] = False,
    limit: Annotated[int, Option(min=1, max=10**9, help="At most so many.")] = 100,
    offset: Annotated[int, Option(min=0, max=10**9, help="So many before the first.")] = 0,
    as_json: output.Json = False,
) -> None:
    """List the requested procedures with their scheduled steps, the newest first."""
    from dicomfab.model.procedure import ProcedureFilter

    wanted = ProcedureFilter(search=search, is_open=True if is_open else None)
    found = application().ordering.schedule.page(actor(), wanted, limit=limit, offset=offset)
    if as_json:
        output.print_json({"total": found.total, "procedures": [procedure_dict(one) for one in found.procedures]})
    elif not found.total:
        output.print_text("No requested procedure matches.")
    else:
        head = ("procedure", "environment", "patient", "accession", "step", "modality", "scheduled", "state")
        output.print_table(head, [row for one in found.procedures for row in _step_rows(one)])


@app.command()
def procedure(number: Annotated[int, typer.Argument(help="Its number.", min=1)], as_json: output.Json = False) -> None:
    """Show a requested procedure: its steps, and what happened to it."""
    found = application().ordering.schedule.show(actor(), number)
    if as_json:
        output.print_json(procedure_details(found))
        return
    output.print_text(f"requested procedure {number}: study {found.procedure.study_instance_uid}")
    head = ("procedure", "environment", "patient", "accession", "step", "modality", "scheduled", "state")
    output.print_table(head, _step_rows(found.procedure))
    for event in found.events:
        output.print_text(f"{event.at.astimezone():%Y-%m-%d %H:%M:%S}  {event.kind:10}  {event.text}")


@app.command()
def check(
    accession: Annotated[str, typer.Argument(help="Accession number of the order.")],
    pacs: Annotated[str, Option("--pacs", help="Where the study should be: a registered server.")] = "test-pacs-1",
    as_json: output.Json = False,
) -> None:
    """Compare every step of the loop: ordered, scheduled, performed, stored, committed, findable, retrievable.

    Exit code 0 if all are equal, 6 if one is missing or different, 7 if one is not known.
    """
    built = application()
    found = built.loops.check(actor(), accession, built.pacs.resolve(actor(), pacs))
    if as_json:
        loops = [loop_dict(one, steps) for one, steps in found]
        output.print_json({"procedures": loops})
    else:
        for one, steps in found:
            output.print_text(f"requested procedure {one.number}: study {one.study_instance_uid}")
            for step in steps:
                output.print_text(f"  {step.name:12} {step.state:10} {step.text}")
                for keyword, (meant, came) in step.mismatches.items():
                    output.print_text(f"               {keyword}: ordered {meant!r}, found {came!r}")
    states = {str(step.state) for _, steps in found for step in steps}
    raise typer.Exit(6 if states & {"missing", "different"} else 7 if "unknown" in states else 0)


def _step_rows(one: RequestedProcedure) -> list[tuple[str, ...]]:
    start = (str(one.number), str(one.environment), one.value("PatientName"), one.accession_number)
    return [
        (*start, step.step_id, step.modality, f"{step.start_date} {step.start_time}", str(step.state))
        for step in one.steps
    ]


@app.command()
def profiles(as_json: output.Json = False) -> None:
    """List the mapping profiles: files in HOME/hl7-profiles that say how messages of a sender are read."""
    found = application().orders.known_profiles(actor())
    if as_json:
        listed = [{"name": one.name, "senders": one.senders, "attributes": sorted(one.sources)} for one in found]
        output.print_json({"folder": str(_folder()), "profiles": listed})
    elif not found:
        output.print_text(f"No profiles: all messages are read as IHE has it. They go to {_folder()} as NAME.yaml.")
    else:
        rows = [(one.name, ", ".join(one.senders), ", ".join(sorted(one.sources))) for one in found]
        output.print_table(("profile", "senders", "attributes from elsewhere"), rows)


@app.command("profile-schema")
def profile_schema() -> None:
    """Print the JSON Schema of a mapping profile."""
    from dicomfab.services.order_profile_file import json_schema

    output.print_json(json_schema())


def _folder() -> Path:
    return application().settings.hl7_profiles


def message_of(file: str) -> bytes:
    """The bytes of a file, or of standard input for ``-``.

    Raises:
        NotFound: it cannot be read.
    """
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise NotFound(
            f"{file} cannot be read ({error.strerror})",
            cause="there is no such file, or it may not be read",
            remedy="name a file with an HL7 v2 message, or - for standard input",
        ) from error


def print_message(text: str) -> None:
    """Print a message, a line for each segment. What could steer a terminal is kept out of one, not out of a file."""
    lines = text.replace("\r\n", "\r").replace("\r", "\n")
    if sys.stdout.isatty():
        output.print_text(lines.rstrip())
    else:
        sys.stdout.write(lines)


def order_to_make(reference: str, *, is_test: bool) -> StoredOrder:
    """The order that ``study create --order`` means: the number of one that is kept, or a file, which is kept now.

    Raises:
        NotFound: there is none.
        InvalidInput: the file is no HL7 v2 message.
    """
    from dicomfab.model.values import Environment

    service = application().orders
    if reference.isascii() and reference.isdigit() and len(reference) < 10:
        return service.brief(actor(), int(reference))
    return service.add(actor(), message_of(reference), Environment.TEST if is_test else Environment.PROD)[0]


def _line(one: StoredOrder) -> str:
    order = one.order
    parts = (order.message_type, order.control, order.value("AccessionNumber"), order.value("Modality"))
    return " ".join(part for part in (*parts, order.value("RequestedProcedureDescription")) if part)


def _cells(one: StoredOrder) -> tuple[str, ...]:
    value = one.order.value
    when = f"{value('ScheduledProcedureStepStartDate')} {value('ScheduledProcedureStepStartTime')}".strip()
    procedure = f"{value('Modality')} {value('RequestedProcedureDescription')}".strip()
    start = (str(one.number), str(one.environment), str(one.state))
    return (*start, value("PatientName"), value("AccessionNumber"), procedure, when)
