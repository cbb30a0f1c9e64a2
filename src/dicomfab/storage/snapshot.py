"""One moment of an SQLite database, held while it is copied; and what a copy needs before it is used elsewhere."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from sqlalchemy import String, delete, func, literal, select, update

from dicomfab.model.disk import is_disk_full
from dicomfab.model.errors import LocalFailure
from dicomfab.storage.account_tables import session, sign_in_request
from dicomfab.storage.database import BUSY_TIMEOUT_S, Database
from dicomfab.storage.migrations import HEAD
from dicomfab.storage.tables import pacs_server, worker

_PAGES: Final = 1024
#: What may name a file below the home by its whole path.
PATHS: Final = ("tls_ca_file", "tls_certificate_file", "tls_key_file", "dicomweb_secret_file")


class DatabaseSnapshot:
    """A database file of which one moment can be held.

    Args:
        path: of the file.
    """

    schema: Final = HEAD

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reading = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)

    def hold(self) -> None:
        """From now on it is this moment that :meth:`copy` copies. In WAL mode that keeps nobody from writing."""
        self._reading.execute("BEGIN")
        self._reading.execute("SELECT count(*) FROM sqlite_master").fetchone()

    def let_go(self) -> None:
        """Hold it no longer."""
        with suppress(sqlite3.OperationalError):  # none was held
            self._reading.execute("ROLLBACK")

    def copy(self, to: Path) -> None:
        """Copy what is held into a file that is not there yet.

        Raises:
            OSError: the copy could not be written: its disk is full.
            LocalFailure: it could not be read.
        """
        with _copying(to), closing(sqlite3.connect(to)) as copy:
            copy.execute("PRAGMA synchronous=OFF")
            self._reading.backup(copy, pages=_PAGES)

    def close(self) -> None:
        """Hold nothing and close the file."""
        self._reading.close()


@contextmanager
def opened(path: Path) -> Iterator[DatabaseSnapshot]:
    """A database file that can be held, during the block."""
    snapshot = DatabaseSnapshot(path)
    try:
        yield snapshot
    finally:
        snapshot.close()


def use_wal(path: Path) -> None:
    """Let a copy be used by several processes, as the file that it was made of.

    Raises:
        OSError: its disk is full.
        LocalFailure: it is no database.
    """
    with _copying(path), closing(sqlite3.connect(path)) as copy:
        copy.execute("PRAGMA journal_mode=WAL")


@contextmanager
def _copying(copy: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if is_disk_full(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(copy)) from error
        raise LocalFailure(
            f"the database could not be copied to {copy} ({error})",
            cause="a disk fails, or the database is damaged",
            remedy="check the disk; nothing was changed",
        ) from error


def settle_in(database: Database, old_home: str, new_home: str) -> int:
    """Make good what a copy says of where and when it was made.

    Nobody is signed in, no worker is at work, and files below the old home are those below the new one.

    Returns:
        How many servers of the registry named such files.
    """
    with database.changing("registry") as connection:
        for table in (session, sign_in_request, worker):
            connection.execute(delete(table))
        moved = set()
        for name in PATHS if old_home != new_home else ():
            column = pacs_server.c[name]
            is_below = func.substr(column, 1, len(old_home) + 1) == f"{old_home}/"
            moved |= set(connection.execute(select(pacs_server.c.id).where(is_below)).scalars())
            there = literal(new_home, String) + func.substr(column, len(old_home) + 1)
            connection.execute(update(pacs_server).where(is_below).values({name: there}))
    return len(moved)
