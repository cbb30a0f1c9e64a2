"""The door of DICOMweb: from a path to what answers it, and from a failure to how it is told (PS3.18 10.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dicomfab.dicomweb.bulk import bulk_data, frames
from dicomfab.dicomweb.errors import MethodNotAllowed, problem
from dicomfab.dicomweb.messages import Request, Response
from dicomfab.dicomweb.metadata import metadata
from dicomfab.dicomweb.ports import WebStore
from dicomfab.dicomweb.qido import search
from dicomfab.dicomweb.rendered import rendered, thumbnail
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
        for pattern, get, more in _ROUTES:
            found = pattern.fullmatch(request.path)
            if found is None:
                continue
            uids = {keyword: values.uid(uid, field=keyword) for keyword, uid in _uids(found).items()}
            if request.method not in ("GET", "HEAD", *more):
                raise _not_allowed(request.method, more)
            if request.method == "POST":
                return store_instances(store, request, uids, max_bytes=self.max_body_bytes)
            if request.method == "DELETE":
                store.delete(*uids.values())
                return Response(204)
            return get(store, request, uids, found.groupdict().get("rest") or "")
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
_FRAMES: Final = f"{_INSTANCE}/frames/(?P<rest>[^/]+)"
_TREE: Final = (_STUDY, _SERIES, _INSTANCE)
#: Path, what answers GET, and which methods there are besides.
_ROUTES: Final[tuple[tuple[re.Pattern[str], _Answer, Sequence[str]], ...]] = tuple(
    (re.compile(path), get, more)
    for path, get, more in (
        ("studies", _search(Level.STUDY), ("POST",)),
        ("series", _search(Level.SERIES), ()),
        ("instances", _search(Level.IMAGE), ()),
        (_STUDY, _instances, ("POST", "DELETE")),
        (f"{_STUDY}/series", _search(Level.SERIES), ()),
        (f"{_STUDY}/instances", _search(Level.IMAGE), ()),
        (_SERIES, _instances, ("DELETE",)),
        (f"{_SERIES}/instances", _search(Level.IMAGE), ()),
        (_INSTANCE, _instances, ("DELETE",)),
        *((f"{resource}/metadata", _metadata, ()) for resource in _TREE),
        (_FRAMES, frames, ()),
        (f"{_INSTANCE}/bulkdata/(?P<rest>.+)", bulk_data, ()),
        *((f"{resource}/rendered", rendered, ()) for resource in (*_TREE, _FRAMES)),
        *((f"{resource}/thumbnail", thumbnail, ()) for resource in (*_TREE, _FRAMES)),
    )
)


def _uids(found: re.Match[str]) -> dict[str, str]:
    return {name: text for name, text in found.groupdict().items() if name != "rest"}


def _not_allowed(method: str, more: Sequence[str]) -> MethodNotAllowed:
    allowed = ", ".join(("GET", "HEAD", *more))
    error = MethodNotAllowed(
        f"{method[:20]} is no way to use this resource", cause="it is there for other methods", remedy=f"use {allowed}"
    )
    error.headers = {"Allow": allowed}
    return error
