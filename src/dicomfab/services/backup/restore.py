"""Puts a backup back, as a whole or not at all."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dicomfab.access.policy import require
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.errors import Interrupted, InvalidInput, NotFound
from dicomfab.services.backup import failures
from dicomfab.services.backup.backup import NEEDED
from dicomfab.services.backup.beside import sync_all
from dicomfab.services.backup.contents import DATABASE
from dicomfab.services.backup.place import Place
from dicomfab.services.backup.reading import Read, read_through
from dicomfab.services.progress import Cancelled, OnProgress, Progress, ignore, never
from dicomfab.storage.snapshot import settle_in, use_wal

if TYPE_CHECKING:
    from dicomfab.services.recording import Record
    from dicomfab.storage.address import PostgresAddress
    from dicomfab.storage.database import Database

_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Restored:
    """A backup that was put back.

    Args:
        read: what was in it.
        home: where it is now.
        servers_moved: registry entries whose files were below the old home, and are below this one now.
        seconds: how long it took.
    """

    read: Read
    home: Path
    servers_moved: int
    seconds: float


class RestoreService:
    """Puts backups into the home of one installation.

    Args:
        home: its folder.
        database: its database.
        opened: opens the database and the audit log of a home that is elsewhere.
    """

    def __init__(
        self,
        home: Path,
        database: Path | PostgresAddress,
        opened: Callable[[Path], AbstractContextManager[tuple[Database, Record]]],
    ) -> None:
        self._home = home
        self._database = database
        self._opened = opened

    def check(
        self, actor: Actor, file: Path, *, on_progress: OnProgress = ignore, cancelled: Cancelled = never
    ) -> Read:
        """Read a backup to its end and compare all of it with what it says of itself; nothing is written.

        Args:
            actor: needs what :data:`~dicomfab.services.backup.backup.NEEDED` says.
            file: the backup.
            on_progress: told how far it is, in MB.
            cancelled: asked with every piece.

        Raises:
            AccessDenied, NotFound: nothing was read.
            InvalidInput: it is no backup, of a newer program, or not as it was written.
            Interrupted: it was cancelled.
        """
        for action, scope in NEEDED:
            require(actor, action, scope)
        return _read(file, "checking", on_progress, cancelled)

    def restore(
        self, actor: Actor, file: Path, *, on_progress: OnProgress = ignore, cancelled: Cancelled = never
    ) -> Restored:
        """Check a backup, and then put it into the home, which is not there or empty.

        It is made beside its place, of an older version brought up to date, and takes it in one step: see
        :mod:`.place`.

        Args:
            actor: as of :meth:`check`.
            file: the backup.
            on_progress: told how far it is, in MB.
            cancelled: asked with every piece.

        Raises:
            AccessDenied, NotFound, InvalidInput, Interrupted: as :meth:`check`.
            Conflict: there is something in the home.
            LocalFailure: a disk failed or is full. Nothing is left of it in any of these cases.
        """
        started = time.monotonic()
        with failures.of_restore(self._home):
            place = Place.of(self._home)
        read = self.check(actor, file, on_progress=on_progress, cancelled=cancelled)
        if bool(read.about.database) != isinstance(self._database, Path):
            raise failures.other_database(bool(read.about.database))
        with failures.of_restore(self._home):
            place.home.parent.mkdir(parents=True, exist_ok=True)
        failures.require_room(place.home if place.within else place.home.parent, read.size_bytes, self._home)
        with failures.of_restore(self._home), place.making() as made:
            again = _read(file, "restoring", on_progress, cancelled, into=made)
            if again.fingerprint != read.fingerprint:
                raise _changed(file)
            moved = self._settle(actor, file, again, made)
            sync_all(made)
            place.put(made)
        return Restored(read, self._home, moved, time.monotonic() - started)

    def _settle(self, actor: Actor, file: Path, read: Read, made: Path) -> int:
        """Bring the database up to date, make it that of this home, and have it know who put it there."""
        about = read.about
        if about.database:
            use_wal(made / DATABASE)
        detail = {"what": "restore of a backup", "taken at": about.taken_at, "of": about.home, "to": str(self._home)}
        with self._opened(made) as (database, record):
            moved = settle_in(database, about.home, str(self._home)) if about.database else 0
            record(AuditEvent.by(actor, EventKind.IMPORT, subject=str(file.absolute()), detail=detail))
        return moved


def _read(file: Path, stage: str, on_progress: OnProgress, cancelled: Cancelled, into: Path | None = None) -> Read:
    try:
        source = file.open("rb")
    except OSError as error:
        raise NotFound(
            f"the backup {file} cannot be read ({error.strerror})",
            cause="it is at another place, or belongs to another user",
            remedy="name a file that dicomfab backup has written",
        ) from error
    with source:
        total = os.fstat(source.fileno()).st_size // _MB

        def pulse() -> None:
            if cancelled():
                raise Interrupted(f"{stage} {file} was stopped, and nothing was restored", remedy="do it again")
            on_progress(Progress(f"{stage}, MB", source.tell() // _MB, total))

        return read_through(source, file, None if into is None else _Unpacked(into, file), pulse)


@dataclass(frozen=True, slots=True)
class _Unpacked:
    """Writes files below a folder.

    Args:
        folder: ours alone.
        file: the backup, for messages.
    """

    folder: Path
    file: Path

    def __call__(self, name: str, contents: Iterator[memoryview]) -> None:
        path = self.folder / name
        try:
            _make(path.parent)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except (FileExistsError, NotADirectoryError):
            raise InvalidInput(
                f"the backup {self.file} is not as it was written: it has two files in one place, {name!r}",
                field="file",
                value=str(self.file),
                cause="somebody has altered it; nothing was restored",
                remedy="use another copy of it, or an earlier backup",
            ) from None
        with os.fdopen(fd, "wb", buffering=0) as written:
            for piece in contents:
                while piece:
                    piece = piece[written.write(piece) or 0 :]


def _make(folder: Path) -> None:
    """Make a folder and those that it is in, for their owner only."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(mode=0o700)


def _changed(file: Path) -> InvalidInput:
    return InvalidInput(
        f"the backup {file} was changed while it was read: nothing was restored",
        field="file",
        value=str(file),
        cause="another program writes to it",
        remedy="wait until that has ended, then do it again",
    )
