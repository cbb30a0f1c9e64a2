"""The minimal lower layer protocol (HL7 v2, transport specification MLLP release 1): messages in a stream of bytes.

No I/O: bytes go in as they come, messages and what was wrong come out. A stream is never given up because of what is in
it: after anything that is no message the next one is read.
"""

from __future__ import annotations

import enum
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Final

START: Final = b"\x0b"
END: Final = b"\x1c"
_CR: Final = b"\r"
#: What may stand between two messages; some senders end lines there.
_BETWEEN: Final = b"\r\n"
#: As much of what is wrong is kept, to be shown to whoever looks for the reason.
_KEPT: Final = 1024
MAX_BYTES: Final = 32 << 20


class Wrong(enum.StrEnum):
    """What bytes can be that are no message."""

    STRAY = "stray"  # outside of a frame
    CUT = "cut"  # a frame that another one begins in, or the end of the stream
    TOO_LONG = "too long"


@dataclass(frozen=True, slots=True)
class Frame:
    """A message, without the bytes around it."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """Bytes that are no message.

    Args:
        what: is wrong with them.
        size: how many they are.
        data: the first of them.
    """

    what: Wrong
    size: int
    data: bytes


def framed(message: bytes) -> bytes:
    """A message as it goes over the wire.

    Raises:
        ValueError: it holds a byte that begins or ends a frame, and would be torn apart.
    """
    if START in message or END in message:
        raise ValueError("a message cannot hold the bytes 0B and 1C, which begin and end a frame")
    return START + message + END + _CR


class Framer:
    """Takes a stream apart.

    A frame ends with 1C: the CR that has to follow is taken if it comes, and nobody waits for it. A second 0B within a
    frame begins another one, since the first was broken off.

    Args:
        max_bytes: of a message; a longer one is passed over as it comes, and held by nobody.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._held = bytearray()
        self._size = 0  # of the frame or of what is stray, whatever of it is held
        self._is_inside = False

    def feed(self, data: bytes) -> Iterator[Frame | Fault]:
        """Take the next bytes.

        Yields:
            What they complete, in order.
        """
        place = 0
        while place < len(data):
            step = self._inside if self._is_inside else self._outside
            place = yield from step(data, place)

    def ended(self) -> Fault | None:
        """The stream is over: what was not complete."""
        what = Wrong.CUT if self._is_inside else Wrong.STRAY
        return self._fault(what) if self._size or self._is_inside else None

    def _outside(self, data: bytes, place: int) -> Generator[Frame | Fault, None, int]:
        start = data.find(START, place)
        end = len(data) if start < 0 else start
        stray = data[place:end] if self._size else data[place:end].lstrip(_BETWEEN)
        self._take(stray)
        if start < 0:
            return end
        if self._size:
            yield self._fault(Wrong.STRAY)
        self._is_inside = True
        return start + 1

    def _inside(self, data: bytes, place: int) -> Generator[Frame | Fault, None, int]:
        end, start = data.find(END, place), data.find(START, place)
        if start >= 0 and (end < 0 or start < end):
            self._take(data[place:start])
            yield self._fault(Wrong.CUT)
            self._is_inside = True
            return start + 1
        self._take(data[place:] if end < 0 else data[place:end])
        if end < 0:
            return len(data)
        if self._size > self._max_bytes:
            yield self._fault(Wrong.TOO_LONG)
        else:
            yield Frame(self._taken())
        return end + 1

    def _take(self, data: bytes) -> None:
        self._size += len(data)
        most = self._max_bytes if self._is_inside else _KEPT
        self._held += data[: max(0, most - len(self._held))]

    def _fault(self, what: Wrong) -> Fault:
        size = self._size
        return Fault(what, size, self._taken()[:_KEPT])

    def _taken(self) -> bytes:
        held = bytes(self._held)
        self._held.clear()
        self._size, self._is_inside = 0, False
        return held
