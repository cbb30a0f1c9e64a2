"""What a backup says of itself, in its first file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from dicomfab import __version__
from dicomfab.archive.schema import SCHEMA_VERSION
from dicomfab.model.errors import InvalidInput
from dicomfab.storage.migrations import HEAD

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class About:
    """What a backup is of.

    Args:
        taken_at: the moment that it holds, ISO 8601 with time zone.
        home: the folder that it was taken of.
        database: revision of the database's tables; blank if the database is not in it.
        studies: version of the tables of the study index.
        lab: whether the data of the lab's servers is in it.
        version: of the program that wrote it.
        format: of the file.
    """

    taken_at: str
    home: str
    database: str
    lab: bool
    studies: int = SCHEMA_VERSION
    version: str = __version__
    format: int = FORMAT

    def as_bytes(self) -> bytes:
        """The content of the file."""
        return f"{json.dumps({'product': 'dicomfab', **asdict(self)}, indent=2)}\n".encode()

    @classmethod
    def parse(cls, content: bytes, path: Path) -> Self:
        """What :meth:`as_bytes` gave.

        Args:
            content: of the file.
            path: of the backup, for messages.

        Raises:
            InvalidInput: it is something else, or a newer program wrote it.
        """
        try:
            values = json.loads(content)
            number = int(values["format"])
            if number > FORMAT:
                raise _newer(path, f"format {number}, this program reads up to {FORMAT}", str(values.get("version")))
            about = cls(**{name: kind(values[name]) for name, kind in _KINDS.items()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidInput(
                f"{path}: the file {path.name!r} does not say what it is a backup of",
                field="file",
                value=str(path),
                cause=f"its first file cannot be read ({type(error).__name__})",
                remedy="use another copy of it, or an earlier backup",
            ) from error
        if about.database > HEAD or about.studies > SCHEMA_VERSION:
            schemas = f"tables {about.database}/{about.studies}, this program knows up to {HEAD}/{SCHEMA_VERSION}"
            raise _newer(path, schemas, about.version)
        return about


_KINDS: Final[dict[str, Any]] = {
    "taken_at": str,
    "home": str,
    "database": str,
    "lab": bool,
    "studies": int,
    "version": str,
    "format": int,
}


def _newer(path: Path, what: str, version: str) -> InvalidInput:
    return InvalidInput(
        f"the backup {path} was written by a newer version of dicomfab ({what}). Nothing was restored",
        field="file",
        value=str(path),
        cause=f"version {version} has written it, this is {__version__}",
        remedy=f"restore it with version {version} or a newer one",
    )
