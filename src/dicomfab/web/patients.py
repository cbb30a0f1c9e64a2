"""Patients: the registry of people to fabricate studies of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Path, Request, UploadFile
from pydantic import BaseModel
from starlette.responses import RedirectResponse, Response

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.fabricate.patients import FIELD_NAMES
from dicomfab.fabricate.patterns import DEFAULT, Pattern, Purpose, parse, risk
from dicomfab.fabricate.scripts import LATIN, SCRIPTS
from dicomfab.model.actor import Actor
from dicomfab.model.errors import Conflict, DicomFabError, InvalidInput
from dicomfab.storage.patients import PatientSort, StoredPatient
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.errors import status_of
from dicomfab.web.listing import PAGE_SIZE, page_count, page_number
from dicomfab.web.templating import page, person_name
from dicomfab.web.undo import Notice, notice_of, to_notice
from dicomfab.web.uploads import text_of

_CSV = "choose a CSV file, such as one exported here; in a spreadsheet, save as 'CSV UTF-8'"
_NEWEST_FIRST = "/patients?sort=changed&order=desc"

router = APIRouter(prefix="/patients")

Number = Annotated[int, Path(ge=1, lt=2**63)]


@dataclass(frozen=True, slots=True)
class Listing:
    """What part of the registry is shown, as the address of the page holds it."""

    search: str
    sort: PatientSort
    is_descending: bool
    number: int

    @property
    def parameters(self) -> dict[str, Any]:
        """For an address that shows the same; what is as usual is left out."""
        order = "desc" if self.is_descending else ""
        return {"q": self.search, "sort": str(self.sort), "order": order, "page": self.number}


def listing_of(q: str = "", sort: str = PatientSort.NAME, order: str = "", page: str = "1") -> Listing:
    """Read the listing from the address; what makes no sense there is taken as absent."""
    known = {str(s): s for s in PatientSort}
    return Listing(q.strip(), known.get(sort, PatientSort.NAME), order == "desc", page_number(page))


class PatientForm(BaseModel):
    """Texts as typed."""

    patient_id: str = ""
    name: str = ""
    birth_date: str = ""
    sex: str = ""
    issuer: str = ""
    size_m: str = ""
    weight_kg: str = ""
    address: str = ""
    phone: str = ""
    notes: str = ""
    revision: str = ""

    @classmethod
    def of(cls, patient: StoredPatient) -> PatientForm:
        """For a patient who is there."""
        texts = {name: "" if value is None else str(value) for name, value in patient.data.as_dict().items()}
        day = texts["birth_date"]
        texts["birth_date"] = f"{day[:4]}-{day[4:6]}-{day[6:]}" if day else ""  # as the browser writes a date
        return cls(**texts, revision=str(patient.revision))

    def fields(self) -> dict[str, object]:
        """What the registry takes."""
        return {name: getattr(self, name) for name in FIELD_NAMES}


class InventForm(BaseModel):
    """Texts as typed; blank leaves a value to be drawn."""

    count: str = "1"
    seed: str = ""
    script: str = LATIN
    contact: bool = False
    pattern: str = DEFAULT
    start: str = ""
    increment: str = ""

    def ids(self) -> Pattern:
        """The pattern of the IDs.

        Raises:
            InvalidInput: it cannot be used.
        """
        start, increment = _whole("start", self.start), _whole("increment", self.increment)
        return parse(self.pattern.strip(), Purpose.PATIENT_ID, start=start, increment=increment)


@router.get("", dependencies=[permission(Action.VIEW)])
def overview(
    request: Request,
    listing: Annotated[Listing, Depends(listing_of)],
    actor: CurrentActor,
    application: CurrentApplication,
) -> Response:
    """One page of the patients."""
    found = application.patients.page(
        actor,
        listing.search,
        sort=listing.sort,
        descending=listing.is_descending,
        limit=PAGE_SIZE,
        offset=(listing.number - 1) * PAGE_SIZE,
    )
    pages = page_count(found.total)
    context = {"found": found, "listing": listing, "pages": pages, "risk": risk, **notice_of(request, actor)}
    return page(request, "patients/list.html", context)


@router.get("/new", dependencies=[permission(Action.FABRICATE)])
def new(request: Request) -> Response:
    """The empty form."""
    return _form(request, PatientForm())


@router.post("/new", dependencies=[permission(Action.FABRICATE)])
def add(
    request: Request, form: Annotated[PatientForm, Form()], actor: CurrentActor, application: CurrentApplication
) -> Response:
    """Add a patient, or show the form again with what is wrong."""
    try:
        application.patients.add(actor, form.fields())
    except (InvalidInput, Conflict) as error:
        return _form(request, form, error=error)
    return RedirectResponse(_NEWEST_FIRST, status_code=303)


@router.get("/invent", dependencies=[permission(Action.FABRICATE)])
def invent_form(request: Request) -> Response:
    """How many, and what their IDs look like."""
    return _invent(request, InventForm())


@router.post("/invent", dependencies=[permission(Action.FABRICATE)])
def invent(
    request: Request, form: Annotated[InventForm, Form()], actor: CurrentActor, application: CurrentApplication
) -> Response:
    """Invent patients, or show the form again with what is wrong."""
    try:
        count, seed = _whole("count", form.count), _whole("seed", form.seed)
        application.patients.invent(
            actor, count or 0, seed=seed, pattern=form.ids(), script=form.script or None, contact=form.contact
        )
    except InvalidInput as error:
        return _invent(request, form, error)
    return RedirectResponse(_NEWEST_FIRST, status_code=303)


@router.get("/{number}/edit", dependencies=[permission(Action.FABRICATE)])
def edit(request: Request, number: Number, actor: CurrentActor, application: CurrentApplication) -> Response:
    """The form, filled in."""
    patient = application.patients.get(actor, number)
    return _form(request, PatientForm.of(patient), patient=patient)


@router.post("/{number}/edit", dependencies=[permission(Action.FABRICATE)])
def change(
    request: Request,
    number: Number,
    form: Annotated[PatientForm, Form()],
    actor: CurrentActor,
    application: CurrentApplication,
) -> Response:
    """Change a patient, or show the form again with what is wrong.

    When someone else has changed the patient meanwhile, the form comes back with what differs; saving it once more
    overwrites that.
    """
    try:
        application.patients.edit(actor, number, form.fields(), revision=_whole("revision", form.revision))
    except (InvalidInput, Conflict) as error:
        patient = application.patients.get(actor, number)
        return _form(request, form, error=error, patient=patient)
    return RedirectResponse("/patients", status_code=303)


@router.get("/{number}/delete", dependencies=[permission(Action.DELETE)])
def ask_delete(request: Request, number: Number, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Who would go, and the question."""
    patient = application.patients.get(actor, number)
    studies = application.patients.studies_of(actor, patient)
    return page(request, "patients/delete.html", {"patient": patient, "studies": studies})


@router.post("/{number}/delete", dependencies=[permission(Action.DELETE)])
def delete(request: Request, number: Number, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Remove a patient from the registry."""
    removed = application.patients.remove(actor, number).patient

    def put_back(application: Application, actor: Actor) -> str:
        application.patients.put_back(actor, removed)
        return "is back."

    name = person_name(removed.data.name) or removed.data.patient_id
    return to_notice(request, actor, Notice(name, "is deleted from the registry.", "/patients", "", put_back))


@router.get("/export", dependencies=[permission(Action.EXPORT)])
def export(actor: CurrentActor, application: CurrentApplication, q: str = "") -> Response:
    """The patients that fit the search as a CSV file; the byte order mark tells spreadsheets that it is UTF-8."""
    text = "\ufeff" + application.patients.export_csv(actor, q)
    headers = {"Content-Disposition": 'attachment; filename="patients.csv"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/import", dependencies=[permission(Action.FABRICATE)])
def import_form(request: Request) -> Response:
    """Choose a file."""
    return page(request, "patients/import.html", {"error": None, "report": None})


@router.post("/import", dependencies=[permission(Action.FABRICATE)])
def import_file(
    request: Request, actor: CurrentActor, application: CurrentApplication, file: Annotated[UploadFile, File()]
) -> Response:
    """Apply a CSV file as a whole or not at all."""
    try:
        report = application.patients.import_csv(
            actor, text_of(file, most_mb=16, remedy=_CSV), source=file.filename or "file"
        )
    except DicomFabError as error:
        return page(request, "patients/import.html", {"error": error, "report": None}, status_code=status_of(error))
    return page(request, "patients/import.html", {"error": None, "report": report})


def _whole(name: str, text: str) -> int | None:
    stripped = text.strip()
    if not stripped:
        return None
    if not (stripped.isascii() and stripped.isdigit() and len(stripped) < 20):
        raise InvalidInput(
            f"{name}: {text!r} is not a whole number", field=name, value=text, remedy="use digits alone, such as 7"
        )
    return int(stripped)


def _form(
    request: Request,
    form: PatientForm,
    *,
    error: DicomFabError | None = None,
    patient: StoredPatient | None = None,
) -> Response:
    if patient is not None:
        form = form.model_copy(update={"revision": str(patient.revision)})
    wrong = error.field if isinstance(error, InvalidInput) else ""
    if isinstance(error, Conflict) and error.what.startswith("patient_id:"):
        wrong = "patient_id"
    context = {
        "form": form,
        "error": error,
        "wrong": wrong if wrong in FIELD_NAMES else "",
        "patient": patient,
        "risk": risk(patient.data.patient_id) if patient else "",
        "default_pattern": DEFAULT,
    }
    return page(request, "patients/form.html", context, status_code=status_of(error) if error else 200)


def _invent(request: Request, form: InventForm, error: InvalidInput | None = None) -> Response:
    fields = InventForm.model_fields
    wrong = error.field if error and error.field in fields else ""
    scripts = [(LATIN, "Latin"), *((one.name, one.title) for one in SCRIPTS.values())]
    context = {"form": form, "error": error, "wrong": wrong, "scripts": scripts}
    return page(request, "patients/invent.html", context, status_code=400 if error else 200)
