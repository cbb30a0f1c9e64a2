"""Pages of local studies: used by everybody, by keyboard alone, in light and dark, on a telephone."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from dicomfab.app.build import build
from dicomfab.app.settings import Settings
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.study import Patient
from dicomfab.testpacs.ports import free_ports
from tests.browser.conftest import Picture, actor, serving

PHONE = {"width": 360, "height": 740}
#: The last one is deleted by its test, in whatever order they run.
NAMES = ("Lindgren^Astrid", "Okafor^Ada", "כהן^דוד", "Away^Soon")


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[str]]]:
    """Address of an installation with three studies and a server, and their UIDs."""
    home = tmp_path_factory.mktemp("studies") / "home"
    application = build(Settings(home))
    uids = []
    for seed, name in enumerate(NAMES):
        kinds = (SeriesRecipe.parse("ct-chest:3"), SeriesRecipe.parse("text-card:2"))
        patient = Patient(name, f"SYN{seed:04}", "19700101", "F")
        recipe = StudyRecipe(kinds, patient=patient, seed=seed, accession_number=f"SYN-P-{seed}", study_date="20260131")
        made = application.studies.create(actor(), application.studies.resolve_recipe(actor(), recipe))
        uids.append(made.resolved.study_instance_uid)
    (closed,) = free_ports(1, "127.0.0.1")
    entry = {"name": "Prod archive", "host": "localhost", "port": closed, "aec": "NOBODY", "environment": "prod"}
    application.pacs.add(actor(), entry)
    application.close()
    with serving(home) as url:
        yield url, uids


def _is_fine(page: Page, picture: Picture, name: str) -> None:
    """Axe in light and dark; nothing is wider than a telephone; pictures of all."""
    page.evaluate("() => window.scrollTo(0, 0)")
    for theme in ("light", "dark"):
        page.evaluate("theme => document.documentElement.dataset.bsTheme = theme", theme)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        picture(page, name if theme == "light" else f"{name}-dark")
    page.evaluate("() => document.documentElement.dataset.bsTheme = 'light'")
    usual = page.viewport_size
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    assert page.evaluate("() => document.documentElement.scrollWidth") <= PHONE["width"]
    picture(page, f"{name}-phone")
    page.set_viewport_size(usual)  # type: ignore[arg-type]


@pytest.mark.full
def test_studies_are_chosen_by_keyboard_and_stay_chosen(
    page: Page, studies: tuple[str, list[str]], picture: Picture
) -> None:
    url, uids = studies
    page.goto(f"{url}/studies?sort=patient_id&order=asc")
    first = page.get_by_role("checkbox", name="Select study of Lindgren, Astrid")
    first.focus()
    page.keyboard.press("Space")
    expect(page.get_by_text("1 study chosen")).to_be_visible()
    page.wait_for_url(f"**study={uids[0]}**")
    page.get_by_role("checkbox", name="Select study of כהן, דוד").click(modifiers=["Shift"])
    expect(page.get_by_text("3 studies chosen")).to_be_visible()
    _is_fine(page, picture, "studies-chosen")
    page.get_by_role("searchbox").fill("okafor")
    expect(page.get_by_text("3 studies chosen, 2 of them on other pages")).to_be_visible()
    expect(page.get_by_role("table", name="Local studies").locator("tbody")).to_have_count(1)
    page.get_by_role("button", name="Send to …").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Send 3 studies, 15 instances, to …")).to_be_visible()
    page.get_by_label("Server", exact=True).select_option("prod-archive")
    expect(page.get_by_label("This is production: type the server's name to send to it")).to_be_visible()
    _is_fine(page, picture, "studies-send")
    page.get_by_role("button", name="Send 3 studies, 15 instances").click()
    expect(page.get_by_text("Prod archive is a production server; nothing was sent")).to_be_visible()
    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_text("3 studies chosen")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_role("button", name="Delete")).to_be_hidden()


@pytest.mark.full
def test_a_zip_is_downloaded(page: Page, studies: tuple[str, list[str]]) -> None:
    url, uids = studies
    page.goto(f"{url}/studies?study={uids[0]}&study={uids[1]}")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download zip").click()
    with zipfile.ZipFile(Path(waiting.value.path())) as archive:
        assert "DICOMDIR" in archive.namelist()
        assert len(archive.namelist()) == 12


@pytest.mark.full
def test_filters_are_seen_and_taken_off(page: Page, studies: tuple[str, list[str]], picture: Picture) -> None:
    url, _ = studies
    page.goto(f"{url}/studies")
    page.get_by_label("Environment").select_option("prod")
    expect(page.get_by_text("No study matches")).to_be_visible()
    page.get_by_role("link", name="Environment: prod").click()
    expect(page.get_by_role("table", name="Local studies")).to_be_visible()
    page.get_by_text("More filters").click()
    page.get_by_label("Patient name").fill("okaf*")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Patient name: okaf*")).to_be_visible()
    expect(page.get_by_role("table", name="Local studies").locator("tbody")).to_have_count(1)
    _is_fine(page, picture, "studies-filtered")


@pytest.mark.full
def test_an_instance_is_read_by_keyboard(page: Page, studies: tuple[str, list[str]], picture: Picture) -> None:
    url, uids = studies
    page.goto(f"{url}/studies/{uids[0]}")
    _is_fine(page, picture, "study-page")
    page.get_by_role("table", name="Series").get_by_role("link").first.click()
    expect(page.get_by_role("table", name="Instances")).to_be_visible()
    _is_fine(page, picture, "study-series")
    page.get_by_role("table", name="Instances").get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="Instance 1 of 3")).to_be_visible()
    expect(page.get_by_role("table", name="Attributes").first).to_contain_text("PatientName")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("heading", name="Instance 2 of 3")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("heading", name="Instance 1 of 3")).to_be_visible()
    page.get_by_text("1 item of ProcedureCodeSequence").click()
    expect(page.get_by_text("CodeMeaning").first).to_be_visible()
    _is_fine(page, picture, "study-instance")
    page.get_by_role("searchbox").fill("codemeaning")
    expect(page.get_by_role("table", name="Attributes that match")).to_be_visible()
    page.wait_for_url("**q=codemeaning**")
    _is_fine(page, picture, "study-attributes")


@pytest.mark.full
def test_differences_of_two_instances(page: Page, studies: tuple[str, list[str]], picture: Picture) -> None:
    url, uids = studies
    page.goto(f"{url}/studies?study={uids[0]}&study={uids[1]}")
    page.get_by_role("button", name="Differences").click()
    expect(page.get_by_text("They differ")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="PatientName")).to_contain_text("Differs")
    expect(page.get_by_role("row").filter(has_text="TransferSyntaxUID")).to_have_count(0)
    _is_fine(page, picture, "study-differences")
    page.get_by_role("link", name="All attributes").click()
    expect(page.get_by_role("row").filter(has_text="TransferSyntaxUID")).to_contain_text("Same")


@pytest.mark.full
def test_studies_are_validated_and_deleted(page: Page, studies: tuple[str, list[str]], picture: Picture) -> None:
    url, uids = studies
    page.goto(f"{url}/studies?study={uids[3]}")
    page.get_by_role("button", name="Validate").click()
    expect(page.get_by_text("5 of 5 instances checked")).to_be_visible(timeout=90_000)
    _is_fine(page, picture, "study-validation")
    page.goto(f"{url}/studies?study={uids[3]}")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Delete this study?")).to_be_visible()
    _is_fine(page, picture, "studies-delete")
    page.get_by_role("button", name="Delete 1 study, 5 instances").click()
    expect(page.get_by_role("link", name="Away, Soon")).to_have_count(0)
