"""The audit log in the database: what it refuses, what it finds, and that several processes keep one chain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import exc as sql_errors
from sqlalchemy import text

from dicomfab.model.audit import AuditEvent, EventKind, Node, Outcome
from dicomfab.model.errors import Conflict, LocalFailure, NotFound, SetupMissing
from dicomfab.storage.audit import AuditFilter, AuditLog
from dicomfab.storage.audit_anchors import Anchor, AnchorFile
from dicomfab.storage.audit_chain import START, BreakKind, entry_mac, segment_seal
from dicomfab.storage.audit_key import KeyFile
from dicomfab.storage.database import Database

MONDAY = datetime(2026, 3, 2, 8, tzinfo=UTC)


class Clock:
    """A moment that tests move."""

    def __init__(self) -> None:
        self.now = MONDAY

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(database: Database, tmp_path: Path, clock: Clock) -> AuditLog:
    return opened(database, tmp_path, clock)


def opened(database: Database, folder: Path, clock: Callable[[], datetime] | None = None) -> AuditLog:
    key = KeyFile(folder / "home" / "audit.key", make=True)
    return AuditLog(database, key, AnchorFile(folder / "home" / "audit-anchors.jsonl"), now=clock)


def event(name: str = "anna", kind: EventKind = EventKind.QUERY, **values: object) -> AuditEvent:
    return AuditEvent(kind=kind, actor=name, **values)  # type: ignore[arg-type]


def filled(log: AuditLog, count: int = 10) -> None:
    log.append(*(event(f"user{number}") for number in range(1, count + 1)))


def tamper(database: Database, *statements: str) -> None:
    """What someone does who may do anything in the database."""
    with database.write() as connection:
        if isinstance(database.place, Path):
            names = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars().all()
            for name in names:
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        else:
            for table in ("audit_entry", "audit_segment"):
                connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for statement in statements:
            connection.execute(text(statement))


def test_entries_are_numbered_from_one_and_the_chain_is_good(log: AuditLog):
    assert log.append(event()).seq == 1
    newest = log.append(event("ben"), event("carla"))
    found = log.verify()
    assert found.broken is None
    assert (found.entries, found.first, found.last) == (3, 1, newest)


def test_an_empty_log_is_good(log: AuditLog):
    found = log.verify()
    assert (found.entries, found.last, found.broken) == (0, None, None)
    assert log.anchor() is None


def test_an_entry_says_when_and_where_it_was_made(log: AuditLog):
    log.append(event())
    made = log.entry(1).event
    assert (made.at, made.process) == (MONDAY, os.getpid())
    assert made.host
    with pytest.raises(NotFound):
        log.entry(2)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET actor = 'ben' WHERE seq = 2",
        "UPDATE audit_entry SET mac = '0'",
        "DELETE FROM audit_entry WHERE seq = 3",
        "DELETE FROM audit_entry",
        "UPDATE audit_segment SET through_seq = 3",
        "DELETE FROM audit_segment",
    ],
)
def test_the_database_refuses_to_change_what_was_written(
    log: AuditLog, database: Database, clock: Clock, statement: str
):
    filled(log, 3)
    clock.now += timedelta(days=2)
    assert log.purge(MONDAY + timedelta(days=1), event(kind=EventKind.AUDIT_PURGE)) == 3
    filled(log, 3)
    statement = statement.replace("seq = 2", "seq = 5").replace("seq = 3", "seq = 6")
    with pytest.raises((sql_errors.IntegrityError, LocalFailure), match="append-only"), database.write() as connection:
        connection.execute(text(statement))
    assert log.verify().broken is None


def test_postgres_refuses_to_empty_the_table(postgres_database: Database, tmp_path: Path):
    log = opened(postgres_database, tmp_path)
    filled(log, 3)
    with pytest.raises(sql_errors.IntegrityError, match="append-only"), postgres_database.write() as connection:
        connection.exec_driver_sql("TRUNCATE audit_entry")
    assert log.verify().entries == 3


def test_sqlite_refuses_to_replace_an_entry(sqlite_database: Database, tmp_path: Path):
    log = opened(sqlite_database, tmp_path)
    filled(log, 3)
    again = "INSERT OR REPLACE INTO audit_entry SELECT * FROM audit_entry WHERE seq = 2"
    with pytest.raises(sql_errors.IntegrityError, match="append-only"), sqlite_database.write() as connection:
        connection.exec_driver_sql(again)


@pytest.mark.parametrize(
    ("statements", "seq", "kind"),
    [
        (["UPDATE audit_entry SET body = replace(body, 'user7', 'userX') WHERE seq = 7"], 7, BreakKind.EDITED),
        (["UPDATE audit_entry SET body = 'no json' WHERE seq = 10"], 10, BreakKind.EDITED),
        (["UPDATE audit_entry SET mac = 'x' WHERE seq = 7"], 7, BreakKind.MAC_EDITED),
        (["UPDATE audit_entry SET mac = 'é' WHERE seq = 10"], 10, BreakKind.EDITED),
        (["UPDATE audit_entry SET actor = 'ben' WHERE seq = 7"], 7, BreakKind.COLUMN_EDITED),
        (["UPDATE audit_entry SET at = '2020-01-01 00:00:00.000000' WHERE seq = 3"], 3, BreakKind.COLUMN_EDITED),
        (["DELETE FROM audit_entry WHERE seq IN (4, 5)"], 4, BreakKind.REMOVED),
        (["DELETE FROM audit_entry WHERE seq = 1"], 1, BreakKind.REMOVED),
        (["DELETE FROM audit_entry WHERE seq > 8"], 9, BreakKind.CUT),
        (["DELETE FROM audit_entry"], 1, BreakKind.CUT),
        (
            # Removed, and the rest numbered anew to hide it.
            ["DELETE FROM audit_entry WHERE seq = 4", "UPDATE audit_entry SET seq = -seq + 1 WHERE seq > 4"]
            + ["UPDATE audit_entry SET seq = -seq WHERE seq < 0"],
            4,
            BreakKind.EDITED,
        ),
        (
            ["INSERT INTO audit_entry SELECT 11, at, kind, outcome, actor, environment, body, mac FROM audit_entry"]
            + ["DELETE FROM audit_entry WHERE seq = 0"],
            11,
            BreakKind.EDITED,
        ),
        (
            ["INSERT INTO audit_segment VALUES (4, 'MAC', '2026-03-02 09:00:00.000000', 'SEAL')"]
            + ["DELETE FROM audit_entry WHERE seq <= 4"],
            4,
            BreakKind.SEGMENT,
        ),
    ],
)
def test_a_change_by_hand_is_found_and_named(
    log: AuditLog, database: Database, statements: list[str], seq: int, kind: BreakKind
):
    filled(log)
    log.anchor()
    assert log.verify().anchors == 1  # the first append notes one as well, which is the same
    one_row = statements[0].replace("FROM audit_entry", "FROM audit_entry WHERE seq = 10")
    if kind is BreakKind.EDITED and "INSERT" in statements[0]:
        statements = [one_row, *statements[1:]]
    tamper(database, *(s.replace("MAC", "0" * 64).replace("SEAL", "1" * 64) for s in statements))
    found = log.verify().broken
    assert found is not None
    assert (found.seq, found.kind) == (seq, kind)
    assert found.explanation
    log.page(AuditFilter(), limit=20)  # it can still be looked at


def test_the_whole_range_that_is_gone_is_named(log: AuditLog, database: Database):
    filled(log)
    log.anchor()
    tamper(database, "DELETE FROM audit_entry WHERE seq IN (4, 5, 6)")
    broken = log.verify().broken
    assert broken is not None
    assert (broken.seq, broken.through) == (4, 6)
    tamper(database, "DELETE FROM audit_entry WHERE seq > 3")
    broken = log.verify().broken
    assert broken is not None
    assert (broken.seq, broken.through, broken.at) == (4, 10, MONDAY)


def test_a_cut_is_found_by_an_anchor_that_was_kept_elsewhere(log: AuditLog, database: Database, tmp_path: Path):
    log.append(event())
    filled(log)
    kept = log.verify().last
    assert kept is not None
    tamper(database, "DELETE FROM audit_entry WHERE seq > 5")
    assert log.verify().broken is None  # nobody has told it that there was more
    broken = log.verify(Anchor.parse(str(kept))).broken
    assert broken is not None
    assert (broken.seq, broken.through, broken.kind) == (6, 11, BreakKind.CUT)


def test_a_log_that_was_written_anew_with_the_key_does_not_fit_its_anchors(
    log: AuditLog, database: Database, tmp_path: Path
):
    filled(log, 3)
    sure = log.anchor()
    filled(log, 7)
    log.anchor()
    tamper(database, "DELETE FROM audit_entry WHERE seq > 4")
    filled(log)
    found = log.verify()
    assert found.broken is not None
    # Somewhere between two anchors: it cannot be told where.
    assert (found.broken.seq, found.broken.through, found.broken.kind) == (4, 10, BreakKind.REWRITTEN)
    assert (found.entries, found.last) == (3, sure)


def test_another_key_is_told_from_an_edit(log: AuditLog, database: Database, tmp_path: Path):
    filled(log)
    other = AuditLog(database, KeyFile(tmp_path / "other.key", make=False), AnchorFile(tmp_path / "none"))
    (tmp_path / "other.key").write_text("k" * 40)
    broken = other.verify().broken
    assert broken is not None
    assert (broken.seq, broken.kind) == (1, BreakKind.WRONG_KEY)


def test_events_share_the_fate_of_the_callers_transaction(log: AuditLog, database: Database):
    with database.write() as connection:
        log.append_in(connection, event("anna"))

    def change_my_mind() -> None:
        with database.write() as connection:
            log.append_in(connection, event("ben"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change_my_mind()
    log.append(event("carla"))
    assert [entry.event.actor for entry in log.entries(AuditFilter())] == ["anna", "carla"]
    assert log.verify().broken is None


def test_several_processes_keep_one_chain(database: Database, tmp_path: Path, share: Callable[[Database], None]):
    share(database)
    code = (
        "import sys\n"
        "from dicomfab.app.build import build\n"
        "from dicomfab.model.audit import AuditEvent, EventKind\n"
        "audit = build().audit\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "for number in range(40):\n"
        "    audit.record(AuditEvent(kind=EventKind.QUERY, actor=f'{sys.argv[1]}-{number}'))\n"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for number in range(4)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.wait(60) for process in started] == [0, 0, 0, 0]
    for process in started:
        process.communicate()
    log = opened(database, tmp_path)
    assert log.verify().broken is None
    names = [entry.event.actor for entry in log.entries(AuditFilter())]
    assert sorted(names) == sorted(f"{who}-{number}" for who in range(4) for number in range(40))
    for who in range(4):  # each in its own order
        assert [n for n in names if n.startswith(f"{who}-")] == [f"{who}-{number}" for number in range(40)]


@pytest.mark.parametrize("kind", [EventKind.REFUSAL, EventKind.TRANSFER_BEGUN, EventKind.TRANSFER_ENDED])
def test_a_process_that_is_killed_loses_nothing(
    database: Database, tmp_path: Path, share: Callable[[Database], None], kind: EventKind
):
    share(database)
    code = (
        "import os, signal, sys\n"
        "from dicomfab.app.build import build\n"
        "from dicomfab.model.audit import AuditEvent, EventKind\n"
        "build().audit.record(AuditEvent(kind=EventKind(sys.argv[1]), actor='anna'))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(kind)], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    log = opened(database, tmp_path)
    assert [entry.event.kind for entry in log.entries(AuditFilter())] == [kind]
    assert log.verify().broken is None


def test_retention_closes_a_segment_and_the_rest_is_chained_to_it(log: AuditLog, database: Database, clock: Clock):
    filled(log, 4)
    last_of_old = log.entry(4).mac
    clock.now += timedelta(days=10)
    filled(log, 3)
    by = event("admin", EventKind.AUDIT_PURGE)
    assert log.purge(MONDAY + timedelta(days=5), by) == 4
    found = log.verify()
    assert (found.broken, found.first, found.entries) == (None, 5, 4)
    assert [entry.event.actor for entry in log.entries(AuditFilter())] == ["user1", "user2", "user3", "admin"]
    with database.read() as connection:
        segment = connection.execute(text("SELECT through_seq, mac FROM audit_segment")).one()
    assert tuple(segment) == (4, last_of_old)
    assert log.purge(MONDAY + timedelta(days=5), by) == 0
    # All of it can go as well, and the numbers go on.
    clock.now += timedelta(days=10)
    assert log.purge(clock.now, by) == 4
    assert log.entry(9).event.kind is EventKind.AUDIT_PURGE
    assert log.verify().broken is None


def test_what_was_removed_behind_a_segment_is_found(log: AuditLog, database: Database, clock: Clock):
    filled(log, 4)
    clock.now += timedelta(days=10)
    filled(log, 3)
    log.purge(clock.now, event("admin", EventKind.AUDIT_PURGE))
    tamper(database, "DELETE FROM audit_entry WHERE seq = 5")
    broken = log.verify().broken
    assert broken is not None
    assert (broken.seq, broken.kind) == (5, BreakKind.REMOVED)


def test_retention_takes_out_nothing_of_a_broken_chain(log: AuditLog, database: Database, clock: Clock):
    filled(log, 4)
    clock.now += timedelta(days=10)
    tamper(database, "UPDATE audit_entry SET body = replace(body, 'user2', 'nobody') WHERE seq = 2")
    with pytest.raises(Conflict, match="entry 2"):
        log.purge(clock.now, event("admin", EventKind.AUDIT_PURGE))
    assert len(list(log.entries(AuditFilter()))) == 4


def test_long_logs_are_read_in_pieces(log: AuditLog, clock: Clock):
    filled(log, 4500)
    assert log.verify().entries == 4500
    assert [entry.seq for entry in log.entries(AuditFilter())] == list(range(1, 4501))


@pytest.mark.parametrize(
    ("wanted", "seqs"),
    [
        (AuditFilter(), [5, 4, 3, 2, 1]),
        (AuditFilter(actor="ANN"), [4, 1]),
        (AuditFilter(actor="a%"), []),
        (AuditFilter(kinds=frozenset({EventKind.SIGN_IN, EventKind.DELETION})), [5, 2]),
        (AuditFilter(outcomes=frozenset({Outcome.SERIOUS})), [2]),
        (AuditFilter(since=MONDAY + timedelta(hours=2), until=MONDAY + timedelta(hours=4)), [4, 3]),
        (AuditFilter(environment="prod"), [3]),
        (AuditFilter(text="ward"), [3]),
        (AuditFilter(text="1.2.3.4"), [4]),
        (AuditFilter(text='say "no"'), [2]),
        (AuditFilter(actor="anna", text="1.2.3"), [4]),
    ],
)
def test_filters(log: AuditLog, clock: Clock, wanted: AuditFilter, seqs: list[int]):
    for made in (
        event("anna"),
        event("ben", EventKind.SIGN_IN, outcome=Outcome.SERIOUS, reason='they say "no"'),
        event("Carla", EventKind.REGISTRY_CHANGE, environment="prod", receiver=Node(name="Ward PACS")),
        event("anna", EventKind.VIEW, study_uids=("1.2.3.4",)),
        event("dora", EventKind.DELETION),
    ):
        log.append(made)
        clock.now += timedelta(hours=1)
    page = log.page(wanted, limit=10)
    assert [entry.seq for entry in page.entries] == seqs
    assert page.total == len(seqs)
    assert [entry.seq for entry in log.entries(wanted)] == seqs[::-1]


def test_pages_do_not_move_when_entries_are_added(log: AuditLog):
    filled(log, 6)
    first = log.page(AuditFilter(), limit=3)
    filled(log, 2)
    second = log.page(AuditFilter(), limit=3, before=first.entries[-1].seq)
    assert [entry.seq for entry in second.entries] == [3, 2, 1]
    assert second.total == 8


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path):
    file = KeyFile(tmp_path / "new" / "audit.key", make=True)
    keys: list[bytes] = []
    together = threading.Barrier(8)

    def make() -> None:
        together.wait()
        keys.append(file.create())

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(keys)) == 1
    assert len(keys) == 8
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.path.parent.iterdir()] == ["audit.key"]


def test_a_key_that_others_can_read_is_not_used(log: AuditLog, database: Database, tmp_path: Path):
    log.append(event())
    (tmp_path / "home" / "audit.key").chmod(0o644)
    with pytest.raises(LocalFailure, match="644"):
        opened(database, tmp_path).append(event())


def test_a_lost_key_is_not_replaced_in_silence(log: AuditLog, database: Database, tmp_path: Path):
    log.append(event())
    (tmp_path / "home" / "audit.key").unlink()
    with pytest.raises(LocalFailure, match="is gone"):
        opened(database, tmp_path).append(event())
    assert not (tmp_path / "home" / "audit.key").exists()


def test_a_key_of_the_administrator_is_taken_as_it_is_and_never_made(database: Database, tmp_path: Path):
    file = KeyFile(tmp_path / "secret", make=False)
    log = AuditLog(database, file, AnchorFile(tmp_path / "anchors"))
    with pytest.raises(SetupMissing, match="secret"):
        log.append(event())
    file.path.write_text("short")
    with pytest.raises(LocalFailure, match="5 characters"):
        log.append(event())
    file.path.write_text("a" * 40 + "\n")
    log.append(event())
    assert entry_mac(b"a" * 40, START.mac, 1, _body(database)) == log.entry(1).mac


def _body(database: Database) -> str:
    with database.read() as connection:
        found: str = connection.execute(text("SELECT body FROM audit_entry")).scalar_one()
        return found


def test_an_anchor_is_noted_each_hour_by_whoever_appends(database: Database, tmp_path: Path):
    opened(database, tmp_path).append(event())
    file = AnchorFile(tmp_path / "home" / "audit-anchors.jsonl")
    assert [anchor.seq for anchor in file.read()] == [1]
    opened(database, tmp_path).append(event())
    assert [anchor.seq for anchor in file.read()] == [1]
    long_ago = file.path.stat().st_mtime - 3700
    os.utime(file.path, (long_ago, long_ago))
    opened(database, tmp_path).append(event())
    assert [anchor.seq for anchor in file.read()] == [1, 3]
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_an_anchor_that_cannot_be_noted_does_not_undo_what_it_records(database: Database, tmp_path: Path):
    (tmp_path / "home" / "audit-anchors.jsonl").mkdir(parents=True)
    os.utime(tmp_path / "home" / "audit-anchors.jsonl", (0, 0))
    log = opened(database, tmp_path)
    log.append(event())
    assert log.entry(1).event.actor == "anna"
    with pytest.raises(LocalFailure, match="anchors"):
        log.anchor()


def test_a_line_that_a_power_cut_left_unfinished_is_passed_over(tmp_path: Path):
    file = AnchorFile(tmp_path / "anchors")
    file.add(Anchor(1, "a" * 64), MONDAY)
    with file.path.open("a") as raw:
        raw.write('{"at": "2026-03-02T08:0')
    file.add(Anchor(2, "b" * 64), MONDAY)
    assert file.read() == [Anchor(1, "a" * 64), Anchor(2, "b" * 64)]
    with file.path.open("a") as raw:
        raw.write('\n{"at": "2026-03-02T08:00:00", "seq": 3, "mac": "edited"}\n')
    with pytest.raises(LocalFailure, match="edited"):
        file.read()


def test_the_seal_of_a_segment_covers_number_mac_and_moment():
    end = Anchor(7, "a" * 64)
    seal = segment_seal(b"k" * 32, end, MONDAY)
    others = [
        segment_seal(b"l" * 32, end, MONDAY),
        segment_seal(b"k" * 32, Anchor(8, "a" * 64), MONDAY),
        segment_seal(b"k" * 32, Anchor(7, "b" * 64), MONDAY),
        segment_seal(b"k" * 32, end, MONDAY + timedelta(microseconds=1)),
    ]
    assert len({seal, *others}) == 5
