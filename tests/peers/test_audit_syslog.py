"""The audit log arrives at a real rsyslog over mutual TLS: every entry, once, in order, whatever is stopped."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest

from dicomfab.app.build import Application
from dicomfab.app.settings import Settings
from dicomfab.model.actor import local_admin
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.errors import ConnectionFailed, ConnectionLost, PeerError, TlsFailed
from dicomfab.services.audit import AuditService
from dicomfab.storage.audit import AuditFilter
from dicomfab.syslog.sender import deliver
from tests.peers.rsyslog import Rsyslog, rsyslog
from tests.unit.dimse.transport.secure_peers import Authority
from tests.unit.services.audit_schema import problems

pytestmark = pytest.mark.peers

ADMIN = local_admin("root", "cli")
DEADLINE_S = 60.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "rsyslog"
    made.mkdir()
    return made


@pytest.fixture
def receiver(folder: Path) -> Iterator[Rsyslog]:
    with rsyslog(folder) as running:
        yield running


@pytest.fixture
def audit(receiver: Rsyslog, tmp_path: Path) -> Iterator[AuditService]:
    application = Application(Settings(home=tmp_path / "home", audit_syslog=receiver.receiver))
    yield application.audit
    application.close()


def record(audit: AuditService, number: int) -> None:
    for one in range(number):
        audit.record(AuditEvent.by(ADMIN, EventKind.VIEW, study_uids=(f"1.2.{one}",), patient_ids=("SÜN^1",)))


def until(condition: Callable[[], object], deadline_s: float = DEADLINE_S) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "nothing came of it"
        time.sleep(0.05)


def waiting(audit: AuditService) -> int:
    return audit.gauge().standings[0].waiting


def test_rsyslog_stopped_and_started_every_entry_arrives_once_in_order(receiver: Rsyslog, audit: AuditService):
    record(audit, 300)
    audit.deliver(ADMIN)
    receiver.stop()
    assert receiver.numbers == list(range(1, 301))  # it had read all: nothing was left to chance
    record(audit, 50)
    with pytest.raises(ConnectionFailed):
        audit.deliver(ADMIN)
    receiver.start()
    with audit.running(ADMIN, "serve"):
        until(lambda: waiting(audit) == 0)
    receiver.stop()
    assert receiver.numbers == list(range(1, 353))


def test_what_arrives_is_the_audit_message(receiver: Rsyslog, audit: AuditService):
    record(audit, 1)
    audit.record(AuditEvent.by(ADMIN, EventKind.REFUSAL, reason="a very long reason " * 210, subject="x\ny"))
    audit.record(AuditEvent.by(ADMIN, EventKind.QUERY, query=os.urandom(40_000), query_sop_class="1.2"))
    audit.deliver(ADMIN)
    receiver.stop()
    assert len(receiver.lines) == 3
    entries = audit.page(ADMIN, AuditFilter()).entries[:0:-1]
    for line, entry in zip(receiver.lines, entries, strict=True):
        head, xml = line.split("\ufeff")
        assert head.startswith(f'85 DICOM+RFC3881 [meta sequenceId="{entry.seq}"][dicomfab@32473 ')
        assert f'mac="{entry.mac}"' in head
        assert problems(fromstring(xml)) == []
        is_short = entry.event.kind is EventKind.QUERY
        assert ("fullBytes" in head) == is_short
        assert is_short or xml.endswith(audit.message(entry))


def test_what_rsyslog_does_not_permit_is_explained(receiver: Rsyslog, tmp_path: Path):
    """It hangs up without an alert, for it looks at our certificate after the handshake."""
    stranger = Authority(tmp_path, "stranger")
    frames = [b"6 <85>1 "]
    for client in (
        receiver.authority.issue("elsewhere.example"),
        stranger.issue("dicomfab.example"),
        receiver.authority.issue("dicomfab.example", valid=(2001, 2002)),
    ):
        with pytest.raises(ConnectionLost) as refused:
            deliver(receiver.called(client), frames, within_s=10)
        assert "does not permit our certificate" in str(refused.value)
    assert "not permitted to talk" in receiver.errors
    with pytest.raises(TlsFailed, match="is not trusted"):
        deliver(receiver.called(ca=stranger.file), frames, within_s=10)
    with pytest.raises(TlsFailed, match=r"is not made for the name '127\.0\.0\.1'"):
        deliver(receiver.called(host="127.0.0.1"), frames, within_s=10)
    receiver.stop()
    assert receiver.lines == []


@pytest.mark.full
def test_what_counts_as_read_was_read(receiver: Rsyslog):
    """Rsyslog is stopped at any moment, again and again; what it confirmed, it has written in the end."""
    confirmed, dice = 0, random.Random(6514)
    for _ in range(15):
        ending = threading.Timer(dice.uniform(0.05, 0.6), receiver.stop)
        ending.start()
        while ending.is_alive():
            number, size = dice.choice((1, 5, 50, 200)), dice.choice((100, 1000, 20_000))
            try:
                deliver(receiver.receiver, list(frames(confirmed + 1, number, size)), within_s=15)
            except PeerError:
                continue
            confirmed += number
        ending.join()
        receiver.start()
    receiver.stop()
    firsts = list(dict.fromkeys(receiver.numbers))
    assert firsts == sorted(firsts)
    assert set(range(1, confirmed + 1)) <= set(firsts)
    assert confirmed > 500


@pytest.mark.full
def test_what_a_killed_rsyslog_has_lost_is_delivered_again(receiver: Rsyslog, audit: AuditService):
    """Killed, it loses what it has read and not written; the numbers show the gap."""
    for _ in range(5):
        record(audit, 300)
        audit.deliver(ADMIN)
        receiver.stop(signal.SIGKILL)
        receiver.start()
    audit.deliver(ADMIN, again_from=1)
    receiver.stop()
    assert set(receiver.numbers) == set(range(1, 1502))


def frames(first: int, number: int, size: int) -> Iterator[bytes]:
    for one in range(first, first + number):
        message = b'<85>1 - - - - - [x entry="%d"] ' % one + b"x" * size
        yield b"%d %s" % (len(message), message)


def worker(home: Path, receiver: Rsyslog) -> subprocess.Popen[bytes]:
    """A process that delivers beside its jobs."""
    environment = os.environ | receiver.environment() | {"DICOMFAB_HOME": str(home)}
    command = [sys.executable, "-m", "dicomfab", "worker", "--json"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.full
def test_rsyslog_and_those_who_deliver_are_ended_again_and_again(
    receiver: Rsyslog, audit: AuditService, tmp_path: Path
):
    """Entries are recorded by several threads meanwhile. Only a killed sender makes repeats, each the same bytes."""
    home, over = tmp_path / "home", threading.Event()
    record(audit, 1)

    def write() -> None:
        while not over.wait(0.01):
            record(audit, 1)

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    workers = [worker(home, receiver) for _ in range(2)]
    try:
        for turn in range(6):
            before = len(receiver.numbers)
            until(lambda before=before: len(receiver.numbers) > before)
            if turn % 2:
                receiver.stop()
                time.sleep(1)
                receiver.start()
            else:
                victim = workers.pop(0)
                victim.kill()
                victim.wait()
                workers.append(worker(home, receiver))
    finally:
        over.set()
        for writer in writers:
            writer.join()
        for process in workers:
            process.terminate()
        for process in workers:
            process.wait()
    audit.deliver(ADMIN)
    receiver.stop()
    total = audit.page(ADMIN, AuditFilter()).total - 1
    firsts = list(dict.fromkeys(receiver.numbers))
    assert firsts == list(range(1, total + 1))
    assert total > 500
    written: dict[int, str] = {}
    for number, line in zip(receiver.numbers, receiver.lines, strict=True):
        assert written.setdefault(number, line) == line


@pytest.mark.full
def test_rsyslog_stopped_in_order_makes_no_repeats(receiver: Rsyslog, audit: AuditService):
    """It is stopped between batches, as an administrator would at any time when nothing is recorded."""
    with audit.running(ADMIN, "serve"):
        for _ in range(5):
            record(audit, 40)
            until(lambda: waiting(audit) == 0)
            receiver.stop()
            record(audit, 40)
            receiver.start()
    receiver.stop()
    audit_total = audit.page(ADMIN, AuditFilter()).total - 1
    receiver.start()
    audit.deliver(ADMIN)
    receiver.stop()
    assert receiver.numbers == list(range(1, audit_total + 2))
