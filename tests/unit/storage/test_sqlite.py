"""What is SQLite's own: the file, its modes, its one write lock."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from dicomfab.model.errors import LocalFailure
from dicomfab.storage.database import Database
from tests.unit.storage.databases import raise_number


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    return sqlite_database


def pragma(database: Database, name: str) -> object:
    with database.read() as connection:
        return connection.execute(text(f"PRAGMA {name}")).scalar()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_nothing_is_touched_before_the_first_transaction(database):
    assert not database.place.parent.exists()
    with database.read():
        assert database.place.exists()


def test_home_and_database_are_for_their_owner_only(database):
    before = os.umask(0)
    try:
        raise_number(database)
    finally:
        os.umask(before)
    assert mode(database.place.parent) == 0o700
    assert {mode(file) for file in database.place.parent.iterdir()} == {0o600}


def test_the_database_is_wal_with_foreign_keys(database):
    assert pragma(database, "journal_mode") == "wal"
    assert pragma(database, "foreign_keys") == 1


def test_a_damaged_file_is_reported_and_left_as_it_is(database):
    database.place.parent.mkdir()
    database.place.write_bytes(b"no database at all" * 100)
    with pytest.raises(LocalFailure, match="left as it is") as caught, database.read():
        pass
    assert str(database.place) in caught.value.what
    assert database.place.read_bytes() == b"no database at all" * 100


def test_a_home_that_cannot_be_made_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalFailure, match="cannot be used"), Database(tmp_path / "file" / "x.sqlite3").read():
        pass


def test_a_database_locked_by_another_program_is_reported_and_may_be_tried_again(database):
    raise_number(database)
    other = sqlite3.connect(database.place, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    impatient = Database(database.place, busy_timeout_s=0.01)
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
    impatient = Database(database.place, busy_timeout_s=0.01)
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


def test_a_second_one_in_the_same_process_takes_no_lock_away_from_the_first(database):
    """Else another process takes itself for the last one when it goes, and removes the log with what is in it."""
    with database.read() as held:
        held.execute(text("SELECT count(*) FROM sqlite_master"))
        second = Database(database.place)
        with second.read():
            pass
        look = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); list(c.execute('SELECT * FROM sqlite_master'))"
        subprocess.run([sys.executable, "-c", look, str(database.place)], check=True, timeout=60)
        assert database.place.with_name(f"{database.place.name}-wal").exists()
        second.close()
