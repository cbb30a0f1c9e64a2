"""What is no DICOM at all, or only looks like it: it ends in events, and within bounded memory."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomfab.ul import (
    Abort,
    Aborted,
    AssociationAccepted,
    AssociationRejected,
    AssociationRequested,
    Fragment,
    LocalProtocolError,
    ProtocolError,
    ProtocolViolated,
    Released,
    ReleaseRequested,
    RequestRefused,
    Role,
    State,
    UpperLayer,
    UserInformation,
)
from dicomfab.ul.layer import BUFFER_BYTES
from dicomfab.ul.pdu import Pdu, decode_pdu, encode_pdu
from dicomfab.ul.user_information import decode_user_information
from tests.unit.ul import goldens
from tests.unit.ul.driving import (
    INTO,
    acceptor,
    established,
    p_data,
    receive,
    requestor,
    sent,
    violation,
)

ABORT_UNRECOGNIZED = encode_pdu(Abort(2, 1))
RQ = goldens.ASSOCIATE_RQ_BYTES
#: What the layer still needs room for beside the longest control PDU.
MOST_BUFFER = (1 << 20) + (16 << 10) + 6


def allocated(layer: UpperLayer) -> int:
    """How large its receive buffer is, whatever of it is free."""
    return memoryview(layer.get_buffer().obj).nbytes


FOREIGN_PROTOCOLS = {
    "HTTP": b"GET /health HTTP/1.1\r\nHost: pacs\r\n\r\n",
    "TLS alert": bytes.fromhex("15 0303 0002 02 28"),
    "TLS ClientHello": bytes.fromhex("16 0301 0200 01 0001fc 0303") + bytes(32),
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "SMTP": b"220 mail ready\r\n",
    "HL7 over MLLP": b"\x0bMSH|^~\\&|RIS|\r\x1c\r",
    "zeros": bytes(40),
    "type 8": bytes.fromhex("08 00 00000004 00000000"),
    "type FF": b"\xff" * 30,
}


@pytest.mark.parametrize("name", FOREIGN_PROTOCOLS)
def test_what_is_no_pdu_is_reported_by_its_first_bytes(name: str) -> None:
    data = FOREIGN_PROTOCOLS[name]
    for layer in (acceptor(), requestor(), established(Role.REQUESTOR)):
        in_sta2 = layer.state is State.STA2
        found = violation(layer, data)
        assert (found.reason, found.first_bytes) == (1, data[:16])
        assert sent(layer) == (encode_pdu(Abort(0, 0)) if in_sta2 else ABORT_UNRECOGNIZED)


def test_a_readable_pdu_is_not_reported_by_its_bytes() -> None:
    assert violation(acceptor(), goldens.RELEASE_RQ_BYTES).first_bytes == b""
    assert violation(acceptor(), b"\x05\0\0\0\0\x02ab").first_bytes == b""


# ---------------------------------------------------------------------- memory


def test_data_of_four_gigabytes_needs_no_more_than_the_buffer() -> None:
    layer = established(Role.ACCEPTOR, max_pdu_length=0)
    receive(layer, p_data(0xFFFFFFFF, (0xFFFFFFFB).to_bytes(4, "big") + b"\x01\x00"))
    for _ in range(50):
        count = len(layer.get_buffer())
        (event,) = layer.received(count)
        assert isinstance(event, Fragment)
        assert len(event.data) == count
        assert allocated(layer) == BUFFER_BYTES
    assert layer.in_pdu


def test_a_request_of_a_mebibyte_that_never_ends_is_bounded() -> None:
    layer = acceptor()
    receive(layer, b"\x01\0" + (1 << 20).to_bytes(4, "big") + RQ[6:])
    for _ in range(((1 << 20) - 1000) // 10_000):
        assert len(layer.get_buffer()) >= 10_000
        assert allocated(layer) <= MOST_BUFFER
        assert layer.received(10_000) == []
    assert layer.in_pdu
    layer.artim_expired()
    assert layer.closing
    assert not layer.connection_closed()


def test_a_buffer_that_is_filled_by_single_bytes_never_runs_out() -> None:
    layer = established(Role.REQUESTOR)
    stream = p_data(16384, (16380).to_bytes(4, "big") + b"\x01\x00" + bytes(16378)) * 3
    for start in range(0, len(stream), 1):
        buffer = layer.get_buffer()
        assert len(buffer) >= 16 << 10
        buffer[0] = stream[start]
        layer.received(1)
    assert allocated(layer) == BUFFER_BYTES


def test_empty_data_values_are_handed_on_one_by_one() -> None:
    layer = established(Role.ACCEPTOR)
    stream = p_data(6 * 2000, bytes.fromhex("00000002 01 00") * 2000)
    assert len(receive(layer, stream)) == 2000


# ---------------------------------------------------------------------- any bytes in any state

_valid = st.sampled_from(
    [
        RQ,
        goldens.ASSOCIATE_AC_BYTES,
        goldens.ASSOCIATE_RJ_BYTES,
        goldens.ECHO_BYTES,
        goldens.DATA_BYTES,
        goldens.MIXED_BYTES,
        goldens.RELEASE_RQ_BYTES,
        goldens.RELEASE_RP_BYTES,
        goldens.ABORT_BYTES,
    ]
)
_headed = st.builds(
    lambda kind, length, rest: bytes((kind, 0)) + length.to_bytes(4, "big") + rest,
    st.integers(0, 9),
    st.one_of(st.integers(0, 90), st.integers(0, 0xFFFFFFFF)),
    st.binary(max_size=100),
)


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    """A valid PDU with some of its bytes changed, taken out or put in."""
    data = bytearray(draw(_valid))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data) - 1))
        data[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
        data = data or bytearray(b"\x01")
    return bytes(data)


_streams = st.lists(st.one_of(_valid, _headed, _mutated(), st.binary(max_size=60)), min_size=1, max_size=5)
_RECEIVING = [one for one in INTO if one[0] not in (1, 4)]
_LAST = (ProtocolViolated, Aborted, AssociationRejected, Released, RequestRefused)
_ONCE = (*_LAST, AssociationRequested, AssociationAccepted)


@given(into=st.sampled_from(_RECEIVING), parts=_streams, positions=st.lists(st.integers(0, 2000), max_size=8))
@settings(deadline=None, max_examples=200)
def test_nothing_that_is_received_raises(into: tuple[int, Role], parts: list[bytes], positions: list[int]) -> None:
    layer = INTO[into]()
    stream = b"".join(parts)
    events = []
    edges = sorted({0, len(stream), *(position % (len(stream) + 1) for position in positions)})
    for start, end in pairwise(edges):
        events += receive(layer, stream[start:end])
        assert allocated(layer) <= MOST_BUFFER
    for kind in _ONCE:
        assert sum(isinstance(event, kind) for event in events) <= 1
    assert sum(isinstance(event, ReleaseRequested) for event in events) <= 1
    final = [index for index, event in enumerate(events) if isinstance(event, _LAST)]
    if into[0] != 10:  # where Released is followed by our own answer
        assert not final or final == [len(events) - 1]
    assert layer.closing is (layer.state is State.STA1)
    assert layer.artim_running is (layer.state in (State.STA2, State.STA13))
    layer.connection_closed()
    assert (layer.state, layer.closing, layer.artim_running) == (State.STA1, True, False)


@given(parts=_streams)
@settings(deadline=None, max_examples=50)
def test_bytes_before_the_connection_are_the_mistake_of_the_owner(parts: list[bytes]) -> None:
    for state, role in ((1, Role.REQUESTOR), (1, Role.ACCEPTOR), (4, Role.REQUESTOR)):
        layer = INTO[state, role]()
        try:
            events = receive(layer, b"".join(parts))
        except LocalProtocolError:
            continue
        assert events == []  # not a whole PDU yet
        assert len(b"".join(parts)) < 6 or layer.in_pdu


@given(body=st.binary(max_size=200), kind=st.integers(0, 255))
@settings(deadline=None, max_examples=100)
def test_decoding_raises_nothing_but_protocol_errors(body: bytes, kind: int) -> None:
    for data in (body, RQ[6:74] + body):
        try:
            pdu = decode_pdu(kind, data)
        except ProtocolError:
            continue
        assert isinstance(pdu, Pdu.__args__)


@given(data=st.binary(max_size=120))
@settings(deadline=None, max_examples=100)
def test_decoding_user_information_raises_nothing_but_protocol_errors(data: bytes) -> None:
    try:
        user = decode_user_information(data)
    except ProtocolError:
        return
    assert isinstance(user, UserInformation)
