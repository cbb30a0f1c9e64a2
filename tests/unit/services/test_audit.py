"""Who may read the audit log, what becomes an entry, and the files that it is exported to."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from sqlalchemy import text

from dicomfab.app.build import Application
from dicomfab.app.settings import Settings
from dicomfab.model.actor import Actor, Role, local_admin
from dicomfab.model.audit import AuditEvent, EventKind, Node, Outcome
from dicomfab.model.errors import AccessDenied, InvalidInput
from dicomfab.services.audit import COLUMNS, AuditService, entry_values
from dicomfab.storage.audit import AuditFilter
from dicomfab.storage.audit_anchors import AnchorFile
from tests.unit.services.audit_schema import problems

ADMIN = local_admin("root", "cli")
EVERYTHING = AuditFilter()


@pytest.fixture
def application(tmp_path: Path):
    made = Application(Settings(home=tmp_path / "home"))
    yield made
    made.close()


@pytest.fixture
def audit(application: Application) -> AuditService:
    return application.audit


def kinds(audit: AuditService) -> list[EventKind]:
    return [entry.event.kind for entry in reversed(audit.page(ADMIN, EVERYTHING, limit=100).entries)]


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_only_administrators_may_read_and_refusals_are_recorded(audit: AuditService, role: Role):
    actor = Actor("ben", frozenset({role}), "web")
    attempts = {
        "list": lambda: audit.page(actor, EVERYTHING),
        "show": lambda: audit.show(actor, 1),
        "export": lambda: audit.export(actor, EVERYTHING, "csv"),
        "verify": lambda: audit.verify(actor),
        "purge": lambda: audit.purge(actor, audit.now()),
        "anchor": lambda: audit.anchor(actor),
    }
    for attempt in attempts.values():
        with pytest.raises(AccessDenied, match="read_audit"):
            attempt()
    refused = audit.page(ADMIN, AuditFilter(kinds=frozenset({EventKind.REFUSAL}))).entries
    assert [entry.event.subject for entry in reversed(refused)] == [f"audit {name}" for name in attempts]
    assert {(entry.event.actor, entry.event.outcome) for entry in refused} == {("ben", Outcome.SERIOUS)}
    assert all("needs one of: admin" in entry.event.reason for entry in refused)


def test_each_reading_is_an_entry_of_its_own(audit: AuditService):
    audit.record(AuditEvent.by(ADMIN, EventKind.START))
    audit.page(ADMIN, AuditFilter(actor="anna", text="Doe^Jane"))
    audit.show(ADMIN, 1)
    list(audit.export(ADMIN, EVERYTHING, "json"))
    audit.verify(ADMIN)
    audit.anchor(ADMIN)
    found = audit.page(ADMIN, EVERYTHING).entries[::-1]
    assert [entry.event.subject for entry in found[1:]] == ["list", "show", "export", "verify", "anchor", "list"]
    assert found[1].event.detail == {"actor": "anna", "text": "given"}
    assert "Doe" not in json.dumps([entry_values(entry) for entry in found])


def test_what_is_recorded_within_a_transaction_shares_its_fate(audit: AuditService, application: Application):
    def fail() -> None:
        with application.database.write() as connection:
            audit.record(AuditEvent.by(ADMIN, EventKind.DELETION), within=connection)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with application.database.write() as connection:
        audit.record(AuditEvent.by(ADMIN, EventKind.IMPORT), within=connection)
    assert kinds(audit) == [EventKind.IMPORT, EventKind.AUDIT_READ]


def test_start_and_stop_note_an_anchor(audit: AuditService, application: Application):
    audit.started(ADMIN, "serve")
    audit.stopped(ADMIN, "serve")
    file = AnchorFile(application.settings.audit_anchors)
    assert [anchor.seq for anchor in file.read()] == [1, 1, 2]  # the first append notes one as well
    assert kinds(audit)[:2] == [EventKind.START, EventKind.STOP]


def test_a_break_becomes_an_entry(audit: AuditService, application: Application):
    audit.record(*(AuditEvent.by(ADMIN, EventKind.QUERY) for _ in range(3)))
    assert audit.verify(ADMIN).broken is None
    with application.database.write() as connection:
        connection.execute(text("DROP TRIGGER audit_entry_update"))
        connection.execute(text("UPDATE audit_entry SET body = replace(body, 'query', 'view') WHERE seq = 2"))
    found = audit.verify(ADMIN)
    assert found.broken is not None
    (entry,) = audit.page(ADMIN, AuditFilter(kinds=frozenset({EventKind.CHAIN_BREAK}))).entries
    assert entry.event.outcome is Outcome.MAJOR
    assert entry.event.detail == {"first broken entry": "2", "what was done": "edited"}


def test_a_purge_becomes_an_entry_and_notes_an_anchor(audit: AuditService, application: Application):
    audit.record(AuditEvent.by(ADMIN, EventKind.QUERY, at=audit.now() - timedelta(days=400)))
    assert audit.purge(ADMIN, audit.now() - timedelta(days=365)) == 1
    assert audit.purge(ADMIN, audit.now() - timedelta(days=365)) == 0
    assert audit.verify(ADMIN).broken is None
    assert AnchorFile(application.settings.audit_anchors).read()[-1].seq == 3
    assert kinds(audit)[:2] == [EventKind.AUDIT_READ, EventKind.AUDIT_PURGE]


@pytest.fixture
def exported(audit: AuditService) -> AuditService:
    audit.record(
        AuditEvent(kind=EventKind.SIGN_IN, actor="=cmd|' /C calc'!A0", outcome=Outcome.MINOR, reason='wrong, "again"'),
        AuditEvent(
            kind=EventKind.TRANSFER_ENDED,
            actor="Jörg",
            environment="test",
            receiver=Node(name="Ward PACS", ae_title="WARD", host="192.0.2.1"),
            study_uids=("1.2.3", "1.2.4"),
            patient_ids=("SYN1",),
        ),
    )
    return audit


def test_export_as_csv(exported: AuditService):
    rows = list(csv.DictReader(io.StringIO(b"".join(exported.export(ADMIN, EVERYTHING, "csv")).decode())))
    assert tuple(rows[0]) == COLUMNS
    assert rows[0]["actor"] == "'=cmd|' /C calc'!A0"  # no spreadsheet runs it
    assert rows[0]["reason"] == 'wrong, "again"'
    assert rows[1]["actor"] == "Jörg"
    assert rows[1]["receiver"] == "ae_title=WARD; host=192.0.2.1; name=Ward PACS"
    assert rows[1]["study_uids"] == "1.2.3 1.2.4"
    assert [row["kind"] for row in rows] == ["sign-in", "transfer-ended", "audit-read"]


def test_export_as_json(exported: AuditService):
    found = json.loads(b"".join(exported.export(ADMIN, EVERYTHING, "json")))
    assert [one["seq"] for one in found] == [1, 2, 3]
    assert found[1]["receiver"]["ae_title"] == "WARD"
    nothing = exported.export(ADMIN, AuditFilter(actor="nobody"), "json")
    assert json.loads(b"".join(nothing)) == []


def test_export_as_xml(exported: AuditService):
    root = fromstring(b"".join(exported.export(ADMIN, EVERYTHING, "xml")))
    assert len(root) == 3
    assert [problem for one in root for problem in problems(one)] == []


def test_another_kind_of_export_is_refused_and_reads_nothing(exported: AuditService):
    with pytest.raises(InvalidInput, match="use csv, json, xml"):
        exported.export(ADMIN, EVERYTHING, "pdf")
    assert kinds(exported) == [EventKind.SIGN_IN, EventKind.TRANSFER_ENDED, EventKind.AUDIT_READ]
