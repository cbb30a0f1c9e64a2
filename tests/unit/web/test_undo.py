"""What is removed on a page can be put back by whoever removed it: as it was, for a while, through the services."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from dicomfab.app.build import Application
from dicomfab.model.actor import Actor, Role
from dicomfab.model.audit import EventKind
from dicomfab.storage.audit import AuditFilter
from dicomfab.web import undo
from dicomfab.web.app import create_app
from tests.unit.web.conftest import ACTOR, Browser
from tests.unit.web.people import somebody

OTHER = Actor("other", frozenset({Role.ADMIN}), "web")
GONE = 'action="/undo/'


def removed(browser: Browser, address: str) -> tuple[str, str]:
    """The page after a removal, and the address that its button *Undo* posts to."""
    answer = browser.post(address)
    assert answer.status_code == 303, answer.text
    page = browser.get(answer.headers["location"]).text
    found = re.search(r'<form method="post" action="(/undo/[\w-]+)"><button', page)
    assert found is not None, page
    return page, found[1]


def undone(browser: Browser, address: str) -> str:
    """The page after *Undo*."""
    answer = browser.post(address)
    assert answer.status_code == 303, answer.text
    page = browser.get(answer.headers["location"]).text
    assert GONE not in page
    return page


@pytest.fixture
def routed(application: Application, servers: tuple[str, str]) -> tuple[str, str]:
    application.pacs.set_routes(ACTOR, "alpha", {"beta": "TO_BETA"})
    application.pacs.set_routes(ACTOR, "beta", {"alpha": "TO_ALPHA"})
    application.pacs.edit(ACTOR, "alpha", {"group": "North", "is_default": True, "notes": "<b>x</b>"})
    application.pacs.set_favourite(ACTOR, "alpha", is_on=True)
    return servers


def registry_changes(application: Application) -> list[tuple[str, str]]:
    found = application.audit.page(ACTOR, AuditFilter(kinds=frozenset({EventKind.REGISTRY_CHANGE})))
    return [(one.event.subject, one.event.detail["change"]) for one in found.entries]


def test_a_server_comes_back_with_id_routes_flags_group_and_favourite(
    browser: Browser, application: Application, routed: tuple[str, str]
) -> None:
    before = application.pacs.export_json(ACTOR), application.pacs.get(ACTOR, "alpha")
    assert "<em>Undo</em>" in browser.get("/pacs/alpha/delete").text
    page, address = removed(browser, "/pacs/alpha/delete")
    assert re.search(r"Alpha</bdi> is deleted, with 2 C-MOVE routes", page)
    assert [server.id for server in application.pacs.servers(ACTOR)] == ["beta"]
    page = undone(browser, address)
    assert re.search(r"Alpha</bdi> is back, with 2 C-MOVE routes", page)
    assert (application.pacs.export_json(ACTOR), application.pacs.get(ACTOR, "alpha")) == before
    assert application.pacs.favourites(ACTOR) == {"alpha"}
    assert registry_changes(application)[:2] == [("alpha", "added"), ("alpha", "removed")]
    late = browser.post(address)
    assert (late.status_code, "too late to undo" in late.text) == (404, True)


def test_the_last_server_is_undone_from_the_empty_page(
    browser: Browser, application: Application, servers: tuple[str, str]
) -> None:
    removed(browser, "/pacs/beta/delete")
    page, address = removed(browser, "/pacs/alpha/delete")
    assert "No PACS servers yet" in page
    undone(browser, address)
    assert [server.id for server in application.pacs.servers(ACTOR)] == ["alpha"]


def test_what_others_did_meanwhile_stays(browser: Browser, application: Application, routed: tuple[str, str]) -> None:
    _, address = removed(browser, "/pacs/alpha/delete")
    entry = {"name": "Gamma", "host": "127.0.0.1", "port": 104, "aec": "G", "environment": "test", "is_default": True}
    application.pacs.add(ACTOR, entry)
    application.pacs.remove(ACTOR, "beta")
    page = undone(browser, address)
    assert "2 of its routes stay away" in page
    assert "Another server is the default by now" in page
    assert application.pacs.default(ACTOR) == application.pacs.get(ACTOR, "gamma")


def test_a_server_whose_name_or_place_is_taken_stays_away(
    browser: Browser, application: Application, routed: tuple[str, str]
) -> None:
    alpha = application.pacs.get(ACTOR, "alpha")
    _, address = removed(browser, "/pacs/alpha/delete")
    entry = {"host": alpha.host, "port": alpha.port, "aec": alpha.aec, "environment": "prod"}
    application.pacs.add(ACTOR, {"name": "Delta", **entry})
    assert browser.post(address).status_code == 409  # production stands there
    application.pacs.remove(ACTOR, "delta")
    assert browser.post(address).status_code == 409  # and stood there
    assert [server.id for server in application.pacs.servers(ACTOR)] == ["beta"]
    application.pacs.add(ACTOR, {"name": "Alpha", **entry, "port": 105})
    assert browser.post(address).status_code == 409
    assert application.pacs.get(ACTOR, "alpha").is_production


def test_a_patient_comes_back_with_the_same_number(browser: Browser, application: Application) -> None:
    (ann,) = application.patients.add(ACTOR, {"patient_id": "SYN1", "name": "Ann<b>^Lee"}).patients
    ann = application.patients.edit(ACTOR, ann.number, {"sex": "F"})
    page, address = removed(browser, f"/patients/{ann.number}/delete")
    assert "Ann&lt;b&gt;, Lee</bdi> is deleted" in page
    assert application.patients.page(ACTOR).total == 0
    assert "Ann&lt;b&gt;, Lee</bdi> is back." in undone(browser, address)
    assert application.patients.get(ACTOR, ann.number) == ann
    assert application.patients.page(ACTOR, "lee").total == 1


def test_a_patient_whose_id_is_taken_stays_away(browser: Browser, application: Application) -> None:
    values = {"patient_id": "SYN1", "name": "Ann"}
    (ann,) = application.patients.add(ACTOR, values).patients
    _, address = removed(browser, f"/patients/{ann.number}/delete")
    (other,) = application.patients.add(ACTOR, values).patients
    refused = browser.post(address)
    assert (refused.status_code, "registered already" in refused.text) == (409, True)
    application.patients.remove(ACTOR, other.number)
    undone(browser, address)  # a failed try takes nothing away
    assert application.patients.get(ACTOR, ann.number) == ann


def test_a_saved_search_comes_back_for_the_same_people(
    browser: Browser, application: Application, servers: tuple[str, str]
) -> None:
    reader = Actor("reader", frozenset({Role.TEST_READ}), "web")
    browser.act_as(reader)
    form = {"patient_name": "Doe", "keys": "PatientSex=M\nPatientAge", "limit": "20", "save": "doe"}
    assert browser.post("/query/saved", form).status_code == 303  # of no named server: of all that he may query
    before = application.searches.saved.load(reader, "doe")
    browser.act_as(ACTOR)
    page, address = removed(browser, "/query/saved/doe/delete")
    assert "doe</bdi> is a saved search no more" in page
    assert application.searches.saved.every(ACTOR) == ()
    undone(browser, address)
    assert application.searches.saved.load(reader, "doe") == before
    _, address = removed(browser, "/query/saved/doe/delete")
    application.searches.saved.save(ACTOR, replace(before, limit=7))
    assert browser.post(address).status_code == 409
    assert application.searches.saved.load(ACTOR, "doe").limit == 7


def test_a_schedule_comes_back_with_its_number_and_as_paused_as_it_was(
    browser: Browser, application: Application
) -> None:
    recipe = application.recipes.every(ACTOR)[0].name
    form = {"kind": "fabricate", "cron": "0 2 * * *", "recipe": recipe, "title": "<b>Nightly</b>"}
    for is_paused in (False, True):
        assert browser.post("/schedules", form).status_code == 303
        one = application.schedules.every(ACTOR)[-1]
        if is_paused:
            one = application.schedules.pause(ACTOR, one.id)
        page, address = removed(browser, f"/schedules/{one.id}/remove")
        assert "&lt;b&gt;Nightly&lt;/b&gt;</bdi> makes no more jobs" in page
        assert ("still paused" in undone(browser, address)) is is_paused
        assert application.schedules.show(ACTOR, one.id) == replace(
            one, next_at=application.schedules.show(ACTOR, one.id).next_at
        )
        assert browser.post(f"/schedules/{one.id}/remove").status_code == 303


def test_undo_is_for_whoever_removed_it_alone(
    browser: Browser, application: Application, servers: tuple[str, str]
) -> None:
    answer = browser.post("/pacs/alpha/delete")
    page, address = browser.get(answer.headers["location"]).text, "/undo/"
    address += answer.headers["location"].partition("undo=")[2].partition("#")[0]
    assert address in page
    browser.act_as(OTHER)
    assert GONE not in browser.get(answer.headers["location"]).text
    assert browser.post(address).status_code == 404
    browser.act_as(ACTOR)
    undone(browser, address)


@pytest.mark.parametrize(
    ("roles", "status"), [({Role.TEST_READ}, 403), ({Role.PROD_WRITE}, 403), (set(), 403), ({Role.ADMIN}, 303)]
)
def test_undo_asks_again_what_the_actor_may_do(
    browser: Browser, application: Application, servers: tuple[str, str], roles: set[Role], status: int
) -> None:
    _, address = removed(browser, "/pacs/alpha/delete")
    browser.act_as(replace(ACTOR, roles=frozenset(roles)))
    assert browser.post(address).status_code == status
    assert (len(application.pacs.servers(ACTOR)) == 2) is (status == 303)


def test_a_schedule_of_somebody_else_and_a_search_of_production_stay_away(
    browser: Browser, application: Application, servers: tuple[str, str]
) -> None:
    recipe = application.recipes.every(ACTOR)[0].name
    browser.post("/schedules", {"kind": "fabricate", "cron": "0 2 * * *", "recipe": recipe})
    browser.post("/query/saved", {"pacs": ["beta"], "patient_name": "Doe", "save": "doe"})
    browser.act_as(OTHER)  # an administrator
    _, schedule = removed(browser, f"/schedules/{application.schedules.every(ACTOR)[0].id}/remove")
    _, search = removed(browser, "/query/saved/doe/delete")
    browser.act_as(replace(OTHER, roles=frozenset({Role.TEST_WRITE})))
    assert [browser.post(address).status_code for address in (schedule, search)] == [403, 403]
    assert (application.schedules.every(ACTOR), application.searches.saved.every(ACTOR)) == ([], ())
    browser.act_as(OTHER)
    undone(browser, schedule)
    undone(browser, search)
    assert application.schedules.every(ACTOR)[0].owner == ACTOR.name


def test_after_a_restart_it_is_too_late(browser: Browser, application: Application, servers: tuple[str, str]) -> None:
    _, address = removed(browser, "/pacs/alpha/delete")
    anew = Browser(create_app(application))
    answer = anew.post(address)
    assert answer.status_code == 404
    assert "it is too late to undo this; nothing was changed" in answer.text.lower()
    assert GONE not in anew.get(f"/pacs?undo={address.rpartition('/')[2]}").text
    assert [server.id for server in application.pacs.servers(ACTOR)] == ["beta"]


def test_notices_are_bounded_in_number_and_time() -> None:
    moment = [0.0]
    kept = undo.Notices(clock=lambda: moment[0])
    first = kept.keep(ACTOR, undo.Notice("first", "", "/pacs"))
    tokens = [kept.keep(ACTOR, undo.Notice(str(number), "", "/pacs")) for number in range(undo.KEPT)]
    assert kept.get(ACTOR, first) is None
    assert kept.get(ACTOR, tokens[0]) == undo.Notice("0", "", "/pacs")
    moment[0] = undo.KEPT_S
    assert kept.get(ACTOR, tokens[-1]) is not None
    moment[0] += 0.1
    assert [kept.get(ACTOR, token) for token in tokens] == [None] * undo.KEPT


def test_a_new_account_of_the_same_name_is_somebody_else() -> None:
    kept = undo.Notices()
    one = Actor("ben", frozenset({Role.ADMIN}), "web", account_id=1)
    token = kept.keep(one, undo.Notice("x", "", "/pacs"))
    assert kept.get(one, token) is not None
    assert kept.get(replace(one, account_id=2), token) is None


def test_signed_in_people_undo_their_own(application: Application) -> None:
    person = somebody(application, "wilma", Role.TEST_WRITE)
    (ann,) = application.patients.add(ACTOR, {"patient_id": "SYN1", "name": "Ann"}).patients
    _, address = removed(person, f"/patients/{ann.number}/delete")
    undone(person, address)
    assert application.patients.get(ACTOR, ann.number) == ann
