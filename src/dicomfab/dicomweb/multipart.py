"""multipart/related (RFC 2046 5.1, PS3.18 8.6.1): written and read in a stream; no part is ever held as a whole."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from dicomfab.dicomweb.media_types import RELATED
from dicomfab.model.errors import InvalidInput

_P = TypeVar("_P")  # pieces of content

_MAX_HEADER_BYTES: Final = 16 << 10
_LINE_BREAK: Final = "\r\n"
_MAX_PADDING: Final = 64  # spaces behind a boundary
#: Longer than the 70 characters of RFC 2046: Orthanc sends 73.
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,199}[0-9A-Za-z'()+_,./:=?-]")


# --- writing ------------------------------------------------------------------------------------------------------


def new_boundary() -> str:
    """A boundary that occurs in no content, whoever made it."""
    return f"dicomfab-{secrets.token_hex(16)}"


def content_type(part_type: str, boundary: str) -> str:
    """The Content-Type of a multipart/related response."""
    return f'{RELATED}; type="{part_type}"; boundary={boundary}'


def written(parts: Iterable[tuple[Mapping[str, str], Iterable[_P]]], boundary: str) -> Iterator[bytes | _P]:
    """Write parts, each of headers and content in pieces; the next one is not touched before this one is out."""
    before = ""
    for headers, content in parts:
        yield f"{before}{_head(headers, boundary)}".encode()
        yield from content
        before = _LINE_BREAK
    yield f"{before}--{boundary}--{_LINE_BREAK}".encode()


def written_length(parts: Iterable[tuple[Mapping[str, str], int]], boundary: str) -> int:
    """How many bytes :func:`written` gives of parts, each of headers and the length of its content."""
    length = sum(len(_head(headers, boundary).encode()) + len(_LINE_BREAK) + content for headers, content in parts)
    return length + len(f"--{boundary}--{_LINE_BREAK}")


def _head(headers: Mapping[str, str], boundary: str) -> str:
    lines = "".join(f"{name}: {value}{_LINE_BREAK}" for name, value in headers.items())
    return f"--{boundary}{_LINE_BREAK}{lines}{_LINE_BREAK}"


# --- reading ------------------------------------------------------------------------------------------------------


class MultipartError(InvalidInput):
    """A body that is not the multipart that it claims to be."""

    heading = "Malformed multipart body"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a body.

    Args:
        headers: by name in lower case.
        content: in pieces; raises :class:`MultipartError` if the body ends before the part does. What is not read
            before the next part is asked for is skipped.
    """

    headers: Mapping[str, str]
    content: Iterator[bytes]


def read_parts(body: Iterable[bytes], boundary: str) -> Iterator[Part]:
    """Read the parts as they come in; what stands before the first and behind the last does not count.

    Args:
        body: in pieces of any size.
        boundary: from the Content-Type.

    Raises:
        MultipartError: no boundary, headers that are none, or no end. Parts that came before are whole.
    """
    if not _BOUNDARY.fullmatch(boundary):
        raise _malformed("its Content-Type names no boundary that can be one")
    # The line break before a boundary belongs to it, so that the first one looks like the others.
    reader = _Reader(body, boundary.encode("ascii"))
    reader.skip_content()
    while not reader.at_end:
        headers = _headers(reader.header_block())
        yield Part(headers, reader.content())
        reader.skip_content()


class _Reader:
    """The body, of which at most one piece and the length of a delimiter are held.

    What is open is the content before the next delimiter. ``at_end`` tells whether the delimiter passed last was the
    closing one.
    """

    def __init__(self, body: Iterable[bytes], boundary: bytes) -> None:
        self._body = iter(body)
        self._held = b"\r\n"
        start = b"\r\n--" + boundary
        self._start = start
        self._delimiter = re.compile(re.escape(start) + rb"(?:(--)|[ \t]{0,%d}\r\n)" % _MAX_PADDING)
        self._kept = len(start) + _MAX_PADDING + 2  # of what may be a delimiter that has not come in whole
        self._passed = False  # the delimiter behind what is open
        self.at_end = False

    def header_block(self) -> bytes:
        """What stands before the first empty line of a part; its content is open then."""
        self._passed = False
        while True:
            if self._held.startswith(b"\r\n"):
                self._held = self._held[2:]
                return b""
            end = self._held.find(b"\r\n\r\n")
            if 0 <= end <= _MAX_HEADER_BYTES:
                block, self._held = self._held[:end], self._held[end + 4 :]
                return block
            if end > _MAX_HEADER_BYTES or len(self._held) > _MAX_HEADER_BYTES:
                raise _malformed(f"a part has headers of more than {_MAX_HEADER_BYTES} bytes")
            if not self._more():
                raise _malformed("it ends within the headers of a part")

    def content(self) -> Iterator[bytes]:
        """What stands before the next delimiter, and then passes that; a body that ends without one is malformed."""
        while not self._passed:
            found = self._delimiter.search(self._held)
            if found:
                before, self._held = self._held[: found.start()], self._held[found.end() :]
                self._passed, self.at_end = True, found.group(1) is not None
                if before:
                    yield before
                return
            keep = self._undecided()
            if keep:
                piece, self._held = self._held[:keep], self._held[keep:]
                yield piece
            elif not self._more():
                raise _malformed("it ends within a part, or its boundary does not occur in it")

    def skip_content(self) -> None:
        """Pass the rest of the open content, and the delimiter behind it."""
        for _ in self.content():
            pass

    def _undecided(self) -> int:
        """How many of the bytes held are content for certain."""
        at = self._held.rfind(self._start)
        if at >= 0 and len(self._held) - at < self._kept:
            return at  # what follows may still make it a delimiter
        return max(0, len(self._held) - len(self._start) + 1)

    def _more(self) -> bool:
        piece = next(self._body, None)
        if piece is None:
            return False
        self._held += piece
        return True


def _headers(block: bytes) -> dict[str, str]:
    try:
        lines = block.decode("utf-8").split("\r\n") if block else []
    except UnicodeDecodeError as error:
        raise _malformed("a part has a header that is no text") from error
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise _malformed("a part has a line among its headers that is none")
        headers[name.strip().lower()] = value.strip()
    return headers


def _malformed(what: str) -> MultipartError:
    return MultipartError(
        f"the multipart body cannot be read: {what}",
        field="body",
        cause="the sender made it otherwise than RFC 2046 says, or the connection broke off",
        remedy="send it again, each part with its boundary, headers, an empty line and content",
    )
