"""Refusals of DICOMweb, and how failures are told: a status and ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from dicomfab.dicomweb.messages import Response, json_response
from dicomfab.model.errors import (
    AccessDenied,
    ConfirmationRequired,
    Conflict,
    DicomFabError,
    DiskFull,
    Fault,
    InvalidInput,
    NotFound,
    NotSignedIn,
    TranscodingFailed,
)
from dicomfab.model.problem import MEDIA_TYPE, problem_of
from dicomfab.pixels.data_set import DamagedInstance


class WebRefusal(DicomFabError):
    """A request that is answered with a status of its own."""

    fault = Fault.CALLER
    exit_code = 2
    status: ClassVar[int] = 400
    #: Headers that go with the status.
    headers: Mapping[str, str] = {}


class NotAcceptable(WebRefusal):
    """No representation that the client accepts (406)."""

    heading = "Not acceptable"
    status = 406


class UnsupportedMediaType(WebRefusal):
    """A body of a media type that is not taken (415)."""

    heading = "Unsupported media type"
    status = 415


class TooLarge(WebRefusal):
    """A body that is larger than what is taken (413)."""

    heading = "Too large"
    status = 413


class MethodNotAllowed(WebRefusal):
    """The resource is there, but not to be used like this (405)."""

    heading = "Method not allowed"
    status = 405


class RangeNotSatisfiable(WebRefusal):
    """None of the bytes that were asked for exist (416)."""

    heading = "Range not satisfiable"
    status = 416


_STATUS: Final[tuple[tuple[type[DicomFabError], int], ...]] = (
    (InvalidInput, 400),
    (NotSignedIn, 401),
    (AccessDenied, 403),
    (ConfirmationRequired, 403),
    (NotFound, 404),
    (TranscodingFailed, 406),
    (DamagedInstance, 406),  # as it is stored is the only way to have it
    (Conflict, 409),
    (DiskFull, 507),
)


def status_of(error: DicomFabError) -> int:
    """The status that a failure is answered with; 500 only for what is wrong here."""
    if isinstance(error, WebRefusal):
        return error.status
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def problem(error: DicomFabError) -> Response:
    """A failure as a response: what happened, why most likely, what to do, and the parameter at fault."""
    status = status_of(error)
    response = json_response(status, MEDIA_TYPE, problem_of(error, status))
    headers = error.headers if isinstance(error, WebRefusal) else {}
    return Response(status, {**response.headers, **headers}, response.body)
