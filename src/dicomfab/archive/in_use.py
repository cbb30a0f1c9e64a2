"""Which studies are in use at the moment, over all processes of one machine: a lock on a file for each."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dicomfab.model.values import uid

_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


class InUse:
    """Locks by Study Instance UID. The system frees those of a process that is killed.

    Args:
        folder: of the files; made when needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def using(self, study_instance_uid: str) -> Iterator[None]:
        """Use a study during the block, together with others; waits while it is being deleted."""
        fd = self._locked(study_instance_uid, fcntl.LOCK_SH)
        try:
            yield
        finally:
            os.close(fd)

    @contextmanager
    def alone(self, study_instance_uid: str) -> Iterator[bool]:
        """Have a study for oneself during the block, or be told that it is in use."""
        try:
            fd = self._locked(study_instance_uid, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            self._file(study_instance_uid).unlink(missing_ok=True)
            os.close(fd)

    def _locked(self, study_instance_uid: str, how: int) -> int:
        file = self._file(study_instance_uid)
        while True:
            self._folder.mkdir(parents=True, exist_ok=True)
            fd = os.open(file, _FLAGS, 0o600)
            try:
                fcntl.flock(fd, how)
                if _is(fd, file):  # else whoever had it for himself removed it meanwhile
                    return fd
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)

    def _file(self, study_instance_uid: str) -> Path:
        return self._folder / uid(study_instance_uid, field="study_instance_uid")


def _is(fd: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), file.stat())
    except FileNotFoundError:
        return False
