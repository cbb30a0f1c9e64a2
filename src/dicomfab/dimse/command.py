"""Command sets of PS3.7: group 0000, implicit VR little endian, read and written by one small table (annex E.1)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

from dicomfab.model.part10 import pad_uid

#: Keyword -> value: ``int`` for US, ``str`` for UI, AE and LO, a tuple of tags (``int``) for AT.
Command: TypeAlias = dict[str, Any]

C_STORE_RQ: Final = 0x0001
C_STORE_RSP: Final = 0x8001
C_GET_RQ: Final = 0x0010
C_GET_RSP: Final = 0x8010
C_FIND_RQ: Final = 0x0020
C_FIND_RSP: Final = 0x8020
C_MOVE_RQ: Final = 0x0021
C_MOVE_RSP: Final = 0x8021
C_ECHO_RQ: Final = 0x0030
C_ECHO_RSP: Final = 0x8030
N_EVENT_REPORT_RQ: Final = 0x0100
N_GET_RQ: Final = 0x0110
N_SET_RQ: Final = 0x0120
N_ACTION_RQ: Final = 0x0130
N_CREATE_RQ: Final = 0x0140
N_DELETE_RQ: Final = 0x0150
C_CANCEL_RQ: Final = 0x0FFF
RESPONSE: Final = 0x8000

#: The operation of a command field, request or response.
OPERATIONS: Final[dict[int, str]] = {
    C_STORE_RQ: "C-STORE",
    C_GET_RQ: "C-GET",
    C_FIND_RQ: "C-FIND",
    C_MOVE_RQ: "C-MOVE",
    C_ECHO_RQ: "C-ECHO",
    N_EVENT_REPORT_RQ: "N-EVENT-REPORT",
    N_GET_RQ: "N-GET",
    N_SET_RQ: "N-SET",
    N_ACTION_RQ: "N-ACTION",
    N_CREATE_RQ: "N-CREATE",
    N_DELETE_RQ: "N-DELETE",
    C_CANCEL_RQ: "C-CANCEL",
}

NO_DATA_SET: Final = 0x0101
DATA_SET: Final = 0x0001
PRIORITY_MEDIUM: Final = 0x0000
#: The longest command set that is read; the lists of N-GET are the only ones that grow.
MAX_COMMAND_BYTES: Final = 64 << 10

_MAX_UID_CHARS: Final = 64
_HEADER: Final = struct.Struct("<HHI")
_US: Final = struct.Struct("<H")
_UL: Final = struct.Struct("<I")
_TAG: Final = struct.Struct("<HH")


class CommandError(ValueError):
    """Bytes that are no command set, or a value that a command set cannot hold."""


def _encode_uid(value: str) -> bytes:
    if len(value) > _MAX_UID_CHARS or not value.isascii():
        raise CommandError(f"{value!r} is no UID")
    return pad_uid(value)


_cached_uid = lru_cache(256)(_encode_uid)


def _encode_text(value: str) -> bytes:
    raw = value.encode("ascii", "replace")
    return raw + b" " if len(raw) % 2 else raw


def _encode_tags(value: tuple[int, ...]) -> bytes:
    return b"".join(_TAG.pack(tag >> 16, tag & 0xFFFF) for tag in value)


def _decode_number(value: bytes) -> int:
    # Zero length is no value, and one of several is the first.
    if len(value) < 2:
        raise CommandError("a number of less than 2 bytes")
    return int(_US.unpack_from(value)[0])


def _decode_text(value: bytes) -> str:
    text = value.decode("ascii", "replace").strip("\0 ")
    # A terminal or a log obeys control characters.
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def _decode_tags(value: bytes) -> tuple[int, ...]:
    if len(value) % 4:
        raise CommandError(f"a list of tags of {len(value)} bytes")
    return tuple(group << 16 | element for group, element in _TAG.iter_unpack(value))


def _decode_uids(value: bytes) -> tuple[str, ...]:
    return tuple(filter(None, (_decode_text(uid) for uid in value.split(b"\\"))))


_UI: Final = (_encode_uid, _decode_text)
_SOP_CLASS: Final = (_cached_uid, _decode_text)
_AE: Final = (_encode_text, _decode_text)
_AT: Final = (_encode_tags, _decode_tags)
_SHORT: Final = (_US.pack, _decode_number)

_TABLE: Final[dict[int, tuple[str, Callable[[Any], bytes], Callable[[bytes], Any]]]] = {
    0x0002: ("AffectedSOPClassUID", *_SOP_CLASS),
    0x0003: ("RequestedSOPClassUID", *_SOP_CLASS),
    0x0100: ("CommandField", *_SHORT),
    0x0110: ("MessageID", *_SHORT),
    0x0120: ("MessageIDBeingRespondedTo", *_SHORT),
    0x0600: ("MoveDestination", *_AE),
    0x0700: ("Priority", *_SHORT),
    0x0800: ("CommandDataSetType", *_SHORT),
    0x0900: ("Status", *_SHORT),
    0x0901: ("OffendingElement", *_AT),
    0x0902: ("ErrorComment", *_AE),
    0x0903: ("ErrorID", *_SHORT),
    0x1000: ("AffectedSOPInstanceUID", *_UI),
    0x1001: ("RequestedSOPInstanceUID", *_UI),
    0x1002: ("EventTypeID", *_SHORT),
    0x1005: ("AttributeIdentifierList", *_AT),
    0x1008: ("ActionTypeID", *_SHORT),
    0x1020: ("NumberOfRemainingSuboperations", *_SHORT),
    0x1021: ("NumberOfCompletedSuboperations", *_SHORT),
    0x1022: ("NumberOfFailedSuboperations", *_SHORT),
    0x1023: ("NumberOfWarningSuboperations", *_SHORT),
    0x1030: ("MoveOriginatorApplicationEntityTitle", *_AE),
    0x1031: ("MoveOriginatorMessageID", *_SHORT),
}
# DCMTK and Orthanc append such "status details" to the command set instead of sending them as a data set.
_STATUS_DETAILS: Final[dict[tuple[int, int], tuple[str, Callable[[Any], bytes], Callable[[bytes], Any]]]] = {
    (0x0008, 0x0058): ("FailedSOPInstanceUIDList", _encode_text, _decode_uids),
}
# What stands in front of the value; for a number, whose length is known, the length too.
_ELEMENT_OF: Final = {
    keyword: (element, _HEADER.pack(0, element, 2) if encode == _US.pack else b"", encode)
    for element, (keyword, encode, _decode) in _TABLE.items()
}
# Fields of a request that its response repeats, by their names in both.
_REPEATED: Final = (
    ("AffectedSOPClassUID", "RequestedSOPClassUID"),
    ("AffectedSOPInstanceUID", "RequestedSOPInstanceUID"),
)
_GROUP_LENGTH: Final = _HEADER.pack(0, 0, 4)


def encode(command: Mapping[str, Any]) -> bytes:
    """A command set, its elements in ascending order and its group length in front (PS3.7 6.3.1).

    Raises:
        CommandError: an unknown keyword, or a value that its element cannot hold.
    """
    elements = []
    last, in_order = -1, True
    try:
        for keyword, value in command.items():
            element, head, pack = _ELEMENT_OF[keyword]
            raw = pack(value)
            elements.append((head or _HEADER.pack(0, element, len(raw))) + raw)
            in_order = in_order and element > last
            last = element
    except (KeyError, struct.error, TypeError, AttributeError) as error:
        raise CommandError(f"{keyword} cannot be encoded") from error
    if not in_order:
        elements.sort(key=_element_number)
    body = b"".join(elements)
    return _GROUP_LENGTH + _UL.pack(len(body)) + body


def _element_number(encoded: bytes) -> int:
    return encoded[2] | encoded[3] << 8


def decode(data: bytes) -> Command:
    """A command set as keyword -> value. Elements without a value are left out, and so are those not known here.

    Raises:
        CommandError: it cannot be read.
    """
    command: Command = {}
    position, size = 0, len(data)
    while position < size:
        if position + 8 > size:
            raise CommandError("a command element is cut short")
        group, element, length = _HEADER.unpack_from(data, position)
        position += 8
        end = position + length
        if end > size:
            raise CommandError(f"({group:04X},{element:04X}) of {length} bytes in a command set of {size}")
        known = _TABLE.get(element) if not group else _STATUS_DETAILS.get((group, element))
        if known is not None and length:
            keyword, _, read = known
            if read is _decode_number and length >= 2:  # most are numbers, and this is read for every instance
                command[keyword] = data[position] | data[position + 1] << 8
            else:
                command[keyword] = read(data[position:end])
        position = end
    if "CommandField" not in command:
        raise CommandError("a command set without a command field")
    return command


def name_of(command: Mapping[str, Any]) -> str:
    """``C-STORE-RQ``, ``C-FIND-RSP`` and so on; the number of an unknown one."""
    field = command["CommandField"]
    operation = OPERATIONS.get(field & ~RESPONSE, f"{field:04X}H")
    return f"{operation}-{'RSP' if field & RESPONSE else 'RQ'}"


def has_data_set(command: Mapping[str, Any]) -> bool:
    """Whether a data set follows; absent, as some peers leave it, means none."""
    return bool(command.get("CommandDataSetType", NO_DATA_SET) != NO_DATA_SET)


def response_to(request: Mapping[str, Any], status: int, *, data_set: bool = False) -> Command:
    """The response to a request, with the fields that every response has (PS3.7 9.3, 10.3)."""
    response: Command = {
        "CommandField": request["CommandField"] | RESPONSE,
        "MessageIDBeingRespondedTo": request.get("MessageID", 0),
        "CommandDataSetType": DATA_SET if data_set else NO_DATA_SET,
        "Status": status,
    }
    for affected, requested in _REPEATED:
        uid = request.get(affected) or request.get(requested)
        if uid and len(uid) <= _MAX_UID_CHARS and uid.isascii():  # what is no UID cannot be repeated
            response[affected] = uid
    return response
