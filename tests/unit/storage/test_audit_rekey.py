"""A new key of the audit log: the old part stays checked, whoever has the old key writes nothing any more."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.errors import Conflict, LocalFailure
from dicomfab.storage.audit import AuditLog
from dicomfab.storage.audit_chain import BreakKind
from dicomfab.storage.audit_key import KeyFile, mark_of
from dicomfab.storage.database import Database
from tests.unit.storage.test_audit import Clock, event, filled, opened, tamper

CLOSING = AuditEvent(kind=EventKind.KEY_CHANGE, actor="root", subject="old key")
OPENING = AuditEvent(kind=EventKind.KEY_CHANGE, actor="root", subject="new key")


@pytest.fixture
def log(database: Database, tmp_path: Path) -> AuditLog:
    return opened(database, tmp_path)


def key(folder: Path) -> Path:
    return folder / "home" / "audit.key"


def test_a_new_key_closes_the_old_chain_and_verify_tells_where(log: AuditLog, database: Database, tmp_path: Path):
    filled(log, 3)
    old = key(tmp_path).read_bytes()
    web = opened(database, tmp_path)  # another process, which has the old key in memory
    web.append(event())
    assert log.rekey(CLOSING, OPENING, is_lost=False) == 6
    web.append(event())
    log.append(event())
    new = key(tmp_path).read_bytes()
    assert new != old
    assert (tmp_path / "home" / "audit.key.until-5").read_bytes() == old
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "home").glob("audit.key*")} == {0o600}
    for one in (log, web, opened(database, tmp_path)):
        found = one.verify()
        assert (found.broken, found.entries, found.given_up) == (None, 8, ((5, True),))
    # Each part is protected by its own key.
    for number, user in ((2, "user2"), (7, "anna")):
        tamper(database, f"UPDATE audit_entry SET body = replace(body, '{user}', 'nobody') WHERE seq = {number}")
        broken = log.verify().broken
        assert broken is not None
        assert (broken.seq, broken.kind) == (number, BreakKind.EDITED)
        tamper(database, f"UPDATE audit_entry SET body = replace(body, 'nobody', '{user}') WHERE seq = {number}")
    assert log.verify().broken is None


def test_a_lost_key_is_said_so_and_the_rest_is_proven(log: AuditLog, database: Database, tmp_path: Path):
    filled(log, 3)
    with pytest.raises(Conflict, match="is there"):
        log.rekey(CLOSING, OPENING, is_lost=True)
    key(tmp_path).unlink()
    after = opened(database, tmp_path)
    with pytest.raises(LocalFailure, match="--lost"):
        after.rekey(CLOSING, OPENING, is_lost=False)
    assert after.rekey(CLOSING, OPENING, is_lost=True) == 4
    after.append(event())
    found = after.verify()
    assert (found.broken, found.given_up) == (None, ((3, False),))
    tamper(database, "DELETE FROM audit_entry WHERE seq = 2")
    broken = after.verify().broken
    assert broken is not None
    assert (broken.seq, broken.kind) == (2, BreakKind.REMOVED)


def test_a_machine_with_the_old_key_writes_nothing(log: AuditLog, database: Database, tmp_path: Path):
    log.append(event())
    old = key(tmp_path).read_bytes()
    log.rekey(CLOSING, OPENING, is_lost=False)
    elsewhere = tmp_path / "other"
    (elsewhere / "home").mkdir(parents=True)
    key(elsewhere).write_bytes(old)
    key(elsewhere).chmod(0o600)
    with pytest.raises(LocalFailure, match="is another one"):
        opened(database, elsewhere).append(event())
    assert log.verify().broken is None


def test_a_power_cut_between_commit_and_file_is_mended_by_the_next_entry(
    log: AuditLog, database: Database, tmp_path: Path
):
    log.append(event())
    old = key(tmp_path).read_bytes()
    log.rekey(CLOSING, OPENING, is_lost=False)
    # As it is when the power fails before the new key is put in its place.
    key(tmp_path).rename(tmp_path / "home" / "audit.key.next")
    key(tmp_path).write_bytes(old)
    key(tmp_path).chmod(0o600)
    again = opened(database, tmp_path)
    again.append(event())
    assert again.verify().broken is None
    assert key(tmp_path).read_bytes() != old
    assert not (tmp_path / "home" / "audit.key.next").exists()


def test_a_change_of_key_that_cannot_be_written_changes_nothing(log: AuditLog, database: Database, tmp_path: Path):
    log.append(event())
    old = key(tmp_path).read_bytes()
    (tmp_path / "home" / "audit.key.next").mkdir()
    with pytest.raises(LocalFailure, match=r"audit\.key"):
        log.rekey(CLOSING, OPENING, is_lost=False)
    assert key(tmp_path).read_bytes() == old
    log.append(event())
    found = log.verify()
    assert (found.broken, found.entries) == (None, 2)


def test_retention_and_new_keys_go_together(database: Database, tmp_path: Path):
    clock = Clock()
    log = opened(database, tmp_path, clock)
    filled(log, 3)
    clock.now = clock.now.replace(day=10)
    filled(log, 2)
    by = event("admin", EventKind.AUDIT_PURGE)
    assert log.purge(clock.now.replace(day=5), by) == 3  # sealed with the old key
    log.rekey(CLOSING, OPENING, is_lost=False)
    log.append(event())
    assert log.verify().broken is None
    clock.now = clock.now.replace(day=20)
    filled(log, 1)
    assert log.purge(clock.now, by) == 6  # across the change of key
    found = log.verify()
    assert (found.broken, found.first, found.given_up) == (None, 10, ())


def test_the_mark_tells_keys_apart_and_fits_the_column():
    marks = {mark_of(bytes([number]) * 32) for number in range(200)}
    assert len(marks) == 200
    assert all(0 <= mark < 2**31 for mark in marks)
    assert "k" * 32 not in repr(KeyFile(Path("x"), make=True).earlier())
