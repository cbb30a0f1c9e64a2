"""Reading a data set front to back, and writing one whose lengths are known only afterwards."""

from __future__ import annotations

import os
import zlib
from typing import BinaryIO, Final

from dicomfab.model.errors import TranscodingFailed
from dicomfab.model.study import InstanceFile

CHUNK: Final = 1 << 20  # bytes held at once of a long value; a multiple of every VR's unit
#: zlib's window bits for a stream without a header (PS3.5 A.5).
RAW_DEFLATE: Final = -15
_DIRECT: Final = 1 << 16  # from here on, copying into the buffer costs more than a call of the system


class Source:
    """The bytes of a data set, in order, with the place counted.

    Args:
        file: a buffered file, already at the data set.
        position: where that is.
        size: where the file ends.
    """

    __slots__ = ("_file", "position", "size")

    def __init__(self, file: BinaryIO, position: int, size: int) -> None:
        self._file = file
        self.position = position
        self.size = size

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes.

        Raises:
            TranscodingFailed: the file ends before.
        """
        data = self._file.read(count)
        if len(data) != count:
            raise TranscodingFailed(
                f"the file ends at byte {self.position + len(data)}, within an element", cause="it was cut short"
            )
        self.position += count
        return data

    def seek(self, position: int) -> None:
        """Go on from another place of the file."""
        self._file.seek(position)
        self.position = position


class Output:
    """An unbuffered file written front to back, where lengths can be put in later.

    Args:
        fd: an open file, empty; not closed here.
    """

    __slots__ = ("_fd", "_pending", "_written")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._pending = bytearray()
        self._written = 0

    @property
    def position(self) -> int:
        """Bytes written so far."""
        return self._written + len(self._pending)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append."""
        if len(data) < _DIRECT:
            self._pending += data
            if len(self._pending) >= CHUNK:
                self.flush()
            return
        self.flush()
        self._put(data)

    def patch(self, position: int, data: bytes) -> None:
        """Replace what was written at ``position``; the bytes there must have been written in one piece."""
        start = position - self._written
        if start >= 0:
            self._pending[start : start + len(data)] = data
        else:
            os.pwrite(self._fd, data, position)

    def flush(self) -> None:
        """Hand everything to the operating system."""
        if self._pending:
            self._put(self._pending)
            self._pending = bytearray()

    def _put(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        self._written += len(data)


def inflate(file: BinaryIO, inflated: BinaryIO) -> None:
    """Inflate a data set (PS3.5 A.5), a piece at a time.

    Args:
        file: where it begins.
        inflated: written to, and left at its beginning.

    Raises:
        TranscodingFailed: it is damaged, or cut short.
    """
    stream = zlib.decompressobj(RAW_DEFLATE)
    try:
        while not stream.eof:
            coded = stream.unconsumed_tail or file.read(CHUNK)
            plain = stream.decompress(coded, CHUNK)
            if not (coded or plain):
                raise TranscodingFailed("the deflated data set has no end", cause="the file was cut short")
            inflated.write(plain)
    except zlib.error as error:
        raise TranscodingFailed(f"the data set cannot be inflated ({error})", cause="it is damaged") from error
    inflated.flush()
    inflated.seek(0)


def have_same_bytes(one: InstanceFile, other: InstanceFile) -> bool:
    """Whether the data sets of two files are the same, byte for byte.

    Raises:
        OSError: one cannot be read.
    """
    with one.path.open("rb") as first, other.path.open("rb") as second:
        first.seek(one.dataset_offset)
        second.seek(other.dataset_offset)
        while data := first.read(CHUNK):
            if data != second.read(CHUNK):
                return False
        return not second.read(1)
