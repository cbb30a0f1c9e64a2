"""Walks over an encoded data set where it lies, in memory or mapped, without making objects of its values (PS3.5 7)."""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, TypeAlias

from dicomfab.model.errors import InstanceUnreadable, InvalidInput
from dicomfab.model.study import InstanceFile, InstanceIdentity
from dicomfab.model.values import uid
from dicomfab.pixels.elements import (
    ITEM,
    ITEM_END,
    LONG_VRS,
    SEQUENCE_END,
    UNDEFINED,
    UNIT_BYTES,
    implied_vr,
    swapped,
)
from dicomfab.pixels.syntaxes import EXPLICIT_LITTLE, NATIVE, Encoding

Data: TypeAlias = bytes | mmap.mmap

PIXEL_REPRESENTATION: Final = 0x00280103
#: Integers, and floating point numbers of 32 and of 64 bits.
PIXEL_DATA_TAGS: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_PREAMBLE: Final = 128
_PREFIX: Final = b"DICM"
#: No file meta information is longer.
META_BYTES: Final = 64 << 10
_IDENTITY: Final = (0x00020002, 0x00020003, 0x00020010)
#: The length of the values of these takes two bytes in explicit VR.
SHORT_VRS: Final = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_NAMES: Final = {vr: vr.decode("ascii") for vr in SHORT_VRS}
_MAX_NESTING: Final = 64
_MAX_INFLATED_BYTES: Final = 4 << 30
_MAX_INFLATION: Final = 200  # times what is stored
_SMALL_BYTES: Final = 64 << 20  # an empty picture deflates a thousand times
_INFLATED_AT_ONCE: Final = 1 << 20
_RAW_DEFLATE: Final = -15


class DamagedInstance(InstanceUnreadable):
    """What an instance holds cannot be read, whoever made it; it can still be retrieved as it is stored."""


class Layout:
    """How elements are written: functions that take the data and an offset.

    Args:
        encoding: of the data set; a deflated one is inflated already.
    """

    def __init__(self, encoding: Encoding) -> None:
        order = "<" if encoding.little else ">"
        self.explicit = encoding.explicit
        self.little = encoding.little
        self.with_vr = struct.Struct(order + "HH2sH").unpack_from
        self.without_vr = struct.Struct(order + "HHI").unpack_from
        self.long_length = struct.Struct(order + "8xI").unpack_from


_LAYOUTS: Final = {syntax: Layout(encoding) for syntax, encoding in NATIVE.items()}
_EXPLICIT: Final = _LAYOUTS[EXPLICIT_LITTLE]
_WITHIN_UN: Final = Layout(Encoding(explicit=False, little=True))  # PS3.5 6.2.2


class Element(NamedTuple):
    """A data element where it stands.

    Args:
        tag: group and element.
        vr: stated, or known from the data dictionary.
        at: where it begins.
        start, end: of its value, without delimiters.
        next: where the next element begins.
        layout: of what its items contain.
    """

    tag: int
    vr: str
    at: int
    start: int
    end: int
    next: int
    layout: Layout

    @property
    def is_sequence(self) -> bool:
        """Whether its items are data sets."""
        return self.vr == "SQ"


class DataSet(NamedTuple):
    """An encoded data set, or an item of a sequence.

    Args:
        data: what contains it.
        start, end: its bytes.
        layout: of its elements.
        signed: PixelRepresentation is 1; decides between US and SS where no VR is stated.
        depth: how many sequences it is in.
    """

    data: Data
    start: int
    end: int
    layout: Layout
    signed: bool = False
    depth: int = 0

    def elements(self) -> Iterator[Element]:
        """The elements in their order.

        Raises:
            DamagedInstance: it cannot be parsed.
        """
        data, at, end, layout, _, _ = self
        common, names = (SHORT_VRS, _NAMES) if layout.explicit else ((), {})
        begins, last = layout.with_vr, end - 8
        while at < end:
            if at <= last:  # nearly all elements of a header: no call for each of them
                group, number, raw_vr, length = begins(data, at)
                start = at + 8
                after = start + length
                if raw_vr in common and after <= end:
                    yield Element(group << 16 | number, names[raw_vr], at, start, after, after, layout)
                    at = after
                    continue
            element = element_at(self, at)
            yield element
            at = element.next

    def items(self, sequence: Element) -> Iterator[DataSet]:
        """The items of one of its sequences."""
        if self.depth == _MAX_NESTING:
            raise _unreadable(f"sequences nest more than {_MAX_NESTING} deep")
        for start, end in item_places(self.data, sequence):
            yield DataSet(self.data, start, end, sequence.layout, self.signed, self.depth + 1)

    def find(self, tag: int) -> Element | None:
        """An element of this data set itself, or nothing; elements stand in the order of their tags."""
        for element in self.elements():
            if element.tag >= tag:
                return element if element.tag == tag else None
        return None

    def value(self, element: Element) -> bytes:
        """The value of an element, in its own byte order."""
        return self.data[element.start : element.end]

    def plain_value(self, element: Element) -> bytes:
        """The value of an element, numbers in little endian."""
        return little_endian(self.value(element), UNIT_BYTES.get(element.vr.encode(), 1), element.layout)


def element_at(scope: DataSet, at: int) -> Element:
    """The element that begins at an offset.

    Raises:
        DamagedInstance: there is none.
    """
    data, layout = scope.data, scope.layout
    try:
        if layout.explicit:
            group, number, raw_vr, length = layout.with_vr(data, at)
            start = at + 8
            if raw_vr in LONG_VRS:
                (length,) = layout.long_length(data, at)
                start = at + 12
            elif raw_vr not in SHORT_VRS:
                raise _unreadable(f"the element at byte {at} has no VR of the standard")
            tag, vr = group << 16 | number, raw_vr.decode("ascii")
        else:
            group, number, length = layout.without_vr(data, at)
            tag, start = group << 16 | number, at + 8
            vr = "SQ" if length == UNDEFINED else implied_vr(tag, signed=scope.signed, bits_allocated=16).decode()
        if length == UNDEFINED:
            inner = _WITHIN_UN if vr == "UN" else layout
            end = _end_of_items(scope, start, inner)
            return Element(tag, "SQ" if vr == "UN" else vr, at, start, end, end + 8, inner)
    except struct.error as error:
        raise _unreadable(f"it ends within the element at byte {at}") from error
    if start + length > scope.end:
        raise _unreadable(f"the element at byte {at} is longer than what contains it")
    return Element(tag, vr, at, start, start + length, start + length, layout)


def item_places(data: Data, sequence: Element) -> Iterator[tuple[int, int]]:
    """Start and end of what each item contains; of encapsulated pixel data, of each fragment (PS3.5 7.5, A.4)."""
    at = sequence.start
    read = sequence.layout.without_vr
    while at < sequence.end:
        start = at + 8
        within = DataSet(data, start, sequence.end, sequence.layout)
        try:
            group, number, length = read(data, at)
            if group << 16 | number != ITEM:
                raise _unreadable(f"there is no item at byte {at}")
            end = _end_of_item(within, start) if length == UNDEFINED else start + length
        except struct.error as error:
            raise _unreadable(f"it ends within the item at byte {at}") from error
        if end > sequence.end:
            raise _unreadable(f"the item at byte {at} is longer than its sequence")
        yield start, end
        at = end + 8 if length == UNDEFINED else end


@contextmanager
def opened(file: InstanceFile) -> Iterator[DataSet]:
    """The data set of an instance, mapped; a deflated one is inflated into a temporary file.

    Raises:
        InstanceUnreadable: the file cannot be read.
        DamagedInstance: what is in it cannot be parsed.
    """
    layout = _LAYOUTS.get(file.identity.transfer_syntax_uid, _EXPLICIT)
    with ExitStack() as stack:
        try:
            data, start = _mapped(stack, file)
            yield _whole(data, start, layout)
        except DamagedInstance as error:
            raise DamagedInstance(
                f"SOP instance {file.identity.sop_instance_uid}: {error.what}", cause=error.cause, remedy=error.remedy
            ) from error


def _mapped(stack: ExitStack, file: InstanceFile) -> tuple[mmap.mmap, int]:
    encoding = NATIVE.get(file.identity.transfer_syntax_uid)
    try:
        if encoding is None or not encoding.deflated:
            stored = stack.enter_context(file.path.open("rb"))
            return stack.enter_context(mmap.mmap(stored.fileno(), 0, access=mmap.ACCESS_READ)), file.dataset_offset
        inflated = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
        _inflate(file, inflated)
        return stack.enter_context(mmap.mmap(inflated.fileno(), 0, access=mmap.ACCESS_READ)), 0
    except (OSError, ValueError) as error:  # an empty file cannot be mapped
        raise InstanceUnreadable(
            f"SOP instance {file.identity.sop_instance_uid} cannot be read ({error})",
            cause="its file is empty, or the disk fails",
            remedy="store the instance again",
        ) from error


def file_at(path: Path) -> InstanceFile:
    """A DICOM file as its file meta information describes it.

    Raises:
        InstanceUnreadable: it is not there, or cannot be read.
        DamagedInstance: it is no DICOM file, or does not say which instance it is.
    """
    try:
        with path.open("rb") as file:
            identity, offset = identity_in(file.read(META_BYTES))
    except OSError as error:
        raise InstanceUnreadable(
            f"{path.name} cannot be read ({error.strerror})", remedy="check whether it is there and may be read"
        ) from error
    return InstanceFile(path, identity, offset)


def identity_in(start: bytes) -> tuple[InstanceIdentity, int]:
    """Which instance a DICOM file holds, and where its data set begins (PS3.10 7.1).

    Args:
        start: of the file, as far as the file meta information goes at least.

    Raises:
        DamagedInstance: it is no DICOM file, or the file meta information lacks a UID or has one that is none.
    """
    if start[_PREAMBLE : _PREAMBLE + 4] != _PREFIX:
        raise _unreadable("it is no DICOM file")
    end = _PREAMBLE + 4
    meta = DataSet(start, end, len(start), _EXPLICIT)
    found: dict[int, str] = {}
    # What follows the group may be deflated, and then no data element.
    while start[end : end + 2] == b"\2\0":
        element = element_at(meta, end)
        found[element.tag] = meta.value(element).decode("latin-1").strip("\0 ")
        end = element.next
    try:
        return InstanceIdentity(*(uid(found.get(tag, "")) for tag in _IDENTITY)), end
    except InvalidInput as error:
        raise _unreadable("its file meta information does not say which instance it is") from error


def layout_of(transfer_syntax_uid: str) -> Layout:
    """The layout of a data set; of a deflated one, when it is inflated."""
    return _LAYOUTS.get(transfer_syntax_uid, _EXPLICIT)


def little_endian(raw: bytes, unit_bytes: int, layout: Layout) -> bytes:
    """A value of numbers of ``unit_bytes`` each in little endian."""
    whole = unit_bytes > 1 and not layout.little and not len(raw) % unit_bytes
    return swapped(raw, unit_bytes) if whole else raw


def _whole(data: Data, start: int, layout: Layout) -> DataSet:
    whole = DataSet(data, start, len(data), layout)
    if layout.explicit:
        return whole
    found = whole.find(PIXEL_REPRESENTATION)
    return whole._replace(signed=found is not None and whole.value(found)[:1] == b"\1")


def _end_of_items(scope: DataSet, at: int, layout: Layout) -> int:
    """Where the delimiter of a sequence of undefined length stands."""
    if scope.depth == _MAX_NESTING:
        raise _unreadable(f"sequences nest more than {_MAX_NESTING} deep")
    within = DataSet(scope.data, at, scope.end, layout, scope.signed, scope.depth + 1)
    while at < scope.end:
        group, number, length = layout.without_vr(scope.data, at)
        tag = group << 16 | number
        if tag == SEQUENCE_END:
            return at
        if tag != ITEM:
            break
        at += 8
        at = _end_of_item(within, at) + 8 if length == UNDEFINED else at + length
    raise _unreadable(f"a sequence has no end at byte {at}")


def _end_of_item(scope: DataSet, at: int) -> int:
    while at < scope.end:
        group, number, _ = scope.layout.without_vr(scope.data, at)
        if group << 16 | number == ITEM_END:
            return at
        at = element_at(scope, at).next
    raise _unreadable(f"an item has no end at byte {at}")


def _inflate(file: InstanceFile, output: BinaryIO) -> None:
    stream = zlib.decompressobj(_RAW_DEFLATE)
    written = 0
    with file.path.open("rb") as stored:
        size = stored.seek(0, os.SEEK_END) - file.dataset_offset
        allowed = min(max(_MAX_INFLATION * size, _SMALL_BYTES), _MAX_INFLATED_BYTES)
        stored.seek(file.dataset_offset)
        try:
            while not stream.eof and (coded := stream.unconsumed_tail or stored.read(_INFLATED_AT_ONCE)):
                plain = stream.decompress(coded, _INFLATED_AT_ONCE)
                written += len(plain)
                if written > allowed:
                    raise _unreadable(f"it inflates to more than {allowed >> 20} MiB")
                output.write(plain)
        except zlib.error as error:
            raise _unreadable(f"it cannot be inflated ({error})") from error
    output.flush()


def _unreadable(what: str) -> DamagedInstance:
    return DamagedInstance(
        f"the data set cannot be read: {what}",
        cause="the file is damaged, or is not in the transfer syntax that it names",
        remedy="check the file with a DICOM validator, or store the instance again",
    )
