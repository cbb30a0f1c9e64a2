"""The key of the audit log's chain: in a file, never in the database that it protects."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Final

from dicomfab.model.errors import LocalFailure, SetupMissing

_BYTES: Final = 32
_SHORTEST: Final = 32


class KeyFile:
    """A secret in a file.

    Args:
        path: of the file.
        make: whether it is made, readable by its owner only, where it is absent. Otherwise somebody has put it there,
            and who else may read it is their decision.
    """

    def __init__(self, path: Path, *, make: bool) -> None:
        self.path = path
        self.make = make

    def read(self) -> bytes | None:
        """The key; ``None`` if the file is not there.

        Raises:
            LocalFailure: it cannot be read, is too short for a key, or is our own and open to others.
        """
        try:
            with self.path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                key = file.read().strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(self.path, error.strerror or str(error)) from error
        if self.make and mode & 0o077:
            raise _unusable(self.path, f"its mode is {mode & 0o777:03o}: others than its owner may read or change it")
        if len(key) < _SHORTEST:
            raise _unusable(self.path, f"it has {len(key)} characters, and a key has {_SHORTEST} or more")
        return key

    def create(self) -> bytes:
        """Make the file with a new key, or read the one that another process has made first.

        Raises:
            SetupMissing: the file is one that somebody else has to put there.
            LocalFailure: it cannot be written or read.
        """
        if not self.make:
            raise SetupMissing(
                f"the key of the audit log is not at {self.path}",
                cause="DICOMFAB_AUDIT_KEY_FILE names a file that is not there",
                remedy="put the key there (32 characters or more), the same on every machine that shares the database",
            )
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_new(draft, secrets.token_hex(_BYTES).encode() + b"\n")
            try:
                # Unlike a rename, a link never takes the place of a key that is there already.
                with contextlib.suppress(FileExistsError):
                    os.link(draft, self.path)
            finally:
                draft.unlink()
            _sync(self.path.parent)
        except OSError as error:
            raise _unusable(self.path, error.strerror or str(error)) from error
        key = self.read()
        if key is None:
            raise _unusable(self.path, "it was removed just after it was made")
        return key


def _write_new(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unusable(path: Path, reason: str) -> LocalFailure:
    return LocalFailure(
        f"the key of the audit log, {path}, cannot be used ({reason})",
        cause="file or folder were changed by hand, or belong to another user",
        remedy="make it readable by the owner only (chmod 600); if it is lost, put a backup of it in its place",
    )
