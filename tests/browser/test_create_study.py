"""Creating studies by recipe, from an order, in batches and with several series; the list of orders."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from dicomfab.app.build import build
from dicomfab.app.settings import Settings
from dicomfab.model.values import Environment
from tests.browser.conftest import Picture, actor, serving
from tests.unit.hl7.messages import OMI_JAPANESE, ORM

Open = Callable[[Page, str], None]
NARROW = {"width": 360, "height": 800}


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The web interface of an installation with two orders and a server that nobody listens for."""
    home = tmp_path_factory.mktemp("office")
    application = build(Settings(home))
    application.orders.add(actor(), ORM, Environment.TEST)
    application.orders.add(actor(), OMI_JAPANESE)
    entry = {"name": "Ward", "host": "127.0.0.1", "port": 9, "aec": "WARD", "environment": "prod"}
    application.pacs.add(actor(), {**entry, "allow_synthetic": True})
    application.close()
    with serving(home) as url:
        yield url


def _form_with_series(page: Page, web: str) -> None:
    page.goto(f"{web}/studies/new")
    page.get_by_role("button", name="Add series").click()
    page.get_by_label("Modality and body part").select_option("text-card")
    expect(page.get_by_role("heading", name="Preview: 1 series")).to_be_visible()
    expect(page.locator(".preview-picture img")).to_have_count(1)
    page.get_by_text("All attributes of the first series").click()
    expect(page.get_by_role("region", name="Attributes").get_by_text("SpecificCharacterSet")).to_be_visible()


def _recipe_refused(page: Page, web: str) -> None:
    page.goto(f"{web}/studies/new/recipe")
    page.get_by_label("Recipe, YAML or JSON").fill("series:\n  - kind: text-card\n    count: many\ncolour: red\n")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.locator(".problems").get_by_text("line 3")).to_be_visible()
    expect(page.locator(".problems").get_by_text("line 4")).to_be_visible()


def _order_pasted(page: Page, web: str) -> None:
    page.goto(f"{web}/studies/new/order")
    page.get_by_label("Message", exact=True).fill(ORM.replace("\r", "\n"))
    page.get_by_label("A test order: no real person is in it").check()
    page.get_by_role("button", name="Read order").click()
    expect(page.get_by_label("Patient name")).to_have_value("Lindgren^Astrid^M^Dr.^III")
    expect(page.get_by_role("row", name="Accession number").get_by_text("OBR-18.1")).to_be_visible()
    expect(page.locator(".preview-picture img")).to_have_count(1)


def _order_unread(page: Page, web: str) -> None:
    page.goto(f"{web}/studies/new/order")
    page.get_by_role("button", name="Read order").click()
    expect(page.locator("#message-error")).to_be_visible()


def _order_of_production(page: Page, web: str) -> None:
    page.goto(f"{web}/studies/new/order?order=2")
    expect(page.get_by_text("This counts as production")).to_be_visible()
    expect(page.locator(".preview-picture img")).to_have_count(1)


def _orders(page: Page, web: str) -> None:
    page.goto(f"{web}/orders")
    expect(page.get_by_role("link", name="Lindgren, Astrid").first).to_be_visible()


def _order(page: Page, web: str) -> None:
    page.goto(f"{web}/orders/1")
    expect(page.locator("#main").get_by_role("link", name="Create study")).to_be_visible()


PAGES = (_form_with_series, _recipe_refused, _order_pasted, _order_unread, _order_of_production, _orders, _order)


@pytest.mark.full  # each page in light is looked at in test_every_page.py
@pytest.mark.parametrize("opened", PAGES, ids=lambda opened: opened.__name__.strip("_"))
def test_page_is_accessible_in_light_and_dark_and_fits_a_narrow_screen(
    page: Page, office: str, picture: Picture, opened: Open
) -> None:
    name = f"create-{opened.__name__.strip('_').replace('_', '-')}"
    opened(page, office)
    _has_no_violation(page)
    picture(page, name)
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    _has_no_violation(page)
    picture(page, f"{name}-dark")
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    _has_no_violation(page)
    picture(page, f"{name}-phone")


@pytest.mark.full
def test_an_order_becomes_a_study_by_keyboard_alone(page: Page, office: str) -> None:
    page.goto(f"{office}/studies/new/order")
    page.get_by_label("Message", exact=True).focus()
    page.evaluate("text => navigator.clipboard.writeText(text)", ORM.replace("\r", "\n"))
    page.keyboard.press("Control+V")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("A test order: no real person is in it")).to_be_checked()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Patient ID", exact=True)).to_have_value("SYN4711")
    page.get_by_label("Images").focus()
    page.keyboard.type("2")
    page.get_by_label("Study description").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("BY KEYBOARD")
    expect(page.locator(".preview-study").get_by_text("BY KEYBOARD")).to_be_visible()
    page.get_by_role("button", name="Create", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Created")).to_be_visible()
    page.goto(f"{office}/orders?q=lindgren&state=made")
    page.get_by_role("link", name="Lindgren, Astrid").first.click()
    expect(page.get_by_role("link", name="Study", exact=True)).to_be_visible()


@pytest.mark.full
def test_the_preview_follows_the_form_and_keeps_the_patient(page: Page, office: str) -> None:
    page.goto(f"{office}/studies/new")
    page.locator("#kind-text-card").check()
    expect(page.locator(".preview-picture img")).to_have_count(1)
    patient = page.locator(".preview-study strong").inner_text()
    page.get_by_label("Description", exact=True).press_sequentially("FOLLOWED")
    expect(page.locator(".preview-study").get_by_text("FOLLOWED")).to_be_visible()
    expect(page.locator(".preview-study strong")).to_have_text(patient)
    expect(page.get_by_label("Description", exact=True)).to_be_focused()
    page.locator("#kind-text-card").uncheck()
    expect(page.get_by_text("tick at least one")).to_be_visible()


@pytest.mark.full
def test_an_example_is_put_into_the_recipe_where_it_belongs(page: Page, office: str) -> None:
    page.goto(f"{office}/studies/new/recipe?recipe=text-cards")
    page.get_by_role("button", name="Insert seed").focus()
    page.keyboard.press("Enter")
    editor = page.get_by_label("Recipe, YAML or JSON")
    expect(editor).to_have_value(re.compile(r"\nseed: 7\n$"))
    expect(page.get_by_role("heading", name="Preview:")).to_be_visible()


@pytest.mark.full
def test_sending_to_production_at_once_wants_its_name(page: Page, office: str) -> None:
    page.goto(f"{office}/studies/new?recipe=text-cards")
    name = page.get_by_label("This is production: type the server's name")
    expect(name).to_be_hidden()
    page.get_by_label("Server", exact=True).select_option("ward")
    expect(name).to_be_visible()
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.locator("#confirm_name-error")).to_be_visible()
    name.fill("Ward")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_role("heading", name="Created")).to_be_visible()
    page.goto(f"{office}/jobs")
    expect(page.get_by_role("link", name="to Ward")).to_be_visible()


@pytest.mark.full
def test_series_are_added_and_removed_without_a_script(browser, office: str) -> None:  # type: ignore[no-untyped-def]
    context = browser.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(f"{office}/studies/new")
        page.get_by_role("button", name="Add series").click()
        page.get_by_role("button", name="Add series").click()
        page.get_by_label("Modality and body part").nth(1).select_option("text-card")
        page.get_by_role("button", name="Remove series 1").click()
        expect(page.get_by_label("Modality and body part")).to_have_value("text-card")
        page.get_by_role("button", name="Preview").click()
        expect(page.get_by_role("heading", name="Preview: 1 series")).to_be_visible()
    finally:
        context.close()


def _has_no_violation(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
