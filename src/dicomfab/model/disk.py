"""Whether an error says that a disk of this machine is full."""

from __future__ import annotations

import errno
import sqlite3
from typing import Final

from dicomfab.model.errors import DiskFull

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
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
