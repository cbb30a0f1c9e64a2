"""What is PostgreSQL's own: connections that break, locks, rights, its clock, and a secret that stays one."""

from __future__ import annotations

import json
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from dicomfab.app.build import build
from dicomfab.app.settings import load_settings
from dicomfab.model.errors import LocalFailure
from dicomfab.storage.address import PostgresAddress
from dicomfab.storage.database import Database
from dicomfab.storage.postgres import PostgresServer as Store
from tests.peers.postgres import LOCKED_USER
from tests.peers.programs import free_port
from tests.unit.storage.databases import raise_number

SECRET = "Mag1c-w%rd"


@pytest.fixture
def database(postgres_database: Database) -> Database:
    return postgres_database


def failure(database: Database) -> LocalFailure:
    with pytest.raises(LocalFailure) as caught, database.read():
        pass
    database.close()
    return caught.value


def setting(value: str) -> Database:
    """The database of an installation with this setting."""
    return build(load_settings({"DICOMFAB_HOME": "/nowhere", "DICOMFAB_DATABASE": value})).database


def test_the_setting_leads_to_the_database_and_nothing_is_made_in_the_home(postgres, postgres_name, tmp_path):
    url = f"postgresql://owner@127.0.0.1:{postgres.port}/{postgres_name}"
    application = build(load_settings({"DICOMFAB_HOME": str(tmp_path / "home"), "DICOMFAB_DATABASE": url}))
    assert raise_number(application.database) == 0
    application.close()
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("user", ["owner", LOCKED_USER])
def test_a_server_that_cannot_be_reached_or_lets_us_not_in_is_named_without_the_secret(postgres, user):
    port = postgres.port if user == LOCKED_USER else free_port()
    database = setting(f"postgresql://{user}:Mag1c-w%25rd@127.0.0.1:{port}/postgres")
    found = failure(database)
    assert f"postgres on 127.0.0.1:{port} cannot be reached" in found.what
    assert "DICOMFAB_DATABASE" in found.remedy
    assert found.transient
    told = [str(found), json.dumps(found.as_dict()), repr(database.place), *traceback.format_exception(found)]
    assert SECRET not in "".join(told)


def test_a_user_who_may_make_no_tables_is_told_so(postgres):
    postgres.execute("CREATE ROLE guest LOGIN")
    with postgres.database(empty=True) as name:
        found = failure(Database(PostgresAddress(name, "127.0.0.1", postgres.port, "guest")))
    assert "does not let us" in found.what
    assert not found.transient


def test_who_waits_too_long_for_a_lock_is_told_so_and_may_try_again(database):
    impatient = Database(database.place, busy_timeout_s=0.05)
    with database.changing("registry"), pytest.raises(LocalFailure, match="stayed locked") as caught:
        raise_number(impatient)
    impatient.close()
    assert caught.value.transient
    assert raise_number(database) == 1


def test_changes_of_different_subjects_do_not_wait_for_one_another(database):
    impatient = Database(database.place, busy_timeout_s=0.05)
    with database.changing("jobs"):
        assert raise_number(impatient) == 0
    impatient.close()


def test_a_transaction_whose_client_says_nothing_ends_and_leaves_nothing(database):
    silent = Database(database.place, half_open_s=0.2)

    def fall_silent() -> None:
        with silent.changing("registry") as connection:
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(raise_number, database).result() == 0
            connection.execute(text("SELECT 1"))

    with pytest.raises(LocalFailure, match="cannot be reached") as caught:
        fall_silent()
    assert caught.value.transient
    assert raise_number(silent) == 1
    silent.close()


def test_connections_that_the_server_has_ended_are_made_anew(database, postgres, postgres_name):
    raise_number(database)
    ended = postgres.execute(
        f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{postgres_name}'"
    )
    assert ended == [(True,)]
    assert raise_number(database) == 1


def test_the_clock_is_the_servers_and_our_own_does_not_matter(database, monkeypatch):
    engine = database._opened()
    store = Store(database.place, 1, 1)

    def server_clock() -> datetime:
        with database.read() as connection:
            return connection.execute(text("SELECT clock_timestamp()")).scalar_one()

    before = server_clock()
    monkeypatch.setattr("dicomfab.storage.postgres.datetime", None)
    found = [store.now(engine) for _ in range(3)]
    after = server_clock()
    assert found == sorted(found)
    error = timedelta(seconds=1)  # the clock is counted on from the middle of a question and its answer
    assert all(before - error <= one.astimezone(UTC) <= after + error for one in found)
