"""Instance files on disk: written aside, synced, put in place by a hard link, never seen half done.

::

    root/instances/<study>/<series>/<sop instance>.dcm      what the index names
    root/incoming/<workspace>/<n>                           what is being written, one workspace per process

A workspace is locked as long as its process lives. A file being stored keeps its name in the workspace until the index
has committed; so whatever lies in a workspace that nobody locks tells what a killed process left behind: a temporary
file with one name was never put in place, one with two names was, and the index says whether that counts.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dicomfab.archive.errors import ArchiveFailure

_KNOWN_DIRECTORIES = 10_000


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
        self._lock_fd = -1
        self._numbers = itertools.count(1)
        self._synced: set[Path] = set()

    def open(self) -> None:
        """Make the directories and a locked workspace of our own. To be called within :meth:`opening`."""
        self.instances.mkdir(parents=True, exist_ok=True)
        self._incoming.mkdir(exist_ok=True)
        for directory in (self.root.parent, self.root):
            _sync(directory)
        workspace = self._incoming / secrets.token_hex(8)
        workspace.mkdir()
        fd = _try_lock(workspace)
        if fd is None:
            raise ArchiveFailure(
                f"the new directory {workspace} is locked by another process",
                cause="its file system does not keep locks apart",
                remedy="keep the archive on a local file system",
            )
        self._workspace, self._lock_fd = workspace, fd

    def close(self) -> None:
        """Remove the workspace; files still being written there are lost."""
        if self._workspace is not None:
            shutil.rmtree(self._workspace, ignore_errors=True)
            os.close(self._lock_fd)
            self._workspace, self._lock_fd = None, -1

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

    def temporary(self) -> Path:
        """A name that is free, in our workspace."""
        if self._workspace is None:
            raise ArchiveFailure(f"the archive {self.root} is closed", remedy="open it again")
        return self._workspace / str(next(self._numbers))

    def place(self, temporary: Path, name: str) -> None:
        """Give a synced temporary file its final name as well. A leftover of that name is replaced.

        Args:
            temporary: from :meth:`temporary`.
            name: relative to ``instances``, not named by the index.
        """
        final = self.instances / name
        while True:
            try:
                os.link(temporary, final)
            except FileNotFoundError:
                final.parent.mkdir(parents=True, exist_ok=True)
                self._synced.discard(final.parent)
            except FileExistsError:
                final.unlink(missing_ok=True)
            else:
                return

    def sync_directories(self, names: Iterable[str]) -> None:
        """Make the final names of files durable: their directories, and those that name these if they are new."""
        for directory in {(self.instances / name).parent for name in names}:
            _sync(directory)
            if directory not in self._synced:
                _sync(directory.parent)
                _sync(self.instances)
                if len(self._synced) >= _KNOWN_DIRECTORIES:
                    self._synced.clear()
                self._synced.add(directory)

    def remove(self, name: str) -> None:
        """Remove a file by its final name, and its directories if that leaves them empty."""
        final = self.instances / name
        final.unlink(missing_ok=True)
        with suppress(OSError):  # not empty: others are in it
            final.parent.rmdir()
            final.parent.parent.rmdir()

    def final_names(self, temporaries: Iterable[Path]) -> list[str]:
        """The final names that any of these temporary files were given."""
        status = (path.stat() for path in temporaries)
        inodes = {one.st_ino for one in status if one.st_nlink > 1}
        paths = (path for path in self.all() if path.stat().st_ino in inodes) if inodes else ()
        return [str(path.relative_to(self.instances)) for path in paths]

    @contextmanager
    def abandoned(self) -> Iterator[list[Path]]:
        """What processes that no longer live were writing; removed on leaving without an error.

        To be called within :meth:`opening`, so that no workspace is met between being made and being locked.
        """
        workspaces: list[tuple[Path, int]] = []
        try:
            for workspace in self._incoming.iterdir() if self._incoming.is_dir() else ():
                fd = _try_lock(workspace)
                if fd is not None:
                    workspaces.append((workspace, fd))
            yield [path for workspace, _ in workspaces for path in workspace.iterdir()]
            for workspace, _ in workspaces:
                shutil.rmtree(workspace)
        finally:
            for _, fd in workspaces:
                os.close(fd)

    def all(self) -> Iterator[Path]:
        """Every instance file in place."""
        yield from sorted(self.instances.glob("*/*/*.dcm"))


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


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
