"""Instance files on disk: put in place under the index's write lock, never seen half done.

::

    root/instances/<study>/<series>/<sop instance>.dcm      what the index names
    root/incoming/<workspace>/<n>                           what is being written, one workspace per process
    root/incoming/<workspace>/placing                       the names that the transaction at hand gives to files

A workspace is locked as long as its process lives. One that nobody locks tells what a killed process left behind: what
its last transaction put in place, for the index to say whether that counts, and files that never came so far.
"""

from __future__ import annotations

import ctypes
import fcntl
import itertools
import os
import secrets
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicomfab.archive.errors import ArchiveFailure

_PLACING: Final = "placing"
_SPARES: Final = 16
# Linux only: all that is dirty on a file system in one go, where thousands of fsync calls would take a second.
_syncfs: Final = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)


@dataclass(frozen=True, slots=True)
class Abandoned:
    """What processes that no longer live have left.

    Args:
        placing: the names that their last transactions gave to files.
        living: the workspaces of the processes that do live.
    """

    placing: list[str]
    living: list[str]


class InstanceFiles:
    """The files below one root. Thread-safe; removing and placing are serialised by the index's write lock.

    Args:
        root: made when first needed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.instances = root / "instances"
        self._incoming = root / "incoming"
        self._workspace: Path | None = None
        self._workspace_name = ""
        self._lock_fd = self._placing_fd = -1
        self._placing_at = 0
        self._numbers = itertools.count(1)
        self._spares: list[str] = []
        self._spares_lock = threading.Lock()

    def open(self) -> None:
        """Make the directories and a locked workspace of our own. To be called within :meth:`opening`."""
        self.instances.mkdir(parents=True, exist_ok=True)
        self._incoming.mkdir(exist_ok=True)
        workspace = self._incoming / secrets.token_hex(8)
        workspace.mkdir()
        fd = _try_lock(workspace)
        if fd is None:
            raise ArchiveFailure(
                f"the new directory {workspace} is locked by another process",
                cause="its file system does not keep locks apart",
                remedy="keep the archive on a local file system",
            )
        self._placing_fd = os.open(workspace / _PLACING, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        self._workspace, self._workspace_name, self._lock_fd = workspace, workspace.name, fd
        for directory in (self.root.parent, self.root, self._incoming):
            _sync(directory)

    def close(self, *, keep: bool = False) -> None:
        """Remove the workspace; files still being written there are lost.

        Args:
            keep: leave it to whoever opens the archive next, as if this process had been killed.
        """
        if self._workspace is not None:
            if not keep:
                shutil.rmtree(self._workspace, ignore_errors=True)
            with self._spares_lock:
                self._spares.clear()
            os.close(self._placing_fd)
            os.close(self._lock_fd)
            self._workspace, self._lock_fd, self._placing_fd = None, -1, -1

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Held by one process at a time, for making the index and for clearing up."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)  # patients' data: ours alone
        fd = os.open(self.root / "opening.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def temporary(self) -> str:
        """A name that is free, relative to ``incoming``: in our workspace, which no process had before or will have."""
        self._opened()
        return f"{self._workspace_name}/{next(self._numbers)}"

    def spare(self) -> str:
        """An empty temporary file for the caller to fill, whose name is durable: so syncing the file will be enough."""
        with self._spares_lock:
            if not self._spares:
                self._spares = [self.temporary() for _ in range(_SPARES)]
                for name in self._spares:
                    self.temporary_path(name).touch(exist_ok=False)
                _sync(self._opened())
            return self._spares.pop()

    def temporary_path(self, name: str) -> Path:
        """Where a temporary file is."""
        return self._incoming / name

    def drop(self, temporary: str) -> None:
        """Remove a temporary file, if it is there."""
        self.temporary_path(temporary).unlink(missing_ok=True)

    def start_placing(self) -> None:
        """To be called in every transaction that places files, before it does."""
        self._opened()
        if os.fstat(self._placing_fd).st_nlink == 0:
            raise FileNotFoundError(f"the directory {self._workspace} was removed")
        self._placing_at = 0

    def place(self, name: str, source: str | bytes) -> None:
        """Put an instance file where the index will name it. A leftover of that name is replaced.

        Args:
            name: relative to ``instances``, not named by the index.
            source: a synced temporary file, which keeps its name beside the new one; or the content.
        """
        line = f"{name}\n".encode("ascii")
        os.pwrite(self._placing_fd, line + b"\n", self._placing_at)  # an empty line ends the list
        self._placing_at += len(line)
        final = f"{self.instances}/{name}"
        try:
            self._make(final, source)
        except FileNotFoundError:
            (self.instances / name).parent.mkdir(parents=True, exist_ok=True)
            self._make(final, source)
        except FileExistsError:
            os.unlink(final)
            self._make(final, source)

    def restore(self, name: str, source: str | bytes) -> None:
        """As :meth:`place`, whatever is there now, and sync the file; its name is left to :meth:`sync_names`."""
        final = self.instances / name
        final.parent.mkdir(parents=True, exist_ok=True)
        new = final.with_name(final.name + ".new")
        new.unlink(missing_ok=True)
        with suppress(FileNotFoundError):  # its workspace was removed since: it is in place, or gone by someone's hand
            self._make(str(new), source, sync=True)
            new.replace(final)
            new.unlink(missing_ok=True)  # it stays if both are one file

    def sync(self, paths: Iterable[Path]) -> None:
        """Make files of our own durable, content and names, however many they are.

        Raises:
            OSError: the disk did not take all of them, and will not say so again.
        """
        if _syncfs is not None:
            if _syncfs(self._lock_fd):
                error = ctypes.get_errno()
                raise OSError(error, os.strerror(error))
            return
        there = [path for path in paths if path.exists()]
        for path in there:
            _sync(path)
        _sync_directories({path.parent for path in there}, self.root)

    def sync_names(self, names: Iterable[str]) -> None:
        """Make the names of files in place durable.

        Args:
            names: relative to ``instances``.
        """
        _sync_directories({(self.instances / name).parent for name in names}, self.root)

    def remove(self, name: str) -> None:
        """Remove a file by its final name, and its directories if that leaves them empty."""
        final = self.instances / name
        final.unlink(missing_ok=True)
        with suppress(OSError):  # not empty: others are in it
            final.parent.rmdir()
            final.parent.parent.rmdir()

    @contextmanager
    def abandoned(self) -> Iterator[Abandoned]:
        """What processes that no longer live were writing; removed on leaving without an error.

        To be called within :meth:`opening`, so that no workspace is met between being made and being locked.
        """
        dead: list[tuple[Path, int]] = []
        living: list[str] = []
        try:
            for workspace in self._incoming.iterdir() if self._incoming.is_dir() else ():
                fd = _try_lock(workspace)
                if fd is None:
                    living.append(workspace.name)
                else:
                    dead.append((workspace, fd))
            yield Abandoned([name for workspace, _ in dead for name in _placing_in(workspace)], living)
            for workspace, _ in dead:
                shutil.rmtree(workspace)
        finally:
            for _, fd in dead:
                os.close(fd)

    def all(self) -> Iterator[Path]:
        """Every instance file in place."""
        yield from sorted(self.instances.glob("*/*/*.dcm"))

    def _make(self, path: str, source: str | bytes, *, sync: bool = False) -> None:
        if isinstance(source, str):
            os.link(f"{self._incoming}/{source}", path)
            return
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
        try:
            write_all(fd, memoryview(source))
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)

    def _opened(self) -> Path:
        if self._workspace is None:
            raise ArchiveFailure(f"the archive {self.root} is closed", remedy="open it again")
        return self._workspace


def write_all(fd: int, data: memoryview) -> None:
    """Write all of it: a file on a full disk may take a part of it first."""
    while written := os.write(fd, data):
        if written == len(data):
            return
        data = data[written:]


def _placing_in(workspace: Path) -> list[str]:
    try:
        text = (workspace / _PLACING).read_text("ascii", errors="replace")
    except FileNotFoundError:
        return []
    return list(itertools.takewhile(bool, text.split("\n")))


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync_directories(directories: set[Path], root: Path) -> None:
    """Sync directories and those that they are in, below a root."""
    with_parents = {one for path in directories for one in (path, *path.parents) if root in one.parents}
    for path in sorted(with_parents, reverse=True):
        with suppress(FileNotFoundError):  # removed since, with all that was in it
            _sync(path)


def _try_lock(directory: Path) -> int | None:
    """Lock a directory for as long as the descriptor is open; ``None`` if another has it or it is gone."""
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd
