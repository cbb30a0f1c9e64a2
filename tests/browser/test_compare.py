"""Two servers compared on the pages: from the form to three columns, and what is missing sent."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from dicomfab.app.build import Application
from dicomfab.dimse.scu.store import store
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.study import Patient
from dicomfab.registry.fields import Capability
from dicomfab.services.peers import peer_for
from tests.browser.conftest import Picture, actor

pytestmark = pytest.mark.full  # the short run has the story by keyboard, and the shell

NARROW = {"width": 400, "height": 800}
#: No other test makes studies of this day.
DAY = "2024-02-29"
LEFT, RIGHT = "test-pacs-2", "prod-pacs-2"


@pytest.fixture(scope="module")
def differing(application: Application) -> dict[str, str]:
    """Studies of the day: two on both servers, two on the left one only, one on the right one only, one in part."""
    made = {name: _study(application, seed) for seed, name in enumerate(("both", "also", "l1", "l2", "r"), start=71)}
    for server_id, names in ((LEFT, ("both", "also", "l1", "l2")), (RIGHT, ("both", "also", "r"))):
        server = application.pacs.get(actor(), server_id)
        for name in names:
            application.transfers.send(actor(), made[name], server, confirm_production=True)
    made["part"] = _study(application, 76)
    application.transfers.send(actor(), made["part"], application.pacs.get(actor(), LEFT))
    some = [stored.file for stored in application.local_archive.instances(made["part"])][1:]
    list(store(peer_for(application.pacs.get(actor(), RIGHT), Capability.STORE), some))
    return made


def _study(application: Application, seed: int) -> str:
    recipe = StudyRecipe(
        (SeriesRecipe("text-card", 2), SeriesRecipe("text-card", 1)),
        seed=seed,
        patient=Patient(f"Garbo^Greta{seed}", f"SYNC{seed}"),
        accession_number=f"SYN-C-{seed}",
        study_date=DAY.replace("-", ""),
        study_time="101500",
    )
    made = application.studies.create(actor(), application.studies.resolve_recipe(actor(), recipe))
    return made.resolved.study_instance_uid


def _compare(page: Page, web: str) -> None:
    page.goto(f"{web}/pacs")
    page.locator("#main").get_by_role("link", name="Compare", exact=True).click()
    page.get_by_label("One server").select_option(LEFT)
    page.get_by_label("The other").select_option(RIGHT)
    page.get_by_label("Date").fill(DAY)
    page.get_by_role("button", name="Compare").click()


def test_what_differs_is_shown_in_three_columns_and_sent(
    page: Page, web: str, differing: dict[str, str], picture: Picture, snapshot: Picture
) -> None:
    page.goto(f"{web}/compare")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("Choose a server.", exact=True)).to_be_visible()
    _fits(page, snapshot, "compare-form")

    page.set_viewport_size({"width": 1280, "height": 800})
    _compare(page, web)
    expect(page.get_by_role("heading", name="Not the same")).to_be_visible()
    left = page.get_by_role("region", name="Only on Test PACS 2")
    right = page.get_by_role("region", name="Only on Prod PACS 2")
    differs = page.get_by_role("region", name="Different")
    for name, column in (("l1", left), ("l2", left), ("r", right), ("part", differs)):
        expect(column.get_by_role("link", name=differing[name])).to_be_visible()
    assert [column.get_by_role("listitem").count() for column in (left, right)] == [2, 1]
    expect(differs.get_by_text("2 at Prod PACS 2; 1 instance missing at Prod PACS 2")).to_be_visible()
    picture(page, "compare")
    compared = page.url
    differs.locator("summary").click()
    _fits(page, snapshot, "compare-result")

    page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_role("button", name="Send what is missing to Prod PACS 2").click()
    assert page.url == compared  # the name is not typed
    page.get_by_label("Prod PACS 2 is production").fill("Prod PACS 2")
    page.get_by_role("button", name="Send what is missing to Prod PACS 2").click()
    expect(page.get_by_role("heading", name="3 of 3 studies verified")).to_be_visible()
    page.goto(compared)
    page.get_by_role("button", name="Send what is missing to Test PACS 2").click()
    expect(page.get_by_role("heading", name="Verified")).to_be_visible()
    _compare(page, web)
    expect(page.get_by_role("heading", name="Both hold the same")).to_be_visible()
    _has_no_violation(page)


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
