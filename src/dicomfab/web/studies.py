"""Studies: the local store; fabricate, look at, send, delete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import RedirectResponse, Response

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.archive.records import StudyFilter, StudySort
from dicomfab.fabricate.kinds import KINDS
from dicomfab.model.actor import Actor
from dicomfab.model.errors import InvalidInput
from dicomfab.pixels.writable import WRITABLE
from dicomfab.registry.fields import Capability
from dicomfab.services.transfer import Watch
from dicomfab.web import preview
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.query import chosen_destination
from dicomfab.web.study_form import StudyForm
from dicomfab.web.tasks import to_task
from dicomfab.web.templating import page

PAGE_SIZE = 25

router = APIRouter(prefix="/studies")


@dataclass(frozen=True, slots=True)
class Listing:
    """What part of the local store is shown, as the address of the page holds it."""

    search: str
    sort: StudySort
    is_descending: bool
    number: int

    @property
    def parameters(self) -> dict[str, Any]:
        """For an address that shows the same; what is as usual is left out."""
        order = "" if self.is_descending else "asc"
        return {"q": self.search, "sort": str(self.sort), "order": order, "page": self.number}


def listing_of(q: str = "", sort: str = StudySort.STORED, order: str = "", page: str = "1") -> Listing:
    """Read the listing from the address; what makes no sense there is taken as absent."""
    known = {str(s): s for s in StudySort}
    number = int(page) if page.isascii() and page.isdigit() and len(page) < 9 else 1
    return Listing(q.strip(), known.get(sort, StudySort.STORED), order != "asc", max(1, number))


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
        StudyFilter(search=listing.search),
        sort=listing.sort,
        descending=listing.is_descending,
        limit=PAGE_SIZE,
        offset=(listing.number - 1) * PAGE_SIZE,
    )
    pages = max(1, -(-found.total // PAGE_SIZE))
    context = {"found": found, "listing": listing, "pages": pages, "page_size": PAGE_SIZE}
    return page(request, "studies/list.html", context)


@router.get("/new", dependencies=[permission(Action.FABRICATE)])
def new(request: Request, actor: CurrentActor, application: CurrentApplication, recipe: str = "") -> Response:
    """The form for a study to fabricate, with a recipe chosen if the address names one."""
    return _form(request, application, actor, StudyForm(recipe=recipe))


@router.post("/new", dependencies=[permission(Action.FABRICATE)])
def create(
    request: Request,
    form: Annotated[StudyForm, Form()],
    actor: CurrentActor,
    application: CurrentApplication,
) -> Response:
    """Start fabricating, or show the form again with what is wrong."""
    try:
        recipe = form.recipe(lambda name: application.recipes.named(actor, name).recipe.study())
        resolved = application.studies.resolve_recipe(actor, recipe)
    except InvalidInput as error:
        return _form(request, application, actor, form, error)
    studies = application.studies
    task = application.tasks.start(
        actor,
        f"Fabricate {' and '.join(KINDS[kind].title for kind in resolved.kinds)}",
        lambda report, cancelled: studies.create(actor, resolved, on_progress=report, cancelled=cancelled),
    )
    return to_task(task)


@router.get("/{study}", dependencies=[permission(Action.VIEW)])
def show(request: Request, study: str, actor: CurrentActor, application: CurrentApplication) -> Response:
    """One study with its series."""
    return _study(request, application, actor, study)


@router.get("/{study}/preview.png", dependencies=[permission(Action.VIEW)])
def picture(
    request: Request, study: str, actor: CurrentActor, application: CurrentApplication, series: str = ""
) -> Response:
    """The middle instance of a series (the first series if none is named), windowed, as PNG."""
    detail = application.studies.show(actor, study)
    wanted = series or detail.series[0].series_instance_uid
    instances = application.studies.local.instances(study)
    chosen = preview.middle([i for i in instances if i.series_instance_uid == wanted])
    tag = f'"{chosen.identity.sop_instance_uid}"'
    headers = {"ETag": tag, "Cache-Control": "private, max-age=600"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(preview.png(chosen.path), media_type="image/png", headers=headers)


@router.post("/{study}/send", dependencies=[permission(Action.STORE)])
def send(
    request: Request,
    study: str,
    actor: CurrentActor,
    application: CurrentApplication,
    destination: Annotated[str, Form()] = "",
    yes_production: Annotated[bool, Form()] = False,
) -> Response:
    """Start a C-STORE to a server."""
    application.studies.show(actor, study)
    try:
        server = chosen_destination(application, actor, destination, yes_production=yes_production)
    except InvalidInput as error:
        return _study(request, application, actor, study, error, destination)
    transfers = application.transfers
    task = application.tasks.start(
        actor,
        f"Send a study to {server.name}",
        lambda report, cancelled: transfers.send(
            actor, study, server, confirm_production=yes_production, watch=Watch(report, cancelled)
        ),
    )
    return to_task(task)


@router.get("/{study}/delete", dependencies=[permission(Action.DELETE)])
def ask_delete(request: Request, study: str, actor: CurrentActor, application: CurrentApplication) -> Response:
    """What would go, and the question."""
    return page(request, "studies/delete.html", {"study": application.studies.show(actor, study).summary})


@router.post("/{study}/delete", dependencies=[permission(Action.DELETE)])
def delete(study: str, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Remove a study and its files from the local store."""
    application.studies.delete(actor, study)
    return RedirectResponse("/studies", status_code=303)


def _form(
    request: Request, application: Application, actor: Actor, form: StudyForm, error: InvalidInput | None = None
) -> Response:
    recipes = [(one.name, one.recipe.title or one.name) for one in application.recipes.every(actor)]
    context = {
        "form": form,
        "kinds": sorted(KINDS.items(), key=lambda row: row[1].modality),
        "recipes": [("", "none"), *recipes],
        "syntaxes": [("", "as usual"), *((one.name, one.title) for one in WRITABLE.values())],
        "error": error,
        "wrong": error.field if error else "",
    }
    return page(request, "studies/form.html", context, status_code=400 if error else 200)


def _study(
    request: Request,
    application: Application,
    actor: Actor,
    study: str,
    error: InvalidInput | None = None,
    chosen: str = "",
) -> Response:
    detail = application.studies.show(actor, study)
    able = [s for s in application.pacs.servers(actor) if s.is_active and s.can(Capability.STORE)]
    context = {
        "study": detail.summary,
        "series": detail.series,
        "destinations": able,
        "error": error,
        "wrong": error.field if error else "",
        "chosen": chosen,
    }
    return page(request, "studies/show.html", context, status_code=400 if error else 200)
