"""QIDO-RS: all answers to a search, page by page (PS3.18 10.6)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from dicomfab.dicomweb.client import explain
from dicomfab.dicomweb.client.connection import Answer, WebConnection
from dicomfab.dicomweb.client.peer import WebPeer
from dicomfab.dicomweb.media_types import DICOM_JSON, JSON
from dicomfab.model.errors import ConnectionLost, HttpFailure

OPERATION: Final = "QIDO-RS"
#: Answers that are asked for at once.
PAGE: Final = 1000
_PARTIAL: Final = 206
_NO_CONTENT: Final = 204
#: What servers answer that cannot be asked for answers behind the first ones.
_NO_OFFSET: Final = frozenset({400, 404, 416, 501})
_MORE: Final = re.compile(r"exceed|additional|maximum|limit|more results|truncat|partial|incomplete", re.IGNORECASE)
_LONGEST_WARNING: Final = 200
_UNIQUE: Final = ("0020000D", "0020000E", "00080018")

Members = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Page:
    """Some of the answers.

    Args:
        rows: each an object of DICOM JSON.
        is_more: the server says that there are more.
        warning: what else it warns of.
        is_refused: the server gives nothing behind its first answers.
    """

    rows: Sequence[Members]
    is_more: bool = False
    warning: str = ""
    is_refused: bool = False


def search(
    peer: WebPeer,
    path: str,
    parameters: Sequence[tuple[str, str]],
    *,
    limit: int | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    warned: Callable[[str], None] = lambda _text: None,
    doubted: Callable[[str], None] | None = None,
) -> Iterator[Members]:
    """Search, yielding each answer once. An empty answer is only ever a successful empty answer.

    A page that is shorter than asked for is not taken for the last one: some servers give as many as they like. The
    last one is that behind which there is nothing. A server that cannot be asked for what is behind its first page may
    have cut that.

    Args:
        peer: whom to ask.
        path: of the resource, such as ``/studies``.
        parameters: keys and options, without limit and offset.
        limit: no more than so many are asked for.
        cancelled: asked after each answer; true ends the search.
        warned: told of a warning that is not about the number of answers.
        doubted: told at the end if the answers may have been cut, and nobody can know; ``None``: that is an error.

    Yields:
        Objects of the DICOM JSON model (PS3.18 annex F).

    Raises:
        AnswerIncomplete: there are more answers, or there may be, and the server cannot be asked for them.
        PeerError: the search failed; answers already yielded are then incomplete.
    """
    seen: set[tuple[str, ...]] = set()
    offset, pages, is_more, was_full = 0, 0, False, False
    with WebConnection(peer) as connection:
        while limit is None or len(seen) < limit:
            wanted = PAGE if limit is None else min(PAGE, limit - len(seen))
            page = _page(connection, path, parameters, wanted, offset, was_full=was_full)
            new = [(key, row) for row in page.rows if (key := _key(row)) not in seen]
            if not new:
                _check_end(peer, is_more or page.is_more, was_full=was_full and bool(page.rows))
                if pages == 1 and (page.rows or page.is_refused):
                    _doubt(peer, doubted)
                return
            if page.warning:
                warned(page.warning)
            for key, row in new:
                if key in seen:
                    continue
                seen.add(key)
                yield row
                if len(seen) == limit or cancelled():
                    return
            offset, pages = offset + len(page.rows), pages + 1
            is_more, was_full = page.is_more, len(page.rows) == wanted


def _check_end(peer: WebPeer, is_more: bool, *, was_full: bool) -> None:
    """Nothing new came: whether that is because there is nothing else."""
    if is_more:
        raise explain.incomplete(peer, "it says that there is more, and gives no more")
    if was_full:
        raise explain.incomplete(peer, "it repeats its first answers when it is asked for the next ones")


def _doubt(peer: WebPeer, doubted: Callable[[str], None] | None) -> None:
    if doubted is None:
        raise explain.incomplete(peer, "it cannot be asked for more than its first page, which may have been cut")
    doubted("it gives its first page only, which may have been cut")


def _page(
    connection: WebConnection,
    path: str,
    parameters: Sequence[tuple[str, str]],
    limit: int,
    offset: int,
    *,
    was_full: bool,
) -> _Page:
    options = [*parameters, ("limit", str(limit)), *([("offset", str(offset))] if offset else [])]
    query = urlencode(options, quote_via=quote, safe=",*^.-")
    try:
        return _asked(connection, f"{path}?{query}")
    except ConnectionLost:
        if not offset:
            raise
        # A server may end a connection between two requests.
        return _asked(connection, f"{path}?{query}")
    except HttpFailure as error:
        if offset and error.http_status in _NO_OFFSET:
            return _Page((), is_more=was_full, is_refused=True)
        raise


def _asked(connection: WebConnection, path: str) -> _Page:
    with connection.asking(OPERATION, path, {"Accept": f"{DICOM_JSON}, {JSON};q=0.9"}) as answer:
        if answer.status == _NO_CONTENT:
            return _Page(())
        if answer.status not in (200, _PARTIAL):
            raise answer.failure()
        warning = answer.header("warning")[:_LONGEST_WARNING]
        is_more = answer.status == _PARTIAL or _MORE.search(warning) is not None
        return _Page(_rows(answer), is_more, "" if is_more else warning)


def _rows(answer: Answer) -> Sequence[Members]:
    rows = read_json(answer)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise explain.violated(answer.peer, answer.operation, "its answer is no list of objects")
    return rows


def read_json(answer: Answer) -> Any:
    """The content of an answer that has to be JSON.

    Raises:
        ProtocolViolation: it is something else, a sign-in page perhaps, or malformed.
    """
    name = answer.media_type.name
    body = answer.body()
    if name not in (DICOM_JSON, JSON):
        raise explain.other_content(answer.peer, answer.operation, name)
    try:
        return json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise explain.violated(answer.peer, answer.operation, "its answer is malformed JSON") from error


def _key(row: Members) -> tuple[str, ...]:
    """What names an answer; all of it where it has no UID."""
    found = tuple(_text(row.get(tag)) for tag in _UNIQUE)
    return found if any(found) else (json.dumps(row, sort_keys=True),)


def _text(attribute: object) -> str:
    values = attribute.get("Value") if isinstance(attribute, dict) else None
    return str(values[0]) if isinstance(values, list) and values else ""
