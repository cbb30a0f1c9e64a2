"""Storage commitment with pynetdicom on either side, and with a test PACS that is killed (PS3.4 annex J)."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from pydicom import Dataset
from pynetdicom import build_role, evt
from pynetdicom.association import Association as TheirAssociation

from dicomfab.archive.archive import Archive
from dicomfab.archive.commitment import CommitmentLimits, Commitments
from dicomfab.dimse.association import associate
from dicomfab.dimse.commitment import Failed, FailureReason, Reference, Transaction, Verdict
from dicomfab.dimse.handlers import Requestor, ServerConfig
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.commitment import CONTEXT, CommitmentReports, request_commitment
from dicomfab.dimse.scu.store import store as send
from dicomfab.dimse.sop_classes import (
    COMMITMENT,
    COMMITMENT_INSTANCE,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from dicomfab.model.errors import AssociationAborted, StatusFailure
from dicomfab.testpacs import ports, process, spec
from dicomfab.testpacs.folders import LabFolders
from tests.peers import pynetdicom_peers as pynetdicom
from tests.unit.archive.builders import CT, dataset, store
from tests.unit.dimse.memory_pacs import MemoryPacs
from tests.unit.testpacs.labs import write_instance

pytestmark = [
    pytest.mark.peers,
    # pynetdicom leaves the sockets of failed connections to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]

PLAIN = [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN]
MR = "1.2.840.10008.5.1.4.1.1.4"
UID = "1.2.826.0.1.3680043.8.498.1"
DEADLINE_S = pynetdicom.DEADLINE_S
Report = tuple[str, int, Dataset]


class Reported:
    """A pynetdicom requestor's server, which is reported to."""

    def __init__(self, status: int = 0x0000) -> None:
        self.reports: queue.Queue[Report] = queue.Queue()
        self.status = status

    def _told(self, event: evt.Event) -> tuple[int, None]:
        role = event.assoc.requestor.role_selection[COMMITMENT]
        assert (bool(role.scu_role), bool(role.scp_role)) == (False, True)
        assert event.request.AffectedSOPInstanceUID == COMMITMENT_INSTANCE
        self.reports.put((event.assoc.requestor.ae_title, event.event_type, event.event_information))
        return self.status, None

    @contextmanager
    def listening(self, port: int = 0) -> Iterator[int]:
        entity = pynetdicom.ae("PYNETDICOM")
        entity.add_supported_context(COMMITMENT, PLAIN, scu_role=True, scp_role=True)
        server = entity.start_server(
            ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._told)]
        )
        try:
            yield server.server_address[1]
        finally:
            for served in server.active_associations:
                served.join(DEADLINE_S)
            entity.shutdown()

    def report(self) -> Report:
        return self.reports.get(timeout=DEADLINE_S)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    made = Archive(tmp_path / "archive")
    yield made
    made.close()


@contextmanager
def serving(archive: Archive, folder: Path, port: int) -> Iterator[int]:
    limits = CommitmentLimits(pause_s=0.2, retry_first_s=0.05, retry_longest_s=0.1, timeouts=Timeouts(2, 5, 5))
    known = {"PYNETDICOM": ("127.0.0.1", port)}
    with (
        Commitments(archive, folder, known.get, "OURS", limits=limits) as commitments,
        Server(ServerConfig("OURS"), MemoryPacs(), {COMMITMENT: commitments}) as server,
    ):
        yield server.port


def asked(port: int, transaction: Transaction, *, action: int = 1, calling: str = "PYNETDICOM") -> Dataset:
    """What we answer when pynetdicom asks for a commitment."""
    with pynetdicom.association(port, [(COMMITMENT, PLAIN)], called="OURS", calling=calling) as opened:
        status, _ = opened.send_n_action(transaction.to_dataset(), action, COMMITMENT, COMMITMENT_INSTANCE)
    return status


def bare() -> Dataset:
    """A data set that lacks what it should be about."""
    made = Dataset()
    made.TransactionUID = UID
    return made


# ------------------------------------------------------------------ pynetdicom asks us


def test_pynetdicom_is_told_of_all_that_is_there(archive, tmp_path):
    references = []
    for number in (1, 2):
        stored = store(archive, dataset(instance=f"1.2.1.1.{number}")).instance
        references.append(Reference(CT, stored.identity.sop_instance_uid))
    theirs = Reported()
    with theirs.listening() as back, serving(archive, tmp_path / "kept", back) as port:
        assert asked(port, Transaction(UID, tuple(references))).Status == 0x0000
        caller, number, information = theirs.report()
    assert (caller, number) == ("OURS", 1)
    assert Verdict.from_dataset(information, 1) == Verdict(UID, tuple(references))
    assert "FailedSOPSequence" not in information


def removed(path: Path) -> None:
    path.unlink()


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def changed(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"1.2.1.1.1", b"1.2.1.1.7"))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(None, None), (removed, 0x0112), (truncated, 0x0110), (changed, 0x0110)],
    ids=["whole", "removed", "truncated", "changed"],
)
def test_pynetdicom_is_told_of_what_is_not_there(archive, tmp_path, spoil, reason):
    stored = store(archive, dataset()).instance
    if spoil is not None:
        spoil(stored.path)
    uid = stored.identity.sop_instance_uid
    missing, wrong, ours = Reference(CT, "1.2.99"), Reference(MR, uid), Reference(CT, uid)
    theirs = Reported()
    with theirs.listening() as back, serving(archive, tmp_path / "kept", back) as port:
        assert asked(port, Transaction(UID, (missing, wrong, ours))).Status == 0x0000
        _, number, information = theirs.report()
    verdict = Verdict.from_dataset(information, number)
    expected = [Failed(missing, 0x0112), Failed(wrong, 0x0119)]
    assert number == 2
    assert verdict.committed == ((ours,) if reason is None else ())
    assert list(verdict.failed) == expected + ([] if reason is None else [Failed(ours, reason)])


def test_pynetdicom_is_refused_with_a_reason(archive, tmp_path):
    transaction = Transaction(UID, (Reference(CT, "1.2.3"),))
    with serving(archive, tmp_path / "kept", 1) as port:
        status = asked(port, transaction, calling="STRANGER")
        assert (status.Status, status.ErrorComment) == (0x0110, "no address is registered for the AE title STRANGER")
        assert asked(port, transaction, action=7).Status == 0x0123
        with pynetdicom.association(port, [(COMMITMENT, PLAIN)], called="OURS") as opened:
            status, _ = opened.send_n_action(bare(), 1, COMMITMENT, COMMITMENT_INSTANCE)
            assert status.Status == 0x0120
            status, _ = opened.send_n_action(transaction.to_dataset(), 1, COMMITMENT, "1.2.3")
            assert status.Status == 0x0112


def test_pynetdicom_that_is_down_at_first_is_told_later(archive, tmp_path, caplog):
    stored = store(archive, dataset()).instance
    [back] = ports.free_ports(1, "127.0.0.1")
    theirs = Reported()
    with serving(archive, tmp_path / "kept", back) as port:
        assert asked(port, Transaction(UID, (Reference(CT, stored.identity.sop_instance_uid),))).Status == 0x0000
        eventually(lambda: caplog.text.count("not reported to PYNETDICOM") >= 2)
        with theirs.listening(back):
            assert theirs.report()[1] == 1


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


# ------------------------------------------------------------------ a test PACS that is killed


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[LabFolders]:
    """Of a lab whose first server runs, and whose second one is pynetdicom."""
    made = LabFolders(tmp_path / "lab")
    made.make()
    found = ports.free_ports(8, "127.0.0.1")
    spec.save(made.root, spec.LabConfig().with_ports(dicom_ports=found[:4], web_ports=found[4:]))
    yield made
    process.stop(made, spec.IDS, grace_s=5)


def started(folders: LabFolders, server: str, port: int) -> Peer:
    assert process.start(folders, server) is not None
    peer = Peer("127.0.0.1", port, "TESTPACS", "TESTPACS2", Timeouts(5, 20, 20))

    def answers() -> bool:
        return any(
            connection.laddr.port == port and connection.status == psutil.CONN_LISTEN
            for connection in psutil.net_connections("tcp4")
        )

    eventually(answers)
    return peer


def test_a_server_that_is_killed_after_its_answer_reports_when_it_runs_again(folders, tmp_path):
    here, back = spec.load(folders.root).servers[:2]
    peer = started(folders, here.id, here.dicom_port)
    instance = write_instance(tmp_path)
    assert [outcome.error for outcome in send(peer, [instance])] == [None]
    reference = Reference(instance.identity.sop_class_uid, instance.identity.sop_instance_uid)
    request_commitment(peer, Transaction(UID, (reference, Reference(CT, "1.2.99"))))

    running = process.running(folders, here.id)
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)
    eventually(lambda: process.running(folders, here.id) is None)
    assert [path.name for path in folders.commitments(here.id).iterdir()] == [f"{UID}.json"]

    theirs = Reported()
    with theirs.listening(back.dicom_port):
        # pynetdicom takes any called AE title: it stands for the second server here.
        started(folders, here.id, here.dicom_port)
        caller, number, information = theirs.report()
        eventually(lambda: not list(folders.commitments(here.id).iterdir()))
    assert caller == "TESTPACS"
    verdict = Verdict.from_dataset(information, number)
    assert verdict == Verdict(UID, (reference,), (Failed(Reference(CT, "1.2.99"), 0x0112),))


# ------------------------------------------------------------------ we ask pynetdicom


class Committing:
    """A pynetdicom SCP that takes requests, and reports when it is told to."""

    def __init__(self, status: int = 0x0000) -> None:
        self.status = status
        self.requests: queue.Queue[tuple[TheirAssociation, Dataset]] = queue.Queue()
        self.answers: queue.Queue[Dataset] = queue.Queue()

    def handlers(self) -> list[tuple[object, object]]:
        return [(evt.EVT_N_ACTION, self._action)]

    def _action(self, event: evt.Event) -> tuple[int, None]:
        assert event.action_type == 1
        assert event.request.RequestedSOPInstanceUID == COMMITMENT_INSTANCE
        self.requests.put((event.assoc, event.action_information))
        return self.status, None

    def report(self, reports: list[tuple[int, Dataset, str]]) -> None:
        """Report on the association that asked: event types, what they are about, and of which instance."""
        association, _ = self.requests.get(timeout=DEADLINE_S)
        for number, information, instance in reports:
            status, _ = association.send_n_event_report(information, number, COMMITMENT, instance)
            self.answers.put(status)


TRANSACTION = Transaction(UID, (Reference(CT, "1.2.3"), Reference(MR, "1.2.4")))
VERDICT = Verdict(UID, (Reference(CT, "1.2.3"),), (Failed(Reference(MR, "1.2.4"), FailureReason.RESOURCE_LIMITATION),))


@contextmanager
def committing(scp: Committing) -> Iterator[Peer]:
    with pynetdicom.acceptor(scp.handlers(), sop_classes=[COMMITMENT]) as peer:
        yield peer


def test_we_ask_pynetdicom():
    scp = Committing()
    with committing(scp) as peer:
        request_commitment(peer, TRANSACTION)
    assert Transaction.from_dataset(scp.requests.get_nowait()[1]) == TRANSACTION


def test_we_are_refused_in_words():
    with committing(Committing(0x0110)) as peer, pytest.raises(StatusFailure, match="processing failure") as caught:
        request_commitment(peer, TRANSACTION)
    assert (caught.value.operation, caught.value.status) == ("N-ACTION", 0x0110)
    assert caught.value.cause
    assert caught.value.remedy


def test_pynetdicom_reports_on_an_association_of_its_own():
    told: queue.Queue[tuple[Requestor, Verdict]] = queue.Queue()
    reports = CommitmentReports(lambda *what: told.put(what))
    with Server(ServerConfig("OURS"), MemoryPacs(), {COMMITMENT: reports}) as server:
        role = build_role(COMMITMENT, scp_role=True)
        contexts = [(COMMITMENT, PLAIN)]
        with pynetdicom.association(server.port, contexts, called="OURS", negotiation=[role]) as opened:
            answers = [
                opened.send_n_event_report(information, number, COMMITMENT, COMMITMENT_INSTANCE)[0].Status
                for number, information in ((2, VERDICT.to_dataset()), (5, VERDICT.to_dataset()), (1, bare()))
            ]
    assert answers == [0x0000, 0x0113, 0x0120]
    requestor, verdict = told.get_nowait()
    assert (requestor.ae_title, verdict) == ("PYNETDICOM", VERDICT)
    assert told.empty()


def test_pynetdicom_reports_on_the_association_that_asked():
    scp = Committing()
    other = Verdict("1.2.5", (Reference(CT, "1.2.6"),))
    reports = [
        (1, other.to_dataset(), COMMITMENT_INSTANCE),
        (2, bare(), COMMITMENT_INSTANCE),
        (2, VERDICT.to_dataset(), "1.2.3"),
        (2, VERDICT.to_dataset(), COMMITMENT_INSTANCE),
    ]
    told: list[Verdict] = []
    with committing(scp) as peer:
        with associate(peer, [CONTEXT]) as association:
            reporting = threading.Thread(target=scp.report, args=(reports,))
            reporting.start()
            said = request_commitment(association, TRANSACTION, wait_s=DEADLINE_S, on_report=told.append)
            reporting.join(DEADLINE_S)
        assert said == VERDICT
        answers = [scp.answers.get(timeout=DEADLINE_S).Status for _ in reports]
    assert answers == [0x0000, 0x0120, 0x0112, 0x0000]
    assert told == [other, VERDICT]


def test_no_report_comes():
    with committing(Committing()) as peer, associate(peer, [CONTEXT]) as association:
        assert request_commitment(association, TRANSACTION, wait_s=0.1) is None
        assert request_commitment(association, TRANSACTION) is None


def test_the_peer_hangs_up_instead_of_reporting():
    scp = Committing()
    with committing(scp) as peer, associate(peer, [CONTEXT]) as association:
        request_commitment(association, TRANSACTION)
        scp.requests.get_nowait()[0].abort()
        with pytest.raises(AssociationAborted):
            request_commitment(association, TRANSACTION, wait_s=DEADLINE_S)
