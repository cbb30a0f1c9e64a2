"""The database of one installation: opened when first asked, brought up to date, shared by threads and processes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from sqlalchemy import Connection, Engine, bindparam, update
from sqlalchemy import exc as sql_errors

from dicomfab.model.errors import LocalFailure
from dicomfab.storage.address import PostgresAddress
from dicomfab.storage.postgres import PostgresServer
from dicomfab.storage.sqlite import SqliteFile
from dicomfab.storage.tables import revision

BUSY_TIMEOUT_S: Final = 30.0
HALF_OPEN_S: Final = 10.0


# Put together once: that costs more than executing it.
_RAISED: Final = (
    update(revision).where(revision.c.subject == bindparam("subject_")).values(number=revision.c.number + 1)
)


class Store(Protocol):
    """What SQLite and PostgreSQL do each in its own way."""

    def open(self) -> Engine:
        """An engine for the database, which is there and up to date.

        Raises:
            LocalFailure, OSError: it cannot be used.
        """

    def reading(self, engine: Engine) -> AbstractContextManager[Connection]:
        """A transaction that sees one state of the database throughout."""

    def writing(self, engine: Engine, *, synced: bool) -> AbstractContextManager[Connection]:
        """A transaction that may write, and is on the disk when it has ended if it is to be."""

    def now(self, engine: Engine) -> datetime:
        """The moment, with time zone, by the clock that all who share the database have in common."""

    def failure(self, error: Exception) -> LocalFailure | None:
        """What the driver's error means, in our words; ``None`` for a mistake of the caller."""


class Database:
    """An SQLite file or a PostgreSQL database, its engine and its transactions.

    Nothing is touched before the first transaction. That one makes folder and file if absent (readable by their
    owner only) and runs the migrations that are due, while other processes wait.

    Args:
        place: the file, or where the PostgreSQL database is.
        busy_timeout_s: how long a transaction waits for another one's.
        half_open_s: PostgreSQL only: how long either side waits for a connection on which nothing comes through. After
            that the server ends a transaction that was open, so that the rest of the world can go on.
    """

    def __init__(
        self,
        place: Path | PostgresAddress,
        *,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        half_open_s: float = HALF_OPEN_S,
    ) -> None:
        self.place = place
        self._store: Store = (
            SqliteFile(place, busy_timeout_s)
            if isinstance(place, Path)
            else PostgresServer(place, busy_timeout_s, half_open_s)
        )
        self._opening = threading.Lock()
        self._engine: Engine | None = None
        self._file: tuple[int, int] | None = None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one state of the database throughout.

        Raises:
            LocalFailure: the database cannot be opened, read or brought up to date.
        """
        with self._reported(), self._store.reading(self._opened()) as connection:
            yield connection

    @contextmanager
    def write(self, *, synced: bool = True) -> Iterator[Connection]:
        """A connection that may write; committed at the end, or nothing is.

        What is read here may be changed by others before it is written back, except on SQLite:
        see :meth:`changing`.

        Args:
            synced: whether the change is on the disk when this ends. If not, it survives the end of every process, but
                a power cut may undo the newest changes, in whole transactions.

        Raises:
            LocalFailure: as :meth:`read`, or others kept writing for longer than the busy timeout.
        """
        with self._reported(), self._store.writing(self._opened(), synced=synced) as connection:
            yield connection

    @contextmanager
    def changing(self, subject: str, *, synced: bool = True) -> Iterator[Connection]:
        """As :meth:`write`, and alone with the subject: its changes are made one after the other, by whomever.

        Args:
            subject: a row of the table ``revision``.
            synced: as of :meth:`write`.

        Raises:
            LocalFailure: as :meth:`write`.
        """
        with self.write(synced=synced) as connection:
            if connection.execute(_RAISED, {"subject_": subject}).rowcount != 1:
                raise LookupError(f"no subject {subject!r} in the table revision")
            yield connection

    def now(self) -> datetime:
        """The moment, with time zone: of this machine with SQLite, of the server with PostgreSQL.

        Clocks of machines differ; a lease that one writes and another reads is measured with this one.

        Raises:
            LocalFailure: as :meth:`read`.
        """
        with self._reported():
            return self._store.now(self._opened())

    @property
    def is_gone(self) -> bool:
        """Whether the file was removed, or another put in its place, while it was in use.

        Nobody will ever read what is written from then on.
        """
        return self._engine is not None and self._file != _identity(self.place)

    def close(self) -> None:
        """Close every connection; the next transaction opens the database again."""
        with self._opening:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    def _opened(self) -> Engine:
        with self._opening:
            if self._engine is None:
                self._engine = self._store.open()
                self._file = _identity(self.place)
            return self._engine

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Turn what the driver says into one of our errors."""
        try:
            yield
        except (sql_errors.DBAPIError, sql_errors.TimeoutError) as error:
            failure = self._store.failure(error)
            if failure is None:
                raise
            raise failure from error


def is_of_content(error: Exception) -> bool:
    """Whether what failed in a transaction would fail again by what was to be written, and nothing else would.

    If not, the database is down, full or held by others, or this machine fails: all that is to be written can wait.
    """
    if isinstance(error, sql_errors.DataError | sql_errors.IntegrityError):
        return True
    if isinstance(error, sql_errors.DBAPIError | LocalFailure | OSError | MemoryError):
        return False
    # A statement may fail before it gets as far as the driver; a transaction fails with its connection.
    return isinstance(error, sql_errors.StatementError) or not isinstance(error, sql_errors.SQLAlchemyError)


def _identity(place: Path | PostgresAddress) -> tuple[int, int] | None:
    """What tells a file from another of the same name; ``None`` if there is none, and for PostgreSQL."""
    if not isinstance(place, Path):
        return None
    try:
        found = place.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
