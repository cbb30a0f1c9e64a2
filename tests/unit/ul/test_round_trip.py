"""What is encoded reads back the same, however it is cut on its way."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pynetdicom import pdu as foreign

from dicomfab.ul import (
    AssociateAC,
    AssociateRQ,
    FileRange,
    Fragment,
    PresentationContext,
    ProtocolViolated,
    Role,
    UpperLayer,
)
from dicomfab.ul.layer import BUFFER_BYTES
from dicomfab.ul.pdata import MIN_PDU_LENGTH, Chunk, fragments, size_of
from dicomfab.ul.pdu import Pdu, decode_pdu, encode_pdu
from dicomfab.ul.user_information import UserInformation, decode_user_information, encode_user_information
from tests.unit.ul import strategies as values
from tests.unit.ul.driving import ANSWER, IMPLICIT, content, established, joined, receive, receive_cut, requestor, sent

_FOREIGN = {
    0x01: foreign.A_ASSOCIATE_RQ,
    0x02: foreign.A_ASSOCIATE_AC,
    0x03: foreign.A_ASSOCIATE_RJ,
    0x05: foreign.A_RELEASE_RQ,
    0x06: foreign.A_RELEASE_RP,
    0x07: foreign.A_ABORT_RQ,
}


@given(pdu=values.pdus)
@settings(deadline=None, max_examples=60)
def test_a_pdu_reads_back_the_same(pdu: Pdu) -> None:
    encoded = encode_pdu(pdu)
    assert int.from_bytes(encoded[2:6], "big") == len(encoded) - 6
    assert decode_pdu(encoded[0], encoded[6:]) == pdu


@given(user=values.user_information)
@settings(deadline=None, max_examples=60)
def test_user_information_reads_back_the_same(user: UserInformation) -> None:
    assert decode_user_information(encode_user_information(user)) == user


def _as_pynetdicom_can_write(pdu: Pdu) -> Pdu:
    """It cannot write an empty transfer syntax, nor an identity other than with a user name and a passcode."""
    if isinstance(pdu, AssociateAC):
        pdu = replace(pdu, results=tuple(replace(one, transfer_syntax=IMPLICIT) for one in pdu.results))
    if isinstance(pdu, AssociateRQ | AssociateAC) and pdu.user.identity:
        user = pdu.user.identity
        identity = replace(user, kind=2, primary=b"u" + user.primary, secondary=b"p" + user.secondary)
        pdu = replace(pdu, user=replace(pdu.user, identity=identity))
    return pdu


@given(pdu=st.one_of(values.associate_requests, values.associate_answers, values.aborts))
@settings(deadline=None, max_examples=15)
def test_another_implementation_reads_the_same(pdu: Pdu) -> None:
    """pynetdicom reads our bytes, and writes what it has read as the same bytes."""
    pdu = _as_pynetdicom_can_write(pdu)
    encoded = encode_pdu(pdu)
    theirs = _FOREIGN[encoded[0]]()
    theirs.decode(encoded)
    if isinstance(pdu, AssociateRQ):
        read = [(one.context_id, str(one.abstract_syntax)) for one in theirs.presentation_context]
        assert read == [(one.context_id, one.abstract_syntax) for one in pdu.contexts]
    elif isinstance(pdu, AssociateAC):
        answers = [(one.presentation_context_id, one.result_reason) for one in theirs.presentation_context]
        assert answers == [(one.context_id, one.result) for one in pdu.results]
    assert theirs.encode() == encoded


# ---------------------------------------------------------------------- P-DATA on its way out


@pytest.fixture(scope="module")
def data_file() -> Iterator[int]:
    """A file with 64 KB that differ from each other, as its descriptor."""
    with tempfile.TemporaryFile() as file:
        file.write(bytes(i * 7 % 251 for i in range(1 << 16)))
        file.flush()
        yield file.fileno()


@st.composite
def chunk_plans(draw: st.DrawFn) -> list[tuple[str, int, int]]:
    """Form, offset and length of each chunk."""
    plan = st.tuples(st.sampled_from(("bytes", "bytearray", "memoryview", "words", "file")), st.integers(0, 99))
    return [(form, offset, draw(st.integers(0, 120))) for form, offset in draw(st.lists(plan, min_size=1, max_size=6))]


def make_chunk(form: str, offset: int, length: int, fd: int) -> Chunk:
    if form == "file":
        return FileRange(fd, offset, length)
    data = os.pread(fd, length, offset)
    if form == "bytearray":
        return bytearray(data)
    if form == "memoryview":
        return memoryview(b"??" + data)[2:]
    if form == "words":
        return memoryview(data[: length & ~1]).cast("H")
    return data


def parse(stream: bytes) -> list[tuple[int, int, int, bytes]]:
    """PDU length, context id, control header and data of PDUs that hold one data value each."""
    found = []
    while stream:
        assert stream[:2] == b"\x04\x00"
        length, inner = int.from_bytes(stream[2:6], "big"), int.from_bytes(stream[6:10], "big")
        assert inner == length - 4
        found.append((length, stream[10], stream[11], stream[12 : 6 + length]))
        assert len(found[-1][3]) == inner - 2
        stream = stream[6 + length :]
    return found


def check_message(found: list[tuple[int, int, int, bytes]], command: bytes, data: bytes | None, limit: int) -> None:
    """One fragmented message: complete, in order, its flags right, every fragment even but the last of each part."""
    for is_command, expected in ((True, command), (False, data)):
        part = [one for one in found if bool(one[2] & 1) is is_command]
        assert b"".join(one[3] for one in part) == (expected or b"")
        assert [bool(one[2] & 2) for one in part] == [False] * (len(part) - 1) + [True] * (expected is not None)
        assert all(len(one[3]) % 2 == 0 and one[3] for one in part[:-1])
    assert all(one[1] == 5 for one in found)
    assert not limit or all(one[0] <= limit for one in found)
    assert [one[2] & 1 for one in found] == sorted((one[2] & 1 for one in found), reverse=True)


@given(
    command=st.binary(max_size=90),
    plans=chunk_plans(),
    limit=st.one_of(st.integers(MIN_PDU_LENGTH, 64), st.integers(MIN_PDU_LENGTH, 0xFFFFFFFF), st.just(0)),
)
@settings(deadline=None, max_examples=80)
@example(command=b"", plans=[("bytes", 0, 0)], limit=8)
@example(command=b"x", plans=[("file", 0, 0), ("words", 0, 0), ("file", 3, 5), ("bytes", 0, 0)], limit=8)
def test_fragments_put_back_together_are_the_message(
    command: bytes, plans: list[tuple[str, int, int]], limit: int, data_file: int
) -> None:
    chunks = [make_chunk(*plan, data_file) for plan in plans]
    expected = content(chunks)
    outgoing = list(fragments(5, command, chunks, limit))
    assert all(chunk.length > 0 for chunk in outgoing if isinstance(chunk, FileRange))
    stream = content(outgoing)
    assert len(stream) == sum(map(size_of, outgoing))
    check_message(parse(stream), command, expected, limit)
    layer = established(Role.ACCEPTOR, max_pdu_length=limit)
    whole = [event for event in joined(receive(layer, stream)) if isinstance(event, Fragment)]
    assert [tuple(event) for event in whole] == [(5, True, True, command), (5, False, True, expected)]


def test_a_message_without_a_data_set_has_only_a_command() -> None:
    check_message(parse(content(fragments(5, bytes(30), (), 16))), bytes(30), None, 16)


def test_a_peer_without_a_limit_still_gets_no_more_than_a_mebibyte_at_a_time() -> None:
    data = bytes((1 << 21) + 3)
    chunks = [memoryview(data)[start : start + (1 << 19)] for start in range(0, len(data), 1 << 19)]
    found = parse(content(fragments(5, b"cc", chunks, 0)))
    check_message(found, b"cc", data, 0)
    assert [one[0] - 6 for one in found] == [2, 1 << 20, 1 << 20, 3]


def test_chunks_are_not_copied() -> None:
    data = bytearray(64)
    outgoing = list(fragments(5, b"", (data,), 16))
    data[:] = bytes(range(64))
    assert content(outgoing[1:]).endswith(bytes(range(60, 64)))


# ---------------------------------------------------------------------- the same stream in any pieces


@given(
    stream=values.data_streams(),
    positions=st.lists(st.integers(0, 10_000), max_size=30),
    end=st.sampled_from((b"", bytes.fromhex("05000000000400000000"), bytes.fromhex("07000000000400000206"))),
)
@settings(deadline=None, max_examples=80)
def test_cuts_make_no_difference(stream: bytes, positions: list[int], end: bytes) -> None:
    whole, by_byte, at_random = (established(Role.ACCEPTOR) for _ in range(3))
    expected = joined(receive(whole, stream + end))
    assert joined(receive(by_byte, stream + end, 1)) == expected
    assert joined(receive_cut(at_random, values.cut_at(stream + end, positions))) == expected
    assert whole.state == by_byte.state == at_random.state
    assert sent(whole) == sent(by_byte) == sent(at_random) == b""


@given(data=st.data(), answer=values.associate_answers)
@settings(deadline=None, max_examples=30)
def test_cuts_of_an_answer_make_no_difference(data: st.DataObject, answer: AssociateAC) -> None:
    stream = encode_pdu(answer) + content(fragments(1, b"response", (b"data",), 12))
    positions = data.draw(st.lists(st.integers(0, len(stream)), max_size=10))
    layers = [requestor() for _ in range(3)]
    whole = joined(receive(layers[0], stream))
    assert len(whole) == 3
    assert joined(receive(layers[1], stream, 1)) == whole
    assert joined(receive_cut(layers[2], values.cut_at(stream, positions))) == whole


def test_a_pdu_longer_than_the_buffer_comes_in_pieces() -> None:
    data = bytes(i * 31 % 253 for i in range(400_000))
    stream = content(fragments(1, b"c" * 10, (data,), 0)) + encode_pdu(ANSWER)
    for most in (None, 70_001, 4097):
        layer = established(Role.REQUESTOR, max_pdu_length=0)
        events = joined(receive(layer, stream, most))
        assert [bytes(event.data) for event in events if isinstance(event, Fragment)] == [b"c" * 10, data]
        assert len(layer.get_buffer()) <= 128 << 10


@pytest.mark.parametrize("before", range(BUFFER_BYTES - len(encode_pdu(ANSWER)) - 3, BUFFER_BYTES + 3, 17))
def test_a_pdu_across_the_end_of_the_buffer_is_read_whole(before: int) -> None:
    # However full the buffer is when it comes, the beginning of a PDU is kept until the rest of it is there.
    layer = established(Role.ACCEPTOR, max_pdu_length=0)
    data = bytes(i * 31 % 253 for i in range(before - 24))
    stream = content(fragments(1, b"", (data,), 0)) + encode_pdu(ANSWER)
    events = joined(receive(layer, stream))
    assert [bytes(event.data) for event in events if isinstance(event, Fragment)] == [b"", data]
    assert [event for event in events if not isinstance(event, Fragment)] == [
        ProtocolViolated("a PDU that is not expected now", 2)
    ]
    assert len(layer.get_buffer()) == BUFFER_BYTES


def test_many_pdus_in_pieces_as_long_as_the_buffer_takes() -> None:
    messages = [bytes(i * 31 % 253 for i in range(size)) for size in range(1, 1100, 2)]
    stream = b"".join(content(fragments(1, b"c", (message,), 150)) for message in messages)
    assert len(stream) > 2 * BUFFER_BYTES
    for most in (None, 4097):
        layer = established(Role.ACCEPTOR, max_pdu_length=150)
        events = joined(receive(layer, stream, most))
        assert [
            bytes(event.data) for event in events if isinstance(event, Fragment) and not event.is_command
        ] == messages
        assert not layer.in_pdu


def test_a_long_request_makes_the_buffer_grow_and_is_read_whole() -> None:
    contexts = tuple(
        PresentationContext(2 * i + 1, f"1.2.{i}", tuple(f"1.2.840.10008.1.2.4.{j}" for j in range(60)))
        for i in range(128)
    )
    request = AssociateRQ("CALLED", "CALLING", contexts)
    encoded = encode_pdu(request)
    assert len(encoded) > 128 << 10
    for most in (None, 1000):
        layer = UpperLayer(Role.ACCEPTOR)
        layer.connected()
        (event,) = receive(layer, encoded, most)
        assert event.request == request  # type: ignore[union-attr]


@given(data=values.data_streams())
@settings(deadline=None, max_examples=20)
def test_fragments_point_into_the_buffer_until_the_next_one_is_asked_for(data: bytes) -> None:
    layer = established(Role.ACCEPTOR)
    buffer = layer.get_buffer()
    buffer[: len(data)] = data
    found = [event for event in layer.received(len(data)) if isinstance(event, Fragment)]
    assert all(event.data.obj is buffer.obj for event in found)
    contents = [bytes(event.data) for event in found]
    layer.data_to_send()
    list(layer.data(1, b"anything"))
    assert [bytes(event.data) for event in found] == contents
