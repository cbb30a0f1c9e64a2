"""The web page of a test PACS: who it is, and what it holds."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, FastAPI, HTTPException, Query
from fastapi.responses import FileResponse, HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dicomfab.archive.archive import Archive
from dicomfab.archive.records import StudyDetail, StudyFilter
from dicomfab.fabricate.doctors_instance import PATIENT_ID as DOCTORS_PATIENT_ID
from dicomfab.model import values
from dicomfab.model.errors import InvalidInput, NotFound
from dicomfab.testpacs.dicomweb import web_services
from dicomfab.testpacs.password import require_password
from dicomfab.testpacs.spec import LabConfig, ServerSpec

PAGE_SIZE = 50
_TEMPLATES = Path(__file__).with_name("templates")
_SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class _SecurityHeaders:
    """Adds the headers to every answer, without a copy of what streams through."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def make_app(config: LabConfig, server: ServerSpec, archive: Archive) -> FastAPI:
    """The application of one server's page.

    Args:
        config: of the whole lab, for links to the others.
        server: which one.
        archive: what it holds.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, dependencies=[Depends(require_password)])
    templates = _templates(config, server)

    def page(name: str, **context: Any) -> HTMLResponse:
        return HTMLResponse(templates.get_template(name).render(storage=archive.storage(), **context))

    app.add_middleware(_SecurityHeaders)
    app.router.routes.append(web_services(server, archive))

    @app.get("/", response_class=HTMLResponse)
    def studies(
        q: Annotated[str, Query(max_length=200)] = "", number: Annotated[int, Query(alias="page", ge=1, le=10**6)] = 1
    ) -> HTMLResponse:
        found = archive.studies(StudyFilter(search=q), limit=PAGE_SIZE, offset=(number - 1) * PAGE_SIZE)
        pages = max(1, math.ceil(found.total / PAGE_SIZE))
        return page("studies.html", found=found, search=q, number=number, pages=pages)

    @app.get("/patients", response_class=HTMLResponse)
    def patients() -> HTMLResponse:
        return page("patients.html", patients=archive.patients())

    @app.get("/studies/{study_instance_uid}", response_class=HTMLResponse)
    def study(study_instance_uid: str) -> HTMLResponse:
        found = _study(archive, study_instance_uid)
        return page("study.html", study=found.summary, series=found.series)

    @app.delete("/studies/{study_instance_uid}", status_code=204)
    def delete(study_instance_uid: str) -> None:
        _delete_doctors(archive, study_instance_uid)

    @app.get("/api/summary")
    def summary() -> dict[str, Any]:
        return {**asdict(server), "storage": asdict(archive.storage())}

    @app.get("/style.css")
    def style() -> FileResponse:
        return FileResponse(_TEMPLATES / "style.css", media_type="text/css")

    return app


def _study(archive: Archive, study_instance_uid: str) -> StudyDetail:
    try:
        return archive.study(values.uid(study_instance_uid))
    except (InvalidInput, NotFound) as error:
        raise HTTPException(404, "no such study") from error


def _delete_doctors(archive: Archive, study_instance_uid: str) -> None:
    """Delete a study of the doctor's, which cleans up after itself; no other."""
    if _study(archive, study_instance_uid).summary.patient_id != DOCTORS_PATIENT_ID:
        raise HTTPException(403, "only studies of the doctor's own patient are deleted from outside")
    archive.delete_study(study_instance_uid)


def _templates(config: LabConfig, server: ServerSpec) -> Environment:
    templates = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    templates.filters.update(size=readable_size, date=readable_date, query=urlencode)
    templates.globals.update(server=server, config=config)
    return templates


def readable_size(size_bytes: int) -> str:
    """``1536`` as ``1.5 KB``."""
    size = float(size_bytes)
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TB"


def readable_date(date: str) -> str:
    """``20240131`` as ``2024-01-31``; anything else as it is."""
    return f"{date[:4]}-{date[4:6]}-{date[6:]}" if len(date) == 8 and date.isdigit() else date
