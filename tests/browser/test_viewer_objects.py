"""What holds no plain pictures: in the viewer where that can show it, on our own page where it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from pydicom.dataset import Dataset

from dicomfab.app.build import Application
from tests.browser.conftest import Picture, actor
from tests.browser.viewers import await_picture
from tests.unit.services.readable import objects

pytestmark = pytest.mark.full

_ROOT = "1.2.826.0.1.3680043.2.1125.9"


def opened(page: Page, web: str, application: Application, folder: Path, made: Dataset, number: int) -> None:
    """Import an object as a study of its own, and open that."""
    made.StudyInstanceUID, made.SeriesInstanceUID = f"{_ROOT}.{number}", f"{_ROOT}.{number}.1"
    made.SOPInstanceUID = f"{_ROOT}.{number}.1.1"
    objects.written(folder, made)
    application.importing.take(actor(), [folder])
    page.set_viewport_size({"width": 1024, "height": 640})
    page.goto(f"{web}/studies/{made.StudyInstanceUID}/view")


def test_an_ecg_is_drawn_in_the_viewer(
    page: Page, web: str, application: Application, tmp_path: Path, picture: Picture
) -> None:
    opened(page, web, application, tmp_path, objects.ecg(), 2)
    assert "/ohif/" in page.url
    await_picture(page, least=8)
    picture(page, "viewer/ecg", full_page=False)


@pytest.mark.parametrize(
    ("name", "number", "said"),
    [
        ("report", 3, "Chest CT Report"),
        ("key_objects", 4, "For Teaching"),
        ("presentation", 5, "Softcopy Presentation State"),
        ("dose", 6, "RT Dose"),
        ("plan", 7, "RT Plan"),
        ("segmentation", 8, "Liver"),
        ("structure_set", 9, "RT Structure Set"),
        ("cda", 10, "CDA"),
    ],
)
def test_what_the_viewer_cannot_show_is_read_on_our_page(
    page: Page, web: str, application: Application, tmp_path: Path, picture: Picture, name: str, number: int, said: str
) -> None:
    opened(page, web, application, tmp_path, getattr(objects, name)(), number)
    page.wait_for_url("**/look")
    expect(page.get_by_role("main").get_by_text(said).first).to_be_visible()
    picture(page, f"viewer/{name.replace('_', '-')}", full_page=False)
