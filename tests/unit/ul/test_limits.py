"""Lengths, ranges and nonsense: what a peer may send ends in events, within bounded memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dicomfab.ul import (
    Abort,
    AssociateAC,
    AssociateRJ,
    AssociationAccepted,
    AssociationRequested,
    AsynchronousOperations,
    ContextResult,
    ExtendedNegotiation,
    Fragment,
    LocalProtocolError,
    PresentationContext,
    ProtocolError,
    ProtocolViolated,
    Role,
    RoleSelection,
    State,
    UpperLayer,
    UserIdentity,
    UserInformation,
)
from dicomfab.ul.items import decode_items, decode_uid, encode_item, encode_sized, encode_uid, take_sized
from dicomfab.ul.layer import BUFFER_BYTES
from dicomfab.ul.pdata import fragment_bytes
from dicomfab.ul.pdu import Pdu, decode_pdu, encode_pdu
from dicomfab.ul.user_information import decode_user_information
from tests.unit.ul import goldens
from tests.unit.ul.driving import (
    ANSWER,
    REQUEST,
    VERIFICATION,
    acceptor,
    content,
    established,
    p_data,
    receive,
    requestor,
    sent,
    violation,
)

ABORT_INVALID = encode_pdu(Abort(2, 6))
RQ = goldens.ASSOCIATE_RQ_BYTES


# ---------------------------------------------------------------------- A-ASSOCIATE


def body_with(items: bytes) -> bytes:
    """An A-ASSOCIATE-RQ's variable field with these items instead of its own."""
    return RQ[6:74] + items


APPLICATION = encode_item(0x10, b"1.2.840.10008.3.1.1.1")
CONTEXT = encode_item(0x20, b"\x01\0\0\0" + encode_item(0x30, b"1.2") + encode_item(0x40, b"1.2"))
UNREADABLE = {
    "no body": b"",
    "shorter than its fixed fields": RQ[6:73],
    "no items": body_with(b""),
    "no contexts": body_with(APPLICATION),
    "a piece of an item header": body_with(APPLICATION + CONTEXT + b"\x50\x00\x00"),
    "an item longer than the PDU": body_with(APPLICATION + CONTEXT + b"\x50\x00\x00\x01"),
    "a sub-item longer than its item": body_with(encode_item(0x20, b"\x01\0\0\0\x30\0\0\x04" + b"1.2")),
    "a context without its id": body_with(encode_item(0x20, b"\x01\0\0")),
    "an even context id": body_with(encode_item(0x20, b"\x02" + CONTEXT[5:])),
    "context id 0": body_with(encode_item(0x20, b"\x00" + CONTEXT[5:])),
    "one context id twice": body_with(CONTEXT + CONTEXT),
    "129 contexts": body_with(CONTEXT * 129),
    "a context without an abstract syntax": body_with(encode_item(0x20, b"\x01\0\0\0" + encode_item(0x40, b"1.2"))),
    "a context without a transfer syntax": body_with(encode_item(0x20, b"\x01\0\0\0" + encode_item(0x30, b"1.2"))),
    "an empty abstract syntax": body_with(encode_item(0x20, CONTEXT[4:8] + encode_item(0x30, b"") + CONTEXT[-7:])),
    "a UID of 65 characters": body_with(encode_item(0x10, b"1" * 65) + CONTEXT),
    "a UID with a line break": body_with(encode_item(0x10, b"1.2\n3") + CONTEXT),
    "a UID that is not ASCII": body_with(encode_item(0x10, b"1.2\xb2") + CONTEXT),
}
UNREADABLE_USER = {
    "maximum length of 3 bytes": b"\x51\0\0\x03abc",
    "maximum length of 5 bytes": b"\x51\0\0\x05abcde",
    "asynchronous operations of 2 bytes": b"\x53\0\0\x02ab",
    "role selection without a UID": b"\x54\0\0\x01\x00",
    "role selection with a UID too long": b"\x54\0\0\x06\x00\x031.2\x01",
    "role selection of one role": b"\x54\0\0\x06\x00\x031.2\x01"[:-1] + b"\x01",
    "role selection of three roles": b"\x54\0\0\x08\x00\x031.2\x01\x01\x01",
    "extended negotiation cut short": b"\x56\0\0\x03\x00\x031",
    "common extended negotiation cut short": b"\x57\0\0\x05\x00\x031.2",
    "common extended negotiation with a broken list": b"\x57\0\0\x0e\x00\x031.2\x00\x031.2\x00\x02\x00\x05",
    "user identity of one byte": b"\x58\0\0\x01\x01",
    "user identity without its second field": b"\x58\0\0\x06\x01\x00\x00\x02ab",
    "user identity with a field too long": b"\x58\0\0\x05\x01\x00\x00\x02a",
    "server response too long": b"\x59\0\0\x03\x00\x02a",
    "an empty implementation class": b"\x52\0\0\x00",
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_unreadable_request_is_aborted(name: str) -> None:
    body = UNREADABLE[name]
    with pytest.raises(ProtocolError):
        decode_pdu(1, body)
    assert violation(acceptor(), b"\x01\0" + len(body).to_bytes(4, "big") + body).reason == 6


@pytest.mark.parametrize("name", UNREADABLE_USER)
def test_unreadable_user_information_aborts_requests_and_answers(name: str) -> None:
    with pytest.raises(ProtocolError):
        decode_user_information(UNREADABLE_USER[name])
    user = encode_item(0x50, UNREADABLE_USER[name])
    for kind, layer in ((1, acceptor()), (2, requestor())):
        body = body_with(APPLICATION + (CONTEXT if kind == 1 else b"") + user)
        assert violation(layer, bytes((kind, 0)) + len(body).to_bytes(4, "big") + body).reason == 6


def test_an_answer_cut_short_anywhere_is_read_or_refused() -> None:
    readable = set()
    for cut in range(len(goldens.ASSOCIATE_AC_BYTES) - 6):
        body = goldens.ASSOCIATE_AC_BYTES[6 : 6 + cut]
        (event,) = receive(requestor(), b"\x02\0" + len(body).to_bytes(4, "big") + body)
        assert isinstance(event, AssociationAccepted | ProtocolViolated)
        if isinstance(event, AssociationAccepted):
            readable.add(cut)
    # Where an item ends: behind the fixed fields, and behind each of the four items but the last.
    assert readable == {68, 93, 122, 151}


def test_an_accepted_context_needs_its_transfer_syntax_and_a_rejected_one_does_not() -> None:
    accepted, rejected = (encode_item(0x21, bytes((1, 0, result, 0))) for result in (0, 3))
    nonsense = encode_item(0x21, bytes((1, 0, 4, 0)) + b"\xff\xff\xff")
    with pytest.raises(ProtocolError):
        decode_pdu(2, body_with(accepted))
    for item in (rejected, nonsense):
        assert isinstance(decode_pdu(2, body_with(item)), AssociateAC)


def test_128_contexts_are_read() -> None:
    contexts = tuple(PresentationContext(2 * i + 1, VERIFICATION, ("1.2",)) for i in range(128))
    request = replace(REQUEST, contexts=contexts)
    assert receive(acceptor(), encode_pdu(request)) == [AssociationRequested(request)]
    result = encode_item(0x21, b"\x01\0\x03\0")
    answer = decode_pdu(2, body_with(result * 128))
    assert isinstance(answer, AssociateAC)
    assert len(answer.results) == 128
    with pytest.raises(ProtocolError):
        decode_pdu(2, body_with(result * 129))


@pytest.mark.parametrize("length", range(1, 8))
def test_a_peer_that_takes_no_data_is_refused_by_both_sides(length: int) -> None:
    user = replace(REQUEST.user, max_pdu_length=length)
    for layer, pdu, aborted in (
        (acceptor(), replace(REQUEST, user=user), Abort(0, 0)),
        (requestor(), replace(ANSWER, user=user), Abort(2, 6)),
    ):
        assert "nothing fits" in violation(layer, encode_pdu(pdu)).what
        assert sent(layer) == encode_pdu(aborted)
        assert layer.peer_max_pdu_length == 0
    with pytest.raises(LocalProtocolError):
        fragment_bytes(length)


@pytest.mark.parametrize(("length", "fragment"), [(8, 2), (9, 2), (16383, 16376), (0xFFFFFFFF, 0xFFFFFFF8)])
def test_the_smallest_and_the_largest_limit(length: int, fragment: int) -> None:
    layer = requestor()
    receive(layer, encode_pdu(replace(ANSWER, user=replace(ANSWER.user, max_pdu_length=length))))
    assert (layer.state, layer.peer_max_pdu_length) == (State.STA6, length)
    assert fragment_bytes(length) == fragment
    assert content(layer.data(1, b"ab", (b"cd",)))[:14] == bytes.fromhex("0400 00000008 00000004 01 03") + b"ab"


def test_the_titles_of_a_request_are_answered_whatever_they_are() -> None:
    layer = acceptor()
    (event,) = receive(layer, RQ[:10] + b"\xc4RZTE\n\0         " + bytes(16) + RQ[42:])
    assert isinstance(event, AssociationRequested)
    assert (event.request.called_ae_title, event.request.calling_ae_title) == ("\ufffdRZTE\n", "")
    layer.accept(AssociateAC(event.request.called_ae_title, event.request.calling_ae_title, ()))
    assert layer.state is State.STA6
    assert sent(layer)[10:42] == b"?RZTE\n          " + b" " * 16


# ---------------------------------------------------------------------- what we cannot send ourselves


@pytest.mark.parametrize(
    "pdu",
    [
        replace(REQUEST, contexts=()),
        replace(REQUEST, contexts=(PresentationContext(2, "1.2", ("1.2",)),)),
        replace(REQUEST, contexts=(PresentationContext(257, "1.2", ("1.2",)),)),
        replace(REQUEST, contexts=(PresentationContext(-1, "1.2", ("1.2",)),)),
        replace(REQUEST, contexts=(PresentationContext(1, "1.2", ("1.2",)),) * 2),
        replace(REQUEST, contexts=(PresentationContext(1, "1.2", ()),)),
        replace(REQUEST, contexts=(PresentationContext(1, "1.2", ("1." + "2" * 62,) * 1000),)),
        replace(REQUEST, contexts=(PresentationContext(1, "", ("1.2",)),)),
        replace(REQUEST, contexts=(PresentationContext(1, "1.2 ", ("1.2",)),)),
        replace(REQUEST, contexts=(PresentationContext(1, "1.2", ("1." + "2" * 63,)),)),
        replace(REQUEST, contexts=(PresentationContext(1, "1.2", ("1.²",)),)),
        replace(REQUEST, called_ae_title=""),
        replace(REQUEST, called_ae_title="    "),
        replace(REQUEST, calling_ae_title="A" * 17),
        replace(REQUEST, calling_ae_title="ÄRZTE"),
        replace(REQUEST, calling_ae_title="A\n"),
        replace(REQUEST, protocol_version=0x10000),
        replace(REQUEST, application_context=""),
        replace(REQUEST, user=UserInformation(max_pdu_length=-1)),
        replace(REQUEST, user=UserInformation(max_pdu_length=1 << 32)),
        replace(REQUEST, user=UserInformation(implementation_version_name="V" * 17)),
        replace(REQUEST, user=UserInformation(asynchronous_operations=AsynchronousOperations(1 << 16, 1))),
        replace(REQUEST, user=UserInformation(identity=UserIdentity(256, b""))),
        replace(REQUEST, user=UserInformation(identity=UserIdentity(1, bytes(0x10000)))),
        replace(REQUEST, user=UserInformation(identity=UserIdentity(1, bytes(0xFFFF)))),
        replace(REQUEST, user=UserInformation(roles=(RoleSelection("", True, True),))),
        replace(REQUEST, user=UserInformation(extended=(ExtendedNegotiation("1.2", bytes(0xFFFF)),))),
        replace(REQUEST, user=UserInformation(extended=(ExtendedNegotiation("1.2", bytes(40_000)),) * 2)),
        replace(ANSWER, results=(ContextResult(2, 0, "1.2"),)),
        replace(ANSWER, results=(ContextResult(1, 0, ""),)),
        replace(ANSWER, results=(ContextResult(1, 256, "1.2"),)),
        replace(ANSWER, results=(ContextResult(257, 0, "1.2"),)),
        replace(ANSWER, called_ae_title="A" * 17),
        AssociateRJ(256, 1, 1),
        AssociateRJ(1, -1, 1),
        Abort(2, 256),
    ],
    ids=lambda pdu: type(pdu).__name__,
)
def test_a_value_that_does_not_fit_is_our_own_mistake(pdu: Pdu) -> None:
    with pytest.raises(LocalProtocolError):
        encode_pdu(pdu)


def test_a_request_that_cannot_be_encoded_leaves_the_layer_idle() -> None:
    layer = UpperLayer(Role.REQUESTOR)
    with pytest.raises(LocalProtocolError):
        layer.associate(replace(REQUEST, contexts=()))
    assert layer.state is State.STA1
    layer.associate(REQUEST)
    layer.connected()
    assert sent(layer) == encode_pdu(REQUEST)


# ---------------------------------------------------------------------- items


@given(items=st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=30)), max_size=6), cut=st.integers(0, 300))
@settings(deadline=None, max_examples=50)
def test_items_read_back_and_no_piece_of_one_is_taken_for_one(items: list[tuple[int, bytes]], cut: int) -> None:
    encoded = [encode_item(kind, value) for kind, value in items]
    assert list(decode_items(b"".join(encoded), "test")) == items
    ends = [sum(map(len, encoded[:count])) for count in range(len(encoded) + 1)]
    piece = b"".join(encoded)[:cut]
    if len(piece) in ends:
        assert list(decode_items(piece, "test")) == items[: ends.index(len(piece))]
    else:
        with pytest.raises(ProtocolError, match="test"):
            list(decode_items(piece, "test"))


@given(value=st.binary(max_size=50), before=st.binary(max_size=5), after=st.binary(max_size=5))
@settings(deadline=None, max_examples=50)
def test_sized_fields_read_back(value: bytes, before: bytes, after: bytes) -> None:
    data = before + encode_sized(value)
    assert take_sized(data + after, len(before), "test") == (value, len(data))
    with pytest.raises(ProtocolError):
        take_sized(data[:-1], len(before), "test")


@given(text=st.text(max_size=70))
@settings(deadline=None, max_examples=50)
@example(text="1" * 64)
@example(text="1" * 65)
@example(text="1.2\0")
def test_a_uid_that_can_be_sent_can_be_read(text: str) -> None:
    try:
        encoded = encode_uid(text)
    except LocalProtocolError:
        return
    assert decode_uid(encoded, "test") == text


def test_the_longest_item_and_the_first_that_is_too_long() -> None:
    assert list(decode_items(encode_item(1, bytes(0xFFFF)), "test")) == [(1, bytes(0xFFFF))]
    for encode in (lambda value: encode_item(1, value), encode_sized):
        with pytest.raises(LocalProtocolError):
            encode(bytes(0x10000))


# ---------------------------------------------------------------------- PDUs


@pytest.mark.parametrize("length", range(6))
def test_a_p_data_tf_too_short_for_a_data_value(length: int) -> None:
    layer = established(Role.ACCEPTOR)
    assert violation(layer, p_data(length, bytes(length))).reason == 6
    assert sent(layer) == ABORT_INVALID


def test_a_p_data_tf_as_long_as_announced_and_longer() -> None:
    layer = established(Role.ACCEPTOR, max_pdu_length=100)
    whole = p_data(100, (96).to_bytes(4, "big") + b"\x01\x03" + bytes(94))
    assert [len(event.data) for event in receive(layer, whole) if isinstance(event, Fragment)] == [94]
    # The header alone is enough to know.
    assert "100 is the most" in violation(layer, p_data(101, b"")).what
    assert sent(layer) == ABORT_INVALID


@pytest.mark.parametrize("length", [0, 1, 7, 8, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_data_value_that_does_not_fit_its_pdu(length: int) -> None:
    layer = established(Role.ACCEPTOR)
    assert violation(layer, p_data(10, length.to_bytes(4, "big") + b"\x01\x03" + bytes(4))).reason == 6


@pytest.mark.parametrize("over", range(1, 6))
def test_bytes_after_the_last_data_value(over: int) -> None:
    layer = established(Role.ACCEPTOR)
    data = p_data(8 + over, bytes.fromhex("00000004 01 03 6162") + bytes(over))
    assert "after the last data value" in violation(layer, data).what


@pytest.mark.parametrize("kind", [3, 5, 6, 7])
@pytest.mark.parametrize("length", [0, 3, 5, 0x100000, 0xFFFFFFFF])
def test_a_control_pdu_of_another_length(kind: int, length: int) -> None:
    layer = established(Role.ACCEPTOR)
    head = bytes((kind, 0)) + length.to_bytes(4, "big")
    assert violation(layer, head + bytes(min(length, 8))).reason == 6
    assert len(layer.get_buffer()) == BUFFER_BYTES


@pytest.mark.parametrize("kind", [1, 2])
@pytest.mark.parametrize("length", [(1 << 20) + 1, 0x7FFFFFFF, 0xFFFFFFFF])
def test_an_associate_too_long_is_refused_by_its_header(kind: int, length: int) -> None:
    for layer in (acceptor(), requestor(), established(Role.ACCEPTOR)):
        assert violation(layer, bytes((kind, 0)) + length.to_bytes(4, "big")).reason == 6


def test_a_request_with_as_many_roles_as_fit_is_read() -> None:
    role = encode_item(0x54, encode_sized(b"1") + b"\x01\x00")
    user = decode_user_information(role * (0xFFFF // len(role)))
    assert len(user.roles) == 0xFFFF // len(role)


def test_a_message_is_refused_before_anything_of_it_is_made() -> None:
    layer = acceptor()
    with pytest.raises(LocalProtocolError):
        layer.data(1, b"command")
