"""Packs an installation, as it is at one moment, into one file."""

from __future__ import annotations

import errno
import io
import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from dicomfab.model.errors import Interrupted
from dicomfab.services.backup import failures
from dicomfab.services.backup.about import About
from dicomfab.services.backup.contents import ANCHORS, DATABASE, LAB, STUDIES, Contents
from dicomfab.services.backup.tar_file import ABOUT, Shortened, Writer
from dicomfab.services.progress import Cancelled, OnProgress, Progress
from dicomfab.storage.snapshot import DatabaseSnapshot, opened

if TYPE_CHECKING:
    from dicomfab.archive.archive import Archive
    from dicomfab.archive.snapshot import Snapshot
    from dicomfab.storage.address import PostgresAddress

PACKED: Final = "backup.tar"
_TRIES: Final = 10


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a backup is to hold.

    Args:
        with_lab: also what the lab's servers keep.
        without_database: the database is on PostgreSQL, and is backed up there.
        overwrite: the file may take another one's place.
    """

    with_lab: bool = False
    without_database: bool = False
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """What belongs to an installation.

    Args:
        home: its folder.
        database: its database.
        local: the local study store.
        lab: gives the archives of the lab's servers, by their folders below the home.
        now: gives the moment, with time zone.
    """

    home: Path
    database: Path | PostgresAddress
    local: Archive
    lab: Callable[[], Mapping[str, Archive]]
    now: Callable[[], datetime]


@dataclass(slots=True)
class Taken:
    """A backup that was taken.

    Args:
        file: where it is.
        about: what it says of itself.
        instances: how many DICOM instances are in it.
        members: how many files.
        size_bytes: of the file.
        fingerprint: see :class:`~dicomfab.services.backup.tar_file.Written`.
        seconds: how long it took.
        missing: instance files that the archive has lost; what the index says of them is not in the backup either.
        damaged: instance files of another length than the index says; they are in it as they are.
        left_out: names in the home that are neither files nor folders.
        outside: files that the installation uses and that are not in its home: they are not in the backup.
    """

    file: Path
    about: About
    instances: int = 0
    members: int = 0
    size_bytes: int = 0
    fingerprint: str = ""
    seconds: float = 0.0
    missing: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)


class Packing:
    """One backup while it is packed.

    Args:
        source: what it is of.
        work: a folder of our own.
        wanted: what is to be in it.
        on_progress, cancelled: as of :meth:`~dicomfab.services.backup.backup.BackupService.take`.
    """

    def __init__(
        self, source: Source, work: Path, wanted: Wanted, on_progress: OnProgress, cancelled: Cancelled
    ) -> None:
        self._source = source
        self._work = work
        self._wanted = wanted
        self._on_progress = on_progress
        self._cancelled = cancelled
        self._contents = Contents(source.home)
        self._audit: dict[str, bytes] = {}
        self._total = 0

    def pack(self, target: Path) -> Taken:
        """Write the file, as :data:`PACKED` in the folder of our own."""
        with ExitStack() as stack:
            database = None
            if isinstance(self._source.database, Path):
                database = stack.enter_context(opened(self._source.database))
            index = self._work / "studies.sqlite3"
            self._on_progress(Progress("holding the studies", 0))
            studies = stack.enter_context(self._source.local.held(index, lambda: self._hold(database)))
            self._taken = Taken(target, self._about(database))
            file = stack.enter_context(_private(self._work / PACKED))
            listed = stack.enter_context(_private(self._work / "list"))
            self._writer = Writer(file, listed, int(time.time()))
            self._require_room(studies)
            self._add_plain(database)
            self._add_archive(STUDIES, studies)
            if self._wanted.with_lab:
                self._add_lab()
            done = self._writer.finish()
            file.flush()
            self._taken.members, self._taken.fingerprint = done
            self._taken.size_bytes = file.tell()
            self._taken.left_out += self._contents.left_out
        return self._taken

    def _hold(self, database: DatabaseSnapshot | None) -> None:
        """The moment: the database is held, with the keys and anchors that go with its entries."""
        while True:
            self._audit = self._contents.of_audit()
            if database is None:
                self._audit.pop(ANCHORS, None)  # they may name entries that a copy of the database does not have yet
                return
            database.hold()
            if self._contents.of_audit() == self._audit:
                return
            database.let_go()  # a new key has just begun

    def _about(self, database: DatabaseSnapshot | None) -> About:
        return About(
            taken_at=self._source.now().isoformat(timespec="seconds"),
            home=str(self._source.home),
            database="" if database is None else database.schema,
            lab=self._wanted.with_lab,
        )

    def _require_room(self, studies: Snapshot) -> None:
        self._total, size = studies.extent()
        database = self._source.database
        size += database.stat().st_size if isinstance(database, Path) else 0
        failures.require_room(self._work, size, self._taken.file)

    def _add_plain(self, database: DatabaseSnapshot | None) -> None:
        self._add_bytes(ABOUT, self._taken.about.as_bytes())
        for name, content in self._audit.items():
            self._add_bytes(name, content)
        for name in self._contents.files():
            self._add_file(name, self._source.home / name)
        if database is not None:
            copy = self._work / DATABASE
            database.copy(copy)
            database.let_go()
            self._add_file(DATABASE, copy)
            copy.unlink()

    def _add_archive(self, below: str, snapshot: Snapshot) -> None:
        lost = []
        for path, size in snapshot.files():
            name = f"{below}/instances/{path}"
            found = self._add_file(name, snapshot.held / path)
            if found is None:
                lost.append(path)
                continue
            if found != size:
                self._taken.damaged.append(name)
            self._taken.instances += 1
            self._on_progress(Progress("copying", self._taken.instances, self._total))
        if lost:
            snapshot.forget(lost)
            self._taken.missing += [f"{below}/instances/{path}" for path in lost]
        self._add_file(f"{below}/index.sqlite3", snapshot.index)
        snapshot.index.unlink()

    def _add_lab(self) -> None:
        for below, archive in self._source.lab().items():
            with closing(archive), archive.held(self._work / "lab.sqlite3", lambda: None) as snapshot:
                self._total += snapshot.extent()[0]
                self._add_archive(below, snapshot)
            for name in self._contents.files(f"{below}/commitments"):
                self._add_file(name, self._source.home / name)
        if (self._source.home / LAB / "orthanc").exists():
            self._taken.left_out.append(f"{LAB}/orthanc")

    def _add_bytes(self, name: str, content: bytes) -> None:
        self._writer.add(name, io.BytesIO(content), len(content), self._pulse)

    def _add_file(self, name: str, path: Path) -> int | None:
        """Add a file; its size, or nothing if it is not there."""
        for _ in range(_TRIES):
            try:
                file = path.open("rb", buffering=0)
            except FileNotFoundError:
                return None
            with file, suppress(Shortened):  # it was written anew meanwhile
                size = os.fstat(file.fileno()).st_size
                self._writer.add(name, file, size, self._pulse)
                return size
        raise OSError(errno.EBUSY, "it changes all the time", str(path))

    def _pulse(self) -> None:
        if self._cancelled():
            raise Interrupted(
                "the backup was stopped, and nothing of it is left", remedy="dicomfab backup FILE, to begin anew"
            )


def _private(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w+b", 1 << 20)
