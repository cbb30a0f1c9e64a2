"""Every page that there is, light and dark, on a desktop and on a phone: no violation, no complaint, nothing too wide.

``DICOMFAB_SCREENSHOTS=1`` writes the pictures of the gallery, docs/reference/pages.md.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page, expect

from dicomfab.app.build import Application, build
from dicomfab.app.lab import routes, servers
from dicomfab.app.settings import Settings
from dicomfab.app.web_settings import Mode, WebSettings
from dicomfab.fabricate.recipe import StudyRecipe
from dicomfab.model.actor import Role
from dicomfab.model.study import Patient
from dicomfab.model.values import Environment
from dicomfab.services.lab_registry import LabRegistryService
from dicomfab.services.ordering.ris import RisConfig
from dicomfab.testpacs.lab import Lab
from dicomfab.web.access import declared_actions
from dicomfab.web.app import create_app
from tests.browser.conftest import DOCUMENTED, actor
from tests.unit.hl7.messages import ORM
from tests.unit.web.api.conftest import serving

GALLERY = DOCUMENTED.parent / "reference" / "pages.md"
LARGEST_BYTES = 6_500_000
COLOURS = 64
WIDE, PHONE = 1280, 360
HEIGHT = 800
LOOKS = {"light": ("light", WIDE), "dark": ("dark", WIDE), "phone": ("light", PHONE)}
OURS = {"Sec-Fetch-Site": "same-origin"}
#: Those that can be seen; others may not be asked for before somebody scrolls.
IMAGES_ARE_THERE = """() => [...document.images].every(
  (image) => image.complete || image.getBoundingClientRect().top > innerHeight)"""
#: A page of ours looks as the system prefers, also when that has just changed.
FOLLOWS = "scheme => (document.documentElement.dataset.bsTheme ?? scheme) === scheme"
PASSWORD = "tulip marble seven"
ACCESSION = "SYN-PAGES-1"


@dataclass(frozen=True)
class Shown:
    """A page to look at.

    Args:
        route: as the application declares it.
        query: of its address; words in braces are looked up in the place.
        until: text that is there when it is whole.
        at: which of the three installations shows it: ``open``, ``signed_in`` or ``new``.
        foreign: rules of axe that it breaks in what Swagger UI makes, which is not ours to mend.
    """

    route: str
    query: str = ""
    until: str = ""
    at: str = "open"
    foreign: tuple[str, ...] = ()


INSTANCE = "/studies/{study}/series/{series}/instances/{instance}"
PAGES = {
    "account": Shown("/account", at="signed_in"),
    "audit": Shown("/audit"),
    "audit-record": Shown("/audit/{seq}"),
    "compare": Shown("/compare", "a=test-pacs-1&b=prod-pacs-1"),
    "create-form": Shown("/studies/new", "recipe=text-cards", until="Preview: 1 series"),
    "create-order": Shown("/studies/new/order"),
    "create-recipe": Shown("/studies/new/recipe", "recipe=text-cards", until="Preview: 1 series"),
    "dashboard": Shown("/"),
    "doctor": Shown("/doctor"),
    "directories": Shown("/directories", at="signed_in"),
    "doctor-diagnosis": Shown("/doctor", "run={diagnosis}", until="Nothing wrong"),
    "help": Shown("/help/{path:path}"),
    "help-found": Shown("/help", "q=move"),
    "job": Shown("/jobs/{job_id}", until="Verified"),
    "jobs": Shown("/jobs"),
    "jobs-begun": Shown("/query/started", "job={job_id}"),
    "message": Shown("/messages/{number}"),
    "message-new": Shown("/messages/new", "template=orm-new", until="Not a message yet"),
    "messages": Shown("/messages"),
    "modality": Shown("/modality", "pacs=test-pacs-1&ris={ris}", until="1 item"),
    "modality-worklist": Shown("/modality/worklist", "pacs=test-pacs-1&ris={ris}", until="1 item"),
    "monitoring": Shown("/monitor"),
    "monitoring-server": Shown("/monitor/{server_id}"),
    "order": Shown("/orders/{number}"),
    "orders": Shown("/orders"),
    "pacs": Shown("/pacs"),
    "pacs-delete": Shown("/pacs/{server_id}/delete"),
    "pacs-edit": Shown("/pacs/{server_id}/edit"),
    "pacs-import": Shown("/pacs/import"),
    "pacs-matrix": Shown("/pacs/matrix"),
    "pacs-matrix-route": Shown("/pacs/matrix/{source}/{destination}"),
    "pacs-network": Shown("/pacs/network"),
    "pacs-new": Shown("/pacs/new"),
    "pacs-routing": Shown("/pacs/{server_id}/routing"),
    "patient-delete": Shown("/patients/{number}/delete"),
    "patient-edit": Shown("/patients/{number}/edit"),
    "patient-new": Shown("/patients/new"),
    "patients": Shown("/patients"),
    "patients-import": Shown("/patients/import"),
    "patients-invent": Shown("/patients/invent"),
    "procedure": Shown("/procedures/{number}"),
    "procedure-loop": Shown("/procedures/{number}/loop", "pacs=test-pacs-1", until="The loop is open"),
    "procedures": Shown("/procedures"),
    "query": Shown("/query"),
    "query-results": Shown("/query", "search={search}", until="2 of 2 servers answered"),
    "query-list": Shown("/query/list"),
    "query-list-found": Shown("/query/list/{run_id}", until="rows found on a server"),
    "query-messages": Shown("/query/messages", "search={search}&server=test-pacs-1", until="A-ASSOCIATE-RQ"),
    "query-move": Shown("/query/move", "search={search}&row=test-pacs-1|{study}"),
    "rest-interface": Shown("/api/v1/docs", until="The command line from afar", foreign=("heading-order", "region")),
    "schedules": Shown("/schedules"),
    "set-up": Shown("/set-up", at="new"),
    "settings": Shown("/settings"),
    "sign-in": Shown("/sign-in", at="new"),
    "studies": Shown("/studies"),
    "studies-delete": Shown("/studies/delete", "study={study}"),
    "studies-differences": Shown("/studies/diff", "study={study}&study={other}"),
    "studies-send": Shown("/studies/send", "study={study}&study={other}"),
    "study": Shown("/studies/{study}"),
    "study-instance": Shown(INSTANCE),
    "study-look": Shown("/studies/{study}/look", until="Series 1"),
    "study-series": Shown("/studies/{study}/series/{series}"),
    "study-validation": Shown("/studies/validations/{validation}", until="valid"),
    "user": Shown("/users/{account_id}", at="signed_in"),
    "users": Shown("/users", at="signed_in"),
}
#: Pages of every part, for the short run; each page has the same shell, macros and styles.
SOME = (
    "create-form", "dashboard", "doctor-diagnosis", "job", "pacs", "pacs-matrix", "query-results", "studies",
    "study-instance",
)  # fmt: skip

#: Routes that answer with something else, and the query with which they do: files, pictures, streams, parts of a page,
#: and those that lead to a page.
#: Where a story of its own leads: tests/browser/test_viewer_story.py.
VIEWER = {"/ohif/{mode:path}", "/view/{job_id}", "/view/{job_id}/open"}
#: Where identity providers send browsers to: tests/security/test_directories.py.
ELSEWHERE = {
    "/sign-in/saml", "/sign-in/oidc", "/oidc/callback", "/saml/metadata", "/saml/finish", "/saml/logout",
}  # fmt: skip
OTHERS = {
    "/audit/delivery": "",
    "/audit/export": "form=csv",
    "/changes": "",
    "/doctor/checks": "run={broken_off}",
    "/healthz": "",
    "/jobs/{job_id}/events": "",
    "/metrics": "",
    "/modality/events": "run={examination}",
    "/pacs/export": "",
    "/pacs/matrix/tests": "run={matrix}",
    "/pacs/network.svg": "",
    "/ohif": "",
    "/ohif/": "",
    "/palette": "q=",
    "/patients/export": "",
    "/query/answers": "search={search}",
    "/query/below": "server=test-pacs-1&study={study}",
    "/query/compare": "row=test-pacs-1|{study}",
    "/query/export": "search={search}&kind=csv",
    "/query/list/{run_id}/export": "kind=csv",
    "/studies/compare": "study={study}",
    "/studies/download": "study={study}",
    "/studies/new/patients": "",
    "/studies/new/pictures/{token}": "",
    "/studies/{study}/delete": "",
    "/studies/{study}/preview.png": "",
    "/studies/{study}/thumbnail.png": "",
    "/studies/{study}/view": "",
    "/studies/{study}/series/{series}/pictures": "",
    f"{INSTANCE}/document": "",
    f"{INSTANCE}/items": "path=",
    f"{INSTANCE}/picture.png": "",
    f"{INSTANCE}/preview.jpg": "",
    f"{INSTANCE}/value": "path=0010,0010",
}


@dataclass(frozen=True)
class Place:
    """Three installations.

    Args:
        urls: by their names.
        words: what the addresses of pages name, with what is there.
        cookies: of somebody who is signed in.
    """

    urls: dict[str, str]
    words: dict[str, str]
    cookies: dict[str, str]

    def address(self, route: str, query: str = "", at: str = "open") -> str:
        """Of a page that is there."""
        found = f"{route}?{query}" if query else route
        for word, value in {**self.words, "number": "1"}.items():
            found = found.replace(f"{{{word}}}", value)
        assert "{" not in found, found
        return self.urls[at] + found


@pytest.fixture(scope="module")
def place(lab: Lab) -> Iterator[Place]:
    # A short path, since the page of settings shows it.
    with tempfile.TemporaryDirectory(prefix="dicomfab-") as home:
        yield from _place(lab, Path(home))


def _place(lab: Lab, home: Path) -> Iterator[Place]:
    application = build(Settings(home / "home", worker_idle_s=0))
    new = build(Settings(home / "new", worker_idle_s=0))
    words = _filled(application, lab)
    ris = RisConfig(Environment.TEST, hl7_port=0, dicom_port=0, any_caller=True)
    account = application.accounts.add(actor(), "anna", [Role.ADMIN], password=PASSWORD)
    local = WebSettings((Mode.LOCAL,))
    with (
        application.ordering.ris.serving(actor(), ris) as answering,
        serving(create_app(application)) as url,
        serving(create_app(application, local)) as signed_in,
        serving(create_app(new, local)) as fresh,
    ):
        words["ris"] = f"127.0.0.1:{answering.dicom_port}:{answering.ae_title}"
        with httpx.Client(base_url=url, headers=OURS, timeout=60) as client:
            words |= _begun(client, words)
        with httpx.Client(base_url=signed_in, headers=OURS, timeout=60) as client:
            cookies = client.post("/sign-in", data={"name": "anna", "password": PASSWORD}).cookies
        urls = {"open": url, "signed_in": signed_in, "new": fresh}
        yield Place(urls, {**words, "account_id": str(account.id)}, dict(cookies))
    new.close()
    application.close()


def _filled(application: Application, lab: Lab) -> dict[str, str]:
    """The lab's servers, two studies of which one is on a server, a job, an order, a patient."""
    registry = LabRegistryService(application.registry, application.audit.record)
    registry.configure(actor(), servers(lab.config), routes(lab.config))
    uids = []
    for number, name in enumerate(("Moreau^Claire", "Okafor^Ada")):
        patient = Patient(name, f"SYN-PAGE-{number}", "19700101", "F")
        recipe = StudyRecipe(
            ("dx-chest", "text-card"), patient=patient, seed=70 + number, accession_number=ACCESSION[:-1] + str(number)
        )
        made = application.studies.create(actor(), application.studies.resolve_recipe(actor(), recipe))
        uids.append(made.resolved.study_instance_uid)
    end = application.pacs.get(actor(), "test-pacs-1")
    job = application.jobs.send(actor(), uids[:1], end)
    assert application.worker.run_one(job.id)
    application.pacs.test_all(actor(), [one.id for one in application.pacs.servers(actor())])
    application.ordering.intake.take(actor(), ORM.encode(), Environment.TEST)
    application.patients.add(actor(), {"name": "Lindgren^Astrid", "birth_date": "19500102", "sex": "F"})
    return {
        "study": uids[0],
        "other": uids[1],
        "series": application.studies.show(actor(), uids[0]).series[0].series_instance_uid,
        "job_id": str(job.id),
        "server_id": "test-pacs-1",
        "source": "test-pacs-1",
        "destination": "prod-pacs-1",
        "seq": "1",
        "path:path": "docs/user-guides/queries.md",
    }


def _begun(client: httpx.Client, words: dict[str, str]) -> dict[str, str]:
    """What is begun on pages, and kept by the server for a while."""

    def last(path: str, **data: str) -> str:
        answer = client.post(path, data=data)
        assert answer.status_code == 303, answer.text
        return re.split("[/=]", answer.headers["location"])[-1]

    series = client.get(f"/studies/{words['study']}/series/{words['series']}").text
    instance = re.search(r"/instances/([\d.]+)", series)
    asked = "/query?pacs=test-pacs-1&pacs=prod-pacs-1&patient_name=Moreau&run=1"
    search = re.search(r"search=([\w-]+)", str(client.get(asked, follow_redirects=True).url))
    preview = client.post("/studies/new/preview", data={"tab": "form", "kinds": "text-card"}).text
    token = re.search(r"/pictures/([\w-]+)", preview)
    assert instance
    assert search
    assert token

    def diagnosed() -> str:
        run = last("/doctor/server", pacs="test-pacs-1")
        client.get(f"/doctor/checks?run={run}", timeout=60)  # makes it; it is not kept for long before that
        return run

    return {
        "instance": instance[1],
        "search": search[1],
        "token": token[1],
        "diagnosis": diagnosed(),
        "examination": last("/modality", pacs="test-pacs-1", ris=words["ris"], accession="NOBODY").removesuffix("#run"),
        "broken_off": diagnosed(),
        "matrix": last("/pacs/matrix", how="ask"),
        "run_id": last("/query/list", text="SYN-PAGES-0", pacs="test-pacs-1"),
        "validation": last("/studies/validate", study=words["study"]),
    }


def test_no_page_is_forgotten(place: Place, tmp_path: Path) -> None:
    application = build(Settings(tmp_path))
    declared = [route.removeprefix("GET ") for route in declared_actions(create_app(application)) if "GET " in route]
    application.close()
    shown = {one.route for one in PAGES.values()}
    programs = {route for route in declared if route.startswith(("/api/v1/", "/dicom-web/"))} - shown
    programs |= VIEWER | ELSEWHERE
    assert set(declared) - programs == {re.sub(r"\{validation\}", "{run_id}", route) for route in shown} | set(OTHERS)


@pytest.mark.full
@pytest.mark.parametrize("route", OTHERS)
def test_the_other_routes_are_no_pages(place: Place, route: str) -> None:
    with (
        httpx.Client(headers=OURS, timeout=60) as client,
        client.stream("GET", place.address(route, OTHERS[route])) as answer,
    ):  # a stream is not waited for
        # A picture holds no document.
        assert answer.status_code in ({404} if route.endswith("/document") else {200, 303})
        if answer.status_code != 404 and answer.headers.get("content-type", "").startswith("text/html"):
            assert b"<html" not in answer.read()


@pytest.mark.parametrize(
    "name", [*SOME, *(pytest.param(name, marks=pytest.mark.full) for name in PAGES if name not in SOME)]
)
def test_page_in_light(page: Page, place: Place, name: str) -> None:
    _is_in_order(page, place, name, "light")


@pytest.mark.full
@pytest.mark.parametrize("name", PAGES)
def test_page_in_dark_and_on_a_phone(page: Page, place: Place, name: str) -> None:
    _is_in_order(page, place, name, "dark", "phone")


def _is_in_order(page: Page, place: Place, name: str, *looks: str) -> None:
    shown = PAGES[name]
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None)
    _look(page, looks[0])
    if shown.at == "signed_in":
        url = place.urls[shown.at]
        page.context.add_cookies([{"name": key, "value": value, "url": url} for key, value in place.cookies.items()])
    answer = page.goto(place.address(shown.route, shown.query, shown.at))
    assert answer is not None
    assert answer.status == 200
    if shown.until:
        expect(page.get_by_text(shown.until).first).to_be_visible()
    expect(page.locator("h1")).to_have_count(1)
    assert page.title().removesuffix("· DICOM Fabricator").strip()
    for look in looks:
        width = _look(page, look)
        page.wait_for_function(FOLLOWS, arg=LOOKS[look][0])
        found = Axe().run(page, options={"rules": {rule: {"enabled": False} for rule in shown.foreign}})
        assert found.violations_count == 0, found.generate_report()
        page.evaluate("scrollTo(0, 0)")
        _keep(page, f"{name}-{look}")
        for one in (width, PHONE):
            page.set_viewport_size({"width": one, "height": HEIGHT})
            assert page.evaluate("document.documentElement.scrollWidth") <= one
    assert complaints == []


def _look(page: Page, look: str) -> int:
    """Have the page look so; its width."""
    scheme, width = LOOKS[look]
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": HEIGHT})
    return width


def _keep(page: Page, name: str) -> None:
    """A picture of what is seen without scrolling, in few colours, for the gallery."""
    if os.environ.get("DICOMFAB_SCREENSHOTS") != "1":
        return
    folder = DOCUMENTED / "pages"
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.png"
    page.wait_for_function(IMAGES_ARE_THERE)
    page.screenshot(path=file, animations="disabled", caret="initial")
    with Image.open(file) as picture:
        few = picture.convert("RGB").quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few.save(file, optimize=True)


def test_the_gallery_shows_every_page_and_is_small() -> None:
    expected = {f"{name}-{look}.png" for name in PAGES for look in LOOKS}
    kept = {file.name: file.stat().st_size for file in (DOCUMENTED / "pages").glob("*.png")}
    linked = set(re.findall(r"\.\./images/pages/([\w-]+\.png)", GALLERY.read_text("utf-8")))
    assert linked == expected
    assert set(kept) == expected
    assert sum(kept.values()) < LARGEST_BYTES
