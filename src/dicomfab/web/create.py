"""Creating studies: by form, by recipe, from an order; the preview, and starting the job that makes them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Form, Query, Request
from sse_starlette import EventSourceResponse
from starlette.responses import Response

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.model.actor import Actor
from dicomfab.model.errors import InvalidInput
from dicomfab.services.batches import resolve_batch
from dicomfab.services.previews import resolve_preview
from dicomfab.web import create_page, preview, recipe_help
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.create_page import Advance, chosen_patient, offered, registered, show_form
from dicomfab.web.jobs import to_job
from dicomfab.web.kept_previews import KeptPreviews
from dicomfab.web.order_form import keep_order, note_made, order_of
from dicomfab.web.query import chosen_destination
from dicomfab.web.streams import stream
from dicomfab.web.study_form import ORDER, RECIPE, StudyForm
from dicomfab.web.templating import page

if TYPE_CHECKING:
    from dicomfab.fabricate.recipe import StudyRecipe
    from dicomfab.registry.server import PacsServer

MAX_ROWS: Final = 50

router = APIRouter(prefix="/studies", dependencies=[permission(Action.FABRICATE)])

Filled = Annotated[StudyForm, Form()]


@router.get("/new")
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
        chosen_patient(application, actor, form)
    except InvalidInput as error:
        return show_form(request, application, actor, form.model_copy(update={"patient": ""}), error)
    return show_form(request, application, actor, form)


@router.get("/new/recipe")
def new_by_recipe(request: Request, actor: CurrentActor, application: CurrentApplication, recipe: str = "") -> Response:
    """The editor for a recipe, with one of the installed recipes in it if the address names one."""
    text = application.recipes.named(actor, recipe).recipe.text() if recipe else recipe_help.START
    return show_form(request, application, actor, StudyForm(tab=RECIPE, recipe=recipe, text=text))


@router.get("/new/patients")
def offered_patients(
    request: Request, form: Annotated[StudyForm, Query()], actor: CurrentActor, application: CurrentApplication
) -> Response:
    """The part of the form in which a registered patient is chosen: those who fit the search, the first few."""
    context = {"form": form, **offered(application, actor, form)}
    return page(request, "studies/patient_choices.html", context)


@router.post("/new/preview")
def preview_of_form(request: Request, form: Filled, actor: CurrentActor, application: CurrentApplication) -> Response:
    """The form again, with what it would make; the pictures come by :func:`pictures`. Nothing is kept."""
    try:
        form, advance = _advance(request, application, actor, form)
    except InvalidInput as error:
        return show_form(request, application, actor, form, error)
    return show_form(request, application, actor, form, advance=advance)


@router.post("/new/live")
def live(request: Request, form: Filled, actor: CurrentActor, application: CurrentApplication) -> Response:
    """What the form would make as it stands, beside it, or what is missing; never a failure of the page."""
    context: dict[str, Any] = {"form": form, "advance": None, "error": None, "is_asked": False}
    try:
        form, advance = _advance(request, application, actor, form)
        context |= {"form": form, "advance": advance}
    except InvalidInput as error:
        context["error"] = error
    return page(request, "studies/preview.html", context)


@router.get("/new/pictures/{token}")
def pictures(request: Request, token: str, actor: CurrentActor, application: CurrentApplication) -> EventSourceResponse:
    """One ``picture-N`` for each series of a preview, as soon as it is rendered."""
    resolved = _previews(request).get(actor.name, token)
    shown = application.studies.preview(actor, resolved)
    gone = threading.Event()
    return stream(preview.pictures(shown, is_gone=gone.is_set), on_close=gone.set)


@router.post("/new/rows")
def rows(
    request: Request,
    form: Filled,
    actor: CurrentActor,
    application: CurrentApplication,
    remove: Annotated[str, Form()] = "",
) -> Response:
    """The form with one row for a series more, or one less."""
    found = form.rows
    if remove.isascii() and remove.isdigit() and int(remove[:9]) < len(found):
        del found[int(remove[:9])]
    elif not remove and len(found) < MAX_ROWS:
        found.append(("", "", ""))
    return show_form(request, application, actor, form.with_rows(found), is_changed=True)


@router.post("/new/recipe/insert")
def insert(
    request: Request,
    form: Filled,
    actor: CurrentActor,
    application: CurrentApplication,
    key: Annotated[str, Form()] = "",
) -> Response:
    """The editor with an example of a name in the recipe."""
    text = recipe_help.inserted(form.text.replace("\r\n", "\n"), key)
    return show_form(request, application, actor, form.model_copy(update={"text": text}), is_changed=True)


@router.post("/new")
@router.post("/new/recipe")
@router.post("/new/order")
def create(request: Request, form: Filled, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Start fabricating, and sending if that is wanted, or show the form again with what is wrong."""
    try:
        server = _destination(application, actor, form)
        recipe, count = _recipe(application, actor, form), form.count
        one = form.patients == "one"
        studies = resolve_batch(application.studies, actor, recipe, count, of_one_patient=one)
        order = keep_order(application, actor, form) if form.tab == ORDER else None
    except InvalidInput as error:
        return show_form(request, application, actor, form, error)
    confirmed = server is not None and server.is_production
    job = application.jobs.fabricate(actor, studies, send_to=server, confirm_production=confirmed)
    if order is not None:
        note_made(application, actor, order, studies, job)
    return to_job(application, job)


def _advance(request: Request, application: Application, actor: Actor, form: StudyForm) -> tuple[StudyForm, Advance]:
    recipe, count = _recipe(application, actor, form), form.count
    resolved = resolve_preview(application.studies, actor, recipe)
    shown = application.studies.preview(actor, resolved)
    token = _previews(request).keep(actor.name, resolved)
    facts = tuple(preview.facts(one) for one in shown)
    has_examples = bool(recipe.accession_pattern or recipe.patient_id_pattern)
    advance = Advance(resolved, facts, has_examples, count, token, preview.attributes(shown[0]))
    return form.model_copy(update={"shown_seed": str(resolved.seed), "anew": False}), advance


def _recipe(application: Application, actor: Actor, form: StudyForm) -> StudyRecipe:
    if form.tab == RECIPE:
        return form.seeded(create_page.written_recipe(form.text))
    if form.tab == ORDER:
        form = order_of(application, actor, form)
    return form.recipe(
        lambda name: application.recipes.named(actor, name).recipe.study(),
        lambda number: registered(application, actor, number).data.patient,
    )


def _destination(application: Application, actor: Actor, form: StudyForm) -> PacsServer | None:
    if not form.destination:
        return None
    return chosen_destination(application, actor, form.destination, confirm_name=form.confirm_name)


def _previews(request: Request) -> KeptPreviews:
    found: KeptPreviews = request.app.state.previews
    return found
