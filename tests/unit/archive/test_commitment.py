"""The archive as SCP of storage commitment: what it takes on, what it keeps, what it answers for."""

from __future__ import annotations

import json
import os
import queue
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from dicomfab.archive.archive import Archive
from dicomfab.archive.commitment import CommitmentLimits, Commitments
from dicomfab.archive.records import Duplicate, StoredInstance
from dicomfab.dimse.commitment import FailureReason, Reference, Transaction, Verdict
from dicomfab.dimse.handlers import NormalizedReply, NormalizedRequest, Refusal, Requestor, ServerConfig
from dicomfab.dimse.peer import Timeouts
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.commitment import CommitmentReports
from dicomfab.dimse.sop_classes import COMMITMENT, COMMITMENT_INSTANCE
from tests.unit.archive.builders import CT, DEFLATED, EXPLICIT, IMPLICIT, dataset, store
from tests.unit.dimse.memory_pacs import MemoryPacs

ASKER = Requestor("ASKER", "127.0.0.1")
MR = "1.2.840.10008.5.1.4.1.1.4"
DEADLINE_S = 20.0
QUICK = CommitmentLimits(pause_s=0, retry_first_s=0.02, retry_longest_s=0.05, timeouts=Timeouts(2, 5, 5))
NEVER = CommitmentLimits(pause_s=3600)


class Asker:
    """The requestor's server: keeps what it is told."""

    def __init__(self) -> None:
        self.verdicts: queue.Queue[Verdict] = queue.Queue()
        self.refusals: list[Refusal] = []

    def told(self, _requestor: Requestor, verdict: Verdict) -> None:
        if self.refusals:
            raise self.refusals.pop()
        self.verdicts.put(verdict)

    def verdict(self) -> Verdict:
        return self.verdicts.get(timeout=DEADLINE_S)

    @contextmanager
    def listening(self, port: int = 0) -> Iterator[int]:
        reports = {COMMITMENT: CommitmentReports(self.told)}
        with Server(ServerConfig("ASKER", port=port), MemoryPacs(), reports) as server:
            yield server.port


@pytest.fixture
def asker() -> Asker:
    return Asker()


@pytest.fixture
def address(asker: Asker) -> Iterator[tuple[str, int]]:
    with asker.listening() as port:
        yield "127.0.0.1", port


Make = Callable[..., Commitments]


@pytest.fixture
def make(archive: Archive, tmp_path: Path) -> Iterator[Make]:
    with ExitStack() as entered:

        def made(address: tuple[str, int] | None, limits: CommitmentLimits = QUICK) -> Commitments:
            known = {"ASKER": address, "OTHER": address} if address else {}
            return entered.enter_context(Commitments(archive, tmp_path / "kept", known.get, "ARCHIVE", limits=limits))

        yield made


def ask(commitments: Commitments, transaction: Transaction, **changes: object) -> NormalizedReply:
    given = {
        "operation": "N-ACTION",
        "sop_class_uid": COMMITMENT,
        "sop_instance_uid": COMMITMENT_INSTANCE,
        "number": 1,
        "attributes": transaction.to_dataset(),
        **changes,
    }
    requestor = given.pop("requestor", ASKER)
    return commitments.perform(requestor, NormalizedRequest(**given))  # type: ignore[arg-type]


def about(*stored: StoredInstance, uid: str = "1.2.3") -> Transaction:
    return Transaction(
        uid, tuple(Reference(one.identity.sop_class_uid, one.identity.sop_instance_uid) for one in stored)
    )


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*"))


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


# ------------------------------------------------------------------ judging


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, DEFLATED])
def test_what_can_be_read_back_is_committed(archive, make, address, asker, tmp_path, syntax):
    stored = [store(archive, dataset(instance=f"1.2.1.1.{n}"), syntax).instance for n in (1, 2)]
    assert ask(make(address), about(*stored)).status == 0x0000
    assert asker.verdict() == Verdict("1.2.3", about(*stored).references)
    eventually(lambda: files(tmp_path / "kept") == [])


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def lengthened(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\0\0")


def other_instance(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"1.2.1.1.1", b"1.2.1.1.8"))


def other_study(path: Path) -> None:
    head, tag, rest = path.read_bytes().partition(b"\x20\x00\x0d\x00UI")
    path.write_bytes(head + tag + rest.replace(b"1.2.1", b"1.2.9", 1))


def other_header(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content.replace(EXPLICIT.encode(), IMPLICIT.encode() + b"\0\0", 1))


def overwritten(path: Path) -> None:
    path.write_bytes(b"\xff" * path.stat().st_size)


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "spoil", [cut_short, emptied, lengthened, other_instance, other_study, other_header, overwritten, directory]
)
def test_a_file_that_is_not_as_it_was_stored_is_not_committed(archive, make, address, asker, spoil):
    good, bad = (store(archive, dataset(instance=f"1.2.1.1.{n}")).instance for n in (2, 1))
    before = bad.path.read_bytes()
    spoil(bad.path)
    assert bad.path.is_dir() or bad.path.read_bytes() != before
    ask(make(address), about(good, bad))
    verdict = asker.verdict()
    assert [one.sop_instance_uid for one in verdict.committed] == ["1.2.1.1.2"]
    [failed] = verdict.failed
    assert (failed.reference.sop_instance_uid, failed.reason) == ("1.2.1.1.1", FailureReason.PROCESSING_FAILURE)
    if bad.path.is_dir():
        shutil.rmtree(bad.path)


def test_what_is_not_there_or_is_something_else_is_not_committed(archive, make, address, asker):
    stored = store(archive, dataset()).instance
    gone = store(archive, dataset(instance="1.2.1.1.2")).instance
    gone.path.unlink()
    references = (
        Reference(CT, "1.2.99"),
        Reference(MR, stored.identity.sop_instance_uid),
        Reference(COMMITMENT, stored.identity.sop_instance_uid),
        Reference(CT, gone.identity.sop_instance_uid),
    )
    ask(make(address), Transaction("1.2.3", references))
    verdict = asker.verdict()
    assert verdict.committed == ()
    assert [one.reason for one in verdict.failed] == [0x0112, 0x0119, 0x0122, 0x0112]
    assert tuple(one.reference for one in verdict.failed) == references


def test_an_instance_that_is_replaced_is_judged_as_it_is_now(tmp_path, asker, address):
    with Commitments(
        archive := Archive(tmp_path / "a", on_duplicate=Duplicate.REPLACE), tmp_path / "kept", {"ASKER": address}.get,
        "ARCHIVE", limits=QUICK,
    ) as commitments:  # fmt: skip
        store(archive, dataset())
        stored = store(archive, dataset(StudyDescription="another one")).instance
        ask(commitments, about(stored))
        assert asker.verdict().failed == ()


# ------------------------------------------------------------------ requests


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"operation": "N-CREATE"}, 0x0211),
        ({"sop_instance_uid": "1.2.3"}, 0x0112),
        ({"number": 2}, 0x0123),
        ({"attributes": None}, 0x0120),
        ({"attributes": Transaction("1.2.3", (Reference(CT, "x"),)).to_dataset()}, 0x0115),
        ({"requestor": Requestor("STRANGER", "127.0.0.1")}, 0x0110),
    ],
)
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_what_is_refused_leaves_nothing(make, tmp_path, changes, status):
    with pytest.raises(Refusal) as caught:
        ask(make(("127.0.0.1", 1), NEVER), Transaction("1.2.3", (Reference(CT, "1.2"),)), **changes)
    assert caught.value.status == status
    assert files(tmp_path / "kept") == []


def test_a_requestor_without_address_is_told_so(make):
    with pytest.raises(Refusal, match="no address is registered for the AE title ASKER"):
        ask(make(None), Transaction("1.2.3", (Reference(CT, "1.2"),)))


def test_no_more_than_was_allowed(make, tmp_path):
    commitments = make(("127.0.0.1", 1), CommitmentLimits(pause_s=3600, max_pending=2, max_references=2))
    reference = Reference(CT, "1.2")
    with pytest.raises(Refusal, match="3 references"):
        ask(commitments, Transaction("1.2.1", (reference,) * 3))
    ask(commitments, Transaction("1.2.1", (reference,) * 2))
    ask(commitments, Transaction("1.2.2", (reference,)))
    with pytest.raises(Refusal, match="2 transactions are pending") as caught:
        ask(commitments, Transaction("1.2.3", (reference,)))
    assert caught.value.status == 0x0213
    assert files(tmp_path / "kept") == ["1.2.1.json", "1.2.2.json"]


def test_the_same_again_is_taken_on_once_and_another_under_its_uid_is_not(make, tmp_path):
    commitments = make(("127.0.0.1", 1), NEVER)
    transaction = Transaction("1.2.3", (Reference(CT, "1.2"),))
    ask(commitments, transaction)
    ask(commitments, transaction)
    kept = (tmp_path / "kept" / "1.2.3.json").read_bytes()
    with pytest.raises(Refusal) as caught:
        ask(commitments, Transaction("1.2.3", (Reference(CT, "1.3"),)))
    assert caught.value.status == 0x0131
    with pytest.raises(Refusal, match="another transaction"):
        ask(commitments, transaction, requestor=Requestor("OTHER", "127.0.0.1"))
    assert (tmp_path / "kept" / "1.2.3.json").read_bytes() == kept


def test_a_request_that_cannot_be_kept_is_not_answered_with_success(make, tmp_path):
    commitments = make(("127.0.0.1", 1), NEVER)
    (tmp_path / "kept").write_text("a file in the place of the folder")
    with pytest.raises(Refusal, match="cannot be kept") as caught:
        ask(commitments, Transaction("1.2.3", (Reference(CT, "1.2"),)))
    assert caught.value.status == 0x0110


# ------------------------------------------------------------------ reports


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def test_a_requestor_that_is_down_is_told_when_it_is_up(archive, make, asker, tmp_path, caplog):
    port = free_port()
    stored = store(archive, dataset()).instance
    commitments = make(("127.0.0.1", port))
    ask(commitments, about(stored))
    ask(commitments, about(stored, uid="1.2.4"))
    eventually(lambda: caplog.text.count("not reported to ASKER, again in 0.05 s") >= 3)  # and never longer than that
    assert files(tmp_path / "kept") == ["1.2.3.json", "1.2.4.json"]
    with asker.listening(port):
        assert {asker.verdict().transaction_uid, asker.verdict().transaction_uid} == {"1.2.3", "1.2.4"}
    eventually(lambda: files(tmp_path / "kept") == [])


def test_a_report_that_is_refused_is_made_again(archive, make, address, asker, tmp_path):
    asker.refusals = [Refusal(0x0110, "the database is down")]
    ask(make(address), about(store(archive, dataset()).instance))
    assert asker.verdict().transaction_uid == "1.2.3"
    eventually(lambda: files(tmp_path / "kept") == [])


def test_what_a_requestor_comments_is_not_logged(archive, make, address, asker, caplog):
    asker.refusals = [Refusal(0x0110, "DOE^JANE is unknown")]
    ask(make(address), about(store(archive, dataset()).instance))
    assert asker.verdict().transaction_uid == "1.2.3"
    assert "again in 0.02 s: N-EVENT-REPORT failed (0110)" in caplog.text
    assert "DOE" not in caplog.text


def test_what_is_retried_is_judged_anew(archive, make, asker, caplog):
    port = free_port()
    stored = store(archive, dataset()).instance
    ask(make(("127.0.0.1", port)), about(stored))
    eventually(lambda: "again in" in caplog.text)
    cut_short(stored.path)
    with asker.listening(port):
        assert asker.verdict().committed == ()


def test_in_the_end_it_is_set_aside(archive, make, tmp_path, caplog):
    limits = CommitmentLimits(pause_s=0, retry_first_s=0.01, give_up_hours=0.05 / 3600)
    ask(make(("127.0.0.1", free_port()), limits), about(store(archive, dataset()).instance))
    eventually(lambda: files(tmp_path / "kept") == ["1.2.3.unreported"])
    assert "set aside" in caplog.text


def test_what_was_pending_is_taken_up_again(archive, make, address, asker, tmp_path):
    stored = store(archive, dataset()).instance
    with Commitments(archive, tmp_path / "kept", {"ASKER": address}.get, "ARCHIVE", limits=NEVER) as first:
        ask(first, about(stored))
    kept = tmp_path / "kept" / "1.2.3.json"
    assert json.loads(kept.read_text())["references"] == [[CT, stored.identity.sop_instance_uid]]
    (tmp_path / "kept" / "1.2.4.new").write_text("{")  # killed while it wrote
    (tmp_path / "kept" / "1.2.5.json").write_text("{")  # by someone's hand
    (tmp_path / "kept" / "1.2.6.json").write_bytes(kept.read_bytes())
    assert asker.verdicts.empty()
    make(address)
    assert asker.verdict() == Verdict("1.2.3", about(stored).references)
    eventually(lambda: files(tmp_path / "kept") == ["1.2.5.json", "1.2.6.json"])


def test_stopping_does_not_wait_for_a_requestor_that_hangs(archive, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        limits = CommitmentLimits(pause_s=0, timeouts=Timeouts(60, 60, 60))
        known = {"ASKER": silent.getsockname()}
        with Commitments(archive, tmp_path / "kept", known.get, "ARCHIVE", limits=limits) as commitments:
            ask(commitments, about(store(archive, dataset()).instance))
            connection, _ = silent.accept()
            started = time.monotonic()
        assert time.monotonic() - started < 30
        connection.close()
    assert files(tmp_path / "kept") == ["1.2.3.json"]
