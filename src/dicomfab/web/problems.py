"""Failures as programs read them: ``application/problem+json`` (RFC 9457), with what our errors say beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.responses import JSONResponse

from dicomfab.model.errors import DicomFabError, InvalidInput

MEDIA_TYPE: Final = "application/problem+json"
#: Every address of programs begins like this.
API: Final = "/api/"
#: The page that shows the interface to people; they are taken to where one signs in.
DOCS: Final = "/api/v1/docs"
#: Members that RFC 9457 names otherwise, and the value at fault, which may be a secret.
_TOLD_OTHERWISE: Final = frozenset({"heading", "what", "value", "source"})
_CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")


class ProblemResponse(JSONResponse):
    """A problem as the answer to a request."""

    media_type = MEDIA_TYPE


def is_for_programs(path: str) -> bool:
    """Whether only programs ask at an address."""
    return path.startswith(API) and path != DOCS


def code_of(error: DicomFabError) -> str:
    """In a word what happened: what a peer's failure says (``refused``, ``A801``), else the error's class."""
    told = error.as_dict()
    return str(told.get("code") or "") or _CAPITAL.sub("-", str(told["error"])).lower()


def problem(error: DicomFabError, status: int, errors: Sequence[Mapping[str, str]] = ()) -> ProblemResponse:
    """A failure as a program reads it.

    Args:
        error: what failed.
        status: of HTTP.
        errors: each field at fault with a message, where several are known.
    """
    told = error.as_dict()
    kind = _CAPITAL.sub("-", str(told["error"])).lower()
    body = {
        "type": f"urn:dicomfab:error:{kind}",
        "title": error.heading,
        "status": status,
        "detail": error.what,
        **{name: value for name, value in told.items() if name not in _TOLD_OTHERWISE},
        "code": code_of(error),
        "field": str(told.get("field", "")),
        "errors": [dict(one) for one in errors],
    }
    return ProblemResponse(body, status_code=status)


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
