"""Every failure as a page, or as a panel when htmx asked for a part of one, with the HTTP status that fits."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from dicomfab.dicomweb.errors import WebRefusal
from dicomfab.model.actor import Actor
from dicomfab.model.errors import (
    AccessDenied,
    ConfirmationRequired,
    Conflict,
    DicomFabError,
    DirectoryUnavailable,
    InvalidInput,
    LocalFailure,
    NotFound,
    NotSignedIn,
    PeerError,
    PeerTimeout,
    RenewalNeeded,
    RouteMissing,
    TooManyAttempts,
    TransferIncomplete,
)
from dicomfab.services.recording import REFUSALS, refused
from dicomfab.web import problems
from dicomfab.web.access import current_actor, current_application
from dicomfab.web.security import SAFE_METHODS
from dicomfab.web.signed_in import (
    NOTHING_SHOWN,
    bearer_token,
    is_program,
    origin_of,
    own_page,
    sign_in_address,
    who_asks,
)
from dicomfab.web.templating import is_fragment_wanted, page

log = logging.getLogger(__name__)

#: Elements whose id begins like this show a failure themselves; others leave it to the alerts of the layout.
OWN_PLACE = "detail-"

_STATUSES: tuple[tuple[type[DicomFabError], int], ...] = (
    (InvalidInput, 400),
    (TooManyAttempts, 429),
    (NotSignedIn, 401),
    (AccessDenied, 403),
    (NotFound, 404),
    (Conflict, 409),
    (ConfirmationRequired, 409),
    (RouteMissing, 409),
    (PeerTimeout, 504),
    (TransferIncomplete, 502),
    (PeerError, 502),
    (DirectoryUnavailable, 503),
)


def status_of(error: DicomFabError) -> int:
    """The HTTP status of a failure; 500 for those of this machine."""
    if isinstance(error, WebRefusal):
        return error.status
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def page_with(
    request: Request, template: str, context: Mapping[str, Any], error: DicomFabError | None = None
) -> Response:
    """A page that says what is wrong, if something is, with the status and headers that fit."""
    response = page(request, template, context, status_code=status_of(error) if error else 200)
    return response if error is None else _with_headers(response, error)


def failure(request: Request, error: DicomFabError) -> Response:
    """Any failure; whoever is not signed in is taken to where one signs in."""
    if isinstance(error, NotSignedIn) and not isinstance(error, TooManyAttempts) and not is_program(request):
        return _to_sign_in(request, error.source if isinstance(error, RenewalNeeded) else "")
    return error_response(request, error)


def error_response(request: Request, error: DicomFabError) -> Response:
    """The failure as a page; for htmx as a panel, put where the layout keeps its alerts; for a program as a problem."""
    return _with_headers(_error_response(request, error), error)


def _error_response(request: Request, error: DicomFabError) -> Response:
    if is_program(request):
        return problems.problem(error, status_of(error))
    if is_fragment_wanted(request):
        response = page(request, "fragments/alert.html", {"error": error}, status_code=status_of(error))
        if not request.headers.get("hx-target", "").startswith(OWN_PLACE):
            response.headers["HX-Retarget"] = "#alerts"
            response.headers["HX-Reswap"] = "innerHTML show:window:top"
        return response
    return page(request, "error.html", {"error": error}, status_code=status_of(error))


def _with_headers(response: Response, error: DicomFabError) -> Response:
    if isinstance(error, TooManyAttempts):
        response.headers["Retry-After"] = str(round(error.retry_after_s))
    elif isinstance(error, NotSignedIn):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def install(app: FastAPI) -> None:
    """Have the application answer every failure this way."""
    app.add_exception_handler(DicomFabError, _product_error)
    app.add_exception_handler(RequestValidationError, _unusable_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)


def noted_failure(request: Request, error: DicomFabError) -> Response:
    """A failure of ours; if somebody was refused, the audit log knows."""
    _note_refusal(request, error)
    return failure(request, error)


def _product_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DicomFabError)
    return noted_failure(request, error)


def _note_refusal(request: Request, error: DicomFabError) -> None:
    """Have the audit log know that somebody was refused, unless what looks at secrets has told it the true reason."""
    if not isinstance(error, REFUSALS) or isinstance(error, TooManyAttempts):
        return
    if isinstance(error, NotSignedIn) and bearer_token(request):
        return
    if isinstance(error, NotSignedIn) and error.reason == NOTHING_SHOWN and request.method in SAFE_METHODS:
        return  # a browser on its way to the page where one signs in
    actor: Actor | None = None
    with suppress(DicomFabError):
        actor = current_actor(request)
    known = {} if actor is not None else {"door": "web", "address": origin_of(request).address}
    asked = {"request": f"{request.method} {request.url.path}"}
    refused(current_application(request).audit.record, actor, error, detail=asked, **known)


def _to_sign_in(request: Request, source: str) -> Response:
    """To the page where one signs in, or to where a provider confirms that, and from there back to where one was."""
    if is_fragment_wanted(request):
        onwards = sign_in_address(_shown(request, "hx-current-url"), source)
        return Response(status_code=401, headers={"HX-Redirect": onwards})
    here = f"{request.url.path}?{request.url.query}"
    back = here if request.method == "GET" else _shown(request, "referer")
    return RedirectResponse(sign_in_address(back, source), 303)


def _shown(request: Request, header: str) -> str:
    """The page that was shown when the request was made: a form that is sent has no page of its own."""
    shown = urlsplit(request.headers.get(header, ""))
    return own_page(f"{shown.path}?{shown.query}") if shown.netloc == request.headers.get("host") else "/"


def _unusable_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    if is_program(request):
        found, fields = problems.unusable(error.errors())
        return problems.problem(found, 422, fields)
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
    with suppress(DicomFabError):
        who_asks(request)  # so that the page has its navigation
    if error.status_code == 404:
        start = "see /api/v1/docs" if is_program(request) else "start from the navigation above"
        missing = NotFound("there is no such page.", cause="the address is mistyped or outdated", remedy=start)
        return error_response(request, missing)
    if problems.is_for_programs(request.url.path):
        response = problems.refused(error.status_code, str(error.detail))
        response.headers.update(error.headers or {})
        return response
    return PlainTextResponse(str(error.detail), status_code=error.status_code, headers=error.headers)


def unexpected() -> LocalFailure:
    """What people are told of a fault of ours; its trace is in the log."""
    return LocalFailure(
        "an unexpected error occurred.",
        cause="a fault in this program",
        remedy="see logs/web.log in the home folder, and report it",
    )


def _unexpected(request: Request, error: Exception) -> Response:
    log.error("unexpected failure in %s %s", request.method, request.url.path, exc_info=error)
    return error_response(request, unexpected())
