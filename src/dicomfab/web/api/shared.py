"""What all resources have in common: how lists are cut, how problems and values look, and how a job is handed out."""

from __future__ import annotations

import dataclasses
import inspect
import re
import threading
import time
import typing
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Final, Generic, TypeVar

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field, create_model
from starlette.exceptions import HTTPException

from dicomfab.access.policy import Action, require
from dicomfab.app.build import Application
from dicomfab.app.plain import job_dict
from dicomfab.app.workers import ensure_worker
from dicomfab.model.actor import Actor
from dicomfab.model.errors import ConfirmationRequired
from dicomfab.model.job import Job
from dicomfab.model.problem import MEDIA_TYPE
from dicomfab.registry.server import PacsServer
from dicomfab.web.confirmation import is_typed

T = TypeVar("T")

PREFIX: Final = "/api/v1"
MOST: Final = 200
LONGEST_WAIT_S: Final = 60.0
_AT_ONCE: Final = 16
_LOOK_S: Final = 0.1

Limit = Annotated[int, Query(ge=1, le=MOST, description="At most so many items.")]
Offset = Annotated[int, Query(ge=0, le=10**9, description="Leave out so many items before.")]
WaitS = Annotated[
    float,
    Query(ge=0, le=LONGEST_WAIT_S, allow_inf_nan=False, description="Wait so many seconds at most for it to end."),
]


class Given(BaseModel):
    """A body: names that are not known are refused."""

    model_config = ConfigDict(extra="forbid", str_max_length=4096, allow_inf_nan=False)


class Told(BaseModel):
    """An answer: what is named is always there; there may be more."""

    model_config = ConfigDict(extra="allow")
    __hash__: ClassVar[None]  # type: ignore[assignment]


class Listed(BaseModel, Generic[T]):
    """A part of a list.

    ``next`` is the address of the next part, none after the last one.
    """

    items: list[T]
    total: int = Field(description="Items of the whole list.", examples=[1])
    next: str | None = Field(description="Address of the next part; null after the last one.", examples=[None])


class FieldProblem(BaseModel):
    """A field that cannot be used."""

    field: str
    message: str


class Problem(BaseModel):
    """What failed (RFC 9457), with its most likely cause and what to do."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "type": "urn:dicomfab:error:not-found",
                "title": "Not found",
                "status": 404,
                "detail": "there is no job 7.",
                "error": "NotFound",
                "code": "not-found",
                "cause": "it was deleted, or the number is mistyped",
                "remedy": "dicomfab jobs list",
                "fault": "caller",
                "transient": False,
                "field": "",
                "errors": [],
            }
        },
    )

    type: str = Field(description="urn:dicomfab:error:NAME, or about:blank.")
    title: str
    status: int
    detail: str = Field(description="What happened, one sentence.")
    error: str = Field(description="Class of the error.")
    code: str = Field(description="In a word what was seen, such as not-found, refused, 1/1/3 or A801.")
    cause: str = Field(description="Most likely cause.")
    remedy: str = Field(description="What to do about it.")
    fault: str = Field(description="Who has to act: caller, peer or us.")
    transient: bool = Field(description="Whether trying again may help.")
    field: str = Field(description="The parameter or JSON key at fault, if one is.")
    errors: list[FieldProblem] = Field(description="Each field at fault, if several are known.")


_STATUSES: Final = {
    400: "A value cannot be used.",
    401: "Nobody is signed in, or the token is not valid.",
    403: "The roles do not allow it.",
    404: "There is no such thing, or the caller may not see it.",
    405: "Another method is needed.",
    409: "It contradicts what is there, or wants a confirmation.",
    413: "The body is too large.",
    415: "The body must be application/json.",
    422: "The request does not fit the schema.",
    429: "Too many attempts; see Retry-After.",
    500: "A failure of this machine.",
    502: "A PACS server failed, or the road to it.",
    504: "A PACS server did not answer in time.",
}
PROBLEM_SCHEMA: Final = {"$ref": "#/components/schemas/Problem"}
PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"description": said, "content": {MEDIA_TYPE: {"schema": PROBLEM_SCHEMA}}}
    for status, said in _STATUSES.items()
}


def only(*kinds: str) -> Callable[[Request], None]:
    """A dependency that refuses a body of another media type.

    Args:
        kinds: those that are taken, in lower case.
    """

    def check(request: Request) -> None:
        has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if has_body and kind and kind not in kinds:
            raise HTTPException(415, f"the body must be {' or '.join(kinds)}")

    return check


def _operation(route: APIRoute) -> str:
    return f"{str(route.tags[0]).replace(' ', '_')}_{route.name}"


def resource(name: str, prefix: str = "", takes: Sequence[str] = ("application/json",)) -> APIRouter:
    """A router for one kind of resource.

    Args:
        name: its plural, as the documents group by it.
        prefix: what follows ``/api/v1``; ``/NAME`` if left out.
        takes: media types of bodies.
    """
    return APIRouter(
        prefix=PREFIX + (prefix or f"/{name}"),
        tags=[name],
        responses=PROBLEMS,
        dependencies=[Depends(only(*takes))],
        generate_unique_id_function=_operation,
    )


def listed(request: Request, items: Sequence[T], total: int, limit: int, offset: int) -> dict[str, Any]:
    """A part of a list, with the address of the next one."""
    address = None
    if offset + len(items) < total and items:
        url = request.url.include_query_params(limit=limit, offset=offset + limit)
        address = f"{url.path}?{url.query}"
    return {"items": list(items), "total": total, "next": address}


def cut(request: Request, everything: Sequence[T], limit: int, offset: int) -> dict[str, Any]:
    """A part of a list that is known as a whole."""
    return listed(request, everything[offset : offset + limit], len(everything), limit, offset)


def begun(application: Application, response: Response, job: Job) -> dict[str, Any]:
    """A job that was just submitted; a worker does it."""
    ensure_worker(application)
    response.headers["Location"] = f"{PREFIX}/jobs/{job.id}"
    return job_dict(job, application.jobs)


def is_production(actor: Actor, server: PacsServer, typed: str) -> bool:
    """Whether a server to be written to stands in production; then its name was typed as a confirmation.

    Raises:
        AccessDenied: whoever asks may not write there.
        ConfirmationRequired: its name was not typed.
    """
    require(actor, Action.STORE, server.environment)
    if server.is_production and not is_typed(typed, server):
        raise ConfirmationRequired(
            f"confirm_production: {server.name} is a production server; nothing was done",
            cause="writing to production wants an explicit yes each time",
            remedy=f"give its name as confirm_production if you mean it: {server.name}",
        )
    return server.is_production


_waiting = threading.BoundedSemaphore(_AT_ONCE)


def wait_until(has_ended: Callable[[], bool], wait_s: float) -> None:
    """Wait for something to end, but not for long, nor with more callers than leave threads for others."""
    ends = time.monotonic() + wait_s
    if wait_s <= 0 or not _waiting.acquire(blocking=False):
        return
    try:
        while not has_ended() and time.monotonic() < ends:
            time.sleep(_LOOK_S)
    finally:
        _waiting.release()


_ARGUMENT: Final = re.compile(r"^ {4}(?P<name>\w+): (?P<text>.+(?:\n {8}.+)*)", re.MULTILINE)


def described(kind: type[Any]) -> dict[str, str]:
    """What the docstring of a class says about each of its arguments."""
    # Python 3.13 takes the indentation away, those before it do not.
    text = inspect.cleandoc(kind.__doc__ or "").replace("``", "")
    return {found["name"]: re.sub(r"\s+", " ", found["text"]) for found in _ARGUMENT.finditer(text)}


def told_model(name: str, kind: type[Any], like: dict[Any, Any] | None = None, **more: Any) -> Any:
    """A model of a dataclass as plain values.

    Args:
        name: of the model.
        kind: the dataclass.
        like: type -> the type of its plain value.
        more: further fields.
    """
    hints, says = typing.get_type_hints(kind), described(kind)
    fields: dict[str, Any] = {
        field.name: ((like or {}).get(hints[field.name], hints[field.name]), Field(description=says.get(field.name)))
        for field in dataclasses.fields(kind)
    }
    return create_model(name, __base__=Told, __doc__=(kind.__doc__ or "").split("\n")[0], **fields, **more)
