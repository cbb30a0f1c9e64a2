"""Reading a data set front to back, and writing one whose lengths are known only afterwards."""

from __future__ import annotations

import os
from typing import BinaryIO, Final

from dicomfab.model.errors import TranscodingFailed

CHUNK: Final = 1 << 20  # bytes held at once of a long value; a multiple of every VR's unit
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
