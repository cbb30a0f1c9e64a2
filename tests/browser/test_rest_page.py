"""The page that describes the REST interface: it shows, a request can be tried, and the security policy holds."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import ConsoleMessage, Page, Request, expect

from dicomfab.app.build import build
from dicomfab.app.settings import Settings
from dicomfab.web.app import create_app
from tests.browser.conftest import PATIENCE_MS
from tests.unit.web.api.conftest import serving


@pytest.mark.full
def test_the_page_of_the_interface_shows_and_asks_nobody_else(page: Page, tmp_path: Path) -> None:
    application = build(Settings(tmp_path / "home", worker_idle_s=0))
    complaints: list[str] = []
    asked: set[str] = set()

    def heard(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            complaints.append(message.text)

    def seen(request: Request) -> None:
        asked.add(urlsplit(request.url).netloc)

    page.on("console", heard)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", seen)
    with serving(create_app(application)) as address:
        page.goto(f"{address}/api/v1/docs")
        expect(page.locator(".opblock-tag").first).to_be_visible()
        page.locator("#operations-tag-me").click()
        page.locator("#operations-me-me_who_am_i .opblock-summary-control").click()
        page.get_by_role("button", name="Try it out").click()
        page.get_by_role("button", name="Execute").click()
        answer = page.locator(".live-responses-table .response .microlight").first
        expect(answer).to_contain_text('"local"', timeout=PATIENCE_MS)
        page.screenshot(path=str(tmp_path / "rest-api.png"))
        assert asked - {""} == {urlsplit(address).netloc}
    assert complaints == []
    application.close()
