"""Conditional requests and ranges (RFC 9110 13.1, 14): what was sent before is not sent again."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from dicomfab import __version__
from dicomfab.dicomweb.errors import RangeNotSatisfiable
from dicomfab.dicomweb.messages import Request, Response
from dicomfab.dicomweb.ports import HeldInstance
from dicomfab.model.errors import NotFound

#: May be kept by whoever asked, and has to be asked for again each time: rights and contents change.
CACHING: Final = "private, no-cache"
_TAG: Final = re.compile(r'(?:W/)?"[^"]*"')
_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")

Pieces = Callable[[int, int], Iterator[bytes]]


def entity_tag(held: Iterable[HeldInstance], *representation: str, weak: bool = False) -> str:
    """An ETag that is another when an instance is, when one came or went, or when it is represented otherwise.

    Args:
        held: the instances that a response is made of.
        representation: what else decides its bytes.
        weak: its bytes may differ all the same.

    Raises:
        NotFound: an instance was deleted meanwhile.
    """
    found = hashlib.sha256("\0".join((__version__, *representation)).encode())
    for one in held:
        stat = stat_of(one)
        found.update(f"{one.file.identity.sop_instance_uid} {stat.st_mtime_ns} {stat.st_size}\n".encode())
    return f'{"W/" if weak else ""}"{found.hexdigest()[:32]}"'


def stat_of(held: HeldInstance) -> os.stat_result:
    """What the file system says of an instance's file.

    Raises:
        NotFound: it was deleted meanwhile.
    """
    try:
        return os.stat(held.file.path)
    except FileNotFoundError as error:
        raise gone(held) from error


def file_key(held: HeldInstance) -> tuple[str, int, int, int]:
    """What is another when an instance is: its path, and the file's number, time and size.

    Raises:
        NotFound: it was deleted meanwhile.
    """
    stat = stat_of(held)
    return str(held.file.path), stat.st_ino, stat.st_mtime_ns, stat.st_size


def gone(held: HeldInstance) -> NotFound:
    """An instance that was deleted while it was asked for."""
    return NotFound(
        f"SOP instance {held.file.identity.sop_instance_uid} is not here any more",
        cause="it was deleted a moment ago",
        remedy="search again",
    )


def not_modified(request: Request, etag: str) -> Response | None:
    """The answer if the client has it already: 304."""
    asked = request.header("if-none-match")
    known = {tag.removeprefix("W/") for tag in _TAG.findall(asked)}
    if asked.strip() == "*" or etag.removeprefix("W/") in known:
        return Response(304, {"ETag": etag, "Cache-Control": CACHING})
    return None


def single_part(request: Request, media_type: str, etag: str, length: int, pieces: Pieces) -> Response:
    """A response of one part, or the range of it that was asked for (206).

    Args:
        request: with Range and If-Range, if it has them.
        media_type: of the part.
        etag: a strong one.
        length: of the whole, in bytes.
        pieces: makes its bytes from an offset up to another one.

    Raises:
        RangeNotSatisfiable: the range begins behind the end.
    """
    headers = {"Content-Type": media_type, "ETag": etag, "Cache-Control": CACHING, "Accept-Ranges": "bytes"}
    wanted = _range(request, etag, length)
    if wanted is None:
        return Response(200, {**headers, "Content-Length": str(length)}, pieces(0, length))
    start, end = wanted
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{length}"
    return Response(206, {**headers, "Content-Length": str(end - start)}, pieces(start, end))


def _range(request: Request, etag: str, length: int) -> tuple[int, int] | None:
    """One range; several, and what is none, are left aside, as RFC 9110 14.2 allows."""
    found = _RANGE.fullmatch(request.header("range").replace(" ", ""))
    if found is None or found[1] == found[2] == "" or request.header("if-range") not in ("", etag):
        return None
    if found[1]:
        start, end = int(found[1]), min(int(found[2] or length) + 1, length)
        if found[2] and int(found[2]) < start:
            return None
    else:
        start, end = max(0, length - int(found[2])), length
    if start >= length:
        error = RangeNotSatisfiable(
            f"the range begins behind the end, which is at {length} bytes",
            cause="the content is shorter than the client believes",
            remedy="ask for the whole",
        )
        error.headers = {"Content-Range": f"bytes */{length}"}
        raise error
    return start, end
