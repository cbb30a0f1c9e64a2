"""A PostgreSQL database (14 or newer) as the database of an installation: for workers on several machines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, func, select
from sqlalchemy import exc as sql_errors

from dicomfab.model.errors import LocalFailure
from dicomfab.storage.address import PostgresAddress
from dicomfab.storage.migrations import HEAD, current

_MIGRATING: Final = 0x6469636F6D666162  # the advisory lock of whoever migrates: "dicomfab" in ASCII
_STATEMENT_TIMEOUT_S: Final = 120
_CLOCK_AGE_S: Final = 10.0
_WAITED_IN_VAIN: Final = ("40001", "40P01", "55P03", "57014")
_NO_RIGHT: Final = "42501"


class PostgresServer:
    """How :class:`~dicomfab.storage.database.Database` uses PostgreSQL.

    Args:
        address: where it is.
        busy_timeout_s: how long a statement waits for another transaction's lock.
        half_open_s: how long either side waits for a connection on which nothing comes through.
    """

    def __init__(self, address: PostgresAddress, busy_timeout_s: float, half_open_s: float) -> None:
        self._address = address
        self._busy_timeout_s = busy_timeout_s
        self._half_open_s = half_open_s
        self._clock: tuple[float, datetime] | None = None

    def open(self) -> Engine:
        """Connect, and run the migrations that are due.

        Raises:
            LocalFailure: a newer version has changed it.
        """
        engine = self._engine()
        try:
            self._bring_up_to_date(engine)
        except BaseException:
            engine.dispose()
            raise
        return engine

    @contextmanager
    def reading(self, engine: Engine) -> Iterator[Connection]:
        """REPEATABLE READ and read-only: it sees one state, waits for nobody and never has to be repeated."""
        with engine.connect() as connection:
            options: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            with connection.execution_options(**options).begin():
                yield connection

    @contextmanager
    def writing(self, engine: Engine, *, synced: bool) -> Iterator[Connection]:
        """READ COMMITTED: who has waited for a row's lock then reads what the others have committed."""
        with engine.connect() as connection, connection.begin():
            if not synced:
                connection.exec_driver_sql("SET LOCAL synchronous_commit = OFF")
            yield connection

    def now(self, engine: Engine) -> datetime:
        """The server's clock, asked every ten seconds and counted on in between, also while the machine sleeps."""
        ticks = _ticks_s()
        if self._clock is None or ticks - self._clock[0] > _CLOCK_AGE_S:
            with engine.connect() as connection:
                asking = select(func.clock_timestamp())
                answer = connection.execution_options(isolation_level="AUTOCOMMIT").execute(asking).scalar_one()
            self._clock = (ticks + _ticks_s()) / 2, answer
        asked, answer = self._clock
        return answer + timedelta(seconds=_ticks_s() - asked)

    def failure(self, error: Exception) -> LocalFailure | None:
        """Our error for the driver's, without the rows' contents that the server's details may quote."""
        orig = getattr(error, "orig", error)
        state = getattr(orig, "sqlstate", None)
        reason = getattr(getattr(orig, "diag", None), "message_primary", None) or next(iter(str(orig).splitlines()), "")
        if state == _NO_RIGHT:
            return self._forbidden(reason)
        if isinstance(error, sql_errors.IntegrityError | sql_errors.ProgrammingError):
            return None
        if state in _WAITED_IN_VAIN:
            return self._locked(reason)
        if state is None or state.startswith(("08", "25P03", "53", "57P")):
            return self._unreachable(reason)
        return LocalFailure(
            f"the database {self._address} cannot be used ({reason})",
            cause="its server has refused a statement",
            remedy="see the server's log",
        )

    def _engine(self) -> Engine:
        address = self._address
        url = URL.create(
            "postgresql+psycopg",
            address.user or None,
            address.password or None,
            address.host or None,
            address.port,
            address.database,
            dict(address.options),
        )
        half_open_ms = round(self._half_open_s * 1000)
        keepalive = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
        settings = {
            "lock_timeout": round(self._busy_timeout_s * 1000),
            "statement_timeout": _STATEMENT_TIMEOUT_S * 1000,
            # What a client that is cut off holds, others wait for: none is held for longer than this.
            "idle_in_transaction_session_timeout": half_open_ms,
            "tcp_user_timeout": half_open_ms,
            "client_connection_check_interval": half_open_ms,
            **{f"tcp_{name}": value for name, value in keepalive.items()},
        }
        return create_engine(
            url,
            connect_args={
                "application_name": "dicomfab",
                "connect_timeout": max(2, round(self._half_open_s)),
                "tcp_user_timeout": half_open_ms,
                **keepalive,
                "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
            },
            pool_pre_ping=True,
            pool_size=5,
            max_overflow=-1,  # threads are few, and one that waits for a connection may hold another
            hide_parameters=True,  # names of patients are among them
        )

    def _bring_up_to_date(self, engine: Engine) -> None:
        """Run the migrations that are due; when several processes start at once, one does and the others wait."""
        with self.reading(engine) as connection:
            if current(connection) == HEAD:
                return
        from dicomfab.storage.migrations.run import upgrade  # slow to load, and a transaction must not idle

        with self.writing(engine, synced=True) as connection:
            connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            connection.execute(select(func.pg_advisory_xact_lock(_MIGRATING)))
            if current(connection) == HEAD:
                return
            upgrade(connection, str(self._address))

    def _locked(self, reason: str) -> LocalFailure:
        error = LocalFailure(
            f"the database {self._address} stayed locked ({reason}); nothing was changed",
            cause="another program holds a transaction open",
            remedy="end that program (a database browser, a hanging dicomfab) and repeat the command",
        )
        error.transient = True
        return error

    def _unreachable(self, reason: str) -> LocalFailure:
        error = LocalFailure(
            f"the database {self._address} cannot be reached ({reason})",
            cause="its server is down or has ended the connection, the network is interrupted, or user, password or "
            "name of the database are wrong",
            remedy="check DICOMFAB_DATABASE, and whether the server runs and lets this machine in (pg_hba.conf)",
        )
        error.transient = True
        return error

    def _forbidden(self, reason: str) -> LocalFailure:
        return LocalFailure(
            f"the database {self._address} does not let us work in it ({reason})",
            cause="the user of DICOMFAB_DATABASE may not make or change tables there",
            remedy="make that user the owner of the database: ALTER DATABASE name OWNER TO user",
        )


def _ticks_s() -> float:
    """A clock that goes on while the machine sleeps: on Linux that is not the monotonic one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
