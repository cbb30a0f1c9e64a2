"""The key of the audit log's chain: in a file, never in the database that it protects.

Beside ``audit.key`` may be ``audit.key.until-17``: the key of the entries up to 17, or a word if it is lost.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dicomfab.model.errors import LocalFailure, SetupMissing

_BYTES: Final = 32
_SHORTEST: Final = 32
_LOST: Final = b"lost\n"


@dataclass(frozen=True, slots=True)
class EarlierKey:
    """A key that was given up.

    Args:
        through: the last entry that was made with it, or could have been.
        key: ``None`` if it is lost.
    """

    through: int
    key: bytes | None = field(repr=False)


def mark_of(key: bytes) -> int:
    """What the database may know of a key: 31 bits that tell it from another one, and nothing else."""
    return int.from_bytes(hmac.new(key, b"dicomfab audit key 1", hashlib.sha256).digest()[:4], "big") & 0x7FFF_FFFF


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

    def earlier(self) -> list[EarlierKey]:
        """The keys that were given up, in the order of their entries.

        Raises:
            LocalFailure: one of them cannot be read.
        """
        found = []
        for path in self.path.parent.glob(f"{self.path.name}.until-*"):
            through = path.name.rpartition("-")[2]
            if through.isascii() and through.isdigit():
                found.append(EarlierKey(int(through), KeyFile(path, make=self.make)._read_or_lost()))
        return sorted(found, key=lambda one: one.through)

    def draft(self, through: int, old: bytes | None) -> bytes:
        """Make a new key beside the old one, which is kept for its entries; :meth:`adopt` puts it in its place.

        Args:
            through: the last entry of the old key.
            old: the old key; ``None`` if it is lost.

        Raises:
            LocalFailure: it cannot be written.
        """
        content = secrets.token_hex(_BYTES).encode()
        try:
            for path, text in (
                (self._beside(f"until-{through}"), (old and old + b"\n") or _LOST),
                (self._next, content),
            ):
                path.unlink(missing_ok=True)
                _write_new(path, text)
            _sync(self.path.parent)
        except OSError as error:
            raise _unusable(self.path, error.strerror or str(error)) from error
        return content

    def adopt(self, mark: int) -> bytes | None:
        """Put the new key in the place of the old one, if it is the one of this mark; ``None`` if it is not there.

        Raises:
            LocalFailure: it cannot be read or put there.
        """
        found = KeyFile(self._next, make=self.make).read()
        if found is None or mark_of(found) != mark:
            return None
        try:
            self._next.replace(self.path)
            _sync(self.path.parent)
        except FileNotFoundError:  # another process was faster
            return self.read()
        except OSError as error:
            raise _unusable(self.path, error.strerror or str(error)) from error
        return found

    @property
    def _next(self) -> Path:
        return self._beside("next")

    def _beside(self, end: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{end}")

    def _read_or_lost(self) -> bytes | None:
        is_lost = self.path.stat().st_size == len(_LOST) and self.path.read_bytes() == _LOST
        return None if is_lost else self.read()

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
