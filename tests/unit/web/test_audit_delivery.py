"""The gauge of delivery on the page of the audit log, and for Prometheus."""

from __future__ import annotations

from datetime import timedelta

from dicomfab.app.build import Application
from dicomfab.model.actor import Actor, Role
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.storage.audit_delivery import AuditDeliveries
from tests.unit.web.conftest import ACTOR, Browser

TO = "syslog.example.com:6514"


def test_while_nothing_is_set_the_page_says_so_and_asks_no_more(browser: Browser) -> None:
    shown = browser.get("/audit").text
    assert "Delivery to a syslog receiver" in shown
    assert "DICOMFAB_AUDIT_SYSLOG" in shown
    assert "/audit/delivery" not in shown


def test_the_gauge_is_asked_for_again_and_again_without_an_entry(browser: Browser, application: Application) -> None:
    application.audit.record(*(AuditEvent.by(ACTOR, EventKind.VIEW) for _ in range(3)))
    rows = AuditDeliveries(application.database)
    rows.hold(TO, "a", timedelta(seconds=20))
    shown = browser.get("/audit").text
    assert 'hx-get="/audit/delivery" hx-trigger="every 5s"' in shown
    assert f"{TO}: 4 entries wait" in shown  # with that the page was read
    rows.confirm(TO, "a", 4, timedelta(seconds=20))
    assert f"{TO}: every entry is delivered" in browser.get("/audit/delivery").text
    problem = {"what": "it is <away>", "cause": "a pulled cable", "remedy": "plug it in"}
    application.audit.record(AuditEvent.by(ACTOR, EventKind.VIEW))
    rows.put_off(TO, "a", application.audit.now() + timedelta(seconds=60), 6, problem)
    part = browser.get("/audit/delivery").text
    assert f"{TO}: 1 entry waits, and the last attempt failed" in part
    assert "it is &lt;away&gt;" in part
    assert "plug it in" in part
    assert part.lstrip().startswith("<section")
    assert browser.get("/audit/delivery").status_code == 200
    assert rows.standings()[0].waiting == 1


def test_only_administrators_see_it(browser: Browser) -> None:
    browser.act_as(Actor("ben", frozenset({Role.TEST_WRITE}), "web"))
    assert browser.get("/audit/delivery").status_code == 403


def test_prometheus_is_told_what_waits(browser: Browser, application: Application) -> None:
    rows = AuditDeliveries(application.database)
    application.audit.record(AuditEvent.by(ACTOR, EventKind.VIEW))
    rows.hold(TO, "a", timedelta(seconds=20))
    rows.put_off(TO, "a", application.audit.now(), 6, {"what": "it is away"})
    lines = browser.get("/metrics").text
    assert f'dicomfab_audit_undelivered{{receiver="{TO}"}} 1.0' in lines
    assert f'dicomfab_audit_delivery_failures{{receiver="{TO}"}} 6.0' in lines
    assert f'dicomfab_audit_undelivered_since_timestamp_seconds{{receiver="{TO}"}} 1' in lines
