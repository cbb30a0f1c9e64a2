"""The application: routers, assets, middleware."""

from __future__ import annotations

import logging
import time
from typing import Final

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dicomfab import __version__
from dicomfab.app.build import Application
from dicomfab.app.web_settings import WebSettings
from dicomfab.web import (
    account,
    audit,
    commands,
    compare,
    create,
    directories,
    doctor,
    elsewhere,
    errors,
    help_pages,
    home,
    instances,
    jobs,
    message_builder,
    messages,
    modality,
    monitor,
    ohif,
    orders,
    pacs,
    pacs_list,
    pacs_matrix,
    pacs_network,
    palette,
    patients,
    previews,
    procedures,
    query,
    query_chosen,
    query_lists,
    schedules,
    selected_studies,
    settings_page,
    sign_in,
    studies,
    undo,
    users,
    viewing,
)
from dicomfab.web.api import root as api
from dicomfab.web.assets import Assets
from dicomfab.web.doctor_runs import Runs
from dicomfab.web.door import DoorMiddleware
from dicomfab.web.kept_previews import KeptPreviews
from dicomfab.web.list_runs import ListRuns
from dicomfab.web.modality_runs import ModalityRuns
from dicomfab.web.route_runs import RouteRuns
from dicomfab.web.security import SecurityMiddleware
from dicomfab.web.validation_runs import ValidationRuns

log = logging.getLogger(__name__)

_NOT_LOGGED: Final = ("/static/", f"{ohif.ASSETS}/")
#: Each has routes, which are tried in this order.
_MODULES: Final = (
    account,
    api,
    audit,
    commands,
    compare,
    create,
    directories,
    doctor,
    elsewhere,
    help_pages,
    home,
    instances,
    jobs,
    message_builder,  # before messages, whose numbers it would be taken for
    messages,
    modality,
    monitor,
    ohif,
    orders,
    pacs,
    pacs_list,
    pacs_matrix,
    pacs_network,
    palette,
    patients,
    previews,
    procedures,
    query,
    query_chosen,
    query_lists,
    schedules,
    selected_studies,
    settings_page,
    sign_in,
    studies,
    undo,
    users,
    viewing,
)


def create_app(application: Application, web: WebSettings | None = None) -> FastAPI:
    """The pages of one installation; nothing of it is opened before it is asked for.

    Args:
        application: the installation.
        web: how it is served; on loopback and without sign-in if not given.
    """
    web = web or WebSettings()
    app = _Pages(title="DICOM Fabricator", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.application = application
    app.state.web = web
    app.state.doctor_runs = Runs()
    app.state.list_runs = ListRuns()
    app.state.modality_runs = ModalityRuns()
    app.state.notices = undo.Notices()
    app.state.previews = KeptPreviews()
    app.state.route_runs = RouteRuns()
    app.state.validation_runs = ValidationRuns()
    for module in _MODULES:
        # Not included: that makes each route anew, half a second at the first request of every process.
        app.router.routes.extend(module.router.routes)
    app.mount("/static", Assets(), name="static")
    errors.install(app)
    app.add_middleware(DoorMiddleware, web=web)
    app.add_middleware(_RequestLog)
    return app


class _Pages(FastAPI):
    """Has its headers on every answer, also on that to a fault of its own, which Starlette makes outside the rest."""

    def build_middleware_stack(self) -> ASGIApp:
        """All of it, behind what guards it."""
        return SecurityMiddleware(super().build_middleware_stack(), names=self.state.web.all_names)


class _RequestLog:
    """Method, path, status and time of each request; never the query, in which patients are named."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 0

        async def send_noted(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        finally:
            if not scope["path"].startswith(_NOT_LOGGED):
                milliseconds = (time.perf_counter() - start) * 1000
                log.info("%s %s %d %.0f ms", scope["method"], scope["path"], status, milliseconds)
