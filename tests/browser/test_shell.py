"""What is around every page: navigation, palette, shortcuts, and a server that goes away and comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from dicomfab.services.studies import Fabricated
from tests.browser.conftest import Picture, serving


def violations(page: Page) -> list[str]:
    return [f"{v['id']}: {v['nodes'][0]['target']}" for v in Axe().run(page).response["violations"]]


def test_the_palette_finds_and_goes_by_keyboard_alone(
    page: Page, web: str, study: Fabricated, picture: Picture
) -> None:
    page.goto(web)
    page.keyboard.press("Control+k")
    box, choices = page.get_by_role("combobox", name="Page, server"), page.locator("#palette-choices")
    expect(box).to_be_focused()
    expect(choices.get_by_role("option", name="Query PACS")).to_be_visible()
    page.keyboard.type("lindgren")
    option = choices.get_by_role("option", name="Lindgren, Astrid")
    expect(option).to_have_attribute("aria-selected", "true")
    assert violations(page) == []
    picture(page, "palette")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/studies/{study.resolved.study_instance_uid}")
    page.keyboard.press("Control+k")
    page.keyboard.type("test pacs 1")
    expect(choices.get_by_role("option", name="Diagnose Test PACS 1")).to_be_visible()
    expect(choices.get_by_role("option", name="Settings")).to_have_count(0)
    page.keyboard.press("ArrowDown")
    expect(choices.get_by_role("option", name="Query Test PACS 1")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()


@pytest.mark.full
def test_shortcuts_lead_to_pages(page: Page, web: str) -> None:
    page.goto(web)
    for keys, address in (
        ("Control+2", "/query"),
        ("Control+3", "/studies"),
        ("Control+4", "/pacs"),
        ("Control+1", "/"),
    ):
        page.keyboard.press(keys)
        page.wait_for_url(f"{web}{address}")
    page.keyboard.press("Alt+n")
    page.wait_for_url(f"{web}/studies/new")
    page.locator("main").click(position={"x": 2, "y": 2})
    page.keyboard.press("?")
    expect(page.get_by_role("heading", name="Keyboard shortcuts")).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="Keyboard shortcuts")).to_be_hidden()


@pytest.mark.full
def test_a_key_that_is_typed_stays_text(page: Page, web: str) -> None:
    page.goto(f"{web}/help")
    page.keyboard.press("/")
    box = page.get_by_role("searchbox", name="Search the guide")
    expect(box).to_be_focused()
    page.keyboard.type("why / what?")
    expect(box).to_have_value("why / what?")
    page.keyboard.press("Enter")
    page.wait_for_url("**/help?q=*")


@pytest.mark.full
def test_the_menu_of_a_phone_opens_by_its_button(page: Page, web: str, picture: Picture) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(web)
    link = page.get_by_role("navigation", name="Main").get_by_role("link", name="Jobs")
    expect(link).to_be_hidden()
    button = page.get_by_role("button", name="Menu")
    button.press("Enter")
    expect(button).to_have_attribute("aria-expanded", "true")
    assert violations(page) == []
    picture(page, "menu-phone")
    link.click()
    page.wait_for_url(f"{web}/jobs")


@pytest.mark.full
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_dashboard_and_the_guide_are_accessible(
    page: Page, web: str, study: Fabricated, scheme: str, picture: Picture
) -> None:
    assert study
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    for path, name in (
        ("/", "dashboard"),
        ("/help/docs/user-guides/queries.md", "help"),
        ("/help?q=move", "help-found"),
    ):
        page.goto(f"{web}{path}")
        assert violations(page) == [], (path, scheme)
        picture(page, name if scheme == "light" else f"{name}-dark", full_page=False)


@pytest.mark.full
def test_a_server_that_goes_away_is_said_and_what_was_typed_is_kept(page: Page, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serving(home) as url:
        page.goto(f"{url}/pacs/new")
        page.get_by_label("Name", exact=True).fill("Kept")
    page.get_by_role("button", name="Add PACS").click()
    expect(page.get_by_text("DICOM Fabricator does not answer.")).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_have_value("Kept")
    command = [sys.executable, "-m", "dicomfab", "serve", "--port", url.rpartition(":")[2]]
    with subprocess.Popen(command, env={**os.environ, "DICOMFAB_HOME": str(home)}, stdout=subprocess.PIPE) as again:
        try:
            expect(page.get_by_text("DICOM Fabricator does not answer.")).to_be_hidden()
            expect(page.get_by_label("Name", exact=True)).to_have_value("Kept")
        finally:
            again.send_signal(signal.SIGINT)
            again.communicate(timeout=15)
