"""The routing matrix: cells edited in place, routes tested against real servers, and the same without scripts."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from dicomfab.app.build import Application
from dicomfab.archive.archive import Archive
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.model.actor import Actor, Role
from dicomfab.model.values import Environment
from dicomfab.testpacs.pacs import PacsHandlers
from tests.unit.web.conftest import ACTOR, Browser

HX = {"hx_request": "true"}
FRAGMENT = {"hx-request": "true"}


@pytest.fixture
def lab(application: Application, tmp_path: Path) -> Iterator[Application]:
    """*Left* and *Middle* (test), *Right* (prod): healthy, and each knows the others; our registry has no route."""
    with ExitStack() as stack:
        known: dict[str, tuple[str, int]] = {}
        for name, environment in (("LEFT", "test"), ("MIDDLE", "test"), ("RIGHT", "prod")):
            archive = Archive(tmp_path / name)
            stack.callback(archive.close)
            handlers = PacsHandlers(archive, name, Environment(environment), {})
            handlers._destinations = known
            known[name] = "127.0.0.1", stack.enter_context(Server(ServerConfig(name), handlers)).port
            entry = {"name": name.capitalize(), "host": "127.0.0.1", "port": known[name][1], "aec": name}
            application.pacs.add(ACTOR, {**entry, "environment": environment, "allow_synthetic": True})
        yield application


def acts_as(browser: Browser, *roles: Role) -> None:
    browser.act_as(Actor("someone", frozenset(roles), "web"))


def cell(page: str, source: str, destination: str) -> str:
    (found,) = re.findall(rf'<td id="{source}~{destination}".*?</td>', page, re.DOTALL)
    return str(found)


def test_without_servers_the_page_says_what_a_route_needs(browser: Browser) -> None:
    assert "A route needs two servers" in browser.get("/pacs/matrix").text


def test_every_pair_is_a_cell_and_the_diagonal_is_none(browser: Browser, lab: Application) -> None:
    lab.pacs.set_routes(ACTOR, "left", {"middle": "MIDDLE", "right": "RIGHT"})
    page = browser.get("/pacs/matrix").text
    assert page.count('class="matrix-self"') == 3
    assert "<code>MIDDLE</code>" in cell(page, "left", "middle")
    assert "Never tested" in cell(page, "left", "middle")
    assert "production" not in cell(page, "left", "middle")
    assert "production" in cell(page, "left", "right")
    assert "no route" in cell(page, "middle", "left")


def test_a_cell_is_edited_where_it_stands(browser: Browser, lab: Application) -> None:
    form = browser.get("/pacs/matrix/left/middle", **FRAGMENT).text
    assert form.lstrip().startswith("<td")
    assert 'name="ae_title" value=""' in form
    assert 'placeholder="MIDDLE"' in form
    wrong = browser.post("/pacs/matrix/left/middle", {"ae_title": "A" * 17}, **HX)
    assert wrong.status_code == 400
    assert 'aria-invalid="true"' in wrong.text
    assert "A" * 17 in wrong.text
    assert lab.pacs.export_json(ACTOR).count("move_routing") == 3
    saved = browser.post("/pacs/matrix/left/middle", {"ae_title": " MIDDLE "}, **HX)
    assert "<code>MIDDLE</code>" in saved.text
    assert "autofocus" in saved.text
    assert lab.pacs.route(ACTOR, "left", "middle") == "MIDDLE"
    cancelled = browser.get("/pacs/matrix/left/middle?view=cell", **FRAGMENT).text
    assert "<code>MIDDLE</code>" in cancelled
    assert "<input" not in cancelled
    browser.post("/pacs/matrix/left/middle", {"ae_title": ""}, **HX)
    assert lab.routes.get(ACTOR, "left", "middle").ae_title == ""


def test_without_scripts_a_route_has_a_page(browser: Browser, lab: Application) -> None:
    page = browser.get("/pacs/matrix/left/right").text
    assert "<h1>C-MOVE from Left to Right</h1>" in page
    wrong = browser.post("/pacs/matrix/left/right", {"ae_title": "A\\B"})
    assert wrong.status_code == 400
    assert 'id="ae_title-error"' in wrong.text
    saved = browser.post("/pacs/matrix/left/right?environment=test", {"ae_title": "RIGHT"})
    assert (saved.status_code, saved.headers["location"]) == (303, "/pacs/matrix?environment=test#left~right")
    assert "Never tested" in browser.get("/pacs/matrix/left/right").text


@pytest.mark.parametrize(("path", "status"), [("left/left", 400), ("left/no-such", 404), ("no-such/left", 404)])
def test_no_such_route(browser: Browser, lab: Application, path: str, status: int) -> None:
    assert browser.get(f"/pacs/matrix/{path}").status_code == status
    assert browser.post(f"/pacs/matrix/{path}", {"ae_title": "X"}).status_code == status


def test_what_a_test_shows_stands_in_the_cell_until_something_changes(browser: Browser, lab: Application) -> None:
    lab.pacs.set_routes(ACTOR, "left", {"middle": "MIDDLE"})
    assert "Accepted" in browser.post("/pacs/matrix/left/middle/test", **HX).text
    lab.pacs.set_routes(ACTOR, "left", {"middle": "OTHER"})
    assert "Changed since its test" in cell(browser.get("/pacs/matrix").text, "left", "middle")
    failed = browser.post("/pacs/matrix/left/middle/test", **HX).text
    assert "Fails" in failed
    assert "Unknown destination" in failed
    page = browser.get("/pacs/matrix/left/middle").text
    assert "answered A801" in page
    assert "ask the administrator of Left" in page
    lab.pacs.set_routes(ACTOR, "left", {"middle": "MIDDLE"})
    assert browser.post("/pacs/matrix/left/middle/test").status_code == 303
    assert "Accepted" in cell(browser.get("/pacs/matrix").text, "left", "middle")
    lab.pacs.edit(ACTOR, "middle", {"aec": "MIDDLE2"})
    assert "Changed since its test" in cell(browser.get("/pacs/matrix").text, "left", "middle")


def test_an_instance_is_moved_to_be_sure(browser: Browser, lab: Application) -> None:
    lab.pacs.set_routes(ACTOR, "left", {"middle": "MIDDLE"})
    browser.post("/pacs/matrix/left/middle/test", {"how": "move"})
    page = browser.get("/pacs/matrix/left/middle").text
    assert "Works" in page
    assert "one small synthetic instance arrived on Middle" in page


def test_production_is_called_and_asked_for_nothing_until_its_name_is_typed(browser: Browser, lab: Application) -> None:
    lab.pacs.set_routes(ACTOR, "left", {"right": "NO_SUCH"})
    browser.post("/pacs/matrix/left/right/test")
    page = browser.get("/pacs/matrix/left/right").text
    assert "Cannot tell" in page
    assert "Whether it knows NO_SUCH was not asked" in page
    wrong = browser.post("/pacs/matrix/left/right/test", {"confirm_name": "Lefty"})
    assert wrong.status_code == 400
    assert 'id="confirm_name-error"' in wrong.text
    browser.post("/pacs/matrix/left/right/test", {"confirm_name": " right "})
    assert "answered A801" in browser.get("/pacs/matrix/left/right").text


def test_a_route_to_production_is_edited_as_on_the_routing_page_and_both_send_nothing(
    browser: Browser, lab: Application
) -> None:
    lab.pacs.set_routes(ACTOR, "left", {"middle": "MIDDLE"})
    assert "confirm_name" not in browser.get("/pacs/left/routing").text
    assert browser.post("/pacs/left/routing", {"route.right": "BY_PAGE"}).status_code == 303
    assert lab.pacs.route(ACTOR, "left", "right") == "BY_PAGE"
    assert "confirm_name" not in browser.get("/pacs/matrix/left/right", **FRAGMENT).text
    assert browser.post("/pacs/matrix/left/right", {"ae_title": "BY_CELL"}).status_code == 303
    assert lab.pacs.route(ACTOR, "left", "right") == "BY_CELL"
    said = "Saving changes this table and sends nothing"
    assert said in browser.get("/pacs/matrix/left/right").text
    assert said not in browser.get("/pacs/matrix/left/middle").text
    page = browser.get("/pacs/matrix").text
    assert "with production, it is asked for nothing" in cell(page, "left", "right")
    assert "ask the source, nothing is moved" in cell(page, "left", "middle")


def test_all_routes_are_tested_and_the_cells_come_as_they_are_done(browser: Browser, lab: Application) -> None:
    lab.pacs.set_routes(ACTOR, "left", {"middle": "MIDDLE", "right": "RIGHT"})
    lab.pacs.set_routes(ACTOR, "middle", {"left": "NO_SUCH"})
    begun = browser.post("/pacs/matrix", {"how": "ask", "confirm_name": "Right"})
    assert begun.status_code == 303, begun.text
    (run,) = parse_qs(urlsplit(begun.headers["location"]).query)["run"]
    stream = browser.get(f"/pacs/matrix/tests?run={run}").text
    for event in ("left~middle", "left~right", "middle~left", "end"):
        assert f"event: {event}\r\n" in stream
    assert "3 of 3 routes tested" in stream
    page = browser.get(begun.headers["location"]).text
    assert "sse-connect" not in page
    assert "Accepted" in cell(page, "left", "right")
    assert "Fails" in cell(page, "middle", "left")
    acts_as(browser, Role.ADMIN)
    assert browser.get(f"/pacs/matrix/tests?run={run}").status_code == 404
    assert browser.get(f"/pacs/matrix?run={run}").status_code == 200


def test_only_what_is_shown_is_tested(browser: Browser, lab: Application) -> None:
    lab.pacs.set_routes(ACTOR, "left", {"middle": "MIDDLE", "right": "RIGHT"})
    begun = browser.post("/pacs/matrix?environment=test", {"how": "ask"})
    (run,) = parse_qs(urlsplit(begun.headers["location"]).query)["run"]
    assert "1 of 1 routes tested" in browser.get(f"/pacs/matrix/tests?run={run}").text
    assert lab.routes.get(ACTOR, "left", "right").test is None


@pytest.mark.parametrize("given", [{"how": "guess"}, {"confirm_name": "Lefty"}])
def test_a_test_that_cannot_be_is_refused_beside_its_form(
    browser: Browser, lab: Application, given: dict[str, str]
) -> None:
    lab.pacs.set_routes(ACTOR, "left", {"right": "RIGHT"})
    assert browser.post("/pacs/matrix", given).status_code == 400
    assert lab.routes.get(ACTOR, "left", "right").test is None


def test_a_source_that_is_away_fails_with_the_reason(browser: Browser, lab: Application) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        entry = {"name": "Away", "host": "127.0.0.1", "port": bound.getsockname()[1], "aec": "AWAY"}
        lab.pacs.add(ACTOR, {**entry, "environment": "test"})
        lab.pacs.set_routes(ACTOR, "away", {"left": "<b>LEFT</b>"})
        browser.post("/pacs/matrix/away/left/test")
    page = browser.get("/pacs/matrix").text
    assert "Connection failed" in cell(page, "away", "left")
    assert "<b>LEFT" not in page


def test_who_may_what(browser: Browser, lab: Application) -> None:
    lab.pacs.set_routes(ACTOR, "left", {"middle": "MIDDLE", "right": "RIGHT"})
    acts_as(browser, Role.TEST_READ)
    page = browser.get("/pacs/matrix").text
    assert "Right" not in page
    assert "matrix-edit" not in cell(page, "left", "middle").replace("matrix-edge", "")
    assert browser.post("/pacs/matrix/left/middle", {"ae_title": "X"}).status_code == 403
    assert browser.get("/pacs/matrix/left/right").status_code == 403
    browser.post("/pacs/matrix/left/middle/test")
    assert "Not allowed" in browser.get("/pacs/matrix/left/middle").text
    assert lab.pacs.route(ACTOR, "left", "middle") == "MIDDLE"
