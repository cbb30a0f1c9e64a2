"""A PDF in the viewer, which leaves it to the browser."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserType, Page, expect

from dicomfab.app.build import Application
from tests import chromium
from tests.browser.conftest import Picture
from tests.browser.test_viewer_objects import opened
from tests.unit.services.readable import objects

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def browser(browser_type: BrowserType, browser_type_launch_args: dict[str, Any]) -> Iterator[Browser]:
    """The headless shell reads no PDF."""
    found = chromium.whole()
    if found is None:
        pytest.skip("no Chromium with windows here (Debian: apt-get install chromium)")
    launched = browser_type.launch(**{**browser_type_launch_args, "executable_path": found})
    yield launched
    launched.close()


def test_a_pdf_is_read_in_the_viewer(
    page: Page, web: str, application: Application, tmp_path: Path, picture: Picture
) -> None:
    file, made = io.BytesIO(), objects.pdf()
    Image.new("L", (400, 300), 90).save(file, "PDF")
    made.EncapsulatedDocument = file.getvalue() + bytes(len(file.getvalue()) % 2)
    opened(page, web, application, tmp_path, made, 1)
    document = page.locator("object[type='application/pdf']")
    expect(document).to_be_visible()
    expect(page.get_by_text("No online PDF viewer")).to_be_hidden()
    assert str(document.get_attribute("data")).startswith("blob:")
    picture(page, "viewer/pdf", full_page=False)
