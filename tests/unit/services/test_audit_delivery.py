"""Delivery of the audit log: in order, once, as long as it takes; and what is never taken out of the log meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest

from dicomfab.app.build import Application
from dicomfab.app.settings import Settings
from dicomfab.model.actor import Actor, Role, local_admin
from dicomfab.model.audit import AuditEvent, EventKind, Node
from dicomfab.model.errors import AccessDenied, Conflict, ConnectionFailed, InvalidInput, NotFound
from dicomfab.services.audit import AuditService
from dicomfab.storage.audit import AuditFilter
from dicomfab.storage.audit_delivery import AuditDeliveries, Standing
from dicomfab.syslog.message import MAX_BYTES
from tests.unit.services.audit_schema import problems
from tests.unit.syslog.syslog_peer import Peer, Site, listening

ADMIN = local_admin("root", "cli")
DEADLINE_S = 20.0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.made(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def peer(site: Site) -> Iterator[Peer]:
    with listening(site) as running:
        yield running


@pytest.fixture
def make(site: Site, tmp_path: Path) -> Iterator[Callable[..., Application]]:
    """Processes of one installation, each an application."""
    made: list[Application] = []

    def application(port: int | None, **values: float) -> Application:
        receiver = site.receiver(port) if port is not None else None
        made.append(Application(Settings(home=tmp_path / "home", audit_syslog=receiver, **values)))
        return made[-1]

    yield application
    for one in made:
        one.close()


def record(audit: AuditService, number: int) -> None:
    for one in range(number):
        audit.record(AuditEvent.by(ADMIN, EventKind.VIEW, study_uids=(f"1.2.{one}",)))


def standing(audit: AuditService) -> Standing:
    (found,) = audit.gauge().standings
    return found


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "nothing came of it"
        time.sleep(0.02)


def test_every_entry_is_delivered_with_its_number_mac_and_message(make, peer: Peer):
    audit = make(peer.port).audit
    record(audit, 3)
    assert audit.deliver(ADMIN) == 3
    assert audit.deliver(ADMIN) == 0
    for entry, sent in zip(audit.page(ADMIN, AuditFilter()).entries[:0:-1], peer.messages, strict=True):
        head, xml = sent.split(b"\xef\xbb\xbf", 1)
        assert f'entry="{entry.seq}" mac="{entry.mac}"'.encode() in head
        assert xml.decode() == '<?xml version="1.0" encoding="UTF-8"?>' + audit.message(entry)
        assert b"\n" not in sent
    found = standing(audit)
    assert (found.delivered, found.waiting) == (3, 1)  # that the log was read waits


def test_many_entries_go_in_batches(make, peer: Peer):
    audit = make(peer.port).audit
    audit.record(*(AuditEvent.by(ADMIN, EventKind.VIEW, study_uids=("1.2",)) for _ in range(450)))
    audit.record(*(AuditEvent.by(ADMIN, EventKind.REFUSAL, reason="x" * 4000) for _ in range(150)))
    assert audit.deliver(ADMIN) == 600
    assert peer.numbers == list(range(1, 601))
    assert 5 <= peer.connections <= 15


def test_a_receiver_that_is_away_loses_nothing(make, site: Site):
    with listening(site) as peer:
        audit = make(peer.port).audit
        record(audit, 2)
        audit.deliver(ADMIN)
    record(audit, 3)
    for attempt in range(1, 4):
        with pytest.raises(ConnectionFailed, match="cannot be reached"):
            audit.deliver(ADMIN)
        found = standing(audit)
        assert (found.delivered, found.waiting, found.attempts, found.is_held) == (2, 3, attempt, False)
        assert "cannot be reached" in found.problem["what"]
        assert found.next_at is not None
        assert timedelta(0) < found.next_at - audit.now() <= timedelta(seconds=2 ** (attempt - 1))
    with listening(site, Peer(port=peer.port, messages=peer.messages)):
        audit.deliver(ADMIN)
    assert peer.numbers == [1, 2, 3, 4, 5]
    assert standing(audit).problem == {}


def test_what_a_receiver_has_lost_is_delivered_again(make, peer: Peer):
    audit = make(peer.port).audit
    record(audit, 4)
    audit.deliver(ADMIN)
    assert audit.deliver(ADMIN, again_from=3) == 3
    assert peer.numbers == [1, 2, 3, 4, 3, 4, 5]
    assert peer.messages[2:4] == peer.messages[4:6]
    assert b"Software Configuration" in peer.messages[6]


def test_pauses_grow_to_five_minutes(make):
    application = make(1)
    audit, rows = application.audit, AuditDeliveries(application.database)
    record(audit, 1)
    for attempts, pause in ((7, 64), (8, 128), (9, 256), (10, 300), (5000, 300)):
        rows.hold("localhost:1", "x", timedelta(), at_once=True)
        rows.put_off("localhost:1", "x", audit.now(), attempts - 1, {"what": "it is away"})
        with pytest.raises(ConnectionFailed):
            audit.deliver(ADMIN)
        found = standing(audit)
        assert found.attempts == attempts
        assert found.next_at is not None
        assert timedelta(seconds=pause - 10) < found.next_at - audit.now() <= timedelta(seconds=pause)


def test_a_batch_that_was_not_read_to_its_end_is_sent_again(make, site: Site):
    with listening(site, Peer(hang_up_after=100)) as peer:
        audit = make(peer.port).audit
        record(audit, 5)
        with pytest.raises(Exception, match="hung up before it had read everything"):
            audit.deliver(ADMIN)
        assert standing(audit).delivered == 0
        peer.hang_up_after = None
        audit.deliver(ADMIN)
    assert peer.numbers == [1, 1, 2, 3, 4, 5]  # it had read the first one, and nobody could know
    assert peer.messages[0] == peer.messages[1]


def test_what_runs_for_long_delivers_within_seconds_and_once_more_at_its_end(make, peer: Peer):
    audit = make(peer.port).audit
    with audit.running(ADMIN, "serve"):
        until(lambda: peer.numbers == [1])
        for number in range(2, 5):
            record(audit, 1)
            began = time.monotonic()
            until(lambda number=number: peer.numbers[-1:] == [number])
            assert time.monotonic() - began < 5
    assert peer.numbers == [1, 2, 3, 4, 5]  # the last one says that it has ended
    until(lambda: not standing(audit).is_held)


def test_of_several_processes_one_delivers(make, peer: Peer):
    processes = [make(peer.port).audit for _ in range(4)]

    def work(audit: AuditService) -> None:
        with audit.running(ADMIN, "worker"):
            record(audit, 20)
            until(lambda: len(peer.messages) >= 40)

    threads = [threading.Thread(target=work, args=(audit,)) for audit in processes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    processes[0].deliver(ADMIN)
    assert peer.numbers == list(range(1, 89))


def test_who_asks_while_another_delivers_waits_for_it(make, peer: Peer):
    application = make(peer.port)
    audit, rows = application.audit, AuditDeliveries(application.database)
    record(audit, 2)
    rows.hold(f"localhost:{peer.port}", "another", timedelta(seconds=30))
    threading.Timer(0.5, rows.release, (f"localhost:{peer.port}", "another")).start()
    began = time.monotonic()
    audit.deliver(ADMIN)
    assert time.monotonic() - began > 0.4
    assert peer.numbers == [1, 2]


def test_while_nothing_is_set_nothing_is_done(make):
    audit = make(None).audit
    threads = threading.active_count()
    with audit.running(ADMIN, "serve"):
        assert threading.active_count() == threads
    assert (audit.gauge().destination, audit.gauge().standings) == ("", ())
    with pytest.raises(Conflict, match="no syslog receiver is set"):
        audit.deliver(ADMIN)
    assert audit.purge(ADMIN, audit.now() + timedelta(days=1)) > 0


def test_files_that_cannot_be_used_are_told_at_the_start(make, peer: Peer, site: Site, tmp_path: Path):
    receiver = site.receiver(peer.port, ca=str(tmp_path / "none.pem"))
    application = Application(Settings(home=tmp_path / "home", audit_syslog=receiver))
    with pytest.raises(InvalidInput, match="DICOMFAB_AUDIT_SYSLOG_CA"), application.audit.running(ADMIN, "serve"):
        pytest.fail("it began")
    application.close()


def test_what_is_not_delivered_is_not_taken_out(make, peer: Peer):
    audit = make(peer.port).audit
    record(audit, 5)
    later = audit.now() + timedelta(days=1)
    assert audit.purge(ADMIN, later) == 0
    assert audit.held_back(later) == 6
    audit.deliver(ADMIN)
    record(audit, 2)
    elsewhere = make(None).audit  # a process that knows nothing of delivery
    assert elsewhere.purge(ADMIN, later) == 6
    assert elsewhere.held_back(later) == 4  # the two, and both purges
    audit.deliver(ADMIN)
    assert peer.numbers == list(range(1, 11))
    assert audit.verify(ADMIN).broken is None


def test_retention_waits_for_delivery_and_says_so(make, peer: Peer, caplog: pytest.LogCaptureFixture):
    application = make(peer.port, audit_keep_days=30)
    audit = application.audit
    old = audit.now() - timedelta(days=40)
    audit.record(*(AuditEvent(kind=EventKind.VIEW, at=old) for _ in range(3)))
    audit.beat()
    assert "3 entries of the audit log are kept for longer" in caplog.text
    audit.deliver(ADMIN)
    assert audit.retain() == 3
    assert peer.numbers == [1, 2, 3]


def test_delivery_to_a_receiver_that_is_set_no_more_ends_when_somebody_says_so(make, peer: Peer):
    audit = make(peer.port).audit
    record(audit, 2)
    audit.deliver(ADMIN)
    here = f"localhost:{peer.port}"
    with pytest.raises(Conflict, match="is the receiver that is set"):
        audit.end_delivery(ADMIN, here)
    other = make(1).audit
    assert [one.destination for one in other.gauge().standings] == ["localhost:1", here]
    with pytest.raises(NotFound, match="localhost:2"):
        other.end_delivery(ADMIN, "localhost:2")
    other.end_delivery(ADMIN, here)
    assert [one.destination for one in other.gauge().standings] == ["localhost:1"]
    found = other.page(ADMIN, AuditFilter(kinds=frozenset({EventKind.SETTINGS_CHANGE}))).entries
    assert [entry.event.subject for entry in found] == [here]


def test_only_administrators_may_see_and_do_it(make, peer: Peer):
    audit = make(peer.port).audit
    ben = Actor("ben", frozenset({Role.TEST_WRITE}), "web")
    for attempt in (audit.delivery, audit.deliver, lambda actor: audit.end_delivery(actor, "localhost:1")):
        with pytest.raises(AccessDenied):
            attempt(ben)
    assert peer.messages == []
    refused = audit.page(ADMIN, AuditFilter(kinds=frozenset({EventKind.REFUSAL}))).entries
    assert [entry.event.subject for entry in reversed(refused)] == [
        "audit delivery",
        "audit deliver",
        "audit end delivery",
    ]


def test_looking_at_the_gauge_is_no_entry(make, peer: Peer):
    audit = make(peer.port).audit
    audit.delivery(ADMIN)
    audit.deliver(ADMIN)
    assert audit.page(ADMIN, AuditFilter()).total == 1  # this look at the log


WIDE = "\U0001f9b4"
LONG = {
    "a query": AuditEvent(kind=EventKind.QUERY, query=b"q" * 100_000, query_sop_class="1.2"),
    "studies": AuditEvent(kind=EventKind.EXPORT, study_uids=tuple(f"1.2.{n}" for n in range(5000))),
    "patients": AuditEvent(kind=EventKind.PATIENT_CHANGE, patient_ids=tuple(f"SYN{n}" for n in range(5000))),
    "details": AuditEvent(kind=EventKind.REFUSAL, detail={str(n): WIDE * 4000 for n in range(20)}),
    "a reason": AuditEvent(kind=EventKind.SIGN_IN, reason=WIDE * 4000, subject=WIDE * 4000),
    "all at once": AuditEvent(
        kind=EventKind.TRANSFER_ENDED,
        actor='"' * 200,
        source='"' * 200,
        door='"' * 200,
        address='"' * 200,
        roles=('"' * 200,) * 50,
        reason='"' * 4000,
        sender=Node(name='"' * 200, ae_title='"' * 200, host='"' * 200),
        receiver=Node(name='"' * 200, ae_title='"' * 200, host='"' * 200),
        subject='"' * 4000,
        study_uids=('"' * 200,) * 40,
        patient_ids=('"' * 200,) * 500,
        sop_classes={f"{n:03}" + '"' * 197: n for n in range(40)},
        detail={f"{n:03}" + '"' * 197: WIDE * 4000 for n in range(10)},
    ),
}


@pytest.mark.parametrize("event", LONG.values(), ids=LONG)
def test_an_entry_that_is_too_long_goes_out_shortened(make, peer: Peer, event: AuditEvent):
    audit = make(peer.port).audit
    audit.record(event)
    audit.deliver(ADMIN)
    (sent,) = peer.messages
    head, xml = sent.split(b"\xef\xbb\xbf", 1)
    whole = len(audit.message(audit.show(ADMIN, 1)).encode())
    if whole > MAX_BYTES:
        assert len(sent) <= MAX_BYTES
        assert int(head.split(b'fullBytes="')[1].split(b'"')[0]) == pytest.approx(whole, abs=100)
    else:
        assert b"fullBytes" not in head
    document = fromstring(xml)
    assert problems(document) == []
