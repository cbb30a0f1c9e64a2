"""Walks over the elements of a DICOM file without holding it: a value is read when somebody asks for it."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dicomfab.archive.text import encodings
from dicomfab.model.errors import InvalidInput, NotFound, TranscodingFailed
from dicomfab.pixels.elements import (
    ITEM,
    ITEM_END,
    PIXEL_DATA,
    SEQUENCE_END,
    UNDEFINED,
    UNKNOWN,
    implied_vr,
    look_ahead,
    read_header,
)
from dicomfab.pixels.streams import Source
from dicomfab.pixels.syntaxes import EXPLICIT_LITTLE, NATIVE, Encoding

_BEYOND: Final = 1 << 32  # no tag is greater
_PREAMBLE: Final = 132
_CHARSET: Final = 0x00080005
_TRANSFER_SYNTAX: Final = 0x00020010
_SIGNED: Final = 0x00280103
_SHORT: Final = 1024
#: Of a deflated data set so much is inflated; a header hardly ever takes more.
INFLATED_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Scope:
    """A data set within a file: the whole, its file meta information, or an item of a sequence.

    Args:
        start, end: its bytes, without delimiters.
        encoding: of its elements.
        charsets: Python's names of the character sets in force, see :func:`dicomfab.archive.text.encodings`.
        signed: PixelRepresentation is 1 around it.
    """

    start: int
    end: int
    encoding: Encoding
    charsets: tuple[str, ...] = ()
    signed: bool = False


@dataclass(slots=True)  # one for every element that is passed: a frozen one takes three times as long to make
class Raw:
    """An element where it stands.

    Args:
        tag: group and element.
        vr: stated, or known from the data dictionary.
        start, end: of its value; behind ``end`` may be a delimiter.
        next: where the next element begins.
        items: of a sequence or of encapsulated pixel data, how many; else ``None``.
        scope: what contains it; its character sets are those in force.
        inner: the encoding of the elements of its items.
        creator: of a private element (PS3.5 7.8.1).
    """

    tag: int
    vr: str
    start: int
    end: int
    next: int
    items: int | None
    scope: Scope
    inner: Encoding
    creator: str = ""

    @property
    def length(self) -> int:
        """Bytes of the value; of a sequence without a length, those of its items."""
        return self.end - self.start

    @property
    def is_sequence(self) -> bool:
        """Whether it has items with elements."""
        return self.items is not None and self.vr == "SQ"


@dataclass(slots=True)
class Reader:
    """An open DICOM file.

    Args:
        source: its bytes.
        meta: the file meta information.
        dataset: the data set.
        transfer_syntax_uid: as the file meta information says.
    """

    source: Source
    meta: Scope
    dataset: Scope
    transfer_syntax_uid: str
    _known: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)

    def elements(self, scope: Scope) -> Iterator[Raw]:
        """The elements of a data set in their order; each may be looked into before the next is asked for.

        Raises:
            TranscodingFailed: it cannot be parsed from here on.
        """
        position, creators, charsets, signed = scope.start, dict[int, str](), scope.charsets, scope.signed
        while position < scope.end:
            self.source.seek(position)
            raw = self._element(scope, signed, charsets, creators)
            if raw is None:
                return
            if raw.tag == _CHARSET:
                charsets = encodings(self.value(raw, _SHORT))
            elif raw.tag == _SIGNED:
                signed = any(self.value(raw, 2))
            elif raw.tag >> 16 & 1 and 0x10 <= raw.tag & 0xFFFF <= 0xFF:
                creators[raw.tag] = self.value(raw, 64).decode("latin-1").strip("\0 ")
            yield raw
            position = raw.next

    def _element(self, scope: Scope, signed: bool, charsets: tuple[str, ...], creators: dict[int, str]) -> Raw | None:
        begin = self.source.position
        tag, stated, length = read_header(self.source, scope.encoding)
        if tag in (ITEM_END, SEQUENCE_END):
            return None
        start = self.source.position
        creator = creators.get(tag & 0xFFFF0000 | (tag >> 8 & 0xFF), "") if tag >> 16 & 1 else ""
        vr = (stated or _unstated(tag, creator, signed)).decode("ascii")
        inner = UNKNOWN if stated == b"UN" else scope.encoding
        if length == UNDEFINED and tag != PIXEL_DATA:
            vr = "SQ"
        if length != UNDEFINED:
            end = following = start + length
            if end > scope.end:
                raise TranscodingFailed(
                    f"an element at byte {begin} says that it is {length} bytes long", cause="the file was cut short"
                )
            items = self._counted(begin, start, end, inner)[0] if vr == "SQ" else None
        else:
            items, end, following = self._open_ended(begin, start, scope, inner)
        here = scope
        if charsets != scope.charsets or signed != scope.signed:
            here = Scope(scope.start, scope.end, scope.encoding, charsets, signed)
        return Raw(tag, vr, start, end, following, items, here, inner, creator)

    def _open_ended(self, begin: int, start: int, scope: Scope, inner: Encoding) -> tuple[int, int, int]:
        items, end = self._counted(begin, start, scope.end, inner)
        return items, end, end + 8

    def _counted(self, begin: int, start: int, end: int, inner: Encoding) -> tuple[int, int]:
        """How many items there are, and where the last one ends."""
        known = self._known.get((begin, end))
        if known is not None:
            return known
        count, position = 0, start
        while position < end:
            self.source.seek(position)
            tag, _, length = read_header(self.source, inner)
            if tag != ITEM:
                break
            count += 1
            position = self.source.position + length if length != UNDEFINED else self._behind(position, inner)
        self._known[begin, end] = count, position
        return count, position

    def _behind(self, position: int, encoding: Encoding) -> int:
        """Where what begins at a position and states no length has ended."""
        self.source.seek(position)
        look_ahead(self.source, encoding, position + 1, _BEYOND)
        return self.source.position

    def items(self, raw: Raw, first: int = 0) -> Iterator[tuple[int, Scope]]:
        """The items of a sequence from a place on, counted from 0."""
        number, position = 0, raw.start
        while position < raw.end:
            self.source.seek(position)
            tag, _, length = read_header(self.source, raw.inner)
            if tag != ITEM:
                return
            start = self.source.position
            end = start + length if length != UNDEFINED else self._behind(position, raw.inner)
            position = end
            if number >= first:
                inside = end if length != UNDEFINED else end - 8
                yield number, Scope(start, inside, raw.inner, raw.scope.charsets, raw.scope.signed)
            number += 1

    def value(self, raw: Raw, limit: int) -> bytes:
        """The first bytes of a value."""
        self.source.seek(raw.start)
        return self.source.take(min(raw.length, limit))


@contextmanager
def opened(path: Path) -> Iterator[Reader]:
    """Open a DICOM file.

    Raises:
        NotFound: there is no such file.
        InvalidInput: it is no DICOM file (PS3.10 7.1).
        TranscodingFailed: it is damaged.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise NotFound(
            f"{path} cannot be read",
            cause=error.strerror or str(error),
            remedy="check the path, and whether you may read it",
        ) from error
    with file:
        size = file.seek(0, io.SEEK_END)
        source = Source(file, size, size)
        source.seek(0)
        if size < _PREAMBLE or source.take(_PREAMBLE)[128:] != b"DICM":
            raise InvalidInput(
                f"file: {path} is no DICOM file",
                field="file",
                value=str(path),
                cause="a DICOM file has DICM at byte 128 (PS3.10 7.1)",
                remedy="name a DICOM file",
            )
        yield _reader(source)


def _reader(source: Source) -> Reader:
    plain = NATIVE[EXPLICIT_LITTLE]
    whole = Scope(_PREAMBLE, source.size, plain)
    reader = Reader(source, whole, whole, EXPLICIT_LITTLE)
    position = _PREAMBLE
    for raw in reader.elements(whole):
        if raw.tag >> 16 != 2:
            break
        position = raw.next
        if raw.tag == _TRANSFER_SYNTAX:
            reader.transfer_syntax_uid = reader.value(raw, 64).decode("latin-1").strip("\0 ")
        if position + 2 <= source.size and _group(source, position) != 2:
            break
    reader.meta = Scope(_PREAMBLE, position, plain)
    encoding = NATIVE.get(reader.transfer_syntax_uid, plain)
    reader.dataset = Scope(position, source.size, encoding)
    if encoding.deflated:
        return _inflated(reader, position)
    return reader


def _group(source: Source, position: int) -> int:
    source.seek(position)
    return int.from_bytes(source.take(2), "little")


def _inflated(reader: Reader, position: int) -> Reader:
    """The same with its data set inflated in memory, the file meta information before it."""
    source = reader.source
    source.seek(0)
    head, packed = source.take(position), source.take(source.size - position)
    try:
        plain = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, INFLATED_BYTES)
    except zlib.error as error:
        raise TranscodingFailed(f"the data set cannot be inflated ({error})", cause="it is damaged") from error
    size = position + len(plain)
    memory = io.BytesIO(head + plain)
    return Reader(
        Source(memory, 0, size),
        reader.meta,
        Scope(position, size, NATIVE[EXPLICIT_LITTLE]),
        reader.transfer_syntax_uid,
    )


def _unstated(tag: int, creator: str, signed: bool) -> bytes:
    if creator:
        from pydicom.datadict import private_dictionary_VR

        try:
            return private_dictionary_VR(tag, creator).encode("ascii")[:2]
        except KeyError:
            return b"UN"
    return implied_vr(tag, signed=signed, bits_allocated=16)
