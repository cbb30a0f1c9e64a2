"""Looking without the viewer: scrolling through pictures, and what an instance says for reading."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.archive.records import InstanceSummary, SeriesSummary, StudyDetail
from dicomfab.model.actor import Actor
from dicomfab.model.errors import AccessDenied, NotFound
from dicomfab.services import kept_pictures
from dicomfab.services.readable import documents, kinds
from dicomfab.services.readable.blocks import Content, Readable, Reference, References
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.instances import ADDRESS, Found
from dicomfab.web.plain_text import plain
from dicomfab.web.studies import ASKED_AGAIN, kept
from dicomfab.web.templating import page

#: Instances of a series that are read at once, and in all of a page.
READ_OF_SERIES: Final = 12
READ_AT_ONCE: Final = 40
#: Series of a study that are shown at once.
SERIES_SHOWN: Final = 30
#: References of a page that are looked up in the local store.
LOOKED_UP: Final = 400
#: Centre and width in Hounsfield units, as they are usually called.
CT_WINDOWS: Final[Mapping[str, tuple[int, int]]] = {
    "Brain": (40, 80),
    "Stroke": (35, 35),
    "Subdural": (75, 215),
    "Soft tissue": (50, 400),
    "Abdomen": (60, 350),
    "Liver": (70, 160),
    "Mediastinum": (40, 350),
    "Lung": (-600, 1500),
    "Bone": (500, 2000),
    "Angiography": (300, 600),
}
_LONGEST: Final = 1_000_000

router = APIRouter(prefix="/studies")


@router.get("/{study}/series/{series}/pictures", dependencies=[permission(Action.VIEW)])
def pictures_of(
    request: Request,
    study: str,
    series: str,
    actor: CurrentActor,
    application: CurrentApplication,
    instance: str = "",
) -> Response:
    """What there is to scroll through, as JSON: instances in the order of their numbers, and how they are looked at."""
    detail, found = _series(application, actor, study, series)
    instances = _with_pictures(application, study, series, found.instance_count)
    chosen = [one for one in instances if instance in ("", one.sop_instance_uid)]
    version = _version(detail.summary.stored_at, chosen)
    headers = {"ETag": f'"{version}"', "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return JSONResponse(_told(application, study, series, chosen, version), headers=headers)


def _told(
    application: Application, study: str, series: str, chosen: list[InstanceSummary], version: str
) -> dict[str, Any]:
    look, problem = None, ""
    if chosen:
        middle = application.studies.local.find_instance(chosen[len(chosen) // 2].sop_instance_uid)
        try:
            look = kept_pictures.look(middle.path) if middle is not None else None
        except NotFound as error:
            problem = error.cause
    uids = [one.sop_instance_uid for one in chosen]
    prefix = _beginning(uids)
    return {
        "address": f"/studies/{study}/series/{series}/instances/{prefix}",
        "version": version,
        "instances": [[one.sop_instance_uid[len(prefix) :], frames_in(one)] for one in chosen],
        "isGrey": look.is_grey if look else False,
        "window": look.window if look else None,
        "whole": look.whole if look else None,
        "rate": look.rate if look else kept_pictures.RATE,
        "presets": list(CT_WINDOWS.items()) if look and look.modality == "CT" else [],
        "problem": problem,
        "kind": "" if chosen else _kind(application, study, series),
        "read": f"/studies/{study}/look?series={series}",
    }


def _beginning(uids: list[str]) -> str:
    """What all begin with, up to a point: of thousands it is most of what there would be to send."""
    if len(uids) < 2:
        return ""
    low, high = min(uids), max(uids)
    same = next((place for place, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return low[:same]


def _kind(application: Application, study: str, series: str) -> str:
    """What a series without pictures is."""
    first = application.studies.local.instance_page(study, series, limit=1, offset=0)
    return plain(kinds.title_of(first[0].sop_class_uid)) if first else ""


@router.get(f"{ADDRESS}/preview.jpg", dependencies=[permission(Action.VIEW)])
def preview(
    request: Request,
    found: Found,
    application: CurrentApplication,
    frame: Annotated[int, Query(ge=1, lt=10**9)] = 1,
    window: str = "",
) -> Response:
    """A frame as JPEG. With a version in its address it is kept by browsers, unless it came from production."""
    chosen = kept_pictures.parsed(window)
    state = "|".join(map(str, kept_pictures.state_of(found.path)))
    tag = f'"{zlib.crc32(f"{found.path.name}|{frame}|{window}|{state}".encode()):x}"'
    headers = {"ETag": tag, "Cache-Control": ASKED_AGAIN}
    if "v" in request.query_params:
        headers["Cache-Control"] = kept(application.studies.local.study(found.study_instance_uid).summary)
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    content = kept_pictures.preview(found.path, frame=frame - 1, window=chosen)
    return Response(content, media_type="image/jpeg", headers=headers)


@router.get(f"{ADDRESS}/document", dependencies=[permission(Action.VIEW)])
def document(found: Found, download: str = "") -> Response:
    """The document that an instance holds, in pieces; as a page of its own it can do nothing."""
    held = documents.document_of(found.path)
    name = f"{found.identity.sop_instance_uid}.{held.ending}"
    inline = held.media_type in ("application/pdf", "text/plain") and not download
    headers = {
        "Content-Disposition": f'{"inline" if inline else "attachment"}; filename="{name}"',
        "Content-Length": str(held.size_bytes),
    }
    media_type = "text/plain; charset=utf-8" if held.media_type == "text/plain" else held.media_type
    return StreamingResponse(documents.chunks(found.path), media_type=media_type, headers=headers)


@dataclass(frozen=True, slots=True)
class Read:
    """An instance and what it says.

    Args:
        summary: of the instance.
        title: of its kind.
        readable: what it says; nothing if that is not read here.
    """

    summary: InstanceSummary
    title: str
    readable: Readable | None


@dataclass(slots=True)
class Shelf:
    """A series on the page.

    Args:
        series: it.
        pictures: how many there are to scroll through.
        first: the first instance with a picture, for whoever runs no scripts.
        read: its instances that say something.
        missing: those that are not read here.
    """

    series: SeriesSummary
    pictures: int = 0
    first: str = ""
    read: list[Read] = field(default_factory=list)
    missing: int = 0


@router.get("/{study}/look", dependencies=[permission(Action.VIEW)])
def look(
    request: Request,
    study: str,
    actor: CurrentActor,
    application: CurrentApplication,
    series: str = "",
    instance: str = "",
) -> Response:
    """A study for reading, series by series: reports, documents, waveforms, plans, and pictures to scroll through."""
    detail = application.studies.show(actor, study)
    wanted = [one for one in detail.series if series in ("", one.series_instance_uid)]
    if not wanted:
        raise NotFound("there is no such series in this study.", remedy="open the study, and choose a series")
    shelves = list(_shelves(application, study, wanted[:SERIES_SHOWN], instance))
    if instance and not any(one.read or one.pictures for one in shelves):
        raise NotFound("there is no such instance in this study.", remedy="open the study, and choose an instance")
    context = {
        "study": detail.summary,
        "shelves": shelves,
        "hidden_series": len(wanted) - len(wanted[:SERIES_SHOWN]),
        "instance": instance,
        "is_part": bool(series or instance),
        "links": _links(application, actor, detail, _references(shelves)),
        "title_of": kinds.title_of,
    }
    return page(request, "studies/look.html", context)


def _shelves(application: Application, study: str, wanted: list[SeriesSummary], instance: str) -> Iterator[Shelf]:
    left = READ_AT_ONCE
    for one in wanted:
        shelf = Shelf(one)
        found = application.studies.local.instance_page(study, one.series_instance_uid, limit=_LONGEST, offset=0)
        chosen = [each for each in found if instance in ("", each.sop_instance_uid)]
        for each in chosen:
            has_pictures = bool(frames_in(each))
            shelf.pictures += frames_in(each)
            shelf.first = shelf.first or (each.sop_instance_uid if has_pictures else "")
            if has_pictures and not kinds.is_readable(each.sop_class_uid) and not instance and shelf.read:
                continue  # of pictures the main attributes of the first one stand for the rest
            if len(shelf.read) == READ_OF_SERIES or not left:
                shelf.missing += 1
                continue
            left -= 1
            shelf.read.append(_read(application, each))
        if shelf.read or shelf.pictures or not instance:
            yield shelf


def _read(application: Application, summary: InstanceSummary) -> Read:
    title = kinds.title_of(summary.sop_class_uid)
    stored = application.studies.local.find_instance(summary.sop_instance_uid)
    if stored is None:
        return Read(summary, title, Readable(title, problem="it was deleted meanwhile"))
    return Read(summary, title, kinds.read(stored.path, summary.sop_class_uid))


def _references(shelves: list[Shelf]) -> Iterator[Reference]:
    for shelf in shelves:
        for one in shelf.read:
            for block in one.readable.blocks if one.readable else ():
                if isinstance(block, References):
                    yield from block.references
                elif isinstance(block, Content):
                    yield from _of_content(block)


def _of_content(content: Content) -> Iterator[Reference]:
    yield from content.references
    for child in content.children:
        yield from _of_content(child)


@dataclass(frozen=True, slots=True)
class Link:
    """Where an instance that is referred to can be seen.

    Args:
        address: of its page.
        has_picture: it may have one.
    """

    address: str
    has_picture: bool


def _links(
    application: Application, actor: Actor, detail: StudyDetail, references: Iterable[Reference]
) -> dict[str, Link]:
    """Of those references that lead to what is here and may be seen, by SOP Instance UID."""
    found: dict[str, Link] = {}
    may_see = {detail.summary.study_instance_uid: True}
    asked = dict.fromkeys(one.sop_instance_uid for one in references if one.sop_instance_uid)
    for uid in list(asked)[:LOOKED_UP]:
        stored = application.studies.local.find_instance(uid)
        if stored is None:
            continue
        study = stored.study_instance_uid
        if study not in may_see:
            may_see[study] = _may_see(application, actor, study)
        if may_see[study]:
            address = f"/studies/{study}/series/{stored.series_instance_uid}/instances/{uid}"
            found[uid] = Link(address, not kinds.is_readable(stored.identity.sop_class_uid))
    return found


def _may_see(application: Application, actor: Actor, study: str) -> bool:
    try:
        application.studies.brief(actor, study)
    except (AccessDenied, NotFound):
        return False
    return True


def _series(application: Application, actor: Actor, study: str, series: str) -> tuple[StudyDetail, SeriesSummary]:
    detail = application.studies.brief(actor, study)
    found = next((one for one in detail.series if one.series_instance_uid == series), None)
    if found is None:
        raise NotFound("there is no such series in this study.", remedy="open the study, and choose a series")
    return detail, found


def _with_pictures(application: Application, study: str, series: str, count: int) -> list[InstanceSummary]:
    found = application.studies.local.instance_page(study, series, limit=count + 1, offset=0)
    return [one for one in found if frames_in(one)]


def frames_in(one: InstanceSummary) -> int:
    """How many pictures an instance has, as its index says."""
    if not one.rows:
        return 0
    text = str(one.frames).strip()
    return min(int(text), _LONGEST) if text.isascii() and text.isdigit() and len(text) < 8 and int(text) else 1


def _version(stored_at: str, instances: list[InstanceSummary]) -> str:
    said = stored_at + "|".join(
        f"{one.sop_instance_uid} {one.size_bytes} {one.transfer_syntax_uid}" for one in instances
    )
    return f"{zlib.crc32(said.encode()):08x}"
