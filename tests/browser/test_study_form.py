"""The Create page: preview before anything is saved, and the choice of a registered patient."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, Route, expect

from dicomfab.app.build import Application, build
from dicomfab.app.settings import Settings
from tests.browser.conftest import Picture, actor, serving

pytestmark = pytest.mark.full  # the short run has the story by keyboard, and the shell

Open = Callable[[Page, str], None]

NARROW = {"width": 400, "height": 800}


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The web interface of an installation with 301 patients."""
    home = tmp_path_factory.mktemp("clinic")
    application: Application = build(Settings(home))
    application.patients.add(actor(), {"patient_id": "SYN00042", "name": "Lindgren^Åsa", "birth_date": "19500102"})
    application.patients.invent(actor(), 300, seed=7)
    application.close()
    with serving(home) as url:
        yield url


def _previewed(page: Page, web: str) -> None:
    page.goto(f"{web}/studies/new?recipe=stroke-mr")
    page.get_by_role("button", name="Preview").click()
    expect(_pictures(page)).to_have_count(5)
    expect(page.get_by_role("status").get_by_text("5 of 5 rendered")).to_be_visible()


def _preview_refused(page: Page, web: str) -> None:
    page.goto(f"{web}/studies/new")
    page.get_by_label("Seed").fill("seven")
    page.locator("#kind-text-card").check()
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("'seven' is not a whole number. Use digits")).to_be_visible()


def _patient_chosen(page: Page, web: str) -> None:
    page.goto(f"{web}/patients?q=asa")
    page.get_by_role("link", name="Create study for Lindgren, Åsa").click()
    expect(page.get_by_role("radio", name="Lindgren, Åsa")).to_be_checked()
    expect(page.get_by_label("Birth date")).to_be_hidden()


PAGES = (_previewed, _preview_refused, _patient_chosen)


@pytest.mark.full  # each page in light is looked at in test_every_page.py
@pytest.mark.parametrize("opened", PAGES, ids=lambda opened: opened.__name__.strip("_"))
def test_page_is_accessible_in_light_and_dark_and_fits_a_narrow_screen(
    page: Page, clinic: str, snapshot: Picture, opened: Open
) -> None:
    name = f"study-form-{opened.__name__.strip('_').replace('_', '-')}"
    opened(page, clinic)
    _has_no_violation(page)
    snapshot(page, name)
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    _has_no_violation(page)
    snapshot(page, f"{name}-dark")
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    _has_no_violation(page)
    snapshot(page, f"{name}-narrow")


def test_a_preview_needs_no_reload_and_what_was_seen_is_created(page: Page, clinic: str, picture: Picture) -> None:
    page.goto(f"{clinic}/studies/new")
    page.evaluate("window.isSamePage = true")
    page.locator("#kind-ct-chest").check()
    page.locator("#kind-dx-chest").check()
    page.get_by_label("Slices", exact=True).fill("4")
    page.get_by_label("Description", exact=True).fill("SEEN BEFORE")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("heading", name="Preview: 3 series")).to_be_focused()
    expect(page.get_by_role("heading", name="Preview: 3 series")).to_be_in_viewport()
    expect(_pictures(page)).to_have_count(3)
    expect(page.get_by_text("CT Image Storage")).to_be_visible()
    assert page.evaluate("window.isSamePage")
    expect(page.locator("#kind-ct-chest")).to_be_checked()
    widths = _pictures(page).evaluate_all("all => all.map(one => one.naturalWidth)")
    assert min(widths) > 100
    patient, seed = _patient(page).inner_text(), page.locator("[name=shown_seed]").input_value()
    page.get_by_role("button", name="Draw anew").click()
    expect(_patient(page)).not_to_have_text(patient)
    assert page.locator("[name=shown_seed]").input_value() != seed
    patient = _patient(page).inner_text()
    expect(_pictures(page)).to_have_count(3)
    _show_form(page, False)  # it is long, and the guide shows it elsewhere
    picture(page, "study-preview")
    _show_form(page, True)
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_role("heading", name="Created")).to_be_visible()
    page.goto(f"{clinic}/studies")
    expect(page.get_by_text("1 study")).to_be_visible()
    expect(page.get_by_role("link", name=patient, exact=True)).to_be_visible()


def test_a_registered_patient_is_found_and_chosen_by_keyboard(page: Page, clinic: str) -> None:
    page.goto(f"{clinic}/studies/new?recipe=text-cards")
    expect(page.get_by_text("301 patients in the registry; type more")).to_be_visible()
    search = page.get_by_role("searchbox")
    search.focus()
    page.keyboard.type("asa lind")
    expect(page.get_by_text("1 patient matching")).to_be_visible()
    expect(search).to_be_focused()
    with page.expect_response(re.compile("/studies/new/patients")):
        page.keyboard.press("Enter")  # searches at once, and creates nothing
    expect(page.locator(".htmx-request")).to_have_count(0)  # what was found stands on the page
    page.keyboard.press("Tab")
    expect(page.get_by_role("radio", name="Invented")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio", name="Lindgren, Åsa")).to_be_focused()
    expect(page.get_by_role("radio", name="Lindgren, Åsa")).to_be_checked()
    expect(page.get_by_label("Birth date")).to_be_hidden()
    search.fill("nobody at all")
    expect(page.get_by_text("No patient matches")).to_be_visible()
    expect(page.get_by_role("radio", name="Lindgren, Åsa")).to_be_checked()
    page.get_by_role("button", name="Preview").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".preview-study")).to_contain_text("Lindgren, Åsa, SYN00042, born 1950-01-02")
    expect(search).to_have_value("nobody at all")
    search.fill("")
    expect(page.get_by_text("301 patients in the registry")).to_be_visible()
    page.get_by_role("radio", name="Invented").check()
    expect(page.get_by_label("Birth date")).to_be_visible()
    expect(page.get_by_role("radio", name="Lindgren, Åsa")).not_to_be_checked()


def test_what_is_typed_while_a_preview_is_made_stays(page: Page, clinic: str) -> None:
    held: list[Route] = []
    page.route("**/studies/new/preview", lambda route: held.append(route))
    page.goto(f"{clinic}/studies/new?recipe=text-cards")
    search = page.get_by_role("searchbox")
    search.fill("asa lind")
    expect(page.get_by_text("1 patient matching")).to_be_visible()
    with page.expect_request("**/studies/new/preview"):
        page.get_by_role("button", name="Preview").click()
    page.get_by_label("Accession number").fill("TYPED-LATE")
    search.fill("")
    with page.expect_response("**/studies/new/preview"):
        held[0].continue_()
    expect(page.locator("#study-preview")).to_contain_text("TYPED-LATE")
    expect(page.get_by_label("Accession number")).to_have_value("TYPED-LATE")
    expect(search).to_have_value("")
    expect(page.get_by_text("301 patients in the registry")).to_be_visible()


def test_a_refused_preview_shows_the_field_and_the_next_one_clears_it(page: Page, clinic: str) -> None:
    _preview_refused(page, clinic)
    expect(page.locator("#seed-error")).to_be_in_viewport()
    page.get_by_label("Seed").fill("7")
    page.get_by_role("button", name="Preview").click()
    expect(_pictures(page)).to_have_count(1)
    expect(page.locator(".field-error")).to_have_count(0)
    expect(page.get_by_role("button", name="Draw anew")).to_have_count(0)


def _show_form(page: Page, is_shown: bool) -> None:
    page.locator(".form-panel").evaluate("(panel, hidden) => { panel.hidden = hidden; }", not is_shown)


def _pictures(page: Page) -> Locator:
    return page.locator(".preview-picture img")


def _patient(page: Page) -> Locator:
    return page.locator(".preview-study strong")


def _has_no_violation(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
