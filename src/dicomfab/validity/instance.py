"""One DICOM file, opened: file meta information, data set, and where its pixel data are."""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar, cast

from dicomfab.model.errors import TranscodingFailed
from dicomfab.pixels.elements import ITEM, SEQUENCE_END, UNDEFINED, read_header
from dicomfab.pixels.streams import CHUNK, Source, inflate
from dicomfab.pixels.syntaxes import ENCAPSULATED, EXPLICIT_LITTLE, NATIVE, Encoding
from dicomfab.validity.dataset import DataSet, Element, parse
from dicomfab.validity.findings import Problem
from dicomfab.validity.values import integer, numbers, text

T = TypeVar("T")

_EXPLICIT: Final = NATIVE[EXPLICIT_LITTLE]
PIXELS: Final = {0x7FE00010: "PixelData", 0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData"}


class NotPart10(Exception):
    """A file that is no DICOM file (PS3.10 7.1): no ``DICM`` where it has to stand."""


@dataclass(slots=True)
class Instance:
    """A DICOM file as far as it could be read.

    Args:
        path: the file.
        size_bytes: of the file.
        meta: values of the file meta information by tag.
        meta_problems: what is wrong with it.
        data: the data set; empty if it cannot be read.
        damage: why the data set cannot be read; empty if it can.
        file: where positions of ``data`` are in: the file, or the inflated data set.
        memo: what several rules need and is worked out once.
    """

    path: Path
    size_bytes: int
    file: BinaryIO
    meta: dict[int, bytes] = field(default_factory=dict)
    meta_problems: list[Problem] = field(default_factory=list)
    data: DataSet = field(default_factory=lambda: DataSet(True))
    damage: str = ""
    memo: dict[str, Any] = field(default_factory=dict)

    def once(self, name: str, make: Callable[[Instance], T]) -> T:
        """What ``make`` gives, worked out when it is first asked for."""
        if name not in self.memo:
            self.memo[name] = make(self)
        return cast(T, self.memo[name])

    def walk(self) -> list[tuple[str, DataSet, Element]]:
        """Every element of the data set, as :meth:`.dataset.DataSet.walk` gives it."""
        return self.once("walk", lambda instance: list(instance.data.walk()))

    @property
    def transfer_syntax_uid(self) -> str:
        """As the file meta information names it."""
        return self.meta_uid(0x00020010)

    def meta_uid(self, tag: int) -> str:
        """A UID of the file meta information."""
        return self.meta.get(tag, b"").decode("latin-1").rstrip("\0 ")

    def get(self, tag: int) -> Element | None:
        """An element of the data set itself."""
        return self.data.elements.get(tag)

    def string(self, tag: int) -> str:
        """The first value of an element as text without padding; empty if it is not there."""
        element = self.get(tag)
        return text(element.value).split("\\")[0].strip(" \0") if element else ""

    def strings(self, tag: int) -> list[str]:
        """All values of an element as text; none if it is absent or empty."""
        element = self.get(tag)
        whole = text(element.value).strip(" \0") if element else ""
        return [part.strip(" \0") for part in whole.split("\\")] if whole else []

    def number(self, tag: int) -> int | None:
        """The first binary number of an element (US, SS, UL), or the first of an IS."""
        return integer(self.data, self.get(tag))

    def decimals(self, tag: int) -> list[float]:
        """All values of a DS, IS or binary element; none where one cannot be read."""
        return numbers(self.data, self.get(tag))

    @property
    def sop_class_uid(self) -> str:
        """Of the data set; of the file meta information where it has none."""
        return self.string(0x00080016) or self.meta_uid(0x00020002)

    @property
    def sop_instance_uid(self) -> str:
        """Of the data set; of the file meta information where it has none."""
        return self.string(0x00080018) or self.meta_uid(0x00020003)

    def pixel_element(self) -> Element | None:
        """PixelData or one of its floating point forms."""
        return next((self.data.elements[tag] for tag in PIXELS if tag in self.data.elements), None)

    def source(self, position: int) -> Source:
        """The data set's bytes from a position on."""
        self.file.seek(position)
        return Source(self.file, position, os.fstat(self.file.fileno()).st_size)

    def fragments(self) -> list[tuple[int, int]]:
        """Position and length of every item of encapsulated pixel data; the first is the basic offset table."""
        element = self.pixel_element()
        if element is None or element.length != UNDEFINED:
            return []
        source = self.source(element.position)
        found: list[tuple[int, int]] = []
        while True:
            tag, _, length = read_header(source, _EXPLICIT)
            if tag == SEQUENCE_END or tag != ITEM:
                return found
            found.append((source.position, length))
            source.seek(source.position + length)


@contextmanager
def opened(path: Path) -> Iterator[Instance]:
    """Read a file up to its pixel data and keep it open.

    Raises:
        NotPart10: it is no DICOM file.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if file.read(132)[128:] != b"DICM":
            raise NotPart10
        instance = Instance(path, size, file)
        start = _read_meta(instance)
        encoding = _encoding(instance.transfer_syntax_uid)
        if encoding is None or not start:
            instance.damage = "the data set cannot be read without a known transfer syntax"
            yield instance
            return
        with tempfile.TemporaryFile() as inflated:
            try:
                if encoding.deflated:
                    file.seek(start)
                    inflate(file, inflated)
                    instance.file, start = cast(BinaryIO, inflated), 0
                instance.data = parse(instance.source(start), encoding)
            except TranscodingFailed as error:
                instance.damage = error.what
            yield instance


def is_part10(path: Path) -> bool:
    """Whether a file has the prefix of a DICOM file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _encoding(transfer_syntax_uid: str) -> Encoding | None:
    if transfer_syntax_uid in NATIVE:
        return NATIVE[transfer_syntax_uid]
    if transfer_syntax_uid in ENCAPSULATED or is_known_syntax(transfer_syntax_uid):
        return _EXPLICIT
    return None


def is_known_syntax(uid: str) -> bool:
    """Whether the standard's dictionary (PS3.6 annex A) has it as a transfer syntax."""
    from pydicom.uid import UID_dictionary

    return UID_dictionary.get(uid, ("", ""))[1] == "Transfer Syntax"


def _read_meta(instance: Instance) -> int:
    """Read group 0002 (PS3.10 7.1); returns where the data set begins, or 0 if that cannot be told."""
    file, problems = instance.file, instance.meta_problems
    stated: int | None = None
    source = instance.source(132)
    after_length = 0
    while True:
        start = source.position
        file.seek(start)
        if file.read(2) != b"\x02\0":
            break
        source.seek(start)
        try:
            tag, _, length = read_header(source, _EXPLICIT)
            value = source.take(length) if length <= CHUNK else b""
        except TranscodingFailed as error:
            problems.append(Problem("the file meta information is damaged", detail=error.what))
            return 0
        instance.meta[tag] = value
        if tag == 0x00020000 and length == 4:
            (stated,) = struct.unpack("<I", value)
            after_length = source.position
    if stated is None:
        problems.append(Problem("the file meta information has no group length", "FileMetaInformationGroupLength"))
    elif after_length + stated != start:
        problems.append(
            Problem(
                "the group length of the file meta information is wrong",
                "FileMetaInformationGroupLength",
                f"{stated} instead of {start - after_length}",
            )
        )
    return start
