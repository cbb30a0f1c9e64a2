"""``dicomfab sweep``: what of our fabricated data a server still holds, and away with it."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicomfab.cli import output
from dicomfab.cli.session import actor, application
from dicomfab.cli.transfer_options import YesProduction

if TYPE_CHECKING:
    from dicomfab.services.sweep import Sweep

app = typer.Typer(add_completion=False)


@app.command()
def sweep(
    pacs: Annotated[str, typer.Argument(help="Id or name of the server.")],
    delete: Annotated[bool, typer.Option("--delete", help="Delete; without it nothing is changed.")] = False,
    yes_production: YesProduction = False,
    orthanc: Annotated[
        str, typer.Option(metavar="URL", help="It is an Orthanc: delete by its REST interface, http://HOST:8042.")
    ] = "",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a list for the server's administrator: .csv or .json.")
    ] = None,
    _trace: output.Trace = False,
    as_json: output.Json = False,
) -> None:
    """Show what of our fabricated data a server still holds; with --delete, delete it and ask again what remains.

    Only studies are asked for that were fabricated here and that a job sent or moved to the server. A study is deleted
    if every instance of it there is known as ours: on the lab's servers, on those whose DICOMweb address offers DELETE,
    and on an Orthanc. Exit code 1: something remains.
    """
    built, asking = application(), actor()
    kind = _kind(out)
    server = built.pacs.resolve(asking, pacs)
    if delete:
        done = built.sweeps.delete(asking, server, confirm_production=yes_production, orthanc=orthanc)
    else:
        done = built.sweeps.look(asking, server, orthanc=orthanc)
    if out is not None:
        out.write_text(_list(done, kind), "utf-8")
    if as_json:
        output.print_json(done.as_dict())
    else:
        _print(done)
    sys.exit(1 if done.remaining else 0)


def _print(done: Sweep) -> None:
    from dicomfab.services.sweep import Way

    output.print_text(
        f"{done.server} ({done.environment}) was asked for {output.counted(done.asked, 'study', 'studies')}."
    )
    if not done.found:
        output.print_text("It holds none of them.")
        return
    columns = ("study UID", "our instances", "others", "outcome")
    rows = [(h.study_instance_uid, str(len(h.ours)), str(h.others), h.outcome or "there") for h in done.found]
    output.print_table(columns, rows)
    if done.remaining is None:
        if done.way is Way.LIST:
            output.print_text("They cannot be deleted from here: give its administrator a list (--out FILE.csv).")
        else:
            output.print_text("Nothing was changed. Delete them: --delete")
    elif done.remaining:
        output.print_text(f"Asked again: {len(done.remaining)} remain. A list for its administrator: --out FILE.csv")
    else:
        output.print_text("Asked again: none remains.")


def _kind(out: Path | None) -> str:
    from dicomfab.model.errors import InvalidInput

    kind = "" if out is None else out.suffix.lower()
    if out is not None and kind not in {".csv", ".json"}:
        raise InvalidInput(
            f"out: {out} is neither .csv nor .json", field="out", value=str(out), remedy="name it list.csv or list.json"
        )
    return kind


def _list(done: Sweep, kind: str) -> str:
    from dicomfab.services.sweep import rows

    if kind == ".json":
        return json.dumps(done.as_dict(), indent=2) + "\n"
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("StudyInstanceUID", "SOPInstanceUID", "outcome"))
    writer.writerows(rows(done))
    return text.getvalue()
