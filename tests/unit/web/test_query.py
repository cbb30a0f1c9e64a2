from __future__ import annotations

import re
import shlex
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import parse_qs, urlsplit

import pytest

from dicomfab.app.build import Application
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.services.study_filter import StudyFilter
from dicomfab.web.query_address import Search
from tests.unit.services.test_search import Holding
from tests.unit.web.conftest import ACTOR, Browser, done

STUDY = "1.2.3"


def asked(browser: Browser, address: str) -> str:
    """Search; the address of the answers, when all servers have answered."""
    response = browser.get(f"/query?{address}&run=1")
    assert response.status_code == 303, response.text
    found: str = response.headers["location"]
    stream = browser.get(f"/query/answers?search={parse_qs(urlsplit(found).query)['search'][0]}")
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.text.rstrip().splitlines()[-2].startswith("event: end")
    return found


@contextmanager
def answering(application: Application, *names: str, environment: str = "test") -> Iterator[Holding]:
    """Servers that hold the same studies."""
    pacs = Holding(*((f"1.2.{number}", f"Name^{number:03}", str(number)) for number in range(60)))
    with ExitStack() as stack:
        for name in names:
            port = stack.enter_context(Server(ServerConfig(name), pacs)).port
            entry = {"name": name, "host": "127.0.0.1", "port": port, "aec": name, "environment": environment}
            application.pacs.add(ACTOR, entry)
        yield pacs


def test_nothing_is_asked_before_the_search(browser: Browser, application: Application) -> None:
    with answering(application, "One") as pacs:
        assert "sse-connect" not in browser.get("/query").text
        assert "sse-connect" not in browser.get("/query?pacs=one&patient_name=DOE").text
        assert pacs.identifiers == []
        address = asked(browser, "pacs=one&patient_name=DOE")
        assert len(pacs.identifiers) == 1
        assert "Name, 001" in browser.get(address).text
        assert len(pacs.identifiers) == 1


def test_answers_are_awaited_while_a_server_is_silent(browser: Browser, application: Application) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        entry = {"name": "Slow", "host": "127.0.0.1", "port": silent.getsockname()[1], "aec": "SLOW"}
        application.pacs.add(ACTOR, {**entry, "environment": "test", "association_timeout_s": 3.0})
        location = browser.get("/query?pacs=slow&run=1").headers["location"]
        waiting = browser.get(location).text
        search = parse_qs(urlsplit(location).query)["search"][0]
        assert f'sse-connect="/query/answers?search={search}"' in waiting
        assert "waiting for the answer" in waiting
        stream = browser.get(f"/query/answers?search={search}").text
    assert re.findall(r"^event: (\S+)", stream, re.MULTILINE) == ["server-0", "summary", "changed", "end"]
    done = browser.get(location).text
    assert "timed out" in done
    assert "sse-connect" not in done


def test_the_address_holds_the_form(browser: Browser, servers: tuple[str, str]) -> None:
    text = browser.get(asked(browser, "pacs=beta&patient_id=007&modality=CT&limit=20&keys=PatientSex%3DM")).text
    assert 'value="007"' in text
    assert re.search(r'value="beta" checked', text)
    assert not re.search(r'value="alpha" checked', text)
    assert "at most <strong>20</strong> per server" in text
    assert "dicomfab query --pacs beta --patient-id 007 --modality CT --key PatientSex=M --limit 20" in text


def test_production_is_not_asked_by_default(browser: Browser, servers: tuple[str, str]) -> None:
    text = browser.get("/query").text
    assert re.search(r'value="alpha" checked', text)
    assert not re.search(r'value="beta" checked', text)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("", "choose at least one server"),
        ("pacs=alpha&date_from=never", "is not a date"),
        ("pacs=alpha&date=tomorrow", "is not a date"),
        ("pacs=alpha&date_from=2026-02-02&date_to=2026-01-01", "is before"),
        ("pacs=alpha&study_instance_uid=x", "is not a DICOM UID"),
        ("pacs=alpha&keys=Nonsense%3D1", "cannot be a key"),
        ("pacs=alpha&level=series", "a search at series level needs it"),
        ("pacs=alpha&limit=many", "is not a number of matches"),
        ("pacs=alpha&pacs=beta&modality=CT", "too wide for Beta (prod)"),
    ],
)
def test_a_search_that_cannot_be_used_asks_nobody(
    browser: Browser, servers: tuple[str, str], address: str, said: str
) -> None:
    response = browser.get(f"/query?{address}&run=1")
    assert response.status_code == 400
    assert said in response.text
    assert "sse-connect" not in response.text


def test_a_server_that_fails_is_never_shown_as_empty(browser: Browser, servers: tuple[str, str]) -> None:
    text = browser.get(asked(browser, "pacs=alpha&pacs=beta&patient_id=1")).text
    assert text.count("Connection failed") == 2
    assert "ok 0" not in text
    assert "Nothing matches" not in text
    assert "2 failed" in text


def test_pages_sort_filter_merge_and_files_ask_nobody(browser: Browser, application: Application) -> None:
    with answering(application, "One", "Two") as pacs:
        address = asked(browser, "pacs=one&pacs=two")
        assert len(pacs.identifiers) == 2
        first = browser.get(address).text
        assert "120 rows" in first
        assert first.count("<tbody") == 50
        assert browser.get(f"{address}&page=3").text.count("<tbody") == 20
        down = browser.get(f"{address}&sort=NumberOfStudyRelatedInstances&order=desc&server=two").text
        assert re.findall(r'data-key="(\S+)"', down)[:2] == ["1.2.59", "1.2.58"]
        assert "60 rows" in browser.get(f"{address}&merged=1").text
        assert "2 rows with “name 007”" in browser.get(f"{address}&q=name+007").text
        assert "Nothing of what was found fits" in browser.get(f"{address}&q=nobody").text
        query = urlsplit(address).query
        for kind in ("csv", "json", "xlsx"):
            file = browser.get(f"/query/export?{query}&kind={kind}")
            assert file.headers["content-disposition"] == f'attachment; filename="query.{kind}"'
        assert browser.get(f"/query/export?{query}&kind=csv&merged=1").text.count("\n") == 61
        assert browser.get(f"/query/export?{query}&kind=exe").status_code == 400
        assert len(pacs.identifiers) == 2


def test_answers_that_are_gone_are_said_to_be(browser: Browser, servers: tuple[str, str]) -> None:
    text = browser.get("/query?pacs=alpha&search=AAAAAAAAAAAAAAAA").text
    assert "Not found" in text
    assert "search again" in text.lower()
    assert browser.get("/query/answers?search=AAAAAAAAAAAAAAAA").status_code == 404
    assert browser.get("/query/export?search=AAAAAAAAAAAAAAAA&kind=csv").status_code == 404


def test_a_search_is_saved_and_forgotten(browser: Browser, servers: tuple[str, str]) -> None:
    form = {"pacs": ["alpha", "beta"], "patient_name": "Doe", "keys": "PatientSex=M\nPatientAge", "save": "doe"}
    assert browser.post("/query/saved", form).status_code == 303
    text = browser.get("/query?saved=doe").text
    assert 'value="Doe"' in text
    assert "PatientSex=M\nPatientAge" in text
    assert re.search(r'value="beta" checked', text)
    assert browser.post("/query/saved", {**form, "save": "No Name"}).status_code == 400
    assert browser.post("/query/saved/doe/delete").status_code == 303
    assert browser.get("/query?saved=doe").status_code == 404


def test_a_move_needs_a_route_and_says_how_to_add_one(
    browser: Browser, application: Application, servers: tuple[str, str]
) -> None:
    without = browser.get(f"/query/move?source=alpha&study={STUDY}", **{"HX-Request": "true"}).text
    assert "no C-MOVE route yet" in without
    assert 'href="/pacs/alpha/routing"' in without
    refused = browser.post("/query/move", {"source": "beta", "study": STUDY, "destination": "alpha"})
    assert refused.status_code == 409
    assert "C-MOVE failed" in refused.text
    application.pacs.set_routes(ACTOR, "alpha", {"beta": "BETA"})
    assert "Beta (prod), as BETA" in browser.get(f"/query/move?source=alpha&study={STUDY}").text


def test_a_move_to_production_wants_an_explicit_yes(
    browser: Browser, application: Application, servers: tuple[str, str]
) -> None:
    application.pacs.set_routes(ACTOR, "alpha", {"beta": "BETA"})
    form = {"source": "alpha", "study": STUDY, "destination": "beta"}
    asked = browser.post("/query/move", form)
    assert asked.status_code == 400
    assert 'id="confirm_name-error"' in asked.text
    assert browser.post("/query/move", {**form, "confirm_name": "Alpha"}).status_code == 400
    last = done(application, browser.post("/query/move", {**form, "confirm_name": "Beta"}))
    assert last.error["heading"] == "Connection failed"
    page = browser.get(f"/jobs/{last.id}").text
    assert "Connection failed" in page
    assert "attempt 1 of 8 failed" in page
    assert browser.post("/query/move", {**form, "destination": ""}).status_code == 400


def test_a_get_that_fails_is_explained(browser: Browser, application: Application, servers: tuple[str, str]) -> None:
    last = done(application, browser.post("/query/get", {"source": "alpha", "study": STUDY}))
    assert last.error["heading"] == "Connection failed"
    assert browser.post("/query/get", {"source": "alpha", "study": "../x"}).status_code == 400


def test_a_failure_below_a_row_is_shown_in_its_place(browser: Browser, servers: tuple[str, str]) -> None:
    headers = {"HX-Request": "true", "HX-Target": "detail-alpha-1"}
    response = browser.get(f"/query/below?server=alpha&study={STUDY}", **headers)
    assert response.status_code == 502
    assert "hx-retarget" not in response.headers
    assert "Connection failed" in response.text


def test_the_command_line_quotes_what_a_shell_would_read() -> None:
    search = Search(("a",), StudyFilter(patient_name="O'Neil^* $(x)"), 500, True)
    assert shlex.split(search.command) == ["--pacs", "a", "--patient-name", "O'Neil^* $(x)"]
