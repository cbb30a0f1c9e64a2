"""All resources below ``/api/v1``, their description as OpenAPI, and the page that shows it."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import HTMLResponse, JSONResponse

from dicomfab import __version__
from dicomfab.access.policy import Action
from dicomfab.web import commands
from dicomfab.web.access import permission
from dicomfab.web.api import (
    accounts,
    audit,
    contents,
    diagnoses,
    dicomweb,
    jobs,
    messages,
    monitor,
    orders,
    patients,
    procedures,
    queries,
    schedules,
    servers,
    service,
    studies,
    transfers,
)
from dicomfab.web.api.shared import PREFIX, PROBLEMS, Problem
from dicomfab.web.templating import page

_ABOUT: Final = """\
The same services as the pages and the command line, for programs. Lists are parts of `limit` items with the address of
the `next` one. What takes long is a job: 202, with its address in `Location`. Failures are problems (RFC 9457) with
`code`, `cause`, `remedy` and `field`. Without sign-in, programs on this computer are administrators; with it they show
a token: `Authorization: Bearer dfl_...`. All examples are synthetic.
"""
_TAGS: Final = {
    "servers": "PACS servers, their C-MOVE routes, import and export.",
    "queries": "C-FIND over many servers at once.",
    "studies": "The local store: fabricate, list, look at, delete.",
    "patients": "Patients to fabricate studies of.",
    "orders": "HL7 orders that are kept.",
    "procedures": "Requested procedures: what is to be done for orders, and how far it has come.",
    "worklist": "What modalities are offered.",
    "loop": "Whether what was ordered was scheduled, performed, stored, committed, and is found and fetched.",
    "messages": "HL7 v2 messages that came and went.",
    "jobs": "Send, move, get, verify, compare; follow, cancel, pause, resume, retry.",
    "schedules": "Jobs that are made again and again.",
    "diagnoses": "Why DICOM fails.",
    "monitor": "Whether servers are up.",
    "audit": "Who did what.",
    "me": "Who asks.",
    "tokens": "API tokens.",
    "users": "Accounts, for those who manage users.",
    "commands": "The command line from afar.",
    "dicomweb": "The local store by DICOMweb (PS3.18): QIDO-RS, WADO-RS, STOW-RS, and deleting.",
    "service": "Health and version.",
}

router = APIRouter(prefix=PREFIX)
for one in (
    servers.router,
    queries.router,
    studies.router,
    contents.router,
    patients.router,
    orders.router,
    procedures.router,
    procedures.worklist,
    procedures.loop,
    messages.router,
    messages.taking,
    transfers.router,
    jobs.router,
    schedules.router,
    diagnoses.router,
    monitor.router,
    audit.router,
    accounts.me,
    accounts.tokens,
    accounts.users,
    service.router,
    dicomweb.router,
):
    router.routes.extend(one.routes)  # not included: that makes each route anew when the first request comes


def openapi() -> dict[str, Any]:
    """The interface as OpenAPI 3.1: these resources, and the command line from afar."""
    described = get_openapi(
        title="DICOM Fabricator",
        version=__version__,
        summary="REST interface of an imaging integration lab.",
        description=_ABOUT,
        routes=[*router.routes, *commands.router.routes],
        tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
    )
    schemas = described["components"]["schemas"]
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs", {})
    schemas["Problem"] = problem
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    _describe_commands(described["paths"][f"{PREFIX}/commands"]["post"])
    described["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "An API token, dfl_..."}
    }
    described["security"] = [{}, {"token": []}]
    return described


@router.get("/openapi.json", include_in_schema=False, dependencies=[permission(Action.OWN_ACCOUNT)])
def description(request: Request) -> JSONResponse:
    """The description as JSON."""
    if not hasattr(request.app.state, "openapi"):
        request.app.state.openapi = openapi()
    return JSONResponse(request.app.state.openapi)


@router.get("/docs", include_in_schema=False, dependencies=[permission(Action.OWN_ACCOUNT)])
def docs(request: Request) -> HTMLResponse:
    """The description as a page on which requests can be tried; nothing of it comes from elsewhere."""
    return page(request, "api/docs.html")


def _describe_commands(operation: dict[str, Any]) -> None:
    lines = {"application/x-ndjson": {"schema": {"type": "string"}}}
    operation["tags"] = ["commands"]
    operation["responses"] = {
        "200": {"description": "What it prints, line by line; its exit code last.", "content": lines},
        **{str(status): said for status, said in PROBLEMS.items()},
    }
