"""A request and a response of HTTP as plain values; whoever mounts the handlers translates."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

#: How much of a file goes out at once, in bytes.
CHUNK: Final = 1 << 20


@runtime_checkable
class _Closing(Protocol):
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked.

    Args:
        method: ``GET``, ``HEAD``, ``POST``...
        path: below the root, decoded, without a slash at either end: ``studies/1.2.3/series``.
        root: the address of the root as the client sees it, for the URLs in answers: ``https://host:8443/dicom-web``.
            Host alone does not tell: there are clients that send it without the port.
        query: names and values, decoded, in their order.
        headers: by name in lower case.
        body: the content in pieces, read only as far as it is needed.
    """

    method: str
    path: str
    root: str
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Iterable[bytes] = ()

    def header(self, name: str) -> str:
        """A header by its name in lower case; empty if it was not sent."""
        return self.headers.get(name, "")

    def values(self, name: str) -> list[str]:
        """All values of a query parameter."""
        return [value for one, value in self.query if one == name]


class OpenFile:
    """A file as one piece of a body: open, so that it is there even if it is deleted now, and not read yet.

    Whoever sends in an event loop may read there what the system has in memory, and saves two changes of threads. It
    is closed when nobody has it any more.

    Args:
        path: of the file.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size_bytes = os.fstat(self._descriptor).st_size
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_WILLNEED)

    def __del__(self) -> None:
        with suppress(AttributeError):  # it could not be opened
            os.close(self._descriptor)

    def will_not_wait(self) -> bool:
        """Whether its end is in the memory of the system, so that reading it waits for no disk; Linux can tell."""
        if not hasattr(os, "RWF_NOWAIT"):
            return False
        try:
            return os.preadv(self._descriptor, [bytearray(1)], max(0, self.size_bytes - 1), os.RWF_NOWAIT) == 1
        except OSError:  # not in memory, or not to be told of this file system
            return False

    def read(self) -> bytes:
        """Its bytes; fewer if it has become shorter."""
        return os.pread(self._descriptor, self.size_bytes, 0)


Piece: TypeAlias = "bytes | OpenFile"


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered.

    Args:
        status: of HTTP.
        headers: by name.
        body: in pieces. An error while it is read means that the connection has to be cut: what was sent till then
            must not look whole.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Iterator[Piece] = field(default_factory=lambda: iter(()))

    def content(self) -> Iterator[bytes]:
        """The bytes of the body, in pieces."""
        for piece in self.body:
            yield piece if isinstance(piece, bytes) else piece.read()

    def close(self) -> None:
        """Let go of what the body holds open; to be called when it is not read to its end."""
        if isinstance(self.body, _Closing):
            self.body.close()

    def with_headers(self, **headers: str) -> Response:
        """The same with further headers; underscores in their names stand for hyphens."""
        more = {name.replace("_", "-"): value for name, value in headers.items() if value}
        return Response(self.status, {**self.headers, **more}, self.body)


def whole(status: int, media_type: str, content: bytes) -> Response:
    """A response with a content that is at hand."""
    return Response(status, {"Content-Type": media_type, "Content-Length": str(len(content))}, iter((content,)))


def json_response(status: int, media_type: str, value: Any) -> Response:
    """A response in JSON."""
    return whole(status, media_type, json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
