from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dicomfab.storage.database import Database
from tests.peers.postgres import PostgresServer, postgres_server

BOTH = ("sqlite", "postgres")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "home" / "dicomfab.sqlite3")
    yield made
    made.close()


@pytest.fixture
def postgres_name(postgres: PostgresServer) -> Iterator[str]:
    with postgres.database() as name:
        yield name


@pytest.fixture
def postgres_database(postgres: PostgresServer, postgres_name: str) -> Iterator[Database]:
    made = Database(postgres.address(postgres_name))
    yield made
    made.close()


@pytest.fixture
def empty_postgres_database(postgres: PostgresServer) -> Iterator[Database]:
    with postgres.database(empty=True) as name:
        made = Database(postgres.address(name))
        yield made
        made.close()


@pytest.fixture
def empty_sqlite_database(sqlite_database: Database) -> Database:
    return sqlite_database


@pytest.fixture(params=BOTH)
def database(request: pytest.FixtureRequest) -> Database:
    """The contract of whatever is kept is the same on both."""
    made: Database = request.getfixturevalue(f"{request.param}_database")
    return made


@pytest.fixture(params=BOTH)
def empty_database(request: pytest.FixtureRequest) -> Database:
    """Without a table."""
    made: Database = request.getfixturevalue(f"empty_{request.param}_database")
    return made


@pytest.fixture
def share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Database], None]:
    """Tells processes that are started from now on which database is the installation's."""

    def tell(database: Database) -> None:
        place = database.place
        monkeypatch.setenv("DICOMFAB_HOME", str(tmp_path / "home"))
        if not isinstance(place, Path):
            url = f"postgresql://{place.user}@{place.host}:{place.port}/{place.database}"
            monkeypatch.setenv("DICOMFAB_DATABASE", url)

    return tell
