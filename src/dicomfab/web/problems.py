"""Failures as programs read them: ``application/problem+json`` (RFC 9457), with what our errors say beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.responses import JSONResponse

from dicomfab.model.errors import DicomFabError, InvalidInput
from dicomfab.model.problem import MEDIA_TYPE, problem_of

#: Every address of programs begins like this.
API: Final = "/api/"
DICOMWEB: Final = "/dicom-web/"
#: The page that shows the interface to people; they are taken to where one signs in.
DOCS: Final = "/api/v1/docs"


class ProblemResponse(JSONResponse):
    """A problem as the answer to a request."""

    media_type = MEDIA_TYPE


def is_for_programs(path: str) -> bool:
    """Whether only programs ask at an address."""
    return path.startswith((API, DICOMWEB)) and path != DOCS


def problem(error: DicomFabError, status: int, errors: Sequence[Mapping[str, str]] = ()) -> ProblemResponse:
    """A failure as a program reads it.

    Args:
        error: what failed.
        status: of HTTP.
        errors: each field at fault with a message, where several are known.
    """
    return ProblemResponse(problem_of(error, status, errors), status_code=status)


def refused(status: int, what: str, *, cause: str = "", remedy: str = "", code: str = "") -> ProblemResponse:
    """A refusal that is no error of ours: by a middleware, or by the framework."""
    body = {
        "type": "about:blank",
        "title": what,
        "status": status,
        "detail": what,
        "error": "Refused",
        "cause": cause,
        "remedy": remedy,
        "fault": "caller",
        "transient": False,
        "code": code or f"http-{status}",
        "field": "",
        "errors": [],
    }
    return ProblemResponse(body, status_code=status)


def unusable(errors: Sequence[Any]) -> tuple[InvalidInput, list[dict[str, str]]]:
    """What FastAPI found wrong in a request, as one error and as a message for each field; no value is repeated.

    Args:
        errors: of a ``RequestValidationError``, at least one.
    """
    told = [{"field": _field(one), "message": _message(one)} for one in errors]
    first = told[0]
    error = InvalidInput(
        f"{first['field']}: {first['message']}",
        field=first["field"],
        cause="the request holds a value that cannot be used, or lacks one",
        remedy="correct it; what is taken is described at /api/v1/docs",
    )
    return error, told


def _field(error: Mapping[str, Any]) -> str:
    place = error["loc"]
    inside = () if error["type"] == "json_invalid" else place[1:]  # there, the place is a number of characters
    return ".".join(str(part) for part in inside) or str(place[0])


def _message(error: Mapping[str, Any]) -> str:
    if error["type"] == "json_invalid":
        return "the body is not JSON"
    if error["type"] == "missing":
        return "is missing"
    if error["type"] == "extra_forbidden":
        return "is not a name that can be used here"
    said = str(error["msg"]).removeprefix("Value error, ")
    return said[:1].lower() + said[1:]
