"""The state machine of PS3.8 section 9.2, cell by cell: as a table, and driven with real bytes and primitives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from pynetdicom.fsm import TRANSITION_TABLE as FOREIGN_TABLE

from dicomfab.ul import (
    Abort,
    Aborted,
    AssociateRJ,
    AssociationAccepted,
    AssociationRejected,
    AssociationRequested,
    ConnectionLost,
    Fragment,
    LocalProtocolError,
    ProtocolViolated,
    Released,
    ReleaseRequested,
    RequestRefused,
    Role,
    State,
    UpperLayer,
)
from dicomfab.ul.pdu import encode_pdu
from dicomfab.ul.states import TRANSITIONS
from tests.unit.ul.driving import ANSWER, INTO, REQUEST, acceptor, content, established, receive, sent

RQ, AC = encode_pdu(REQUEST), encode_pdu(ANSWER)
RJ = bytes.fromhex("03 00 00000004 00 01 01 07")
DATA = bytes.fromhex("04 00 00000008 00000004 01 03 6162")
RELEASE_RQ = bytes.fromhex("05 00 00000004 00000000")
RELEASE_RP = bytes.fromhex("06 00 00000004 00000000")
USER_ABORT = bytes.fromhex("07 00 00000004 0000 00 00")
UNEXPECTED, UNRECOGNIZED, INVALID = (bytes.fromhex(f"07 00 00000004 0000 02 {reason}") for reason in ("02", "01", "06"))

#: Table 9-10 read by columns. For each state: each event, what it does, and the state that it leads to.
_COLUMNS = """
1: 1 AE-1 4, 5 AE-5 2
2: 3 AA-1 13, 4 AA-1 13, 6 AE-6 3, 10 AA-1 13, 12 AA-1 13, 13 AA-1 13, 16 AA-2 1, 17 AA-5 1, 18 AA-2 1,
   19 AA-1 13
3: 3 AA-8 13, 4 AA-8 13, 6 AA-8 13, 7 AE-7 6, 8 AE-8 13, 10 AA-8 13, 12 AA-8 13, 13 AA-8 13, 15 AA-1 13,
   16 AA-3 1, 17 AA-4 1, 19 AA-8 13
4: 2 AE-2 5, 15 AA-2 1, 17 AA-4 1
5: 3 AE-3 6, 4 AE-4 1, 6 AA-8 13, 10 AA-8 13, 12 AA-8 13, 13 AA-8 13, 15 AA-1 13, 16 AA-3 1, 17 AA-4 1,
   19 AA-8 13
6: 3 AA-8 13, 4 AA-8 13, 6 AA-8 13, 9 DT-1 6, 10 DT-2 6, 11 AR-1 7, 12 AR-2 8, 13 AA-8 13, 15 AA-1 13,
   16 AA-3 1, 17 AA-4 1, 19 AA-8 13
7: 3 AA-8 13, 4 AA-8 13, 6 AA-8 13, 10 AR-6 7, 12 AR-8 9, 13 AR-3 1, 15 AA-1 13, 16 AA-3 1, 17 AA-4 1,
   19 AA-8 13
8: 3 AA-8 13, 4 AA-8 13, 6 AA-8 13, 9 AR-7 8, 10 AA-8 13, 12 AA-8 13, 13 AA-8 13, 14 AR-4 13, 15 AA-1 13,
   16 AA-3 1, 17 AA-4 1, 19 AA-8 13
9: 3 AA-8 13, 4 AA-8 13, 6 AA-8 13, 10 AA-8 13, 12 AA-8 13, 13 AA-8 13, 14 AR-9 11, 15 AA-1 13, 16 AA-3 1,
   17 AA-4 1, 19 AA-8 13
10: 3 AA-8 13, 4 AA-8 13, 6 AA-8 13, 10 AA-8 13, 12 AA-8 13, 13 AR-10 12, 15 AA-1 13, 16 AA-3 1, 17 AA-4 1,
   19 AA-8 13
11: 3 AA-8 13, 4 AA-8 13, 6 AA-8 13, 10 AA-8 13, 12 AA-8 13, 13 AR-3 1, 15 AA-1 13, 16 AA-3 1, 17 AA-4 1,
   19 AA-8 13
12: 3 AA-8 13, 4 AA-8 13, 6 AA-8 13, 10 AA-8 13, 12 AA-8 13, 13 AA-8 13, 14 AR-4 13, 15 AA-1 13, 16 AA-3 1,
   17 AA-4 1, 19 AA-8 13
13: 3 AA-6 13, 4 AA-6 13, 6 AA-7 13, 10 AA-6 13, 12 AA-6 13, 13 AA-6 13, 16 AA-2 1, 17 AR-5 1, 18 AA-2 1,
   19 AA-7 13
"""


def _read_columns() -> dict[int, dict[int, tuple[str, int]]]:
    table = {}
    for column in _COLUMNS.strip().replace("\n  ", "").splitlines():
        state, cells = column.split(":")
        split = (cell.split() for cell in cells.split(","))
        table[int(state)] = {int(event): (action, int(following)) for event, action, following in split}
    return table


TABLE = _read_columns()


def _ours() -> dict[int, dict[int, tuple[str, int]]]:
    found: dict[int, dict[int, tuple[str, int]]] = {int(state): {} for state in State}
    for happening, row in TRANSITIONS.items():
        for state, transition in row.items():
            found[state][happening] = (transition.action.name.replace("_", "-"), int(transition.next_state))
    return found


def test_the_table_is_that_of_the_standard() -> None:
    assert _ours() == TABLE


def test_two_actions_have_a_second_way_out() -> None:
    others = {
        (transition.action.name, transition.next_state, transition.otherwise)
        for row in TRANSITIONS.values()
        for transition in row.values()
        if transition.otherwise is not None
    }
    assert others == {("AE_6", State.STA3, State.STA13), ("AR_8", State.STA9, State.STA10)}


def test_the_table_is_that_of_another_implementation() -> None:
    theirs = {(int(event[3:]), int(state[3:])): action for (event, state), action in FOREIGN_TABLE.items()}
    assert {(event, state): cell[0] for state, row in _ours().items() for event, cell in row.items()} == theirs


# ---------------------------------------------------------------------- every cell, driven


#: What brings each event about; calls with bytes return the events that come out.
CAUSES: dict[int, Callable[[UpperLayer], Any]] = {
    1: lambda layer: layer.associate(REQUEST),
    2: UpperLayer.connected,
    3: lambda layer: receive(layer, AC),
    4: lambda layer: receive(layer, RJ),
    5: UpperLayer.connected,
    6: lambda layer: receive(layer, RQ),
    7: lambda layer: layer.accept(ANSWER),
    8: lambda layer: layer.reject(AssociateRJ(1, 1, 7)),
    9: lambda layer: layer.data(1, b"ab"),
    10: lambda layer: receive(layer, DATA),
    11: UpperLayer.release,
    12: lambda layer: receive(layer, RELEASE_RQ),
    13: lambda layer: receive(layer, RELEASE_RP),
    14: UpperLayer.release_response,
    15: UpperLayer.abort,
    16: lambda layer: receive(layer, bytes.fromhex("07 00 00000004 0000 02 05")),
    17: UpperLayer.connection_closed,
    18: UpperLayer.artim_expired,
    19: lambda layer: receive(layer, bytes.fromhex("08 00 00000004 00000000")),
}
BYTES = {3, 4, 6, 10, 12, 13, 16, 19}
PRIMITIVES = {1, 7, 8, 9, 11, 14}


@dataclass(frozen=True)
class Effect:
    """What an action does, in the words of tables 9-6 to 9-9."""

    sends: bytes = b""
    issues: tuple[object, ...] = ()
    artim: bool = False
    closes: bool = False


EFFECTS = {
    "AE-1": Effect(),
    "AE-2": Effect(sends=RQ),
    "AE-3": Effect(issues=(AssociationAccepted(ANSWER),)),
    "AE-4": Effect(issues=(AssociationRejected(AssociateRJ(1, 1, 7)),), closes=True),
    "AE-5": Effect(artim=True),
    "AE-6": Effect(issues=(AssociationRequested(REQUEST),)),
    "AE-7": Effect(sends=AC),
    "AE-8": Effect(sends=RJ, artim=True),
    "DT-1": Effect(sends=DATA),
    "DT-2": Effect(issues=(Fragment(1, True, True, b"ab"),)),  # type: ignore[arg-type]
    "AR-1": Effect(sends=RELEASE_RQ),
    "AR-2": Effect(issues=(ReleaseRequested(),)),
    "AR-3": Effect(issues=(Released(),), closes=True),
    "AR-4": Effect(sends=RELEASE_RP, artim=True),
    "AR-5": Effect(closes=True),
    "AR-6": Effect(issues=(Fragment(1, True, True, b"ab"),)),  # type: ignore[arg-type]
    "AR-7": Effect(sends=DATA),
    "AR-8": Effect(issues=(ReleaseRequested(),)),
    "AR-9": Effect(sends=RELEASE_RP),
    "AR-10": Effect(issues=(Released(),)),
    "AA-1": Effect(sends=USER_ABORT, artim=True),
    "AA-2": Effect(closes=True),
    "AA-3": Effect(issues=(Aborted(2, 5),), closes=True),
    "AA-4": Effect(issues=(ConnectionLost(),), closes=True),
    "AA-5": Effect(closes=True),
    "AA-6": Effect(artim=True),
    "AA-7": Effect(sends=UNEXPECTED, artim=True),
    "AA-8": Effect(sends=UNEXPECTED, artim=True),
}

#: "Connection confirmed" is for the requestor to see, "connection indicated" for the acceptor.
WHO_SEES = {2: Role.REQUESTOR, 5: Role.ACCEPTOR}
EVERY_CELL = [
    pytest.param(state, role, event, id=f"Sta{state}-Evt{event}-{role.value}")
    for state, role in INTO
    for event in CAUSES
    if WHO_SEES.get(event, role) is role
]


def test_every_state_is_driven() -> None:
    assert {state for state, _ in INTO} == set(TABLE)
    assert set(CAUSES) == set(range(1, 20))
    for (state, role), make in INTO.items():
        layer = make()
        assert (layer.state, layer.role) == (state, role)
        assert layer.artim_running is (state in (2, 13))
        assert not layer.closing
        assert sent(layer) == b""


@pytest.mark.parametrize(("state", "role", "event"), EVERY_CELL)
def test_cell(state: int, role: Role, event: int) -> None:
    layer = INTO[state, role]()
    cell = TABLE[state].get(event)
    if cell is None:
        check_empty(layer, event)
        return
    action, following = cell
    if action == "AR-8" and role is Role.ACCEPTOR:
        following = 10
    outcome = tuple(CAUSES[event](layer) or ())
    outgoing = sent(layer)
    if event == 9:
        outgoing, outcome = outgoing + content(outcome), ()
    check_filled(layer, action, event, outcome, outgoing)
    assert layer.state == following


def check_filled(layer: UpperLayer, action: str, event: int, issued: tuple[Any, ...], outgoing: bytes) -> None:
    effect = EFFECTS[action]
    assert layer.artim_running is effect.artim
    assert layer.closing is effect.closes
    if action in ("AA-1", "AA-8") and event != 15:
        (violation,) = issued
        assert isinstance(violation, ProtocolViolated)
        assert violation.reason == (1 if event == 19 else 2)
        assert violation.first_bytes == (bytes.fromhex("08000000000400000000") if event == 19 else b"")
    else:
        assert issued == effect.issues
    by_provider = action in ("AA-7", "AA-8")
    assert outgoing.hex() == (UNRECOGNIZED if by_provider and event == 19 else effect.sends).hex()


def check_empty(layer: UpperLayer, event: int) -> None:
    before = (layer.state, layer.artim_running, layer.closing)
    if event in PRIMITIVES | BYTES | {2, 5}:
        with pytest.raises(LocalProtocolError):
            CAUSES[event](layer)
    else:
        assert not CAUSES[event](layer)
    assert (layer.state, layer.artim_running, layer.closing) == before
    assert sent(layer) == b""


# ---------------------------------------------------------------------- what a cell alone does not show


def _changed(**fields: Any) -> bytes:
    return encode_pdu(replace(REQUEST, **fields))


@pytest.mark.parametrize(
    ("request_bytes", "rejection"),
    [
        pytest.param(_changed(protocol_version=2), AssociateRJ(1, 2, 2), id="protocol version"),
        pytest.param(_changed(application_context="1.2.3"), AssociateRJ(1, 1, 2), id="application context"),
    ],
)
def test_a_request_that_the_provider_cannot_accept_is_rejected(request_bytes: bytes, rejection: AssociateRJ) -> None:
    layer = acceptor()
    (refused,) = receive(layer, request_bytes)
    assert isinstance(refused, RequestRefused)
    assert refused.rejection == rejection
    assert sent(layer) == encode_pdu(rejection)
    assert (layer.state, layer.artim_running, layer.closing) == (State.STA13, True, False)
    layer.artim_expired()
    assert (layer.state, layer.artim_running, layer.closing) == (State.STA1, False, True)


def test_a_request_for_several_protocol_versions_is_accepted_if_ours_is_among_them() -> None:
    (event,) = receive(acceptor(), _changed(protocol_version=0xFFFF))
    assert isinstance(event, AssociationRequested)


@pytest.mark.parametrize("state_and_role", [one for one in INTO if one[0] in (3, 5, 6, 7, 8, 9, 10, 11, 12)])
def test_an_invalid_pdu_is_answered_with_its_reason(state_and_role: tuple[int, Role]) -> None:
    layer = INTO[state_and_role]()
    (violation,) = receive(layer, bytes.fromhex("05 00 00000002 0000") + RELEASE_RQ)
    assert violation == ProtocolViolated("a PDU of type 05H with 2 bytes instead of 4", 6)
    assert sent(layer) == INVALID
    assert receive(layer, RELEASE_RQ + RQ) == []
    assert layer.state is State.STA13
    layer.connection_closed()
    assert (layer.state, layer.closing, layer.artim_running) == (State.STA1, True, False)


@pytest.mark.parametrize("role", list(Role))
def test_data_of_a_pdu_under_way_is_ignored_after_our_abort(role: Role) -> None:
    layer = established(role)
    assert len(receive(layer, DATA[:-1])) == 1
    assert layer.in_pdu
    layer.abort()
    assert sent(layer) == USER_ABORT
    assert receive(layer, DATA[-1:] + DATA + RELEASE_RP + DATA) == []
    assert layer.state is State.STA13
    assert not layer.in_pdu
    assert receive(layer, USER_ABORT) == []
    assert (layer.state, layer.closing) == (State.STA1, True)


def test_data_that_is_not_expected_is_skipped_whole() -> None:
    layer = acceptor()
    many = b"\x04\x00" + (14).to_bytes(4, "big") + (bytes.fromhex("00000003 01 00") + b"x") * 2
    assert [type(event) for event in receive(layer, many + many, 1)] == [ProtocolViolated]
    assert sent(layer) == USER_ABORT
    assert receive(layer, USER_ABORT) == []
    assert layer.closing


@pytest.mark.parametrize("state_and_role", [one for one in INTO if one[0] not in (1, 4)])
def test_after_the_end_bytes_and_timers_do_nothing(state_and_role: tuple[int, Role]) -> None:
    layer = INTO[state_and_role]()
    layer.connection_closed()
    assert (layer.state, layer.closing, layer.artim_running) == (State.STA1, True, False)
    for data in (RQ, AC, RJ, DATA, RELEASE_RQ, RELEASE_RP, USER_ABORT, b"GET / HTTP/1.1\r\n\r\n"):
        assert receive(layer, data) == []
    layer.artim_expired()
    layer.abort()
    assert layer.connection_closed() == []
    assert sent(layer) == b""
    assert (layer.state, layer.closing, layer.artim_running) == (State.STA1, True, False)


@pytest.mark.parametrize("role", list(Role))
def test_a_layer_has_one_association_and_no_second_one(role: Role) -> None:
    layer = established(role)
    layer.connection_closed()
    for again in (UpperLayer.connected, lambda layer: layer.associate(REQUEST)):
        with pytest.raises(LocalProtocolError):
            again(layer)
    assert (layer.state, layer.closing) == (State.STA1, True)


@pytest.mark.parametrize(
    ("primitive", "argument"),
    [(UpperLayer.accept, ANSWER), (UpperLayer.reject, AssociateRJ(1, 1, 1))],
)
def test_a_response_that_cannot_be_encoded_changes_nothing(primitive: Callable[..., None], argument: object) -> None:
    layer = INTO[3, Role.ACCEPTOR]()
    broken = {"protocol_version": 1 << 16} if argument is ANSWER else {"reason": 256}
    with pytest.raises(LocalProtocolError):
        primitive(layer, replace(argument, **broken))  # type: ignore[type-var]
    assert (layer.state, sent(layer)) == (State.STA3, b"")
    primitive(layer, argument)
    assert sent(layer) == (AC if argument is ANSWER else encode_pdu(AssociateRJ(1, 1, 1)))


def test_an_abort_of_the_user_and_one_of_the_provider_are_told_apart() -> None:
    for abort in (Abort(0, 0), Abort(2, 4)):
        assert receive(established(Role.REQUESTOR), encode_pdu(abort)) == [Aborted(abort.source, abort.reason)]


# ---------------------------------------------------------------------- two of ours against each other


class Pair:
    """Both sides of an association, their bytes carried over by hand."""

    def __init__(self) -> None:
        self.requestor = INTO[4, Role.REQUESTOR]()
        self.acceptor = acceptor()
        self.requestor.connected()
        assert self.to_acceptor() == [AssociationRequested(REQUEST)]
        self.acceptor.accept(ANSWER)
        assert self.to_requestor() == [AssociationAccepted(ANSWER)]

    def to_acceptor(self) -> list[Any]:
        return receive(self.acceptor, sent(self.requestor))

    def to_requestor(self) -> list[Any]:
        return receive(self.requestor, sent(self.acceptor))

    @property
    def states(self) -> tuple[State, State]:
        return self.requestor.state, self.acceptor.state


def test_an_association_from_its_request_to_its_release() -> None:
    pair = Pair()
    message = content(pair.requestor.data(1, b"command", (b"data",)))
    assert [tuple(one) for one in receive(pair.acceptor, message) if isinstance(one, Fragment)] == [
        (1, True, True, b"command"),
        (1, False, True, b"data"),
    ]
    pair.requestor.release()
    assert pair.to_acceptor() == [ReleaseRequested()]
    last_words = content(pair.acceptor.data(1, b"response"))
    assert [bytes(one.data) for one in receive(pair.requestor, last_words) if isinstance(one, Fragment)] == [
        b"response"
    ]
    pair.acceptor.release_response()
    assert pair.to_requestor() == [Released()]
    assert pair.states == (State.STA1, State.STA13)
    assert pair.requestor.closing
    assert pair.acceptor.artim_running
    assert pair.acceptor.connection_closed() == []
    assert pair.states == (State.STA1, State.STA1)


def test_a_release_collision() -> None:
    pair = Pair()
    pair.requestor.release()
    pair.acceptor.release()
    crossing = sent(pair.requestor), sent(pair.acceptor)
    assert receive(pair.acceptor, crossing[0]) == [ReleaseRequested()]
    assert receive(pair.requestor, crossing[1]) == [ReleaseRequested()]
    assert pair.states == (State.STA9, State.STA10)
    with pytest.raises(LocalProtocolError):
        pair.acceptor.release_response()  # the requestor answers first
    pair.requestor.release_response()
    assert pair.states == (State.STA11, State.STA10)
    assert pair.to_acceptor() == [Released()]
    assert pair.states == (State.STA11, State.STA12)
    assert not pair.acceptor.closing
    pair.acceptor.release_response()
    assert pair.to_requestor() == [Released()]
    assert pair.states == (State.STA1, State.STA13)
    assert pair.requestor.closing
    pair.acceptor.connection_closed()
    assert pair.states == (State.STA1, State.STA1)
    assert pair.acceptor.closing


def test_each_side_keeps_to_what_the_other_one_takes() -> None:
    pair = Pair()
    assert pair.requestor.peer_max_pdu_length == ANSWER.user.max_pdu_length == 32768
    assert pair.acceptor.peer_max_pdu_length == REQUEST.user.max_pdu_length == 16384
    outgoing = list(pair.acceptor.data(1, bytes(4), (bytes(40_000),)))
    lengths = [int.from_bytes(bytes(chunk)[2:6], "big") for chunk in outgoing if bytes(chunk[:2]) == b"\x04\x00"]
    assert lengths == [10, 16384, 16384, 40_000 - 2 * 16378 + 6]
