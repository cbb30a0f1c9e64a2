"""Peers that fail us: each way ends within its deadline, as its own error, whatever was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomfab.dimse import explain
from dicomfab.dimse.command import encode
from dicomfab.dimse.endings import (
    AbortedHere,
    ConnectionDropped,
    Ending,
    PeerAborted,
    PeerReleased,
    PeerViolated,
    Stage,
    TimedOut,
)
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.scu.echo import echo
from dicomfab.dimse.scu.move import move
from dicomfab.model.errors import (
    AssociationAborted,
    ConnectionLost,
    DicomFabError,
    Interrupted,
    PeerTimeout,
    ProtocolViolation,
    TlsFailed,
)
from dicomfab.model.query import QueryModel
from dicomfab.model.study import InstanceFile
from dicomfab.ul import Abort
from dicomfab.ul.pdu import encode_pdu
from tests.unit.dimse import raw
from tests.unit.dimse.calls import CALLS, study
from tests.unit.dimse.memory_pacs import make_instance
from tests.unit.dimse.raw import (
    HTTP,
    PATIENT,
    RELEASE_REQUEST,
    TLS_ALERT,
    Wire,
    failure_of,
    message,
    pdata,
    response,
    result_of,
)

# A deadline that is to run out is short, and the others are not: what ends in time ends for its own reason.
NO_ASSOCIATION = replace(PATIENT, association_s=0.2)
NO_RESPONSE = replace(PATIENT, dimse_s=0.25, retrieve_s=0.35)
every_call = pytest.mark.parametrize("operation", CALLS)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> InstanceFile:
    return make_instance(tmp_path_factory.mktemp("failures"), 1)


def failed(
    operation: str, behave: raw.Behaviour, instance: InstanceFile, within_s: float = 0.0, timeouts: Timeouts = PATIENT
) -> DicomFabError:
    with raw.peer(behave, timeouts) as peer:
        error = failure_of(lambda: CALLS[operation](peer, instance), within_s)
    assert "Raw PACS" in error.what
    assert error.cause
    assert error.remedy
    return error


# ---------------------------------------------------------------------- instead of answering the association request


def answering(data: bytes, then: Callable[[Wire], None] = Wire.hold) -> raw.Behaviour:
    """Read the association request, say something, and do no more."""

    def behave(wire: Wire) -> None:
        wire.pdu()
        wire.send(data)
        then(wire)

    return behave


def half_an_acceptance(wire: Wire) -> None:
    answer = wire.acceptance()
    wire.send(answer[: len(answer) // 2])
    wire.hold()


def close(wire: Wire) -> None:
    wire.sock.close()


@every_call
@pytest.mark.parametrize(
    ("behave", "stage"),
    [(Wire.hold, "association"), (answering(b""), "association"), (half_an_acceptance, "pdu")],
    ids=["reads nothing", "answers nothing", "half an answer"],
)
def test_silence_instead_of_an_association(
    operation: str, behave: raw.Behaviour, stage: str, instance: InstanceFile
) -> None:
    error = failed(operation, behave, instance, NO_ASSOCIATION.association_s, NO_ASSOCIATION)
    assert isinstance(error, PeerTimeout)
    assert (error.stage, error.timeout_s) == (stage, 0.2)
    assert "within 0.2 s" in error.what


UNASKED = message(1, {"CommandField": 0x8030, "MessageIDBeingRespondedTo": 1, "Status": 0})
NOT_DICOM = [
    (HTTP, ProtocolViolation, "HTTP"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", ProtocolViolation, "SSH"),
    (b"\x0bMSH|^~\\&|RIS|", ProtocolViolation, "HL7"),
    (bytes(range(200, 256)), ProtocolViolation, "not DICOM"),
    (UNASKED, ProtocolViolation, "not expected now"),
    (RELEASE_REQUEST, ProtocolViolation, "not expected now"),
    (TLS_ALERT, TlsFailed, "TLS"),
    (bytes.fromhex("020000000004 00010000"), ProtocolViolation, "A-ASSOCIATE of 4 bytes"),
    (bytes.fromhex("0200 7fffffff"), ProtocolViolation, "2147483647 bytes"),
    (encode_pdu(Abort(0)), AssociationAborted, "its application, code 0/0"),
    (encode_pdu(Abort(2, 1)), AssociationAborted, "unrecognized PDU, code 2/1"),
    (encode_pdu(Abort(7, 99)), AssociationAborted, "code 7/99"),
]
NOT_DICOM_NAMES = "HTTP SSH HL7 noise data release TLS short huge abort-user abort-provider abort-unknown".split()


@every_call
@pytest.mark.parametrize(("said", "kind", "words"), NOT_DICOM, ids=NOT_DICOM_NAMES)
def test_something_else_instead_of_an_association(
    operation: str, said: bytes, kind: type[DicomFabError], words: str, instance: InstanceFile
) -> None:
    error = failed(operation, answering(said), instance)
    assert type(error) is kind
    assert words in error.what


@every_call
def test_a_peer_that_closes_instead_of_answering(operation: str, instance: InstanceFile) -> None:
    error = failed(operation, answering(b"", close), instance)
    assert type(error) is ConnectionLost
    assert "instead of answering the association request: it was closed" in error.what


@every_call
def test_a_peer_that_resets_instead_of_answering(operation: str, instance: InstanceFile) -> None:
    error = failed(operation, answering(b"", Wire.reset), instance)
    assert type(error) is ConnectionLost
    assert "it was reset" in error.what


# ---------------------------------------------------------------------- instead of answering the request

Reply = Callable[[int, dict[str, Any]], bytes]


def replying(reply: Reply, then: Callable[[Wire], None] = Wire.hold) -> raw.Behaviour:
    """Accept the association, read the request, say something, and do no more."""

    def behave(wire: Wire) -> None:
        wire.accept()
        context_id, command, _ = wire.message()
        wire.send(reply(context_id, command))
        then(wire)

    return behave


def nothing(_context_id: int, _command: dict[str, Any]) -> bytes:
    return b""


def half_a_pdu(context_id: int, command: dict[str, Any]) -> bytes:
    whole = message(context_id, response(command))
    return whole[: len(whole) // 2]


def half_a_command(context_id: int, command: dict[str, Any]) -> bytes:
    return pdata(context_id, 1, encode(response(command))[:20])


def command_without_its_data(context_id: int, command: dict[str, Any]) -> bytes:
    return message(context_id, response(command, 0xFF00, data=True))


def waited_s(operation: str) -> float:
    """How long one answer is waited for."""
    return NO_RESPONSE.retrieve_s if operation in ("C-GET", "C-MOVE") else NO_RESPONSE.dimse_s


@every_call
@pytest.mark.parametrize("reply", [nothing, half_a_command])
def test_no_response(operation: str, reply: Reply, instance: InstanceFile) -> None:
    tries = 2 if operation == "C-STORE" else 1  # an instance without a response is sent once more
    error = failed(operation, replying(reply), instance, tries * waited_s(operation), NO_RESPONSE)
    assert isinstance(error, PeerTimeout)
    assert (error.stage, error.timeout_s) == ("dimse", waited_s(operation))


@every_call
@pytest.mark.parametrize("reply", [half_a_pdu, lambda *_: b"\x04", lambda *_: bytes.fromhex("0400 00000010 0000")])
def test_half_a_pdu(operation: str, reply: Reply, instance: InstanceFile) -> None:
    """Regression: with the wire that this one replaced, it hung for ever."""
    error = failed(operation, replying(reply), instance, NO_RESPONSE.dimse_s, NO_RESPONSE)
    assert isinstance(error, PeerTimeout)
    assert (error.stage, error.timeout_s) == ("pdu", NO_RESPONSE.dimse_s)
    assert "in the middle of a message" in error.what


@pytest.mark.parametrize("operation", ["C-FIND", "C-GET", "C-MOVE"])
def test_a_response_whose_identifier_does_not_come(operation: str, instance: InstanceFile) -> None:
    error = failed(operation, replying(command_without_its_data), instance, NO_RESPONSE.dimse_s, NO_RESPONSE)
    assert isinstance(error, PeerTimeout)
    assert (error.stage, error.timeout_s) == ("pdu", NO_RESPONSE.dimse_s)


def trickling(wire: Wire) -> None:
    wire.accept()
    context_id, command, _ = wire.message()
    for byte in message(context_id, response(command)):
        if wire.over.wait(0.05):
            return
        wire.send(bytes((byte,)))


@every_call
def test_a_response_byte_by_byte_is_not_waited_for_without_end(operation: str, instance: InstanceFile) -> None:
    error = failed(operation, trickling, instance, waited_s(operation), NO_RESPONSE)
    assert isinstance(error, PeerTimeout)
    assert error.stage == "pdu"


VIOLATIONS: dict[str, tuple[Reply, str]] = {
    "wrong message id": (
        lambda c, q: message(c, response(q, MessageIDBeingRespondedTo=q["MessageID"] + 1)),
        "a response to a request that was not sent",
    ),
    "no message id": (
        lambda c, q: message(c, {"CommandField": q["CommandField"] | 0x8000, "Status": 0}),
        "a response to a request that was not sent",
    ),
    "no status": (
        lambda c, q: message(c, {k: v for k, v in response(q).items() if k != "Status"}),
        "a response without a status",
    ),
    "unknown context": (
        lambda _c, q: message(99, response(q)),
        "a presentation context that was not accepted",
    ),
    "even context": (
        lambda _c, q: message(2, response(q)),
        "a presentation context that was not accepted",
    ),
    "data set without command": (lambda c, _q: pdata(c, 2, bytes(10)), "a data set without a command set"),
    "data set in a command": (
        lambda c, q: pdata(c, 1, encode(response(q))[:20]) + pdata(c, 2, bytes(10)),
        "a data set without a command set",
    ),
    "command in two contexts": (
        lambda c, q: pdata(99, 1, encode(response(q))[:20]) + pdata(c, 3, encode(response(q))[20:]),
        "a command set in two presentation contexts",
    ),
    "fragments of nothing": (lambda c, _q: pdata(c, 1, b"") * 100, "an empty fragment"),
    "command of 10 MB": (lambda c, _q: pdata(c, 1, bytes(100_000)) * 100, "a command set that is too long"),
    "no command set": (lambda c, _q: pdata(c, 3, b"\x10\x00\x10\x00\xff\xff\xff\xff"), "in a command set of"),
    "empty command set": (lambda c, _q: pdata(c, 3, b""), "without a command field"),
    "a request": (
        lambda c, q: message(c, {"CommandField": 0x0030, "MessageID": 1}),
        "a C-ECHO-RQ that nobody expects",
    ),
    "a second acceptance": (lambda *_: bytes.fromhex("0200 00000004 00010000"), "A-ASSOCIATE of 4 bytes"),
    "PDU too long": (lambda *_: bytes.fromhex("0400 00020001"), "131073 bytes; 131072 is the most"),
    "PDU without value": (lambda *_: bytes.fromhex("0400 00000000"), "a P-DATA-TF of 0 bytes"),
    "value too long": (lambda *_: bytes.fromhex("0400 0000000a 00000010 0103"), "a data value of 16 bytes"),
    "value too short": (lambda *_: bytes.fromhex("0400 00000006 00000001 0103"), "a data value of 1 bytes"),
    "HTTP": (lambda *_: HTTP, "answered in HTTP"),
    "noise": (lambda *_: b"\xaa" * 50, "sent what is not DICOM"),
}


@every_call
@pytest.mark.parametrize("violation", VIOLATIONS)
def test_a_peer_that_breaks_the_protocol(operation: str, violation: str, instance: InstanceFile) -> None:
    reply, words = VIOLATIONS[violation]
    error = failed(operation, replying(reply), instance)
    assert type(error) is ProtocolViolation
    assert not error.transient
    assert words in error.what
    assert f"during {operation}" in error.what


@every_call
def test_a_peer_that_breaks_the_protocol_is_sent_an_abort(operation: str, instance: InstanceFile) -> None:
    farewells: list[bytes] = []
    failed(operation, replying(lambda c, _q: pdata(c, 3, b""), lambda wire: farewells.append(wire.pdu())), instance)
    assert farewells[0][:6] == b"\x07\0\0\0\0\x04"


@every_call
@pytest.mark.parametrize(("source", "reason"), [(0, 0), (2, 0), (2, 1), (2, 6)])
def test_an_abort_with_the_connection_left_open(
    operation: str, source: int, reason: int, instance: InstanceFile
) -> None:
    abort = encode_pdu(Abort(source, reason))
    error = failed(operation, replying(lambda *_: abort), instance)
    assert type(error) is AssociationAborted
    assert f"aborted the association during {operation}" in error.what
    assert f"code {source}/{reason}" in error.what


@every_call
@pytest.mark.parametrize(("end", "how"), [(close, "closed"), (Wire.reset, "reset")], ids=["closed", "reset"])
def test_a_connection_that_ends(operation: str, end: Callable[[Wire], None], how: str, instance: InstanceFile) -> None:
    error = failed(operation, replying(nothing, end), instance)
    assert type(error) is ConnectionLost
    assert f"ended the connection during {operation}: it was {how} without an abort" in error.what


@every_call
def test_a_release_in_the_middle_of_a_request(operation: str, instance: InstanceFile) -> None:
    answers: list[bytes] = []

    def listening(wire: Wire) -> None:
        answers.append(wire.pdu())

    error = failed(operation, replying(lambda *_: RELEASE_REQUEST, listening), instance)
    assert type(error) is AssociationAborted
    assert f"released the association during {operation}" in error.what
    assert answers[0] == raw.RELEASE_RESPONSE


# ---------------------------------------------------------------------- at the end, and between two responses


@every_call
@pytest.mark.parametrize(
    "ending",
    [encode_pdu(Abort(0)), RELEASE_REQUEST, HTTP, bytes.fromhex("0400 00000001 00")],
    ids=["abort", "release", "HTTP", "bad PDU"],
)
def test_what_comes_behind_the_last_response_does_not_undo_it(
    operation: str, ending: bytes, instance: InstanceFile
) -> None:
    with raw.peer(replying(lambda c, q: message(c, response(q)) + ending)) as peer:
        result = result_of(lambda: CALLS[operation](peer, instance), 0.0)
    assert result is not None


def never_released(wire: Wire) -> None:
    wire.accept()
    context_id, command, _ = wire.message()
    wire.send(message(context_id, response(command)))
    wire.hold()


def flooding(wire: Wire) -> None:
    """Say more, and faster, than anyone can read."""
    wire.accept()
    context_id, command, _ = wire.message()
    wire.send(message(context_id, response(command)))
    flood = pdata(context_id, 0, b"ab") * 100_000
    while not wire.over.is_set():
        wire.send(flood)


@every_call
@pytest.mark.parametrize("behave", [never_released, flooding])
def test_a_release_that_is_not_answered_ends_in_time(
    operation: str, behave: raw.Behaviour, instance: InstanceFile
) -> None:
    timeouts = replace(PATIENT, association_s=0.3)
    with raw.peer(behave, timeouts) as peer:
        assert result_of(lambda: CALLS[operation](peer, instance), timeouts.association_s) is not None


def test_a_pdu_deadline_begins_with_its_pdu() -> None:
    """A PDU that comes in pieces has its own deadline, however long ago the one before it was."""
    timeouts = replace(PATIENT, dimse_s=0.5)

    def behave(wire: Wire) -> None:
        wire.accept()
        context_id, command, _ = wire.message()
        pending = message(context_id, response(command, 0xFF00))
        for piece in (pending[:20], pending[20:]):
            wire.send(piece)
            wire.over.wait(0.1)
        wire.over.wait(0.6)
        final = message(context_id, response(command))
        for piece in (final[:3], final[3:30], final[30:]):
            wire.send(piece)
            wire.over.wait(0.1)
        wire.released()

    with raw.peer(behave, timeouts) as peer:
        responses = result_of(lambda: list(move(peer, QueryModel.STUDY_ROOT, study(), "TARGET")), 3.0)
    assert [r.status for r in responses] == [0xFF00, 0x0000]


# ---------------------------------------------------------------------- in words


def every_subclass(base: type) -> set[type]:
    return {found for direct in base.__subclasses__() for found in {direct, *every_subclass(direct)}}


ENDINGS: dict[type[Ending], tuple[Ending, type[DicomFabError]]] = {
    TimedOut: (TimedOut(Stage.RESPONSE, 3.0), PeerTimeout),
    PeerAborted: (PeerAborted(2, 6), AssociationAborted),
    ConnectionDropped: (ConnectionDropped(reset=True), ConnectionLost),
    PeerViolated: (PeerViolated("something odd"), ProtocolViolation),
    PeerReleased: (PeerReleased(), AssociationAborted),
    AbortedHere: (AbortedHere(), Interrupted),
}


def test_every_ending_is_explained() -> None:
    assert every_subclass(Ending) == set(ENDINGS)
    texts = set()
    for ending, kind in ENDINGS.values():
        error = explain.ended(Peer("host", 104, "CALLED"), ending, "during C-ECHO")
        assert type(error) is kind
        assert "host:104" in error.what
        texts.add(str(error))
    assert len(texts) == len(ENDINGS)


@pytest.mark.parametrize("stage", Stage)
def test_every_stage_has_words_of_its_own(stage: Stage) -> None:
    error = explain.timed_out(Peer("host", 104, "CALLED"), TimedOut(stage, 7.0))
    assert (error.stage, error.timeout_s) == (str(stage), 7.0)
    assert "within 7 s" in error.what
    assert error.cause
    assert error.remedy
    others = {explain.timed_out(Peer("h", 1, "C"), TimedOut(other, 7.0)).cause for other in Stage if other != stage}
    assert error.cause not in others


@settings(deadline=None)
@given(st.integers(0, 255), st.integers(0, 255))
def test_any_abort_is_explained_with_its_code(source: int, reason: int) -> None:
    error = explain.aborted(Peer("host", 104, "CALLED"), PeerAborted(source, reason), "during C-ECHO")
    assert f"code {source}/{reason}" in error.what
    assert error.cause
    assert error.remedy


@settings(deadline=None, max_examples=25)
@given(st.binary(min_size=1, max_size=300))
def test_any_bytes_instead_of_an_association_end_in_a_peer_error(said: bytes) -> None:
    def behave(wire: Wire) -> None:
        wire.pdu()
        wire.send(said)
        wire.sock.shutdown(1)
        wire.rest()

    with raw.peer(behave) as peer:
        error = failure_of(lambda: echo(peer), 0.0)
    assert error.exit_code == 4


@settings(deadline=None, max_examples=25)
@given(st.binary(min_size=1, max_size=300), st.booleans())
def test_any_bytes_instead_of_a_response_end_in_a_peer_error(said: bytes, wrapped: bool) -> None:
    def behave(wire: Wire) -> None:
        wire.accept()
        context_id, _, _ = wire.message()
        wire.send(pdata(context_id, 3, said) if wrapped else said)
        wire.sock.shutdown(1)
        wire.rest()

    with raw.peer(behave) as peer:
        error = failure_of(lambda: echo(peer), 0.0)
    assert error.exit_code == 4
