"""``dicomfab restore``: a backup back into a home."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicomfab.cli import output
from dicomfab.cli.progress import shown
from dicomfab.cli.session import actor, application

if TYPE_CHECKING:
    from dicomfab.services.backup.reading import Read

app = typer.Typer(add_completion=False)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="That dicomfab backup has written.")],
    check: Annotated[bool, typer.Option("--check", help="Only check it; nothing is written.")] = False,
    as_json: output.Json = False,
) -> None:
    """Put a backup into the home, which has to be empty or not there; or only check the backup.

    All of it is checked before anything is written. The home appears when it is complete. A backup of an older version
    is brought up to date. Waiting and running jobs go on with the next worker; nobody stays signed in.
    """
    with shown("restore", quiet=as_json) as view:
        service, restored = application().restoring, None
        if check:
            read = service.check(actor(), file, on_progress=view.on_progress, cancelled=view.cancelled)
        else:
            restored = service.restore(actor(), file, on_progress=view.on_progress, cancelled=view.cancelled)
            read = restored.read
    found = _as_dict(file, read)
    if restored is None:
        report, heading = found, f"{file} is as it was written"
    else:
        extra = {"home": str(restored.home), "servers_moved": restored.servers_moved}
        report = {**found, **extra, "seconds": round(restored.seconds, 3)}
        heading = f"Restored to {restored.home} in {restored.seconds:.1f} s"
    if as_json:
        output.print_json(report)
        return
    output.print_text(heading)
    _print(read)
    if restored is not None and restored.servers_moved:
        number = output.counted(restored.servers_moved, "server")
        output.print_text(f"  moved        the files of {number} in the registry are named as they are in this home")


def _as_dict(file: Path, read: Read) -> dict[str, Any]:
    return {
        "file": str(file),
        "taken_at": read.about.taken_at,
        "of": read.about.home,
        "by_version": read.about.version,
        "files": read.members,
        "size_bytes": read.size_bytes,
        "fingerprint": read.fingerprint,
        "with_database": bool(read.about.database),
        "with_lab": read.about.lab,
    }


def _print(read: Read) -> None:
    files, size = output.counted(read.members, "file"), f"{read.size_bytes / 1e6:,.1f} MB"
    output.print_text(f"  holds        {files}, {size}, as of {read.about.taken_at}")
    output.print_text(f"  of           {read.about.home}, by version {read.about.version}")
    output.print_text(f"  fingerprint  {read.fingerprint}")
