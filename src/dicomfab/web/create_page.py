"""What the pages on which studies are created show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import Request
from starlette.responses import Response

from dicomfab.access.policy import Action, Scope, decide
from dicomfab.app.build import Application
from dicomfab.fabricate.kinds import KINDS, OBJECTS
from dicomfab.fabricate.recipe_file import RecipeRefused, read
from dicomfab.fabricate.scripts import SCRIPTS
from dicomfab.model.actor import Actor
from dicomfab.model.errors import InvalidInput, NotFound
from dicomfab.pixels.writable import WRITABLE
from dicomfab.storage.patients import PatientSort, StoredPatient
from dicomfab.web import recipe_help
from dicomfab.web.order_form import shown_order
from dicomfab.web.preview import SeriesFacts
from dicomfab.web.studies import destinations
from dicomfab.web.study_form import FORM, ORDER, ORDER_FIELDS, RECIPE, TABS, StudyForm
from dicomfab.web.templating import is_fragment_wanted, page

if TYPE_CHECKING:
    from dicomfab.fabricate.recipe import ResolvedStudy, StudyRecipe

PATIENTS_OFFERED = 5

# Registry numbers are below: no database knows a larger one.
_NUMBER_LIMIT = 2**63
_TITLES = {FORM: "By form", RECIPE: "By recipe", ORDER: "From an HL7 order"}


@dataclass(frozen=True, slots=True)
class Advance:
    """What the form would make.

    Args:
        study: with everything decided; the first if several are wanted.
        series: of it, in order.
        has_examples: an identifier comes from a pattern, so that the study will have another one.
        count: how many studies are wanted.
        token: under which the pictures can be asked for.
        attributes: of the first series: tag, keyword, value.
    """

    study: ResolvedStudy
    series: tuple[SeriesFacts, ...]
    has_examples: bool
    count: int
    token: str
    attributes: tuple[tuple[str, str, str], ...]


def show_form(
    request: Request,
    application: Application,
    actor: Actor,
    form: StudyForm,
    error: InvalidInput | None = None,
    *,
    advance: Advance | None = None,
    is_changed: bool = False,
    **more: Any,
) -> Response:
    """The page of the form's tab; for htmx the form alone.

    Args:
        request: what is answered.
        application: the installation.
        actor: who looks.
        form: as filled in.
        error: what is wrong with it.
        advance: what it would make, if that was asked for.
        is_changed: rows or text were added for somebody who goes on with the form: the preview follows by itself.
        more: what the template of a tab wants beside.
    """
    recipes = [(one.name, one.recipe.title or one.name) for one in application.recipes.every(actor)]
    context = {
        "form": form,
        "tabs": [(tab, TABS[tab], title) for tab, title in _TITLES.items()],
        "kinds": sorted(KINDS.items(), key=lambda row: row[1].modality),
        "objects": list(OBJECTS.items()),
        "recipes": [("", "none"), *recipes],
        "syntaxes": [("", "as usual"), *((one.name, one.title) for one in WRITABLE.values())],
        "scripts": [("", "Latin"), *((one.name, one.title) for one in SCRIPTS.values())],
        "destinations": destinations(application, actor),
        "error": error,
        "wrong": error.field if error else "",
        "problems": error.problems if isinstance(error, RecipeRefused) else (),
        "advance": advance,
        "is_asked": advance is not None,
        "is_changed": is_changed,
        "order_fields": ORDER_FIELDS,
        "origins": {},
        "orders": (),
        "help": recipe_help.keys() if form.tab == RECIPE else {},
        **offered(application, actor, form),
    }
    if form.tab == ORDER and not more:
        more = shown_order(application, actor, form)
    template = "studies/form_body.html" if is_fragment_wanted(request) else "studies/form.html"
    response = page(request, template, {**context, **more}, status_code=400 if error else 200)
    if error and is_fragment_wanted(request):
        response.headers["HX-Reswap"] = "innerHTML show:.field-error:bottom"
    return response


def written_recipe(text: str) -> StudyRecipe:
    """The recipe that is written on the page.

    Raises:
        InvalidInput: it is none; the field is ``text``.
    """
    try:
        return read(text, source="recipe").study()
    except RecipeRefused:
        raise
    except InvalidInput as error:
        raise InvalidInput(
            error.what, field="text", value=error.value, cause=error.cause, remedy=error.remedy
        ) from error


def registered(application: Application, actor: Actor, number: int) -> StoredPatient:
    """The registered patient of a number.

    Raises:
        InvalidInput: there is none.
    """
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


def chosen_patient(application: Application, actor: Actor, form: StudyForm) -> StoredPatient | None:
    """The registered patient whom the form names, if it does.

    Raises:
        InvalidInput: there is none of this number.
    """
    number = form.patient_number
    return None if number is None else registered(application, actor, number)


def offered(application: Application, actor: Actor, form: StudyForm) -> dict[str, Any]:
    """The registered patients to choose from, the chosen one first; none for those who may not look at them."""
    if form.tab != FORM or not decide(actor, Action.VIEW, Scope.TEST).allowed:
        return {"chosen": None, "offered": [], "offered_total": None}
    search = form.patient_search.strip()
    order = PatientSort.NAME if search else PatientSort.CHANGED
    found = application.patients.page(actor, search, sort=order, descending=not search, limit=PATIENTS_OFFERED)
    try:
        chosen = chosen_patient(application, actor, form)
    except InvalidInput:
        chosen = None
    others = [one for one in found.patients if chosen is None or one.number != chosen.number]
    room = PATIENTS_OFFERED - (chosen is not None)
    return {"chosen": chosen, "offered": others[:room], "offered_total": found.total}
