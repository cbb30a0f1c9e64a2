"""PACS Management in a browser: list, routing matrix and network; by keyboard, for everybody, on a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from dicomfab.app.build import Application
from tests.browser.conftest import Picture, actor

VIEWS = ("/pacs", "/pacs/matrix", "/pacs/network", "/pacs/matrix/test-pacs-1/prod-pacs-1")


@pytest.fixture
def grouped(application: Application) -> Iterator[Application]:
    """The lab's servers with groups, tested routes and a broken one; as they were afterwards."""
    application.pacs.edit(actor(), "test-pacs-1", {"group": "Radiology"})
    application.pacs.edit(actor(), "prod-pacs-1", {"group": "Radiology"})
    application.pacs.set_favourite(actor(), "test-pacs-1", is_on=True)
    before = application.pacs.routes(actor(), "test-pacs-2")
    titles = {row.destination.id: row.ae_title for row in before}
    application.pacs.set_routes(actor(), "test-pacs-2", {"closed-port": "NOBODY", "test-pacs-1": "WRONG_NAME"})
    application.routes.test(actor(), "test-pacs-1", "test-pacs-2")
    application.routes.test(actor(), "test-pacs-2", "test-pacs-1")
    application.routes.test(actor(), "test-pacs-1", "prod-pacs-1")
    yield application
    application.pacs.set_routes(actor(), "test-pacs-2", titles)


def no_sideways(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


@pytest.mark.full
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_everybody_can_use_it(web: str, page: Page, grouped: Application, view: str, theme: str) -> None:
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    page.goto(web + view)
    page.evaluate("theme => document.documentElement.dataset.bsTheme = theme", theme)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.full
@pytest.mark.parametrize("view", VIEWS)
def test_on_a_phone_only_the_table_and_the_picture_scroll(
    web: str, page: Page, grouped: Application, view: str, picture: Picture
) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(web + view)
    assert no_sideways(page)
    if view.count("/") < 3:
        picture(page, f"pacs{view.removeprefix('/pacs').replace('/', '-')}-phone")


@pytest.mark.full
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS[:3])
def test_pictures(web: str, page: Page, grouped: Application, view: str, theme: str, picture: Picture) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(web + view)
    page.evaluate("theme => document.documentElement.dataset.bsTheme = theme", theme)
    name = {"/pacs": "pacs-list", "/pacs/matrix": "pacs-matrix", "/pacs/network": "pacs-network"}[view]
    picture(page, name if theme == "light" else f"{name}-dark")


@pytest.mark.full
def test_a_cell_is_edited_by_keyboard(web: str, page: Page, grouped: Application) -> None:
    page.goto(f"{web}/pacs/matrix?environment=test")
    cell = page.locator('[id="test-pacs-1~closed-port"]')
    edit = cell.get_by_role("link", name="Edit route from Test PACS 1 to Closed port")
    edit.focus()
    page.keyboard.press("Enter")
    box = cell.get_by_role("textbox")
    expect(box).to_be_focused()
    page.keyboard.type("A\\B")
    page.keyboard.press("Enter")
    expect(cell).to_contain_text("backslash")
    expect(cell.get_by_role("textbox")).to_be_focused()
    page.keyboard.press("Escape")
    expect(cell).to_contain_text("no route")
    expect(edit).to_be_focused()
    page.keyboard.press("Enter")
    expect(cell.get_by_role("textbox")).to_be_focused()
    page.keyboard.type("NEWNAME")
    page.keyboard.press("Enter")
    expect(cell).to_contain_text("NEWNAME")
    expect(cell).to_contain_text("Never tested")
    expect(edit).to_be_focused()
    assert grouped.pacs.route(actor(), "test-pacs-1", "closed-port") == "NEWNAME"
    grouped.pacs.set_routes(actor(), "test-pacs-1", {"closed-port": ""})


@pytest.mark.full
def test_all_routes_are_tested_and_the_cells_fill(web: str, page: Page, grouped: Application) -> None:
    page.goto(f"{web}/pacs/matrix?environment=test")
    page.get_by_role("button", name=re.compile(r"^Test all \d")).click()
    expect(page).to_have_url(re.compile(r"run="))
    expect(page.locator('[id="test-pacs-1~test-pacs-2"]')).to_contain_text("Accepted")
    expect(page.locator('[id="test-pacs-2~test-pacs-1"]')).to_contain_text("Fails")
    expect(page.locator("[aria-busy]")).to_have_count(0)


@pytest.mark.full
def test_the_servers_flags_are_one_click_and_can_be_undone(web: str, page: Page, grouped: Application) -> None:
    page.goto(f"{web}/pacs?group=Radiology")
    page.get_by_role("button", name="Active, offered for work: Test PACS 1").click()
    expect(page.get_by_text("Test PACS 1 is inactive now")).to_be_visible()
    assert not grouped.pacs.get(actor(), "test-pacs-1").is_active
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Test PACS 1 is active now")).to_be_visible()
    assert grouped.pacs.get(actor(), "test-pacs-1").is_active


@pytest.mark.full
def test_the_picture_leads_to_a_server_by_keyboard(web: str, page: Page, grouped: Application) -> None:
    page.goto(f"{web}/pacs/network")
    page.locator('.net a[href="/pacs#test-pacs-1"]').focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{web}/pacs#test-pacs-1")
