"""What our server answers to requests that it cannot, or should not, perform; and who may ask at all."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydicom import Dataset

from dicomfab.dimse.command import encode
from dicomfab.dimse.handlers import NormalizedReply, NormalizedRequest, Refusal, Requestor
from dicomfab.dimse.scp.server import Server
from dicomfab.model.query import QueryModel
from dicomfab.model.study import InstanceIdentity
from dicomfab.ul import Abort, AssociateRJ, UserIdentity
from dicomfab.ul.pdu import decode_pdu, encode_pdu
from tests.unit.dimse import raw
from tests.unit.dimse.clients import (
    ECHO,
    FIND,
    NO_KEYS,
    PATIENT,
    STORE,
    asked,
    client,
    idle,
    no_thread_fails,
    still_serves,
)
from tests.unit.dimse.memory_pacs import CT, EXPLICIT, MemoryPacs, MemorySink
from tests.unit.dimse.raw import (
    IMPLICIT,
    STUDY_ROOT_FIND,
    VERIFICATION,
    Wire,
    eventually,
    message,
    pdata,
)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    with no_thread_fails():
        yield


@pytest.fixture
def pacs() -> MemoryPacs:
    return MemoryPacs()


@pytest.fixture
def server(pacs: MemoryPacs) -> Iterator[Server]:
    with Server(PATIENT, pacs) as running:
        yield running


# ---------------------------------------------------------------------- requests that cannot be performed


class Sink(MemorySink):
    def __init__(self, pacs: MemoryPacs, identity: InstanceIdentity, fail_in: str) -> None:
        super().__init__(pacs, identity)
        self._fail_in = fail_in

    def write(self, chunk: Any) -> None:
        if self._fail_in == "write":
            raise RuntimeError("broken")
        super().write(chunk)

    def finish(self) -> int:
        if self._fail_in == "finish":
            raise RuntimeError("broken")
        return super().finish()


class BrokenPacs(MemoryPacs):
    """Handlers that fail in a way that nobody foresaw."""

    fail_in = ""

    def begin_store(self, requestor: Requestor, identity: InstanceIdentity) -> MemorySink:
        if self.fail_in == "begin":
            raise RuntimeError("broken")
        return Sink(self, identity, self.fail_in)

    def find(self, requestor: Requestor, model: QueryModel, identifier: Dataset) -> Iterator[Dataset]:
        yield Dataset()
        if self.fail_in == "find":
            raise RuntimeError("broken")


@pytest.mark.parametrize("fail_in", ["begin", "write", "finish"])
def test_a_store_handler_that_fails_unexpectedly(fail_in: str) -> None:
    pacs = BrokenPacs()
    data = b"".join(pdata(1, 0, bytes(10_000)) for _ in range(50)) + pdata(1, 2, b"ab")
    with Server(PATIENT, pacs) as server, client(server, (CT, EXPLICIT)) as wire:
        for _ in range(2):
            pacs.fail_in = fail_in
            wire.send(pdata(1, 3, encode(STORE)) + data)
            response = wire.message()[1]
            assert response["Status"] == 0x0110
            assert response["ErrorComment"] == "the application failed"
            assert response["AffectedSOPInstanceUID"] == "1.2.3.1"
        assert not pacs.stored
        assert len(pacs.discarded) == (0 if fail_in == "begin" else 2)
        pacs.fail_in = ""
        wire.send(pdata(1, 3, encode(STORE)) + data)
        assert wire.message()[1]["Status"] == 0
    assert len(pacs.stored["1.2.3.1"][1]) == 500_002


def test_a_find_handler_that_fails_unexpectedly() -> None:
    pacs = BrokenPacs()
    pacs.fail_in = "find"
    with Server(PATIENT, pacs) as server:
        with client(server, (STUDY_ROOT_FIND, IMPLICIT)) as wire:
            for _ in range(2):
                assert asked(wire, FIND, NO_KEYS)["Status"] == 0xFF00
                assert wire.message()[1]["Status"] == 0x0110
        still_serves(server)


def test_an_operation_that_does_not_exist(server: Server) -> None:
    with client(server) as wire:
        for field in (0x0002, 0x0040, 0x0160, 0x7FFF):
            response = asked(wire, {"CommandField": field, "MessageID": 7})
            assert (response["Status"], response["MessageIDBeingRespondedTo"]) == (0x0211, 7)
            assert response["CommandField"] == field | 0x8000
        assert asked(wire, {"CommandField": 0x0055, "MessageID": 8, "CommandDataSetType": 0}, bytes(5000))[
            "Status"
        ] == (0x0211)
        assert asked(wire, ECHO)["Status"] == 0


@pytest.mark.parametrize(
    ("context_id", "command", "data"),
    [
        (1, STORE, bytes(100)),
        (1, FIND, NO_KEYS),
        (3, ECHO, None),
        (3, FIND, NO_KEYS),
        (3, {"CommandField": 0x0110, "MessageID": 1, "RequestedSOPClassUID": CT}, None),
        (5, STORE, bytes(50_000)),
        (5, {**FIND, "CommandField": 0x0021, "MoveDestination": "X"}, NO_KEYS),
        (5, {**FIND, "CommandField": 0x0010}, NO_KEYS),
    ],
)
def test_a_request_in_a_context_of_another_service(
    server: Server, pacs: MemoryPacs, context_id: int, command: dict[str, Any], data: bytes | None
) -> None:
    with client(server, (VERIFICATION, IMPLICIT), (CT, EXPLICIT), (STUDY_ROOT_FIND, IMPLICIT)) as wire:
        assert asked(wire, command, data, context_id)["Status"] == 0x0122
        assert asked(wire, ECHO)["Status"] == 0
    assert not pacs.stored
    assert not pacs.identifiers


@pytest.mark.parametrize(
    "identifier",
    [b"", b"\x08\x00\x52", b"\x10\x00\x10\x00\xff\0\0\0abc", b"\x28\x00\x10\x00\x01\0\0\0a", bytes(17 << 20)],
)
def test_an_identifier_that_cannot_be_read_is_refused(server: Server, pacs: MemoryPacs, identifier: bytes) -> None:
    with client(server, (STUDY_ROOT_FIND, IMPLICIT)) as wire:
        wire.send(pdata(1, 3, encode(FIND)))
        for start in range(0, len(identifier), 100_000):
            wire.send(pdata(1, 0, identifier[start : start + 100_000]))
        wire.send(pdata(1, 2, b""))
        assert wire.message()[1]["Status"] == (0xA900 if identifier else 0x0000)
        assert asked(wire, {**FIND, "MessageID": 2}, NO_KEYS)["Status"] == 0
    assert len(pacs.identifiers) == (1 if identifier else 2)


def test_responses_and_late_cancels_are_ignored(server: Server) -> None:
    with client(server) as wire:
        wire.send(message(1, {"CommandField": 0x8030, "MessageIDBeingRespondedTo": 5, "Status": 0}))
        wire.send(message(1, {"CommandField": 0x0FFF, "MessageIDBeingRespondedTo": 5}))
        wire.send(message(1, {"CommandField": 0x8020, "Status": 0xFF00, "CommandDataSetType": 1}, bytes(1000)))
        assert asked(wire, ECHO)["Status"] == 0


@pytest.mark.parametrize(
    "how", [lambda wire: wire.send(encode_pdu(Abort(0))), Wire.reset, lambda wire: wire.sock.close()]
)
def test_a_store_that_is_not_finished_is_discarded(
    server: Server, pacs: MemoryPacs, how: Callable[[Wire], None]
) -> None:
    wire = client(server, (CT, EXPLICIT))
    wire.send(pdata(1, 3, encode(STORE)) + pdata(1, 0, bytes(10_000)))
    assert eventually(lambda: server.associations == 1)
    how(wire)
    assert eventually(lambda: pacs.discarded == ["1.2.3.1"])
    assert not pacs.stored
    assert eventually(lambda: idle(server))
    wire.sock.close()


def test_a_store_without_a_data_set_is_refused(server: Server, pacs: MemoryPacs) -> None:
    with client(server, (CT, EXPLICIT)) as wire:
        assert asked(wire, STORE | {"CommandDataSetType": 0x0101})["Status"] == 0xC000
        assert asked(wire, {"CommandField": 0x0001, "MessageID": 1})["Status"] == 0xC000
        assert not pacs.stored
        assert asked(wire, STORE, b"ab")["Status"] == 0


@pytest.mark.parametrize("uid", [b"1." * 32 + b"1\0", b"1.2\n3", b"\xe4\xf6", b"A" * 1000])
def test_a_uid_that_is_none_is_for_the_handler_to_judge_and_is_not_repeated(server: Server, uid: bytes) -> None:
    store = encode({k: v for k, v in STORE.items() if k != "AffectedSOPInstanceUID"})
    element = struct.pack("<HHI", 0, 0x1000, len(uid)) + uid
    with client(server, (CT, EXPLICIT)) as wire:
        wire.send(pdata(1, 3, store + element) + pdata(1, 2, b"ab"))
        response = wire.message()[1]
        assert response["Status"] == 0
        assert response.get("AffectedSOPInstanceUID", "1.2?3") == "1.2?3"
        assert asked(wire, STORE, b"ab")["Status"] == 0


# ---------------------------------------------------------------------- who asks


def judge(identity: UserIdentity) -> bytes | None:
    if identity.primary == b"broken":
        raise RuntimeError("broken")
    return b"welcome" if (identity.primary, identity.secondary) == (b"anna", b"secret") else None


def identified(server: Server, primary: bytes, secondary: bytes, *, wants_answer: bool) -> Any:
    identity = UserIdentity(2, primary, secondary, wants_answer)
    with raw.connect(server.port) as wire:
        wire.send(encode_pdu(raw.request(identity=identity)))
        pdu = wire.pdu()
        return decode_pdu(pdu[0], pdu[6:])


def test_a_user_identity_is_judged(pacs: MemoryPacs, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    with Server(replace(PATIENT, identify=judge), pacs) as server:
        assert identified(server, b"anna", b"secret", wants_answer=True).user.identity_response == b"welcome"
        assert identified(server, b"anna", b"secret", wants_answer=False).user.identity_response is None
        assert identified(server, b"anna", b"guess", wants_answer=True) == AssociateRJ(1, 1, 1)
        assert isinstance(identified(server, b"broken", b"", wants_answer=True), Abort)
        assert eventually(lambda: idle(server))
    assert "secret" not in caplog.text
    assert "anna" not in caplog.text


def test_without_a_judge_any_identity_is_accepted(server: Server) -> None:
    answer = identified(server, b"anyone", b"", wants_answer=True)
    assert answer.user.identity_response == b""
    assert identified(server, b"anyone", b"", wants_answer=False).user.identity_response is None


# ---------------------------------------------------------------------- N-services

MPPS = "1.2.840.10008.3.1.2.3.3"


class Procedures:
    """Keeps what it is asked."""

    def __init__(self) -> None:
        self.requests: list[NormalizedRequest] = []

    def perform(self, requestor: Requestor, request: NormalizedRequest) -> NormalizedReply:
        self.requests.append(request)
        if request.operation == "N-DELETE":
            raise Refusal(0x0211, "no deleting")
        if request.operation == "N-SET":
            raise KeyError("broken")
        attributes = Dataset()
        attributes.PatientID = "SYN1"
        return NormalizedReply(0, "1.2.99" if request.operation == "N-CREATE" else "", attributes)


def test_n_services_reach_the_handler_of_their_sop_class(pacs: MemoryPacs) -> None:
    procedures = Procedures()
    with Server(PATIENT, pacs, {MPPS: procedures}) as server, client(server, (MPPS, IMPLICIT)) as wire:
        create = {"AffectedSOPClassUID": MPPS, "CommandField": 0x0140, "MessageID": 1, "CommandDataSetType": 1}
        wire.send(message(1, create, NO_KEYS))
        _, response, data = wire.message()
        assert (response["CommandField"], response["Status"]) == (0x8140, 0)
        assert response["AffectedSOPInstanceUID"] == "1.2.99"
        assert data == b"\x10\x00\x20\x00\x04\x00\x00\x00SYN1"

        about = {"RequestedSOPClassUID": MPPS, "RequestedSOPInstanceUID": "1.2.99", "MessageID": 2}
        tags = (0x00100010, 0x00100020)
        assert asked(wire, {**about, "CommandField": 0x0110, "AttributeIdentifierList": tags})["Status"] == 0
        response = asked(wire, {**about, "CommandField": 0x0130, "ActionTypeID": 3, "CommandDataSetType": 1}, NO_KEYS)
        assert (response["Status"], response["ActionTypeID"]) == (0, 3)
        response = asked(wire, {**about, "CommandField": 0x0100, "EventTypeID": 4})
        assert (response["Status"], response["EventTypeID"]) == (0, 4)
        response = asked(wire, {**about, "CommandField": 0x0150})
        assert (response["Status"], response["ErrorComment"]) == (0x0211, "no deleting")
        assert asked(wire, {**about, "CommandField": 0x0120, "CommandDataSetType": 1}, NO_KEYS)["Status"] == 0x0110
        assert asked(wire, {**about, "CommandField": 0x0120, "CommandDataSetType": 1}, b"\x08")["Status"] == 0xA900
    assert [r.operation for r in procedures.requests] == [
        "N-CREATE", "N-GET", "N-ACTION", "N-EVENT-REPORT", "N-DELETE", "N-SET",
    ]  # fmt: skip
    assert [r.number for r in procedures.requests] == [0, 0, 3, 4, 0, 0]
    assert procedures.requests[0].attributes is not None
    assert procedures.requests[0].attributes.QueryRetrieveLevel == "STUDY"
    assert procedures.requests[1].tags == tags
    assert {r.sop_class_uid for r in procedures.requests} == {MPPS}
    assert {r.sop_instance_uid for r in procedures.requests[1:]} == {"1.2.99"}


def test_without_a_handler_its_context_is_not_accepted(server: Server) -> None:
    with raw.connect(server.port) as wire:
        answer = wire.associate((MPPS, IMPLICIT), (VERIFICATION, IMPLICIT))
    assert [result.result for result in answer.results] == [3, 0]
