"""Studies: the local store; look at, send, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import RedirectResponse, Response

from dicomfab.access.policy import Action, decide
from dicomfab.app.build import Application
from dicomfab.model.actor import Actor
from dicomfab.model.errors import InvalidInput, NotFound
from dicomfab.model.values import Environment
from dicomfab.registry.fields import Capability
from dicomfab.services import kept_pictures, pictures
from dicomfab.services.jobs.service import IN_THE_BACKGROUND
from dicomfab.services.readable.kinds import title_of
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.jobs import to_job
from dicomfab.web.query import chosen_destination
from dicomfab.web.study_listing import FILTERS, MODALITIES, SIZES, Listing, listing_of
from dicomfab.web.templating import is_fragment_wanted, page
from dicomfab.web.viewing import opening_of

if TYPE_CHECKING:
    from dicomfab.archive.records import StoredInstance, StudyDetail, StudySummary

#: Instances of a series that are listed at once.
INSTANCES_SHOWN = 48
#: A small picture, of which the address names the version, never changes.
KEPT: Final = "private, max-age=31536000, immutable"
#: Browsers ask each time whether it changed.
ASKED_AGAIN: Final = "private, no-cache"
_NO_PICTURE: Final = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 56 56"><rect width="56" height="56" fill="#5b6b7a"/>'
    b'<path d="M19 14h12l7 7v21H19z M31 14v7h7" fill="none" stroke="#fff" stroke-width="2"/></svg>'
)

router = APIRouter(prefix="/studies")


@router.get("", dependencies=[permission(Action.VIEW)])
def overview(
    request: Request,
    listing: Annotated[Listing, Depends(listing_of)],
    actor: CurrentActor,
    application: CurrentApplication,
) -> Response:
    """One page of the local studies."""
    found = application.studies.page(
        actor,
        listing.filter(),
        environments=listing.environments(),
        sort=listing.sort,
        descending=listing.is_descending,
        limit=listing.size,
        offset=(listing.number - 1) * listing.size,
    )
    here = {study.study_instance_uid for study in found.studies}
    context = {
        "found": found,
        "listing": listing,
        "pages": max(1, -(-found.total // listing.size)),
        "copies": application.copies,
        "elsewhere": [uid for uid in listing.chosen if uid not in here],
        "filters": FILTERS,
        "modality_choices": MODALITIES,
        "sizes": SIZES,
    }
    return page(request, "studies/table.html" if is_fragment_wanted(request) else "studies/list.html", context)


@router.get("/{study}", dependencies=[permission(Action.VIEW)])
def show(request: Request, study: str, actor: CurrentActor, application: CurrentApplication) -> Response:
    """One study with its series."""
    return _study(request, application, actor, study)


@router.get("/{study}/preview.png", dependencies=[permission(Action.VIEW)])
def picture(
    request: Request, study: str, actor: CurrentActor, application: CurrentApplication, series: str = ""
) -> Response:
    """The middle instance of a series (the first series if none is named), windowed, as PNG."""
    detail = application.studies.brief(actor, study)
    chosen = middle(application, detail, series)
    return shown(request, chosen, longest=pictures.LONGEST_EDGE, application=application, summary=detail.summary)


@router.get("/{study}/thumbnail.png", dependencies=[permission(Action.VIEW)])
def thumbnail(
    request: Request, study: str, actor: CurrentActor, application: CurrentApplication, series: str = ""
) -> Response:
    """The same, small; a tile without a picture where there is none."""
    detail = application.studies.brief(actor, study)
    try:
        chosen = middle(application, detail, series)
        return shown(request, chosen, longest=pictures.SMALL_EDGE, application=application, summary=detail.summary)
    except NotFound:
        return Response(_NO_PICTURE, media_type="image/svg+xml", headers={"Cache-Control": "private, max-age=600"})


def shown(
    request: Request,
    sop_instance_uid: str,
    *,
    longest: int,
    application: Application,
    frame: int | None = None,
    summary: StudySummary | None = None,
) -> Response:
    """A picture of an instance that the actor may see, or that it has not changed.

    Args:
        request: for it.
        sop_instance_uid: of the instance.
        longest: edge in pixels.
        application: that has it.
        frame: from 0; the middle one if not given.
        summary: of its study, if that is at hand.

    Raises:
        NotFound: it is gone, or has no picture.
    """
    instance = _instance(application, sop_instance_uid)
    state = "-".join(f"{part:x}" for part in kept_pictures.state_of(instance.path))
    tag = f'"{sop_instance_uid}-{longest}-{"" if frame is None else frame}-{state}"'
    summary = summary or application.studies.local.study(instance.study_instance_uid).summary
    is_named = request.query_params.get("v") == version_of(summary)
    headers = {"ETag": tag, "Cache-Control": kept(summary) if is_named else ASKED_AGAIN}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    content = kept_pictures.png(instance.path, frame=frame, longest=longest)
    return Response(content, media_type="image/png", headers=headers)


def version_of(summary: StudySummary) -> str:
    """What addresses of small pictures name as ``v``: another one when the study is stored again, or grows."""
    return f"{summary.stored_at}-{summary.instance_count}"


def kept(summary: StudySummary) -> str:
    """How long browsers keep a picture of which the address names the version: nothing of production stays there."""
    return KEPT if summary.environment is Environment.TEST else ASKED_AGAIN


def drawn(application: Application, sop_instance_uid: str, *, longest: int, frame: int | None = None) -> bytes:
    """The PNG of an instance that the actor may see.

    Raises:
        NotFound: it is gone, or has no picture.
    """
    return kept_pictures.png(_instance(application, sop_instance_uid).path, frame=frame, longest=longest)


def _instance(application: Application, sop_instance_uid: str) -> StoredInstance:
    found = application.studies.local.find_instance(sop_instance_uid)
    if found is None:
        raise NotFound("this instance is not in the local store any more.")
    return found


@router.get("/{study}/series/{series}", dependencies=[permission(Action.VIEW)])
def show_series(
    request: Request,
    study: str,
    series: str,
    actor: CurrentActor,
    application: CurrentApplication,
    page_number: Annotated[str, Depends(lambda page="1": page)],
) -> Response:
    """The instances of a series, a page of them."""
    detail = application.studies.show(actor, study)
    found = next((one for one in detail.series if one.series_instance_uid == series), None)
    if found is None:
        raise NotFound("there is no such series in this study.", remedy="open the study, and choose a series")
    number = max(1, int(page_number)) if page_number.isascii() and page_number.isdigit() and len(page_number) < 9 else 1
    offset = (number - 1) * INSTANCES_SHOWN
    context = {
        "study": detail.summary,
        "series": found,
        "instances": application.studies.local.instance_page(study, series, limit=INSTANCES_SHOWN, offset=offset),
        "number": number,
        "pages": max(1, -(-found.instance_count // INSTANCES_SHOWN)),
        "title_of": title_of,
    }
    return page(request, "studies/series.html", context)


@router.post("/{study}/send", dependencies=[permission(Action.STORE)])
def send(
    request: Request,
    study: str,
    actor: CurrentActor,
    application: CurrentApplication,
    destination: Annotated[str, Form()] = "",
    confirm_name: Annotated[str, Form()] = "",
) -> Response:
    """Start a C-STORE to a server."""
    application.studies.brief(actor, study)
    try:
        server = chosen_destination(application, actor, destination, confirm_name=confirm_name)
    except InvalidInput as error:
        return _study(request, application, actor, study, error, destination)
    job = application.jobs.send(
        actor, [study], server, confirm_production=server.is_production, options=IN_THE_BACKGROUND
    )
    return to_job(application, job)


@router.get("/{study}/delete", dependencies=[permission(Action.DELETE)])
def ask_delete(study: str, actor: CurrentActor, application: CurrentApplication) -> Response:
    """What would go, and the question."""
    application.studies.brief(actor, study)
    return RedirectResponse(f"/studies/delete?study={study}", status_code=303)


@router.post("/{study}/delete", dependencies=[permission(Action.DELETE)])
def delete(study: str, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Remove a study and its files from the local store."""
    application.studies.delete(actor, study)
    return RedirectResponse("/studies", status_code=303)


def destinations(application: Application, actor: Actor) -> list[Any]:
    """Servers that can be sent to; those of test first."""
    able = [s for s in application.pacs.servers(actor) if s.is_active and s.can(Capability.STORE)]
    return sorted(able, key=lambda server: server.is_production)


def middle(application: Application, detail: StudyDetail, series: str = "") -> str:
    """The UID of the middle instance of a series, by InstanceNumber; of the first series if none is named.

    Raises:
        NotFound: the study has no such series.
    """
    found = next((one for one in detail.series if series in ("", one.series_instance_uid)), None)
    chosen = found and application.studies.local.instance_page(
        detail.summary.study_instance_uid,
        found.series_instance_uid,
        limit=1,
        offset=found.instance_count // 2,
    )
    if not chosen:
        raise NotFound(
            "there is no such series in this study.", cause="the UID is mistyped", remedy="see the series of the study"
        )
    return chosen[0].sop_instance_uid


def _study(
    request: Request,
    application: Application,
    actor: Actor,
    study: str,
    error: InvalidInput | None = None,
    chosen: str = "",
) -> Response:
    detail = application.studies.show(actor, study)
    context = {
        "study": detail.summary,
        "series": detail.series,
        "destinations": destinations(application, actor),
        "may_delete": decide(actor, Action.DELETE, detail.summary.environment).allowed,
        "error": error,
        "wrong": error.field if error else "",
        "chosen": chosen,
        "copies": application.copies,
        "opening": opening_of(application, detail),
    }
    return page(request, "studies/show.html", context, status_code=400 if error else 200)
