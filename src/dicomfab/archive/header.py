"""Reads from a data set what the index needs, and nothing more.

Of pydicom's reader only the dictionary is used: this runs once per received instance, on bytes from outside, so it
walks the top level once, holds no value that it was not asked for, and has no recursion to exhaust. It walks over
memory: mostly the first bytes as they came in; the file, mapped, where those do not reach far enough.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from dicomfab.archive.attributes import ATTRIBUTES, BY_LEVEL
from dicomfab.archive.errors import MismatchedInstance, UnreadableInstance
from dicomfab.archive.matching import normal_date
from dicomfab.archive.text import SPECIFIC_CHARACTER_SET, decode, encodings, value_text
from dicomfab.model import values
from dicomfab.model.errors import InvalidInput
from dicomfab.model.query import Level
from dicomfab.model.study import InstanceIdentity

IMPLICIT_LITTLE: Final = "1.2.840.10008.1.2"
EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"

Data: TypeAlias = bytes | mmap.mmap

_WANTED: Final = frozenset({SPECIFIC_CHARACTER_SET, *(attribute.tag for attribute in ATTRIBUTES)})
_LAST: Final = max(_WANTED)
_TAGS: Final = {level: tuple(attribute.tag for attribute in attributes) for level, attributes in BY_LEVEL.items()}
_VRS: Final = {level: tuple(attribute.vr for attribute in attributes) for level, attributes in BY_LEVEL.items()}
_LONG_VRS: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_SHORT_VRS: Final = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS"}
    | {b"ST", b"TM", b"UI", b"UL", b"US"}
)
_UNDEFINED: Final = 0xFFFFFFFF
_ITEM_END, _SEQUENCE_END = 0xFFFEE00D, 0xFFFEE0DD
_MAX_VALUE_BYTES: Final = 1 << 16  # no indexed attribute is longer, by its VR or by sense
_MAX_INFLATED_BYTES: Final = 16 << 20
_REPEATED_BYTES: Final = 64
_MAX_NESTING: Final = 1000
_PLACING_UIDS: Final = ((0x0020000D, "StudyInstanceUID"), (0x0020000E, "SeriesInstanceUID"))


class _Encoding:
    """How elements begin (PS3.5 7.1.2, 7.1.3): functions that take the data and an offset."""

    def __init__(self, order: str, *, explicit: bool) -> None:
        self.explicit = explicit
        self.little = order == "<"
        self.with_vr = struct.Struct(order + "HH2sH").unpack_from
        self.without_vr = struct.Struct(order + "HHI").unpack_from
        self.long_length = struct.Struct(order + "8xI").unpack_from


_META: Final = _Encoding("<", explicit=True)
_WITHIN_UN: Final = _Encoding("<", explicit=False)  # of undefined length (PS3.5 6.2.2)
_ENCODINGS: Final = {IMPLICIT_LITTLE: _WITHIN_UN, EXPLICIT_BIG: _Encoding(">", explicit=True)}


class Header(NamedTuple):
    """The indexed attributes of an instance, decoded when they are asked for.

    Args:
        study_instance_uid, series_instance_uid: (0020,000D) and (0020,000E), checked.
        raw: tag -> value as encoded.
        little_endian: how numbers among them are.
    """

    study_instance_uid: str
    series_instance_uid: str
    raw: dict[int, bytes]
    little_endian: bool

    def values(self, level: Level) -> list[str]:
        """The attributes of one level, in the order of ``BY_LEVEL``; absent ones are empty."""
        charsets = encodings(self.raw.get(SPECIFIC_CHARACTER_SET, b""))
        little_endian = self.little_endian
        return [
            (_text_again if len(value) <= _REPEATED_BYTES else _text)(value, vr, charsets, little_endian)
            if value
            else ""
            for value, vr in zip(map(self.raw.get, _TAGS[level]), _VRS[level], strict=True)
        ]

    def sharing(self, other: Header) -> Header:
        """The same, holding only once what the other has too, so that a long series stays small."""
        had = other.raw
        shared = {tag: had[tag] if had.get(tag) == value else value for tag, value in self.raw.items()}
        return Header(self.study_instance_uid, self.series_instance_uid, shared, self.little_endian)


def _text(value: bytes, vr: str, charsets: tuple[str, ...], little_endian: bool) -> str:
    text = value_text(value, vr, charsets, little_endian=little_endian)
    return normal_date(text) if vr == "DA" else text


_text_again: Final = lru_cache(maxsize=2048)(_text)  # the instances of a series have most values in common


def parse_header(data: bytes, dataset_offset: int, identity: InstanceIdentity, *, whole: bool) -> Header | None:
    """Read the indexed attributes of a data set, tolerantly, and check that it is the instance announced.

    Args:
        data: a DICOM file's first bytes.
        dataset_offset: bytes before the data set.
        identity: the transfer syntax to read it by, and the UIDs that it has to have.
        whole: there are no more bytes than these.

    Returns:
        The header, or ``None`` if these bytes are not enough.

    Raises:
        UnreadableInstance: it cannot be parsed, or lacks a study, series or SOP instance UID.
        MismatchedInstance: its SOP class or SOP instance UID is another than ``identity`` says.
    """
    if identity.transfer_syntax_uid == DEFLATED and not whole:
        return None
    try:
        return _parsed(data, dataset_offset, identity, whole=whole)
    except UnreadableInstance:
        if whole:
            raise
        return None


def read_header(path: Path, dataset_offset: int, identity: InstanceIdentity) -> Header:
    """The same from a file.

    Raises:
        UnreadableInstance, MismatchedInstance: as :func:`parse_header`.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _parsed(data, dataset_offset, identity, whole=True)


def read_identity(path: Path) -> tuple[InstanceIdentity, int]:
    """Read the file meta information of a DICOM file (PS3.10 7.1).

    Returns:
        What it says, and the bytes before the data set.

    Raises:
        UnreadableInstance: it is no DICOM file.
    """
    meta: dict[int, str] = {}
    try:
        with path.open("rb") as file:
            if file.read(132)[128:] != b"DICM":
                raise EOFError("no DICM prefix")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                at, end = 132, len(data)
                # What follows the group may be deflated, and then no data element.
                while at < end and data[at : at + 2] == b"\2\0":
                    tag, _, length, value_at = _element(data, at, _META)
                    meta[tag] = decode(_value(data, value_at, length), "UI", ())
                    at = value_at + length
    except EOFError as error:
        raise UnreadableInstance(
            f"{path.name}: not a DICOM file ({error})",
            field="file",
            value=path.name,
            cause="it was cut short, or something else was put among the instances",
            remedy="move it elsewhere",
        ) from error
    return InstanceIdentity(*(meta.get(tag, "") for tag in (0x00020002, 0x00020003, 0x00020010))), at


def _parsed(data: Data, at: int, identity: InstanceIdentity, *, whole: bool) -> Header:
    encoding = _ENCODINGS.get(identity.transfer_syntax_uid, _META)
    try:
        if identity.transfer_syntax_uid == DEFLATED:
            data, at = _inflated(data, at), 0
        raw = _scan(data, at, encoding, whole=whole)
    except (EOFError, zlib.error) as error:
        raise UnreadableInstance(
            f"SOP instance {identity.sop_instance_uid}: the data set cannot be read ({error})",
            field="data set",
            cause="it is cut short or damaged, or is not encoded in the transfer syntax it was sent under",
            remedy="send it again; if that fails, check the file with a DICOM validator",
        ) from error
    study, series = (_placing_uid(raw, tag, keyword, identity) for tag, keyword in _PLACING_UIDS)
    _check_announced(raw, identity)
    return Header(study, series, raw, encoding.little)


def _placing_uid(raw: dict[int, bytes], tag: int, keyword: str, identity: InstanceIdentity) -> str:
    try:
        return values.uid(decode(raw.get(tag, b""), "UI", ()), field=keyword)
    except InvalidInput as error:
        raise UnreadableInstance(
            f"SOP instance {identity.sop_instance_uid}: {error.what}",
            field=keyword,
            value=error.value,
            cause="the data set lacks a UID without which the instance belongs nowhere, or has an invalid one",
            remedy="correct the data set at its source, then send it again",
        ) from error


def _check_announced(raw: dict[int, bytes], identity: InstanceIdentity) -> None:
    for tag, keyword, announced in (
        (0x00080016, "SOPClassUID", identity.sop_class_uid),
        (0x00080018, "SOPInstanceUID", identity.sop_instance_uid),
    ):
        found = decode(raw.get(tag, b""), "UI", ())
        if found != announced:
            raise MismatchedInstance(
                f"SOP instance {identity.sop_instance_uid}: {keyword} is {found!r} in the data set, "
                f"but {announced!r} in the command or file header",
                field=keyword,
                value=found,
                cause="the sender changed one of the two and not the other",
                remedy="correct the data set or the sender, then send it again",
            )


def _inflated(data: Data, at: int) -> bytes:
    """The first part of a deflated data set (PS3.5 A.5): as much as any header has, so that no bomb can go off."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    return inflater.decompress(data[at : at + _MAX_INFLATED_BYTES], _MAX_INFLATED_BYTES)


def _scan(data: Data, at: int, encoding: _Encoding, *, whole: bool) -> dict[int, bytes]:
    """Collect the wanted top-level elements: tag -> value."""
    found: dict[int, bytes] = {}
    end = len(data)
    begins, common = encoding.with_vr, _SHORT_VRS if encoding.explicit else ()
    try:
        while at < end:
            group, number, vr, length = begins(data, at)
            tag = group << 16 | number
            if tag > _LAST:
                return found
            if vr in common:  # nearly all elements of a header: no call for each of them
                at += 8
                if tag in _WANTED:
                    found[tag] = data[at : at + length]
                at += length
                continue
            tag, vr, length, at = _element(data, at, encoding)
            if length == _UNDEFINED:
                at = _after_undefined(data, at, encoding, vr)
                continue
            if tag in _WANTED:
                found[tag] = data[at : at + min(length, _MAX_VALUE_BYTES)]
            at += length
    except struct.error:
        raise EOFError("it ends within an element") from None
    if at > end or not whole:
        raise EOFError("it ends within a value")
    return found


def _element(data: Data, at: int, encoding: _Encoding) -> tuple[int, bytes, int, int]:
    """The element that begins at an offset: tag, VR (empty if implicit), length, and the offset of its value."""
    try:
        if encoding.explicit:
            group, number, vr, length = encoding.with_vr(data, at)
            if group != 0xFFFE:
                if vr in _SHORT_VRS:
                    return group << 16 | number, vr, length, at + 8
                if vr in _LONG_VRS:
                    return group << 16 | number, vr, encoding.long_length(data, at)[0], at + 12
                if not (vr.isalpha() and vr.isupper()):
                    raise EOFError(f"({group:04X},{number:04X}) has no value representation")
                return group << 16 | number, vr, length, at + 8
        group, number, length = encoding.without_vr(data, at)
    except struct.error:
        raise EOFError("it ends within an element") from None
    return group << 16 | number, b"", length, at + 8


def _after_undefined(data: Data, at: int, encoding: _Encoding, vr: bytes) -> int:
    """Where a value of undefined length ends: nested sequences and items, or fragments (PS3.5 7.5, A.4)."""
    nesting = [_WITHIN_UN if vr == b"UN" else encoding]
    while nesting:
        if len(nesting) > _MAX_NESTING:
            raise EOFError("its sequences are nested without end")
        if at >= len(data):
            raise EOFError("it ends within a sequence")
        tag, inner_vr, length, at = _element(data, at, nesting[-1])
        if tag in (_ITEM_END, _SEQUENCE_END):
            nesting.pop()
        elif length == _UNDEFINED:
            nesting.append(_WITHIN_UN if inner_vr == b"UN" else nesting[-1])
        else:
            at += length
    return at


def _value(data: Data, at: int, length: int) -> bytes:
    value = data[at : at + length]
    if len(value) < length:
        raise EOFError("it ends within a value")
    return value
