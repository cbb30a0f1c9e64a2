"""The doctor on the pages: from a failure elsewhere to a cause with what to do, for everybody, by keyboard too."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from dicomfab.app.build import Application
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.services.studies import Fabricated
from tests.browser.conftest import Picture, actor
from tests.unit.dimse.memory_pacs import MemoryPacs

NARROW = {"width": 400, "height": 800}


@pytest.fixture(scope="module")
def wrong_title(application: Application) -> Iterator[str]:
    """The id of a server that source and destination of a C-MOVE know under different names."""
    source, destination = "test-pacs-2", "test-pacs-1"
    before = application.pacs.routes(actor(), source)
    routes = {row.destination.id: row.ae_title for row in before if row.ae_title}
    application.pacs.set_routes(actor(), source, {**routes, destination: "NOBODY"})
    yield source
    application.pacs.set_routes(actor(), source, routes)


@pytest.fixture(scope="module")
def silent(application: Application) -> Iterator[str]:
    """The id of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        entry = {"name": "Silent", "host": "127.0.0.1", "port": listening.getsockname()[1], "aec": "SILENT"}
        server = application.pacs.add(actor(), {**entry, "environment": "test", "association_timeout_s": 2.0})
        yield server.id
        application.pacs.remove(actor(), server.id)


@pytest.fixture(scope="module")
def unfriendly(application: Application) -> Iterator[str]:
    """The id of a server that lets others in, and us not."""
    config = ServerConfig("ARCHIVE", known_calling_ae_titles=frozenset({"OTHER"}))
    with Server(config, MemoryPacs()) as running:
        entry = {"name": "Radiology archive", "host": "127.0.0.1", "port": running.port, "aec": "ARCHIVE"}
        server = application.pacs.add(actor(), {**entry, "environment": "test"})
        yield server.id
        application.pacs.remove(actor(), server.id)


@pytest.mark.full
def test_a_wrong_name_of_the_move_destination(page: Page, web: str, wrong_title: str, snapshot: Picture) -> None:
    page.goto(f"{web}/doctor?from={wrong_title}&to=test-pacs-1")
    expect(page.get_by_label("From", exact=True)).to_have_value(wrong_title)
    expect(page.get_by_label("Production: type")).to_be_hidden()
    _fits(page, snapshot, "doctor-form")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_role("button", name="Diagnose the C-MOVE").click()
    expect(page.get_by_role("heading", name="Found: C-MOVE failed")).to_be_visible()
    cause = page.get_by_role("article").first
    expect(cause).to_contain_text("certain")
    expect(cause).to_contain_text("NOBODY")
    expect(page.get_by_text("What was tried", exact=True)).to_be_visible()
    page.get_by_role("button", name="Copy the report").click()
    expect(page.get_by_role("status").filter(has_text="Copied")).to_be_attached()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "Diagnosis of a C-MOVE from Test PACS 2 to Test PACS 1" in copied
    assert "1. C-MOVE failed (certain)" in copied
    _fits(page, snapshot, "doctor-found")
    shared = page.url
    page.goto(shared)
    expect(page.get_by_role("heading", name="Found: C-MOVE failed")).to_be_visible()


@pytest.mark.full
def test_lines_are_copied_product_by_product(
    page: Page, web: str, unfriendly: str, picture: Picture, snapshot: Picture
) -> None:
    page.goto(f"{web}/pacs")
    page.get_by_role("link", name="Diagnose Radiology archive").click()
    page.get_by_role("button", name="Diagnose the server").click()
    expect(page.get_by_role("heading", name="Found: AE Title not recognized")).to_be_visible()
    page.get_by_text("If it is Orthanc").click()
    picture(page, "doctor")
    shown = page.locator(".settings[open] .settings-lines").first
    expect(shown).to_contain_text("DICOMFAB")
    page.get_by_role("button", name="Copy the lines for Orthanc").first.click()
    expect(page.get_by_role("status").filter(has_text="Copied")).to_be_attached()
    assert page.evaluate("navigator.clipboard.readText()").strip() == shown.inner_text().strip()
    _fits(page, snapshot, "doctor-lines")


@pytest.mark.full
def test_from_a_failed_test_with_the_keyboard_alone(page: Page, web: str, study: Fabricated, snapshot: Picture) -> None:
    page.goto(f"{web}/pacs")
    page.get_by_role("button", name="Test Connection of Closed port").click()
    why = page.get_by_role("link", name="Find out why the connection to Closed port fails")
    expect(why).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    snapshot(page, "doctor-from-pacs")
    why.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Server", exact=True)).to_have_value("closed-port")
    page.get_by_label("Server", exact=True).focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Diagnose the server")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Found: Connection failed")).to_be_visible()


@pytest.mark.full
def test_from_a_server_that_fails_in_a_search(page: Page, web: str, study: Fabricated) -> None:
    page.goto(f"{web}/query?pacs=test-pacs-1&pacs=closed-port&accession_number=SYN-WEB-1&run=1")
    page.get_by_role("link", name="Find out why Closed port does not answer").click()
    expect(page.get_by_label("Server", exact=True)).to_have_value("closed-port")


@pytest.mark.full
def test_nothing_wrong_is_as_clear(page: Page, web: str, application: Application, snapshot: Picture) -> None:
    page.goto(f"{web}/doctor?pacs=test-pacs-1")
    page.get_by_role("button", name="Diagnose the server").click()
    expect(page.get_by_role("heading", name="Nothing wrong")).to_be_visible()
    _fits(page, snapshot, "doctor-healthy")


@pytest.mark.full
def test_production_asks_for_its_name(page: Page, web: str, application: Application, snapshot: Picture) -> None:
    page.goto(f"{web}/doctor?from=test-pacs-1&to=prod-pacs-1")
    expect(page.get_by_label("Production: type")).to_be_visible()
    page.get_by_label("Production: type").fill("Prod PACS 2")
    page.get_by_role("button", name="Diagnose the C-MOVE").click()
    expect(page.get_by_text("Prod PACS 1 is a production server; nothing was tried")).to_be_visible()
    _fits(page, snapshot, "doctor-consent")
    page.get_by_label("Production: type").fill("prod pacs 1")
    page.get_by_role("button", name="Diagnose the C-MOVE").click()
    expect(page.get_by_role("heading", name="Nothing wrong")).to_be_visible()


@pytest.mark.full
def test_checks_appear_while_others_are_awaited(page: Page, web: str, silent: str) -> None:
    page.goto(f"{web}/doctor?pacs={silent}")
    page.get_by_role("button", name="Diagnose the server").click()
    expect(page.get_by_text("TCP connection").first).to_be_visible()
    assert page.get_by_role("button", name="Copy the report").count() == 0
    left = page.url
    page.goto(f"{web}/pacs")
    page.goto(left)
    expect(page.get_by_text("Ended early")).to_be_visible()


def _fits(page: Page, snapshot: Picture, name: str) -> None:
    """Usable in light and dark, wide and narrow."""
    _has_no_violation(page)
    snapshot(page, name)
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    _has_no_violation(page)
    snapshot(page, f"{name}-dark")
    page.get_by_role("button", name="Switch between light and dark").click()
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    _has_no_violation(page)
    snapshot(page, f"{name}-narrow")


def _has_no_violation(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
