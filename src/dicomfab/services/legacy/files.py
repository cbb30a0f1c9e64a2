"""The predecessor's files: where they lie, and their text as JSON objects."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dicomfab.model.errors import InvalidInput, NotFound

SERVERS: Final = "pacs_config.json"
PATIENTS: Final = "patient_registry.json"
GROUPS: Final = "group_mappings.json"
USERS: Final = "users.json"

#: File -> the folder in which the predecessor itself keeps it; there it counts before the others.
KEPT_IN: Final[Mapping[str, str]] = {SERVERS: "data", PATIENTS: "data", GROUPS: "config", USERS: "config"}
#: File -> why there is nothing in it to take.
ASIDE: Final[Mapping[str, str]] = {
    "patient_config.json": "patterns of IDs are given where patients are invented:"
    " dicomfab patient invent --pattern 'PID{6digits}'",
    "auth_config.json": "how people sign in is a setting here, DICOMFAB_AUTH: dicomfab auth show",
    "enterprise_auth.json": "it holds a password, and is not opened; directories are set by settings:"
    " dicomfab auth show",
}
_FOLDERS: Final = ("", "data", "config")
_LARGEST_BYTES: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """A file of a known name.

    Args:
        name: without folders.
        path: where it is.
        label: the path from the folder on that was named.
        others: labels of files of the same name elsewhere, which are not read.
    """

    name: str
    path: Path
    label: str
    others: tuple[str, ...] = ()


def known_files(folder: Path) -> tuple[list[Found], list[Found]]:
    """The files that are there: those to read, and those to leave aside.

    Args:
        folder: the predecessor's, or the one with its data.

    Raises:
        NotFound: there is no such folder, or none of the files to read is in it.
    """
    if not _is_folder(folder):
        raise NotFound(
            f"{folder}: there is no such folder",
            cause="it is not there, is a file, or may not be read",
            remedy="name the predecessor's own folder, or a copy of it",
        )
    to_read = list(_found(folder, KEPT_IN))
    if not to_read:
        raise NotFound(
            f"{folder}: none of the predecessor's files is here",
            cause=f"looked for {', '.join(KEPT_IN)}, in the folder itself, in data and in config",
            remedy="name the folder that holds data and config of the predecessor",
        )
    return to_read, list(_found(folder, dict.fromkeys(ASIDE, "config")))


def _found(folder: Path, names: Mapping[str, str]) -> Iterator[Found]:
    for name, home in names.items():
        places = sorted(_FOLDERS, key=lambda place: place != home)
        labels = [f"{place}/{name}" if place else name for place in places]
        there = [label for label in labels if os.path.lexists(folder / label)]  # of a link to nowhere, reading says so
        if there:
            yield Found(name, folder / there[0], there[0], tuple(there[1:]))


def load(found: Found) -> dict[str, Any]:
    """The JSON object that a file holds.

    Raises:
        InvalidInput: the file cannot be read, is no JSON, or no object. The error repeats nothing that it holds.
    """
    document = _decoded(_text(found), found.label)
    if not isinstance(document, dict):
        raise _broken(found.label, "it holds no object", "the predecessor writes its entries keyed by id")
    return document


def _text(found: Found) -> str:
    try:
        if not found.path.is_file():
            raise _broken(found.label, "it is not a file", "something else bears its name")
        if found.path.stat().st_size > _LARGEST_BYTES:
            raise _broken(found.label, f"it has more than {_LARGEST_BYTES >> 20} MB", "it is not what its name says")
        return found.path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise _broken(found.label, error.strerror or "it cannot be read", "it may not be read") from error
    except UnicodeDecodeError as error:
        raise _broken(found.label, f"byte {error.start} is not UTF-8", "it was saved in another encoding") from error


def _decoded(text: str, label: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise _broken(label, "a key stands twice in one object", "which of the two is meant cannot be known")
        return made

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        cause = "it breaks off, or was edited by hand"
        if error.msg == "Extra data":
            cause = "a whole registry ends there and more text follows: two programs wrote it at the same time"
        raise _broken(label, f"line {error.lineno}, column {error.colno}: {error.msg}", cause) from error
    except ValueError as error:
        raise _broken(label, "it holds a number too long to be read", "it is not what its name says") from error
    except RecursionError as error:
        raise _broken(label, "its objects are nested too deeply", "it is not what its name says") from error


def _broken(label: str, what: str, cause: str) -> InvalidInput:
    return InvalidInput(
        f"{label}: {what}; nothing is taken from this file",
        field="(file)",
        source=label,
        cause=cause,
        remedy="repair it, or take it from a backup, and repeat the command",
    )


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name too long, or one that holds a NUL
        return False
