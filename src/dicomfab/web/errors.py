"""Every failure as a page, or as a panel when htmx asked for a part of one, with the HTTP status that fits."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from dicomfab.model.errors import (
    AccessDenied,
    ConfirmationRequired,
    Conflict,
    DicomFabError,
    InvalidInput,
    LocalFailure,
    NotFound,
    PeerError,
    PeerTimeout,
    RouteMissing,
    TransferIncomplete,
)
from dicomfab.web.templating import is_fragment_wanted, page

log = logging.getLogger(__name__)

#: Elements whose id begins like this show a failure themselves; others leave it to the alerts of the layout.
OWN_PLACE = "detail-"

_STATUSES: tuple[tuple[type[DicomFabError], int], ...] = (
    (InvalidInput, 400),
    (AccessDenied, 403),
    (NotFound, 404),
    (Conflict, 409),
    (ConfirmationRequired, 409),
    (RouteMissing, 409),
    (PeerTimeout, 504),
    (TransferIncomplete, 502),
    (PeerError, 502),
)


def status_of(error: DicomFabError) -> int:
    """The HTTP status of a failure; 500 for those of this machine."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def error_response(request: Request, error: DicomFabError) -> Response:
    """The failure as a page; for htmx as a panel, put where the layout keeps its alerts."""
    if is_fragment_wanted(request):
        response = page(request, "fragments/alert.html", {"error": error}, status_code=status_of(error))
        if not request.headers.get("hx-target", "").startswith(OWN_PLACE):
            response.headers["HX-Retarget"] = "#alerts"
            response.headers["HX-Reswap"] = "innerHTML show:window:top"
        return response
    return page(request, "error.html", {"error": error}, status_code=status_of(error))


def install(app: FastAPI) -> None:
    """Have the application answer every failure this way."""
    app.add_exception_handler(DicomFabError, _product_error)
    app.add_exception_handler(RequestValidationError, _unusable_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)


def _product_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DicomFabError)
    return error_response(request, error)


def _unusable_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = str(first["loc"][-1])
    return error_response(
        request,
        InvalidInput(
            f"{field}: {first['msg']}",
            field=field,
            cause="the address or the form holds a value that cannot be used, or lacks one",
            remedy="go back, correct it and try again",
        ),
    )


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        missing = NotFound(
            "there is no such page.",
            cause="the address is mistyped or outdated",
            remedy="start from the navigation above",
        )
        return error_response(request, missing)
    return PlainTextResponse(str(error.detail), status_code=error.status_code, headers=error.headers)


def _unexpected(request: Request, error: Exception) -> Response:
    log.error("unexpected failure in %s %s", request.method, request.url.path, exc_info=error)
    fault = LocalFailure(
        "an unexpected error occurred.",
        cause="a fault in this program",
        remedy="see logs/web.log in the home folder, and report it",
    )
    return error_response(request, fault)
