"""Reads from a data set on disk what the index needs, and nothing more.

Of pydicom's reader only the dictionary is used: this runs once per received instance, on bytes from outside, so it
walks the top level once, holds no value that it was not asked for, and has no recursion to exhaust.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from dicomfab.archive.attributes import ATTRIBUTES, BY_LEVEL, LEVELS
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

_WANTED: Final = frozenset({SPECIFIC_CHARACTER_SET, *(attribute.tag for attribute in ATTRIBUTES)})
_LAST: Final = max(_WANTED)
_LONG_VRS: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_UNDEFINED: Final = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_MAX_VALUE_BYTES: Final = 1 << 16  # no indexed attribute is longer, by its VR or by sense
_MAX_INFLATED_BYTES: Final = 16 << 20
_MAX_NESTING: Final = 1000
_UID_KEYWORDS: Final = ("StudyInstanceUID", "SeriesInstanceUID")


@dataclass(frozen=True, slots=True)
class Header:
    """The indexed attributes of an instance, by level and keyword; absent and empty ones are left out."""

    levels: dict[Level, dict[str, str]]

    @property
    def study_instance_uid(self) -> str:
        """(0020,000D), checked."""
        return self.levels[Level.STUDY]["StudyInstanceUID"]

    @property
    def series_instance_uid(self) -> str:
        """(0020,000E), checked."""
        return self.levels[Level.SERIES]["SeriesInstanceUID"]


@dataclass(frozen=True, slots=True)
class _Encoding:
    explicit: bool
    little: bool

    @property
    def tag(self) -> struct.Struct:
        return _TAG[self.little]


_META: Final = _Encoding(explicit=True, little=True)
_TAG: Final = {True: struct.Struct("<HH"), False: struct.Struct(">HH")}
_SHORT: Final = {True: struct.Struct("<H"), False: struct.Struct(">H")}
_LONG: Final = {True: struct.Struct("<I"), False: struct.Struct(">I")}


def read_header(path: Path, dataset_offset: int, identity: InstanceIdentity) -> Header:
    """Read the indexed attributes of an instance file, tolerantly, and check that it is the instance announced.

    Args:
        path: the file.
        dataset_offset: bytes before the data set.
        identity: the transfer syntax to read it by, and the UIDs that it has to have.

    Raises:
        UnreadableInstance: it cannot be parsed, or lacks a study, series or SOP instance UID.
        MismatchedInstance: its SOP class or SOP instance UID is another than ``identity`` says.
    """
    encoding = _Encoding(
        explicit=identity.transfer_syntax_uid != IMPLICIT_LITTLE, little=identity.transfer_syntax_uid != EXPLICIT_BIG
    )
    try:
        with path.open("rb") as file:
            file.seek(dataset_offset)
            source = _inflated(file) if identity.transfer_syntax_uid == DEFLATED else file
            raw = _scan(source, encoding)
    except (EOFError, struct.error, zlib.error) as error:
        raise UnreadableInstance(
            f"SOP instance {identity.sop_instance_uid}: the data set cannot be read ({error})",
            field="data set",
            cause="it is cut short or damaged, or is not encoded in the transfer syntax it was sent under",
            remedy="send it again; if that fails, check the file with a DICOM validator",
        ) from error
    return _checked(_decoded(raw, encoding), identity)


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
            if _exactly(file, 132)[128:] != b"DICM":
                raise EOFError("no DICM prefix")
            while True:
                offset = file.tell()
                element = _element(file, _META)
                if element is None or element[0] >> 16 != 0x0002:
                    break
                meta[element[0]] = decode(_exactly(file, element[2]), "UI", ())
    except EOFError as error:
        raise UnreadableInstance(
            f"{path.name}: not a DICOM file ({error})",
            field="file",
            value=path.name,
            cause="it was cut short, or something else was put among the instances",
            remedy="move it elsewhere",
        ) from error
    return InstanceIdentity(*(meta.get(tag, "") for tag in (0x00020002, 0x00020003, 0x00020010))), offset


def _decoded(raw: dict[int, tuple[bytes, bytes]], encoding: _Encoding) -> Header:
    charsets = encodings(raw.get(SPECIFIC_CHARACTER_SET, (b"", b""))[1])
    levels: dict[Level, dict[str, str]] = {}
    for level in LEVELS:
        found = levels[level] = {}
        for attribute in BY_LEVEL[level]:
            if attribute.tag in raw:
                text = value_text(raw[attribute.tag][1], attribute.vr, charsets, little_endian=encoding.little)
                text = normal_date(text) if attribute.vr == "DA" else text
                if text:
                    found[attribute.keyword] = text
    return Header(levels)


def _checked(header: Header, identity: InstanceIdentity) -> Header:
    found = {**header.levels[Level.STUDY], **header.levels[Level.SERIES], **header.levels[Level.IMAGE]}
    for keyword in _UID_KEYWORDS:
        try:
            values.uid(found.get(keyword, ""), field=keyword)
        except InvalidInput as error:
            raise UnreadableInstance(
                f"SOP instance {identity.sop_instance_uid}: {error.what}",
                field=keyword,
                value=error.value,
                cause="the data set lacks a UID without which the instance belongs nowhere, or has an invalid one",
                remedy="correct the data set at its source, then send it again",
            ) from error
    for keyword, announced in (("SOPClassUID", identity.sop_class_uid), ("SOPInstanceUID", identity.sop_instance_uid)):
        if found.get(keyword, "") != announced:
            raise MismatchedInstance(
                f"SOP instance {identity.sop_instance_uid}: {keyword} is {found.get(keyword, '')!r} in the data set, "
                f"but {announced!r} in the command or file header",
                field=keyword,
                value=found.get(keyword, ""),
                cause="the sender changed one of the two and not the other",
                remedy="correct the data set or the sender, then send it again",
            )
    return header


def _inflated(file: BinaryIO) -> BinaryIO:
    """The first part of a deflated data set (PS3.5 A.5): as much as any header has, so that no bomb can go off."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    return io.BytesIO(inflater.decompress(file.read(_MAX_INFLATED_BYTES), _MAX_INFLATED_BYTES))


def _scan(file: BinaryIO, encoding: _Encoding) -> dict[int, tuple[bytes, bytes]]:
    """Collect the wanted top-level elements: tag -> (VR, value)."""
    found: dict[int, tuple[bytes, bytes]] = {}
    while True:
        element = _element(file, encoding)
        if element is None or element[0] > _LAST:
            return found
        tag, vr, length = element
        if length == _UNDEFINED:
            _skip_undefined(file, encoding, vr)
        elif tag in _WANTED:
            value = _exactly(file, min(length, _MAX_VALUE_BYTES))
            file.seek(length - len(value), io.SEEK_CUR)
            found[tag] = (vr, value)
        else:
            file.seek(length, io.SEEK_CUR)


def _element(file: BinaryIO, encoding: _Encoding) -> tuple[int, bytes, int] | None:
    """The next element's tag, VR (empty if implicit) and length; ``None`` at the end of the data set."""
    head = file.read(8)
    if not head:
        return None
    if len(head) < 8:
        raise EOFError("it ends within an element")
    group, number = encoding.tag.unpack_from(head)
    tag = group << 16 | number
    if not encoding.explicit or group == 0xFFFE:
        return tag, b"", _LONG[encoding.little].unpack_from(head, 4)[0]
    vr = head[4:6]
    if vr in _LONG_VRS:
        return tag, vr, _LONG[encoding.little].unpack(_exactly(file, 4))[0]
    if not (vr.isalpha() and vr.isupper()):
        raise EOFError(f"({group:04X},{number:04X}) has no value representation")
    return tag, vr, _SHORT[encoding.little].unpack_from(head, 6)[0]


def _skip_undefined(file: BinaryIO, encoding: _Encoding, vr: bytes) -> None:
    """Skip a value of undefined length: nested sequences and items, or fragments (PS3.5 7.5, A.4).

    What lies within UN of undefined length is implicit VR little endian (PS3.5 6.2.2).
    """
    nesting = [_Encoding(explicit=False, little=True) if vr == b"UN" else encoding]
    while nesting:
        if len(nesting) > _MAX_NESTING:
            raise EOFError("its sequences are nested without end")
        element = _element(file, nesting[-1])
        if element is None:
            raise EOFError("it ends within a sequence")
        tag, inner_vr, length = element
        if tag in (_ITEM_END, _SEQUENCE_END):
            nesting.pop()
        elif length == _UNDEFINED:
            nesting.append(_Encoding(explicit=False, little=True) if inner_vr == b"UN" else nesting[-1])
        else:
            file.seek(length, io.SEEK_CUR)


def _exactly(file: BinaryIO, length: int) -> bytes:
    data = file.read(length)
    if len(data) < length:
        raise EOFError("it ends within a value")
    return data
