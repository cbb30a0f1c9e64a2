"""Hostile values on every page are text: nothing runs, nothing is turned around, nothing is wider than the page."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Page, expect

from dicomfab.app.web_settings import Mode, WebSettings
from dicomfab.model.procedure import ProcedureFilter
from dicomfab.storage.audit import AuditFilter
from dicomfab.web.app import create_app
from tests.browser.conftest import serving
from tests.browser.hostile_world import ACTOR, NAME, PASSWORD, ROOT, VALUES, World, hostile_world
from tests.unit.web.api.conftest import serving as signed_in_at

# pydicom tells of what the peer's texts are like.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

LOOK = (Path(__file__).parent / "hostile_look.js").read_text()
PHONE, DESKTOP = 360, 1280
WATCH = """
window.violations = []; window.runs = 0;
window.__ran = () => { window.runs += 1; };
for (const name of ["alert", "prompt", "confirm"]) window[name] = window.__ran;
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with hostile_world(tmp_path_factory.mktemp("hostile")) as world:
        yield world


@pytest.fixture(scope="module")
def url(world: World) -> Iterator[str]:
    with serving(world.application.settings.home) as url:
        yield url


@pytest.fixture
def watched(page: Page) -> Page:
    """A page that counts what runs and what the security policy stops, from before its first script."""
    page.add_init_script(WATCH)
    return page


def of_studies(world: World) -> Iterator[str]:
    """Pages of local studies."""
    chosen = "&".join(f"study={one}" for one in world.studies)
    yield from ("/studies", "/studies?q=mark", f"/studies/send?{chosen}", f"/studies/delete?{chosen}", "/studies/new")
    yield from (f"/studies/compare?study={ROOT}.1", f"/studies/{ROOT}.6/delete", "/studies/new/order")
    yield from (f"/studies/{one}" for one in world.studies)
    for number in range(1, len(VALUES) + 1):
        series, one = f"/studies/{ROOT}.{number}/series/{ROOT}.{number}.1", f"{ROOT}.{number}.1"
        yield from (series, f"{series}/instances/{one}.1", f"/studies/diff?a={one}.1&b={one}.2")


def of_servers() -> Iterator[str]:
    """Pages of servers."""
    yield from ("/pacs", "/pacs/matrix", "/pacs/matrix/peer/other", "/pacs/network", "/pacs/new", "/pacs/import")
    yield from (f"/pacs/peer/{what}" for what in ("edit", "routing", "delete"))
    yield from ("/monitor", "/monitor/peer", "/doctor", "/doctor?pacs=peer", "/compare")


def of_searches(world: World) -> Iterator[str]:
    """Pages of the query."""
    found = f"/query?pacs=peer&pacs=other&patient_name=mark*&search={world.search}"
    yield from ("/query", "/query/list", found, f"{found}&merged=1", f"{found}&q=%E2%80%AEx")
    yield f"{found}&server=peer&sort=PatientName"
    yield f"/query/messages?server=peer&search={world.search}"
    yield f"/query/move?row=peer|{ROOT}.1&search={world.search}"


def of_the_rest(world: World) -> Iterator[str]:
    """All other pages."""
    yield from ("/procedures", "/messages", "/modality")
    for number in range(1, len(VALUES) + 1):
        yield from (f"/messages/{number}", f"/messages/new?from={number}")
    for one in world.application.ordering.schedule.page(ACTOR, ProcedureFilter()).procedures:
        yield from (f"/procedures/{one.number}", f"/messages/new?template=omi-new&procedure={one.number}")
    yield from ("/", "/orders", "/patients", "/jobs", "/schedules", "/audit", "/settings", "/help?q=<b>", "/users")
    yield from (f"/users/{number}" for number in world.people)
    for number in range(1, len(VALUES) + 1):
        yield from (f"/orders/{number}", f"/studies/new/order?order={number}")
    yield from (f"/jobs/{number}?items={items}" for number in world.jobs for items in ("all", "failed"))
    for patient in world.application.patients.page(ACTOR).patients:
        yield from (f"/patients/{patient.number}/{what}" for what in ("edit", "delete"))
    for entry in world.application.audit.page(ACTOR, AuditFilter(), limit=40).entries:
        yield f"/audit/{entry.seq}"


def looked_at(page: Page) -> list[str]:
    """What is wrong on the page that is open, on a telephone and on a desk."""
    wrong = []
    for width in (PHONE, DESKTOP):
        page.set_viewport_size({"width": width, "height": 800})
        wrong += [f"{one} at {width}" for one in page.evaluate(LOOK)]
    return wrong


@pytest.mark.full
def test_every_page_shows_hostile_values_as_text(watched: Page, url: str, world: World) -> None:
    wrong: dict[str, list[str]] = {}
    for address in (*of_the_rest(world), *of_servers(), *of_searches(world), *of_studies(world)):
        answer = watched.goto(url + address, wait_until="load")
        assert answer is not None
        said = looked_at(watched)
        if answer.status >= 400:
            said.append(f"status {answer.status}")
        if said:
            wrong[address] = said
    assert not wrong, "\n".join(f"{address}: {said}" for address, said in wrong.items())


@pytest.mark.full
def test_every_value_is_on_the_page_as_text(watched: Page, url: str, world: World) -> None:
    for address in (f"/query?pacs=peer&patient_name=mark*&search={world.search}", "/studies", "/orders"):
        watched.goto(url + address)
        body = watched.locator("main").inner_text()
        assert [f"mark{letter}" for letter in "ABCDEFGHIJKLMN" if f"mark{letter}" not in body] == [], address
        for text in ("<img src=x onerror=", "<script>", "{{7*7}}", "⟨U+202E⟩eulav", "%0d%0aSet-Cookie"):
            assert text in body, (address, text)
    for address in ("/pacs", "/jobs", "/", "/doctor", "/monitor"):
        watched.goto(url + address)
        assert NAME in watched.locator("main").inner_text(), address
    watched.goto(f"{url}/pacs")
    expect(watched.locator("main")).to_contain_text("<img src=x>␛[31m")
    watched.goto(f"{url}/users")
    for person in (VALUES[0], VALUES[1]):
        expect(watched.get_by_role("table", name="Users")).to_contain_text(person)


@pytest.mark.full
def test_what_comes_later_is_text_as_well(watched: Page, url: str, world: World) -> None:
    """A search that is made while one looks, its rows below and messages, the palette, a diagnosis, a live job."""
    watched.goto(f"{url}/query?pacs=peer&patient_name=mark*&run=1")
    table = watched.get_by_role("table", name="Results")
    expect(table.get_by_text("markA").first).to_be_visible()
    table.get_by_role("button", name="Show series").first.click()
    series = watched.get_by_role("table", name="Series")
    expect(series.get_by_text("mark").first).to_be_visible()
    series.get_by_role("button", name="Show instances").first.click()
    expect(watched.get_by_role("table", name="Instances").first).to_be_visible()
    watched.get_by_role("article").locator("summary").first.click()
    expect(watched.get_by_text("C-FIND-RQ").first).to_be_visible()
    assert watched.evaluate(LOOK) == []
    watched.goto(f"{url}/query?pacs=peer&patient_id=FAIL&run=1")
    expect(watched.get_by_role("article")).to_contain_text("comment<img src=x onerror=__ran()>?[31m")
    assert watched.evaluate(LOOK) == []
    watched.keyboard.press("Control+k")
    for typed in ("mark", "Peer", "<b>"):
        with watched.expect_response("**/palette?*"):
            watched.get_by_role("combobox", name="Page, server").fill(typed)
        assert watched.evaluate(LOOK) == []
    watched.goto(f"{url}/doctor?pacs=peer")
    watched.get_by_role("button", name="Diagnose the server").click()
    expect(watched.locator("#diagnosis")).to_contain_text("Peer")
    assert watched.evaluate(LOOK) == []


@pytest.mark.full
@pytest.mark.parametrize(
    "value", [VALUES[0], VALUES[1], VALUES[2], VALUES[5], VALUES[6], VALUES[11], VALUES[13], "W" * 3000]
)
def test_a_hostile_address_is_no_fault_and_no_script(watched: Page, url: str, value: str) -> None:
    text = quote(value, safe="")
    for address in (
        f"/{text}", f"/studies/{text}", f"/studies?q={text}&sort={text}&modality={text}", f"/jobs/{text}",
        f"/jobs?q={text}&kind={text}&server={text}", f"/orders?q={text}&state={text}", f"/patients?q={text}",
        f"/procedures?q={text}&state={text}", f"/messages?q={text}&state={text}&direction={text}",
        f"/messages/new?template={text}&procedure={text}&from={text}", f"/messages/new?PatientID={text}",
        f"/modality?ris={text}&pacs={text}&ae={text}&case={text}&run={text}", f"/modality/worklist?ris={text}",
        f"/query?pacs={text}&patient_name={text}&run=1", f"/query?search={text}", f"/audit?q={text}&kind={text}",
        f"/doctor?pacs={text}&run={text}", f"/pacs?q={text}&group={text}", f"/pacs/{text}/edit", f"/compare?a={text}",
        f"/monitor/{text}", f"/studies/diff?a={text}&b={text}", f"/help?q={text}", f"/studies/new?patient={text}",
    ):  # fmt: skip
        answer = watched.goto(url + address)
        assert answer is not None
        assert answer.status < 500, (address[:80], answer.status)
        assert not any(name.startswith("set-cookie") for name in answer.headers), address[:80]
        assert watched.evaluate(LOOK) == [], address[:80]


@pytest.mark.full
def test_who_has_a_hostile_name_signs_in_and_sees_it_as_text(watched: Page, world: World) -> None:
    with signed_in_at(create_app(world.application, WebSettings((Mode.LOCAL,)))) as place:
        watched.goto(f"{place}/account")
        watched.get_by_label("Name").fill("user0")
        watched.get_by_label("Password").fill(PASSWORD)
        watched.get_by_role("button", name="Sign in").click()
        expect(watched.get_by_role("heading", name="My account")).to_be_visible()
        expect(watched.locator("main")).to_contain_text(VALUES[0])
        for address in ("/account", "/users", f"/users/{world.people[-1]}"):
            watched.goto(place + address)
            assert looked_at(watched) == [], address


@pytest.mark.full
def test_programs_and_files_get_the_values_whole_and_no_spreadsheet_a_formula(url: str, world: World) -> None:
    with httpx.Client(base_url=url, timeout=60) as client:
        for path in ("servers", "studies", "patients", "jobs", "schedules", "audit", "servers/export"):
            answer = client.get(f"/api/v1/{path}")
            assert answer.status_code == 200, path
            assert answer.headers["content-type"] == "application/json", path
            assert answer.headers["x-content-type-options"] == "nosniff", path
        names = {one["patient_name"] for one in client.get("/api/v1/studies?limit=100").json()["items"]}
        assert {VALUES[0], VALUES[1], VALUES[12]} <= names
        exported = {
            kind: client.get(f"/query/export?search={world.search}&kind={kind}") for kind in ("csv", "json", "xlsx")
        }
        assert [answer.status_code for answer in exported.values()] == [200] * 3
        rows = list(csv.reader(io.StringIO(exported["csv"].text)))
        assert any("markM" in cell for row in rows for cell in row)
        assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
        with zipfile.ZipFile(io.BytesIO(exported["xlsx"].content)) as book:
            assert b"<f>" not in book.read("xl/worksheets/sheet1.xml")
        patients = client.get("/patients/export")
        cells = [cell for row in csv.reader(io.StringIO(patients.text)) for cell in row]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
        files = [client.get(f"/studies/download?study={ROOT}.{number}") for number in (1, 2, 7, 8)]
        for answer in (*exported.values(), patients, *files):
            said = answer.headers["content-disposition"]
            assert said.isascii()
            assert said.isprintable()
            assert "<" not in said
