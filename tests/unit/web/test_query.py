from __future__ import annotations

import re
import shlex

import pytest

from dicomfab.app.build import Application
from dicomfab.services.study_filter import StudyFilter
from dicomfab.web.query import Search
from tests.unit.web.conftest import ACTOR, Browser, ended

STUDY = "1.2.3"


def test_nothing_is_asked_before_the_search(browser: Browser, servers: tuple[str, str]) -> None:
    assert "sse-connect" not in browser.get("/query").text
    assert "sse-connect" not in browser.get("/query?pacs=alpha&patient_name=DOE").text
    asked = browser.get("/query?pacs=alpha&patient_name=DOE&run=1").text
    assert 'sse-connect="/query/answers?pacs=alpha&amp;patient_name=DOE"' in asked


def test_the_address_holds_the_form(browser: Browser, servers: tuple[str, str]) -> None:
    text = browser.get("/query?pacs=beta&patient_id=007&modality=CT&limit=20&run=1").text
    assert 'value="007"' in text
    assert re.search(r'value="beta" checked', text)
    assert not re.search(r'value="alpha" checked', text)
    assert "at most <strong>20</strong> per server" in text
    assert "dicomfab query --pacs beta --patient-id 007 --modality CT --limit 20" in text


def test_production_is_not_asked_by_default(browser: Browser, servers: tuple[str, str]) -> None:
    text = browser.get("/query").text
    assert re.search(r'value="alpha" checked', text)
    assert not re.search(r'value="beta" checked', text)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("run=1", "choose at least one server"),
        ("pacs=alpha&date_from=yesterday&run=1", "is not a date"),
        ("pacs=alpha&date_from=2026-02-02&date_to=2026-01-01&run=1", "is before"),
        ("pacs=alpha&study_instance_uid=x&run=1", "is not a DICOM UID"),
        ("pacs=alpha&limit=many&run=1", "is not a number of studies"),
    ],
)
def test_a_search_that_cannot_be_used_asks_nobody(
    browser: Browser, servers: tuple[str, str], address: str, said: str
) -> None:
    response = browser.get(f"/query?{address}")
    assert response.status_code == 400
    assert said in response.text
    assert "sse-connect" not in response.text
    assert browser.get(f"/query/answers?{address}").status_code == 400


def test_a_server_that_fails_is_never_shown_as_empty(browser: Browser, servers: tuple[str, str]) -> None:
    stream = browser.get("/query/answers?pacs=alpha&pacs=beta")
    assert stream.headers["content-type"].startswith("text/event-stream")
    events = re.findall(r"^event: (\S+)", stream.text, re.MULTILINE)
    assert sorted(events) == ["answer-0", "answer-1", "end", "summary", "summary"]
    assert events[-1] == "end"
    assert stream.text.count("Connection failed") == 2
    assert "0 studies" not in stream.text
    assert "No study here matches" not in stream.text
    assert "2 failed" in stream.text


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
    assert 'id="yes_production-error"' in asked.text
    last = ended(application, browser.post("/query/move", {**form, "yes_production": "true"}))
    assert last.error is not None
    assert last.error.heading == "Connection failed"
    assert "Connection failed" in browser.get(f"/tasks/{last.id}").text
    assert browser.post("/query/move", {**form, "destination": ""}).status_code == 400


def test_a_get_that_fails_is_explained(browser: Browser, application: Application, servers: tuple[str, str]) -> None:
    last = ended(application, browser.post("/query/get", {"source": "alpha", "study": STUDY}))
    assert last.error is not None
    assert browser.post("/query/get", {"source": "alpha", "study": "../x"}).status_code == 400


def test_a_failure_below_a_row_is_shown_in_its_place(browser: Browser, servers: tuple[str, str]) -> None:
    headers = {"HX-Request": "true", "HX-Target": "detail-alpha-1"}
    response = browser.get(f"/query/series?server=alpha&study={STUDY}", **headers)
    assert response.status_code == 502
    assert "hx-retarget" not in response.headers
    assert "Connection failed" in response.text


def test_the_command_line_quotes_what_a_shell_would_read() -> None:
    search = Search(("a",), StudyFilter(patient_name="O'Neil^* $(x)"), 500, True)
    assert shlex.split(search.command) == ["--pacs", "a", "--patient-name", "O'Neil^* $(x)"]
