"""The pages of monitoring, and the address that Prometheus scrapes."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dicomfab.app.build import Application
from dicomfab.model.actor import Actor, Role
from dicomfab.services.monitor.service import Switch
from tests.unit.web.conftest import ACTOR, Browser


def test_without_servers_the_page_says_what_will_be(browser: Browser) -> None:
    assert "Test servers are monitored as soon as they are registered" in browser.get("/monitor").text


def test_the_board_says_how_each_server_is(
    browser: Browser, application: Application, servers: tuple[str, str]
) -> None:
    page = browser.get("/monitor").text
    assert "Not checked yet" in page
    assert "Not monitored" in page
    application.monitor.once()
    page = browser.get("/monitor").text
    assert "Last check failed" in page
    assert "Connection failed" in page
    assert "30 days: 0 monitored" in page


def test_a_page_of_a_server_shows_its_checks_and_why_the_last_failed(
    browser: Browser, application: Application, servers: tuple[str, str]
) -> None:
    application.monitor.once()
    page = browser.get("/monitor/alpha").text
    assert "Likely cause" in page
    assert 'aria-label="Last checks"' in page
    assert browser.get("/monitor/no-such").status_code == 404
    assert "production" in browser.get("/monitor/beta").text
    assert "tell those who run it" in browser.get("/monitor/beta").text


def test_a_server_is_switched_on_and_off(browser: Browser, application: Application, servers: tuple[str, str]) -> None:
    answer = browser.post("/monitor/beta", {"switch": "on", "interval": "90"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/monitor/beta")
    found = application.monitoring.show(ACTOR, "beta")
    assert (found.is_monitored, found.switch, found.interval_s) == (True, Switch.ON, 90)
    assert browser.post("/monitor/beta", {"switch": "off"}).status_code == 303
    assert not application.monitoring.show(ACTOR, "beta").is_monitored


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"switch": "on", "interval": "30"}, "is not an interval for Beta"),
        ({"switch": "on", "interval": "soon"}, "is not a number of seconds"),
        ({"switch": "perhaps"}, "none of on, off, usual"),
    ],
)
def test_what_cannot_be_is_said_beside_the_field(
    browser: Browser, application: Application, servers: tuple[str, str], form: dict[str, str], said: str
) -> None:
    answer = browser.post("/monitor/beta", form)
    assert answer.status_code == 400
    assert said in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert application.monitoring.show(ACTOR, "beta").switch is Switch.USUAL


def test_who_may_look_at_tests_sees_no_production(
    browser: Browser, application: Application, servers: tuple[str, str]
) -> None:
    browser.act_as(Actor("someone", frozenset({Role.TEST_READ}), "web"))
    page = browser.get("/monitor").text
    assert "Alpha" in page
    assert "Beta" not in page
    assert browser.get("/monitor/beta").status_code == 403
    assert browser.post("/monitor/alpha", {"switch": "off"}).status_code == 403
    assert 'server="beta"' not in browser.get("/metrics").text


def test_prometheus_can_read_what_it_scrapes(
    browser: Browser, application: Application, servers: tuple[str, str]
) -> None:
    application.monitor.once()
    answer = browser.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    names = {family.name for family in text_string_to_metric_families(answer.text)}
    assert {"dicomfab_pacs_up", "dicomfab_pacs_checks", "dicomfab_jobs", "dicomfab_workers"} <= names


def test_the_list_of_servers_leads_to_their_monitoring(browser: Browser, servers: tuple[str, str]) -> None:
    page = browser.get("/pacs").text
    assert 'href="/monitor/alpha"' in page
    assert 'href="/monitor"' in page
