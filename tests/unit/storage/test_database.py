from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, exc, insert, select, text, update

from dicomfab.model.errors import LocalFailure
from dicomfab.registry.fields import TLS_PROFILES
from dicomfab.storage import account_tables, order_tables, tables
from dicomfab.storage.database import Database
from dicomfab.storage.migrations import HEAD
from dicomfab.storage.migrations.run import configuration
from dicomfab.storage.registry import RegistryRepository
from tests.unit.storage.databases import raise_number, url


def test_migrations_lead_to_the_tables_and_head_is_the_newest(database):
    assert ScriptDirectory.from_config(configuration()).get_current_head() == HEAD
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert context.get_current_revision() == HEAD
        assert order_tables.metadata is account_tables.metadata
        assert compare_metadata(context, account_tables.metadata) == []


NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
OLD_SERVER = {
    "id": "a", "name": "A", "host": "a", "port": 104, "aec": "A", "environment": "test", "description": "",
    "aet_find": "F", "aet_store": "S", "aet_echo": "E", "aet_move": "", "aet_get": "", "capabilities": '["echo"]',
    "connect_timeout_s": 5.0, "association_timeout_s": 5.0, "dimse_timeout_s": 30.0, "fallback_charset": "",
    "dicomweb_root": "", "is_default": True, "is_active": True, "notes": "",
}  # fmt: skip


def test_servers_of_the_first_revision_are_kept_with_their_routes_and_without_tls(empty_database):
    if isinstance(empty_database.place, Path):
        empty_database.place.parent.mkdir()
    engine = create_engine(url(empty_database.place))
    with engine.begin() as connection:
        config = configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        columns = ", ".join(f":{name}" for name in OLD_SERVER)
        for server_id in ("a", "b"):
            row = {**OLD_SERVER, "id": server_id, "name": server_id, "is_default": server_id == "a"}
            connection.execute(text(f"INSERT INTO pacs_server ({', '.join(row)}) VALUES ({columns})"), row)
        connection.execute(text("INSERT INTO move_route VALUES ('a', 'b', 'TO_B')"))
        connection.execute(text("INSERT INTO connection_test VALUES ('a', TRUE, '2026-01-02 12:00:00', 1.5, '{}')"))
    engine.dispose()
    repository = RegistryRepository(empty_database)
    found = repository.load().get("a")
    assert (found.tls, found.tls_ca_file, found.tls_verify, found.tls_profile) == (False, "", True, TLS_PROFILES[0])
    assert (found.aet_find, found.is_default) == ("F", True)
    assert (found.max_associations, found.max_pdu, found.rate_per_minute, str(found.permitted_hours)) == (2, 0, 0, "")
    assert repository.load().routes_from("a") == {"b": "TO_B"}
    assert repository.connection_tests()["a"].latency_ms == 1.5


def test_what_servers_took_before_they_said_so(empty_database):
    """Test servers go on taking both; of production, only what is on this machine takes what is fabricated."""
    if isinstance(empty_database.place, Path):
        empty_database.place.parent.mkdir()
    engine = create_engine(url(empty_database.place))
    with engine.begin() as connection:
        config = configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        columns = ", ".join(f":{name}" for name in OLD_SERVER)
        for server_id, host, environment in (
            ("test", "pacs.example.com", "test"),
            ("lab", "localhost", "prod"),
            ("hospital", "pacs.example.com", "prod"),
        ):
            own = {"id": server_id, "name": server_id, "host": host, "aec": server_id, "environment": environment}
            row = {**OLD_SERVER, **own, "is_default": False}
            connection.execute(text(f"INSERT INTO pacs_server ({', '.join(row)}) VALUES ({columns})"), row)
    engine.dispose()
    found = RegistryRepository(empty_database).load()
    taken = {server.id: (server.allow_synthetic, server.allow_real) for server in found.servers}
    assert taken == {"test": (True, True), "lab": (True, True), "hospital": (False, True)}


def test_an_up_to_date_database_opens_without_alembic(database, share):
    raise_number(database)
    share(database)
    script = (
        "import sys; from dicomfab.app.build import build\n"
        "with build().database.read(): print('alembic' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_what_fails_in_a_write_is_undone(database):
    raise_number(database)

    def fail_half_way() -> None:
        with database.write() as connection:
            connection.execute(update(tables.revision).values(number=99))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert raise_number(database) == 1


def test_foreign_keys_are_enforced(database):
    with pytest.raises(exc.IntegrityError), database.write() as connection:
        connection.execute(insert(tables.move_route).values(source="a", destination="b", ae_title="X"))


def test_a_reader_sees_one_state_and_does_not_wait_for_a_writer(database):
    raise_number(database)
    number = select(tables.revision.c.number).where(tables.revision.c.subject == "registry")
    with database.read() as reader:
        before = reader.execute(number).scalar()
        raise_number(database)
        assert reader.execute(number).scalar() == before
    with database.read() as reader:
        assert reader.execute(number).scalar() == before + 1


def test_several_processes_starting_at_once_migrate_once(empty_database, share):
    share(empty_database)
    script = (
        "import sys; from sqlalchemy import select\n"
        "from dicomfab.app.build import build; from dicomfab.storage.tables import revision\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "with build().database.read() as c: print(sorted(c.execute(select(revision.c.subject)).scalars()))"
    )
    command = [sys.executable, "-c", script]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, **pipes) for _ in range(6)]
    assert [process.stdout.readline() for process in started] == ["ready\n"] * 6
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate() for process in started]
    subjects = ["accounts", "audit", "fetched", "jobs", "orders", "patients", "procedures", "registry", "sign_in"]
    assert answers == [(f"{subjects}\n", "")] * 6


def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(database):
    raise_number(database)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    newcomer = Database(database.place)
    with pytest.raises(LocalFailure, match="9999") as caught, newcomer.read():
        pass
    newcomer.close()
    assert "newer version" in caught.value.cause
    assert raise_number(database) == 1


def test_changes_of_one_subject_wait_for_one_another_and_so_miss_none(database):
    raise_number(database)
    with ThreadPoolExecutor(10) as pool:
        before = list(pool.map(lambda _: raise_number(database), range(50)))
    assert sorted(before) == list(range(1, 51))


def test_a_subject_that_nobody_knows_of_is_a_mistake_and_not_a_change_without_turns(database):
    with pytest.raises(LookupError, match="nonsense"), database.changing("nonsense"):
        pass


def test_errors_do_not_repeat_what_was_to_be_written(database):
    row = {"patient_id": "1", "issuer": "", "name": "Confidential^Carla", "birth_date": "", "sex": "", "notes": ""}
    row |= {"search_text": "", "created_at": NOON, "changed_at": NOON, "revision": None}
    with pytest.raises(exc.IntegrityError) as caught, database.write() as connection:
        connection.execute(insert(tables.patient).values(row))
    assert "Confidential" not in str(caught.value).partition("DETAIL")[0]


def test_the_clock_is_the_one_that_all_who_share_the_database_have(database):
    moments = [database.now() for _ in range(3)]
    assert moments == sorted(moments)
    assert abs(moments[0] - datetime.now(UTC)) < timedelta(seconds=5)  # here they are on one machine
