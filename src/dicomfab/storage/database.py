"""The database of one installation: opened when first asked, brought up to date, shared by threads and processes."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, select
from sqlalchemy import column as sql_column
from sqlalchemy import exc as sql_errors
from sqlalchemy import table as sql_table

from dicomfab.model.errors import LocalFailure
from dicomfab.storage.migrations import HEAD

BUSY_TIMEOUT_S = 30.0
_WRITES = "dicomfab_writes"


class Database:
    """An SQLite file, its engine and its transactions.

    Nothing is touched before the first transaction. That one makes folder and file if absent (readable by their
    owner only) and runs the migrations that are due, while other processes wait.

    Args:
        path: the file.
        busy_timeout_s: how long a transaction waits for another process's.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        self._opening = threading.Lock()
        self._writing = threading.Lock()
        self._engine: Engine | None = None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one state of the database throughout.

        Raises:
            LocalFailure: the file cannot be opened, read or brought up to date.
        """
        with self._reported(), self._opened().connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection that alone may write, from the first statement on; committed at the end, or nothing is.

        Raises:
            LocalFailure: as :meth:`read`, or others kept writing for longer than the busy timeout.
        """
        # Threads queue here, in order; only processes have to take turns by the busy timeout's polling.
        with self._reported(), self._writing, _writer(self._opened()) as connection:
            yield connection

    def close(self) -> None:
        """Close every connection; the next transaction opens the file again."""
        with self._opening:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    def _opened(self) -> Engine:
        with self._opening:
            if self._engine is None:
                try:
                    self._engine = _open(self.path, self._busy_timeout_s)
                except OSError as error:
                    raise _unusable(self.path, str(error), busy=False) from error
            return self._engine

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Turn what the driver says into one of our errors; the file is never made anew."""
        try:
            yield
        except sql_errors.OperationalError as error:
            busy = "locked" in str(error.orig) or "busy" in str(error.orig)
            raise _unusable(self.path, str(error.orig), busy=busy) from error
        except (sql_errors.DatabaseError, sql_errors.TimeoutError) as error:
            if isinstance(error, sql_errors.IntegrityError | sql_errors.ProgrammingError):
                raise
            raise _unusable(self.path, str(getattr(error, "orig", error)), busy=False) from error


def _open(path: Path, busy_timeout_s: float) -> Engine:
    _make_private(path)
    engine = _engine(path, busy_timeout_s)
    try:
        _bring_up_to_date(engine, path)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _engine(path: Path, busy_timeout_s: float) -> Engine:
    # Readers never queue behind one another: a connection is two file handles, and threads are few.
    engine = create_engine(
        URL.create("sqlite", database=str(path)), connect_args={"timeout": busy_timeout_s}, pool_size=5, max_overflow=-1
    )

    def on_connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver begins no transactions of its own: on_begin does
        connection.execute("PRAGMA foreign_keys = ON")

    def on_begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, False)
        # A deferred transaction that turns writer later can fail at once instead of waiting; an immediate one waits.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    return engine


@contextmanager
def _writer(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        options: dict[str, Any] = {_WRITES: True}
        with connection.execution_options(**options).begin():
            yield connection


def _bring_up_to_date(engine: Engine, path: Path) -> None:
    """Run the migrations that are due; when several processes start at once, one does and the others wait."""
    # An empty file is somebody's that is just being made: looking into it could disturb the change to WAL.
    if path.stat().st_size and _current(engine) == HEAD:
        return
    with _locked(path.with_name(path.name + ".lock")):
        if _current(engine) == HEAD:
            return
        raw = engine.raw_connection()
        try:
            raw.cursor().execute("PRAGMA journal_mode = WAL")
        finally:
            raw.close()
        from dicomfab.storage.migrations.run import upgrade

        with _writer(engine) as connection:
            upgrade(connection, path)


def _current(engine: Engine) -> str | None:
    """The revision the file is at, without loading Alembic."""
    version = sql_table("alembic_version", sql_column("version_num"))
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.execute(select(version.c.version_num)).scalar()
        return found


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock between processes; the operating system lets go of it when its holder dies."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _make_private(path: Path) -> None:
    """Make the folder 0700 and the file 0600 where they are absent; SQLite gives its side files the same mode."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _unusable(path: Path, reason: str, *, busy: bool) -> LocalFailure:
    if busy:
        error = LocalFailure(
            f"the database {path} stayed locked ({reason}); nothing was changed",
            cause="another program holds a write transaction open",
            remedy="end that program (a database browser, a hanging dicomfab) and repeat the command",
        )
        error.transient = True
        return error
    return LocalFailure(
        f"the database {path} cannot be used ({reason}); it was left as it is",
        cause="the disk is full, the folder cannot be written, or the file is damaged or no database",
        remedy="check free space and permissions; if the file is damaged, put a backup in its place",
    )
