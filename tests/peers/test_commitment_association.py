"""Reports of storage commitment on the association of their request, pynetdicom on either side (PS3.4 J.3.3)."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import evt

from dicomfab.archive.archive import Archive
from dicomfab.archive.commitment import CommitmentLimits, Commitments
from dicomfab.dimse.commitment import Failed, FailureReason, Reference, Transaction, Verdict
from dicomfab.dimse.handlers import Requestor, ServerConfig
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.commitment import CommitmentReports, request_commitment
from dicomfab.dimse.scu.store import store as send
from dicomfab.dimse.sop_classes import (
    COMMITMENT,
    COMMITMENT_INSTANCE,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    VERIFICATION,
)
from dicomfab.model.errors import AssociationAborted, StatusFailure
from dicomfab.testpacs import ports, process, spec
from dicomfab.testpacs.folders import LabFolders
from tests.peers import pynetdicom_peers as pynetdicom
from tests.peers.test_commitment import Reported, eventually, started
from tests.unit.archive.builders import CT, dataset, store
from tests.unit.dimse.memory_pacs import MemoryPacs
from tests.unit.dimse.raw import result_of
from tests.unit.testpacs.labs import write_instance

pytestmark = [
    pytest.mark.peers,
    # pynetdicom leaves the sockets of failed connections to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]

PLAIN = [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN]
MR = "1.2.840.10008.5.1.4.1.1.4"
UID = "1.2.826.0.1.3680043.8.498.2"
DEADLINE_S = pynetdicom.DEADLINE_S


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    made = Archive(tmp_path / "archive")
    yield made
    made.close()


# ------------------------------------------------------------------ pynetdicom asks us


class Waiting(Commitments):
    """Judges nothing before it is let."""

    go = threading.Event()

    def withheld(self, _requestor: Requestor, _study_instance_uid: str) -> FailureReason | None:
        assert self.go.wait(DEADLINE_S)
        return None


@pytest.fixture
def go() -> Iterator[threading.Event]:
    """Lets transactions be judged; until it is set, none is."""
    Waiting.go.clear()
    yield Waiting.go
    Waiting.go.set()


@pytest.fixture(autouse=True)
def judged_at_once() -> None:
    Waiting.go.set()


@contextmanager
def serving(archive: Archive, folder: Path, back: int, within_s: float = DEADLINE_S) -> Iterator[int]:
    """Our SCP, which reports on the association of the request, or calls back at a port."""
    limits = CommitmentLimits(
        pause_s=0.05, same_association_s=within_s, retry_first_s=0.05, retry_longest_s=0.1, timeouts=Timeouts(2, 5, 5)
    )
    known = {"PYNETDICOM": ("127.0.0.1", back)}
    with (
        Waiting(archive, folder, known.get, "OURS", limits=limits) as commitments,
        Server(ServerConfig("OURS"), MemoryPacs(), {COMMITMENT: commitments}) as server,
    ):
        yield server.port


class Asking:
    """A pynetdicom requestor that keeps its association open for the report."""

    def __init__(self, status: int = 0x0000) -> None:
        self.status = status
        self.reports: queue.Queue[tuple[int, Dataset]] = queue.Queue()
        self.told_by: list[threading.Thread] = []

    @contextmanager
    def association(self, port: int) -> Iterator[Any]:
        contexts = [(COMMITMENT, PLAIN), (VERIFICATION, PLAIN)]
        handlers = [(evt.EVT_N_EVENT_REPORT, self._told)]
        with pynetdicom.association(port, contexts, called="OURS", handlers=handlers) as opened:
            yield opened
            for telling in self.told_by:  # pynetdicom fails if it answers a report when it has asked for the release
                telling.join(DEADLINE_S)

    def _told(self, event: evt.Event) -> tuple[int, None]:
        self.told_by.append(threading.current_thread())
        assert event.request.AffectedSOPInstanceUID == COMMITMENT_INSTANCE
        self.reports.put((event.event_type, event.event_information))
        return self.status, None

    def verdict(self) -> Verdict:
        number, information = self.reports.get(timeout=DEADLINE_S)
        return Verdict.from_dataset(information, number)


def ask(opened: Any, transaction: Transaction) -> int:
    status, _ = opened.send_n_action(transaction.to_dataset(), 1, COMMITMENT, COMMITMENT_INSTANCE)
    return int(status.Status)


def stored_reference(archive: Archive, number: int = 1) -> Reference:
    identity = store(archive, dataset(instance=f"1.2.1.1.{number}")).instance.identity
    return Reference(identity.sop_class_uid, identity.sop_instance_uid)


def closed_port() -> int:
    return ports.free_ports(1, "127.0.0.1")[0]


def test_pynetdicom_is_told_on_its_own_association_where_nothing_listens_for_it(archive, tmp_path):
    one, two, missing = stored_reference(archive, 1), stored_reference(archive, 2), Reference(CT, "1.2.99")
    asking = Asking()
    with serving(archive, tmp_path / "kept", closed_port()) as port, asking.association(port) as opened:
        assert ask(opened, Transaction(UID, (one, missing))) == 0x0000
        assert asking.verdict() == Verdict(UID, (one,), (Failed(missing, 0x0112),))
        assert opened.send_c_echo().Status == 0x0000  # and goes on to use it
        assert ask(opened, Transaction(f"{UID}.2", (two,))) == 0x0000
        assert asking.verdict() == Verdict(f"{UID}.2", (two,))
        eventually(lambda: not list((tmp_path / "kept").iterdir()))
        assert opened.is_established


def test_several_transactions_on_one_association_are_all_reported_there(archive, tmp_path):
    references = [stored_reference(archive, number) for number in range(1, 6)]
    asking = Asking()
    with serving(archive, tmp_path / "kept", closed_port()) as port, asking.association(port) as opened:
        for number, reference in enumerate(references):
            assert ask(opened, Transaction(f"{UID}.{number}", (reference,))) == 0x0000
            assert opened.send_c_echo().Status == 0x0000
        verdicts = [asking.verdict() for _ in references]
    assert {one.transaction_uid: one.committed for one in verdicts} == {
        f"{UID}.{number}": (reference,) for number, reference in enumerate(references)
    }


def test_who_hangs_up_before_the_report_is_called(archive, tmp_path, go):
    reference = stored_reference(archive)
    theirs, asking = Reported(), Asking()
    with theirs.listening() as back, serving(archive, tmp_path / "kept", back) as port:
        with asking.association(port) as opened:
            assert ask(opened, Transaction(UID, (reference,))) == 0x0000
            assert opened.send_c_echo().Status == 0x0000  # the judging keeps nobody from asking more
        go.set()
        caller, number, information = theirs.report()
    assert (caller, number) == ("OURS", 1)
    assert Verdict.from_dataset(information, 1) == Verdict(UID, (reference,))
    assert asking.reports.empty()


def test_what_takes_too_long_is_reported_on_a_new_association(archive, tmp_path, go, caplog):
    caplog.set_level("INFO")
    reference = stored_reference(archive)
    theirs, asking = Reported(), Asking()
    with (
        theirs.listening() as back,
        serving(archive, tmp_path / "kept", back, within_s=0.05) as port,
        asking.association(port) as opened,
    ):
        assert ask(opened, Transaction(UID, (reference,))) == 0x0000
        eventually(lambda: "was not reported on the association of its request" in caplog.text)
        go.set()
        assert theirs.report()[:2] == ("OURS", 1)
        assert opened.send_c_echo().Status == 0x0000
    assert asking.reports.empty()


def test_a_report_that_is_refused_there_is_made_again_on_a_new_association(archive, tmp_path):
    reference = stored_reference(archive)
    theirs, asking = Reported(), Asking(status=0x0110)
    with theirs.listening() as back, serving(archive, tmp_path / "kept", back) as port:
        with asking.association(port) as opened:
            assert ask(opened, Transaction(UID, (reference,))) == 0x0000
            assert asking.verdict().committed == (reference,)
        assert theirs.report()[1] == 1
        eventually(lambda: not list((tmp_path / "kept").iterdir()))


class Slow(Asking):
    """Holds a report until it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go = threading.Event(), threading.Event()

    def _told(self, event: evt.Event) -> tuple[int, None]:
        self.begun.set()
        assert self.go.wait(DEADLINE_S)
        return super()._told(event)


def test_a_report_that_ends_while_its_reader_is_paused_keeps_nobody_waiting(archive, tmp_path):
    """Of pynetdicom as it is mended for these tests: it would wait here for ever."""
    asking = Slow()
    with serving(archive, tmp_path / "kept", closed_port()) as port, asking.association(port) as opened:
        assert ask(opened, Transaction(UID, (stored_reference(archive),))) == 0x0000
        assert asking.begun.wait(DEADLINE_S)
        opened._reactor_checkpoint.clear()
        eventually(lambda: opened._is_paused)
        asking.go.set()
        eventually(lambda: len(asking.told_by) == 1)
        asking.told_by[0].join(DEADLINE_S)
        assert result_of(opened.send_c_echo, DEADLINE_S).Status == 0x0000
        assert asking.verdict().transaction_uid == UID


# ------------------------------------------------------------------ we ask pynetdicom

TRANSACTION = Transaction(UID, (Reference(CT, "1.2.3"), Reference(MR, "1.2.4")))
VERDICT = Verdict(UID, (Reference(CT, "1.2.3"),), (Failed(Reference(MR, "1.2.4"), FailureReason.RESOURCE_LIMITATION),))
OTHER = Verdict("1.2.5", (Reference(CT, "1.2.6"),))


class Hasty:
    """A pynetdicom SCP that reports before it answers the request."""

    def __init__(self, *verdicts: Verdict, status: int = 0x0000) -> None:
        self.verdicts = verdicts
        self.status = status
        self.answers: list[int] = []

    def action(self, event: evt.Event) -> tuple[int, None]:
        for verdict in self.verdicts:
            status, _ = event.assoc.send_n_event_report(
                verdict.to_dataset(), verdict.event_type, COMMITMENT, COMMITMENT_INSTANCE
            )
            self.answers.append(int(status.Status))
        return self.status, None

    @contextmanager
    def serving(self) -> Iterator[Peer]:
        with pynetdicom.acceptor([(evt.EVT_N_ACTION, self.action)], sop_classes=[COMMITMENT]) as peer:
            yield peer


class Calm(Hasty):
    """A pynetdicom SCP that does something some time after it has answered the request."""

    def __init__(self, do: str, after_s: float) -> None:
        super().__init__()
        self._do, self._after_s = do, after_s
        self.threads: list[threading.Timer] = []

    def action(self, event: evt.Event) -> tuple[int, None]:
        association = event.assoc
        self.threads.append(threading.Timer(self._after_s, lambda: self.act(association)))
        self.threads[-1].start()
        return 0x0000, None

    def act(self, association: Any) -> None:
        if self._do == "report":
            self.verdicts = (VERDICT,)
            status, _ = association.send_n_event_report(
                VERDICT.to_dataset(), VERDICT.event_type, COMMITMENT, COMMITMENT_INSTANCE
            )
            self.answers.append(int(status.Status))
        elif self._do == "abort":
            association.abort()
        elif self._do == "release":
            association.release()


def test_a_report_before_the_answer_is_understood():
    scp = Hasty(OTHER, VERDICT)
    heard: list[Verdict] = []
    with scp.serving() as peer:
        assert request_commitment(peer, TRANSACTION, on_report=heard.append) == VERDICT
    assert scp.answers == [0x0000, 0x0000]
    assert heard == [OTHER, VERDICT]


def test_a_refusal_counts_whatever_was_reported_before():
    with Hasty(VERDICT, status=0x0110).serving() as peer, pytest.raises(StatusFailure) as caught:
        request_commitment(peer, TRANSACTION)
    assert caught.value.status == 0x0110


def test_a_report_after_the_answer_is_waited_for():
    scp = Calm("report", 0.2)
    heard: list[Verdict] = []
    with scp.serving() as peer:
        assert request_commitment(peer, TRANSACTION, wait_s=DEADLINE_S, on_report=heard.append) == VERDICT
        scp.threads[0].join(DEADLINE_S)
    assert scp.answers == [0x0000]
    assert heard == [VERDICT]


def test_without_a_report_the_association_is_released_in_order_after_the_wait():
    how: queue.Queue[str] = queue.Queue()
    handlers = [
        (evt.EVT_N_ACTION, lambda _event: (0x0000, None)),
        (evt.EVT_RELEASED, lambda _event: how.put("released")),
        (evt.EVT_ABORTED, lambda _event: how.put("aborted")),
    ]
    with pynetdicom.acceptor(handlers, sop_classes=[COMMITMENT]) as peer:
        began = time.monotonic()
        assert request_commitment(peer, TRANSACTION, wait_s=0.3) is None
        assert time.monotonic() - began >= 0.3
        assert how.get(timeout=DEADLINE_S) == "released"


@pytest.mark.parametrize("do", ["abort", "release"])
def test_a_peer_that_ends_the_association_reports_elsewhere(do):
    scp = Calm(do, 0.1)
    with scp.serving() as peer:
        assert request_commitment(peer, TRANSACTION, wait_s=DEADLINE_S) is None
        scp.threads[0].join(DEADLINE_S)


def test_a_peer_that_aborts_instead_of_answering_has_not_taken_the_request():
    def action(event: evt.Event) -> tuple[int, None]:
        event.assoc.abort()
        return 0x0000, None

    handlers = [(evt.EVT_N_ACTION, action)]
    with pynetdicom.acceptor(handlers, sop_classes=[COMMITMENT]) as peer, pytest.raises(AssociationAborted):
        request_commitment(peer, TRANSACTION, wait_s=1.0)


# ------------------------------------------------------------------ both sides are ours


@pytest.mark.parametrize("same", [True, False])
def test_a_report_comes_on_either_association_and_is_heard_in_one_way(archive, tmp_path, same):
    reference = stored_reference(archive)
    heard: queue.Queue[Verdict] = queue.Queue()
    reports = {COMMITMENT: CommitmentReports(lambda _requestor, verdict: heard.put(verdict))}
    with (
        Server(ServerConfig("PYNETDICOM"), MemoryPacs(), reports) as ours,
        serving(archive, tmp_path / "kept", ours.port, within_s=DEADLINE_S if same else 0.0) as port,
    ):
        peer = Peer("127.0.0.1", port, "OURS", "PYNETDICOM", Timeouts(5, 10, 10))
        wait_s = DEADLINE_S if same else 0.0
        found = request_commitment(peer, Transaction(UID, (reference,)), wait_s=wait_s, on_report=heard.put)
        assert heard.get(timeout=DEADLINE_S) == Verdict(UID, (reference,))
    assert (found is not None) is same
    assert heard.empty()


def test_a_server_of_the_lab_reports_on_the_same_association_if_it_is_told_to(tmp_path):
    folders = LabFolders(tmp_path / "lab")
    folders.make()
    found = ports.free_ports(8, "127.0.0.1")
    config = spec.LabConfig(commitment_on_same_association=True).with_ports(dicom_ports=found[:4], web_ports=found[4:])
    spec.save(folders.root, config)
    here = config.servers[0]
    try:
        peer = started(folders, here.id, here.dicom_port)
        instance = write_instance(tmp_path)
        assert [outcome.error for outcome in send(peer, [instance])] == [None]
        reference = Reference(instance.identity.sop_class_uid, instance.identity.sop_instance_uid)
        verdict = request_commitment(peer, Transaction(UID, (reference,)), wait_s=DEADLINE_S)
        assert verdict == Verdict(UID, (reference,))
        eventually(lambda: not list(folders.commitments(here.id).iterdir()))
    finally:
        process.stop(folders, spec.IDS, grace_s=5)
