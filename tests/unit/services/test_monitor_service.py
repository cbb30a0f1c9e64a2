"""Who sees and changes what of monitoring, and what Prometheus is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dicomfab.dimse.scu.echo import EchoResult
from dicomfab.model.actor import Actor, Role
from dicomfab.model.errors import AccessDenied, Conflict, InvalidInput, NotFound
from dicomfab.model.monitoring import ServerState
from dicomfab.services.monitor.metrics import Metrics
from dicomfab.services.monitor.service import Switch, percent
from dicomfab.storage.database import Database
from tests.unit.services.ward import ADMIN, MIDNIGHT, Ward

LABELS = ("server", "environment", "state", "kind", "version")
TESTER = Actor("tester", frozenset({Role.TEST_WRITE}), "web")


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    database = Database(tmp_path / "dicomfab.sqlite3")
    made = Ward(database)
    yield made
    made.stop_all()
    database.close()


def test_test_servers_are_monitored_and_production_servers_are_not(ward: Ward) -> None:
    ward.add("Test")
    ward.add("Prod", "prod")
    found = {one.server.id: (one.is_monitored, one.switch, one.interval_s) for one in ward.service.board(ADMIN)}
    assert found == {"test": (True, Switch.USUAL, 60), "prod": (False, Switch.USUAL, 300)}


def test_what_is_seen_is_of_environments_that_one_may_see(ward: Ward) -> None:
    test, prod = ward.add("Test"), ward.add("Prod", "prod")
    for one in (test, prod):
        ward.service.change(ADMIN, one.id, switch=Switch.ON)
    monitor = ward.monitor()
    for _ in range(2):
        monitor.once()
        ward.clock.forward(60)
    assert [one.server.id for one in ward.service.board(TESTER)] == ["test"]
    assert {event.server_id for event in ward.service.events(TESTER)} == {"test"}
    assert {event.server_id for event in ward.service.events(ADMIN)} == {"test", "prod"}
    for ask in (ward.service.show, ward.service.checks):
        with pytest.raises(AccessDenied):
            ask(TESTER, prod.id)
    with pytest.raises(AccessDenied):
        ward.service.events(TESTER, server_id=prod.id)
    with pytest.raises(NotFound):
        ward.service.show(ADMIN, "no-such")


def test_only_who_may_configure_changes_it(ward: Ward) -> None:
    server = ward.add("Test")
    with pytest.raises(AccessDenied):
        ward.service.change(TESTER, server.id, switch=Switch.OFF)
    assert ward.repository.states() == {}
    assert not ward.service.change(ADMIN, server.id, switch=Switch.OFF).is_monitored


def test_what_is_not_said_stays_and_as_usual_is_as_usual(ward: Ward) -> None:
    server = ward.add("Test")
    assert ward.service.change(ADMIN, server.id, interval_s=30).switch is Switch.USUAL
    changed = ward.service.change(ADMIN, server.id, switch=Switch.ON)
    assert (changed.switch, changed.interval_s) == (Switch.ON, 30)
    changed = ward.service.change(ADMIN, server.id, switch=Switch.USUAL)
    assert (changed.switch, changed.interval_s) == (Switch.USUAL, 60)


@pytest.mark.parametrize(
    ("environment", "seconds", "allowed"),
    [("test", 10, True), ("test", 9.9, False), ("prod", 60, True), ("prod", 59, False), ("test", 86401, False)],
)
@pytest.mark.parametrize("value", ["as it is", "nan"])
def test_no_server_is_asked_too_often(ward: Ward, environment: str, seconds: float, allowed: bool, value: str) -> None:
    server = ward.add("Server", environment)
    asked = float("nan") if value == "nan" else seconds
    if allowed and value != "nan":
        assert ward.service.change(ADMIN, server.id, interval_s=asked).interval_s == seconds
        return
    with pytest.raises(InvalidInput) as caught:
        ward.service.change(ADMIN, server.id, interval_s=asked)
    assert caught.value.field == "interval"
    assert ward.repository.states() == {}


def test_what_was_said_of_a_test_server_does_not_hold_in_production(ward: Ward) -> None:
    server = ward.add("Server")
    ward.service.change(ADMIN, server.id, switch=Switch.ON, interval_s=10)
    ward.pacs.edit(ADMIN, server.id, {"environment": "prod"}, confirm_environment=True)
    found = ward.service.show(ADMIN, server.id)
    assert (found.is_monitored, found.switch, found.interval_s) == (False, Switch.USUAL, 300)
    assert ward.monitor().once() == []
    changed = ward.service.change(ADMIN, server.id, switch=Switch.ON)
    assert (changed.is_monitored, changed.interval_s) == (True, 300)


def test_a_server_that_must_not_be_asked_cannot_be_switched_on(ward: Ward) -> None:
    server = ward.add("Mute", capabilities=["store"])
    with pytest.raises(Conflict):
        ward.service.change(ADMIN, server.id, switch=Switch.ON)


def test_what_was_not_checked_for_long_is_not_known(ward: Ward) -> None:
    server = ward.add("Test")
    ward.start(server)
    ward.monitor().once()
    ward.clock.forward(120)
    assert ward.service.show(ADMIN, server.id).state is ServerState.UP
    ward.clock.forward(120)
    found = ward.service.show(ADMIN, server.id)
    assert (found.is_stale, found.state, found.as_dict()["state"], found.as_dict()["since"]) == (
        True,
        ServerState.UNKNOWN,
        "unknown",
        None,
    )
    ward.service.change(ADMIN, server.id, switch=Switch.OFF)
    assert not ward.service.show(ADMIN, server.id).is_stale


def test_days_without_a_check_are_there_too(ward: Ward) -> None:
    server = ward.add("Test")
    found = ward.service.show(ADMIN, server.id, days=7)
    assert [day.day for day in found.days] == [(MIDNIGHT - timedelta(days=n)).date() for n in range(6, -1, -1)]
    assert found.uptime(7) is None


@pytest.mark.parametrize(
    ("share", "text"), [(None, "–"), (1.0, "100 %"), (0.99999999, "99.99 %"), (0.5, "50.00 %"), (0.0, "0.00 %")]
)
def test_uptime_is_never_rounded_up(share: float | None, text: str) -> None:
    assert percent(share) == text


def samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(sample.labels[name] for name in LABELS if name in sample.labels)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_prometheus_is_told_what_is_known(ward: Ward) -> None:
    up, down = ward.add("Up"), ward.add("Down")
    ward.add("New", is_active=False)
    ward.start(up)
    monitor = ward.monitor()
    for _ in range(3):
        monitor.once()
        ward.clock.forward(60)
    text = Metrics(ward.service, lambda: 2).text(ADMIN)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {family.type for family in families.values()} == {"gauge", "counter"}
    assert all(family.documentation for family in families.values())
    found = samples(text)
    assert found["dicomfab_pacs_up", up.id, "test"] == 1
    assert found["dicomfab_pacs_up", down.id, "test"] == 0
    assert ("dicomfab_pacs_up", "new", "test") not in found
    assert found["dicomfab_pacs_monitored", "new", "test"] == 0
    assert 0 < found["dicomfab_pacs_latency_seconds", up.id, "test"] < 5
    assert ("dicomfab_pacs_latency_seconds", down.id, "test") not in found
    last = (MIDNIGHT + timedelta(seconds=120)).timestamp()
    assert found["dicomfab_pacs_last_check_timestamp_seconds", up.id, "test"] == last
    assert found["dicomfab_pacs_checks_total", down.id, "test"] == 3
    assert found["dicomfab_pacs_failures_total", down.id, "test"] == 3
    assert found["dicomfab_pacs_uptime_ratio", up.id, "test"] == 1
    assert found["dicomfab_pacs_uptime_ratio", down.id, "test"] == 0
    assert found["dicomfab_workers",] == 2
    assert any(name[0] == "dicomfab_build_info" and value == 1 for name, value in found.items())


def test_prometheus_is_told_of_no_server_that_one_may_not_see(ward: Ward) -> None:
    ward.add("Test")
    ward.add("Prod", "prod")
    metrics = Metrics(ward.service, lambda: 0)
    assert {name[1] for name in samples(metrics.text(ADMIN)) if name[0] == "dicomfab_pacs_monitored"} == {
        "test",
        "prod",
    }
    assert {name[1] for name in samples(metrics.text(TESTER)) if name[0] == "dicomfab_pacs_monitored"} == {"test"}


def test_however_many_scrape_the_database_is_read_once_a_second(ward: Ward) -> None:
    server = ward.add("Test")
    seconds = [0.0]
    metrics = Metrics(ward.service, lambda: 0, clock=lambda: seconds[0])
    first = metrics.text(ADMIN)
    ward.monitor(lambda _: EchoResult(0.001, "1.2", "")).once()
    seconds[0] = 0.9
    assert metrics.text(ADMIN) == first
    seconds[0] = 1.0
    assert ("dicomfab_pacs_up", server.id, "test") in samples(metrics.text(ADMIN))
