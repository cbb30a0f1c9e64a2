"""Query PACS: choose servers, search, choose rows, move them; with the keyboard alone, and with a dead server."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from dicomfab.app.build import Application
from dicomfab.services.studies import Fabricated
from tests.browser.conftest import Picture, actor

PHONE = {"width": 360, "height": 800}


@pytest.fixture(scope="module")
def black_hole(application: Application) -> Iterator[str]:
    """Id of a server that takes no connection and refuses none: its backlog is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
            waiting.append(one)
        entry = {"name": "Black hole", "host": "127.0.0.1", "port": port, "aec": "HOLE", "environment": "test"}
        server = application.pacs.add(actor(), {**entry, "connect_timeout_s": 2.0, "group": "slow ones"})
        yield server.id
        application.pacs.remove(actor(), server.id)
        for one in waiting:
            one.close()


def _find(page: Page, web: str, *servers: str) -> None:
    """Search; all of the servers have answered, or failed."""
    asked = "&".join(f"pacs={server}" for server in servers)
    page.goto(f"{web}/query?{asked}&accession_number=SYN-WEB-1&run=1")
    expect(page.get_by_role("status").get_by_text(f"{len(servers)} of {len(servers)} server")).to_be_visible()
    expect(page.get_by_role("table", name="Results").get_by_text("Lindgren").first).to_be_visible()


def _tab_to(page: Page, name: str, role: str = "button") -> None:
    """Press Tab until an element has the focus, as somebody without a mouse does."""
    wanted = page.get_by_role(role, name=name, exact=True).first  # type: ignore[arg-type]
    for _ in range(150):
        if wanted.count() and wanted.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab never reaches {name}")


def _is_accessible(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def _looks_well(page: Page, picture: Picture, name: str) -> None:
    """No violation in light and dark and on a phone, where nothing is wider than the screen; with pictures."""
    _is_accessible(page)
    width = page.viewport_size["width"] if page.viewport_size else 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    picture(page, name)
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    _is_accessible(page)
    picture(page, f"{name}-dark")
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    _is_accessible(page)
    picture(page, f"{name}-phone")


@pytest.mark.full
def test_from_choosing_servers_to_the_job_by_keyboard_alone(page: Page, web: str, study: Fabricated) -> None:
    page.goto(f"{web}/query")
    _tab_to(page, "Test")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Test PACS 1", exact=True)).to_be_checked()
    expect(page.get_by_label("Prod PACS 1", exact=True)).not_to_be_checked()
    assert "run=1" not in page.url
    _tab_to(page, "Accession number", "textbox")
    page.keyboard.type("SYN-WEB-1")
    page.keyboard.press("Enter")
    page.wait_for_url("**search=*")
    results = page.get_by_role("table", name="Results")
    expect(results.get_by_text("Lindgren").first).to_be_visible()
    _tab_to(page, "Select study of Lindgren, Astrid on Test PACS 1", "checkbox")
    page.keyboard.press("Space")
    expect(page.get_by_role("status").get_by_text("1 study chosen")).to_be_visible()
    page.wait_for_url("**row=test-pacs-1*")
    page.keyboard.press("Control+s")
    expect(page.get_by_role("heading", name=re.compile("Move 1 study, 3 instances"))).to_be_visible()
    _tab_to(page, "Move from Test PACS 1 to", "combobox")
    page.keyboard.type("Test PACS 2")
    expect(page.get_by_text("from Test PACS 1 to Test PACS 2 (test)")).to_be_visible()
    page.keyboard.press("Control+s")
    expect(page.get_by_role("heading", name="Verified")).to_be_visible()


@pytest.mark.full
def test_a_choice_of_several_servers_is_copied_exported_and_lasts(page: Page, web: str, study: Fabricated) -> None:
    _find(page, web, "test-pacs-1", "prod-pacs-1")
    uid = study.resolved.study_instance_uid
    page.get_by_label("Select all on this page").check()
    page.get_by_role("button", name="Copy UIDs").click()
    expect(page.get_by_text("Copied 1 UID", exact=True)).to_be_attached()
    assert page.evaluate("navigator.clipboard.readText()") == uid
    page.reload()
    expect(page.get_by_label("Select study of Lindgren, Astrid on Test PACS 1")).to_be_checked()
    page.get_by_role("columnheader", name="Date").get_by_role("link").click()
    expect(page.get_by_label("Select study of Lindgren, Astrid on Test PACS 1")).to_be_checked()
    with page.expect_download() as started:
        page.get_by_role("button", name="Export the chosen as CSV").click()
    assert uid in Path(started.value.path()).read_text("utf-8")


@pytest.mark.full
def test_series_are_chosen_and_stay_chosen(page: Page, web: str, study: Fabricated) -> None:
    _find(page, web, "test-pacs-1")
    results = page.get_by_role("table", name="Results")
    results.get_by_role("button", name="Show series").click()
    series = results.get_by_role("table", name="Series")
    series.get_by_role("checkbox").first.check()
    expect(page.get_by_text("1 study chosen")).to_be_visible()
    results.get_by_role("button", name="Show series").click()
    expect(series).to_have_count(0)
    expect(page.get_by_text("1 study chosen")).to_be_visible()
    results.get_by_role("button", name="Show series").click()
    expect(series.get_by_role("checkbox").first).to_be_checked()
    page.get_by_role("button", name="Move to …").last.click()
    expect(page.get_by_role("heading", name="Move 1 series")).to_be_visible()
    page.get_by_text("What is moved").click()
    _is_accessible(page)


@pytest.mark.full
def test_messages_are_read_and_copied(page: Page, web: str, study: Fabricated, picture: Picture) -> None:
    _find(page, web, "test-pacs-1", "closed-port")
    card = page.get_by_role("article", name="Test PACS 1")
    card.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(card.get_by_text("A-ASSOCIATE-RQ")).to_be_visible()
    expect(card.get_by_role("table", name=re.compile("Identifier of C-FIND-RQ"))).to_contain_text("SYN-WEB-1")
    card.get_by_role("button", name="Copy as text").click()
    expect(page.get_by_role("status").get_by_text("Copied")).to_be_attached()
    assert "->  C-FIND-RQ" in page.evaluate("navigator.clipboard.readText()")
    closed = page.get_by_role("article", name="Closed port")
    closed.locator("summary").click()
    expect(closed.get_by_text("TCP connection failed")).to_be_visible()
    _looks_well(page, picture, "query-messages")


@pytest.mark.full
def test_a_dead_server_is_seen_before_and_delays_nobody(
    page: Page, web: str, study: Fabricated, black_hole: str, picture: Picture
) -> None:
    page.goto(f"{web}/query")
    page.get_by_role("button", name="slow ones").click()
    expect(page.get_by_label("Black hole")).to_be_checked()
    expect(page.get_by_label("Test PACS 1", exact=True)).not_to_be_checked()
    page.get_by_label("Test PACS 1", exact=True).check()
    page.get_by_label("Accession number").fill("SYN-WEB-1")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_role("status").get_by_text("1 of 2 servers answered")).to_be_visible()
    expect(page.get_by_role("table", name="Results").get_by_text("Lindgren").first).to_be_visible()
    page.get_by_label("Select study of Lindgren, Astrid on Test PACS 1").check()
    expect(page.get_by_role("status").get_by_text("2 of 2 servers done, 1 failed")).to_be_visible()
    expect(page.get_by_label("Select study of Lindgren, Astrid on Test PACS 1")).to_be_checked()
    expect(page.get_by_role("article", name="Black hole")).to_contain_text("timed out")
    expect(page.get_by_role("link", name="Find out why Black hole does not answer")).to_be_visible()
    _looks_well(page, picture, "query-chosen")


@pytest.mark.full
def test_nothing_found_teaches_and_a_filter_is_removed(
    page: Page, web: str, study: Fabricated, snapshot: Picture
) -> None:
    page.goto(f"{web}/query?pacs=test-pacs-1&accession_number=SYN-WEB-1&patient_name=Nobody&run=1")
    expect(page.get_by_text("Nothing matches on the servers that answered.")).to_be_visible()
    expect(page.get_by_text("Names match from the beginning")).to_be_visible()
    _looks_well(page, snapshot, "query-nothing")
    page.get_by_role("link", name="Search without Patient name").click()
    expect(page.get_by_role("table", name="Results").get_by_text("Lindgren").first).to_be_visible()


@pytest.mark.full
def test_a_move_to_production_says_what_happens(page: Page, web: str, study: Fabricated, picture: Picture) -> None:
    _find(page, web, "test-pacs-1")
    page.get_by_label("Select all on this page").check()
    page.get_by_role("button", name="Move to …").last.click()
    page.get_by_label("Move from Test PACS 1 to").select_option("prod-pacs-1")
    expect(page.get_by_text("Move 1 study, 3 instances, from Test PACS 1 to Prod PACS 1 (prod).")).to_be_visible()
    page.get_by_role("button", name="Move", exact=True).click()
    expect(page.get_by_text("Prod PACS 1 is a production server; nothing was sent")).to_be_visible()
    _looks_well(page, picture, "query-move-production")


@pytest.mark.full
def test_a_list_is_looked_up_and_rows_are_chosen_by_keyboard(
    page: Page, web: str, study: Fabricated, picture: Picture
) -> None:
    page.goto(f"{web}/query/list")
    page.get_by_label("Text", exact=True).fill("SYN-WEB-1\nNOBODY-1")
    page.get_by_label("Closed port").check()
    _is_accessible(page)
    _tab_to(page, "Look them up")
    page.keyboard.press("Enter")
    rows = page.get_by_role("table", name="Rows of the list")
    expect(rows.get_by_text("SYN-WEB-1")).to_be_visible()
    expect(page.get_by_role("status").get_by_text("1 of 2 rows found on a server")).to_be_visible()
    _tab_to(page, "Select study 1 of line 2 on Test PACS 1", "checkbox")
    page.keyboard.press("Space")
    _looks_well(page, picture, "query-list")
    page.get_by_role("button", name="Move to …").click()
    expect(page.get_by_role("heading", name="Move 1 study")).to_be_visible()


@pytest.mark.full
def test_a_schedule_is_added_paused_and_removed(
    page: Page, web: str, study: Fabricated, application: Application, picture: Picture
) -> None:
    page.goto(f"{web}/query?pacs=test-pacs-1&accession_number=SYN-WEB-1&run=1")
    page.get_by_label("Save this search as").fill("every-morning")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("link", name="every-morning")).to_be_visible()
    page.goto(f"{web}/schedules")
    expect(page.get_by_label("Studies", exact=True)).to_be_hidden()
    page.get_by_label("Saved search").select_option("every-morning")
    page.get_by_label("When").fill("30 6 * * 1")
    page.get_by_label("Title").fill("Monday's look")
    page.get_by_role("button", name="Add schedule").click()
    row = page.get_by_role("table", name="Schedules").get_by_role("row").filter(has_text="Monday's look")
    expect(row).to_contain_text("Mondays at 6:30")
    row.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("paused")
    _looks_well(page, picture, "schedules")
    row.get_by_text("Remove", exact=False).first.click()
    page.get_by_role("button", name="Remove schedule").click()
    expect(page.get_by_text("No schedules yet")).to_be_visible()
    application.searches.saved.remove(actor(), "every-morning")
