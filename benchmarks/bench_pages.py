"""How long pages take: with 1,000 and with 10,000 studies, on the server and in Chromium; and what signing in costs.

``python benchmarks/bench_pages.py [--quick] [--dir DIR]``

Each page is asked for in turn from three servers, ``dicomfab serve`` in processes of their own: few studies, many, and
many with sign-in. From each answer the time of ``/healthz`` at the same server is taken off: what is left is the page.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import bench_archive
import bench_jobs
import httpx
import report
from playwright.sync_api import sync_playwright
from report import Table

from dicomfab.app.build import Application, build
from dicomfab.app.settings import Settings
from dicomfab.model.account import Origin
from dicomfab.model.actor import local_admin
from dicomfab.storage.jobs import JobRepository
from dicomfab.testpacs.ports import free_ports

sys.path.append(str(Path(__file__).parents[1]))
from tests import chromium

OWNER = local_admin("benchmark", "cli")
PASSWORD = "tulip marble seven"
FEW, MANY = 1_000, 10_000
PAGE_MS, PAINT_MS, FILTER_MS, OVERHEAD_MS = 100.0, 700.0, 300.0, 2.0
GROWTH = 1 / 1.5
PAGES = {
    "dashboard": "/",
    "studies, first page": "/studies",
    "studies, last page": "/studies?page={last}",
    "studies, by patient": "/studies?sort=patient_name&order=asc",
    "studies, by words": "/studies?q=rossi+number",
    "one study": "/studies/1.2.3.100000007",
    "patients": "/patients",
    "jobs": "/jobs",
    "servers": "/pacs",
    "query": "/query",
    "palette": "/palette?q=rossi",
    "audit": "/audit",
}
_PAINT = """() => new Promise(done => new PerformanceObserver(
  list => done(list.getEntriesByName("first-contentful-paint")[0].startTime)
).observe({type: "paint", buffered: true}))"""
PAINTED = ("/", "/studies", "/query", "/pacs", "/jobs")


@dataclass(frozen=True)
class Served:
    """A server that runs, and a client that has looked round."""

    url: str
    client: httpx.Client
    studies: int

    def milliseconds(self, path: str) -> float:
        """Until a page is there whole."""
        began = time.perf_counter()
        answer = self.client.get(path.format(last=self.studies // 25))
        spent = 1000 * (time.perf_counter() - began)
        if answer.status_code != 200:
            raise RuntimeError(f"{path}: {answer.status_code}")
        return spent

    def page_ms(self, path: str) -> float:
        """The same without what any answer costs."""
        floor = min(self.milliseconds("/healthz") for _ in range(3))
        return max(0.05, self.milliseconds(path) - floor)


def fill(home: Path, count: int) -> Application:
    """An installation with so many studies, patients and jobs, and an account."""
    application = build(Settings(home))
    bench_archive.fill(application.local_archive, count)
    application.patients.invent(OWNER, count // 10, seed=1)
    bench_jobs.MANY = count // 10
    bench_jobs.fill(JobRepository(application.database))
    for name in ("Alpha", "Beta", "Gamma", "Delta"):
        entry = {"name": name, "host": "localhost", "port": 1, "aec": name.upper(), "environment": "test"}
        application.pacs.add(OWNER, entry)
    application.accounts.add(OWNER, "known", ["admin"], password=PASSWORD)
    return application


@contextmanager
def served(home: Path, studies: int, mode: str = "none") -> Iterator[Served]:
    """``dicomfab serve`` until the block ends."""
    (port,) = free_ports(1, "127.0.0.1")
    environment = {
        "DICOMFAB_HOME": str(home),
        "DICOMFAB_AUTH": mode,
        "DICOMFAB_WORKER_IDLE_S": "0",
        "PATH": "/usr/bin:/bin",
    }
    command = [sys.executable, "-m", "dicomfab", "serve", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            url = f"http://localhost:{port}"
            with httpx.Client(base_url=url, timeout=60) as client:
                yield Served(url, client, studies)
        finally:
            process.terminate()
            process.communicate(timeout=60)


def sign_in(application: Application, server: Served) -> None:
    """Give the client a session, as a browser has it."""
    session = application.sign_in.sign_in("known", PASSWORD, Origin("127.0.0.1"))[0]
    answer = server.client.post(
        "/sign-in", data={"name": "known", "password": PASSWORD}, headers={"Sec-Fetch-Site": "same-origin"}
    )
    if answer.status_code != 303 or not session:
        raise RuntimeError(f"nobody signed in: {answer.status_code}")


def pages(table: Table, few: Served, many: Served, signed_in: Served, runs: int) -> None:
    """Every page at each server in turn."""
    overheads: list[float] = []
    for what, path in PAGES.items():
        for server in (few, many, signed_in):
            server.milliseconds(path)  # the first one compiles templates
        measured = report.alternating(
            runs * 4,
            few=lambda path=path: few.page_ms(path),
            many=lambda path=path: many.page_ms(path),
            signed_in=lambda path=path: signed_in.page_ms(path),
        )
        table.under_limit(f"{what}, {MANY:,} studies", "ms", measured["many"], PAGE_MS)
        table.lower("  growth", "ms", measured["many"], f"{FEW:,} studies", measured["few"], GROWTH)
        overheads.append(statistics.median(measured["signed_in"]) - statistics.median(measured["many"]))
    table.section("signed in, against mode none: what a page costs more, each page's median")
    table.under_limit("overhead", "ms", overheads, OVERHEAD_MS)


def painted(table: Table, server: Served, runs: int) -> None:
    """In Chromium, with nothing kept from before."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium.installed(), args=["--no-sandbox", "--disable-quic"]
        )
        for path in PAINTED:
            table.under_limit(
                f"first contentful paint of {path}",
                "ms",
                [_paint(browser, server, path) for _ in range(runs)],
                PAINT_MS,
            )
        table.under_limit(
            "from a key in the filter to rows", "ms", [_filter(browser, server) for _ in range(runs)], FILTER_MS
        )
        browser.close()


def _paint(browser: object, server: Served, path: str) -> float:
    context = browser.new_context()  # type: ignore[attr-defined]
    page = context.new_page()
    page.goto(server.url + path)
    found = page.evaluate(_PAINT)
    context.close()
    return float(found)


def _filter(browser: object, server: Served) -> float:
    context = browser.new_context()  # type: ignore[attr-defined]
    page = context.new_page()
    page.goto(f"{server.url}/studies")
    page.evaluate(
        """() => { window.spent = new Promise(done => { let began;
             document.querySelector('#q').addEventListener('input', () => began = performance.now());
             document.addEventListener('htmx:afterSettle', () => done(performance.now() - began)); }) }"""
    )
    page.locator("#q").press("r")
    spent = float(page.evaluate("() => window.spent"))
    context.close()
    return spent


def main() -> int:
    """Measure."""
    given = report.options(__doc__ or "")
    report.facts({"home": given.dir})
    table = Table()
    many = MANY // 10 if given.quick else MANY
    with tempfile.TemporaryDirectory(dir=given.dir) as folder, ExitStack() as stack:
        small, large = (fill(Path(folder, name), count) for name, count in (("few", many // 10), ("many", many)))
        for application in (small, large):
            stack.callback(application.close)
        servers = [
            stack.enter_context(served(small.settings.home, many // 10)),
            stack.enter_context(served(large.settings.home, many)),
            stack.enter_context(served(large.settings.home, many, "local")),
        ]
        sign_in(large, servers[2])
        table.section(f"pages, without what any answer costs; {many // 10:,} and {many:,} studies")
        pages(table, *servers, given.runs)
        table.section("in Chromium, nothing kept from before")
        painted(table, servers[1], given.runs)
    return table.finish()


if __name__ == "__main__":
    sys.exit(main())
