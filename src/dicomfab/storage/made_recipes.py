"""The resolved recipes of studies that were fabricated here: what is in them, long after they were made."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from dicomfab.model.disk import is_disk_full
from dicomfab.model.errors import DiskFull, LocalFailure

if TYPE_CHECKING:
    from dicomfab.fabricate.recipe import ResolvedStudy


class MadeRecipes:
    """One small file for each recipe, named by its hash, which every instance that was made by it carries.

    Args:
        folder: made when needed, readable by its owner only.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, study: ResolvedStudy) -> None:
        """Keep a recipe, before anything of its study is; it is on the disk when this returns.

        Raises:
            LocalFailure: it could not be written.
        """
        file = self._file(study.recipe_hash)
        if file.exists():
            return
        temporary = file.with_suffix(f".{secrets.token_hex(4)}")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as opened:
                json.dump(study.as_dict(), opened, separators=(",", ":"))
                opened.flush()
                os.fsync(opened.fileno())
            temporary.replace(file)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            kind = DiskFull if is_disk_full(error) else LocalFailure
            raise kind(
                f"the recipe of study {study.study_instance_uid} could not be kept ({error.strerror})",
                cause=f"{self._folder} is full or cannot be written",
                remedy="make room, then do it again",
            ) from error

    def find(self, recipe_hash: str) -> ResolvedStudy | None:
        """A recipe by its hash; nothing if it is not here, or another version of the program made it."""
        from dicomfab.fabricate.recipe import ResolvedStudy  # what lists studies asks for none

        if not recipe_hash.isalnum():
            return None
        try:
            study = ResolvedStudy.from_dict(json.loads(self._file(recipe_hash).read_text(encoding="ascii")))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):  # another version had other fields
            return None
        return study if study.recipe_hash == recipe_hash else None

    def _file(self, recipe_hash: str) -> Path:
        return self._folder / f"{recipe_hash}.json"
