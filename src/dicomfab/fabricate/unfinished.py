"""A folder whose study is not complete yet says so, and what it is to become: so that it can be gone on with."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

from dicomfab.fabricate.recipe import RENDERER_VERSION, ResolvedStudy
from dicomfab.model.disk import disk_full, is_disk_full
from dicomfab.model.errors import Conflict, NotFound

#: Hidden, so that whoever sends the folder's files does not trip over it; there only while the study is incomplete.
MARKER: Final = ".dicomfab-incomplete.json"


def begin(directory: Path, study: ResolvedStudy) -> None:
    """Mark a folder as incomplete.

    Raises:
        Conflict: it holds an incomplete study already.
        DiskFull: no space is left.
    """
    part = directory / f"{MARKER}.{os.getpid()}.part"  # it is whole or not there, whenever the process is killed
    try:
        with open(part, "w", encoding="utf-8") as file:
            json.dump({"renderer": RENDERER_VERSION, "study": study.as_dict()}, file, indent=1)
        os.link(part, directory / MARKER)
    except FileExistsError:
        raise Conflict(
            f"{directory} holds a study that is not complete",
            cause="it was broken off, or it is being written at this moment",
            remedy=f"go on with it: dicomfab study create --out {directory} --resume; or delete the folder",
        ) from None
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(directory) from error
        raise
    finally:
        part.unlink(missing_ok=True)


def pending(directory: Path) -> ResolvedStudy:
    """What an incomplete folder is to become.

    Raises:
        NotFound: nothing in it is incomplete.
        Conflict: it was begun by another version, whose bytes differ.
    """
    try:
        found = json.loads((directory / MARKER).read_text("utf-8"))
        renderer, study = found["renderer"], ResolvedStudy.from_dict(found["study"])
    except FileNotFoundError:
        raise NotFound(
            f"{directory} holds no incomplete study",
            cause="it is complete, or was not written by this software",
            remedy="make a study: dicomfab study create --out FOLDER",
        ) from None
    except (ValueError, KeyError, TypeError):
        raise _another(directory) from None
    if renderer != RENDERER_VERSION:
        raise _another(directory)
    return study


def finish(directory: Path) -> None:
    """The study is complete."""
    (directory / MARKER).unlink(missing_ok=True)


def _another(directory: Path) -> Conflict:
    return Conflict(
        f"{directory} was begun by another version of this software",
        cause="the same recipe makes other bytes now",
        remedy="delete the folder and make the study anew",
    )
