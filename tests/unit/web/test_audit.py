"""The page of the audit log: what it shows, how it is narrowed, what it exports, and what it says about the chain."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from xml.etree.ElementTree import fromstring

import pytest
from sqlalchemy import text

from dicomfab.app.build import Application
from dicomfab.model.actor import Actor, Role
from dicomfab.model.audit import AuditEvent, EventKind, Node, Outcome
from dicomfab.web.audit import PAGE_SIZE
from tests.unit.services.audit_schema import problems
from tests.unit.web.conftest import ACTOR, Browser


@pytest.fixture(autouse=True)
def _recorded(application: Application) -> None:
    server = Node(name="Ward PACS", ae_title="WARD", host="192.0.2.9")
    application.audit.record(
        AuditEvent(kind=EventKind.SIGN_IN, actor="anna<b>", outcome=Outcome.MINOR, reason="wrong password"),
        AuditEvent.by(ACTOR, EventKind.QUERY, receiver=server, environment="prod"),
        AuditEvent.by(ACTOR, EventKind.VIEW, study_uids=("1.2.3",), patient_ids=("SYN77",), environment="test"),
    )


def test_entries_are_listed_and_that_they_were_read_is_one(browser: Browser) -> None:
    shown = browser.get("/audit")
    assert shown.status_code == 200
    assert "Query of Ward PACS" in shown.text
    assert "Sign in: wrong password" in shown.text
    assert "anna&lt;b&gt;" in shown.text
    assert "Audit read list" in shown.text
    assert "4 entries" in shown.text


@pytest.mark.parametrize(
    ("query", "seen", "unseen"),
    [
        ("kind=query", "Query of Ward PACS", "wrong password"),
        ("outcome=minor", "wrong password", "Query of"),
        ("environment=prod", "Query of", "View, 1 study"),
        ("text=SYN77", "View, 1 study", "Query of"),
        ("actor=ANNA", "wrong password", "Query of"),
        ("since=2999-01-01", "No entry matches", "Query of"),
        ("until=2001-01-01", "No entry matches", "Query of"),
    ],
)
def test_the_list_is_narrowed(browser: Browser, query: str, seen: str, unseen: str) -> None:
    shown = browser.get(f"/audit?{query}").text
    assert seen in shown
    assert unseen not in shown


def test_what_cannot_be_searched_for_is_explained(browser: Browser) -> None:
    refused = browser.get("/audit?since=yesterday")
    assert refused.status_code == 400
    assert "yesterday" in refused.text
    assert browser.get("/audit?kind=nonsense").status_code == 400


def test_older_entries_are_on_the_next_page(browser: Browser, application: Application) -> None:
    application.audit.record(*(AuditEvent.by(ACTOR, EventKind.QUERY) for _ in range(PAGE_SIZE)))
    first = browser.get("/audit").text
    assert "wrong password" not in first
    assert "/audit?before=5" in first
    second = browser.get("/audit?before=5").text
    assert "wrong password" in second
    assert "Newest" in second
    assert "Older" not in second


def test_an_entry_is_shown_whole_with_its_message(browser: Browser) -> None:
    shown = browser.get("/audit/3").text
    assert "1.2.3" in shown
    assert "SYN77" in shown
    assert "&lt;AuditMessage&gt;" in shown
    assert browser.get("/audit/99").status_code == 404


@pytest.mark.parametrize("form", ["csv", "json", "xml"])
def test_export(browser: Browser, form: str) -> None:
    answer = browser.get(f"/audit/export?form={form}&actor=anna")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert f'filename="audit.{form}"' in answer.headers["content-disposition"]
    if form == "csv":
        assert len(answer.text.splitlines()) == 2
    elif form == "json":
        assert [entry["actor"] for entry in json.loads(answer.text)] == ["anna<b>"]
    else:
        assert [problem for one in fromstring(answer.text) for problem in problems(one)] == []


def test_another_form_of_export_is_refused(browser: Browser) -> None:
    assert browser.get("/audit/export?form=doc").status_code == 400


def test_verify_says_that_all_is_well_and_gives_an_anchor(browser: Browser) -> None:
    shown = browser.post("/audit/verify").text
    assert "The log is as it was written" in shown
    assert "3 entries checked" in shown
    assert "3:" in shown


def test_verify_names_the_first_broken_entry(browser: Browser, application: Application) -> None:
    with application.database.write() as connection:
        connection.execute(text("DROP TRIGGER audit_entry_update"))
        connection.execute(text("UPDATE audit_entry SET body = replace(body, 'WARD', 'WORD') WHERE seq = 2"))
    shown = browser.post("/audit/verify").text
    assert "Broken at entry 2: edited" in shown
    assert "1 entry before it is as written" in shown
    assert "Chain break" in shown


def test_an_entry_that_cannot_be_read_any_more_is_still_listed(browser: Browser, application: Application) -> None:
    with application.database.write() as connection:
        connection.execute(text("DROP TRIGGER audit_entry_update"))
        connection.execute(text("UPDATE audit_entry SET body = '{' WHERE seq = 2"))
    assert "this entry cannot be read" in browser.get("/audit").text
    assert browser.get("/audit/2").status_code == 200


@pytest.mark.parametrize("path", ["/audit", "/audit/1", "/audit/export"])
@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_only_administrators_see_it(browser: Browser, role: Role, path: str) -> None:
    browser.act_as(Actor("someone", frozenset({role}), "web"))
    assert browser.get(path).status_code == 403


def test_moments_are_those_of_the_events(browser: Browser, application: Application) -> None:
    application.audit.record(
        AuditEvent(kind=EventKind.STOP, actor="late", at=datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC))
    )
    assert 'datetime="2020-01-02T03:04:05+00:00"' in browser.get("/audit?actor=late").text
