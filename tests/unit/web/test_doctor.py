"""The doctor on the pages: two forms, checks as they are made, causes with what to do, and a report to send."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from dicomfab.app.build import Application
from dicomfab.archive.archive import Archive
from dicomfab.diagnosis.checks import Check, Outcome, Stage
from dicomfab.diagnosis.checks import Role as Whose
from dicomfab.diagnosis.reason import Diagnosis, Verdict
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.transport.faults import Fault, FaultKind, FaultPlan
from dicomfab.model.actor import Actor, Role
from dicomfab.model.errors import Conflict
from dicomfab.model.values import Environment
from dicomfab.testpacs.pacs import PacsHandlers
from dicomfab.web import doctor_runs
from dicomfab.web.doctor_runs import Run, Runs, Wanted
from dicomfab.web.doctor_view import report
from tests.unit.dimse.memory_pacs import MemoryPacs
from tests.unit.dimse.raw import eventually
from tests.unit.web.conftest import ACTOR, Browser, done

STUDY = "1.2.826.0.1.3680043.10.1"
Add = Callable[..., int]


@pytest.fixture
def add(application: Application) -> Iterator[Add]:
    """Adds a server of ours to the registry, and has it run with what is wrong with it; its port."""
    with ExitStack() as stack:

        def added(name: str = "Lab", *faults: Fault, environment: str = "test", **config: object) -> int:
            plan = FaultPlan(faults) if faults else None
            server = Server(ServerConfig("MEMORY", faults=plan, **config), MemoryPacs())  # type: ignore[arg-type]
            port = stack.enter_context(server).port
            entry = {"name": name, "host": "127.0.0.1", "port": port, "aec": "MEMORY", "environment": environment}
            application.pacs.add(ACTOR, entry)
            return port

        yield added


@pytest.fixture
def closed(application: Application) -> Iterator[str]:
    """The id of a server on whose port nothing listens, and whose name is hostile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        entry = {"name": "<b>Bold</b>", "host": "127.0.0.1", "port": bound.getsockname()[1], "aec": "<i>AEC</i>"}
        yield application.pacs.add(ACTOR, {**entry, "environment": "test"}).id


@pytest.fixture
def lab(application: Application, tmp_path: Path) -> Iterator[Application]:
    """*Left* (test), *Right* (prod): healthy, and Left knows Right; our registry has no route."""
    with ExitStack() as stack:
        known: dict[str, tuple[str, int]] = {}
        for name, environment in (("LEFT", "test"), ("RIGHT", "prod")):
            archive = Archive(tmp_path / name)
            stack.callback(archive.close)
            handlers = PacsHandlers(archive, name, Environment(environment), {})
            handlers._destinations = known
            known[name] = "127.0.0.1", stack.enter_context(Server(ServerConfig(name), handlers)).port
            entry = {"name": name.capitalize(), "host": "127.0.0.1", "port": known[name][1], "aec": name}
            application.pacs.add(ACTOR, {**entry, "environment": environment, "allow_synthetic": True})
        yield application


def diagnosed(browser: Browser, path: str, **given: str) -> tuple[str, str]:
    """Send a form and look on: the events, and the page afterwards."""
    sent = browser.post(path, given)
    assert sent.status_code == 303, sent.text
    address = sent.headers["location"].partition("#")[0]
    before = browser.get(address).text
    (run,) = parse_qs(urlsplit(address).query)["run"]
    assert f'sse-connect="/doctor/checks?run={run}"' in before
    stream = browser.get(f"/doctor/checks?run={run}")
    assert stream.headers["content-type"].startswith("text/event-stream")
    after = browser.get(address).text
    assert "sse-connect" not in after
    return stream.text, after


def verdict(page: str) -> str:
    (found,) = re.findall(r'data-verdict="([^"]+)"', page)
    return str(found)


def rules(page: str) -> list[str]:
    return re.findall(r'data-rule="([^"]+)"', page)


def reported(page: str) -> str:
    (found,) = re.findall(r'copy-report" data-copy="([^"]*)"', page)
    return unescape(found)


def test_the_form_is_filled_in_and_calls_nobody(browser: Browser, closed: str, servers: tuple[str, str]) -> None:
    text = browser.get("/doctor?pacs=alpha").text
    assert '<option value="alpha" data-environment="test" selected>Alpha (test)</option>' in text
    assert "dicomfab doctor alpha" in text
    assert "sse-connect" not in text
    text = browser.get(f"/doctor?from=alpha&to=beta&study={STUDY}").text
    assert f'value="{STUDY}"' in text
    assert f"dicomfab doctor move --from alpha --to beta --study {STUDY}" in text


def test_an_address_cannot_smuggle_words_into_the_command_or_the_page(browser: Browser, closed: str) -> None:
    text = browser.get("/doctor?pacs=x%3Breboot").text
    assert "<code>dicomfab doctor &#39;x;reboot&#39;</code>" in text
    text = browser.get("/doctor?from=a&study=%22%3E%3Cscript%3E").text
    assert "<script>" not in text
    assert "<b>Bold" not in text


def test_without_servers_there_is_nothing_to_examine(browser: Browser) -> None:
    assert "No server to examine" in browser.get("/doctor").text


def test_nothing_wrong(browser: Browser, add: Add) -> None:
    add()
    events, page = diagnosed(browser, "/doctor/server", pacs="lab")
    names = re.findall(r"^event: (\S+)", events, re.MULTILINE)
    assert (names[0], names[-2:]) == ("checks", ["diagnosis", "end"])
    assert verdict(page) == "nothing wrong"
    assert "No check failed." in page
    assert rules(page) == []
    assert set(re.findall(r'data-outcome="([^"]+)"', page)) == {"ok"}
    for words in ("TCP connection", "Association", "C-ECHO", "C-FIND", "of at most 20 s"):
        assert words in page
    assert "Result: nothing wrong" in reported(page)


def test_a_closed_port_is_found_and_hostile_names_stay_text(browser: Browser, closed: str) -> None:
    events, page = diagnosed(browser, "/doctor/server", pacs=closed)
    assert verdict(page) == "found"
    assert rules(page)[0].startswith("tcp-refused")
    for words in ("Connection failed", "most likely", "Check server address and port", "Who must act"):
        assert words in page
    assert "the administrator of &lt;b&gt;Bold&lt;/b&gt;" in page
    assert "<b>Bold" not in events + page
    said = reported(page)
    assert "1. Connection failed (most likely)" in said
    assert "Who: the administrator of <b>Bold</b>" in said
    assert re.search(r"^  failed   TCP connection", said, re.MULTILINE)


def test_lines_for_the_other_administrator(browser: Browser, add: Add) -> None:
    add("Lab", known_calling_ae_titles=frozenset({"NOBODY"}))
    _, page = diagnosed(browser, "/doctor/server", pacs="lab")
    assert "AE Title not recognized" in page
    assert ">certain<" in page
    lines = [unescape(one) for one in re.findall(r'<pre class="settings-lines"><code>(.*?)</code></pre>', page, re.S)]
    assert any("DICOMFAB" in one for one in lines)
    copied = [unescape(one) for one in re.findall(r'class="copy" data-copy="([^"]*)"', page)]
    assert set(lines) <= set(copied)
    assert all(row.strip() in reported(page) for one in lines for row in one.splitlines())


def test_cannot_tell_says_what_would(browser: Browser, add: Add) -> None:
    add("Lab", Fault(FaultKind.REJECT, "A-ASSOCIATE-AC", result=1, source=3, reason=7))
    _, page = diagnosed(browser, "/doctor/server", pacs="lab")
    assert verdict(page) == "cannot tell"
    assert "Cannot tell for sure" in page
    assert "How to make sure" in page


@pytest.mark.parametrize(
    ("path", "given", "status", "told"),
    [
        ("server", {}, 400, "Choose a server"),
        ("server", {"pacs": "nobody"}, 404, "nobody"),
        ("move", {"to": "right"}, 400, 'id="from-error"'),
        ("move", {"from": "left"}, 400, 'id="to-error"'),
        ("move", {"from": "left", "to": "left"}, 400, "Left is the source itself"),
        ("move", {"from": "left", "to": "right", "study": "one"}, 400, "study-error"),
        ("move", {"from": "left", "to": "right", "confirm_name": "Left"}, 400, "Right is a production server"),
    ],
)
def test_what_cannot_be_examined_is_said_beside_the_form(
    browser: Browser, lab: Application, path: str, given: dict[str, str], status: int, told: str
) -> None:
    page = browser.post(f"/doctor/{path}", given)
    assert page.status_code == status
    assert told in page.text
    assert "sse-connect" not in page.text


def test_a_missing_route(browser: Browser, lab: Application) -> None:
    _, page = diagnosed(browser, "/doctor/move", **{"from": "left", "to": "right"})
    assert rules(page)[0] == "move-no-route"
    assert "C-MOVE failed" in page
    assert "You must act." in page
    for heading in ("The source", "The destination", "Between the two"):
        assert f'<span class="check-server">{heading}</span>' in page
    assert "dicomfab doctor move --from left --to right</code>" in page


def test_production_without_its_name_is_called_but_nothing_is_stored(
    browser: Browser, lab: Application, tmp_path: Path
) -> None:
    lab.pacs.set_routes(ACTOR, "left", {"right": "RIGHT"})
    _, page = diagnosed(browser, "/doctor/move", **{"from": "left", "to": "right"})
    assert verdict(page) == "cannot tell"
    assert "Right is production" in page
    assert "type the server&#39;s name into the form" in page
    assert "Type the server&#39;s name into the form if you mean it" in page
    assert "<dd>Repeat the command" not in page
    assert not list((tmp_path / "RIGHT").rglob("*.dcm"))


def test_production_with_its_name_typed(browser: Browser, lab: Application, tmp_path: Path) -> None:
    lab.pacs.set_routes(ACTOR, "left", {"right": "RIGHT"})
    _, page = diagnosed(browser, "/doctor/move", **{"from": "left", "to": "right", "confirm_name": " right "})
    assert verdict(page) == "nothing wrong"
    assert "--from left --to right --yes-production" in page
    assert list((tmp_path / "RIGHT").rglob("*.dcm"))


def test_the_report_names_no_study(browser: Browser, lab: Application, study: str) -> None:
    lab.transfers.send(ACTOR, study, lab.pacs.get(ACTOR, "left"))
    _, page = diagnosed(browser, "/doctor/move", **{"from": "left", "to": "right", "study": study})
    assert study in page
    assert study not in reported(page)
    assert not {"Doe", "Jane", "SYN1"} & set(re.findall(r"\w+", reported(page)))


def test_the_report_has_no_comment_of_a_server_and_nothing_that_steers() -> None:
    comment = "Doe^Jane not found"
    facts = {"move.comment": comment}
    seen = f"C000 ({comment}); 0 \x1b[31mof 1\u202e"
    check = Check(Whose.MOVE, Stage.MOVE, "C-MOVE", Outcome.FAILED, seen, facts=facts)
    run = Run("me", Wanted("", "a", "b"), "a C-MOVE", lambda *_: diagnosis)
    diagnosis = Diagnosis(Verdict.CANNOT_TELL, (check,), (), 0.1, 20.0)
    run.start_as(ACTOR)
    assert eventually(lambda: run.has_ended, 5)
    said = report(run)
    assert "No known cause shows like this." in said
    assert "C000; 0 " in said
    assert "Doe" not in said
    assert all(c == "\n" or c.isprintable() for c in said)


def test_who_may_not(browser: Browser, lab: Application) -> None:
    def acts_as(name: str, *roles: Role) -> None:
        browser.act_as(Actor(name, frozenset(roles), "web"))

    sent = browser.post("/doctor/server", {"pacs": "left"})
    run = parse_qs(urlsplit(sent.headers["location"]).query)["run"][0]
    acts_as("reader", Role.TEST_READ)
    assert browser.get(f"/doctor/checks?run={run}").status_code == 404
    assert "Right (prod)" not in browser.get("/doctor").text
    assert browser.post("/doctor/server", {"pacs": "right"}).status_code in (403, 404)
    assert browser.post("/doctor/move", {"from": "left", "to": "right"}).status_code in (403, 404)
    acts_as("nobody")
    assert browser.get("/doctor").status_code == 403
    assert browser.post("/doctor/server", {"pacs": "left"}).status_code == 403


def test_a_role_that_may_not_store_sees_why_it_was_skipped(browser: Browser, lab: Application) -> None:
    lab.pacs.set_routes(ACTOR, "left", {"right": "RIGHT"})
    reader = Actor("reader", frozenset({Role.TEST_READ, Role.PROD_READ}), "web")
    browser.act_as(reader)
    _, page = diagnosed(browser, "/doctor/move", **{"from": "left", "to": "right", "confirm_name": "Right"})
    assert "not allowed: store (test) needs one of" in page
    assert 'data-outcome="skipped"' in page


def test_a_diagnosis_of_long_ago_leads_back_to_the_form(browser: Browser, closed: str) -> None:
    page = browser.get(f"/doctor?pacs={closed}&run=gone")
    assert page.status_code == 404
    assert "not kept any more" in page.text
    assert f'value="{closed}" data-environment="test" selected' in page.text
    assert browser.get("/doctor/checks?run=gone").status_code == 404


def test_what_nobody_looks_at_in_time_is_not_begun(monkeypatch: pytest.MonkeyPatch, browser: Browser, add: Add) -> None:
    add()
    address = browser.post("/doctor/server", {"pacs": "lab"}).headers["location"].partition("#")[0]
    monkeypatch.setattr(doctor_runs, "START_WITHIN_S", -1.0)
    assert browser.get(address).status_code == 404


def test_it_ends_when_the_page_goes_away(browser: Browser, application: Application) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        entry = {"name": "Silent", "host": "127.0.0.1", "port": silent.getsockname()[1], "aec": "SILENT"}
        application.pacs.add(ACTOR, {**entry, "environment": "test", "association_timeout_s": 2.0})
        address = browser.post("/doctor/server", {"pacs": "silent"}).headers["location"].partition("#")[0]
        (run_id,) = parse_qs(urlsplit(address).query)["run"]
        run = browser.app.state.doctor_runs.get(ACTOR, run_id)
        with ThreadPoolExecutor(1) as thread:
            thread.submit(lambda: asyncio.run(_look_and_leave(browser, run_id))).result(timeout=30)
        assert run.is_stopped
        assert eventually(lambda: run.has_ended, 15)
    assert run.checks[-1].outcome is Outcome.SKIPPED
    page = browser.get(address).text
    assert "Ended early" in page


async def _look_and_leave(browser: Browser, run_id: str) -> None:
    """Open the stream, and go when the first check has come."""
    came = asyncio.Event()
    first = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, object]:
        if first:
            return first.pop()  # type: ignore[return-value]
        await came.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        if b"event: checks" in message.get("body", b""):  # type: ignore[operator]
            came.set()

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": "/doctor/checks", "raw_path": b"/doctor/checks", "query_string": f"run={run_id}".encode(),
        "root_path": "", "headers": [(b"host", b"localhost:5001")], "client": ("127.0.0.1", 1),
        "server": ("localhost", 5001),
    }  # fmt: skip
    await browser.app(scope, receive, send)  # type: ignore[arg-type]


def test_so_many_at_once_and_no_more(browser: Browser, add: Add) -> None:
    add()
    runs: Runs = browser.app.state.doctor_runs
    waiting = [Run("me", Wanted("lab"), "Lab", _until_stopped) for _ in range(Runs.AT_ONCE)]
    try:
        for one in waiting:
            runs.add(one)
            one.start_as(ACTOR)
        refused = browser.post("/doctor/server", {"pacs": "lab"})
        assert (refused.status_code, "are under way already" in refused.text) == (409, True)
    finally:
        for one in waiting:
            one.stop()
    assert eventually(lambda: all(one.has_ended for one in waiting), 5)
    assert browser.post("/doctor/server", {"pacs": "lab"}).status_code == 303


def test_those_whose_page_has_not_begun_them_yet_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs()
    for _ in range(Runs.AT_ONCE):
        runs.add(Run(ACTOR.name, Wanted("lab"), "Lab", _until_stopped))
    with pytest.raises(Conflict, match="8 diagnoses are under way already"):
        runs.add(Run(ACTOR.name, Wanted("lab"), "Lab", _until_stopped))
    monkeypatch.setattr(doctor_runs, "START_WITHIN_S", -1.0)
    runs.add(Run(ACTOR.name, Wanted("lab"), "Lab", _until_stopped))


def _until_stopped(_actor: Actor, _note: object, stopped: Callable[[], bool]) -> Diagnosis:
    assert eventually(stopped, 30)
    return Diagnosis(Verdict.HEALTHY, (), (), 0.0, 20.0)


def test_old_ones_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Runs, "KEPT", 2)
    runs, ids = Runs(), []
    for _ in range(4):
        run = Run(ACTOR.name, Wanted("lab"), "Lab", lambda *_: Diagnosis(Verdict.HEALTHY, (), (), 0.0, 20.0))
        ids.append(runs.add(run))
        run.start_as(ACTOR)
        assert eventually(lambda run=run: run.has_ended, 5)  # type: ignore[misc]
    kept = [one for one in ids if one in runs._kept]
    assert kept == ids[-2:]


def test_failures_on_other_pages_lead_here(browser: Browser, lab: Application, closed: str, study: str) -> None:
    lab.pacs.test_all(ACTOR, [closed])
    page = browser.get("/pacs").text
    assert 'href="/doctor?pacs=left"' in page
    assert page.count(f'href="/doctor?pacs={closed}"') == 2
    asked = browser.get(f"/query?pacs={closed}&pacs=left&patient_id=1&run=1").headers["location"]
    browser.get(f"/query/answers?search={parse_qs(urlsplit(asked).query)['search'][0]}")
    page = browser.get(asked).text
    assert f'href="/doctor?pacs={closed}"' in page
    assert 'href="/doctor?pacs=left"' not in page

    lab.transfers.send(ACTOR, study, lab.pacs.get(ACTOR, "left"))
    lab.pacs.set_routes(ACTOR, "left", {"right": "NOBODY"})
    moving = {"row": f"left|{study}", "destination": "right", "confirm_name": "Right"}
    job = done(lab, browser.post("/query/move", moving))
    page = unescape(browser.get(f"/jobs/{job.id}").text)
    assert re.search(rf'href="/doctor\?from=left&to=right(&study={study})?"', page)
    lab.pacs.set_routes(ACTOR, "left", {"right": "RIGHT"})
    job = done(lab, browser.post("/query/move", moving))
    assert 'href="/doctor?from' not in browser.get(f"/jobs/{job.id}").text
