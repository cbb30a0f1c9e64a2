"""Files that results are written to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomfab.model.errors import InvalidInput, LocalFailure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def export_kind(export: Path | None) -> str:
    """The kind of a file by the end of its name; ``csv`` if there is none.

    Raises:
        InvalidInput: no kind that results are written to.
    """
    from dicomfab.services.search_export import KINDS

    kind = export.suffix.removeprefix(".").lower() if export else "csv"
    if kind not in KINDS:
        raise InvalidInput(
            f"export: {str(export)!r} is no file that results are written to",
            field="export",
            value=str(export),
            cause="the end of its name says what it will hold",
            remedy=f"give it a name that ends with {', '.join('.' + k for k in KINDS)}",
        )
    return kind


def write_export(path: Path, pieces: Iterator[bytes]) -> None:
    """Write a file whole or not at all.

    Raises:
        LocalFailure: it cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            file.writelines(pieces)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise LocalFailure(
            f"the results cannot be written to {path} ({error.strerror})",
            cause="the folder is not there or cannot be written, or the disk is full",
            remedy="name another file, and search again",
        ) from error
