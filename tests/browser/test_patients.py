"""The pages of the patients: usable by everybody, and from an invented patient to the deleted one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from dicomfab.app.build import Application, build
from dicomfab.app.settings import Settings
from tests.browser.conftest import Picture, actor, serving

pytestmark = pytest.mark.full  # the short run has the story by keyboard, and the shell

Open = Callable[[Page, str], None]

NARROW = {"width": 400, "height": 800}


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The web interface of an installation with 28 patients."""
    home = tmp_path_factory.mktemp("clinic")
    application: Application = build(Settings(home))
    application.patients.invent(actor(), 27, seed=7)
    application.patients.add(actor(), {"patient_id": "HSP00042", "name": "Lindgren^Åsa", "birth_date": "19500102"})
    application.close()
    with serving(home) as url:
        yield url


def _list(page: Page, web: str) -> None:
    page.goto(f"{web}/patients")
    expect(page.get_by_text("28 patients, page 1 of 2")).to_be_visible()
    expect(page.get_by_text("not SYN: may merge with a real patient")).to_be_visible()


def _form_with_mistake(page: Page, web: str) -> None:
    page.goto(f"{web}/patients/new")
    page.get_by_label("Name", exact=True).fill("Doe^Ann")
    page.get_by_label("Size (m)").fill("170")
    page.get_by_role("button", name="Add patient").click()
    expect(page.get_by_text("is not a number from 0.2 to 2.8")).to_be_visible()


def _edit(page: Page, web: str) -> None:
    page.goto(f"{web}/patients?q=asa")
    page.get_by_role("link", name="Lindgren, Åsa", exact=True).click()
    expect(page.get_by_role("heading", name="This ID looks real")).to_be_visible()


def _invent_with_mistake(page: Page, web: str) -> None:
    page.goto(f"{web}/patients/invent")
    page.get_by_label("Pattern").fill("SYN{6digts}")
    page.get_by_role("button", name="Invent").click()
    expect(page.get_by_text("position 4: '{6digts}' is not a slot")).to_be_visible()


def _deletion(page: Page, web: str) -> None:
    page.goto(f"{web}/patients?q=asa")
    page.get_by_role("link", name="Delete Lindgren, Åsa").click()
    expect(page.get_by_text("No local study carries this ID.")).to_be_visible()


def _import_with_mistake(page: Page, web: str) -> None:
    page.goto(f"{web}/patients/import")
    file = {"name": "p.csv", "mimeType": "text/csv", "buffer": b"patient_id,name,sex\nSYN1,A,Q\nSYN2,,F\n"}
    page.get_by_label("CSV file").set_input_files(file)  # type: ignore[arg-type]
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("line 2, sex: 'Q'")).to_be_visible()


PAGES = (_list, _form_with_mistake, _edit, _invent_with_mistake, _deletion, _import_with_mistake)


@pytest.mark.full  # each page in light is looked at in test_every_page.py
@pytest.mark.parametrize("opened", PAGES, ids=lambda opened: opened.__name__.strip("_"))
def test_page_is_accessible_in_light_and_dark_and_fits_a_narrow_screen(
    page: Page, clinic: str, snapshot: Picture, opened: Open
) -> None:
    name = f"patients-{opened.__name__.strip('_').replace('_', '-')}"
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


def test_from_invention_to_deletion(page: Page, tmp_path: Path, picture: Picture) -> None:
    with serving(tmp_path / "home") as web:
        page.goto(web)
        page.get_by_role("navigation", name="Main").get_by_role("link", name="Patients").click()
        expect(page.get_by_text("No patients yet")).to_be_visible()
        page.get_by_role("main").get_by_role("link", name="Invent").first.click()
        page.get_by_label("How many").fill("12")
        page.get_by_label("Seed").fill("5")
        page.get_by_role("button", name="Invent").click()
        expect(page.get_by_text("12 patients")).to_be_visible()
        page.get_by_role("link", name="Add patient").click()
        page.get_by_label("Name", exact=True).fill("Åkesson^Zoé")
        page.get_by_label("Birth date").fill("1980-02-29")
        page.get_by_role("button", name="Add patient").click()
        page.get_by_role("link", name="Patient", exact=True).click()
        picture(page, "patients")
        page.get_by_role("searchbox").fill("akesson zoe")
        expect(page.get_by_text("1 patient with")).to_be_visible()
        page.get_by_role("link", name="Edit Åkesson, Zoé").click()
        page.get_by_label("Weight (kg)").fill("61,5")
        page.get_by_role("button", name="Save changes").click()
        expect(page.get_by_text("61.5 kg")).to_be_visible()
        with page.expect_download() as download:
            page.get_by_role("link", name="Export").click()
        table = download.value.path().read_bytes()
        assert table.count(b"\r\n") == 14
        page.get_by_role("link", name="Delete Åkesson, Zoé").click()
        page.get_by_role("button", name="Delete").click()
        expect(page.get_by_text("12 patients")).to_be_visible()
        page.get_by_role("link", name="Import").click()
        file = {"name": "patients.csv", "mimeType": "text/csv", "buffer": table}
        page.get_by_label("CSV file").set_input_files(file)  # type: ignore[arg-type]
        page.get_by_role("button", name="Import").click()
        expect(page.get_by_text("1 added, 0 changed, 12 as before")).to_be_visible()


def _has_no_violation(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
