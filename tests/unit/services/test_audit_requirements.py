"""What the audit log must say of a refused sign-in, and what nobody can do to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from dicomfab.app.build import Application
from dicomfab.app.settings import Settings, load_settings
from dicomfab.model.account import Origin
from dicomfab.model.actor import local_admin
from dicomfab.model.audit import AuditEvent, EventKind, Outcome
from dicomfab.model.errors import InvalidInput, NotSignedIn, TooManyAttempts
from dicomfab.services.audit import AuditService
from dicomfab.services.audit_message import message
from dicomfab.storage.audit import AuditFilter
from tests.unit.services.accounts_office import PASSWORD, _up_to_date

OWNER = local_admin("owner", "cli")
HERE, ELSEWHERE = Origin("127.0.0.1"), Origin("192.0.2.9")


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Application]:
    file = tmp_path / "home" / "dicomfab.sqlite3"
    file.parent.mkdir()
    file.write_bytes(_up_to_date())
    file.chmod(0o600)
    made = Application(Settings(home=file.parent))
    yield made
    made.close()


def entries(application: Application) -> list[AuditEvent]:
    return [entry.event for entry in application.audit._log.entries(AuditFilter())]


def test_requirement_8_the_audit_entry_has_the_true_reason(application: Application) -> None:
    application.accounts.add(OWNER, "anna", ("test_read",), password=PASSWORD)
    gone = application.accounts.add(OWNER, "ben", ("test_read",), password=PASSWORD)
    application.accounts.disable(OWNER, gone.id)
    said = set()
    for name, password in (("nobody", PASSWORD), ("anna", "wrong"), ("ben", PASSWORD)):
        with pytest.raises(NotSignedIn) as refused:
            application.sign_in.sign_in(name, password, HERE)
        said.add(str(refused.value))
    assert len(said) == 1  # whoever tries cannot tell them apart
    for _ in range(5):
        with pytest.raises(NotSignedIn):
            application.sign_in.sign_in("anna", "wrong", ELSEWHERE)
    with pytest.raises(TooManyAttempts):
        application.sign_in.sign_in("anna", PASSWORD, ELSEWHERE)
    refusals = [event for event in entries(application) if event.kind is EventKind.SIGN_IN]
    told = [(event.subject, event.reason, event.address) for event in refusals]
    assert told[:3] == [
        ("nobody", "unknown_name", "127.0.0.1"),
        ("anna", "wrong_password", "127.0.0.1"),
        ("ben", "disabled", "127.0.0.1"),
    ]
    assert told[3:8] == [("anna", "wrong_password", "192.0.2.9")] * 5
    assert told[8:] == [("anna", "too_many", "192.0.2.9")]
    assert [event.outcome for event in refusals] == [Outcome.MINOR] * 8 + [Outcome.SERIOUS]


def test_requirement_20_control_characters_in_a_name_forge_no_entry(application: Application) -> None:
    forged = "anna\r\n7,2026-01-01,sign-in,success,root\x1b[2K\x00\u2028\u202e"
    with pytest.raises(NotSignedIn):
        application.sign_in.sign_in(forged, "wrong", HERE)
    (event,) = entries(application)
    assert event.reason == "unknown_name"
    lines = b"".join(application.audit.export(OWNER, AuditFilter(kinds=frozenset({EventKind.SIGN_IN})), "csv"))
    assert len(lines.splitlines()) == 2  # the names of the columns, and the one entry
    assert len(lines.decode().splitlines()) == 2
    xml = message(event, "test").decode().partition("?>")[2].strip()
    for text in (event.actor, event.subject, xml):
        assert not {"\r", "\n", "\x1b", "\x00", "\u2028", "\u202e"} & set(text)
    assert application.audit.verify(OWNER).broken is None


WAYS = {
    "edited": ("UPDATE audit_entry SET body = replace(body, 'user4', 'nobody') WHERE seq = 4", "edited", 4),
    "removed": ("DELETE FROM audit_entry WHERE seq = 4", "removed", 4),
    "cut": ("DELETE FROM audit_entry WHERE seq >= 4", "cut", 4),
    "reordered": (
        "UPDATE audit_entry SET seq = CASE seq WHEN 4 THEN -5 WHEN 5 THEN -4 END WHERE seq IN (4, 5);"
        "UPDATE audit_entry SET seq = -seq WHERE seq < 0",
        "edited",
        4,
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_requirement_20_the_first_broken_entry_is_named(application: Application, way: str) -> None:
    statements, kind, first = WAYS[way]
    audit: AuditService = application.audit
    audit.record(*(AuditEvent(kind=EventKind.QUERY, actor=f"user{number}") for number in range(1, 8)))
    audit._log.anchor()
    with sqlite3.connect(str(application.settings.database)) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        database.executescript(statements)
    database.close()
    broken = audit.verify(OWNER).broken
    assert broken is not None
    assert (str(broken.kind), broken.seq) == (kind, first)


def test_retention_is_applied_by_the_beat_and_records_itself(application: Application) -> None:
    audit, log = application.audit, application.audit._log
    now = audit.now()
    log._now = lambda: now - timedelta(days=40)
    audit.record(*(AuditEvent(kind=EventKind.QUERY, actor=f"old{number}") for number in range(3)))
    log._now = lambda: now
    audit.record(AuditEvent(kind=EventKind.QUERY, actor="young"))
    audit.beat()
    assert len(entries(application)) == 4  # nothing goes unless it is set
    keeping = AuditService(log, "test", audit.now, keep_days=30)
    keeping.beat()
    told = entries(application)
    assert [(event.kind, event.actor) for event in told] == [(EventKind.QUERY, "young"), (EventKind.AUDIT_PURGE, "")]
    assert (told[1].door, told[1].detail["why"]) == ("job", "kept for 30 days")
    found = audit.verify(OWNER)
    assert (found.broken, found.first) == (None, 4)
    log._now = lambda: now + timedelta(days=90)
    keeping._now = log._now
    keeping.beat()  # once a day, not at every beat
    assert len(entries(application)) == 3
    keeping._retain_at = 0.0
    keeping.beat()
    assert [event.kind for event in entries(application)] == [EventKind.AUDIT_PURGE]
    assert audit.verify(OWNER).broken is None


def test_retention_leaves_a_broken_log_as_it_is(application: Application, caplog: pytest.LogCaptureFixture) -> None:
    audit = application.audit
    audit.record(*(AuditEvent(kind=EventKind.QUERY, actor=f"user{number}") for number in range(1, 8)))
    with sqlite3.connect(str(application.settings.database)) as database:
        database.executescript(f"DROP TRIGGER audit_entry_update; {WAYS['edited'][0]}")
    database.close()
    keeping = AuditService(audit._log, "test", lambda: audit.now() + timedelta(days=90), keep_days=30)
    keeping.beat()
    assert len(entries(application)) == 7
    assert "nothing was taken out" in caplog.text


def test_how_long_entries_are_kept_is_a_setting(tmp_path: Path) -> None:
    home = {"DICOMFAB_HOME": str(tmp_path)}
    assert load_settings(home).audit_keep_days == 0
    assert load_settings({**home, "DICOMFAB_AUDIT_KEEP_DAYS": "365"}).audit_keep_days == 365
    with pytest.raises(InvalidInput, match="DICOMFAB_AUDIT_KEEP_DAYS"):
        load_settings({**home, "DICOMFAB_AUDIT_KEEP_DAYS": "-1"})
