"""Which files of a home belong into a backup: all that cannot be made again, whoever put it there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

#: Held as of one moment, and added by itself.
DATABASE: Final = "dicomfab.sqlite3"
STUDIES: Final = "studies"
LAB: Final = "lab"
#: Read at the moment that the database is held at: key and anchors go with its entries.
ANCHORS: Final = "audit-anchors.jsonl"
AUDIT: Final = (ANCHORS, "audit.key")
_EARLIER_KEYS: Final = "audit.key."
_NOT: Final = frozenset(
    {
        DATABASE,
        f"{DATABASE}-wal",
        f"{DATABASE}-shm",
        STUDIES,
        "logs",
        "verifying",  # a comparison's copies, removed when it ends
        "queries/results",  # kept for a day
        "lab/data",
        "lab/logs",
        "lab/run",
        "lab/orthanc",
    }
)
_NOT_ENDINGS: Final = (".lock", ".pid")


@dataclass(slots=True)
class Contents:
    """The plain files of a home.

    Args:
        home: the folder.
        left_out: filled while they are listed: what is neither a file nor a folder, and folders that links lead to.
    """

    home: Path
    left_out: list[str] = field(default_factory=list)

    def files(self, below: str = "") -> Iterator[str]:
        """The names of all of them below a folder, relative to the home, in order."""
        try:
            entries = sorted(os.scandir(self.home / below), key=lambda entry: entry.name)
        except FileNotFoundError:  # removed meanwhile
            return
        for entry in entries:
            name = f"{below}/{entry.name}" if below else entry.name
            if name in _NOT or name in AUDIT or name.startswith(_EARLIER_KEYS) or name.endswith(_NOT_ENDINGS):
                continue
            if entry.is_dir(follow_symlinks=not below):
                yield from self.files(name)
            elif entry.is_file():
                yield name
            else:
                self.left_out.append(name)

    def of_audit(self) -> dict[str, bytes]:
        """Key, earlier keys and anchors of the audit log, as they are now.

        Raises:
            OSError: one cannot be read.
        """
        names = [*AUDIT, *(path.name for path in self.home.glob(f"{_EARLIER_KEYS}*"))]
        found = {}
        for name in names:
            with suppress(FileNotFoundError):
                found[name] = (self.home / name).read_bytes()
        return found
