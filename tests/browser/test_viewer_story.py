"""From a search to the picture: a study on a server is found, fetched, shown, scrolled and windowed."""

from __future__ import annotations

import io
import os

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from dicomfab.app.build import Application
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.study import Patient
from tests.browser.conftest import DOCUMENTED, Picture, actor
from tests.browser.viewers import await_picture, digest
from tests.unit.dimse.raw import eventually

ACCESSION = "SYN-LOOK-1"
_FRAME_MS = 1400


class Recording:
    """Pictures of a story, one after the other, for the documentation."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._frames: list[Image.Image] = []

    def take(self) -> None:
        with Image.open(io.BytesIO(self._page.screenshot(animations="disabled", caret="initial"))) as picture:
            self._frames.append(picture.convert("RGB").resize((960, 600)).quantize(96))

    def save(self, name: str) -> None:
        if os.environ.get("DICOMFAB_SCREENSHOTS") == "1":
            first, *others = self._frames
            first.save(
                DOCUMENTED / name, save_all=True, append_images=others, duration=_FRAME_MS, loop=0, optimize=True
            )


def on_a_server_only(application: Application) -> str:
    """A CT that Test PACS 2 holds, and the local store does not."""
    recipe = StudyRecipe(
        (SeriesRecipe("ct-chest", 16),), patient=Patient("Looker^Lena", "SYN0077", "19610405", "F"), seed=11,
        accession_number=ACCESSION, study_date="20260211",
    )  # fmt: skip
    made = application.studies.create(actor(), application.studies.resolve_recipe(actor(), recipe))
    study = made.resolved.study_instance_uid
    sent = application.transfers.send(actor(), study, application.pacs.get(actor(), "test-pacs-2"))
    assert sent.verdict.kind == "verified"
    application.studies.delete(actor(), study)
    return study


def test_a_study_on_a_server_is_one_click_from_the_search(
    page: Page, web: str, application: Application, picture: Picture
) -> None:
    study, recording = on_a_server_only(application), Recording(page)
    page.goto(f"{web}/query?pacs=test-pacs-2&accession_number={ACCESSION}&run=1")
    row = page.locator(f"tbody[data-row='{study}']")
    expect(row).to_be_visible()
    recording.take()
    row.get_by_role("button", name="View").click()
    page.wait_for_url(f"{web}/ohif/viewer?StudyInstanceUIDs={study}")
    await_picture(page)
    recording.take()
    expect(page.get_by_text("1/16").first).to_be_visible()
    first = digest(page)
    viewport = page.locator("[data-cy='viewport-pane']").first
    box = viewport.bounding_box()
    assert box is not None
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)
    for number in range(2, 9):
        page.mouse.wheel(0, 100)
        expect(page.get_by_text(f"{number}/16").first).to_be_visible()
    assert eventually(lambda: digest(page) != first)
    recording.take()
    page.mouse.down()
    page.mouse.move(middle[0] + 160, middle[1] + 60, steps=8)
    page.mouse.up()
    expect(page.get_by_text("400", exact=True)).to_have_count(0)  # the width that the window began with
    recording.take()
    picture(page, "viewer", full_page=False)
    recording.save("viewer-story.gif")
    page.get_by_role("link", name="Back to the study").click()
    page.wait_for_url(f"{web}/studies/{study}")
    expect(page.get_by_text("Fetched to look at")).to_be_visible()


@pytest.mark.full
def test_a_study_that_is_deleted_while_it_is_viewed_is_said_to_be_gone(
    page: Page, web: str, application: Application
) -> None:
    recipe = StudyRecipe((SeriesRecipe("ct-chest", 40),), seed=12)
    made = application.studies.create(actor(), application.studies.resolve_recipe(actor(), recipe))
    study = made.resolved.study_instance_uid
    page.goto(f"{web}/studies/{study}/view")
    await_picture(page)
    application.studies.delete(actor(), study)
    frame = f"/dicom-web/studies/{study}/series/1.2/instances/1.2/frames/1"
    page.evaluate("address => fetch(address).then(answer => answer.text())", frame)  # as the next slice would be
    page.wait_for_url(f"{web}/studies/{study}")
    expect(page.get_by_role("heading", name="Not found")).to_be_visible()
