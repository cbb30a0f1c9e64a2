"""A folder beside what it is to become: whole, it takes its place; of a killed process, the next one clears it away."""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import secrets
import shutil
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_LONGEST: Final = 100
_AT_ONCE: Final = 16


@contextmanager
def beside(target: Path, purpose: str) -> Iterator[Path]:
    """An empty folder, ours alone and on the same file system, removed at the end of the block if it is still there.

    Args:
        target: what it is for; the folder that holds it must be there.
        purpose: a word in its name.

    Raises:
        OSError: it cannot be made.
    """
    stem = _stem(target, purpose)
    for path in target.parent.glob(f"{glob.escape(stem)}*"):
        left = _locked(path)
        if left is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(left)
    folder = target.parent / f"{stem}{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700)
    held = _locked(folder)
    if held is None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK), str(folder))
    try:
        yield folder
    finally:
        # Not what has taken its place: that is another name.
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def is_ours(path: Path, target: Path, purpose: str) -> bool:
    """Whether something is what :func:`beside` makes for this."""
    return path.parent == target.parent and path.name.startswith(_stem(target, purpose))


def _stem(target: Path, purpose: str) -> str:
    return f".{target.name[:_LONGEST]}.{purpose}-"


def put(file: Path, target: Path, *, overwrite: bool) -> None:
    """Give a complete file its name, and have both on the disk.

    Args:
        file: the file.
        target: its name, on the same file system.
        overwrite: whether it may take another one's place.

    Raises:
        FileExistsError: it may not, and there is one.
        OSError: it cannot be done.
    """
    sync(file)
    if overwrite:
        file.replace(target)
    else:
        try:
            os.link(file, target)  # unlike a rename, it never takes the place of another
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            if target.exists():
                raise FileExistsError(target) from None
            file.replace(target)
    sync(target.parent)


def sync_all(folder: Path) -> None:
    """Have a folder on the disk with all that is below it.

    Several files at once: file systems write the names of those together. One call for a whole disk would wait for all
    that others write.

    Raises:
        OSError: the disk did not take all of it.
    """
    walked = list(os.walk(folder))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for path, _, files in walked:
            deque(pool.map(sync, [Path(path, name) for name in files]), maxlen=0)
        deque(pool.map(sync, [Path(path) for path, _, _ in walked]), maxlen=0)


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _locked(folder: Path) -> int | None:
    """Lock a folder for as long as the descriptor is open; ``None`` if another has it or it is gone."""
    with suppress(OSError):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(fd), folder.stat()):
                return fd
        except OSError:
            pass
        os.close(fd)
    return None
