"""A server that is started anew, a session that is over, a request that fails: the page says so and goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from pynetdicom import evt

from dicomfab.app.build import Application, build
from dicomfab.app.settings import Settings
from dicomfab.services.study_filter import StudyFilter
from dicomfab.testpacs.ports import free_ports
from tests.browser.conftest import actor
from tests.peers.pynetdicom_peers import acceptor

AWAY = "DICOM Fabricator does not answer."
PATIENCE_S = 30.0


@contextmanager
def served(home: Path, port: int) -> Iterator[str]:
    """``dicomfab serve`` on a port; started anew by entering it again."""
    command = [sys.executable, "-m", "dicomfab", "serve", "--port", str(port)]
    environment = {**os.environ, "DICOMFAB_HOME": str(home), "DICOMFAB_WORKER_IDLE_S": "0"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert str(port) in server.stdout.readline()
            yield f"http://localhost:{port}"
        finally:
            server.send_signal(signal.SIGINT)
            server.communicate(timeout=PATIENCE_S)


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Application]:
    application = build(Settings(tmp_path / "home", worker_idle_s=0))
    yield application
    application.close()


@pytest.fixture
def gate(application: Application) -> Iterator[threading.Event]:
    """A server that answers C-FIND, with nothing, when the event is set."""
    opened = threading.Event()

    def find(_event: evt.Event) -> Iterator[tuple[int, Any]]:
        opened.wait(PATIENCE_S)
        yield from ()

    with acceptor([(evt.EVT_C_FIND, find)], title="SLOW") as peer:
        entry = {"name": "Slow", "host": "127.0.0.1", "port": peer.port, "aec": "SLOW", "environment": "test"}
        application.pacs.add(actor(), entry)
        yield opened
        opened.set()


@pytest.mark.full
def test_a_job_is_shown_on_by_a_server_that_was_started_anew(
    page: Page, application: Application, gate: threading.Event
) -> None:
    (port,) = free_ports(1, "127.0.0.1")
    home = application.settings.home
    slow = application.pacs.get(actor(), "slow")
    job = application.query_jobs.submit(actor(), [slow], StudyFilter(patient_id="X"))
    worker = threading.Thread(target=application.worker.run_one, args=(job.id,))
    with served(home, port) as url:
        worker.start()
        page.goto(f"{url}/jobs/{job.id}")
        expect(page.locator("#job [role=status]").first).to_contain_text("Running")
    expect(page.get_by_text(AWAY)).to_be_visible()
    with served(home, port):
        expect(page.get_by_text(AWAY)).to_be_hidden()
        expect(page.locator("#job [role=status]").first).to_contain_text("Running")
        gate.set()
        expect(page.locator("#job [role=status]").first).to_contain_text("Succeeded")
        worker.join(PATIENCE_S)


@pytest.mark.full
def test_a_search_that_was_broken_off_is_said_to_be_so_and_is_made_again(
    page: Page, application: Application, gate: threading.Event
) -> None:
    (port,) = free_ports(1, "127.0.0.1")
    with served(application.settings.home, port) as url:
        page.goto(f"{url}/query?pacs=slow&patient_id=X&run=1")
        expect(page.get_by_text("0 of 1 server answered")).to_be_visible()
        page.locator("main").click(position={"x": 2, "y": 2})  # nobody is typing
    expect(page.get_by_text(AWAY)).to_be_visible()
    with served(application.settings.home, port):
        expect(page.get_by_text(AWAY)).to_be_hidden()
        expect(page.get_by_text("the search was broken off")).to_be_visible()
        gate.set()
        page.get_by_role("button", name="Search", exact=True).click()
        expect(page.get_by_text("1 of 1 server answered")).to_be_visible()


@pytest.mark.full
def test_a_request_that_fails_is_said_and_its_button_works_again(page: Page, tmp_path: Path) -> None:
    (port,) = free_ports(1, "127.0.0.1")
    home = tmp_path / "home"
    application = build(Settings(home))
    application.pacs.add(actor(), {"name": "One", "host": "127.0.0.1", "port": 9, "aec": "ONE", "environment": "test"})
    application.close()
    with served(home, port) as url:
        page.goto(f"{url}/pacs")
        button = page.get_by_role("button", name="Test Connection of One")
        answers = [
            lambda route: route.fulfill(status=502, content_type="text/html", body="<h1>Bad gateway</h1>"),
            lambda route: route.abort("timedout"),
        ]
        for answer in answers:
            page.route("**/pacs/one/test*", answer)
            button.click()
            expect(page.get_by_text(AWAY)).to_be_visible()
            expect(page.get_by_text("Bad gateway")).to_have_count(0)
            expect(page.get_by_text(AWAY)).to_be_hidden()
            page.unroute("**/pacs/one/test*")
        ours = '<section class="notice notice-bad"><h2>Internal error</h2></section>'
        headers = {"HX-Retarget": "#alerts", "HX-Reswap": "innerHTML"}
        page.route("**/pacs/one/test*", lambda route: route.fulfill(status=500, headers=headers, body=ours))
        button.click()
        expect(page.get_by_role("alert")).to_contain_text("Internal error")
        page.unroute("**/pacs/one/test*")
        button.click()
        expect(page.get_by_role("row", name="One test")).to_contain_text("just now")


@pytest.mark.full
def test_a_button_that_waits_is_free_again_when_the_server_was_away_or_one_comes_back(
    page: Page, tmp_path: Path
) -> None:
    (port,) = free_ports(1, "127.0.0.1")
    home = tmp_path / "home"
    with served(home, port) as url:
        page.goto(f"{url}/patients/invent")
    button = page.locator("main form button").first
    button.click()
    expect(page.get_by_text(AWAY)).to_be_visible()
    expect(button).not_to_have_class("disabled")
    assert button.get_attribute("aria-disabled") is None
    with served(home, port):
        expect(page.get_by_text(AWAY)).to_be_hidden()
        button.dblclick()
        page.wait_for_url("**/patients*")
        expect(page.get_by_text("1 patient")).to_be_visible()  # pressed twice, sent once
        page.go_back()
        button = page.locator("main form button").first
        assert button.get_attribute("aria-disabled") is None
        button.click()
        expect(page.get_by_text("2 patients")).to_be_visible()
