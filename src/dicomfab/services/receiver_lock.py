"""Who receives for an installation: a lock that its holder takes with it when it dies."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Holder:
    """What the lock file says of the process that holds it.

    Args:
        pid: its process.
        port: where it listens.
        for_one_transfer: it will end with the transfer that it was started for.
    """

    pid: int
    port: int
    for_one_transfer: bool


class ReceiverLock:
    """The lock of one installation.

    Args:
        path: of its file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def taken(self) -> Iterator[int | None]:
        """Take the lock for the block, without waiting; gives what :meth:`announce` wants, or nothing if it is held."""
        handle = self._open()
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
                return
            os.ftruncate(handle, 0)
            yield handle
            os.ftruncate(handle, 0)
        finally:
            os.close(handle)

    @staticmethod
    def announce(handle: int, holder: Holder) -> None:
        """Say that one listens now."""
        os.pwrite(handle, json.dumps(asdict(holder)).encode(), 0)

    def holder(self) -> Holder | None:
        """Who listens; nothing if nobody does, or not yet."""
        handle = self._open()
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None  # what a killed process left in the file holds no lock
        except BlockingIOError:
            content = os.pread(handle, 1000, 0)
        finally:
            os.close(handle)
        try:
            return Holder(**json.loads(content))
        except (ValueError, TypeError):
            return None  # it was only just taken, or is being let go of

    def _open(self) -> int:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
