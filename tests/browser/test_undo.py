"""A removal is undone by keyboard; after a restart it is too late, and a form that goes to a job stays as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from dicomfab.app.build import build
from dicomfab.app.settings import Settings
from dicomfab.testpacs.ports import free_ports
from tests.browser.conftest import actor
from tests.browser.test_when_things_go_wrong import AWAY, served

pytestmark = pytest.mark.full  # tests/unit/web/test_undo.py asks the same pages without a browser


def test_a_removal_is_undone_until_the_server_is_started_anew(page: Page, tmp_path: Path) -> None:
    home, (port,) = tmp_path / "home", free_ports(1, "127.0.0.1")
    application = build(Settings(home, worker_idle_s=0))
    entry = {"name": "Alpha", "host": "127.0.0.1", "port": 4, "aec": "ALPHA", "environment": "test"}
    application.pacs.add(actor(), entry)
    with served(home, port) as url:
        page.set_viewport_size({"width": 360, "height": 800})
        page.goto(f"{url}/pacs/alpha/delete")
        page.get_by_role("button", name="Delete").press("Enter")
        notice = page.get_by_role("status").filter(has_text="Alpha is deleted")
        expect(notice).to_be_visible()
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.get_by_role("button", name="Undo").press("Enter")
        expect(page.get_by_role("status").filter(has_text="Alpha is back")).to_be_visible()
        assert application.pacs.get(actor(), "alpha").aec == "ALPHA"
        page.goto(f"{url}/pacs/alpha/delete")
        page.get_by_role("button", name="Delete").press("Enter")
        expect(notice).to_be_visible()
    with served(home, port):
        page.get_by_role("button", name="Undo").press("Enter")
        expect(page.get_by_text("too late to undo this")).to_be_visible()
        assert application.pacs.servers(actor()) == ()
    application.close()


def test_a_search_goes_to_a_job_and_stays_typed_while_the_server_is_away(page: Page, tmp_path: Path) -> None:
    home, (port,) = tmp_path / "home", free_ports(1, "127.0.0.1")
    application = build(Settings(home, worker_idle_s=0))
    entry = {"name": "Alpha", "host": "127.0.0.1", "port": 4, "aec": "ALPHA", "environment": "test"}
    application.pacs.add(actor(), entry)
    button = page.get_by_role("button", name="In the background")
    with served(home, port) as url:
        page.goto(f"{url}/query")
        page.get_by_label("Accession number").fill("SYN-1")
    button.click()
    expect(page.get_by_text(AWAY).first).to_be_visible()
    expect(page.get_by_label("Accession number")).to_have_value("SYN-1")
    with served(home, port):
        button.click()
        expect(page.get_by_role("heading", name="Query Alpha, study level")).to_be_visible()
    job = application.jobs.show(actor(), 1)
    assert (job.request["filter"]["accession_number"], job.counts.total) == ("SYN-1", 1)
    application.close()
