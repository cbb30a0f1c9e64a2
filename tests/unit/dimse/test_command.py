"""Command sets: against bytes written by hand, against pydicom's reader, and for whatever bytes a peer may send."""

from __future__ import annotations

import random
import struct
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.filereader import read_dataset

from dicomfab.dimse import command as dimse_command
from dicomfab.dimse.command import CommandError, decode, encode, has_data_set, name_of, response_to
from tests.unit.ul.strategies import uids


def golden(text: str) -> bytes:
    """Hexadecimal digits; what stands behind ``--`` is comment."""
    return bytes.fromhex("".join(line.partition("--")[0] for line in text.splitlines()))


# Tag, length and value of each element, little endian (PS3.7 6.3.1, 9.3.1, 9.3.2, 9.3.4, 10.3.4, E.1).
C_STORE_RQ = golden("""
    0000 0000 04000000 74000000                    -- Command Group Length: 116 bytes follow
    0000 0200 1a000000 312e322e3834302e31303030    -- Affected SOP Class UID, 26 bytes: "1.2.840.1000
                       382e352e312e342e312e312e    --                                    8.5.1.4.1.1.
                       3200                        --                                    2" and a zero, to be even
    0000 0001 02000000 0100                        -- Command Field: C-STORE-RQ
    0000 1001 02000000 0700                        -- Message ID: 7
    0000 0007 02000000 0000                        -- Priority: medium
    0000 0008 02000000 0100                        -- Command Data Set Type: there is one
    0000 0010 08000000 312e322e332e3400            -- Affected SOP Instance UID: "1.2.3.4" and a zero
    0000 3010 08000000 4d4f44414c495459            -- Move Originator Application Entity Title: "MODALITY"
    0000 3110 02000000 ffff                        -- Move Originator Message ID: 65,535
""")
C_FIND_RSP = golden("""
    0000 0000 04000000 4c000000                    -- Command Group Length: 76 bytes follow
    0000 0200 1c000000 312e322e3834302e31303030    -- Affected SOP Class UID, 28 bytes: "1.2.840.1000
                       382e352e312e342e312e322e    --                                    8.5.1.4.1.2.
                       322e3100                    --                                    2.1" and a zero
    0000 0001 02000000 2080                        -- Command Field: C-FIND-RSP
    0000 2001 02000000 0200                        -- Message ID Being Responded To: 2
    0000 0008 02000000 0100                        -- Command Data Set Type: there is one
    0000 0009 02000000 00ff                        -- Status: FF00, pending
""")
C_MOVE_RSP = golden("""
    0000 0000 04000000 74000000                    -- Command Group Length: 116 bytes follow
    0000 0200 1c000000 312e322e3834302e31303030    -- Affected SOP Class UID, 28 bytes: "1.2.840.1000
                       382e352e312e342e312e322e    --                                    8.5.1.4.1.2.
                       322e3200                    --                                    2.2" and a zero
    0000 0001 02000000 2180                        -- Command Field: C-MOVE-RSP
    0000 2001 02000000 0100                        -- Message ID Being Responded To: 1
    0000 0008 02000000 0101                        -- Command Data Set Type: there is none
    0000 0009 02000000 00ff                        -- Status: FF00, pending
    0000 2010 02000000 0900                        -- Number of Remaining Sub-operations: 9
    0000 2110 02000000 0201                        -- Number of Completed Sub-operations: 258
    0000 2210 02000000 0100                        -- Number of Failed Sub-operations: 1
    0000 2310 02000000 0000                        -- Number of Warning Sub-operations: 0
""")
N_ACTION_RQ = golden("""
    0000 0000 04000000 62000000                    -- Command Group Length: 98 bytes follow
    0000 0300 14000000 312e322e3834302e31303030    -- Requested SOP Class UID, 20 bytes: "1.2.840.1000
                       382e312e32302e31            --                                     8.1.20.1"
    0000 0001 02000000 3001                        -- Command Field: N-ACTION-RQ
    0000 1001 02000000 0100                        -- Message ID: 1
    0000 0008 02000000 0100                        -- Command Data Set Type: there is one
    0000 0110 16000000 312e322e3834302e31303030    -- Requested SOP Instance UID, 22 bytes: "1.2.840.1000
                       382e312e32302e312e31        --                                        8.1.20.1.1"
    0000 0810 02000000 0100                        -- Action Type ID: 1
""")
GOLDEN: list[tuple[bytes, dict[str, Any]]] = [
    (
        C_STORE_RQ,
        {
            "AffectedSOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
            "CommandField": dimse_command.C_STORE_RQ,
            "MessageID": 7,
            "Priority": 0,
            "CommandDataSetType": dimse_command.DATA_SET,
            "AffectedSOPInstanceUID": "1.2.3.4",
            "MoveOriginatorApplicationEntityTitle": "MODALITY",
            "MoveOriginatorMessageID": 65535,
        },
    ),
    (
        C_FIND_RSP,
        {
            "AffectedSOPClassUID": "1.2.840.10008.5.1.4.1.2.2.1",
            "CommandField": dimse_command.C_FIND_RSP,
            "MessageIDBeingRespondedTo": 2,
            "CommandDataSetType": dimse_command.DATA_SET,
            "Status": 0xFF00,
        },
    ),
    (
        C_MOVE_RSP,
        {
            "AffectedSOPClassUID": "1.2.840.10008.5.1.4.1.2.2.2",
            "CommandField": dimse_command.C_MOVE_RSP,
            "MessageIDBeingRespondedTo": 1,
            "CommandDataSetType": dimse_command.NO_DATA_SET,
            "Status": 0xFF00,
            "NumberOfRemainingSuboperations": 9,
            "NumberOfCompletedSuboperations": 258,
            "NumberOfFailedSuboperations": 1,
            "NumberOfWarningSuboperations": 0,
        },
    ),
    (
        N_ACTION_RQ,
        {
            "RequestedSOPClassUID": "1.2.840.10008.1.20.1",
            "CommandField": dimse_command.N_ACTION_RQ,
            "MessageID": 1,
            "CommandDataSetType": dimse_command.DATA_SET,
            "RequestedSOPInstanceUID": "1.2.840.10008.1.20.1.1",
            "ActionTypeID": 1,
        },
    ),
]
NAMES = ["C-STORE-RQ", "C-FIND-RSP", "C-MOVE-RSP", "N-ACTION-RQ"]


@pytest.mark.parametrize(("raw", "command"), GOLDEN, ids=NAMES)
def test_golden_bytes_are_written(raw: bytes, command: dict[str, Any]) -> None:
    assert encode(command).hex(" ") == raw.hex(" ")
    backwards = dict(reversed(command.items()))
    assert encode(backwards) == raw  # ascending order, whatever order was given


@pytest.mark.parametrize(("raw", "command"), GOLDEN, ids=NAMES)
def test_golden_bytes_are_read(raw: bytes, command: dict[str, Any]) -> None:
    assert decode(raw) == command


def test_names_are_those_of_the_standard() -> None:
    assert [name_of(command) for _, command in GOLDEN] == NAMES
    assert name_of({"CommandField": 0x0FFF}) == "C-CANCEL-RQ"
    assert name_of({"CommandField": 0x8110}) == "N-GET-RSP"
    assert name_of({"CommandField": 0x7777}) == "7777H-RQ"


# ---------------------------------------------------------------------- every command

numbers = st.integers(0, 0xFFFF)
ae_titles = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=16)
texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=64).filter(
    lambda text: text == text.strip()
)
tags = st.lists(st.integers(0, 0xFFFFFFFF), min_size=1, max_size=20).map(tuple)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "AffectedSOPClassUID": uids,
    "RequestedSOPClassUID": uids,
    "MessageID": numbers,
    "MessageIDBeingRespondedTo": numbers,
    "MoveDestination": ae_titles,
    "Priority": numbers,
    "CommandDataSetType": numbers,
    "Status": numbers,
    "OffendingElement": tags,
    "ErrorComment": texts,
    "ErrorID": numbers,
    "AffectedSOPInstanceUID": uids,
    "RequestedSOPInstanceUID": uids,
    "EventTypeID": numbers,
    "AttributeIdentifierList": tags,
    "ActionTypeID": numbers,
    "NumberOfRemainingSuboperations": numbers,
    "NumberOfCompletedSuboperations": numbers,
    "NumberOfFailedSuboperations": numbers,
    "NumberOfWarningSuboperations": numbers,
    "MoveOriginatorApplicationEntityTitle": ae_titles,
    "MoveOriginatorMessageID": numbers,
}
fields = [field | bit for field in dimse_command.OPERATIONS for bit in (0, dimse_command.RESPONSE)]
commands = st.fixed_dictionaries({"CommandField": st.sampled_from(fields) | numbers}, optional=VALUES)


def test_every_keyword_is_tried() -> None:
    known = {keyword for keyword, _, _ in dimse_command._TABLE.values()}
    assert known == {"CommandField", *VALUES}


@given(commands, st.randoms(use_true_random=False))
def test_what_is_written_is_read_again(command: dict[str, Any], order: random.Random) -> None:
    items = list(command.items())
    order.shuffle(items)
    raw = encode(dict(items))
    assert decode(raw) == command
    assert has_data_set(decode(raw)) == (command.get("CommandDataSetType", 0x0101) != 0x0101)


@given(commands)
def test_pydicom_reads_the_same(command: dict[str, Any]) -> None:
    """An independent reader of implicit VR little endian finds every element, in order, at an even length."""
    raw = encode(command)
    assert len(raw) % 2 == 0
    dataset = read_dataset(BytesIO(raw), is_implicit_VR=True, is_little_endian=True)
    assert list(dataset.keys()) == sorted(dataset.keys())
    assert dataset.CommandGroupLength == len(raw) - 12
    for keyword, value in command.items():
        found = dataset[keyword].value
        if isinstance(value, tuple):
            found = tuple([found] if isinstance(found, int) else found)
        elif isinstance(found, list | tuple) or type(found).__name__ == "MultiValue":
            found = "\\".join(found)  # a backslash in a text is no separator here
        assert found == value, keyword


@given(commands, numbers, st.booleans())
def test_every_request_can_be_answered(command: dict[str, Any], status: int, data_set: bool) -> None:
    response = decode(encode(response_to(command, status, data_set=data_set)))
    assert response["CommandField"] == command["CommandField"] | 0x8000
    assert response["MessageIDBeingRespondedTo"] == command.get("MessageID", 0)
    assert response["Status"] == status
    assert has_data_set(response) == data_set


# ---------------------------------------------------------------------- any bytes


def element(tag: tuple[int, int], value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HHI", *tag, len(value) if length is None else length) + value


elements = st.builds(
    element,
    st.tuples(st.sampled_from([0, 0, 0, 8]), st.sampled_from(sorted(dimse_command._TABLE)) | numbers),
    st.binary(max_size=80),
    st.none() | st.none() | st.integers(0, 0xFFFFFFFF),
)


@settings(max_examples=200)
@given(st.binary(max_size=200) | st.lists(elements, max_size=8).map(b"".join))
def test_any_bytes_are_a_command_or_an_error(data: bytes) -> None:
    try:
        command = decode(data)
    except CommandError:
        return
    assert name_of(command)
    assert has_data_set(command) in (True, False)
    assert all(value.isprintable() for value in command.values() if isinstance(value, str))
    assert encode(response_to(command, 0x0110))  # it can be answered


@given(commands, st.data())
def test_a_command_that_is_cut_short_is_an_error_or_misses_its_end(
    command: dict[str, Any], data: st.DataObject
) -> None:
    raw = encode(command)
    cut = raw[: data.draw(st.integers(0, len(raw) - 1))]
    try:
        read = decode(cut)
    except CommandError:
        return
    assert read.items() < decode(raw).items()


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "without a command field"),
        (element((0, 0x110), b"\1\0"), "without a command field"),
        (element((0, 0x100), b""), "without a command field"),
        (element((0, 0x100), b"\x30"), "less than 2 bytes"),
        (element((0, 0x100), b"\x30\0") + b"\0\0\0", "cut short"),
        (element((0, 0x100), b"\x30\0", 3), "(0000,0100) of 3 bytes"),
        (element((0, 0x100), b"\x30\0", 0xFFFFFFFF), "of 4294967295 bytes"),
        (element((0, 0x901), b"abcdef"), "a list of tags of 6 bytes"),
    ],
)
def test_what_is_wrong_is_said_without_values(raw: bytes, words: str) -> None:
    with pytest.raises(CommandError, match=words.replace("(", r"\(").replace(")", r"\)")):
        decode(raw)


def test_elements_that_peers_write_otherwise() -> None:
    """Padding of blanks or zeros or none, no value, several values, elements of old standards, a wrong group length."""
    raw = b"".join(
        (
            element((0, 0x0000), b"\1\0"),
            element((0, 0x0001), b"\x10\0\0\0"),  # Command Length to End, retired
            element((0, 0x0002), b"1.2.840 "),
            element((0, 0x0100), b"\x20\x80\x01\x00"),
            element((0, 0x0120), b""),
            element((0, 0x0600), b"  TARGET\0\0\0"),
            element((0, 0x0902), b"bad\x1b[2J\r\nname"),
        )
    )
    assert decode(raw) == {
        "AffectedSOPClassUID": "1.2.840",
        "CommandField": 0x8020,
        "MoveDestination": "TARGET",
        "ErrorComment": "bad?[2J??name",
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"Nonsense": 1},
        {"MessageID": 65536},
        {"MessageID": -1},
        {"MessageID": "1"},
        {"Status": None},
        {"AffectedSOPClassUID": "1." * 40},
        {"AffectedSOPInstanceUID": "1.\u0663"},
        {"AffectedSOPInstanceUID": 12},
        {"AttributeIdentifierList": (1 << 40,)},
        {"AttributeIdentifierList": 7},
        {"ErrorComment": 7},
    ],
)
def test_what_does_not_fit_is_not_written(wrong: dict[str, Any]) -> None:
    with pytest.raises(CommandError):
        encode({"CommandField": 0x0030, **wrong})
