"""Monitoring of real servers over real sockets, by a clock that the tests move."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scu.echo import EchoResult
from dicomfab.model.errors import LocalFailure
from dicomfab.model.monitoring import DAY_S, ServerState
from dicomfab.services.monitor.monitor import SIDE_BY_SIDE, Monitor
from dicomfab.services.monitor.service import Switch
from dicomfab.services.monitor.webhook import Webhook
from dicomfab.storage.database import Database
from tests.unit.dimse.raw import eventually
from tests.unit.services.ward import ADMIN, MIDNIGHT, Ward, silence


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    database = Database(tmp_path / "dicomfab.sqlite3")
    made = Ward(database)
    yield made
    made.stop_all()
    database.close()


def at(hours: float) -> Any:
    return MIDNIGHT + timedelta(hours=hours)


@pytest.mark.full
def test_a_day_of_a_server_that_flaps(ward: Ward) -> None:
    """Twenty-four hours at 60 s, over real sockets, and all that is said of them afterwards."""
    steady, flapping = ward.add("Steady"), ward.add("Flapping")
    ward.service.change(ADMIN, steady.id, interval_s=600)
    ward.add("Hospital", "prod")
    outages = [(at(3), at(3.5)), (at(12), at(12 + 5 / 60)), (at(18), at(20)), (at(22), at(22 + 5 / 3600))]
    ward.clock.moment = MIDNIGHT
    made = ward.live(at(24), {steady.id: [], flapping.id: outages})
    assert 1440 + 144 <= made <= 1440 + 144 + 10
    today = ward.service.show(ADMIN, flapping.id, days=2).days[-2]
    assert today.day == MIDNIGHT.date()
    lost = 1800 + 300 + 7200
    assert today.down_s == pytest.approx(lost, abs=4 * 60)
    assert today.up_s + today.down_s == pytest.approx(DAY_S, abs=60)
    assert today.uptime == pytest.approx(1 - lost / DAY_S, abs=0.003)
    whole = ward.service.show(ADMIN, steady.id, days=2).days[-2]
    assert (whole.down_s, whole.failures, whole.uptime) == (0, 0, 1.0)
    assert whole.up_s == pytest.approx(DAY_S, abs=600)
    events = ward.service.events(ADMIN)[::-1]
    assert {event.server_id for event in events} == {flapping.id}
    assert [str(event.state) for event in events] == ["down", "up"] * 3
    for event, expected in zip(events, [at(3), at(3.5), at(12), at(12 + 5 / 60), at(18), at(20)], strict=True):
        assert timedelta() <= event.at - expected <= timedelta(seconds=61)
    assert {event.heading for event in events[::2]} == {"Connection failed"}
    hospital = ward.service.show(ADMIN, "hospital")
    assert (hospital.is_monitored, hospital.state, hospital.row.checks) == (False, ServerState.UNKNOWN, 0)


def test_a_server_that_hangs_delays_no_other(ward: Ward) -> None:
    with silence() as port:
        for number in range(SIDE_BY_SIDE - 1):
            ward.add(f"Hung {number}", port=port, aec=f"HUNG{number}")
        live = ward.add("Live")
        ward.start(live)
        began = time.monotonic()
        assert ward.monitor().beat() is False
        assert time.monotonic() - began < 2.0  # a beat waits for nobody
        assert eventually(lambda: live.id in checked(ward), 4.0)
        assert time.monotonic() - began < 4.0  # the others wait for 5 s
        assert checked(ward) == {live.id}
        assert eventually(lambda: len(checked(ward)) == SIDE_BY_SIDE, 20.0)
    states = ward.repository.states()
    assert {row.error["error"] for row in states.values() if row.failures} == {"PeerTimeout"}


def checked(ward: Ward) -> set[str]:
    return {row.server_id for row in ward.repository.states().values() if row.checks}


def test_timeouts_are_short_whatever_the_entry_says(ward: Ward) -> None:
    patient = {"connect_timeout_s": 60.0, "association_timeout_s": 60.0, "dimse_timeout_s": 2.0}
    ward.add("Slow", **patient)
    asked: list[Peer] = []

    def call(peer: Peer) -> EchoResult:
        asked.append(peer)
        return EchoResult(0.001, "1.2", "")

    ward.monitor(call).once()
    (peer,) = asked
    assert (peer.timeouts.connect_s, peer.timeouts.association_s, peer.timeouts.dimse_s) == (5.0, 5.0, 2.0)


def test_two_monitors_on_one_database_never_check_a_server_twice(ward: Ward) -> None:
    for number in range(20):
        ward.add(f"S{number}")
    asked: Counter[int] = Counter()
    counting = threading.Lock()

    def call(peer: Peer) -> EchoResult:
        with counting:
            asked[peer.port] += 1
        return EchoResult(0.001, "1.2", "")

    monitors = [ward.monitor(call), ward.monitor(call)]
    with ThreadPoolExecutor(2) as pool:
        for round_ in range(1, 6):
            both = list(pool.map(Monitor.once, monitors))
            assert sum(map(len, both)) == 20
            assert set(asked.values()) == {round_}
            ward.clock.forward(60)


def test_no_more_than_a_few_are_asked_side_by_side(ward: Ward) -> None:
    for number in range(3 * SIDE_BY_SIDE):
        ward.add(f"S{number}")
    now, most = 0, 0
    counting, enough = threading.Lock(), threading.Event()

    def call(peer: Peer) -> EchoResult:
        nonlocal now, most
        with counting:
            now += 1
            most = max(most, now)
            if now == SIDE_BY_SIDE:
                enough.set()
        enough.wait(10)
        with counting:
            now -= 1
        return EchoResult(0.001, "1.2", "")

    assert len(ward.monitor(call).once()) == 3 * SIDE_BY_SIDE
    assert most == SIDE_BY_SIDE


def test_pauses_differ_by_chance_but_never_fall_below_the_least(ward: Ward) -> None:
    test, prod = ward.add("Test"), ward.add("Prod", "prod")
    ward.service.change(ADMIN, prod.id, switch=Switch.ON, interval_s=60)
    ward.monitor(lambda _: EchoResult(0.001, "1.2", ""), draw=lambda: 0.0).once()
    states = ward.repository.states()
    assert states[test.id].next_at == MIDNIGHT + timedelta(seconds=54)
    assert states[prod.id].next_at == MIDNIGHT + timedelta(seconds=60)
    ward.clock.forward(60)
    ward.monitor(lambda _: EchoResult(0.001, "1.2", ""), draw=lambda: 1.0).once()
    assert ward.repository.states()[test.id].next_at == MIDNIGHT + timedelta(seconds=60 + 66)


def test_a_failure_is_confirmed_soon_but_never_too_soon_in_production(ward: Ward) -> None:
    test, prod = ward.add("Test"), ward.add("Prod", "prod")
    ward.service.change(ADMIN, prod.id, switch=Switch.ON)
    ward.monitor().once()
    states = ward.repository.states()
    assert states[test.id].next_at == MIDNIGHT + timedelta(seconds=10)
    assert states[prod.id].next_at == MIDNIGHT + timedelta(seconds=60)


@pytest.mark.parametrize("error", [LocalFailure("no more files"), ZeroDivisionError("a fault")])
def test_a_fault_of_ours_says_nothing_about_the_server(
    ward: Ward, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    server = ward.add("Test")

    def call(_: Peer) -> EchoResult:
        raise error

    assert ward.monitor(call).once() == []
    row = ward.repository.states()[server.id]
    assert (row.state, row.checks, row.next_at) == (ServerState.UNKNOWN, 0, MIDNIGHT + timedelta(seconds=10))
    assert server.id in caplog.text


def test_what_is_news_is_one_line_of_the_log(ward: Ward, caplog: pytest.LogCaptureFixture) -> None:
    server = ward.add("Test")
    monitor = ward.monitor()
    with caplog.at_level(logging.INFO, "dicomfab.services.monitor"):
        for _ in range(3):
            monitor.once()
            ward.clock.forward(60)
        ward.start(server)
        monitor.once()
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "test is down since 2026-05-01T00:00:00+00:00: Connection failed",
        "test is up since 2026-05-01T00:03:00+00:00",
    ]


def test_what_is_inactive_or_must_not_be_asked_is_left_alone(ward: Ward) -> None:
    ward.add("Inactive", is_active=False)
    ward.add("Mute", capabilities=["store"])
    assert ward.monitor().once() == []
    assert ward.repository.states() == {}


def test_old_checks_are_forgotten(ward: Ward) -> None:
    server = ward.add("Test")
    monitor = ward.monitor(lambda _: EchoResult(0.001, "1.2", ""), keep_checks_days=1)
    for _ in range(3):
        monitor.once()
        ward.clock.forward(16 * 3600)
    assert [one.at for one in ward.repository.checks(server.id, 9)] == [at(32), at(16)]
    assert len(ward.service.show(ADMIN, server.id).days) == 30


def test_a_worker_stays_for_what_somebody_switched_on(ward: Ward) -> None:
    test, prod = ward.add("Test"), ward.add("Prod", "prod")
    monitor = ward.monitor(lambda _: EchoResult(0.001, "1.2", ""))
    assert (monitor.need_a_worker(), monitor.beat()) == (False, False)
    ward.service.change(ADMIN, test.id, switch=Switch.ON)
    assert (monitor.need_a_worker(), monitor.beat()) == (True, True)
    ward.service.change(ADMIN, test.id, switch=Switch.OFF)
    ward.service.change(ADMIN, prod.id, switch=Switch.ON)
    assert monitor.need_a_worker()
    ward.pacs.edit(ADMIN, prod.id, {"is_active": False})
    assert not monitor.need_a_worker()


def test_a_database_out_of_reach_ends_no_worker(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "folder.sqlite3"
    folder.mkdir()
    ward = Ward(Database(folder))
    assert ward.monitor().beat() is True
    assert "could not be monitored" in caplog.text


class Listener:
    """A little web server that keeps what it is told, and fails as often as it is asked to."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.told: list[dict[str, Any]] = []
        self.calls = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.calls += 1
                is_failing = outer.calls <= outer.failures
                if not is_failing:
                    assert self.headers["Content-Type"] == "application/json"
                    assert self.path == "/hook?key=s3cret"
                    outer.told.append(json.loads(body))
                self.send_response(503 if is_failing else 204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/hook?key=s3cret"

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def test_the_webhook_is_told_again_until_it_listens(ward: Ward, caplog: pytest.LogCaptureFixture) -> None:
    server = ward.add("Test")
    with Listener(failures=2) as listener:
        monitor = ward.monitor(webhook=Webhook(listener.url))
        monitor.once()
        ward.clock.forward(10)
        monitor.once()  # down: told, and not heard
        assert (listener.calls, listener.told) == (1, [])
        restarted = ward.monitor(webhook=Webhook(listener.url))
        restarted.tell()
        assert listener.calls == 1  # not yet its time
        ward.clock.forward(5)
        restarted.tell()
        assert (listener.calls, listener.told) == (2, [])
        ward.start(server)
        ward.clock.forward(60)
        restarted.once()  # up again; the first event is told before it
        assert [(one["state"], one["server"]) for one in listener.told] == [("down", "test"), ("up", "test")]
        assert listener.told[0] == {
            "event": 1,
            "server": "test",
            "name": "Test",
            "environment": "test",
            "state": "down",
            "since": "2026-05-01T00:00:00+00:00",
            "previous_state_lasted_s": None,
            "error": "Connection failed",
        }
        ward.clock.forward(3600)
        restarted.tell()
        assert listener.calls == 4
    assert "status 503" in caplog.text
    assert "s3cret" not in caplog.text


def test_a_webhook_that_never_listens_is_left_alone_in_the_end(ward: Ward) -> None:
    ward.add("Test")
    with Listener(failures=10**6) as listener:
        monitor = ward.monitor(webhook=Webhook(listener.url))
        monitor.once()
        ward.clock.forward(10)
        monitor.once()
        for _ in range(20):
            ward.clock.forward(300)
            monitor.tell()
        assert listener.calls == 8


def test_news_that_are_a_day_old_are_told_to_nobody(ward: Ward) -> None:
    ward.add("Test")
    with Listener(failures=1) as listener:
        monitor = ward.monitor(webhook=Webhook(listener.url))
        monitor.once()
        ward.clock.forward(10)
        monitor.once()
        ward.clock.forward(25 * 3600)
        monitor.tell()
        assert (listener.calls, listener.told) == (1, [])


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\n\r\n", b"nonsense\r\n\r\n", b""]
)
def test_whatever_is_no_success_is_none(answer: bytes) -> None:
    with silence() as port:
        assert Webhook(f"http://127.0.0.1:{port}/", timeout_s=0.2).post({}) == "TimeoutError"
    from socket import create_server

    with create_server(("127.0.0.1", 0)) as listener:

        def say() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=say)
        thread.start()
        assert Webhook(f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout_s=5).post({}) != ""
        thread.join()


def test_the_address_of_the_webhook_is_shown_nowhere() -> None:
    assert "s3cret" not in repr(Webhook("https://example.com/s3cret"))
