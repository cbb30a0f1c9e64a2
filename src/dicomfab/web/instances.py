"""One instance: its picture, its attributes, and what differs between two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.archive.records import StoredInstance
from dicomfab.model.actor import Actor
from dicomfab.model.errors import DicomFabError, InvalidInput, NotFound
from dicomfab.services import attribute_differences, attributes, pictures
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.studies import shown
from dicomfab.web.templating import page

router = APIRouter(prefix="/studies")

#: Of an instance.
ADDRESS = "/{study}/series/{series}/instances/{instance}"


def _found(
    study: str, series: str, instance: str, actor: CurrentActor, application: CurrentApplication
) -> StoredInstance:
    return attributes.instance_of(application.studies, actor, study, instance, series)


#: The instance that the address names.
Found = Annotated[StoredInstance, Depends(_found)]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an instance stands in its series.

    Args:
        number: from 1.
        total: of the series.
        before, after: the neighbours' UIDs; blank at the ends.
    """

    number: int
    total: int
    before: str
    after: str


@router.get("/diff", dependencies=[permission(Action.VIEW)])
def differences(
    request: Request,
    actor: CurrentActor,
    application: CurrentApplication,
    a: str = "",
    b: str = "",
    every: str = "",
    study: Annotated[list[str] | None, Query()] = None,
    instance: Annotated[list[str] | None, Query()] = None,
) -> Response:
    """What differs between two instances, or between the first instances of two studies."""
    given = [one.strip() for one in (a, b, *(study or ()), *(instance or ())) if one.strip()]
    context: dict[str, Any] = {"a": "", "b": "", "every": every, "found": None, "sides": (), "error": None}
    status = 200
    context.update(zip(("a", "b"), given, strict=False))
    try:
        if len(given) > 2:
            raise InvalidInput(
                f"instance: {len(given)} were chosen", field="instance", cause="two are compared", remedy="choose two"
            )
        if len(given) == 2:
            sides = [_meant(application, actor, one) for one in given]
            context["sides"] = sides
            context["a"], context["b"] = (one.identity.sop_instance_uid for one in sides)
            context["found"] = attribute_differences.compare(sides[0].path, sides[1].path, everything=bool(every))
    except (InvalidInput, NotFound) as error:
        context["error"], status = error, 400 if isinstance(error, InvalidInput) else 404
    return page(request, "studies/diff.html", context, status_code=status)


@router.get(ADDRESS, dependencies=[permission(Action.VIEW)])
def show(
    request: Request,
    study: str,
    series: str,
    instance: str,
    actor: CurrentActor,
    application: CurrentApplication,
    q: str = "",
    frame: str = "",
) -> Response:
    """An instance with its picture and attributes."""
    detail = application.studies.show(actor, study)
    found = attributes.instance_of(application.studies, actor, study, instance, series)
    frames, problem = _frames(found)
    chosen = int(frame) if frame.isascii() and frame.isdigit() and len(frame) < 9 else frames // 2 + 1
    context = {
        "study": detail.summary,
        "series": next(one for one in detail.series if one.series_instance_uid == series),
        "instance": found,
        "place": _place(application.studies.local.instance_uids(study, series), instance),
        "frames": frames,
        "frame": min(max(1, chosen), max(1, frames)),
        "problem": problem,
        **_attributes(found, q),
    }
    return page(request, "studies/instance.html", context)


@router.get(f"{ADDRESS}/picture.png", dependencies=[permission(Action.VIEW)])
def picture(
    request: Request,
    found: Found,
    application: CurrentApplication,
    frame: Annotated[int | None, Query(ge=1, lt=10**9)] = None,
    small: str = "",
) -> Response:
    """A frame of it, the middle one if none is named, as PNG."""
    longest = pictures.SMALL_EDGE if small else pictures.LONGEST_EDGE
    number = None if frame is None else frame - 1
    return shown(request, found.identity.sop_instance_uid, longest=longest, application=application, frame=number)


@router.get(f"{ADDRESS}/items", dependencies=[permission(Action.VIEW)])
def items(request: Request, found: Found, path: str, first: Annotated[int, Query(ge=0, lt=10**9)] = 0) -> Response:
    """Items of a sequence, for the page above that did not hold them."""
    tree = attributes.tree(found.path, path, first=first)
    return page(request, "studies/items.html", {"instance": found, "tree": tree})


@router.get(f"{ADDRESS}/value", dependencies=[permission(Action.VIEW)])
def value(request: Request, found: Found, path: str) -> Response:
    """A value that was cut, as far as it is ever shown."""
    attribute = attributes.value_of(found.path, path)
    return page(request, "studies/value.html", {"instance": found, "attribute": attribute})


def _meant(application: Application, actor: Actor, reference: str) -> StoredInstance:
    known = application.studies.local.find_instance(reference)
    if known is not None:
        return attributes.instance_of(application.studies, actor, known.study_instance_uid, reference)
    study = application.studies.resolve_reference(actor, reference)
    return attributes.first_instance(application.studies, actor, study)


def _attributes(found: StoredInstance, q: str) -> dict[str, Any]:
    q = q.strip()[:200]
    nothing = {"q": q, "tree": None, "matches": None, "unreadable": None}
    try:
        if q:
            return {**nothing, "matches": attributes.search(found.path, q)}
        return {**nothing, "tree": attributes.tree(found.path)}
    except DicomFabError as error:
        return {**nothing, "unreadable": error}


def _frames(found: StoredInstance) -> tuple[int, str]:
    """How many pictures it has, or why none can be told."""
    try:
        return pictures.frames_of(found.path), ""
    except DicomFabError as error:
        return 0, error.what


def _place(uids: Sequence[str], instance: str) -> Place:
    at = uids.index(instance)
    return Place(
        number=at + 1,
        total=len(uids),
        before=uids[at - 1] if at else "",
        after=uids[at + 1] if at + 1 < len(uids) else "",
    )
