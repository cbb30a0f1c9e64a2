"""Every page: usable by everybody, in light and dark, wide and narrow, with the keyboard alone."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from dicomfab.services.studies import Fabricated
from tests.browser.conftest import Picture, serving

pytestmark = pytest.mark.full  # the short run has the story by keyboard, and the shell

Open = Callable[[Page, str], None]

NARROW = {"width": 400, "height": 800}
ALL_SERVERS = "pacs=test-pacs-1&pacs=test-pacs-2&pacs=prod-pacs-1&pacs=prod-pacs-2&pacs=closed-port"


def _home(page: Page, web: str) -> None:
    page.goto(web)
    expect(page.get_by_role("heading", name="Dashboard")).to_be_visible()


def _servers(page: Page, web: str) -> None:
    page.goto(f"{web}/pacs")
    page.get_by_role("button", name="Test Connection of Closed port").click()
    expect(page.get_by_role("heading", name="Connection failed")).to_be_visible()


def _server_form_with_mistake(page: Page, web: str) -> None:
    page.goto(f"{web}/pacs/new")
    page.get_by_text("More", exact=True).click()
    page.get_by_text("Secure connection (TLS)", exact=True).click()
    page.get_by_label("Name", exact=True).fill("Hospital PACS")
    page.get_by_label("Host", exact=True).fill("pacs.example.com")
    page.get_by_label("Port", exact=True).fill("70000")
    page.get_by_label("AEC", exact=True).fill("PACS")
    page.get_by_label("Environment", exact=True).select_option("prod")
    page.get_by_role("button", name="Add PACS").click()
    expect(page.get_by_text("'70000' is not a port number")).to_be_visible()


def _routing(page: Page, web: str) -> None:
    page.goto(f"{web}/pacs/test-pacs-1/routing")
    expect(page.get_by_label("Move AE for Prod PACS 1")).to_have_value("PRODPACS")


def _import(page: Page, web: str) -> None:
    page.goto(f"{web}/pacs/import")
    file = {"name": "servers.json", "mimeType": "application/json", "buffer": b'{"name": "X", "prot": 104}'}
    page.get_by_label("JSON file").set_input_files(file)  # type: ignore[arg-type]
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_role("heading", name="Invalid input")).to_be_visible()


def _deletion(page: Page, web: str) -> None:
    page.goto(f"{web}/pacs/prod-pacs-1/delete")
    expect(page.get_by_role("heading", name="Delete Prod PACS 1?")).to_be_visible()


def _query(page: Page, web: str) -> None:
    page.goto(f"{web}/query?{ALL_SERVERS}&accession_number=SYN-WEB-1&run=1")
    expect(page.get_by_role("status").get_by_text("5 of 5 servers done, 1 failed")).to_be_visible()
    holder = page.get_by_role("table", name="Results")
    expect(holder.get_by_role("row").filter(has_text="Lindgren").first).to_be_visible()
    holder.get_by_role("button", name="Move to …").first.click()
    holder.get_by_role("combobox").select_option("prod-pacs-1")
    expect(holder.get_by_label("This is production: type the server's name to send to it")).to_be_visible()


def _studies(page: Page, web: str) -> None:
    page.goto(f"{web}/studies")
    expect(page.get_by_role("link", name="Lindgren, Astrid", exact=True)).to_be_visible()


def _study(page: Page, web: str) -> None:
    _studies(page, web)
    page.get_by_role("link", name="Lindgren, Astrid", exact=True).click()
    expect(page.get_by_role("heading", name="Lindgren, Astrid")).to_be_visible()


def _study_form(page: Page, web: str) -> None:
    page.goto(f"{web}/studies/new")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_text("Tick at least one.", exact=True)).to_be_visible()


def _sent_twice(page: Page, web: str) -> None:
    _study(page, web)
    page.get_by_label("Server", exact=True).select_option("test-pacs-1")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("heading", name="Verified")).to_be_visible()
    expect(page.get_by_text("3 of them were there before this transfer.")).to_be_visible()


def _send_that_fails(page: Page, web: str) -> None:
    _study(page, web)
    page.get_by_label("Server", exact=True).select_option("closed-port")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("heading", name="Connection failed")).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status").get_by_text("Paused")).to_be_visible()


def _jobs(page: Page, web: str) -> None:
    _sent_twice(page, web)
    page.goto(f"{web}/jobs?kind=send")
    expect(page.get_by_role("table", name="Jobs").get_by_text("Succeeded").first).to_be_visible()


def _missing_page(page: Page, web: str) -> None:
    page.goto(f"{web}/nowhere")
    expect(page.get_by_role("heading", name="Not found")).to_be_visible()


PAGES = (
    _home,
    _servers,
    _server_form_with_mistake,
    _routing,
    _import,
    _deletion,
    _query,
    _studies,
    _study,
    _study_form,
    _sent_twice,
    _send_that_fails,
    _jobs,
    _missing_page,
)


@pytest.mark.full  # each page in light is looked at in test_every_page.py
@pytest.mark.parametrize("opened", PAGES, ids=lambda opened: opened.__name__.strip("_"))
def test_page_is_accessible_in_light_and_dark_and_fits_a_narrow_screen(
    page: Page, web: str, study: Fabricated, snapshot: Picture, opened: Open
) -> None:
    name = opened.__name__.strip("_").replace("_", "-")
    opened(page, web)
    _has_no_violation(page)
    snapshot(page, f"page-{name}")
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    _has_no_violation(page)
    snapshot(page, f"page-{name}-dark")
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    _has_no_violation(page)
    snapshot(page, f"page-{name}-narrow")


@pytest.mark.full
def test_pictures_for_the_guide(page: Page, web: str, study: Fabricated, picture: Picture) -> None:
    _servers(page, web)
    picture(page, "connection-failed")
    page.get_by_role("button", name="Switch between light and dark").click()
    _query(page, web)
    picture(page, "query-dark")


def test_the_choice_of_dark_lasts(page: Page, web: str) -> None:
    page.goto(web)
    page.get_by_role("button", name="Switch between light and dark").click()
    page.goto(f"{web}/pacs")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")


def test_the_keyboard_reaches_everything_and_focus_is_seen(page: Page, web: str, study: Fabricated) -> None:
    page.goto(f"{web}/pacs")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Test all")).to_be_focused()
    kinds = ("a[href]", "button", "summary", "input:not([type=hidden])", "select")
    focusable = page.locator(", ".join(f"main {kind}:visible" for kind in kinds)).count()
    for _ in range(focusable):
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement === document.body")


def test_a_connection_is_tested_by_keyboard_and_focus_stays(page: Page, web: str, study: Fabricated) -> None:
    page.goto(f"{web}/pacs")
    button = page.get_by_role("button", name="Test Connection of Test PACS 2")
    button.focus()
    with page.expect_response("**/pacs/test-pacs-2/test"):
        page.keyboard.press("Enter")
    expect(page.locator("#test-pacs-2")).to_contain_text("OK")
    expect(button).to_be_focused()


def test_a_uid_is_copied(page: Page, web: str, study: Fabricated) -> None:
    _study(page, web)
    page.get_by_role("button", name="Copy Study Instance UID", exact=True).click()
    expect(page.get_by_role("status").get_by_text("Copied")).to_be_attached()
    assert page.evaluate("navigator.clipboard.readText()") == study.resolved.study_instance_uid


@pytest.mark.full
def test_answers_are_sorted_and_the_address_remembers_it(page: Page, web: str, study: Fabricated) -> None:
    _query(page, web)
    heading = page.get_by_role("table", name="Results").get_by_role("columnheader", name="Date")
    heading.get_by_role("link").click()
    expect(heading).to_have_attribute("aria-sort", "ascending")
    heading.get_by_role("link").click()
    expect(heading).to_have_attribute("aria-sort", "descending")
    page.wait_for_url("**sort=StudyDate**order=desc**")
    page.reload()
    expect(heading).to_have_attribute("aria-sort", "descending")
    expect(page.get_by_role("status").get_by_text("5 of 5 servers")).to_be_visible()


def test_answers_are_merged_narrowed_opened_and_exported(page: Page, web: str, study: Fabricated) -> None:
    _query(page, web)
    page.get_by_role("link", name="Merge servers").click()
    page.wait_for_url("**merged=1**")
    results = page.get_by_role("table", name="Results")
    expect(results.get_by_role("columnheader", name="Servers")).to_be_visible()
    results.get_by_role("button", name="Show series on Test PACS 1").click()
    series = results.get_by_role("table", name="Series")
    expect(series.get_by_role("row").filter(has_text="CHEST PA").first).to_be_visible()
    series.get_by_role("button", name="Show instances").first.click()
    expect(series.get_by_role("table", name="Instances")).to_be_visible()
    _has_no_violation(page)
    with page.expect_download() as started:
        page.get_by_role("link", name="CSV").click()
    assert "Lindgren^Astrid" in Path(started.value.path()).read_text("utf-8")
    page.get_by_role("searchbox").press_sequentially("nobody")
    expect(page.get_by_text("Nothing of what was found fits.")).to_be_visible()
    page.wait_for_url("**q=nobody**")


@pytest.mark.full
def test_a_search_is_saved_and_asked_again(page: Page, web: str, study: Fabricated) -> None:
    _query(page, web)
    page.get_by_label("Save this search as").fill("of-astrid")
    with page.expect_navigation():
        page.get_by_role("button", name="Save").click()
    page.goto(f"{web}/query")
    page.get_by_role("link", name="of-astrid").click()
    expect(page.get_by_label("Accession number")).to_have_value("SYN-WEB-1")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_role("status").get_by_text("5 of 5 servers")).to_be_visible()
    page.get_by_role("button", name="Forget the search of-astrid").click()
    expect(page.get_by_role("link", name="of-astrid")).to_have_count(0)


def test_the_list_of_studies_is_narrowed_while_typing(page: Page, web: str, study: Fabricated) -> None:
    page.goto(f"{web}/studies")
    page.get_by_role("searchbox").press_sequentially("nobody")
    expect(page.get_by_text("No study matches")).to_be_visible()
    page.wait_for_url("**/studies?*q=nobody*")
    page.get_by_role("searchbox").fill("astrid")
    expect(page.get_by_role("link", name="Lindgren, Astrid", exact=True)).to_be_visible()


@pytest.mark.full
def test_a_study_is_fetched_from_a_server(page: Page, web: str, study: Fabricated) -> None:
    _query(page, web)
    page.get_by_role("button", name="Get to local store").first.click()
    expect(page.get_by_role("heading", name="Verified")).to_be_visible()
    page.get_by_role("link", name="Show the study").first.click()
    expect(page.get_by_role("heading", name="Lindgren, Astrid")).to_be_visible()


def test_long_work_is_cancelled(page: Page, web: str, picture: Picture) -> None:
    _start_endless_work(page, web)
    picture(page, "job-running")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", name="Stopped")).to_be_visible()
    expect(page.get_by_role("status").get_by_text("Cancelled")).to_be_visible()
    expect(page.get_by_role("button", name="Retry")).to_be_visible()


def test_a_job_is_paused_and_resumed_by_keyboard_without_a_jump(page: Page, web: str) -> None:
    _start_endless_work(page, web)
    _has_no_violation(page)
    bar = page.get_by_role("progressbar")
    bar.wait_for()
    place = next(filter(None, (bar.bounding_box() for _ in range(100))))  # none while it is swapped for the next one
    page.get_by_role("button", name="Pause").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").get_by_text("Paused")).to_be_visible()
    assert bar.bounding_box() == place
    page.get_by_role("button", name="Resume").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").get_by_text("Running")).to_be_visible()
    expect(page.get_by_role("progressbar", name="Fabricating")).to_be_visible()
    assert bar.bounding_box() == place
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("status").get_by_text("Cancelled")).to_be_visible()


@pytest.mark.full
def test_jobs_are_narrowed_by_state_in_the_address(page: Page, web: str, study: Fabricated) -> None:
    _sent_twice(page, web)
    page.goto(f"{web}/jobs")
    page.get_by_label("State").select_option("queued")
    page.wait_for_url("**/jobs?*state=queued*")
    page.get_by_label("State").select_option("succeeded")
    page.wait_for_url("**/jobs?*state=succeeded*")
    page.get_by_role("link", name="Send a study to Test PACS 1").first.click()
    expect(page.get_by_role("heading", name="Verified")).to_be_visible()
    page.get_by_role("link", name="Done 3").click()
    expect(page.get_by_role("table", name="Instances").get_by_role("row")).to_have_count(4)


@pytest.mark.parametrize("stop", [pytest.param(signal.SIGINT, marks=pytest.mark.full), signal.SIGTERM])
def test_a_signal_ends_the_pages_while_work_goes_on(page: Page, tmp_path: Path, stop: signal.Signals) -> None:
    with serving(tmp_path / "home", stop) as url:
        _start_endless_work(page, url)


def _start_endless_work(page: Page, web: str) -> None:
    page.goto(f"{web}/studies/new")
    page.locator("#kind-ct-chest").check()
    page.get_by_label("Slices", exact=True).fill("10000")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("progressbar", name="Fabricating")).to_be_visible()


def _has_no_violation(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
