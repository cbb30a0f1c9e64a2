"""``dicomfab backup``: all of an installation in one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dicomfab.cli import output
from dicomfab.cli.progress import shown
from dicomfab.cli.session import actor, application

if TYPE_CHECKING:
    from dicomfab.services.backup.packing import Taken

app = typer.Typer(add_completion=False)
_SHOWN: Final = 10


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="Where to; on another disk, if there is one.")],
    with_lab: Annotated[bool, typer.Option("--with-lab", help="Also what the lab's test servers hold.")] = False,
    without_database: Annotated[
        bool, typer.Option("--without-database", help="The database is on PostgreSQL; pg_dump backs it up.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="It may take an older backup's place.")] = False,
    as_json: output.Json = False,
) -> None:
    """Back up all of an installation into one file, while it runs: studies, registry, jobs, accounts, audit log, keys.

    The file holds all of it as it is at one moment. It appears when it is complete, and only its owner can read it: it
    holds patients' data, and secrets. Not in it: logs, results of searches, and what the lab's servers hold.
    """
    from dicomfab.services.backup.packing import Wanted

    wanted = Wanted(with_lab=with_lab, without_database=without_database, overwrite=overwrite)
    with shown("backup", quiet=as_json) as view:
        taken = application().backups.take(
            actor(), file, wanted, on_progress=view.on_progress, cancelled=view.cancelled
        )
    if as_json:
        output.print_json(_as_dict(taken))
    else:
        _print(taken)


def _as_dict(taken: Taken) -> dict[str, Any]:
    return {
        "file": str(taken.file),
        "taken_at": taken.about.taken_at,
        "size_bytes": taken.size_bytes,
        "files": taken.members,
        "instances": taken.instances,
        "fingerprint": taken.fingerprint,
        "with_database": bool(taken.about.database),
        "with_lab": taken.about.lab,
        "missing": taken.missing,
        "damaged": taken.damaged,
        "left_out": taken.left_out,
        "outside": taken.outside,
        "seconds": round(taken.seconds, 3),
    }


def _print(taken: Taken) -> None:
    files, instances = output.counted(taken.members, "file"), output.counted(taken.instances, "instance")
    output.print_text(f"Backed up to {taken.file}: {taken.size_bytes / 1e6:,.1f} MB in {taken.seconds:.1f} s")
    output.print_text(f"  holds        {files}, of these {instances}, as of {taken.about.taken_at}")
    output.print_text(f"  fingerprint  {taken.fingerprint}")
    if not taken.about.database:
        output.print_text("  The database is not in it: keep what pg_dump wrote beside it")
    _print_list(taken.missing, "lost by the archive before, and not in it (see dicomfab study reindex)")
    _print_list(taken.damaged, "of another length than the index says, and in it as they are")
    _print_list(taken.left_out, "in the home, but not in it: no plain files, or an Orthanc's data")
    _print_list(taken.outside, "used, but outside the home: back them up yourself")


def _print_list(names: list[str], what: str) -> None:
    if not names:
        return
    output.print_text(f"  {output.counted(len(names), 'file')} {what}:")
    for name in names[:_SHOWN]:
        output.print_text(f"    {name}")
    if len(names) > _SHOWN:
        output.print_text(f"    and {len(names) - _SHOWN} more; --json lists all")
