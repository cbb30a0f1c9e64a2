"""What an error of the operating system says of a disk of this machine: that it is full, or not to be written."""

from __future__ import annotations

import errno
import sqlite3
from typing import Final

from dicomfab.model.errors import DiskFull, LocalFailure

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN: Final = (errno.EACCES, errno.EPERM, errno.EROFS)
_SQLITE_FULL: Final = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_SHMSIZE,
)  # the second: no room for what WAL mode shares


def is_disk_full(error: BaseException) -> bool:
    """Whether a file or an SQLite database could not grow: no space left, or none of the user's share of it."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) in _SQLITE_FULL
    return isinstance(error, OSError) and error.errno in _FULL


def disk_full(where: object) -> DiskFull:
    """The error to raise.

    Args:
        where: the folder or file that takes no more.
    """
    return DiskFull(
        f"no space is left for {where}",
        cause="the disk is full",
        remedy="make room, and go on; what is complete is kept. A job waits: dicomfab jobs resume NUMBER",
    )


def file_failure(error: OSError) -> LocalFailure | None:
    """An error of a file or folder in our words; ``None`` if it is of another kind."""
    if is_disk_full(error):
        return disk_full(error.filename or "what was to be written")
    if error.errno not in _FORBIDDEN or error.filename is None:
        return None
    return LocalFailure(
        f"{error.filename} cannot be used ({error.strerror})",
        cause="it belongs to another user, or lies on a disk that is only to be read",
        remedy="give it to this user; if it lies in the home, choose another: export DICOMFAB_HOME=FOLDER",
    )
