"""The whole story by keyboard alone: create, preview, send, find on four servers, move, read the job."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Picture

#: From the content of a page, nothing of the story is farther away than this.
MOST_TABS = 40
ACCESSION = "SYN-STORY-1"
SLICES = 6
INSTANCES = SLICES + 2
EVERYTHING_LISTED = f"all {INSTANCES} instances are listed at the destination"

HAS_OUTLINE = """element => {
  const { outlineStyle, outlineWidth } = getComputedStyle(element);
  return outlineStyle !== "none" && parseFloat(outlineWidth) > 0;
}"""


@pytest.mark.full
def test_the_whole_story_by_keyboard_alone(page: Page, web: str, picture: Picture) -> None:
    page.goto(web)
    _create(page, picture)
    _send(page, picture)
    _find_on_four_servers(page, picture)
    _move(page, picture)
    _read_the_job(page, picture)


def _create(page: Page, picture: Picture) -> None:
    _go(page, "create study", "Create study")
    _skip_to_the_content(page)
    _tab_to(page, "checkbox", "CT of the chest")
    page.keyboard.press("Space")
    _tab_to(page, "checkbox", "Chest X-ray, PA and lateral")
    page.keyboard.press("Space")
    _tab_to(page, "link", "Skip the kinds", key="Shift+Tab")
    page.keyboard.press("Enter")
    for label, text in (
        ("Patient name", "Okonkwo^Chidi"),
        ("Accession number", ACCESSION),
        ("Slices", str(SLICES)),
        ("Seed", "11"),
    ):
        _tab_to(page, "textbox", label)
        page.keyboard.type(text)
    _tab_to(page, "button", "Preview")
    page.keyboard.press("Enter")
    preview = page.locator("#study-preview")
    expect(preview.get_by_role("heading", name=f"Preview: 3 series, {INSTANCES} instances")).to_be_focused()
    expect(preview.get_by_role("img")).to_have_count(3)
    expect(preview.get_by_text("Okonkwo, Chidi")).to_be_visible()
    picture(page, "story-1-preview", full_page=False)
    page.keyboard.press("Control+s")
    expect(page.get_by_role("heading", name="Created")).to_be_visible()


def _send(page: Page, picture: Picture) -> None:
    _skip_to_the_content(page)
    _tab_to(page, "link", "Show and send")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Okonkwo, Chidi")).to_be_visible()
    _skip_to_the_content(page)
    _tab_to(page, "combobox", "Server")
    page.keyboard.type("Test PACS 1")
    expect(page.get_by_label("Server", exact=True)).to_have_value("test-pacs-1")
    picture(page, "story-2-send")
    page.keyboard.press("Control+s")
    expect(page.get_by_role("heading", name="Verified")).to_be_visible()
    expect(page.locator("[data-verdict]")).to_contain_text(EVERYTHING_LISTED)


def _find_on_four_servers(page: Page, picture: Picture) -> None:
    page.keyboard.press("Control+2")
    page.wait_for_url("**/query")
    for name in ("Prod PACS 1", "Prod PACS 2"):
        expect(page.get_by_label(name, exact=True)).not_to_be_checked()
    _skip_to_the_content(page)
    # The one that nobody answers for is not asked; production is, because somebody says so.
    for name in ("Closed port", "Prod PACS 1", "Prod PACS 2"):
        _tab_to(page, "checkbox", name)
        page.keyboard.press("Space")
    expect(page.get_by_label("Closed port", exact=True)).not_to_be_checked()
    for name in ("Test PACS 1", "Test PACS 2", "Prod PACS 1", "Prod PACS 2"):
        expect(page.get_by_label(name, exact=True)).to_be_checked()
    _tab_to(page, "textbox", "Accession number")
    page.keyboard.type(ACCESSION)
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").get_by_text("4 of 4 servers answered · 1 study found")).to_be_visible()
    for name, found in (("Test PACS 1", 1), ("Test PACS 2", 0), ("Prod PACS 1", 0), ("Prod PACS 2", 0)):
        expect(page.get_by_role("article", name=name)).to_contain_text(f"{found} found")
    picture(page, "story-3-found")


def _move(page: Page, picture: Picture) -> None:
    page.keyboard.press("Control+f")
    expect(page.get_by_label("Narrow the results")).to_be_focused()
    _tab_to(page, "checkbox", "Select study of Okonkwo, Chidi on Test PACS 1")
    page.keyboard.press("Space")
    expect(page.get_by_text("1 study chosen")).to_be_visible()
    page.keyboard.press("Control+s")
    expect(page.get_by_role("heading", name=f"Move 1 study, {INSTANCES} instances")).to_be_visible()
    _skip_to_the_content(page)
    _tab_to(page, "combobox", "Move from Test PACS 1 to")
    page.keyboard.type("Prod PACS 1")
    page.keyboard.press("Control+s")
    expect(page.get_by_text("Prod PACS 1 is a production server; nothing was sent")).to_be_visible()
    _skip_to_the_content(page)
    _tab_to(page, "textbox", "This is production: type the server's name to send to it")
    page.keyboard.type("Prod PACS 1")
    expect(page.get_by_text("from Test PACS 1 to Prod PACS 1 (prod)")).to_be_visible()
    picture(page, "story-4-move")
    page.keyboard.press("Enter")


def _read_the_job(page: Page, picture: Picture) -> None:
    expect(page.get_by_role("status").get_by_text("Succeeded")).to_be_visible()
    expect(page.get_by_role("heading", name="Verified")).to_be_visible()
    expect(page.locator("[data-verdict]")).to_contain_text(EVERYTHING_LISTED)
    for figure in (f"Expected{INSTANCES}", f"Present there now{INSTANCES}", f"Arrived with this{INSTANCES}", "Failed0"):
        expect(page.locator(".figure").filter(has_text=figure).first).to_be_visible()
    expect(page.get_by_label("Sub-operations")).to_contain_text(f"Completed{INSTANCES}", use_inner_text=False)
    picture(page, "story-5-job")
    _skip_to_the_content(page)
    _tab_to(page, "link", "Find it on Prod PACS 1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("article", name="Prod PACS 1")).to_contain_text("1 found")
    results = page.get_by_role("table", name="Results")
    expect(results.get_by_role("cell", name=str(INSTANCES), exact=True)).to_be_visible()
    picture(page, "story-6-arrived")


def _go(page: Page, words: str, choice: str) -> None:
    """To a page, by the command palette."""
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name="Page, server")).to_be_focused()
    page.keyboard.type(words)
    expect(page.locator("#palette-choices [aria-selected=true]")).to_contain_text(choice)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=choice, level=1)).to_be_visible()


def _skip_to_the_content(page: Page) -> None:
    """As after loading a page: the first Tab reaches the skip link, which leads past the navigation."""
    _tab_to(page, "link", "Skip to the content", most=1)
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()


def _tab_to(page: Page, role: str, name: str, most: int = MOST_TABS, key: str = "Tab") -> None:
    """Press Tab until what the accessibility tree calls so has the focus; it is seen at each stop."""
    passed: list[str] = []
    for _ in range(most):
        page.keyboard.press(key)
        focused = page.locator(":focus")
        if not focused.count():
            # The button that opens the calendar of a date field is inside of what a selector sees.
            assert page.evaluate("document.activeElement !== document.body"), f"Tab left the page; passed: {passed}"
            passed.append("the calendar")
            continue
        assert focused.evaluate(HAS_OUTLINE), f"the focus is not seen on {focused.evaluate('e => e.outerHTML')[:200]}"
        passed.append(focused.aria_snapshot().splitlines()[0].replace("''", "'"))  # it is YAML
        if re.match(rf"""- '?{role} "{re.escape(name)}""", passed[-1]):
            return
    raise AssertionError(f"{role} {name!r} is not reached with {most} Tabs; passed: {passed}")
