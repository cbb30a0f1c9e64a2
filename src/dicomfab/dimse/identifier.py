"""Identifiers and attribute lists: data sets that travel with a command, between bytes and pydicom's ``Dataset``."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, MutableMapping, MutableSequence
from functools import lru_cache
from io import BytesIO
from typing import Final, NamedTuple

import pydicom
from pydicom import Dataset
from pydicom.charset import STAND_ALONE_ENCODINGS, default_encoding, python_encoding
from pydicom.datadict import DicomDictionary
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.errors import BytesLengthException
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag

from dicomfab.dimse.sop_classes import IMPLICIT_VR_LITTLE_ENDIAN

# pydicom warns of values that do not fit their VR, and quotes them: a patient's birth date does not belong into a log.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
_SHORT: Final = struct.Struct("<HH2sH")
_LONG: Final = struct.Struct("<HHI")
_LENGTH: Final = struct.Struct("<I")
_GROUP_ELEMENT: Final = struct.Struct("<HH")
_LONG_VRS: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_UNDEFINED: Final = 0xFFFFFFFF
_UNKNOWN: Final = ("",)
_MAX_DEPTH: Final = 16
_SPECIFIC_CHARACTER_SET: Final = 0x00080005
_ITEM: Final = 0xFFFEE000
_ITEM_DELIMITATION: Final = 0xFFFEE00D
_SEQUENCE_DELIMITATION: Final = 0xFFFEE0DD
_SEQUENCE_VR: Final = "SQ"
# Value representations of which pydicom can read any bytes. Values of the others are tried out at once: those who ask
# for them later are not prepared for what it raises.
_ALWAYS_READABLE: Final = frozenset("AE AS CS DA DT LO LT OB OD OF OL OV OW PN SH ST TM UC UI UR UT".split())
_INTEGER_STRING: Final = re.compile(rb"[0-9]{0,9} ?")
_UNREADABLE: Final = (
    ValueError, LookupError, TypeError, AttributeError, EOFError, OSError, OverflowError, RecursionError,
    NotImplementedError, struct.error, BytesLengthException,
)  # fmt: skip
# "ISO IR 100", "ISO-IR-100", "ISO_2022_IR_87" (PS3.3 C.12.1.1.2 has a blank or an underscore in each place)
_MISSPELT: Final = re.compile(r"ISO[ _-]?(2022)?[ _-]?IR[ _-]?(\d+)")


# VR -> what its values are padded with (PS3.5 6.2)
_PLAIN_VRS: Final = dict.fromkeys("AE AS CS DA DS DT IS LO LT PN SH ST TM".split(), b" ") | {"UI": b"\0"}
_MOST_PLAIN_BYTES: Final = 0xFFFE
_BLANK: Final = vars(Dataset())


class IdentifierError(ValueError):
    """Bytes that are no data set in the transfer syntax of their context."""


def encode(identifier: Dataset, transfer_syntax: str) -> bytes:
    """The data set's bytes.

    Args:
        identifier: without file meta information.
        transfer_syntax: an uncompressed one.
    """
    implicit = transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN
    if transfer_syntax != BIG_ENDIAN:
        plain = _encode_plain(identifier, implicit=implicit)
        if plain is not None:
            return plain
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = implicit
    buffer.is_little_endian = transfer_syntax != BIG_ENDIAN
    write_dataset(buffer, identifier)
    return buffer.getvalue()


def _encode_plain(identifier: Dataset, *, implicit: bool) -> bytes | None:
    """The bytes of a data set that holds short ASCII texts and sequences of them alone, as most do; else ``None``."""
    parts: list[bytes] = []
    for tag in sorted(identifier.keys()):
        element = identifier[tag]
        vr = element.VR.encode()
        raw = _plain_items(element.value, implicit=implicit) if vr == b"SQ" else _plain_text(element)
        if raw is None or len(vr) != 2:
            return None
        group, number = tag >> 16, tag & 0xFFFF
        if implicit:
            parts += (_LONG.pack(group, number, len(raw)), raw)
        elif vr in _LONG_VRS:
            parts += (_SHORT.pack(group, number, vr, 0), _LENGTH.pack(len(raw)), raw)
        else:
            parts += (_SHORT.pack(group, number, vr, len(raw)), raw)
    return b"".join(parts)


def _plain_items(items: Iterable[Dataset] | None, *, implicit: bool) -> bytes | None:
    parts: list[bytes] = []
    for item in items or ():
        raw = _encode_plain(item, implicit=implicit)
        if raw is None:
            return None
        parts += (_LONG.pack(_ITEM >> 16, _ITEM & 0xFFFF, len(raw)), raw)
    return b"".join(parts)


def _plain_text(element: DataElement) -> bytes | None:
    value = element.value
    padding = _PLAIN_VRS.get(element.VR)
    if padding is None:
        return b"" if value is None else None
    raw = _ascii("\\".join(map(str, value)) if isinstance(value, MultiValue) else value)
    if raw is None or len(raw) > _MOST_PLAIN_BYTES:
        return None
    return raw + padding if len(raw) % 2 else raw


def _ascii(value: object) -> bytes | None:
    text = "" if value is None else str(value)
    return text.encode("ascii") if text.isascii() else None


def decode(data: bytes, transfer_syntax: str) -> Dataset:
    """The data set. Values stay raw until they are asked for, so that a thousand matches cost little.

    Raises:
        IdentifierError: it cannot be read.
    """
    implicit = transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN
    if transfer_syntax == BIG_ENDIAN:
        return _decode_slowly(data, implicit, little=False)
    doubtful: list[BaseTag] = []
    elements = _flat(data, implicit, doubtful)
    if elements is None:
        return _decode_slowly(data, implicit, little=True)
    charset = elements.get(BaseTag(_SPECIFIC_CHARACTER_SET))
    dataset = _dataset(elements, implicit, list(_encodings(charset.value or b"")) if charset else "")
    if doubtful:
        _try(dataset, doubtful)
    return dataset


def _dataset(
    elements: MutableMapping[BaseTag, DataElement | RawDataElement], implicit: bool, encodings: list[str] | str
) -> Dataset:
    """What ``Dataset(elements)`` and ``set_original_encoding`` make, without their 16 checked assignments."""
    dataset = Dataset.__new__(Dataset)
    vars(dataset).update(
        _BLANK,
        _dict=elements,
        _private_blocks={},
        _pixel_array_opts={"use_pdh": False},
        _pixel_id={},
        _read_implicit=implicit,
        _read_little=True,
        _read_charset=encodings,
    )
    return dataset


@lru_cache(64)
def _encodings(specific_character_set: bytes) -> tuple[str, ...]:
    """Python's names of the encodings, for pydicom to read texts with later (PS3.3 C.12.1.1.2)."""
    names = [name.strip("\0 ") for name in specific_character_set.decode("ascii", "replace").split("\\")]
    names = [names[0], *(name for name in names[1:] if name not in STAND_ALONE_ENCODINGS)]
    if names[0] in STAND_ALONE_ENCODINGS:  # no other can be switched to from these
        del names[1:]
    return tuple(_encoding(name) for name in names)


def _encoding(name: str) -> str:
    misspelt = _MISSPELT.fullmatch(name)
    if name not in python_encoding and misspelt:
        name = ("ISO 2022 IR " if misspelt[1] else "ISO_IR ") + misspelt[2]
    return str(python_encoding.get(name, default_encoding))


def _try(dataset: Dataset, tags: Iterable[BaseTag]) -> None:
    """Have the values of some elements read, and all that are in them."""
    try:
        for tag in tags:
            element = dataset[tag]
            if element.VR == _SEQUENCE_VR:
                for item in element.value:
                    _settle(item, dataset.original_character_set)
    except _UNREADABLE as error:
        raise IdentifierError(f"the value of {tag} cannot be read ({type(error).__name__})") from error


def _settle(dataset: Dataset, inherited: str | MutableSequence[str]) -> None:
    """Make a data set from pydicom like one of :func:`_flat`: its texts to be read later, as their encoding is written.

    Args:
        dataset: as read, an item perhaps.
        inherited: the encodings of what it is in (PS3.5 7.5.3).
    """
    charset = dataset.get_item(_SPECIFIC_CHARACTER_SET, keep_deferred=True)
    written = isinstance(charset, RawDataElement)
    encodings = list(_encodings(charset.value or b"")) if written else inherited
    implicit, little = dataset.original_encoding
    dataset.set_original_encoding(implicit, little, encodings)
    _try(dataset, _doubtful(dataset))


def _doubtful(dataset: Dataset) -> list[BaseTag]:
    """The elements of a data set from pydicom that have to be tried; texts wait for who knows their encoding."""
    found = []
    for tag in dataset.keys():  # noqa: SIM118 (iterating over a data set reads every value)
        element = dataset.get_item(tag, keep_deferred=True)
        vr = element.VR if element.VR not in (None, "UN") else DicomDictionary.get(tag, ("",))[0]
        if vr not in _ALWAYS_READABLE:
            found.append(tag)
    return found


def _flat(
    data: bytes, implicit: bool, doubtful: list[BaseTag]
) -> MutableMapping[BaseTag, DataElement | RawDataElement] | None:
    """The elements of a data set without sequences; ``None`` if it has any, for pydicom to read.

    Args:
        data: the data set.
        implicit: its VR is.
        doubtful: takes the elements whose values have to be tried.
    """
    elements: MutableMapping[BaseTag, DataElement | RawDataElement] = {}
    position, size = 0, len(data)
    while position < size:
        start = position
        position += 8
        if position > size:
            raise IdentifierError("a data element is cut short")
        if implicit:
            head = _implicit_head(data[start : start + 4])
            length = int.from_bytes(data[start + 4 : position], "little")
        else:
            head = _explicit_head(data[start : start + 6])
            length = data[start + 6] | data[start + 7] << 8
            if head.is_long:
                position += 4
                if position > size:
                    raise IdentifierError("a data element is cut short")
                length = int.from_bytes(data[start + 8 : position], "little")
        if length == _UNDEFINED or head.meant == _SEQUENCE_VR:
            return None
        end = position + length
        if end > size:
            raise IdentifierError(f"{head.tag} has {length} bytes, of which {size - position} are there")
        value = data[position:end]
        elements[head.tag] = RawDataElement(head.tag, head.vr, length, value, position, implicit, True)
        if head.is_doubtful and not (head.meant == "IS" and _INTEGER_STRING.fullmatch(value)):
            doubtful.append(head.tag)
        position = end
    return elements


class _Head(NamedTuple):
    """What the first bytes of a data element say, whatever its length.

    Args:
        vr: as written; none if it is implicit.
        meant: the VR to read it by.
        is_long: its length has 32 bits.
        is_doubtful: its value has to be tried.
    """

    tag: BaseTag
    vr: str | None
    meant: str
    is_long: bool
    is_doubtful: bool


@lru_cache(4096)
def _explicit_head(first: bytes) -> _Head:
    group, element = _GROUP_ELEMENT.unpack_from(first)
    vr = first[4:].decode("ascii", "replace")
    return _head(group << 16 | element, vr, is_long=first[4:] in _LONG_VRS)


@lru_cache(4096)
def _implicit_head(first: bytes) -> _Head:
    group, element = _GROUP_ELEMENT.unpack(first)
    return _head(group << 16 | element, None, is_long=True)


def _head(tag: int, vr: str | None, *, is_long: bool) -> _Head:
    meant = DicomDictionary.get(tag, _UNKNOWN)[0] if vr in (None, "UN") else vr
    return _Head(BaseTag(tag), vr, str(meant), is_long, meant not in _ALWAYS_READABLE)


def _decode_slowly(data: bytes, implicit: bool, *, little: bool) -> Dataset:
    _Structure(data, little=little).elements(0, len(data), implicit=implicit)
    source = BytesIO(data)
    try:
        dataset = pydicom.filereader.read_dataset(source, implicit, little)
    except _UNREADABLE as error:
        raise IdentifierError(f"the data set cannot be read ({type(error).__name__})") from error
    if source.tell() < len(data):
        raise IdentifierError("bytes after the end of the data set")
    _settle(dataset, default_encoding)
    return dataset


class _Structure:
    """Checks that elements and items end where they say, all the way down (PS3.5 7.5); pydicom is not that strict.

    Every method raises an :class:`IdentifierError`, or returns the position behind what it was asked for.
    """

    def __init__(self, data: bytes, *, little: bool) -> None:
        order = "<" if little else ">"
        self._data = data
        self._long = struct.Struct(order + "HHI")
        self._short = struct.Struct(order + "HH2sH")
        self._length = struct.Struct(order + "I")

    def elements(self, position: int, end: int, *, implicit: bool, delimited: bool = False, depth: int = 0) -> int:
        """Data elements up to the end, or to an item delimitation."""
        while position < end:
            tag, vr, length, position = self._header(position, end, implicit=implicit)
            if delimited and tag == _ITEM_DELIMITATION:
                return position
            if tag >> 16 == _ITEM >> 16:
                raise IdentifierError("an item outside of a sequence")
            if length != _UNDEFINED and vr != b"SQ":
                position = self._behind(position, length, end)
                continue
            if vr not in (b"SQ", b"UN"):
                raise IdentifierError(f"a data element of VR {vr!r} without a length")
            undefined = length == _UNDEFINED
            stop = end if undefined else self._behind(position, length, end)
            # What is in a UN of undefined length is implicit (PS3.5 6.2.2).
            inner = implicit or vr == b"UN"
            position = self._items(position, stop, implicit=inner, delimited=undefined, depth=depth + 1)
        if delimited:
            raise IdentifierError("an item without an end")
        return position

    def _items(self, position: int, end: int, *, implicit: bool, delimited: bool, depth: int) -> int:
        if depth > _MAX_DEPTH:
            raise IdentifierError("sequences are nested too deeply")
        while position < end:
            tag, _, length, position = self._header(position, end, implicit=True)
            if delimited and tag == _SEQUENCE_DELIMITATION:
                return position
            if tag != _ITEM:
                raise IdentifierError("a sequence of something other than items")
            undefined = length == _UNDEFINED
            stop = end if undefined else self._behind(position, length, end)
            position = self.elements(position, stop, implicit=implicit, delimited=undefined, depth=depth)
        if delimited:
            raise IdentifierError("a sequence without an end")
        return position

    def _header(self, position: int, end: int, *, implicit: bool) -> tuple[int, bytes, int, int]:
        """Tag, VR and length of an element, and where its value is."""
        start, position = position, self._behind(position, 8, end)
        group, element, length = self._long.unpack_from(self._data, start)
        tag = group << 16 | element
        if group == _ITEM >> 16:
            return tag, b"", length, position
        if implicit:
            known = DicomDictionary.get(tag, _UNKNOWN)[0]
            return tag, b"SQ" if known == _SEQUENCE_VR or length == _UNDEFINED else b"", length, position
        _, _, vr, length = self._short.unpack_from(self._data, start)
        if not (vr.isalpha() and vr.isupper()):
            raise IdentifierError(f"({group:04X},{element:04X}) has no VR")
        if vr in _LONG_VRS:
            start, position = position, self._behind(position, 4, end)
            (length,) = self._length.unpack_from(self._data, start)
        return tag, vr, length, position

    @staticmethod
    def _behind(position: int, length: int, end: int) -> int:
        if position + length > end:
            raise IdentifierError(f"{length} bytes, of which {end - position} are there")
        return position + length
