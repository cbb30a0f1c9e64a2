"""QIDO-RS: searches for studies, series and instances (PS3.18 10.6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Final

from dicomfab.dicomweb.json_values import row_text
from dicomfab.dicomweb.media_types import DICOM_JSON, JSON, Offer, acceptable, choose
from dicomfab.dicomweb.messages import Request, Response
from dicomfab.dicomweb.ports import Row, WebStore
from dicomfab.dicomweb.query import parse_search
from dicomfab.model.query import Level

_RETRIEVE_URL: Final = 0x00081190
_OFFERS: Final = (Offer(DICOM_JSON), Offer(JSON))
_OF_DIMSE: Final = frozenset({0x00080052, 0x00080054})  # Query/Retrieve Level and Retrieve AE Title mean nothing here
_PIECE_BYTES: Final = 32 << 10
_PLACES: Final = (
    ("studies", 0x0020000D, Level.STUDY),
    ("series", 0x0020000E, Level.SERIES),
    ("instances", 0x00080018, Level.IMAGE),
)


def search(store: WebStore, request: Request, level: Level, uids: Mapping[str, str]) -> Response:
    """Answer a search; none that matches is an empty list.

    Args:
        store: where to.
        request: with the query.
        level: what is searched for.
        uids: what the path fixes, by keyword.

    Raises:
        InvalidInput: a parameter that cannot be; ``field`` names it.
        NotAcceptable: JSON is not accepted.
    """
    offer = choose(acceptable(request), _OFFERS)
    wanted = parse_search(level, uids, request.query, store.can_match)
    found = store.find(wanted.search)
    end = None if wanted.limit is None else wanted.offset + wanted.limit
    answers = (_answer(row, request.root, level) for row in islice(found, wanted.offset, end))
    # The first is looked for before anything is said, so that a failure has its own status.
    first = list(islice(answers, 1))
    warning = ", ".join(f'299 {request.root}: "{told}"' for told in wanted.warnings)
    headers = {"Content-Type": offer.name, "Cache-Control": "no-cache"}
    return Response(200, headers, json_array(chain(first, answers))).with_headers(Warning=warning)


def json_array(texts: Iterable[str]) -> Iterator[bytes]:
    """A list of what is in JSON already, in pieces as it comes."""
    piece, before = "[", ""
    for text in texts:
        piece += before + text
        before = ","
        if len(piece) > _PIECE_BYTES:
            yield piece.encode()
            piece = ""
    yield (piece + "]").encode()


def _answer(row: Row, root: str, level: Level) -> str:
    made = {tag: value for tag, value in row.items() if tag not in _OF_DIMSE}
    url = root
    for name, tag, of_level in _PLACES:
        _, uid = made.get(tag, ("UI", ""))
        url = f"{url}/{name}/{uid}" if url and uid else ""
        if of_level is level:
            break
    if url:
        made[_RETRIEVE_URL] = ("UR", url)
    return row_text(made)
