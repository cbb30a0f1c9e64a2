"""Where delivery stands: one process holds it at a time, and what was delivered never moves back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.storage.audit import AuditLog
from dicomfab.storage.audit_anchors import AnchorFile
from dicomfab.storage.audit_delivery import AuditDeliveries, Held
from dicomfab.storage.audit_key import KeyFile
from dicomfab.storage.database import Database

TO = "syslog.example.com:6514"
SPAN = timedelta(seconds=20)


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(database: Database, tmp_path: Path, clock: Clock) -> AuditLog:
    return AuditLog(database, KeyFile(tmp_path / "key", make=True), AnchorFile(tmp_path / "anchors"), now=clock)


@pytest.fixture
def rows(database: Database, clock: Clock) -> AuditDeliveries:
    return AuditDeliveries(database, now=clock)


def add(log: AuditLog, number: int) -> None:
    log.append(*(AuditEvent(kind=EventKind.VIEW, subject=str(one)) for one in range(number)))


def test_nothing_is_due_in_an_empty_log(rows: AuditDeliveries):
    assert not rows.is_due(TO)
    assert rows.standings() == ()
    assert rows.delivered_to_all() is None
    (standing,) = rows.standings(TO)
    assert (standing.waiting, standing.waiting_since, standing.is_held) == (0, None, False)


def test_a_new_receiver_begins_with_the_oldest_entry(rows: AuditDeliveries, log: AuditLog, clock: Clock):
    add(log, 3)
    assert rows.is_due(TO)
    assert rows.delivered_to_all(TO) == 0
    assert rows.hold(TO, "a", SPAN) == Held(0, 3, 0)
    (standing,) = rows.standings()
    assert (standing.destination, standing.delivered, standing.waiting, standing.newest) == (TO, 0, 3, 3)
    assert standing.waiting_since == clock.now
    assert standing.is_held


def test_one_holds_it_at_a_time_and_who_is_gone_no_longer_than_he_said(
    rows: AuditDeliveries, log: AuditLog, clock: Clock
):
    add(log, 3)
    assert rows.hold(TO, "a", SPAN)
    assert not rows.is_due(TO)
    assert rows.hold(TO, "b", SPAN, at_once=True) is None
    assert rows.hold(TO, "a", SPAN)  # his own
    assert rows.confirm(TO, "a", 2, SPAN) == Held(2, 3, 0)
    clock.pass_s(21)
    assert rows.is_due(TO)
    assert rows.hold(TO, "b", SPAN) == Held(2, 3, 0)
    assert rows.confirm(TO, "a", 3, SPAN) is None  # too late: another holds it
    rows.release(TO, "a")
    assert not rows.is_due(TO)
    assert rows.confirm(TO, "b", 3, SPAN) == Held(3, 3, 0)
    assert rows.confirm(TO, "b", 2, SPAN) is None
    rows.release(TO, "b")
    assert not rows.is_due(TO)
    assert rows.standings()[0].delivered == rows.delivered_to_all() == 3


def test_of_many_who_ask_at_once_one_gets_it(rows: AuditDeliveries, log: AuditLog):
    add(log, 1)
    with ThreadPoolExecutor(8) as pool:
        held = list(pool.map(lambda name: rows.hold(TO, str(name), SPAN), range(8)))
    assert len([one for one in held if one is not None]) == 1


def test_what_failed_is_tried_later_and_at_once_if_asked_for(rows: AuditDeliveries, log: AuditLog, clock: Clock):
    add(log, 1)
    problem = {"what": "it is away", "cause": "a pulled cable", "remedy": "plug it in"}
    rows.hold(TO, "a", SPAN)
    rows.put_off(TO, "a", clock.now + timedelta(seconds=8), 4, problem)
    (standing,) = rows.standings()
    assert (standing.problem, standing.attempts, standing.is_held) == (problem, 4, False)
    assert not rows.is_due(TO)
    assert rows.hold(TO, "b", SPAN) is None
    assert rows.hold(TO, "b", SPAN, at_once=True) == Held(0, 1, 4)
    rows.release(TO, "b")
    clock.pass_s(8)
    assert rows.is_due(TO)
    assert rows.hold(TO, "c", SPAN) == Held(0, 1, 4)
    assert rows.confirm(TO, "c", 1, SPAN) == Held(1, 1, 0)
    (standing,) = rows.standings()
    assert (standing.problem, standing.attempts, standing.next_at) == ({}, 0, None)
    assert standing.delivered_at == clock.now


def test_delivery_goes_back_but_never_forward(rows: AuditDeliveries, log: AuditLog):
    add(log, 5)
    rows.hold(TO, "a", SPAN)
    rows.confirm(TO, "a", 4, SPAN)
    assert not rows.go_back(TO, 1)  # somebody delivers
    rows.release(TO, "a")
    assert rows.go_back(TO, 9)
    assert rows.standings()[0].delivered == 4
    assert rows.go_back(TO, 1)
    assert rows.hold(TO, "b", SPAN) == Held(1, 5, 0)


def test_each_receiver_has_its_own_and_the_slowest_counts(rows: AuditDeliveries, log: AuditLog):
    add(log, 5)
    for name, seq in (("b:1", 4), ("a:1", 2)):
        rows.hold(name, "x", SPAN)
        rows.confirm(name, "x", seq, SPAN)
    assert [(one.destination, one.delivered, one.waiting) for one in rows.standings()] == [("a:1", 2, 3), ("b:1", 4, 1)]
    assert rows.delivered_to_all() == 2
    assert rows.delivered_to_all("c:1") == 0
    assert rows.forget("a:1")
    assert not rows.forget("a:1")
    assert rows.delivered_to_all() == 4


def test_purge_stops_where_it_is_told_to(log: AuditLog, clock: Clock):
    add(log, 5)
    clock.pass_s(86_400)
    add(log, 1)
    assert log.count_older(clock.now, after=0) == 5
    assert log.count_older(clock.now, after=3) == 2
    by = AuditEvent(kind=EventKind.AUDIT_PURGE)
    assert log.purge(clock.now, by, through=0) == 0
    assert log.purge(clock.now, by, through=3) == 3
    assert log.purge(clock.now, by, through=3) == 0
    assert log.count_older(clock.now, after=0) == 2
    assert [entry.seq for entry in log.after(0, through=7, limit=3)] == [4, 5, 6]
    assert [entry.seq for entry in log.after(4, through=5, limit=100)] == [5]
    assert log.verify().broken is None
    assert log.purge(clock.now, by, through=2) == 0


def test_what_waits_is_counted_after_a_purge(rows: AuditDeliveries, log: AuditLog, clock: Clock):
    add(log, 5)
    clock.pass_s(86_400)
    log.purge(clock.now, AuditEvent(kind=EventKind.AUDIT_PURGE))
    assert rows.standings(TO)[0].waiting == 1
    assert rows.hold(TO, "a", SPAN) == Held(0, 6, 0)
