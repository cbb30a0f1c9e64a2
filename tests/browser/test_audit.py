"""The audit log in a real browser: usable by everybody, and it says what was done to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from dicomfab.app.build import build
from dicomfab.app.settings import Settings
from dicomfab.model.actor import Actor, Role
from dicomfab.model.audit import AuditEvent, EventKind, Node, Outcome
from tests.browser.conftest import Picture, serving

pytestmark = pytest.mark.full  # the short run has the story by keyboard, and the shell

NARROW = {"width": 400, "height": 800}
MORNING = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
WARD = Node(name="Ward PACS", ae_title="WARD", host="192.0.2.9")
CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An installation with some history."""
    application = build(Settings(tmp_path / "home"))
    anna = Actor("anna", frozenset({Role.TEST_WRITE, Role.PROD_READ}), "web")
    ben = Actor("ben", frozenset({Role.TEST_READ}), "web")
    events = [
        AuditEvent(kind=EventKind.SIGN_IN, actor="anna", source="local", address="192.0.2.7", door="web"),
        AuditEvent.by(anna, EventKind.QUERY, receiver=WARD, environment="prod", address="192.0.2.7"),
        AuditEvent.by(
            anna, EventKind.TRANSFER_ENDED, receiver=Node(name="Test PACS 1"), environment="test",
            study_uids=("2.25.7",), sop_classes={CT: 200}, patient_ids=("SYN0000000042",), address="192.0.2.7",
        ),
        AuditEvent(kind=EventKind.SIGN_IN, actor="ben", outcome=Outcome.MINOR, reason="wrong password", door="web"),
        AuditEvent.by(
            ben, EventKind.REFUSAL, outcome=Outcome.SERIOUS, subject="move to Ward PACS", environment="prod",
            reason="store (prod) needs one of: admin, prod_write; you have test_read",
        ),
        AuditEvent.by(Actor("root", frozenset({Role.ADMIN}), "cli"), EventKind.ROLE_CHANGE, subject="ben: test_write"),
    ]  # fmt: skip
    for number, event in enumerate(events):
        application.audit.record(AuditEvent.from_dict({**event.as_dict(), "at": at(number)}))
    application.close()
    return tmp_path / "home"


def at(number: int) -> str:
    return (MORNING + timedelta(minutes=7 * number)).isoformat()


@pytest.fixture
def audit(home: Path) -> Iterator[str]:
    """Address of the page."""
    with serving(home) as url:
        yield f"{url}/audit"


def has_no_violation(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.full  # each page in light is looked at in test_every_page.py
def test_the_log_is_accessible_in_light_and_dark_and_fits_a_narrow_screen(
    page: Page, audit: str, picture: Picture
) -> None:
    page.goto(audit)
    expect(page.get_by_role("link", name="Refusal move to Ward PACS")).to_be_visible()
    has_no_violation(page)
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_role("heading", name="The log is as it was written")).to_be_visible()
    has_no_violation(page)
    picture(page, "audit")
    page.get_by_role("button", name="Switch between light and dark").click()
    has_no_violation(page)
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    has_no_violation(page)


def test_an_entry_is_found_opened_and_exported(page: Page, audit: str) -> None:
    page.goto(audit)
    page.get_by_label("Who", exact=True).fill("ann")
    page.get_by_label("Environment").select_option("test")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("status").get_by_text("1 entry")).to_be_visible()
    with page.expect_download() as started:
        page.get_by_role("link", name="XML (DICOM)").click()
    assert "SYN0000000042" in Path(started.value.path()).read_text("utf-8")
    page.get_by_role("link", name="Transfer ended to Test PACS 1").click()
    expect(page.get_by_role("heading", name="Audit entry 3")).to_be_visible()
    expect(page.get_by_text("SYN0000000042", exact=True)).to_be_visible()
    has_no_violation(page)
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


def test_a_hand_edit_is_named(page: Page, audit: str, home: Path, picture: Picture) -> None:
    database = sqlite3.connect(home / "dicomfab.sqlite3")
    database.execute("DROP TRIGGER audit_entry_update")
    database.execute("UPDATE audit_entry SET body = replace(body, 'wrong password', '') WHERE seq = 4")
    database.commit()
    database.close()
    page.goto(audit)
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_role("heading", name="Broken at entry 4: edited")).to_be_visible()
    has_no_violation(page)
    picture(page, "audit-broken")
