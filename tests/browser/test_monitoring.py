"""The board of monitoring after a month of a server that flaps: true, usable by everybody, and kept up to date."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from dicomfab.app.build import Application, build
from dicomfab.app.settings import Settings
from dicomfab.model.monitoring import Check, Terms
from dicomfab.services.monitor.service import Switch
from tests.browser.conftest import Picture, actor, serving
from tests.unit.services.ward import ADMIN, Clock, Ward

pytestmark = pytest.mark.full  # the short run has the story by keyboard, and the shell

NARROW = {"width": 400, "height": 800}
EVERY_S = 300.0


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """Weeks of hourly checks, then a simulated day of real ones, up to now."""
    application = build(Settings(tmp_path_factory.mktemp("monitored")))
    now = datetime.now(UTC)
    ward = Ward(application.database, Clock(now - timedelta(days=25)))
    steady, flapping = ward.add("Steady archive"), ward.add("Flapping router")
    ward.add("Hospital PACS", "prod")
    away = ward.add("Moved away")
    try:
        _weeks(ward, flapping.id, steady.id, now - timedelta(days=1))
        for server in (steady, flapping, away):
            ward.service.change(ADMIN, server.id, switch=Switch.USUAL, interval_s=EVERY_S)
        begin = now - timedelta(days=1)
        ward.clock.moment = begin
        outages = [(begin + timedelta(hours=h), begin + timedelta(hours=h, minutes=40)) for h in (2, 9, 16, 23)]
        ward.live(now, {steady.id: [], flapping.id: outages})
        for server in (steady, flapping):
            if server.id not in ward.running:
                ward.start(server)
        yield application
    finally:
        ward.stop_all()
        application.close()


def _weeks(ward: Ward, flapping: str, steady: str, until: datetime) -> None:
    terms = Terms(3600, 3600, 7200)
    while ward.clock.moment < until:
        hour = ward.clock.moment.toordinal() * 24 + ward.clock.moment.hour
        for claim in ward.repository.claim([flapping, steady]):
            is_down = claim.server_id == flapping and hour % 101 < 9
            error = {"heading": "Connection failed"} if is_down else {}
            check = Check(claim.at, not is_down, None if is_down else 3.0 + hour % 7, error)
            ward.repository.record(claim, check, terms, tell=False)
        ward.clock.forward(3600)


@pytest.fixture(scope="module")
def pages(monitored: Application) -> Iterator[str]:
    with serving(monitored.settings.home) as url:
        yield url


def board(page: Page, url: str) -> None:
    page.goto(f"{url}/monitor")
    expect(page.get_by_role("table", name="Monitored servers")).to_be_visible()


def one_server(page: Page, url: str) -> None:
    board(page, url)
    page.get_by_role("link", name="Flapping router").first.click()
    expect(page.get_by_role("heading", name="Last 90 days")).to_be_visible()


@pytest.mark.full  # each page in light is looked at in test_every_page.py
@pytest.mark.parametrize("opened", [board, one_server], ids=["board", "server"])
def test_page_is_accessible_in_light_and_dark_and_fits_a_narrow_screen(
    page: Page, pages: str, opened, picture: Picture, snapshot: Picture
) -> None:
    opened(page, pages)
    _has_no_violation(page)
    if opened is board:
        picture(page, "monitoring")
    snapshot(page, f"page-monitor-{opened.__name__}")
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    _has_no_violation(page)
    snapshot(page, f"page-monitor-{opened.__name__}-dark")
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    _has_no_violation(page)
    snapshot(page, f"page-monitor-{opened.__name__}-narrow")


def test_the_board_tells_up_from_down_in_words(page: Page, pages: str) -> None:
    board(page, pages)
    rows = page.get_by_role("table", name="Monitored servers")
    expect(rows.get_by_role("row").filter(has_text="Steady archive")).to_contain_text("Up")
    expect(rows.get_by_role("row").filter(has_text="Moved away")).to_contain_text("Down")
    expect(rows.get_by_role("row").filter(has_text="Hospital PACS")).to_contain_text("Not monitored")
    strip = rows.get_by_role("row").filter(has_text="Flapping router").get_by_role("img", name="last 30 days")
    expect(strip).to_have_accessible_name(
        name := str(strip.get_attribute("aria-label"))  # told to a screen reader
    )
    assert "with downtime" in name
    assert "% up" in name
    expect(page.get_by_role("table", name="Events")).to_contain_text("down for")


def test_a_board_that_is_open_follows_what_happens(page: Page, pages: str, monitored: Application) -> None:
    board(page, pages)
    row = page.get_by_role("table", name="Monitored servers").get_by_role("row").filter(has_text="Moved away")
    expect(row).to_contain_text("Down")
    monitored.monitoring.change(actor(), "moved-away", switch=Switch.OFF)
    expect(row).to_contain_text("Not monitored")
    monitored.monitoring.change(actor(), "moved-away", switch=Switch.USUAL)
    expect(row).to_contain_text("Down")


def test_production_is_switched_on_and_off_by_keyboard(page: Page, pages: str, monitored: Application) -> None:
    board(page, pages)
    link = page.get_by_role("link", name="Hospital PACS")
    link.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("tell those who run it")).to_be_visible()
    for said, shown in (("On", "Last check failed"), ("Off", "Not monitored")):
        page.get_by_label("Monitoring", exact=True).select_option(label=said)
        page.get_by_role("button", name="Save").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("region", name="State")).to_contain_text(shown)


def _has_no_violation(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
