"""A C-FIND, C-MOVE or C-GET whose peer answers, but not with what it should."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from dicomfab.dimse.scu.find import DRAIN_S, find
from dicomfab.model.errors import (
    AnswerIncomplete,
    ProtocolViolation,
    StatusFailure,
)
from dicomfab.model.query import QueryModel
from tests.unit.dimse import raw
from tests.unit.dimse.calls import CALLS, study
from tests.unit.dimse.memory_pacs import make_instance
from tests.unit.dimse.raw import (
    PATIENT,
    Wire,
    failure_of,
    message,
    pdata,
    response,
    result_of,
)

NO_RESPONSE = replace(PATIENT, dimse_s=0.25, retrieve_s=0.35)


# ---------------------------------------------------------------------- C-FIND


def match(number: int) -> bytes:
    uid = f"1.2.{number}".encode()
    return struct.pack("<HHI", 0x0020, 0x000D, len(uid)) + uid


def finding(*identifiers: bytes, last: Callable[[Wire, int, dict[str, Any]], None] | None = None) -> raw.Behaviour:
    def behave(wire: Wire) -> None:
        wire.accept()
        context_id, command, _ = wire.message()
        for identifier in identifiers:
            wire.send(message(context_id, response(command, 0xFF00, data=True)))
            for start in range(0, len(identifier), 100_000):
                piece = identifier[start : start + 100_000]
                wire.send(pdata(context_id, 2 * (start + len(piece) == len(identifier)), piece))
        if last is None:
            wire.send(message(context_id, response(command)))
            wire.released()
        else:
            last(wire, context_id, command)

    return behave


@pytest.mark.parametrize(
    "identifier",
    [
        b"\x20\x00\x0d\x00\x06\x00\x00\x001.2",
        b"\x20\x00\x0d",
        b"\x28\x00\x10\x00\x03\x00\x00\x00abc",
        b"\x08\x00\x40\x11\x05\x00\x00\x00abcde",
        b"\x08\x00\x40\x11\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff",
    ],
    ids=["cut short", "no header", "half a number", "no sequence", "a sequence without end"],
)
def test_an_identifier_that_cannot_be_read_ends_the_query(identifier: bytes) -> None:
    with raw.peer(finding(match(1), match(2), identifier)) as peer:
        found: list[Dataset] = []
        error = failure_of(lambda: found.extend(find(peer, QueryModel.STUDY_ROOT, study())), 0.0)
        seen: list[str] = []
        with pytest.raises(ProtocolViolation):
            seen.extend(m.StudyInstanceUID for m in find(peer, QueryModel.STUDY_ROOT, study()))
    assert type(error) is ProtocolViolation
    assert "during C-FIND" in error.what
    assert seen == ["1.2.1", "1.2.2"]  # what came before is the caller's


def test_an_identifier_of_20_mb_is_not_kept() -> None:
    with raw.peer(finding(bytes(20 << 20))) as peer:
        error = failure_of(lambda: list(find(peer, QueryModel.STUDY_ROOT, study())), 5.0)
    assert type(error) is ProtocolViolation
    assert "too long" in error.what


def test_matches_behind_a_cancel_are_read_and_not_kept() -> None:
    cancels: list[dict[str, Any]] = []

    def last(wire: Wire, context_id: int, command: dict[str, Any]) -> None:
        cancels.append(wire.message()[1])
        for number in range(5, 8):
            wire.send(message(context_id, response(command, 0xFF00, data=True), match(number)))
        wire.send(message(context_id, response(command, 0xFE00)))
        wire.released()

    with raw.peer(finding(match(1), match(2), match(3), last=last)) as peer:
        found = result_of(lambda: list(find(peer, QueryModel.STUDY_ROOT, study(), limit=2)), 0.0)
    assert [m.StudyInstanceUID for m in found] == ["1.2.1", "1.2.2"]
    assert cancels[0]["CommandField"] == 0x0FFF
    assert cancels[0]["MessageIDBeingRespondedTo"] == 1
    assert len(cancels) == 1


def test_a_peer_that_ignores_a_cancel_is_hung_up_on_and_what_came_is_kept() -> None:
    ends: list[bytes] = []

    def last(wire: Wire, *_: object) -> None:
        wire.message()
        ends.append(wire.rest())

    with raw.peer(finding(match(1), match(2), last=last)) as peer:
        found = result_of(lambda: list(find(peer, QueryModel.STUDY_ROOT, study(), limit=1)), DRAIN_S)
    assert [m.StudyInstanceUID for m in found] == ["1.2.1"]
    assert ends[0][:1] == b"\x07"  # A-ABORT


def test_a_peer_that_answers_on_for_ever_after_a_cancel_is_hung_up_on() -> None:
    def last(wire: Wire, context_id: int, command: dict[str, Any]) -> None:
        more = message(context_id, response(command, 0xFF00, data=True), match(9))
        with contextlib.suppress(OSError):
            while True:
                wire.send(more)

    with raw.peer(finding(match(1), last=last)) as peer:
        found = result_of(lambda: list(find(peer, QueryModel.STUDY_ROOT, study(), limit=1)), DRAIN_S)
    assert [m.StudyInstanceUID for m in found] == ["1.2.1"]


@pytest.mark.parametrize("status", [0x0000, 0xA700, 0xC001])
def test_whatever_a_cancelled_peer_ends_with_what_came_is_kept(status: int) -> None:
    def last(wire: Wire, context_id: int, command: dict[str, Any]) -> None:
        wire.message()
        wire.send(message(context_id, response(command, status)))
        wire.released()

    with raw.peer(finding(match(1), last=last)) as peer:
        found = result_of(lambda: list(find(peer, QueryModel.STUDY_ROOT, study(), limit=1)), 0.0)
    assert [m.StudyInstanceUID for m in found] == ["1.2.1"]


def test_a_cancel_that_nobody_asked_for_is_a_failure() -> None:
    def last(wire: Wire, context_id: int, command: dict[str, Any]) -> None:
        wire.send(message(context_id, response(command, 0xFE00)))
        wire.rest()

    with raw.peer(finding(match(1), last=last)) as peer:
        error = failure_of(lambda: list(find(peer, QueryModel.STUDY_ROOT, study(), limit=5)), 0.0)
    assert isinstance(error, StatusFailure)


def test_every_response_is_reported_the_final_warning_too() -> None:
    def last(wire: Wire, context_id: int, command: dict[str, Any]) -> None:
        wire.send(message(context_id, response(command, 0xB000, ErrorComment="slow disk")))
        wire.released()

    reported: list[tuple[int, str]] = []
    with raw.peer(finding(match(1), last=last)) as peer:
        result_of(
            lambda: list(
                find(peer, QueryModel.STUDY_ROOT, study(), report=lambda r: reported.append((r.status, r.comment)))
            ),
            0.0,
        )
    assert reported == [(0xFF00, ""), (0xB000, "slow disk")]
    with raw.peer(finding(match(1), last=last)) as peer:
        error = failure_of(lambda: list(find(peer, QueryModel.STUDY_ROOT, study())), 0.0)
    assert type(error) is AnswerIncomplete
    assert "warning B000: slow disk" in error.what


# ---------------------------------------------------------------------- C-GET and C-MOVE

FAILED_IMPLICIT = [
    (b"\x08\0\x58\0\x08\0\0\x001.2\\1.3\0", ("1.2", "1.3")),
    (b"\x08\0\x58\0\x04\0\0\x001.2\0", ("1.2",)),
    (b"\x08\0\x58\0\0\0\0\0", ()),
    (b"\x10\0\x10\0\x04\0\0\0A^B ", ()),
    (b"", ()),
]
FAILED_EXPLICIT = [
    (b"\x08\0\x58\0UI\x04\x001.2\0", ("1.2",)),
    (b"\x08\0\x58\0US\x02\0\1\0", ()),
    (b"\x08\0\x58\0US\x04\0\1\0\2\0", ()),
    (b"\x08\0\x58\0UL\0\0", ()),
    (b"\x08\0\x58\0OB\0\0\x04\0\0\x001.2\0", ()),
    (b"\x08\0\x58\0SQ\0\0\x14\0\0\0\xfe\xff\0\xe0\x0c\0\0\0\x10\0\x10\0PN\x04\0A^B ", ()),
]
LISTS = [(0, *case) for case in FAILED_IMPLICIT] + [(1, *case) for case in FAILED_EXPLICIT]


def ending_with(identifier: bytes, syntax: int) -> raw.Behaviour:
    def behave(wire: Wire) -> None:
        wire.accept(syntax=syntax)
        context_id, command, _ = wire.message()
        wire.send(message(context_id, response(command, 0xB000, data=True), identifier))
        wire.released()

    return behave


@pytest.mark.parametrize("operation", ["C-GET", "C-MOVE"])
@pytest.mark.parametrize(("syntax", "identifier", "uids"), LISTS)
def test_failed_instances_are_those_that_the_peer_lists(
    operation: str, syntax: int, identifier: bytes, uids: tuple[str, ...], tmp_path: Path
) -> None:
    with raw.peer(ending_with(identifier, syntax)) as peer:
        final = result_of(lambda: CALLS[operation](peer, make_instance(tmp_path, 1)), 0.0)[-1]
    assert final.status == 0xB000
    assert final.failed_sop_instance_uids == uids


@pytest.mark.parametrize("operation", ["C-GET", "C-MOVE"])
def test_a_list_of_failed_instances_that_cannot_be_read_ends_the_request(operation: str, tmp_path: Path) -> None:
    with raw.peer(ending_with(b"\x08\0\x58\0US\x03\0\1\0\2", 1)) as peer:
        error = failure_of(lambda: CALLS[operation](peer, make_instance(tmp_path, 1)), 0.0)
    assert type(error) is ProtocolViolation
    assert "(0008,0058)" in error.what
