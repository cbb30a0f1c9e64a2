"""The list of servers: its filter in the address, groups, favourites, flags with an undo; and the picture of them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from dicomfab.app.build import Application
from dicomfab.model.actor import Actor, Role
from tests.unit.web.conftest import ACTOR, Browser


def shown(page: str) -> list[str]:
    return re.findall(r'<tbody id="([^"]+)"', page)


@pytest.fixture
def hospital(application: Application, servers: tuple[str, str]) -> Application:
    """*Alpha* (test) of groups north and ct, *Beta* (prod) of north, *Gamma* (test), which is inactive."""
    application.pacs.edit(ACTOR, "alpha", {"group": "North, CT", "description": "in the cellar"})
    application.pacs.edit(ACTOR, "beta", {"group": "north"})
    entry = {"name": "Gamma", "host": "127.0.0.1", "port": 104, "aec": "G", "environment": "test", "is_active": False}
    application.pacs.add(ACTOR, entry)
    return application


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["alpha", "beta", "gamma"]),
        ("?environment=prod", ["beta"]),
        ("?environment=elsewhere", []),
        ("?text=CELLAR", ["alpha"]),
        ("?text=bet", ["beta"]),
        ("?group=north", ["alpha", "beta"]),
        ("?group=nort", []),
        ("?state=inactive", ["gamma"]),
        ("?state=never", ["alpha", "beta", "gamma"]),
        ("?state=ok", []),
        ("?favourites=yes", []),
        ("?group=NORTH&environment=test", ["alpha"]),
    ],
)
def test_the_address_says_what_is_shown(browser: Browser, hospital: Application, query: str, found: list[str]) -> None:
    page = browser.get(f"/pacs{query}").text
    assert shown(page) == found
    assert f"{len(found)} of 3" in page
    assert browser.get(f"/pacs/matrix{query}").status_code == 200
    assert browser.get(f"/pacs/network{query}").status_code == 200


def test_servers_by_the_outcome_of_their_last_test(browser: Browser, hospital: Application) -> None:
    hospital.pacs.test(ACTOR, "alpha")
    assert shown(browser.get("/pacs?state=failed").text) == ["alpha"]
    assert shown(browser.get("/pacs?state=never").text) == ["beta", "gamma"]


def test_a_filter_is_text_on_the_page(browser: Browser, hospital: Application) -> None:
    page = browser.get("/pacs?text=%3Cscript%3E&group=%22%3E%3Cb%3E").text
    assert "<script>" not in page.replace("<script src", "")
    assert '"><b>' not in page


def test_a_favourite_is_marked_and_unmarked_for_oneself(browser: Browser, hospital: Application) -> None:
    answer = browser.post("/pacs/alpha/favourite?environment=test", {"on": "true"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/pacs?environment=test#alpha")
    page = browser.get("/pacs").text
    assert 'aria-pressed="true" aria-label="Favourite: Alpha"' in page
    assert shown(browser.get("/pacs?favourites=yes").text) == ["alpha"]
    browser.act_as(Actor("other", frozenset({Role.ADMIN}), "web"))
    assert shown(browser.get("/pacs?favourites=yes").text) == []
    browser.act_as(ACTOR)
    browser.post("/pacs/alpha/favourite", {"on": "false"})
    assert hospital.pacs.favourites(ACTOR) == frozenset()
    assert browser.post("/pacs/no-such/favourite", {"on": "true"}).status_code == 404


def test_active_is_switched_with_an_undo(browser: Browser, hospital: Application) -> None:
    answer = browser.post("/pacs/alpha/flag?group=north", {"flag": "is_active", "on": "false"})
    assert answer.status_code == 303
    assert not hospital.pacs.get(ACTOR, "alpha").is_active
    page = browser.get(answer.headers["location"]).text
    assert "Alpha is inactive now" in page
    assert shown(page) == ["alpha", "beta"]
    undo = re.search(
        r'action="(/pacs/alpha/flag\?group=north)"><input type="hidden" name="flag" value="is_active">', page
    )
    assert undo is not None
    browser.post(undo[1], {"flag": "is_active", "on": "true"})
    assert hospital.pacs.get(ACTOR, "alpha").is_active


def test_the_default_goes_back_to_the_one_before(browser: Browser, hospital: Application) -> None:
    browser.post("/pacs/alpha/flag", {"flag": "is_default", "on": "true"})
    answer = browser.post("/pacs/beta/flag", {"flag": "is_default", "on": "true"})
    default = hospital.pacs.default(ACTOR)
    assert default is not None
    assert default.id == "beta"
    page = browser.get(answer.headers["location"]).text
    assert "Beta is the default server now" in page
    assert '<section class="notice notice-good" role="status">' in page
    assert (
        '<form method="post" action="/pacs/alpha/flag"><input type="hidden" name="flag" value="is_default"><input'
        in page
    )
    assert "notice-good" not in browser.get("/pacs?changed=no-such&flag=is_default").text
    assert "notice-good" not in browser.get("/pacs?changed=beta&flag=host").text


@pytest.mark.parametrize("flag", ["host", "allow_real", ""])
def test_nothing_else_is_a_flag(browser: Browser, hospital: Application, flag: str) -> None:
    before = hospital.pacs.export_json(ACTOR)
    assert browser.post("/pacs/alpha/flag", {"flag": flag, "on": "true"}).status_code in (400, 422)
    assert hospital.pacs.export_json(ACTOR) == before


def test_who_may_not_configure_sees_no_switch(browser: Browser, hospital: Application) -> None:
    browser.act_as(Actor("ann", frozenset({Role.TEST_READ}), "web"))
    page = browser.get("/pacs").text
    assert "Favourite: Alpha" in page
    assert "Default server: Alpha" not in page
    assert "Beta" not in page
    assert browser.post("/pacs/alpha/flag", {"flag": "is_active", "on": "false"}).status_code == 403
    assert browser.post("/pacs/beta/favourite", {"on": "true"}).status_code == 403


def test_a_group_is_kept_by_the_form(browser: Browser, hospital: Application) -> None:
    page = browser.get("/pacs/alpha/edit").text
    assert 'name="group" type="text" value="North, CT"' in page
    listed = browser.get("/pacs").text
    assert 'href="/pacs?group=North"' in listed


def test_the_picture_holds_every_server_and_route(browser: Browser, hospital: Application) -> None:
    hospital.pacs.set_routes(ACTOR, "alpha", {"beta": "TO_BETA", "gamma": "TO_GAMMA"})
    page = browser.get("/pacs/network").text
    for word in ("Alpha", "Beta", "Gamma", "TO_BETA", "TO_GAMMA", "⚠ PRODUCTION", "DICOM Fabricator"):
        assert word in page
    assert "style=" not in page.split("<main")[1]
    assert "no route from it" in page


def test_the_picture_is_a_file_of_its_own(browser: Browser, hospital: Application) -> None:
    hospital.pacs.edit(ACTOR, "alpha", {"name": "<b>&amp;"})
    hospital.pacs.set_routes(ACTOR, "alpha", {"beta": "<TO>&B"})
    answer = browser.get("/pacs/network.svg?environment=test")
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert "attachment" in answer.headers["content-disposition"]
    assert "TO" not in answer.text.partition("<desc")[2].partition("</style>")[2]
    whole = ElementTree.fromstring(browser.get("/pacs/network.svg").text)
    texts = [text for node in whole.iter() for text in (node.text or "",)]
    assert any("<TO>&B" in text for text in texts)
    assert any("<b>&amp;" in text for text in texts)
