"""``dicomfab study attributes`` and ``dicomfab study diff``: what stands in an instance, and what differs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicomfab.cli import output
from dicomfab.cli.session import actor, application
from dicomfab.model.errors import Conflict

if TYPE_CHECKING:
    from dicomfab.services.attributes import Attribute, Node

#: What ``diff`` leaves with if the instances differ.
DIFFERENT = 8
_WHAT = "A file, a SOP Instance UID, or a study (UID, accession number, 'latest'), of which the first instance."

Reference = Annotated[str, typer.Argument(help=_WHAT)]


def attributes(
    instance: Reference,
    search: Annotated[
        str, typer.Option("--search", help="Only those with these words in tag, keyword, VR or value, at all levels.")
    ] = "",
    path: Annotated[
        str, typer.Option("--path", help="One sequence or value, such as '(0040,0275)[0].(0008,0104)'.")
    ] = "",
    first: Annotated[
        int, typer.Option("--first", min=0, help="With --path of a sequence: the item to begin with.")
    ] = 0,
    as_json: output.Json = False,
) -> None:
    """List the attributes of an instance, sequences included."""
    from dicomfab.services import attributes as service

    file = service.file_of(application().studies, actor(), instance)
    if search:
        found = service.search(file, search)
        rows = list(found.attributes)
        note = "" if found.is_complete else found.problem or f"the search ended after {found.looked_at} attributes"
    elif path and service.value_of(file, path).vr != "SQ":
        rows, note = [service.value_of(file, path)], ""
    else:
        tree = service.tree(file, path, first=first)
        nodes = [*tree.nodes, *(node for item in tree.items for node in item.nodes)]
        rows, note = _flat(nodes), tree.problem or _missing(nodes)
    if as_json:
        output.print_json({"file": str(file), "note": note, "attributes": [one.as_dict() for one in rows]})
        return
    output.print_table(("path", "attribute", "VR", "VM", "value"), [_cells(one) for one in rows])
    if note:
        output.print_text(note)


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help=_WHAT)],
    b: Annotated[str, typer.Argument(metavar="B", help="The same.")],
    every: Annotated[bool, typer.Option("--all", help="List what is the same as well.")] = False,
    as_json: output.Json = False,
) -> None:
    """Show what differs between two instances, attribute by attribute. Exit code 8: they differ."""
    from dicomfab.services.attribute_differences import Kind, compare
    from dicomfab.services.attributes import file_of

    files = [file_of(application().studies, actor(), one) for one in (a, b)]
    found = compare(*files, everything=every)
    if as_json:
        output.print_json({"a": str(files[0]), "b": str(files[1]), **found.as_dict()})
    else:
        signs = {Kind.SAME: "same", Kind.CHANGED: "differs", Kind.REMOVED: "only in A", Kind.ADDED: "only in B"}
        rows = [
            (
                signs[row.kind],
                row.path,
                row.attribute.keyword or row.attribute.name,
                *("" if row.item or one is None else _value(one) for one in (row.a, row.b)),
            )
            for row in found.rows
        ]
        if rows:
            output.print_table(("state", "path", "attribute", "A", "B"), rows)
        counts = ", ".join(f"{found.counts[kind]} {signs[kind]}" for kind in Kind)
        output.print_styled(output.verdict_text(not found.differs, "different" if found.differs else "no difference"))
        output.print_text(counts)
        if not found.is_complete:
            output.print_text(found.problem or "There is more than can be shown.")
    sys.exit(DIFFERENT if found.differs else 0)


def export_zip(study: str, out: Path, *, as_json: bool) -> None:
    """Write a local study as a zip with a DICOMDIR."""
    from dicomfab.services.media import media

    service = application().studies
    made = media(service, actor(), [service.resolve_reference(actor(), study)])
    try:
        with out.open("xb") as file:
            for piece in made.chunks:
                file.write(piece)
    except FileExistsError as error:
        raise Conflict(
            f"{out} exists already", cause="an export never replaces a file", remedy="name another"
        ) from error
    if as_json:
        output.print_json({"study_instance_uid": made.studies[0].study_instance_uid, "file": str(out)})
    else:
        output.print_text(f"{output.counted(made.studies[0].instance_count, 'instance')} in {out}")


def _flat(nodes: list[Node]) -> list[Attribute]:
    rows: list[Attribute] = []
    for node in nodes:
        rows.append(node.attribute)
        for item in node.children:
            rows += _flat(list(item.nodes))
    return rows


def _missing(nodes: list[Node]) -> str:
    short = [node.attribute.path for node in nodes if node.missing]
    return f"not all items are listed; see --path: {', '.join(short[:5])}" if short else ""


def _value(one: Attribute) -> str:
    if one.vr == "SQ":
        return output.counted(one.items or 0, "item")
    return f"{one.value} ..." if one.is_cut else one.value


def _cells(one: Attribute) -> tuple[str, ...]:
    name = one.keyword or one.name + (f" [{one.creator}]" if one.creator else "")
    return one.path, name, one.vr, str(one.vm), _value(one)
