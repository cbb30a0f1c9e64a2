"""The RIS as a process that is killed at any moment: what it has answered is there, all is done once."""

from __future__ import annotations

import fcntl
import json
import os
import random
import select
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from dicomfab.app.build import Application, build
from dicomfab.app.settings import Settings
from dicomfab.hl7.mllp import Frame, Framer, framed
from dicomfab.model.hl7_message import MessageState
from dicomfab.model.procedure import ProcedureEventKind, ProcedureFilter
from dicomfab.model.values import Environment
from dicomfab.storage.hl7_messages import MessageFilter
from tests.peers.test_ris import ACTOR, DEADLINE_S, acknowledged, command, engine, environment
from tests.unit.services.ordering.conftest import orm

pytestmark = pytest.mark.peers

_LATEST_S = 0.4
_MOST = 10_000
#: How often it is killed.
TIMES = 20


class Running:
    """``dicomfab ris run`` on free ports."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.port = int(json.loads(process.stdout.readline())["listening"]["hl7_port"])

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        assert self.process.wait(DEADLINE_S) == -signal.SIGKILL


@contextmanager
def ris(home: Path) -> Iterator[Running]:
    words = ("ris", "run", "--test", "--any-caller", "--hl7-port", 0, "--dicom-port", 0, "--json")
    with subprocess.Popen(command(*words), env=environment(home), stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Running(process)
        finally:
            process.kill()


@contextmanager
def opened(home: Path) -> Iterator[Application]:
    application = build(Settings(home))
    yield application
    application.close()


def database(home: Path) -> sqlite3.Connection:
    return sqlite3.connect(home / "dicomfab.sqlite3", isolation_level=None, timeout=DEADLINE_S)


def soon(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.002)


def is_silent(connection: socket.socket) -> bool:
    return not select.select([connection], [], [], 0)[0]


# ------------------------------------------------------------------ at one certain moment


def test_after_the_commit_and_before_the_answer(tmp_path: Path) -> None:
    """Between the two a line is logged. The log is a pipe that nobody empties, so there the process stands."""
    home = tmp_path / "home"
    with opened(home) as site:
        log = site.settings.logs / "ris.log"
        log.parent.mkdir(parents=True)
    os.mkfifo(log)
    pipe = os.open(log, os.O_RDWR | os.O_NONBLOCK)
    try:
        with (
            ris(home) as running,
            socket.create_connection(("127.0.0.1", running.port), DEADLINE_S) as connection,
            closing(database(home)) as looking,
        ):
            _fill(pipe)
            connection.sendall(framed(orm()))
            soon(lambda: looking.execute("SELECT 1 FROM hl7_message WHERE code = 'AA'").fetchone())
            running.kill()
            assert is_silent(connection) or connection.recv(1) == b""  # it ended without a word
    finally:
        os.close(pipe)
    log.unlink()
    with ris(home) as running, engine(running.port) as sender:
        assert acknowledged(sender.send(orm())) == ("AA", "M1")
    with opened(home) as site:
        [message] = site.ordering.messages.page(ACTOR, MessageFilter()).messages
        assert (message.code, message.repeats) == ("AA", 1)
        _each_once(site, {"A100"})


def _fill(pipe: int) -> None:
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)
    try:
        while True:
            os.write(pipe, b"x")
    except BlockingIOError:
        pass


def test_after_the_receipt_and_before_the_commit(tmp_path: Path) -> None:
    """Somebody else writes to the database, so the process waits with the message in its hands."""
    home = tmp_path / "home"
    with ris(home) as running, closing(database(home)) as other:
        other.execute("BEGIN IMMEDIATE")
        with socket.create_connection(("127.0.0.1", running.port), DEADLINE_S) as connection:
            connection.sendall(framed(orm()))
            soon(lambda: _taken_by_its_receiver(connection))
            running.kill()
            assert connection.recv(1) == b""
        other.execute("ROLLBACK")
    with ris(home) as running, engine(running.port) as sender:
        assert acknowledged(sender.send(orm())) == ("AA", "M1")
    with opened(home) as site:
        [message] = site.ordering.messages.page(ACTOR, MessageFilter()).messages
        assert (message.code, message.repeats) == ("AA", 0)
        _each_once(site, {"A100"})


def _taken_by_its_receiver(connection: socket.socket) -> bool:
    """Whether the process at the other end has read all that was sent to it (proc(5), net/tcp: the receive queue)."""
    mine, its = connection.getsockname()[1], connection.getpeername()[1]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if (int(local.split(":")[1], 16), int(remote.split(":")[1], 16)) == (its, mine):
            return int(queues.split(":")[1], 16) == 0
    raise AssertionError("the connection is gone")


# ------------------------------------------------------------------ at any moment


class Sending:
    """An engine that sends one order after the other, from a thread, until the receiver is gone."""

    def __init__(self, port: int, first: int, *, is_enhanced: bool) -> None:
        self.sent: dict[str, bytes] = {}
        self.answers: dict[str, bytes] = {}
        self._first, self._is_enhanced = first, is_enhanced
        self._connection = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        framer = Framer()
        with self._connection as connection:
            for number in range(self._first, self._first + _MOST):
                control_id, data = order(number, is_enhanced=self._is_enhanced)
                self.sent[control_id] = data
                try:
                    connection.sendall(framed(data))
                    while control_id not in self.answers:
                        received = connection.recv(65536)
                        if not received:
                            return
                        for found in framer.feed(received):
                            assert isinstance(found, Frame)
                            self.answers[control_id] = found.data
                except ConnectionError:
                    return

    def ended(self) -> None:
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()


def order(number: int, *, is_enhanced: bool) -> tuple[str, bytes]:
    data = orm(f"K{number}", accession=f"A{number}", rp=f"RP{number}")
    if is_enhanced:
        header, rest = data.split(b"\r", 1)
        data = header + b"|||AL|NE\r" + rest
    return f"K{number}", data


@pytest.mark.full
def test_killed_again_and_again(tmp_path: Path) -> None:
    home, chance = tmp_path / "home", random.Random(TIMES)
    sent: dict[str, bytes] = {}
    answers: dict[str, bytes] = {}
    for turn in range(TIMES):
        with ris(home) as running:
            sending = Sending(running.port, 1 + turn * _MOST, is_enhanced=turn % 2 == 1)
            soon(lambda sending=sending: sending.answers)
            time.sleep(chance.uniform(0, _LATEST_S))  # the moment is what is tried out
            running.kill()
            sending.ended()
        sent |= sending.sent
        answers |= sending.answers
    assert len(answers) >= TIMES
    with opened(home) as site:
        kept = {one.control_id for one in _ledger(site)}
        assert set(answers) <= kept, "acknowledged, and not in the ledger"
        assert kept <= set(sent)
    with ris(home) as running, engine(running.port) as sender:
        for control_id, data in sent.items():
            again = sender.send(data)
            assert acknowledged(again) in {("AA", control_id), ("CA", control_id)}
            assert again == answers.get(control_id, again), "another answer than before"
    with opened(home) as site:
        while site.ordering.intake.apply_kept(ACTOR, Environment.TEST):
            pass
        assert Counter(one.control_id for one in _ledger(site)) == Counter(list(sent))
        assert {one.state for one in _ledger(site)} == {MessageState.APPLIED}
        _each_once(site, {f"A{control_id[1:]}" for control_id in sent})
        assert site.audit.verify(ACTOR).broken is None


def _ledger(site: Application) -> Any:
    return site.ordering.messages.page(ACTOR, MessageFilter(), limit=_MOST).messages


def _each_once(site: Application, accession_numbers: set[str]) -> None:
    """One procedure for each, with one step, ordered once, of one order."""
    page = site.ordering.schedule.page(ACTOR, ProcedureFilter(), limit=_MOST)
    assert Counter(one.accession_number for one in page.procedures) == Counter(accession_numbers)
    assert {len(one.steps) for one in page.procedures} == {1}
    for one in page.procedures:
        found = site.ordering.schedule.show(ACTOR, one.number)
        assert [event.kind for event in found.events] == [ProcedureEventKind.ORDERED]
        assert len(found.orders) == 1
