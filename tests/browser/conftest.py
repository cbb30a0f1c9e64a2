"""A lab and a web interface in processes of their own, Debian's Chromium, and pictures of pages.

``DICOMFAB_SCREENSHOTS=1`` writes the pictures into the documentation; without it they go to a temporary folder.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from dicomfab.app.build import Application, build
from dicomfab.app.lab import configure_registry
from dicomfab.app.settings import Settings
from dicomfab.fabricate.recipe import StudyRecipe
from dicomfab.model.actor import Actor, local_admin
from dicomfab.model.job import ENDED, JobEvent, JobState
from dicomfab.model.study import Patient
from dicomfab.services.studies import Fabricated
from dicomfab.storage.jobs import JobFilter
from dicomfab.testpacs.lab import Lab
from dicomfab.testpacs.ports import free_ports
from tests import chromium
from tests.unit.dimse.raw import eventually

DOCUMENTED = Path(__file__).parents[2] / "docs" / "images"
PATIENCE_MS = 30_000
COLOURS = 128

expect.set_options(timeout=PATIENCE_MS)

Picture = Callable[..., None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """The system's Chromium: nothing is downloaded."""
    found = chromium.installed()
    if found is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium-headless-shell)")
    quiet = ["--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
    return {**browser_type_launch_args, "executable_path": found, "args": [*quiet, "--disable-sync", "--disable-quic"]}


WORKER_IDLE_S = 2.0


@contextmanager
def serving(home: Path, stop: signal.Signals = signal.SIGINT) -> Iterator[str]:
    """``dicomfab serve`` on a free port; ended by Ctrl-C or another signal, which it must obey within seconds.

    Jobs that are left then are cancelled, and the worker that it started must end by itself.
    """
    (port,) = free_ports(1, "127.0.0.1")
    command = [sys.executable, "-m", "dicomfab", "serve", "--port", str(port)]
    environment = {**os.environ, "DICOMFAB_HOME": str(home), "DICOMFAB_WORKER_IDLE_S": f"{WORKER_IDLE_S:g}"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            first = server.stdout.readline()
            url = f"http://localhost:{port}"
            assert url in first, first
            yield url
        finally:
            server.send_signal(stop)
            try:
                said, _ = server.communicate(timeout=15)
            except subprocess.TimeoutExpired:
                server.kill()
                raise
            finally:
                no_work_is_left(home)
    assert server.returncode == 0
    assert "dicomfab lab stop" in said


def no_work_is_left(home: Path) -> None:
    """Cancel what has not ended, and see the workers end."""
    application = build(Settings(home))
    try:
        active = JobFilter(states=frozenset(JobState) - ENDED)
        for job in application.jobs.page(actor(), active).jobs:
            if not job.wish:
                application.jobs.ask(actor(), job.id, JobEvent.CANCEL)
        assert eventually(lambda: not application.jobs.workers(), PATIENCE_MS / 1000)
    finally:
        application.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The four servers on free ports."""
    lab = Lab(tmp_path_factory.mktemp("home") / "lab")
    lab.use_free_ports()
    try:
        lab.start()
        yield lab
    finally:
        lab.stop(grace_s=5)


@pytest.fixture(scope="session")
def application(lab: Lab) -> Iterator[Application]:
    """The installation that the lab belongs to, with the four servers in its registry."""
    application = build(Settings(lab.folders.root.parent))
    configure_registry(application, actor())
    (closed,) = free_ports(1, "127.0.0.1")
    entry = {"name": "Closed port", "host": "localhost", "port": closed, "aec": "NOBODY", "environment": "test"}
    application.pacs.add(actor(), entry)
    yield application
    application.close()


@pytest.fixture(scope="session")
def study(application: Application) -> Fabricated:
    """A small study in the local store and on Test PACS 1."""
    recipe = StudyRecipe(
        series=("dx-chest", "text-card"),
        patient=Patient("Lindgren^Astrid", "SYN0042", "19500102", "F"),
        seed=42,
        accession_number="SYN-WEB-1",
        study_date="20260131",
        study_time="093000",
    )
    made = application.studies.create(actor(), application.studies.resolve_recipe(actor(), recipe))
    server = application.pacs.get(actor(), "test-pacs-1")
    sent = application.transfers.send(actor(), made.resolved.study_instance_uid, server)
    assert sent.verdict.kind == "verified"
    application.pacs.test_all(actor(), [s.id for s in application.pacs.servers(actor())])
    return made


@pytest.fixture(scope="session")
def web(application: Application) -> Iterator[str]:
    """Its web interface."""
    with serving(application.settings.home) as url:
        yield url


def _told(said: ConsoleMessage) -> str:
    """What the console says, and where."""
    return f"{said.text} [{said.location['url']}:{said.location['lineNumber']}]"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page at a usual size, that fails the test when a script or the security policy complains."""
    # Without motion there is no moment in which a colour is half of another.
    context = browser.new_context(
        viewport={"width": 1280, "height": 800}, color_scheme="light", reduced_motion="reduce", locale="en-GB"
    )
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(_told(said)) if "Content Security" in said.text else None)
    yield page
    context.close()
    assert problems == []


@pytest.fixture(scope="session")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Picture:
    """Take a picture of the whole page, for whoever looks into a test run."""
    return partial(_take, tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Picture:
    """Take a picture that the documentation shows."""
    documented = os.environ.get("DICOMFAB_SCREENSHOTS") == "1"
    return partial(_take, DOCUMENTED if documented else tmp_path_factory.mktemp("documented"))


def _take(folder: Path, page: Page, name: str, *, full_page: bool = True) -> None:
    with _all_in_view(page) if full_page else nullcontext():
        # Hiding the caret puts a style on each field, and htmx would copy that, against the security policy.
        taken = page.screenshot(animations="disabled", caret="initial")
    with Image.open(io.BytesIO(taken)) as picture:  # a repository and a package hold them all
        few = picture.convert("RGB").quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    file = folder / f"{name}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    few.save(file, optimize=True)


@contextmanager
def _all_in_view(page: Page) -> Iterator[None]:
    """So tall a window that nothing of the page is scrolled: what sticks to its edges stands where people see it."""
    usual = page.viewport_size
    assert usual is not None
    scrolled = page.evaluate("scrollY")
    height = max(usual["height"], page.evaluate("document.documentElement.scrollHeight"))
    page.set_viewport_size({**usual, "height": height})
    yield
    page.set_viewport_size(usual)
    page.evaluate("place => scrollTo(0, place)", scrolled)


def actor() -> Actor:
    """Who sets things up."""
    return local_admin("tests", "api")
