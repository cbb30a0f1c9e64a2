"""Faults on purpose: each kind, done by a server of ours and seen by our own requests as the error it should be."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.echo import echo
from dicomfab.dimse.transport.faults import DATA_SET, Fault, FaultKind, FaultPlan
from dicomfab.model.errors import (
    AssociationAborted,
    AssociationRejected,
    ConnectionLost,
    DicomFabError,
    PeerTimeout,
    ProtocolViolation,
    StatusFailure,
)
from dicomfab.model.study import InstanceFile
from dicomfab.ul import RoleSelection
from dicomfab.ul.pdu import encode_pdu
from tests.unit.dimse import raw
from tests.unit.dimse.calls import CALLS
from tests.unit.dimse.clients import ECHO, FIND, NO_KEYS, STORE
from tests.unit.dimse.memory_pacs import CT, EXPLICIT, MemoryPacs, make_instance
from tests.unit.dimse.raw import HOST, IMPLICIT, MARGIN_S, PATIENT, STUDY_ROOT_FIND, VERIFICATION, failure_of, result_of

STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"
NO_ASSOCIATION = replace(PATIENT, association_s=0.2)
NO_RESPONSE = replace(PATIENT, dimse_s=0.25, retrieve_s=0.35)


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> InstanceFile:
    return make_instance(tmp_path_factory.mktemp("faults"), 1, pixels=20 << 20)


def match(number: int) -> Dataset:
    dataset = Dataset()
    dataset.StudyInstanceUID = f"1.2.{number}"
    dataset.StudyDescription = "x" * 60
    return dataset


@contextmanager
def faulty(*faults: Fault, timeouts: Timeouts = PATIENT) -> Iterator[tuple[Peer, MemoryPacs]]:
    pacs = MemoryPacs()
    pacs.matches = [match(number) for number in range(4)]
    config = ServerConfig("MEMORY", faults=FaultPlan(faults), artim_s=20.0, pdu_timeout_s=20.0, idle_s=20.0)
    with Server(config, pacs) as server:
        yield Peer(HOST, server.port, "MEMORY", timeouts=timeouts, name="Faulty PACS"), pacs


F = FaultKind
CASES: list[tuple[str, Fault, Timeouts, type[DicomFabError], str]] = [
    ("C-ECHO", Fault(F.DELAY, "C-ECHO-RSP", seconds=20.0), NO_RESPONSE, PeerTimeout, "did not answer the request"),
    ("C-FIND", Fault(F.DELAY, "A-ASSOCIATE-AC", seconds=20.0), NO_ASSOCIATION, PeerTimeout, "association request"),
    ("C-FIND", Fault(F.DELAY, DATA_SET, 2, seconds=20.0), NO_RESPONSE, PeerTimeout, "in the middle of a message"),
    ("C-ECHO", Fault(F.SILENCE, "A-ASSOCIATE-AC"), NO_ASSOCIATION, PeerTimeout, "association request"),
    ("C-ECHO", Fault(F.SILENCE, "C-ECHO-RSP"), NO_RESPONSE, PeerTimeout, "did not answer the request"),
    ("C-FIND", Fault(F.SILENCE, "C-FIND-RSP", 3), NO_RESPONSE, PeerTimeout, "did not answer the request"),
    ("C-STORE", Fault(F.SILENCE, "C-STORE-RSP"), NO_RESPONSE, PeerTimeout, "did not answer the request"),
    ("C-GET", Fault(F.SILENCE, "C-GET-RSP"), NO_RESPONSE, PeerTimeout, "did not answer the request"),
    ("C-ECHO", Fault(F.HALF, "A-ASSOCIATE-AC"), NO_ASSOCIATION, PeerTimeout, "in the middle of a message"),
    ("C-ECHO", Fault(F.HALF, "C-ECHO-RSP"), NO_RESPONSE, PeerTimeout, "in the middle of a message"),
    ("C-FIND", Fault(F.HALF, DATA_SET, 2), NO_RESPONSE, PeerTimeout, "in the middle of a message"),
    ("C-STORE", Fault(F.DEAF, "A-ASSOCIATE-AC"), NO_RESPONSE, PeerTimeout, "stopped reading"),
    ("C-STORE", Fault(F.DEAF, after_bytes=1 << 20), NO_RESPONSE, PeerTimeout, "stopped reading"),
    ("C-ECHO", Fault(F.DEAF, "A-ASSOCIATE-AC"), NO_RESPONSE, PeerTimeout, "did not answer the request"),
    (
        "C-ECHO",
        Fault(F.DROP, "A-ASSOCIATE-AC"),
        PATIENT,
        ConnectionLost,
        "instead of answering the association request",
    ),
    ("C-ECHO", Fault(F.DROP, "C-ECHO-RSP"), PATIENT, ConnectionLost, "during C-ECHO: it was closed"),
    ("C-FIND", Fault(F.DROP, DATA_SET, 3), PATIENT, ConnectionLost, "during C-FIND: it was closed"),
    ("C-STORE", Fault(F.DROP, after_bytes=1 << 20), PATIENT, ConnectionLost, "during C-STORE"),
    ("C-ECHO", Fault(F.ABORT, "A-ASSOCIATE-AC", source=2, reason=2), PATIENT, AssociationAborted, "code 2/2"),
    ("C-ECHO", Fault(F.ABORT, "C-ECHO-RSP", source=0, reason=0), PATIENT, AssociationAborted, "code 0/0"),
    ("C-FIND", Fault(F.ABORT, "C-FIND-RSP", 4, source=2, reason=6), PATIENT, AssociationAborted, "code 2/6"),
    ("C-STORE", Fault(F.ABORT, "C-STORE-RSP", 0, source=2, reason=1), PATIENT, AssociationAborted, "code 2/1"),
    ("C-ECHO", Fault(F.REJECT, "A-ASSOCIATE-AC"), PATIENT, AssociationRejected, "code 1/1/1"),
    (
        "C-MOVE",
        Fault(F.REJECT, "A-ASSOCIATE-AC", result=2, source=3, reason=2),
        PATIENT,
        AssociationRejected,
        "local limit exceeded",
    ),
    ("C-ECHO", Fault(F.MALFORMED, "A-ASSOCIATE-AC"), PATIENT, ProtocolViolation, "sent what is not DICOM"),
    ("C-FIND", Fault(F.MALFORMED, "C-FIND-RSP", 2), PATIENT, ProtocolViolation, "sent what is not DICOM"),
    ("C-ECHO", Fault(F.WRONG_CONTEXT, "C-ECHO-RSP"), PATIENT, ProtocolViolation, "context that was not accepted"),
    ("C-FIND", Fault(F.WRONG_CONTEXT, DATA_SET), PATIENT, ProtocolViolation, "another context, in the middle"),
    ("C-ECHO", Fault(F.STATUS, "C-ECHO-RSP"), PATIENT, StatusFailure, "0110"),
    ("C-FIND", Fault(F.STATUS, "C-FIND-RSP", 5, status=0xA700), PATIENT, StatusFailure, "A700"),
    ("C-MOVE", Fault(F.STATUS, "C-MOVE-RSP", status=0xC001), PATIENT, StatusFailure, "C001"),
    ("C-FIND", Fault(F.TRUNCATE, DATA_SET, 2), PATIENT, ProtocolViolation, "are there"),
]


def test_every_kind_has_its_case() -> None:
    assert {fault.kind for _, fault, *_ in CASES} == set(FaultKind)


@pytest.mark.parametrize(
    ("operation", "fault", "timeouts", "kind", "words"),
    CASES,
    ids=[f"{o}-{f.kind}-{n}" for n, (o, f, *_) in enumerate(CASES)],
)
def test_a_fault_is_seen_as_the_error_that_it_is(
    operation: str, fault: Fault, timeouts: Timeouts, kind: type[DicomFabError], words: str, big: InstanceFile
) -> None:
    waited_s = 0.0 if timeouts is PATIENT else 2 * 0.35
    with faulty(fault, timeouts=timeouts) as (peer, pacs):
        error = failure_of(lambda: CALLS[operation](peer, big), waited_s)
    assert type(error) is kind
    assert words in str(error)
    assert "Faulty PACS" in error.what
    assert operation != "C-STORE" or fault.at == "C-STORE-RSP" or not pacs.stored


def test_the_end_of_a_fault_is_the_end_of_its_server() -> None:
    """However long a fault would last, a server that is stopped does not wait for it."""
    faults = [Fault(F.DELAY, "C-ECHO-RSP", seconds=60.0), Fault(F.DEAF, "A-ASSOCIATE-AC"), Fault(F.HALF, "C-ECHO-RSP")]
    for fault in faults:
        with faulty(fault, timeouts=NO_RESPONSE) as (peer, _), raw.connect(peer.port) as wire:
            wire.associate()
            wire.send(raw.message(1, ECHO))
            start = time.monotonic()
        assert time.monotonic() - start < MARGIN_S


def test_a_delay_that_ends_in_time_changes_nothing_else() -> None:
    with faulty(Fault(F.DELAY, "C-ECHO-RSP", seconds=0.2)) as (peer, _):
        assert result_of(lambda: echo(peer), 0.2).latency_s >= 0.2


def test_a_fault_waits_for_its_occurrence_and_each_connection_counts_anew(big: InstanceFile) -> None:
    with faulty(Fault(F.STATUS, "C-FIND-RSP", 5, status=0xA700)) as (peer, pacs):
        for _ in range(2):
            assert isinstance(failure_of(lambda: CALLS["C-FIND"](peer, big), 0.0), StatusFailure)
        pacs.matches = pacs.matches[:3]
        assert len(result_of(lambda: CALLS["C-FIND"](peer, big), 0.0)) == 3


def test_several_faults_of_one_plan(tmp_path: Path) -> None:
    plan = (
        Fault(F.STATUS, "C-STORE-RSP", 1, status=0xA700),
        Fault(F.STATUS, "C-STORE-RSP", 2, status=0xB000),
        Fault(F.ABORT, "C-STORE-RSP", 4),
    )
    instance = make_instance(tmp_path, 1)
    with faulty(*plan) as (peer, _), raw.connect(peer.port) as wire:
        wire.associate((CT, EXPLICIT))
        statuses = []
        for _ in range(3):
            wire.send(raw.message(1, STORE, instance.path.read_bytes()[instance.dataset_offset :]))
            statuses.append(wire.message()[1]["Status"])
        wire.send(raw.message(1, STORE, b"ab"))
        assert statuses == [0xA700, 0xB000, 0x0000]
        assert wire.aborted() == (1, 1)


def conversation(config: ServerConfig, instances: list[InstanceFile]) -> bytes:
    """All that a server says when it is asked for a bit of everything."""
    pacs = MemoryPacs()
    pacs.matches = [match(number) for number in range(10)]
    pacs.selected = instances
    heard = bytearray()
    contexts = ((VERIFICATION, IMPLICIT), (CT, EXPLICIT), (STUDY_ROOT_FIND, IMPLICIT), (STUDY_ROOT_GET, IMPLICIT))
    with Server(config, pacs) as server, raw.connect(server.port) as wire:
        receive = wire.sock.recv

        class Heard:
            def __getattr__(self, name: str) -> Any:
                return getattr(sock, name)

            def recv(self, count: int) -> bytes:
                data = receive(count)
                heard.extend(data)
                return data

        sock, wire.sock = wire.sock, Heard()  # type: ignore[assignment]
        roles = (RoleSelection(CT, scu=True, scp=True),)
        wire.send(encode_pdu(raw.request(*contexts, roles=roles)))
        wire.pdu()
        wire.send(raw.message(1, ECHO))
        wire.message()
        wire.send(raw.message(3, STORE, bytes(50_000)))
        wire.message()
        wire.send(raw.message(5, FIND, NO_KEYS))
        while wire.message()[1]["Status"] != 0:
            pass
        wire.send(raw.message(7, {**FIND, "AffectedSOPClassUID": STUDY_ROOT_GET, "CommandField": 0x0010}, NO_KEYS))
        while True:
            context_id, command, _ = wire.message()
            if command["CommandField"] == 0x0001:
                wire.send(raw.message(context_id, raw.response(command)))
            elif command["Status"] != 0xFF00:
                break
        wire.send(raw.message(1, {**ECHO, "CommandField": 0x7777}))
        wire.message()
        wire.release()
    return bytes(heard)


def test_a_plan_of_which_nothing_is_due_changes_not_one_byte(tmp_path: Path) -> None:
    sizes = (100, 300 << 10, 6 << 20)
    instances = [make_instance(tmp_path, number, pixels=size) for number, size in enumerate(sizes)]
    never = [Fault(kind, "N-SET-RSP") for kind in FaultKind]
    late = [Fault(kind, "", 1_000_000, source=2) for kind in FaultKind]
    far = [Fault(kind, after_bytes=1 << 40) for kind in (FaultKind.DROP, FaultKind.DEAF)]
    config = ServerConfig("MEMORY", artim_s=20.0, pdu_timeout_s=20.0, idle_s=20.0)
    plain = conversation(config, instances)
    assert len(plain) > sum(sizes)
    assert conversation(replace(config, faults=FaultPlan((*never, *late, *far))), instances) == plain
    assert conversation(replace(config, faults=FaultPlan(())), instances) == plain
