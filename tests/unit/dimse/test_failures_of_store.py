"""A C-STORE of 20 MB under way: what the peer does meanwhile, and what happens on this side."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dicomfab.dimse.association import associate
from dicomfab.dimse.contexts import for_instances, no_conversion
from dicomfab.dimse.handlers import Refusal, Requestor, ServerConfig, StoreSink
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.get import get
from dicomfab.dimse.scu.store import StoreOutcome, store
from dicomfab.model.errors import (
    AssociationAborted,
    ConnectionLost,
    InstanceUnreadable,
    PeerTimeout,
    ProtocolViolation,
    StatusFailure,
)
from dicomfab.model.query import QueryModel
from dicomfab.model.study import InstanceFile, InstanceIdentity
from dicomfab.ul import Abort
from dicomfab.ul.pdu import encode_pdu
from tests.unit.dimse import raw
from tests.unit.dimse.calls import study
from tests.unit.dimse.memory_pacs import CT, MemoryPacs, make_instance
from tests.unit.dimse.raw import HTTP, PATIENT, RELEASE_REQUEST, Wire, failure_of, message, pdata, response, result_of

MEGABYTES = 1 << 20
STALLED = replace(PATIENT, dimse_s=0.4)


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> InstanceFile:
    return make_instance(tmp_path_factory.mktemp("big"), 1, pixels=20 * MEGABYTES)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> InstanceFile:
    return make_instance(tmp_path_factory.mktemp("small"), 2)


def stored(peer: Peer, *instances: InstanceFile) -> Callable[[], list[StoreOutcome]]:
    return lambda: list(store(peer, instances))


def in_the_middle(act: Callable[[Wire], object], *, max_pdu_length: int = 128 << 10) -> raw.Behaviour:
    """Read the command and a little of the data, then do something."""

    def behave(wire: Wire) -> None:
        wire.accept(max_pdu_length=max_pdu_length)
        wire.pdu()
        wire.pdu()
        act(wire)

    return behave


# ---------------------------------------------------------------------- the peer stops


@pytest.mark.parametrize("max_pdu_length", [16 << 10, 128 << 10, 0])
def test_a_peer_that_stops_reading(big: InstanceFile, max_pdu_length: int) -> None:
    """Regression: with the wire that this one replaced, it hung for ever."""
    behave = in_the_middle(Wire.hold, max_pdu_length=max_pdu_length) if max_pdu_length else reading_nothing
    with raw.peer(behave, STALLED) as peer:
        error = failure_of(stored(peer, big), STALLED.dimse_s)
    assert isinstance(error, PeerTimeout)
    assert (error.stage, error.timeout_s) == ("sending", STALLED.dimse_s)
    assert "stopped reading" in error.what


def reading_nothing(wire: Wire) -> None:
    wire.accept(max_pdu_length=0)
    wire.hold()


def test_a_peer_that_talks_without_listening(big: InstanceFile) -> None:
    """What it says is not kept without end, and does not renew its deadline."""

    def talk(wire: Wire) -> None:
        flood = pdata(1, 3, b"") + pdata(1, 2, b"ab") * 100_000
        while not wire.over.is_set():
            wire.send(flood)

    with raw.peer(in_the_middle(talk), STALLED) as peer:
        error = failure_of(stored(peer, big), STALLED.dimse_s)
    assert isinstance(error, PeerTimeout)
    assert error.stage == "sending"


def test_what_a_peer_says_meanwhile_is_not_kept_without_end(big: InstanceFile) -> None:
    def talk(wire: Wire) -> None:
        wire.accept()
        flood = pdata(1, 3, b"") + pdata(1, 2, b"ab") * 1_000_000
        wire.send(flood)
        wire.hold()

    contexts, _ = for_instances([big], 0, no_conversion)
    with raw.peer(talk) as peer, associate(peer, contexts) as association:
        link = association._link
        assert raw.eventually(lambda: [link._look_for_abort() for _ in range(100)] and len(link._events) > 100)
        for _ in range(100):
            link._look_for_abort()
        assert len(link._events) < 100_000
        association.abort()


def test_a_slow_peer_is_not_a_dead_one(big: InstanceFile) -> None:
    """The deadline is for each 64 KB: the whole may take much longer."""
    pauses: list[float] = []
    patience = replace(PATIENT, dimse_s=1.0)

    def behave(wire: Wire) -> None:
        wire.accept()
        wire.pdu()
        for number in itertools.count(1):
            if wire.pdu()[11] & 2:
                break
            if not number % 20:
                pauses.append(patience.dimse_s / 4)
                wire.over.wait(pauses[-1])
        wire.send(message(1, {"CommandField": 0x8001, "MessageIDBeingRespondedTo": 1, "Status": 0}))
        wire.released()

    with raw.peer(behave, patience) as peer:
        [outcome] = result_of(stored(peer, big), 10.0)
    assert outcome.accepted
    assert not outcome.resent
    assert sum(pauses) > patience.dimse_s


# ---------------------------------------------------------------------- the peer ends it

ABORTS = [
    (encode_pdu(Abort(0)), AssociationAborted, "code 0/0"),
    (encode_pdu(Abort(2, 6)), AssociationAborted, "invalid PDU parameter value, code 2/6"),
    (HTTP, ProtocolViolation, "HTTP"),
    (bytes.fromhex("0400 7fffffff"), ProtocolViolation, "2147483647 bytes"),
]


@pytest.mark.parametrize(("said", "kind", "words"), ABORTS, ids=["user", "provider", "HTTP", "PDU"])
def test_an_abort_with_the_connection_left_open_and_unread(
    said: bytes, kind: type[Exception], words: str, big: InstanceFile
) -> None:
    """Regression: with the wire that this one replaced, it hung for ever. Here it ends long before the deadline."""

    def act(wire: Wire) -> None:
        wire.send(said)
        wire.hold()

    with raw.peer(in_the_middle(act), replace(PATIENT, dimse_s=60.0)) as peer:
        error = failure_of(stored(peer, big), 1.0)
    assert type(error) is kind
    assert words in error.what


def test_a_connection_that_is_closed_in_the_middle(big: InstanceFile) -> None:
    with raw.peer(in_the_middle(lambda wire: wire.sock.close())) as peer:
        error = failure_of(stored(peer, big), 0.0)
    assert type(error) is ConnectionLost
    assert "during C-STORE" in error.what


def test_a_connection_that_is_reset_in_the_middle(big: InstanceFile) -> None:
    with raw.peer(in_the_middle(Wire.reset)) as peer:
        error = failure_of(stored(peer, big), 0.0)
    assert type(error) is ConnectionLost
    assert "it was reset" in error.what


def test_a_peer_that_aborts_and_reads_on(big: InstanceFile) -> None:
    """All of the data can be sent, and then there is no response but the abort."""

    def act(wire: Wire) -> None:
        wire.send(encode_pdu(Abort(2, 1)))
        wire.rest()

    with raw.peer(in_the_middle(act)) as peer:
        error = failure_of(stored(peer, big), 0.0)
    assert type(error) is AssociationAborted
    assert "code 2/1" in error.what


def test_an_abort_with_a_reset_behind_it_is_told_from_one(big: InstanceFile) -> None:
    """Closing with data unread resets the connection. What was said before can still be heard."""

    def act(wire: Wire) -> None:
        wire.send(encode_pdu(Abort(2, 1)))
        wire.sock.close()

    with raw.peer(in_the_middle(act)) as peer:
        error = failure_of(stored(peer, big), 0.0)
    assert type(error) is AssociationAborted
    assert "code 2/1" in error.what


def test_a_release_in_the_middle_of_the_data(big: InstanceFile) -> None:
    """The data set is sent to its end; then the release is answered, and the store has failed."""
    answers: list[bytes] = []

    def act(wire: Wire) -> None:
        wire.send(RELEASE_REQUEST)
        while (pdu := wire.pdu())[0] == 4:
            pass
        answers.append(pdu)

    with raw.peer(in_the_middle(act)) as peer:
        error = failure_of(stored(peer, big), 0.0)
    assert type(error) is AssociationAborted
    assert "released the association during C-STORE" in error.what
    assert answers == [raw.RELEASE_RESPONSE] * 2  # the instance was sent once more


# ---------------------------------------------------------------------- an early answer


def early(status: int, read_on: list[int]) -> raw.Behaviour:
    def behave(wire: Wire) -> None:
        wire.accept()
        command = wire.pdu()
        wire.send(message(command[10], {"CommandField": 0x8001, "MessageIDBeingRespondedTo": 1, "Status": status}))
        size = 0
        while True:
            pdu = wire.pdu()
            size += len(pdu) - 12
            if pdu[11] & 2:
                break
        read_on.append(size)
        context_id, request, data = wire.message()
        read_on.append(len(data))
        wire.send(message(context_id, response(request)))
        wire.released()

    return behave


@pytest.mark.parametrize("status", [0xA700, 0x0000])
def test_a_response_before_all_of_the_data_was_read(status: int, big: InstanceFile, small: InstanceFile) -> None:
    read: list[int] = []
    with raw.peer(early(status, read)) as peer:
        first, second = result_of(stored(peer, big, small), 5.0)
    assert read == [i.path.stat().st_size - i.dataset_offset for i in (big, small)]
    assert first.response is not None
    assert first.response.status == status
    assert isinstance(first.error, StatusFailure) == (status != 0)
    assert second.accepted


def test_a_failure_followed_by_an_abort_is_the_abort(big: InstanceFile) -> None:
    """What the response would have said is not the end of the story: the next instances cannot be sent."""

    def act(wire: Wire) -> None:
        failure = {"CommandField": 0x8001, "MessageIDBeingRespondedTo": 1, "Status": 0xA700}
        wire.send(message(1, failure) + encode_pdu(Abort(0)))
        wire.hold()

    with raw.peer(in_the_middle(act)) as peer:
        error = failure_of(stored(peer, big), 0.0)
    assert type(error) is AssociationAborted


# ---------------------------------------------------------------------- our own file


def test_a_file_that_becomes_shorter_while_it_is_sent(tmp_path: Path) -> None:
    instance = make_instance(tmp_path, 1, pixels=20 * MEGABYTES)
    said: list[bytes] = []

    def act(wire: Wire) -> None:
        os.truncate(instance.path, 6 * MEGABYTES)
        said.append(wire.rest())

    with raw.peer(in_the_middle(act)) as peer:
        (outcome,) = result_of(stored(peer, instance), 5.0)
    assert type(outcome.error) is InstanceUnreadable
    assert outcome.response is None
    assert instance.path.name in outcome.error.what
    assert "became shorter" in outcome.error.what
    assert len(said) == 1  # it was not sent again


class Truncating(MemoryPacs):
    """Cuts the file of an instance short as soon as that is announced."""

    def __init__(self, instance: InstanceFile) -> None:
        super().__init__()
        self._instance = instance

    def begin_store(self, requestor: Requestor, identity: InstanceIdentity) -> StoreSink:
        if identity == self._instance.identity:
            os.truncate(self._instance.path, 6 * MEGABYTES)
        return super().begin_store(requestor, identity)


def test_the_instances_beside_one_that_becomes_shorter_are_sent(small: InstanceFile, tmp_path: Path) -> None:
    cut = make_instance(tmp_path, 1, pixels=40 * MEGABYTES)
    after = make_instance(tmp_path, 3)
    pacs = Truncating(cut)
    with Server(ServerConfig("PACS"), pacs) as server:
        outcomes = list(store(Peer(raw.HOST, server.port, "PACS", timeouts=PATIENT), [small, cut, after]))
    assert [outcome.accepted for outcome in outcomes] == [True, False, True]
    assert type(outcomes[1].error) is InstanceUnreadable
    assert set(pacs.stored) == {small.identity.sop_instance_uid, after.identity.sop_instance_uid}


# ---------------------------------------------------------------------- C-GET: the peer stores with us


class RefusingSink:
    """A disk that is full after some bytes."""

    def __init__(self, error: Exception) -> None:
        self.discarded = threading.Event()
        self._error = error

    def write(self, chunk: Any) -> None:
        raise self._error

    def finish(self) -> int:
        return 0

    def discard(self) -> None:
        self.discarded.set()


class RefusingPacs(MemoryPacs):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.sink = RefusingSink(error)

    def begin_store(self, requestor: Any, identity: Any) -> Any:
        if identity.sop_instance_uid == "1.2.3.1":
            return self.sink
        return super().begin_store(requestor, identity)


def sending_back(statuses: list[int]) -> raw.Behaviour:
    """Answer a C-GET with two C-STOREs, each of many PDUs."""

    def behave(wire: Wire) -> None:
        wire.accept()
        context_id, request, _ = wire.message()
        for number in (1, 2):
            command = {
                "AffectedSOPClassUID": CT,
                "CommandField": 0x0001,
                "MessageID": number,
                "CommandDataSetType": 1,
                "AffectedSOPInstanceUID": f"1.2.3.{number}",
            }
            wire.send(message(3, command))
            wire.send(pdata(3, 0, bytes(100_000)) * 20 + pdata(3, 2, b"end."))
            statuses.append(wire.message()[1]["Status"])
        wire.send(message(context_id, response(request, 0xB000, NumberOfFailedSuboperations=1)))
        wire.released()

    return behave


@pytest.mark.parametrize(("error", "status"), [(OSError(28, "full"), 0x0110), (Refusal(0xA700), 0xA700)])
def test_an_instance_that_cannot_be_kept_costs_only_itself(error: Exception, status: int) -> None:
    local = RefusingPacs(error)
    statuses: list[int] = []
    with raw.peer(sending_back(statuses)) as peer:
        responses = result_of(lambda: list(get(peer, QueryModel.STUDY_ROOT, study(), [CT], local)), 0.0)
    assert statuses == [status, 0x0000]
    assert local.sink.discarded.is_set()
    assert len(local.stored["1.2.3.2"][1]) == 2_000_004
    assert responses[-1].status == 0xB000


def test_a_get_that_ends_in_the_middle_of_an_instance_keeps_none_of_it() -> None:
    def behave(wire: Wire) -> None:
        wire.accept()
        wire.message()
        command = {"AffectedSOPClassUID": CT, "CommandField": 1, "MessageID": 1, "CommandDataSetType": 1}
        wire.send(message(3, command | {"AffectedSOPInstanceUID": "1.2.3.1"}) + pdata(3, 0, bytes(1000)))

    local = MemoryPacs()
    with raw.peer(behave) as peer:
        error = failure_of(lambda: list(get(peer, QueryModel.STUDY_ROOT, study(), [CT], local)), 0.0)
    assert type(error) is ConnectionLost
    assert local.discarded == ["1.2.3.1"]
    assert not local.stored
