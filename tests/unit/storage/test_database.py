from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, exc, insert, select, text, update

from dicomfab.model.errors import LocalFailure
from dicomfab.registry.fields import TLS_PROFILES
from dicomfab.storage import tables
from dicomfab.storage.database import Database
from dicomfab.storage.migrations import HEAD
from dicomfab.storage.migrations.run import configuration
from dicomfab.storage.registry import RegistryRepository


def pragma(database: Database, name: str) -> object:
    with database.read() as connection:
        return connection.execute(text(f"PRAGMA {name}")).scalar()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def raise_number(database: Database) -> int:
    with database.write() as connection:
        number = connection.execute(select(tables.revision.c.number).where(tables.revision.c.subject == "registry")).scalar_one()
        connection.execute(update(tables.revision).values(number=number + 1))
        return number


def test_nothing_is_touched_before_the_first_transaction(database):
    assert not database.path.parent.exists()
    with database.read():
        assert database.path.exists()


def test_home_and_database_are_for_their_owner_only(database):
    before = os.umask(0)
    try:
        raise_number(database)
    finally:
        os.umask(before)
    assert mode(database.path.parent) == 0o700
    assert {mode(file) for file in database.path.parent.iterdir()} == {0o600}


def test_the_database_is_wal_with_foreign_keys(database):
    assert pragma(database, "journal_mode") == "wal"
    assert pragma(database, "foreign_keys") == 1


def test_migrations_lead_to_the_tables_and_head_is_the_newest(database):
    assert ScriptDirectory.from_config(configuration()).get_current_head() == HEAD
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert context.get_current_revision() == HEAD
        assert compare_metadata(context, tables.metadata) == []


OLD_SERVER = {
    "id": "a", "name": "A", "host": "a", "port": 104, "aec": "A", "environment": "test", "description": "",
    "aet_find": "F", "aet_store": "S", "aet_echo": "E", "aet_move": "", "aet_get": "", "capabilities": '["echo"]',
    "connect_timeout_s": 5.0, "association_timeout_s": 5.0, "dimse_timeout_s": 30.0, "fallback_charset": "",
    "dicomweb_root": "", "is_default": True, "is_active": True, "notes": "",
}  # fmt: skip


def test_servers_of_the_first_revision_are_kept_with_their_routes_and_without_tls(database):
    database.path.parent.mkdir()
    engine = create_engine(f"sqlite:///{database.path}")
    with engine.begin() as connection:
        config = configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        columns = ", ".join(f":{name}" for name in OLD_SERVER)
        for server_id in ("a", "b"):
            row = {**OLD_SERVER, "id": server_id, "name": server_id, "is_default": server_id == "a"}
            connection.execute(text(f"INSERT INTO pacs_server ({', '.join(row)}) VALUES ({columns})"), row)
        connection.execute(text("INSERT INTO move_route VALUES ('a', 'b', 'TO_B')"))
        connection.execute(text("INSERT INTO connection_test VALUES ('a', 1, '2026-01-02 12:00:00', 1.5, '{}')"))
    engine.dispose()
    repository = RegistryRepository(database)
    found = repository.load().get("a")
    assert (found.tls, found.tls_ca_file, found.tls_verify, found.tls_profile) == (False, "", True, TLS_PROFILES[0])
    assert (found.aet_find, found.is_default) == ("F", True)
    assert repository.load().routes_from("a") == {"b": "TO_B"}
    assert repository.connection_tests()["a"].latency_ms == 1.5


def test_an_up_to_date_database_opens_without_alembic(database):
    raise_number(database)
    script = (
        "import sys; from pathlib import Path; from dicomfab.storage.database import Database\n"
        "with Database(Path(sys.argv[1])).read(): print('alembic' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script, database.path], capture_output=True, text=True, check=True)
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


def test_several_processes_starting_at_once_migrate_once(tmp_path):
    path = tmp_path / "home" / "x.sqlite3"
    script = (
        "import sys; from pathlib import Path; from sqlalchemy import select\n"
        "from dicomfab.storage.database import Database; from dicomfab.storage.tables import revision\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "with Database(Path(sys.argv[1])).read() as c: print(c.execute(select(revision.c.subject)).all())"
    )
    command = [sys.executable, "-c", script, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, **pipes) for _ in range(6)]
    assert [process.stdout.readline() for process in started] == ["ready\n"] * 6
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate() for process in started]
    assert answers == [("[('jobs',), ('registry',)]\n", "")] * 6


def test_a_damaged_file_is_reported_and_left_as_it_is(database):
    database.path.parent.mkdir()
    database.path.write_bytes(b"no database at all" * 100)
    with pytest.raises(LocalFailure, match="left as it is") as caught, database.read():
        pass
    assert str(database.path) in caught.value.what
    assert database.path.read_bytes() == b"no database at all" * 100


def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(database):
    raise_number(database)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    newcomer = Database(database.path)
    with pytest.raises(LocalFailure, match="9999") as caught, newcomer.read():
        pass
    assert "newer version" in caught.value.cause
    assert raise_number(database) == 1


def test_a_home_that_cannot_be_made_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalFailure, match="cannot be used"), Database(tmp_path / "file" / "x.sqlite3").read():
        pass


def test_a_database_locked_by_another_program_is_reported_and_may_be_tried_again(database):
    raise_number(database)
    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    impatient = Database(database.path, busy_timeout_s=0.01)
    try:
        with pytest.raises(LocalFailure, match="stayed locked") as caught:
            raise_number(impatient)
        assert caught.value.transient
    finally:
        other.close()
        impatient.close()
    assert raise_number(database) == 1


def test_a_writer_holds_the_lock_from_the_start_so_that_what_it_reads_stays_true(database):
    raise_number(database)
    impatient = Database(database.path, busy_timeout_s=0.01)
    with database.write(), pytest.raises(LocalFailure, match="stayed locked"):
        raise_number(impatient)
    impatient.close()


@pytest.mark.parametrize("folder", ["with space", "per%cent", "question?mark", "häß#lich"])
def test_any_folder_name_will_do(tmp_path, folder):
    database = Database(tmp_path / folder / "x.sqlite3")
    assert raise_number(database) == 0
    database.close()
    assert raise_number(database) == 1
    database.close()
    assert (tmp_path / folder / "x.sqlite3").exists()
