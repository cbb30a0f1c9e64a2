"""An SQLite file as the database of an installation: for the processes of one machine."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy import exc as sql_errors

from dicomfab.model.disk import disk_full, is_disk_full
from dicomfab.model.errors import LocalFailure
from dicomfab.storage.migrations import HEAD, current

_WRITES = "dicomfab_writes"
_SYNCED = "dicomfab_synced"


class SqliteFile:
    """How :class:`~dicomfab.storage.database.Database` uses an SQLite file, in WAL mode.

    Args:
        path: the file.
        busy_timeout_s: how long a transaction waits for another process's.
    """

    def __init__(self, path: Path, busy_timeout_s: float) -> None:
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._writing = threading.Lock()

    def open(self) -> Engine:
        """Make folder and file where they are absent, and run the migrations that are due.

        Raises:
            LocalFailure: it cannot be made, or a newer version has changed it.
        """
        try:
            _make_private(self._path)
            engine = _engine(self._path, self._busy_timeout_s)
            try:
                _bring_up_to_date(engine, self._path)
            except BaseException:
                engine.dispose()
                raise
            return engine
        except OSError as error:
            raise _unusable(self._path, str(error)) from error

    @contextmanager
    def reading(self, engine: Engine) -> Iterator[Connection]:
        """A deferred transaction: in WAL mode it sees one state and waits for nobody."""
        with engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self, engine: Engine, *, synced: bool) -> Iterator[Connection]:
        """An immediate transaction: it alone may write, from the first statement on."""
        # Threads queue here, in order; only processes have to take turns by the busy timeout's polling.
        with self._writing, _writer(engine, synced=synced) as connection:
            yield connection

    def now(self, engine: Engine) -> datetime:
        """This machine's clock: nobody else uses the file."""
        return datetime.now().astimezone()

    def failure(self, error: Exception) -> LocalFailure | None:
        """Our error for the driver's; the file is never made anew."""
        reason = str(getattr(error, "orig", error))
        if isinstance(error, sql_errors.OperationalError) and ("locked" in reason or "busy" in reason):
            return _locked_by_others(self._path, reason)
        if isinstance(error, sql_errors.IntegrityError | sql_errors.ProgrammingError | sql_errors.InterfaceError):
            return None
        if is_disk_full(getattr(error, "orig", None) or error):
            return disk_full(self._path)
        return _unusable(self._path, reason)


def _engine(path: Path, busy_timeout_s: float) -> Engine:
    # Readers never queue behind one another: a connection is two file handles, and threads are few.
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": busy_timeout_s},
        pool_size=5,
        max_overflow=-1,
        hide_parameters=True,  # names of patients are among them
    )

    def on_connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver begins no transactions of its own: on_begin does
        connection.execute("PRAGMA foreign_keys = ON")

    def on_begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        writes = options.get(_WRITES, False)
        wanted = "FULL" if options.get(_SYNCED, True) else "NORMAL"
        # It cannot be changed any more once the transaction has begun.
        if writes and connection.info.get("synchronous") != wanted:
            connection.exec_driver_sql(f"PRAGMA synchronous = {wanted}")
            connection.info["synchronous"] = wanted
        # A deferred transaction that turns writer later can fail at once instead of waiting; an immediate one waits.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    return engine


@contextmanager
def _writer(engine: Engine, *, synced: bool = True) -> Iterator[Connection]:
    with engine.connect() as connection:
        options: dict[str, Any] = {_WRITES: True, _SYNCED: synced}
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
            upgrade(connection, str(path))


def _current(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return current(connection)


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
    # A file that is there is not opened: closing it would let go of every lock that this process has on it (POSIX), and
    # a process that then takes itself for the last one removes the write-ahead log under the others.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _locked_by_others(path: Path, reason: str) -> LocalFailure:
    error = LocalFailure(
        f"the database {path} stayed locked ({reason}); nothing was changed",
        cause="another program holds a write transaction open",
        remedy="end that program (a database browser, a hanging dicomfab) and repeat the command",
    )
    error.transient = True
    return error


def _unusable(path: Path, reason: str) -> LocalFailure:
    return LocalFailure(
        f"the database {path} cannot be used ({reason}); it was left as it is",
        cause="the disk is full, the folder cannot be written, or the file is damaged or no database",
        remedy="check free space and permissions; if the file is damaged, put a backup in its place",
    )
