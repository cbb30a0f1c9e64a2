"""Storage commitment for the local store: who is answered, for what, and what the audit log says of it."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dicomfab.dimse.commitment import FailureReason, Reference, Transaction, Verdict
from dicomfab.dimse.handlers import Requestor, ServerConfig
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.scp.gate import StoreOnly
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.commitment import CommitmentReports, request_commitment
from dicomfab.dimse.scu.store import store
from dicomfab.dimse.sop_classes import COMMITMENT
from dicomfab.model.audit import AuditEvent, EventKind, Outcome
from dicomfab.model.errors import ContextRejected, LocalFailure, StatusFailure
from dicomfab.registry.registry import Registry
from dicomfab.services.progress import never
from dicomfab.services.receiving import AE_TITLE, ReceivingService
from dicomfab.storage.audit import Transaction as WithinTransaction
from tests.unit.services.hospital import ADMIN, Hospital
from tests.unit.services.job_office import until

UID = "1.2.826.0.1.3680043.8.498.3"
WAIT_S = 20.0


class Log:
    """The audit log, which may be out of order."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.is_broken = False

    def __call__(self, *events: AuditEvent, within: WithinTransaction | None = None) -> None:
        if self.is_broken and any(event.query_sop_class == COMMITMENT for event in events):
            raise LocalFailure("the audit log takes no entries")
        self.events += events

    @property
    def commitments(self) -> list[AuditEvent]:
        return [event for event in self.events if event.query_sop_class == COMMITMENT]


class Sender:
    """A server that sends to us, asks for commitments, and hears what we report."""

    def __init__(self, site: Hospital, folder: Path) -> None:
        self.site = site
        self.heard: queue.Queue[tuple[Requestor, Verdict]] = queue.Queue()
        self.log = Log()
        self.servers: list[Any] = []
        self.port = 0
        self.archive = site.archive("received")
        self.kept = folder / "commitments"
        self.service = ReceivingService(
            self.archive, lambda: Registry(tuple(self.servers)), folder / "receiver.lock", host="127.0.0.1", port=0,
            commitments=self.kept, record=self.log,
        )  # fmt: skip

    @contextmanager
    def hearing(self, ae_title: str = "SENDER", environment: str = "test") -> Iterator[None]:
        reports = CommitmentReports(lambda *what: self.heard.put(what))
        with Server(ServerConfig(ae_title), StoreOnly(), {COMMITMENT: reports}) as server:
            self.servers.append(self.site.entry(ae_title, server.port, environment))
            yield

    def peer(self, port: int, ae_title: str = "SENDER") -> Peer:
        return Peer("127.0.0.1", port, AE_TITLE, ae_title, Timeouts(5, 10, 10))

    def sent(self, port: int) -> tuple[Reference, ...]:
        """What it has sent to us."""
        instances = self.site.local.instances(self.site.make())
        assert all(outcome.accepted for outcome in store(self.peer(port), [one.file for one in instances]))
        return tuple(Reference(one.identity.sop_class_uid, one.identity.sop_instance_uid) for one in instances)

    def verdict(self) -> Verdict:
        requestor, verdict = self.heard.get(timeout=WAIT_S)
        assert requestor.ae_title == AE_TITLE
        return verdict


@pytest.fixture
def sender(site: Hospital, tmp_path: Path) -> Sender:
    return Sender(site, tmp_path)


def test_a_registered_server_is_answered_at_the_address_of_its_entry(sender: Sender) -> None:
    with sender.hearing(), sender.service.listening(ADMIN) as port:
        references = sender.sent(port)
        missing = Reference(references[0].sop_class_uid, "1.2.99")
        request_commitment(sender.peer(port), Transaction(UID, (*references, missing)))
        verdict = sender.verdict()
    assert verdict.committed == references
    assert [(one.reference, one.reason) for one in verdict.failed] == [(missing, 0x0112)]


def test_a_file_that_is_damaged_is_not_answered_for(sender: Sender) -> None:
    with sender.hearing(), sender.service.listening(ADMIN) as port:
        references = sender.sent(port)
        stored = sender.archive.find_instance(references[0].sop_instance_uid)
        assert stored is not None
        stored.path.write_bytes(stored.path.read_bytes()[:-1])
        request_commitment(sender.peer(port), Transaction(UID, references))
        verdict = sender.verdict()
    assert verdict.committed == references[1:]
    assert [one.reason for one in verdict.failed] == [FailureReason.PROCESSING_FAILURE]


def test_what_was_not_reported_is_reported_when_we_receive_again(sender: Sender) -> None:
    sender.servers = [sender.site.entry("SENDER", 9)]  # nobody listens there
    with sender.service.listening(ADMIN) as port:
        references = sender.sent(port)
        request_commitment(sender.peer(port), Transaction(UID, references))
    assert [path.name for path in sender.kept.iterdir()] == [f"{UID}.json"]
    sender.servers = []
    with sender.hearing(), sender.service.listening(ADMIN):
        assert sender.verdict() == Verdict(UID, references)


def test_of_two_servers_with_one_ae_title_the_one_that_asked_is_answered(sender: Sender) -> None:
    sender.servers = [replace(sender.site.entry("SENDER", 9), id="elsewhere", name="Elsewhere", host="192.0.2.7")]
    with sender.hearing(), sender.service.listening(ADMIN) as port:
        references = sender.sent(port)
        request_commitment(sender.peer(port), Transaction(UID, references))
        assert sender.verdict().committed == references


def test_a_server_whose_operations_are_switched_off_is_answered_all_the_same(sender: Sender) -> None:
    with sender.hearing(), sender.service.listening(ADMIN) as port:
        sender.servers = [replace(sender.servers[0], capabilities=frozenset())]
        references = sender.sent(port)
        request_commitment(sender.peer(port), Transaction(UID, references))
        assert sender.verdict().committed == references


def test_copies_from_production_expire_and_are_not_committed(sender: Sender) -> None:
    with sender.hearing(environment="prod"), sender.service.listening(ADMIN) as port:
        references = sender.sent(port)
        request_commitment(sender.peer(port), Transaction(UID, references))
        verdict = sender.verdict()
    assert verdict.committed == ()
    assert {one.reason for one in verdict.failed} == {FailureReason.PROCESSING_FAILURE}


def test_a_server_learns_nothing_of_the_other_environment(sender: Sender) -> None:
    with (
        sender.hearing(),
        sender.hearing("LIVE", environment="prod"),
        sender.service.listening(ADMIN) as port,
    ):
        references = sender.sent(port)
        request_commitment(sender.peer(port, "LIVE"), Transaction(UID, references))
        verdict = sender.verdict()
    assert verdict.committed == ()
    assert {one.reason for one in verdict.failed} == {FailureReason.NO_SUCH_OBJECT_INSTANCE}


def test_a_request_and_what_was_told_are_recorded(sender: Sender) -> None:
    with sender.hearing(), sender.service.listening(ADMIN) as port:
        references = sender.sent(port)
        request_commitment(sender.peer(port), Transaction(UID, references))
        request_commitment(sender.peer(port), Transaction(f"{UID}.1", (Reference(references[0].sop_class_uid, "1.2"),)))
        sender.verdict()
        sender.verdict()
        until(lambda: not list(sender.kept.iterdir()))
    asked = [event.detail for event in sender.log.commitments if "instances" in event.detail]
    told = [event for event in sender.log.commitments if "committed" in event.detail]
    assert [one["instances"] for one in asked] == ["3", "1"]
    assert sorted((one.detail["committed"], one.detail["failed"], one.outcome) for one in told) == [
        ("0", "1", Outcome.MINOR),
        ("3", "0", Outcome.SUCCESS),
    ]
    for event in sender.log.commitments:
        assert (event.kind, event.door, event.environment) == (EventKind.QUERY, "dicom", "test")
        assert event.sender is not None
        assert (event.sender.name, event.sender.ae_title) == ("SENDER", "SENDER")
        assert UID.encode() in event.query


def test_a_request_that_cannot_be_recorded_is_refused_and_not_kept(sender: Sender) -> None:
    sender.log.is_broken = True
    with sender.hearing(), sender.service.listening(ADMIN) as port:
        references = sender.sent(port)
        with pytest.raises(StatusFailure) as caught:
            request_commitment(sender.peer(port), Transaction(UID, references))
    assert (caught.value.status, caught.value.comment) == (0x0110, "it cannot be recorded")
    assert not sender.kept.exists()


def test_receiving_for_one_transfer_commits_to_nothing(sender: Sender) -> None:
    source = sender.site.entry("SENDER", 9)
    with sender.service.arrival(ADMIN, source, never):
        holder = sender.service._lock.holder()
        assert holder is not None
        with pytest.raises(ContextRejected):
            request_commitment(sender.peer(holder.port), Transaction(UID, (Reference("1.2", "1.3"),)))
