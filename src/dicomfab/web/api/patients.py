"""The registry of patients to fabricate studies of."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query, Request, Response
from pydantic import Field

from dicomfab.access.policy import Action
from dicomfab.app.plain import patient_dict
from dicomfab.fabricate.patients import PatientData
from dicomfab.fabricate.patterns import Purpose, parse
from dicomfab.storage.patients import PatientSort, StoredPatient
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.api.shared import Given, Limit, Listed, Offset, Told, listed, resource, told_model

router = resource("patients")

Number = Annotated[int, Path(ge=1, lt=2**63, description="Number of the entry.")]

Patient: Any = told_model(
    "Patient",
    PatientData,
    number=(int, Field(description="Identifies the entry for ever.")),
    created_at=(str, ...),
    changed_at=(str, ...),
    revision=(int, Field(description="1 when added, and one more with each change.")),
)


class PatientDetail(Patient):  # type: ignore[misc]
    """A patient, and how many local studies carry the Patient ID."""

    local_studies: int


class PatientFields(Given):
    """Fields of a patient; what is left out stays, or gets its default."""

    patient_id: str | None = Field(None, description="PatientID (0010,0020); made if left out.")
    name: str | None = Field(None, description="FAMILY^GIVEN.", examples=["DOE^JANE"])
    birth_date: str | None = Field(None, description="YYYYMMDD or YYYY-MM-DD.", examples=["1970-01-01"])
    sex: str | None = Field(None, description="M, F, O or blank.", examples=["F"])
    issuer: str | None = Field(None, description="IssuerOfPatientID (0010,0021).")
    size_m: float | None = Field(None, examples=[1.7])
    weight_kg: float | None = Field(None, examples=[70.0])
    address: str | None = Field(None, description="PatientAddress (0010,1040).", examples=["1 Fern Close, Elmscombe"])
    phone: str | None = Field(
        None, description="PatientTelephoneNumbers (0010,2154), one.", examples=["+44 1632 960001"]
    )
    notes: str | None = Field(None, max_length=20_000)


class NewPatient(PatientFields):
    """A patient to be added; the name is needed."""

    name: str = Field(description="FAMILY^GIVEN.", examples=["DOE^JANE"])
    pattern: str = Field("", description="Makes the ID if none is given, such as SYN{10digits}.", examples=[""])


class PatientChange(PatientFields):
    """Fields to be changed."""

    revision: int | None = Field(None, ge=1, lt=2**63, description="Refuse if the patient has another one by now.")


class Invention(Given):
    """Patients to be invented."""

    count: int = Field(1, ge=1, le=10_000, examples=[2])
    seed: int | None = Field(None, ge=0, lt=2**63, description="The same seed gives the same persons, with new IDs.")
    pattern: str = Field("", description="Makes the IDs, such as SYN{10digits}.", examples=[""])
    script: str | None = Field(None, description="That the names are written in.", examples=["japanese"])
    contact: bool = Field(False, description="With addresses and telephone numbers.", examples=[True])


class Registered(Told):
    """Patients that were added."""

    items: list[Patient]
    warnings: list[str]


@router.get("", response_model=Listed[Patient], dependencies=[permission(Action.VIEW)])
def every(
    request: Request,
    actor: CurrentActor,
    application: CurrentApplication,
    search: Annotated[str, Query(description="Each word occurs in name or ID.")] = "",
    sort: PatientSort = PatientSort.NAME,
    descending: bool = False,
    limit: Limit = 50,
    offset: Offset = 0,
) -> Any:
    """List the patients, by name."""
    page = application.patients.page(actor, search, sort=sort, descending=descending, limit=limit, offset=offset)
    return listed(request, [_told(one) for one in page.patients], page.total, limit, offset)


@router.post("", status_code=201, response_model=Registered, dependencies=[permission(Action.FABRICATE)])
def add(body: NewPatient, response: Response, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Add a patient; an ID is made if none is given."""
    values = body.model_dump(exclude={"pattern"}, exclude_none=True)
    pattern = parse(body.pattern, Purpose.PATIENT_ID, field="pattern") if body.pattern else None
    made = application.patients.add(actor, values, pattern=pattern)
    response.headers["Location"] = f"/api/v1/patients/{made.patients[0].number}"
    return {"items": [_told(one) for one in made.patients], "warnings": list(made.warnings)}


@router.post("/invent", status_code=201, response_model=Registered, dependencies=[permission(Action.FABRICATE)])
def invent(body: Invention, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Invent patients and add them, all or none."""
    pattern = parse(body.pattern, Purpose.PATIENT_ID, field="pattern") if body.pattern else None
    made = application.patients.invent(
        actor, body.count, seed=body.seed, pattern=pattern, script=body.script, contact=body.contact
    )
    return {"items": [_told(one) for one in made.patients], "warnings": list(made.warnings)}


@router.get("/{number}", response_model=PatientDetail, dependencies=[permission(Action.VIEW)])
def show(number: Number, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Show a patient."""
    found = application.patients.get(actor, number)
    return {**_told(found), "local_studies": application.patients.studies_of(actor, found)}


@router.patch("/{number}", response_model=Patient, dependencies=[permission(Action.FABRICATE)])
def change(number: Number, body: PatientChange, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Change a patient; what is not named stays, and studies keep their own copy."""
    changes = body.model_dump(exclude={"revision"}, exclude_none=True)
    return _told(application.patients.edit(actor, number, changes, revision=body.revision))


@router.delete("/{number}", response_model=PatientDetail, dependencies=[permission(Action.DELETE)])
def remove(number: Number, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Remove a patient; studies keep their own copy, and the ID is not given out again."""
    removed = application.patients.remove(actor, number)
    return {**_told(removed.patient), "local_studies": removed.studies}


def _told(one: StoredPatient) -> dict[str, Any]:
    return {"number": one.number, **patient_dict(one)}
