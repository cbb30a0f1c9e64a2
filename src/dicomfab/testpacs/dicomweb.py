"""DICOMweb of a test PACS, on its web port under ``/dicom-web``: all of what it holds, for who knows its password."""

from __future__ import annotations

import logging
from typing import Final

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dicomfab.archive.archive import Archive
from dicomfab.archive.web_store import ArchiveWebStore
from dicomfab.dicomweb import asgi
from dicomfab.dicomweb.handler import Handler
from dicomfab.dicomweb.messages import Request as WebRequest
from dicomfab.dicomweb.messages import Response as WebResponse
from dicomfab.model.values import Environment
from dicomfab.testpacs.password import require_password
from dicomfab.testpacs.spec import ServerSpec

log = logging.getLogger(__name__)

ROOT: Final = "/dicom-web"
_METHODS: Final = ["GET", "HEAD", "POST", "DELETE"]
_HANDLER: Final = Handler()


def web_services(server: ServerSpec, archive: Archive) -> APIRoute:
    """The route of all DICOMweb services of a server.

    Args:
        server: which one.
        archive: what it holds.
    """

    def answer(request: WebRequest) -> WebResponse:
        every = tuple(Environment)
        store = ArchiveWebStore(archive, readable=every, environment=server.environment, deletable=every)
        response = _HANDLER.answer(store, request)
        # Never the query, in which patients are named.
        log.info("DICOMweb: %s /%s: %d", request.method, request.path, response.status)
        return response

    async def endpoint(request: Request) -> Response:
        return _Answer(answer)

    return APIRoute(
        f"{ROOT}/{{path:path}}", endpoint, methods=_METHODS, dependencies=[Depends(require_password)], name="dicomweb"
    )


class _Answer(Response):
    """Sends for itself."""

    def __init__(self, answer: asgi.Answer) -> None:
        super().__init__()
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, in a thread."""
        asked = asgi.request_of(scope, asgi.decoded_path(scope, ROOT), asgi.root_of(scope, ROOT))
        await asgi.respond(self._answer, asked, receive, send)
