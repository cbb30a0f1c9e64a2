"""Which files are meant by what was given."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dicomfab.validity.instance import is_part10


@dataclass(slots=True)
class Discovered:
    """Files to check, and those that are left out.

    Args:
        files: named ones as they are, and the DICOM files of folders, sorted within each.
        skipped: files of folders that are no DICOM files.
        unreadable: what could not be opened, with the reason.
    """

    files: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    unreadable: list[tuple[Path, str]] = field(default_factory=list)


def discover(paths: Iterable[Path]) -> Discovered:
    """Find the files of folders (recursively, links to folders not followed); take files that are named as they are.

    Returns:
        Each file once. A path that does not exist is unreadable.
    """
    found, seen = Discovered(), set[Path]()
    for path in paths:
        if path.is_dir():
            _folder(path, found, seen)
        elif _new(path, seen):
            _file(path, found, named=True)
    return found


def _folder(folder: Path, found: Discovered, seen: set[Path]) -> None:
    def failed(error: OSError) -> None:
        found.unreadable.append((Path(error.filename), error.strerror or str(error)))

    for name, folders, files in os.walk(folder, onerror=failed):
        folders.sort()
        for file in sorted(files):
            path = Path(name) / file
            if _new(path, seen):
                _file(path, found, named=False)


def _file(path: Path, found: Discovered, *, named: bool) -> None:
    try:
        if not path.exists():
            raise FileNotFoundError(2, "No such file or directory")
        if not path.is_file():
            raise OSError(22, "neither a file nor a folder")
        if named or is_part10(path):
            found.files.append(path)
        else:
            found.skipped.append(path)
    except OSError as error:
        found.unreadable.append((path, error.strerror or str(error)))


def _new(path: Path, seen: set[Path]) -> bool:
    real = path.resolve()
    new = real not in seen
    seen.add(real)
    return new
