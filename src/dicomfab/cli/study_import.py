"""``dicomfab study import``: take DICOM files into the local store."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dicomfab.cli import output
from dicomfab.cli.progress import shown
from dicomfab.cli.session import actor, application
from dicomfab.model.errors import TransferIncomplete

if TYPE_CHECKING:
    from dicomfab.services.importing import Imported

_INTERRUPTED: Final = 130
_SHOWN_REFUSED: Final = 10


def import_files(
    paths: Annotated[list[Path], typer.Argument(help="DICOM files, folders with all below them, zips.")],
    as_json: output.Json = False,
) -> None:
    """Take DICOM files, folders and zips into the local store.

    What is there already stays as it is. What is not proven to be synthetic counts as production. What was fabricated
    with declared defects is refused. Exit code 6: some files were refused.
    """
    made = taken(paths, as_json=as_json, with_defects=False)
    if as_json:
        output.print_json(as_dict(made))
    else:
        print_imported(made)
    if made.stopped:
        sys.exit(_INTERRUPTED)
    if made.refused:
        sys.exit(TransferIncomplete.exit_code)


def taken(paths: list[Path], *, as_json: bool, with_defects: bool = True) -> Imported:
    """Take files into the local store, with progress; as a rule to be sent on, whatever was made wrong in them."""
    with shown("import", quiet=as_json) as view:
        return application().importing.take(
            actor(), paths, with_defects=with_defects, on_progress=view.on_progress, cancelled=view.cancelled
        )


def print_imported(made: Imported) -> None:
    """Print what became of files."""
    rate = f", {made.taken / made.seconds:.0f} instances/s" if made.seconds > 0 else ""
    output.print_text(f"Imported {output.counted(made.taken, 'instance')}{rate}")
    for study in made.studies.values():
        already = f", {study.already} already there" if study.already else ""
        output.print_text(f"  study    {study.study_instance_uid}  {study.new} new{already}")
    if made.skipped:
        output.print_text(f"  skipped  {output.counted(made.skipped, 'file')} that hold no DICOM instance")
    _print_refused(made)
    if made.stopped:
        output.print_text("Stopped on request; what was taken is kept. The same command goes on.")


def _print_refused(made: Imported) -> None:
    from dicomfab.services.importing import DECLARED

    for study_instance_uid, count in made.defective.items():
        output.print_text(f"  refused  study {study_instance_uid}, {output.counted(count, 'file')}: {DECLARED}")
    others = [one for one in made.refused if one.reason != DECLARED]
    for one in others[:_SHOWN_REFUSED]:
        output.print_text(f"  refused  {one.name}: {one.reason}")
    if len(others) > _SHOWN_REFUSED:
        output.print_text(f"  refused  and {len(others) - _SHOWN_REFUSED} more (see --json)")


def as_dict(made: Imported) -> dict[str, Any]:
    """What became of files, as plain values."""
    plain = dataclasses.asdict(made)
    plain["studies"] = list(plain["studies"].values())
    plain["defective"] = [{"study_instance_uid": uid, "files": count} for uid, count in made.defective.items()]
    plain["seconds"] = round(made.seconds, 3)
    return {**plain, "instances": made.taken}
