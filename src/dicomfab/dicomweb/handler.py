"""The door of DICOMweb: from a path to what answers it, and from a failure to how it is told (PS3.18 10.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from dicomfab.dicomweb.bulk import bulk_data, frames
from dicomfab.dicomweb.errors import MethodNotAllowed, problem
from dicomfab.dicomweb.messages import Request, Response
from dicomfab.dicomweb.metadata import metadata
from dicomfab.dicomweb.ports import WebStore
from dicomfab.dicomweb.qido import search
from dicomfab.dicomweb.retrieve import retrieve
from dicomfab.dicomweb.stow import store_instances
from dicomfab.model import values
from dicomfab.model.errors import DicomFabError, NotFound
from dicomfab.model.query import Level

#: The longest body of STOW-RS that is taken, in bytes.
MAX_BODY_BYTES: Final = 8 << 30

_Answer = Callable[[WebStore, Request, Mapping[str, str], str], Response]


@dataclass(frozen=True, slots=True)
class Handler:
    """Answers the requests of DICOMweb.

    Args:
        max_body_bytes: the longest body of STOW-RS that is taken.
    """

    max_body_bytes: int = MAX_BODY_BYTES

    def answer(self, store: WebStore, request: Request) -> Response:
        """Answer a request; failures of :mod:`dicomfab.model.errors` are answers too.

        Args:
            store: what may be seen and changed by whoever asks.
            request: what is asked.
        """
        try:
            response = self._answered(store, request)
        except DicomFabError as error:
            response = problem(error)
        if request.method == "HEAD":
            response.close()
            return Response(response.status, response.headers)
        return response

    def _answered(self, store: WebStore, request: Request) -> Response:
        for pattern, get, stores in _ROUTES:
            found = pattern.fullmatch(request.path)
            if found is None:
                continue
            uids = {keyword: values.uid(uid, field=keyword) for keyword, uid in _uids(found).items()}
            if request.method == "POST" and stores:
                return store_instances(store, request, uids, max_bytes=self.max_body_bytes)
            if request.method in ("GET", "HEAD"):
                return get(store, request, uids, found.groupdict().get("rest") or "")
            raise _not_allowed(request.method, stores=stores)
        raise NotFound(
            f"there is no resource {request.path[:200]!r}",
            cause="the address is none of the studies service of PS3.18 10.1, or one that is not supported",
            remedy="start at /studies",
        )


def _search(level: Level) -> _Answer:
    return lambda store, request, uids, _: search(store, request, level, uids)


def _instances(store: WebStore, request: Request, uids: Mapping[str, str], _: str) -> Response:
    return retrieve(store, request, uids)


def _metadata(store: WebStore, request: Request, uids: Mapping[str, str], _: str) -> Response:
    return metadata(store, request, uids)


_STUDY: Final = "studies/(?P<StudyInstanceUID>[^/]+)"
_SERIES: Final = f"{_STUDY}/series/(?P<SeriesInstanceUID>[^/]+)"
_INSTANCE: Final = f"{_SERIES}/instances/(?P<SOPInstanceUID>[^/]+)"
#: Path, what answers GET, and whether POST stores instances.
_ROUTES: Final[tuple[tuple[re.Pattern[str], _Answer, bool], ...]] = tuple(
    (re.compile(path), get, stores)
    for path, get, stores in (
        ("studies", _search(Level.STUDY), True),
        ("series", _search(Level.SERIES), False),
        ("instances", _search(Level.IMAGE), False),
        (_STUDY, _instances, True),
        (f"{_STUDY}/series", _search(Level.SERIES), False),
        (f"{_STUDY}/instances", _search(Level.IMAGE), False),
        (_SERIES, _instances, False),
        (f"{_SERIES}/instances", _search(Level.IMAGE), False),
        (_INSTANCE, _instances, False),
        *((f"{resource}/metadata", _metadata, False) for resource in (_STUDY, _SERIES, _INSTANCE)),
        (f"{_INSTANCE}/frames/(?P<rest>[^/]+)", frames, False),
        (f"{_INSTANCE}/bulkdata/(?P<rest>.+)", bulk_data, False),
    )
)


def _uids(found: re.Match[str]) -> dict[str, str]:
    return {name: text for name, text in found.groupdict().items() if name != "rest"}


def _not_allowed(method: str, *, stores: bool) -> MethodNotAllowed:
    allowed = "GET, HEAD, POST" if stores else "GET, HEAD"
    error = MethodNotAllowed(
        f"{method[:20]} is no way to use this resource", cause="it can be read or stored into", remedy=f"use {allowed}"
    )
    error.headers = {"Allow": allowed}
    return error
