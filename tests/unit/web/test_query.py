from __future__ import annotations

import re
import shlex
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import parse_qs, urlsplit

import pytest

from dicomfab.app.build import Application
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.model.actor import Actor, Role
from dicomfab.model.job import JobKind, JobState
from dicomfab.services.study_filter import StudyFilter
from dicomfab.storage.jobs import JobFilter
from dicomfab.web.query import _events
from dicomfab.web.query_address import Search
from tests.unit.dimse import raw
from tests.unit.services.test_query_answers import answers_with
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
        ("", "Choose at least one server"),
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
    assert "0 found" not in text
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
        assert re.findall(r'data-row="(\S+)"', down)[:2] == ["1.2.59", "1.2.58"]
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


def test_a_search_goes_on_in_the_background(browser: Browser, application: Application) -> None:
    with answering(application, "One", "Two") as pacs:
        assert 'formmethod="post" formaction="/query/background"' in browser.get("/query").text
        form = {"pacs": ["one", "two"], "patient_name": "NAME", "keys": "PatientSex=M", "limit": "20"}
        response = browser.post("/query/background", form)
        assert (response.status_code, pacs.identifiers) == (303, [])
        last = done(application, response)
        assert (last.kind, last.state, last.counts.done) == (JobKind.QUERY, JobState.SUCCEEDED, 2)
        assert last.max_attempts == 8
        assert (last.request["limit"], last.request["filter"]["keys"]) == (20, ["PatientSex=M"])
        found = re.search(r'<a href="(/query\?search=[\w-]+)">', browser.get(f"/jobs/{last.id}").text)
        assert found is not None
        results = browser.get(found[1]).text
    assert "<strong>2 of 2</strong> servers answered" in results
    assert "Name, 001" in results
    # The job's address names the answers alone; the form says what was asked all the same.
    assert 'value="NAME"' in results
    assert re.search(r'value="two" checked', results)
    assert "at most <strong>20</strong> per server" in results
    assert "dicomfab query --pacs one --pacs two --patient-name NAME --key PatientSex=M --limit 20" in results


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"patient_name": "Doe"}, "Choose at least one server"),
        ({"pacs": ["alpha"], "date": "tomorrow", "patient_name": "Doe"}, "is not a date"),
        ({"pacs": ["alpha", "beta"], "modality": "CT"}, "too wide for Beta (prod)"),
        ({"pacs": ["nowhere"], "patient_name": "Doe"}, "no PACS server"),
    ],
)
def test_a_search_that_cannot_be_used_makes_no_job(
    browser: Browser, application: Application, servers: tuple[str, str], form: dict[str, object], said: str
) -> None:
    response = browser.post("/query/background", form)
    assert response.status_code in {400, 404}
    assert said in response.text
    assert f'value="{form.get("patient_name", "CT")}"' in response.text  # what was typed is still there
    assert application.jobs.page(ACTOR, JobFilter()).total == 0


def test_a_reader_of_test_has_no_production_server_asked_in_the_background(
    browser: Browser, application: Application, servers: tuple[str, str]
) -> None:
    browser.act_as(Actor("reader", frozenset({Role.TEST_READ}), "web"))
    response = browser.post("/query/background", {"pacs": ["beta"], "patient_name": "Doe"})
    assert done(application, response).state is JobState.FAILED
    page = browser.get(response.headers["location"]).text
    assert "not allowed" in page.lower()
    assert "Beta" not in page


def test_a_move_needs_a_route_and_says_how_to_add_one(
    browser: Browser, application: Application, servers: tuple[str, str]
) -> None:
    without = browser.get(f"/query/move?row=alpha|{STUDY}", **{"HX-Request": "true"}).text
    assert "no C-MOVE route yet" in without
    assert 'href="/pacs/alpha/routing"' in without
    refused = browser.post("/query/move", {"row": f"beta|{STUDY}", "destination": "alpha"})
    assert refused.status_code == 409
    assert "C-MOVE failed" in refused.text
    application.pacs.set_routes(ACTOR, "alpha", {"beta": "BETA"})
    assert "Beta (prod), as BETA" in browser.get(f"/query/move?row=alpha|{STUDY}").text


def test_a_move_to_production_wants_an_explicit_yes(
    browser: Browser, application: Application, servers: tuple[str, str]
) -> None:
    application.pacs.set_routes(ACTOR, "alpha", {"beta": "BETA"})
    form = {"row": f"alpha|{STUDY}", "destination": "beta"}
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
    last = done(application, browser.post("/query/get", {"row": f"alpha|{STUDY}"}))
    assert last.error["heading"] == "Connection failed"
    assert browser.post("/query/get", {"row": "alpha|../x"}).status_code == 400


def test_a_failure_below_a_row_is_shown_in_its_place(browser: Browser, servers: tuple[str, str]) -> None:
    headers = {"HX-Request": "true", "HX-Target": "detail-alpha-1"}
    response = browser.get(f"/query/below?server=alpha&study={STUDY}", **headers)
    assert response.status_code == 502
    assert "hx-retarget" not in response.headers
    assert "Connection failed" in response.text


def test_what_a_server_warns_of_is_shown_with_what_is_below_a_row(browser: Browser, application: Application) -> None:
    with raw.peer(answers_with(0xB000, matches=1, comment="limit reached")) as peer:
        entry = {"name": "Alpha", "host": "127.0.0.1", "port": peer.port, "aec": "ALPHA", "environment": "test"}
        application.pacs.add(ACTOR, entry)
        response = browser.get(f"/query/below?server=alpha&study={STUDY}")
    assert response.status_code == 200
    assert "It ended its answer with the warning B000: limit reached: there may be more." in response.text


def test_the_command_line_quotes_what_a_shell_would_read() -> None:
    search = Search(("a",), StudyFilter(patient_name="O'Neil^* $(x)"), 500, True)
    assert shlex.split(search.command) == ["--pacs", "a", "--patient-name", "O'Neil^* $(x)"]


def test_servers_are_chosen_by_environment_group_and_favourites(
    browser: Browser, application: Application, servers: tuple[str, str]
) -> None:
    entry = {"name": "Gamma", "host": "127.0.0.1", "port": 1, "aec": "GAMMA", "environment": "test"}
    application.pacs.add(ACTOR, {**entry, "group": "Site A, research"})
    application.pacs.set_favourite(ACTOR, "beta", is_on=True)

    def chosen(preset: str) -> list[str]:
        text = browser.get(f"/query?pacs=alpha&patient_name=DOE&choose={preset}&run=1").text
        assert 'value="DOE"' in text
        assert "sse-connect" not in text
        return re.findall(r'name="pacs" value="(\w+)" checked', text)

    assert chosen("test") == ["alpha", "gamma"]
    assert chosen("prod") == chosen("favourites") == ["beta"]
    assert chosen("group:research") == ["gamma"]
    assert chosen("all") == ["alpha", "gamma", "beta"]
    assert chosen("none") == chosen("group:nobody") == []
    assert "Not checked yet" in browser.get("/query").text


def test_rows_of_two_servers_are_moved_by_a_job_each(browser: Browser, application: Application) -> None:
    with answering(application, "One", "Two"):
        for name in ("End", "Live"):
            entry = {"name": name, "host": "127.0.0.1", "port": 1, "aec": name.upper()}
            application.pacs.add(ACTOR, {**entry, "environment": "prod" if name == "Live" else "test"})
        application.pacs.set_routes(ACTOR, "one", {"end": "END", "live": "LIVE"})
        application.pacs.set_routes(ACTOR, "two", {"end": "END2"})
        search = parse_qs(urlsplit(asked(browser, "pacs=one&pacs=two")).query)["search"][0]
        rows = "row=one|1.2.7&row=one|1.2.8&row=two|1.2.9&row=two|1.2.9|1.2.9.1"
        text = browser.get(f"/query/move?{rows}&search={search}").text
        assert "Move 3 studies, 24 instances" in text  # 7 + 8 + 9: the series of a chosen study adds nothing
        assert "End (test), as END, END2" in text
        assert not re.search(r"<option[^>]*>Live", text)
        assert re.search(r"No route from Two to [^<]*Live", text)
        assert "in 2 jobs" in text
    form = {"row": ["one|1.2.7", "one|1.2.8", "two|1.2.9"], "search": search, "destination": "end"}
    address = browser.post("/query/move", form).headers["location"]
    assert re.fullmatch(r"/query/started\?job=\d+&job=\d+", address)
    assert "Move 2 studies from One to End" in browser.get(address).text
    assert browser.post("/query/move", {**form, "destination": "live"}).status_code == 400
    before = application.jobs.page(ACTOR, JobFilter()).total
    refused = browser.post("/query/move", {**form, "destination": "live", "confirm_name": "Live"})
    assert refused.status_code == 409
    assert application.jobs.page(ACTOR, JobFilter()).total == before


def test_series_are_fetched_by_a_job_for_each_study(browser: Browser, servers: tuple[str, str]) -> None:
    rows = ["alpha|1.2.7|1.2.7.1", "alpha|1.2.7|1.2.7.2", "alpha|1.2.8|1.2.8.1", "beta|1.2.9"]
    address = browser.post("/query/get", {"row": rows}).headers["location"]
    text = browser.get(address).text
    assert "3 jobs begun" in text
    assert "Get 2 series from Alpha" in text
    assert "Get a study from Beta" in text


def test_what_another_server_holds_is_retrieved_from_there(browser: Browser, application: Application) -> None:
    with answering(application, "One", "Two"):
        search = parse_qs(urlsplit(asked(browser, "pacs=one&pacs=two")).query)["search"][0]
        text = browser.get(f"/query/move?row=one|1.2.7&row=one|1.2.8&search={search}").text
        assert "Retrieve from Two instead" in text
        assert "row=two%7C1.2.7&amp;row=two%7C1.2.8" in text
        other = browser.get(f"/query/move?row=one|1.2.7&row=one|9.9&search={search}").text
        assert "Retrieve from" not in other
        compared = browser.get(f"/query/compare?row=one|1.2.7&search={search}").headers["location"]
        assert compared == "/compare?a=one&b=two&study_instance_uid=1.2.7"
        assert browser.get(f"/query/compare?row=one|1.2.7&row=two|1.2.7&row=x|1.2&search={search}").status_code == 404


def test_chosen_rows_stay_chosen_and_are_exported_alone(browser: Browser, application: Application) -> None:
    with answering(application, "One", "Two"):
        address = asked(browser, "pacs=one&pacs=two")
        rows = "row=one%7C1.2.7&row=two%7C1.2.7&row=two%7C1.2.59"
        text = browser.get(f"{address}&{rows}&q=name+007").text
        assert len(re.findall(r'name="row" value="(?:one|two)\|1\.2\.7"[^>]* checked', text)) == 2
        assert "1 of them on other pages" in text
        query = urlsplit(address).query
        assert browser.get(f"/query/export?{query}&{rows}&kind=csv").text.count("\n") == 4
        assert browser.get(f"/query/export?{query}&row=one%7C1.2.7&merged=1&kind=csv").text.count("\n") == 2
        assert "checked" not in browser.get(f"{address}&row=nonsense&q=007").text.partition('id="results"')[2]


def test_messages_are_shown_and_downloaded(browser: Browser, application: Application) -> None:
    with answering(application, "One"):
        search = parse_qs(urlsplit(asked(browser, "pacs=one&patient_name=NAME")).query)["search"][0]
    text = browser.get(f"/query/messages?search={search}&server=one").text
    assert "C-FIND-RQ" in text
    assert "Explicit VR Little Endian" in text
    assert "40 more" in text
    part = browser.get(f"/query/messages?search={search}&server=one", **{"HX-Request": "true"}).text
    assert "<html" not in part
    file = browser.get(f"/query/messages?search={search}&server=one&kind=txt")
    assert file.headers["content-type"].startswith("text/plain")
    assert "->  C-FIND-RQ" in file.text
    assert browser.get(f"/query/messages?search={search}&server=two").status_code == 404
    assert browser.get("/query/messages?search=AAAAAAAAAAAAAAAA&server=one").status_code == 404


def test_hostile_values_are_text_everywhere(browser: Browser, application: Application) -> None:
    evil = "<img src=x onerror=alert(1)>"
    with answering(application, "One") as pacs:
        for match in pacs.matches:
            match.PatientName = f"{evil}\u202e^\x07"
            match.StudyDescription = "D" * 10_000
            match.PatientID = '"><script>'
        address = asked(browser, "pacs=one")
        search = parse_qs(urlsplit(address).query)["search"][0]
        pages = [browser.get(address).text, browser.get(f"{address}&merged=1").text]
    pages += [browser.get(f"/query/messages?search={search}&server=one{kind}").text for kind in ("", "&kind=txt")]
    for text in pages:
        assert "\u202e" not in text
        assert "\x07" not in text
        assert "D" * 400 not in text
    for text in pages[:3]:
        assert "<img" not in text.partition("<main")[2]
        assert "<script>" not in text


def test_no_answer_nothing_found_and_cut_off_are_told_apart(
    browser: Browser, application: Application, servers: tuple[str, str]
) -> None:
    assert "No server gave an answer" in browser.get(asked(browser, "pacs=alpha")).text
    with answering(application, "One") as pacs:
        assert "the first 5 of more" in browser.get(asked(browser, "pacs=one&limit=5")).text
        pacs.matches.clear()
        text = browser.get(asked(browser, "pacs=one&patient_name=DOE&patient_id=007&date=today")).text
    assert "Nothing matches on the servers that answered" in text
    assert "Names match from the beginning" in text
    assert "zeros in front count" in text
    assert 'aria-label="Search without Patient name"' in text
    without = re.search(r'href="([^"]+)" aria-label="Search without Patient name"', text)
    assert without is not None
    assert "patient_name" not in without[1]
    assert "patient_id=007" in without[1]


def test_the_stream_ends_when_the_page_goes_away(application: Application, servers: tuple[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        entry = {"name": "Slow", "host": "127.0.0.1", "port": silent.getsockname()[1], "aec": "SLOW"}
        application.pacs.add(ACTOR, {**entry, "environment": "test", "association_timeout_s": 3.0})
        service = application.searches
        search = service.begin(ACTOR, service.targets(ACTOR, ["slow"]), StudyFilter(), 5)
        gone = threading.Event()
        gone.set()
        start = time.monotonic()
        assert list(_events(service, ACTOR, search, gone)) == []
        assert time.monotonic() - start < 2
