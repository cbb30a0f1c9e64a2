"""The contract of monitoring, the same on every database."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest

from dicomfab.model.errors import NotFound
from dicomfab.model.job import JobKind, NewJob
from dicomfab.model.monitoring import Check, Monitored, ServerState, StateChange, Terms
from dicomfab.registry.server import PacsServer
from dicomfab.storage.database import Database
from dicomfab.storage.jobs import JobRepository
from dicomfab.storage.monitoring import CLAIM_S, MonitorRepository
from dicomfab.storage.registry import RegistryRepository

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
TERMS = Terms(pause_s=60, confirm_s=10, worth_s=120)
WHY = {"heading": "Connection failed", "what": "nobody listens there"}


class Clock:
    moment = NOON

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def monitors(database: Database, clock: Clock) -> MonitorRepository:
    for number, server_id in enumerate("ab"):
        add(database, server_id, 4000 + number)
    return MonitorRepository(database, now=clock)


def add(database: Database, server_id: str, port: int = 4000) -> None:
    server = PacsServer(id=server_id, name=server_id, host="127.0.0.1", port=port, aec="X", environment="test")  # type: ignore[arg-type]
    RegistryRepository(database).change(lambda registry: registry.add(server))


def remove(database: Database, server_id: str) -> None:
    RegistryRepository(database).change(lambda registry: registry.remove(server_id))


def checked(monitors: MonitorRepository, server_id: str, *, ok: bool, tell: bool = False) -> StateChange | None:
    (claim,) = monitors.claim([server_id])
    check = Check(claim.at, ok, 2.0 if ok else None, {} if ok else WHY)
    return monitors.record(claim, check, TERMS, tell=tell)


def flap(monitors: MonitorRepository, clock: Clock, server_id: str, *, tell: bool = False) -> None:
    """Up at 0 s, down at 60 s, which is proven at 70 s, up again at 130 s."""
    for ok, pause_s in ((True, 60), (False, 10), (False, 60), (True, 60)):
        checked(monitors, server_id, ok=ok, tell=tell)
        clock.forward(pause_s)


def test_what_a_check_changes_is_kept(monitors: MonitorRepository, clock: Clock) -> None:
    assert monitors.states() == {}
    assert checked(monitors, "a", ok=True) is None
    kept = Monitored(
        server_id="a",
        state=ServerState.UP,
        since=NOON,
        last_at=NOON,
        last_ok=True,
        latency_ms=2.0,
        next_at=NOON + timedelta(seconds=60),
        checks=1,
    )
    assert monitors.states() == {"a": kept}
    clock.forward(60)
    checked(monitors, "a", ok=False)
    clock.forward(10)
    news = checked(monitors, "a", ok=False)
    assert news == StateChange("a", ServerState.DOWN, NOON + timedelta(seconds=60), "Connection failed", 60.0)
    (found,) = monitors.states().values()
    assert (found.error, found.failures, found.checks) == (WHY, 2, 3)
    assert [(one.ok, one.latency_ms, one.heading) for one in monitors.checks("a", 2)] == [
        (False, None, "Connection failed"),
        (False, None, "Connection failed"),
    ]
    assert [one.ok for one in monitors.checks("a", 9)] == [False, False, True]


def test_days_add_up_over_midnight(monitors: MonitorRepository, clock: Clock) -> None:
    clock.moment = datetime(2026, 5, 1, 23, 59, 30, tzinfo=UTC)
    flap(monitors, clock, "a")  # to 0:02:40
    first, second = monitors.days(date(2026, 5, 1), ["a", "b"])["a"].values()
    assert (first.day, first.up_s, first.down_s, first.checks, first.failures) == (date(2026, 5, 1), 30.0, 0.0, 1, 0)
    assert (second.day, second.up_s, second.down_s) == (date(2026, 5, 2), 30.0, 70.0)
    assert (second.checks, second.failures, second.latency_min_ms, second.latency_sum_ms) == (3, 2, 2.0, 2.0)
    assert monitors.days(date(2026, 5, 2), ["a", "b"]) == {"a": {second.day: second}, "b": {}}
    clock.forward(86_400)  # nobody looked
    checked(monitors, "a", ok=True)
    last = monitors.days(date(2026, 5, 2), ["a"])["a"]
    assert last[date(2026, 5, 2)].up_s == 30.0 + 120.0
    assert last[date(2026, 5, 3)].up_s == 0.0


def test_a_server_that_is_not_due_is_not_given_out(monitors: MonitorRepository, clock: Clock) -> None:
    checked(monitors, "a", ok=True)
    clock.forward(59)
    assert monitors.claim(["a"]) == []
    clock.forward(1)
    assert [one.server_id for one in monitors.claim(["a", "b", "no-such"])] == ["a", "b"]


def test_a_server_is_given_to_one_worker_until_its_claim_has_run_out(monitors: MonitorRepository, clock: Clock) -> None:
    (lost,) = monitors.claim(["a"])
    monitors.configure("a", "test", is_on=True, interval_s=20)  # due at once, but somebody is at it
    assert monitors.claim(["a"]) == []
    clock.forward(CLAIM_S)
    (taken,) = monitors.claim(["a"])
    assert monitors.record(lost, Check(lost.at, False, None, WHY), TERMS, tell=False) is None
    assert monitors.checks("a", 9) == []
    monitors.record(taken, Check(taken.at, True, 1.0), TERMS, tell=False)
    assert [one.at for one in monitors.checks("a", 9)] == [taken.at]


def test_many_workers_at_once_get_each_server_once(monitors: MonitorRepository, database: Database) -> None:
    ids = [f"s{number}" for number in range(12)]
    for number, server_id in enumerate(ids):
        add(database, server_id, 5000 + number)
    together = threading.Barrier(6)

    def claim(_: int) -> list[str]:
        together.wait()
        return [one.server_id for one in monitors.claim(ids)]

    with ThreadPoolExecutor(6) as pool:
        given = [server_id for some in pool.map(claim, range(6)) for server_id in some]
    assert sorted(given) == sorted(ids)


def test_what_was_not_learned_is_not_kept(monitors: MonitorRepository, clock: Clock) -> None:
    (claim,) = monitors.claim(["a"])
    monitors.give_back(claim, NOON + timedelta(seconds=10))
    assert monitors.claim(["a"]) == []
    clock.forward(10)
    assert len(monitors.claim(["a"])) == 1
    assert monitors.checks("a", 9) == []


def test_settings_are_kept_beside_the_state(monitors: MonitorRepository) -> None:
    checked(monitors, "a", ok=True)
    made = monitors.configure("a", "prod", is_on=True, interval_s=90)
    assert (made.is_on, made.set_for, made.interval_s, made.next_at) == (True, "prod", 90, None)
    assert (made.state, made.checks) == (ServerState.UP, 1)
    assert monitors.states()["a"] == made
    fresh = monitors.configure("b", "test", is_on=None, interval_s=None)
    assert fresh == Monitored(server_id="b", set_for="test")
    with pytest.raises(NotFound, match="no-such"):
        monitors.configure("no-such", "test", is_on=True, interval_s=None)


def test_a_server_that_is_removed_takes_its_history_with_it(
    monitors: MonitorRepository, database: Database, clock: Clock
) -> None:
    flap(monitors, clock, "a", tell=True)
    flap(monitors, clock, "b")
    (under_way,) = monitors.claim(["a"])
    remove(database, "a")
    assert monitors.record(under_way, Check(under_way.at, True, 1.0), TERMS, tell=True) is None
    add(database, "a")
    assert monitors.record(under_way, Check(under_way.at, True, 1.0), TERMS, tell=True) is None
    assert list(monitors.states()) == ["b"]
    assert monitors.checks("a", 9) == []
    assert monitors.days(date(2026, 1, 1), ["a"]) == {"a": {}}
    assert {event.server_id for event in monitors.events(["a", "b"], 9)} == {"b"}
    assert monitors.next_untold(NOON) is None
    (anew,) = monitors.claim(["a"])
    assert anew.at == clock.moment


def test_events_are_listed_newest_first_and_only_those_asked_for(monitors: MonitorRepository, clock: Clock) -> None:
    flap(monitors, clock, "a")
    flap(monitors, clock, "b")
    assert [(e.server_id, e.state, e.lasted_s) for e in monitors.events(["a", "b"], 3)] == [
        ("b", ServerState.UP, 70.0),
        ("b", ServerState.DOWN, 60.0),
        ("a", ServerState.UP, 70.0),
    ]
    assert {e.server_id for e in monitors.events(["a"], 9)} == {"a"}
    assert monitors.events([], 9) == []


def test_events_are_told_in_turn_each_by_one_worker(monitors: MonitorRepository, clock: Clock) -> None:
    flap(monitors, clock, "a", tell=True)
    soon = clock.moment + timedelta(seconds=60)
    down = monitors.next_untold(soon)
    assert down is not None
    assert (down.event.state, down.tries) == (ServerState.DOWN, 1)
    assert monitors.next_untold(soon) is None  # that one is being told, and the next one waits for it
    clock.forward(60)
    again = monitors.next_untold(clock.moment + timedelta(seconds=60))
    assert again is not None
    assert (again.event, again.tries) == (down.event, 2)  # whoever had it was killed
    monitors.tell_again(down.event.id, None)
    up = monitors.next_untold(soon)
    assert up is not None
    assert up.event.state is ServerState.UP
    monitors.tell_again(up.event.id, None)
    assert monitors.next_untold(soon) is None


def test_without_a_webhook_nothing_waits_to_be_told(monitors: MonitorRepository, clock: Clock) -> None:
    flap(monitors, clock, "a", tell=False)
    assert len(monitors.events(["a"], 9)) == 2
    assert monitors.next_untold(NOON) is None


def test_what_is_old_is_forgotten(monitors: MonitorRepository, clock: Clock) -> None:
    flap(monitors, clock, "a")
    clock.forward(86_400)
    checked(monitors, "a", ok=True)
    monitors.purge(checks_before=NOON + timedelta(hours=1), rest_before=NOON)
    assert len(monitors.checks("a", 9)) == 1
    assert len(monitors.events(["a"], 9)) == 2
    assert len(monitors.days(NOON.date(), ["a"])["a"]) == 2
    monitors.purge(checks_before=NOON, rest_before=NOON + timedelta(days=1))
    assert monitors.events(["a"], 9) == []
    assert list(monitors.days(NOON.date(), ["a"])["a"]) == [NOON.date() + timedelta(days=1)]


def test_jobs_are_counted_by_state_and_kind(monitors: MonitorRepository, database: Database) -> None:
    ledger = JobRepository(database)
    common = {"title": "t", "owner": "o", "roles": (), "door": "api", "queue": "pacs:a", "request": {}}
    for kind, environment in ((JobKind.SEND, "test"), (JobKind.SEND, "test"), (JobKind.MOVE, "prod")):
        ledger.submit(NewJob(kind=kind, environment=environment, **common), [])  # type: ignore[arg-type]
    assert monitors.job_counts(["test"]) == {("queued", "send"): 2}
    assert monitors.job_counts(["test", "prod"]) == {("queued", "send"): 2, ("queued", "move"): 1}
    assert monitors.job_counts([]) == {}


def test_by_itself_it_reads_the_clock_of_the_database(database: Database) -> None:
    add(database, "a")
    (claim,) = MonitorRepository(database).claim(["a"])
    assert abs(claim.at - datetime.now(UTC)) < timedelta(seconds=5)
    assert MonitorRepository(database).record(claim, Check(claim.at, True, 1.0), TERMS, tell=True) is None
    assert MonitorRepository(database).states()["a"].last_at == claim.at
