"""What holds for all tests."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import Connection

from dicomfab.storage.migrations import run
from tests.peers import pynetdicom_pause

# Time is measured by benchmarks; a busy machine fails no test.
settings.register_profile("untimed", deadline=None)
settings.register_profile("few", deadline=None, max_examples=25)  # `make test`; the full run takes four times as many
settings.load_profile("untimed")

pynetdicom_pause.mend()

# A shell that starts the tests in the background has them ignore Ctrl-C, and every child would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Few and slow before many and quick: else one process is left with browsers when the others have ended."""
    here = Path(__file__).parent
    items.sort(key=lambda item: item.path.relative_to(here).parts[0] == "unit")


@pytest.fixture(scope="session", autouse=True)
def _schema_once() -> Iterator[None]:
    """Run the migrations of a new SQLite database once; later ones get the schema that came out of it.

    They take 0.15 s, a third of the time of all tests. Databases that are not new, and PostgreSQL, are migrated.
    """
    migrate, scripts = run.upgrade, []

    def upgrade(connection: Connection, name: str) -> None:
        raw = connection.connection.driver_connection
        if not isinstance(raw, sqlite3.Connection) or raw.execute("SELECT 1 FROM sqlite_master").fetchone():
            migrate(connection, name)
        elif scripts:
            for statement in scripts:
                raw.execute(statement)
        else:
            migrate(connection, name)
            # At once: two threads may be here, each with a database of its own.
            scripts[:] = [line for line in raw.iterdump() if line not in ("BEGIN TRANSACTION;", "COMMIT;")]

    run.upgrade = upgrade
    yield
    run.upgrade = migrate
