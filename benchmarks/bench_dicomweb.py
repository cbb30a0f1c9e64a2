"""DICOMweb and the viewer: a CT of 200 slices, on the server, against Orthanc's plugin, and in Chromium.

``python benchmarks/bench_dicomweb.py [--quick] [--dir DIR]``

Ours is ``dicomfab serve`` in a process of its own. From each single answer the time of ``/healthz`` at the same server
is taken off; retrievals are compared as they are, by the same client, over a connection that stays. "Cold" is the first
answer of a server that has just been started.
"""

from __future__ import annotations

import http.client
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import bench_pages
import report
from playwright.sync_api import Browser, sync_playwright
from report import Table
from tests import chromium

import peers
from dicomfab.app.build import Application, build
from dicomfab.app.settings import Settings
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.actor import local_admin

OWNER = local_admin("benchmark", "cli")
PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
FRAME = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
QIDO_MS, METADATA_MS, CACHED_MS, FRAME_MS, THUMBNAIL_MS, WARM_MS = 20.0, 150.0, 30.0, 5.0, 50.0, 5.0
RETRIEVAL = 1.5
VIEWER_S, VIEWER_MB = 6.0, 8.0
_PIECE = 1 << 20
_IN_A_ROW = 10
#: The viewer has drawn an image when its canvas holds more than one colour.
_DRAWN = """() => [...document.querySelectorAll('canvas')].some(canvas => {
  if (canvas.width < 64) return false;
  const small = new OffscreenCanvas(32, 32).getContext('2d');
  small.drawImage(canvas, 0, 0, 32, 32);
  return new Set(new Uint32Array(small.getImageData(0, 0, 32, 32).data.buffer)).size > 16;
})"""


@dataclass
class Client:
    """Asks one server over one connection.

    Args:
        address: of the server.
    """

    address: str
    connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.address)
        self.connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)

    def ask(self, path: str, accept: str = "*/*") -> tuple[float, int]:
        """Seconds and bytes until an answer is there whole."""
        began = time.perf_counter()
        self.connection.request("GET", path, headers={"Accept": accept})
        answer = self.connection.getresponse()
        size = 0
        while piece := answer.read(_PIECE):
            size += len(piece)
        spent = time.perf_counter() - began
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status}")
        return spent, size

    def milliseconds(self, path: str, accept: str = "*/*") -> float:
        """The same without what any answer costs."""
        floor = min(self.ask("/healthz")[0] for _ in range(3))
        return max(0.01, 1000 * (self.ask(path, accept)[0] - floor))


@dataclass(frozen=True)
class Ct:
    """The study.

    Args:
        application: where it is.
        study, series: its UIDs.
        instances: SOP Instance UIDs, in order.
    """

    application: Application
    study: str
    series: str
    instances: tuple[str, ...]

    @property
    def address(self) -> str:
        """Of its series."""
        return f"/dicom-web/studies/{self.study}/series/{self.series}"


def fabricated(home: Path, slices: int) -> Ct:
    """An installation with a CT of so many slices."""
    application = build(Settings(home))
    recipe = application.studies.resolve_recipe(OWNER, StudyRecipe((SeriesRecipe("ct-chest", slices),), seed=1))
    study = application.studies.create(OWNER, recipe).resolved.study_instance_uid
    (series,) = application.studies.show(OWNER, study).series
    uids = application.local_archive.instance_uids(study, series.series_instance_uid)
    return Ct(application, study, series.series_instance_uid, tuple(uids))


@contextmanager
def orthanc_with(ct: Ct, folder: Path) -> Iterator[Client]:
    """Orthanc with its DICOMweb plugin and the same study."""
    with peers.orthanc(folder, nodelay=True, plugins=[PLUGIN]) as running:
        address = f"http://{peers.HOST}:{running.http_port}"
        for one in ct.application.local_archive.instances(ct.study):
            urllib.request.urlopen(f"{address}/instances", one.path.read_bytes(), timeout=60).close()
        yield Client(address)


def single(table: Table, ct: Ct, runs: int) -> None:
    """Answers to single questions."""
    cold: dict[str, list[float]] = {}
    home = ct.application.settings.home
    middle = ct.instances[len(ct.instances) // 2]
    thumbnail = f"{ct.address}/instances/{middle}/thumbnail"
    for _ in range(runs):
        with bench_pages.served(home, 1) as server:
            client = Client(server.url)
            client.ask("/dicom-web/studies")  # opens the local store
            cold.setdefault("metadata", []).append(client.milliseconds(f"{ct.address}/metadata"))
            client.ask(f"{ct.address}/instances/{ct.instances[0]}/thumbnail")  # loads what draws
            cold.setdefault("thumbnail", []).append(client.milliseconds(thumbnail))
    with bench_pages.served(home, 1) as server:
        client = Client(server.url)
        asked = {
            "studies (QIDO-RS)": ("/dicom-web/studies?PatientName=*", "*/*", QIDO_MS),
            "instances of the series (QIDO-RS)": (f"{ct.address}/instances", "*/*", None),
            "metadata of the series, kept": (f"{ct.address}/metadata", "*/*", CACHED_MS),
            "a frame": (f"{ct.address}/instances/{middle}/frames/1", FRAME, FRAME_MS),
            "a thumbnail, kept": (thumbnail, "*/*", WARM_MS),
        }
        table.under_limit("metadata of the series, cold", "ms", cold["metadata"], METADATA_MS)
        table.under_limit("a thumbnail, cold", "ms", cold["thumbnail"], THUMBNAIL_MS)
        for what, (path, accept, limit) in asked.items():
            client.ask(path, accept)
            measured = [client.milliseconds(path, accept) for _ in range(runs * 4)]
            if limit is None:
                table.report(what, "ms", measured)
            else:
                table.under_limit(what, "ms", measured, limit)
        rendered = f"{ct.address}/instances/{{}}/rendered"
        table.report(
            "a slice as JPEG (rendered)", "ms", [client.milliseconds(rendered.format(uid)) for uid in ct.instances[:40]]
        )


def retrieved(table: Table, ct: Ct, folder: Path, runs: int) -> None:
    """The series as a whole, by the same client."""
    with bench_pages.served(ct.application.settings.home, 1) as server, orthanc_with(ct, folder) as theirs:
        ours = Client(server.url)

        def rate(client: Client) -> float:
            # Single ones take one of two times, by how the system places client and server on the cores.
            asked = [client.ask(ct.address, STORED) for _ in range(_IN_A_ROW)]
            return sum(size for _, size in asked) / sum(spent for spent, _ in asked) / 1e6

        rate(ours), rate(theirs)
        measured = report.alternating(runs, ours=lambda: rate(ours), theirs=lambda: rate(theirs))
        table.higher(
            f"WADO-RS of {len(ct.instances)} slices, as stored, {_IN_A_ROW} times", "MB/s", measured["ours"], "Orthanc",
            measured["theirs"], RETRIEVAL,
        )  # fmt: skip


def viewer(table: Table, ct: Ct, runs: int) -> None:
    """From the click to the first image, with nothing kept from before."""
    with (
        bench_pages.served(ct.application.settings.home, 1) as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=chromium.installed(),
            args=["--no-sandbox", "--disable-quic", "--enable-unsafe-swiftshader"],
        )
        measured = [_seen(browser, f"{server.url}/studies/{ct.study}") for _ in range(runs)]
        browser.close()
    table.under_limit("from the click to the first image", "s", [seconds for seconds, _ in measured], VIEWER_S)
    table.under_limit("  fetched for it beside pixels", "MB", [megabytes for _, megabytes in measured], VIEWER_MB)


def _seen(browser: Browser, address: str) -> tuple[float, float]:
    """Seconds from the click on a study's page to its first image, and the megabytes beside frames until then."""
    sizes: dict[str, int] = {}
    pixels: set[str] = set()
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")

    def received(event: dict[str, Any]) -> None:
        if "/frames/" in event["response"]["url"]:
            pixels.add(event["requestId"])

    def loaded(event: dict[str, Any]) -> None:
        sizes[event["requestId"]] = int(event["encodedDataLength"])

    session.on("Network.responseReceived", received)
    session.on("Network.loadingFinished", loaded)
    page.goto(address)
    sizes.clear()
    began = time.perf_counter()
    page.get_by_role("link", name="View", exact=True).click()
    page.wait_for_function(_DRAWN, timeout=60_000)
    seconds = time.perf_counter() - began
    context.close()
    return seconds, sum(size for key, size in sizes.items() if key not in pixels) / 1e6


def main() -> int:
    """Measure."""
    given = report.options(__doc__ or "")
    report.facts({"home": given.dir})
    table = Table()
    with tempfile.TemporaryDirectory(dir=given.dir) as folder, ExitStack() as stack:
        ct = fabricated(Path(folder, "home"), 50 if given.quick else 200)
        stack.callback(ct.application.close)
        size = sum(one.size_bytes for one in ct.application.local_archive.instances(ct.study))
        table.section(
            f"{len(ct.instances)} CT slices, {size / 1e6:.0f} MB: single answers, without what any answer costs"
        )
        single(table, ct, given.runs)
        table.section("retrieval, one connection that stays, TCP_NODELAY at Orthanc")
        retrieved(table, ct, Path(folder), given.runs)
        table.section("OHIF in headless Chromium, nothing kept from before")
        viewer(table, ct, given.runs)
    return table.finish()


if __name__ == "__main__":
    sys.exit(main())
