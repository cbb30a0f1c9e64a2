"""DICOMweb of the local store (PS3.18): its routes with what each needs; what answers them knows no framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dicomfab.access.policy import Action
from dicomfab.dicomweb import asgi
from dicomfab.dicomweb.handler import Handler
from dicomfab.dicomweb.messages import Request as WebRequest
from dicomfab.dicomweb.messages import Response as WebResponse
from dicomfab.dicomweb.ports import WebStore
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.api.dicomweb_described import described
from dicomfab.web.signed_in import web_settings

ROOT: Final = "/dicom-web"
_HANDLER: Final = Handler()

router = APIRouter(prefix=ROOT, tags=["dicomweb"])

_STUDY: Final = "/studies/{study}"
_SERIES: Final = f"{_STUDY}/series/{{series}}"
_INSTANCE: Final = f"{_SERIES}/instances/{{instance}}"
_FRAMES: Final = f"{_INSTANCE}/frames/{{frames}}"
_LEVELS: Final = (_STUDY, _SERIES, _INSTANCE)
_PICTURES: Final = (*_LEVELS, _FRAMES)
#: What each resource needs to be read.
_READ: Final[tuple[tuple[str, Action], ...]] = (
    *((path, Action.VIEW) for path in ("/studies", "/series", "/instances")),
    *((path, Action.VIEW) for path in (f"{_STUDY}/series", f"{_STUDY}/instances", f"{_SERIES}/instances")),
    *((path, Action.EXPORT) for path in _LEVELS),
    *((f"{path}/metadata", Action.VIEW) for path in _LEVELS),
    *((f"{path}/rendered", Action.VIEW) for path in _PICTURES),
    *((f"{path}/thumbnail", Action.VIEW) for path in _PICTURES),
    (_FRAMES, Action.VIEW),
    (f"{_INSTANCE}/bulkdata/{{value:path}}", Action.VIEW),
)
_STORED_INTO: Final = ("/studies", _STUDY)


class _Answer(Response):
    """What answers once the framework has checked who asks; it sends for itself."""

    def __init__(self, request: Request, open_store: Callable[[], WebStore]) -> None:
        super().__init__()
        self._request = request
        self._open_store = open_store

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, in a thread."""
        root = asgi.root_of(scope, ROOT, is_behind_proxy=bool(web_settings(self._request).proxies))
        asked = asgi.request_of(scope, asgi.decoded_path(scope, ROOT), root)

        def answer(request: WebRequest) -> WebResponse:
            return _HANDLER.answer(self._open_store(), request)

        await asgi.respond(answer, asked, receive, send)


async def _read(request: Request, actor: CurrentActor, application: CurrentApplication) -> Response:
    return _Answer(request, partial(application.dicomweb.store, actor))


async def _files(request: Request, actor: CurrentActor, application: CurrentApplication) -> Response:
    return _Answer(request, partial(application.dicomweb.store, actor, for_files=True))


def _add(path: str, method: str, action: Action, endpoint: Callable[..., Awaitable[Response]]) -> None:
    needs, told = [permission(action)], described(method, path)
    router.add_api_route(path, endpoint, methods=[method], dependencies=needs, response_class=Response, **told)
    if method == "GET":
        router.add_api_route(path, endpoint, methods=["HEAD"], dependencies=needs, include_in_schema=False)


for _path, _action in _READ:
    _add(_path, "GET", _action, _files if _action is Action.EXPORT else _read)
for _path in _STORED_INTO:
    _add(_path, "POST", Action.RETRIEVE, _read)
for _path in _LEVELS:
    _add(_path, "DELETE", Action.DELETE, _read)
