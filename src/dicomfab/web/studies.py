"""Studies: the local store; fabricate, look at, send, delete."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from sse_starlette import EventSourceResponse
from starlette.responses import RedirectResponse, Response

from dicomfab.access.policy import Action, Scope, decide
from dicomfab.app.build import Application
from dicomfab.archive.records import StudyFilter, StudySort
from dicomfab.fabricate.kinds import KINDS
from dicomfab.model.actor import Actor
from dicomfab.model.errors import InvalidInput, NotFound
from dicomfab.pixels.writable import WRITABLE
from dicomfab.registry.fields import Capability
from dicomfab.services.jobs.service import IN_THE_BACKGROUND
from dicomfab.services.previews import resolve_preview
from dicomfab.storage.patients import PatientSort, StoredPatient
from dicomfab.web import preview
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.jobs import to_job
from dicomfab.web.query import chosen_destination
from dicomfab.web.streams import stream
from dicomfab.web.study_form import StudyForm
from dicomfab.web.templating import is_fragment_wanted, page

if TYPE_CHECKING:
    from dicomfab.fabricate.recipe import ResolvedStudy, StudyRecipe

PAGE_SIZE = 25
PATIENTS_OFFERED = 5

# Registry numbers are below: no database knows a larger one.
_NUMBER_LIMIT = 2**63

router = APIRouter(prefix="/studies")


@dataclass(frozen=True, slots=True)
class Advance:
    """What the form would make.

    Args:
        study: with everything decided.
        series: of it, in order.
        has_examples: an identifier comes from a pattern, so that the study will have another one.
    """

    study: ResolvedStudy
    series: tuple[preview.SeriesFacts, ...]
    has_examples: bool


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
    context = {"found": found, "listing": listing, "pages": pages, "page_size": PAGE_SIZE, "copies": application.copies}
    return page(request, "studies/list.html", context)


@router.get("/new", dependencies=[permission(Action.FABRICATE)])
def new(
    request: Request,
    actor: CurrentActor,
    application: CurrentApplication,
    recipe: str = "",
    patient: str = "",
    patient_search: str = "",
) -> Response:
    """The form for a study to fabricate, with a recipe and a registered patient chosen if the address names them."""
    form = StudyForm(recipe=recipe, patient=patient.strip(), patient_search=patient_search)
    try:
        _chosen_patient(application, actor, form)
    except InvalidInput as error:
        return _form(request, application, actor, form.model_copy(update={"patient": ""}), error)
    return _form(request, application, actor, form)


@router.get("/new/patients", dependencies=[permission(Action.FABRICATE)])
def offered_patients(
    request: Request, form: Annotated[StudyForm, Query()], actor: CurrentActor, application: CurrentApplication
) -> Response:
    """The part of the form in which a registered patient is chosen: those who fit the search, the first few."""
    context = {"form": form, **_offered(application, actor, form)}
    return page(request, "studies/patient_choices.html", context)


@router.post("/new/preview", dependencies=[permission(Action.FABRICATE)])
def preview_of_form(
    request: Request, form: Annotated[StudyForm, Form()], actor: CurrentActor, application: CurrentApplication
) -> Response:
    """The form again, with what it would make; the pictures come by :func:`pictures`. Nothing is kept."""
    try:
        recipe = _recipe(application, actor, form)
        resolved = resolve_preview(application.studies, actor, recipe)
        shown = application.studies.preview(actor, resolved)
    except InvalidInput as error:
        return _form(request, application, actor, form, error)
    form = form.model_copy(update={"shown_seed": str(resolved.seed), "anew": False})
    has_examples = bool(recipe.accession_pattern or recipe.patient_id_pattern)
    advance = Advance(resolved, tuple(preview.facts(one) for one in shown), has_examples)
    return _form(request, application, actor, form, advance=advance)


@router.get("/new/pictures", dependencies=[permission(Action.FABRICATE)])
def pictures(
    form: Annotated[StudyForm, Query()], actor: CurrentActor, application: CurrentApplication
) -> EventSourceResponse:
    """One ``picture-N`` for each series of the form as it stands in the address, as soon as it is rendered."""
    resolved = resolve_preview(application.studies, actor, _recipe(application, actor, form))
    shown = application.studies.preview(actor, resolved)
    gone = threading.Event()
    return stream(preview.pictures(shown, is_gone=gone.is_set), on_close=gone.set)


@router.post("/new", dependencies=[permission(Action.FABRICATE)])
def create(
    request: Request,
    form: Annotated[StudyForm, Form()],
    actor: CurrentActor,
    application: CurrentApplication,
) -> Response:
    """Start fabricating, or show the form again with what is wrong."""
    try:
        resolved = application.studies.resolve_recipe(actor, _recipe(application, actor, form))
    except InvalidInput as error:
        return _form(request, application, actor, form, error)
    return to_job(application, application.jobs.fabricate(actor, [resolved]))


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
def ask_delete(request: Request, study: str, actor: CurrentActor, application: CurrentApplication) -> Response:
    """What would go, and the question."""
    return page(request, "studies/delete.html", {"study": application.studies.show(actor, study).summary})


@router.post("/{study}/delete", dependencies=[permission(Action.DELETE)])
def delete(study: str, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Remove a study and its files from the local store."""
    application.studies.delete(actor, study)
    return RedirectResponse("/studies", status_code=303)


def _recipe(application: Application, actor: Actor, form: StudyForm) -> StudyRecipe:
    return form.recipe(
        lambda name: application.recipes.named(actor, name).recipe.study(),
        lambda number: _registered(application, actor, number).data.patient,
    )


def _registered(application: Application, actor: Actor, number: int) -> StoredPatient:
    try:
        if number >= _NUMBER_LIMIT:
            raise NotFound(f"there is no patient number {number}.")
        return application.patients.get(actor, number)
    except NotFound as error:
        raise InvalidInput(
            "patient: is not in the registry (any more)",
            field="patient",
            value=number,
            cause="someone has removed the patient, or the address is mistyped",
            remedy="choose another one",
        ) from error


def _chosen_patient(application: Application, actor: Actor, form: StudyForm) -> StoredPatient | None:
    number = form.patient_number
    return None if number is None else _registered(application, actor, number)


def _offered(application: Application, actor: Actor, form: StudyForm) -> dict[str, Any]:
    """The registered patients to choose from, the chosen one first; none for those who may not look at them."""
    if not decide(actor, Action.VIEW, Scope.TEST).allowed:
        return {"chosen": None, "offered": [], "offered_total": None}
    search = form.patient_search.strip()
    order = PatientSort.NAME if search else PatientSort.CHANGED
    found = application.patients.page(actor, search, sort=order, descending=not search, limit=PATIENTS_OFFERED)
    try:
        chosen = _chosen_patient(application, actor, form)
    except InvalidInput:
        chosen = None
    others = [one for one in found.patients if chosen is None or one.number != chosen.number]
    room = PATIENTS_OFFERED - (chosen is not None)
    return {"chosen": chosen, "offered": others[:room], "offered_total": found.total}


def _form(
    request: Request,
    application: Application,
    actor: Actor,
    form: StudyForm,
    error: InvalidInput | None = None,
    advance: Advance | None = None,
) -> Response:
    recipes = [(one.name, one.recipe.title or one.name) for one in application.recipes.every(actor)]
    context = {
        "form": form,
        "kinds": sorted(KINDS.items(), key=lambda row: row[1].modality),
        "recipes": [("", "none"), *recipes],
        "syntaxes": [("", "as usual"), *((one.name, one.title) for one in WRITABLE.values())],
        "error": error,
        "wrong": error.field if error else "",
        "advance": advance,
        **_offered(application, actor, form),
    }
    template = "studies/form_body.html" if is_fragment_wanted(request) else "studies/form.html"
    response = page(request, template, context, status_code=400 if error else 200)
    if error and is_fragment_wanted(request):
        response.headers["HX-Reswap"] = "outerHTML show:.field-error:bottom"
    return response


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
        "copies": application.copies,
    }
    return page(request, "studies/show.html", context, status_code=400 if error else 200)
