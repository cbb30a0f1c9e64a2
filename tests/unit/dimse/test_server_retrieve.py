"""C-MOVE and C-GET as our server performs them when one of the other two sides fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.ul import Abort, RoleSelection
from dicomfab.ul.pdu import encode_pdu
from tests.unit.dimse import raw
from tests.unit.dimse.clients import FIND, NO_KEYS, PATIENT, asked, client, idle, no_thread_fails, still_serves
from tests.unit.dimse.memory_pacs import CT, EXPLICIT, MemoryPacs, make_instance
from tests.unit.dimse.raw import HOST, IMPLICIT, MARGIN_S, Wire, eventually, message, response

STUDY_ROOT_GET, STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.3", "1.2.840.10008.5.1.4.1.2.2.2"
GET = {**FIND, "AffectedSOPClassUID": STUDY_ROOT_GET, "CommandField": 0x0010}
MOVE = {**FIND, "AffectedSOPClassUID": STUDY_ROOT_MOVE, "CommandField": 0x0021, "MoveDestination": "RAW"}
CANCEL = {"CommandField": 0x0FFF, "MessageIDBeingRespondedTo": 1}
IMPATIENT = replace(PATIENT, pdu_timeout_s=0.3)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    with no_thread_fails():
        yield


@pytest.fixture
def pacs(tmp_path: Path) -> MemoryPacs:
    made = MemoryPacs()
    made.selected = [make_instance(tmp_path, number) for number in range(1, 6)]
    return made


def getting(server: Server) -> Wire:
    wire = raw.connect(server.port)
    roles = (RoleSelection(CT, scu=True, scp=True),)
    wire.send(encode_pdu(raw.request((STUDY_ROOT_GET, IMPLICIT), (CT, EXPLICIT), roles=roles)))
    wire.pdu()
    wire.send(message(1, GET, NO_KEYS))
    context_id, command, _ = wire.message()
    assert (context_id, command["CommandField"], command["AffectedSOPInstanceUID"]) == (3, 0x0001, "1.2.3.1")
    return wire


def taken(wire: Wire) -> Iterator[dict[str, Any]]:
    """Read on until the end; answer nothing."""
    while True:
        command = wire.message()[1]
        yield command
        if command.get("Status", 0xFF00) != 0xFF00:
            return


def test_a_get_whose_instances_are_not_answered_is_aborted(pacs: MemoryPacs) -> None:
    with Server(IMPATIENT, pacs) as server, getting(server) as wire:
        assert wire.aborted() == (0, 0)
        assert eventually(lambda: idle(server))
        still_serves(server)


@pytest.mark.parametrize(
    "answer",
    [
        {"CommandField": 0x8001, "MessageIDBeingRespondedTo": 99, "Status": 0},
        {"CommandField": 0x8001, "Status": 0},
        {"CommandField": 0x0030, "MessageID": 1},
    ],
)
def test_a_get_whose_instances_are_answered_wrongly_is_aborted(pacs: MemoryPacs, answer: dict[str, Any]) -> None:
    with Server(PATIENT, pacs) as server, getting(server) as wire:
        wire.send(message(3, answer))
        assert wire.aborted()[0] in (0, 2)
        assert eventually(lambda: idle(server))


def test_a_get_counts_what_its_requestor_could_not_keep(pacs: MemoryPacs) -> None:
    with Server(PATIENT, pacs) as server, getting(server) as wire:
        store = {"CommandField": 0x0001, "MessageID": 1}
        statuses = iter([0xA700, 0x0000, 0xB000, 0x0000, 0x0110])
        wire.send(message(3, response(store, next(statuses))))
        for command in taken(wire):
            if command["CommandField"] == 0x0001:
                wire.send(message(3, response(command, next(statuses))))
        assert command["Status"] == 0xB000
        counters = [command[f"NumberOf{kind}Suboperations"] for kind in ("Completed", "Failed", "Warning")]
        assert counters == [2, 2, 1]


def test_a_get_is_cancelled_between_two_instances(pacs: MemoryPacs) -> None:
    with Server(PATIENT, pacs) as server, getting(server) as wire:
        wire.send(message(1, CANCEL) + message(3, response({"CommandField": 1, "MessageID": 1})))
        final = list(taken(wire))[-1]
        assert final["Status"] == 0xFE00
        assert final["NumberOfRemainingSuboperations"] == 4
        wire.release()


def destination(answered: int, then: Any, seen: list[int]) -> raw.Behaviour:
    """Take so many instances, then do something, on this association and on all that follow."""

    def behave(wire: Wire) -> None:
        wire.accept()
        for _ in range(answered - len(seen)):
            context_id, command, _ = wire.message()
            seen.append(command["MoveOriginatorMessageID"])
            wire.send(message(context_id, response(command)))
        then(wire)

    return behave


def moving(server: Server) -> Wire:
    return client(server, (STUDY_ROOT_MOVE, IMPLICIT))


@pytest.mark.parametrize(
    ("then", "words"),
    [
        (Wire.hold, "Connection failed"),
        (lambda wire: wire.sock.close(), "Connection lost"),
        (lambda wire: wire.send(encode_pdu(Abort(0))), "Association aborted"),
        (lambda wire: wire.send(raw.HTTP), "Protocol violation"),
    ],
    ids=["silence", "closed", "abort", "HTTP"],
)
def test_a_move_whose_destination_fails_says_how_far_it_came(pacs: MemoryPacs, then: Any, words: str) -> None:
    seen: list[int] = []
    config = IMPATIENT if then is Wire.hold else PATIENT
    with raw.peer(destination(2, then, seen)) as target, Server(config, pacs) as server, moving(server) as wire:
        pacs.destinations["RAW"] = (HOST, target.port)
        start = time.monotonic()
        wire.send(message(1, MOVE, NO_KEYS))
        final = list(taken(wire))[-1]
        assert time.monotonic() - start < MARGIN_S
        assert final["Status"] == 0xB000
        assert (final["NumberOfCompletedSuboperations"], final["NumberOfFailedSuboperations"]) == (2, 3)
        assert final["ErrorComment"] == f"destination: {words}"
        assert seen == [1, 1]
        assert asked(wire, {**MOVE, "MoveDestination": "NOWHERE"}, NO_KEYS)["Status"] == 0xA801


def test_a_move_whose_requestor_is_gone_ends_at_its_destination_too(pacs: MemoryPacs) -> None:
    ended: list[bytes] = []
    begun = threading.Event()

    def behave(wire: Wire) -> None:
        wire.accept()
        context_id, command, _ = wire.message()
        begun.set()
        gone.wait(raw.PATIENCE_S)
        wire.send(message(context_id, response(command)))
        ended.append(wire.rest())

    gone = threading.Event()
    with raw.peer(behave) as target, Server(PATIENT, pacs) as server:
        pacs.destinations["RAW"] = (HOST, target.port)
        wire = moving(server)
        wire.send(message(1, MOVE, NO_KEYS))
        assert begun.wait(raw.PATIENCE_S)
        wire.reset()
        gone.set()
        assert eventually(lambda: idle(server))
    assert len(ended) == 1


def test_a_move_is_cancelled_between_two_instances(pacs: MemoryPacs) -> None:
    seen: list[int] = []
    told = threading.Event()

    def behave(wire: Wire) -> None:
        wire.accept()
        context_id, command, _ = wire.message()
        seen.append(command["MessageID"])
        told.wait(raw.PATIENCE_S)
        wire.send(message(context_id, response(command)))
        wire.released()

    with raw.peer(behave) as target, Server(PATIENT, pacs) as server, moving(server) as wire:
        pacs.destinations["RAW"] = (HOST, target.port)
        wire.send(message(1, MOVE, NO_KEYS))
        assert eventually(lambda: seen == [1])
        wire.send(message(1, CANCEL))
        told.set()
        final = list(taken(wire))[-1]
    assert final["Status"] == 0xFE00
    assert final["NumberOfRemainingSuboperations"] + final["NumberOfCompletedSuboperations"] == 5


def test_a_destination_that_refuses_is_told_from_one_that_is_not_there(pacs: MemoryPacs) -> None:
    with Server(ServerConfig("OTHER"), MemoryPacs()) as other, Server(PATIENT, pacs) as server, moving(server) as wire:
        pacs.destinations["RAW"] = (HOST, other.port)
        refused = asked(wire, MOVE, NO_KEYS)
        pacs.destinations["RAW"] = (HOST, 1)
        missing = asked(wire, MOVE, NO_KEYS)
    assert (refused["Status"], missing["Status"]) == (0xA702, 0xA702)
    assert refused["ErrorComment"] == "destination: AE Title not recognized"
    assert missing["ErrorComment"] == "destination: Connection failed"
