"""What is to be done for orders: requested procedures, the worklist, and whether a loop is closed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Query, Request
from pydantic import Field

from dicomfab.access.policy import Action
from dicomfab.app.plain_orders import loop_dict, procedure_details, procedure_dict
from dicomfab.model.procedure import ProcedureEvent, ProcedureFilter, StepState
from dicomfab.model.values import Environment
from dicomfab.services.ordering.loop import LoopState
from dicomfab.storage.procedures import WorklistFilter
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.api.orders import Accession, Number, OfEnvironment, Search, Value, environments
from dicomfab.web.api.shared import Limit, Listed, Offset, Told, listed, resource, told_model

router = resource("procedures")
worklist = resource("worklist")
loop = resource("loop")

Date = Annotated[str, Query(pattern=r"^(\d{8})?$", description="YYYYMMDD.")]
PatientId = Annotated[str, Query(description="PatientID (0010,0020), exactly.")]

Event: Any = told_model("ProcedureEvent", ProcedureEvent, like={datetime: str})


class Step(Told):
    """A scheduled procedure step."""

    step_id: str = Field(description="ScheduledProcedureStepID (0040,0009).")
    state: StepState
    modality: str
    station_ae_title: str = Field(description="Blank if any station may take it.")
    start_date: str = Field(description="YYYYMMDD.")
    start_time: str = Field(description="HHMMSS.")


class Procedure(Told):
    """A requested procedure: one study."""

    number: int
    environment: Environment
    study_instance_uid: str = Field(description="Given once, and never made anew.")
    accession_number: str
    requested_procedure_id: str
    patient_id: str
    issuer: str = Field(description="IssuerOfPatientID (0010,0021).")
    patient_name: str
    steps: list[Step]
    created_at: str
    changed_at: str


class StepDetail(Step):
    """A scheduled procedure step with each of its values."""

    fields: list[Value]


class Performed(Told):
    """A performed procedure step as its modality reports it (MPPS)."""

    sop_instance_uid: str
    state: str = Field(description="PerformedProcedureStepStatus (0040,0252).")
    calling_ae_title: str
    attributes: dict[str, Any] = Field(description="DICOM JSON model (PS3.18 annex F).")
    created_at: str
    changed_at: str


class ProcedureDetail(Procedure):
    """A requested procedure with all that is known of it."""

    fields: list[Value] = Field(description="Of patient, request and procedure, each with where it came from.")
    steps: list[StepDetail]  # type: ignore[assignment]
    events: list[Event] = Field(description="What happened to it, the oldest first.")
    performed: list[Performed]
    orders: list[int] = Field(description="Numbers of the orders that it follows from.")


class LoopStep(Told):
    """A step of the loop."""

    name: str = Field(
        description="ordered, scheduled, performed, stored, committed, findable or retrievable.", examples=["stored"]
    )
    state: LoopState = Field(description="unknown: nobody here has heard of it, or it could not be asked.")
    text: str = Field(description="What was found.")
    mismatches: dict[str, tuple[str, str]] = Field(description="Keyword -> value of the order, value that was found.")


class CheckedProcedure(Procedure):
    """A requested procedure with the steps of its loop."""

    loop: list[LoopStep]


class Checked(Told):
    """The loops of an accession number."""

    is_closed: bool = Field(description="Whether every step of every procedure is equal.")
    items: list[CheckedProcedure]


@router.get("", response_model=Listed[Procedure], dependencies=[permission(Action.VIEW)])
def every(
    request: Request,
    actor: CurrentActor,
    application: CurrentApplication,
    search: Search = "",
    accession_number: Accession = "",
    patient_id: PatientId = "",
    is_open: Annotated[bool | None, Query(description="Whether a step is still on the worklist.")] = None,
    environment: OfEnvironment = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> Any:
    """List the requested procedures with their steps, the newest first."""
    wanted = ProcedureFilter(
        search=search,
        accession_number=accession_number,
        patient_id=patient_id,
        is_open=is_open,
        environments=environments(environment),
    )
    page = application.ordering.schedule.page(actor, wanted, limit=limit, offset=offset)
    return listed(request, [procedure_dict(one) for one in page.procedures], page.total, limit, offset)


@router.get("/{number}", response_model=ProcedureDetail, dependencies=[permission(Action.VIEW)])
def show(number: Number, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Show a requested procedure: where each value came from, what happened to it, what was performed of it."""
    return procedure_details(application.ordering.schedule.show(actor, number))


@worklist.get("", response_model=Listed[dict[str, Any]], dependencies=[permission(Action.VIEW)])
def on_worklist(
    request: Request,
    actor: CurrentActor,
    application: CurrentApplication,
    environment: Annotated[Environment, Query(description="Whose worklist.", examples=["test"])],
    date_from: Date = "",
    date_to: Date = "",
    station: Annotated[list[str], Query(description="AE title; steps that name none match any.")] = [],  # noqa: B006
    modality: Annotated[list[str], Query(description="Only of this modality; again for more.")] = [],  # noqa: B006
    patient_id: PatientId = "",
    accession_number: Accession = "",
    limit: Limit = 50,
    offset: Offset = 0,
) -> Any:
    """List what modalities are offered now, by its start: items of the worklist in the DICOM JSON model."""
    wanted = WorklistFilter(
        environment, date_from, date_to, frozenset(station), frozenset(modality), patient_id, accession_number
    )
    items, total = application.ordering.schedule.worklist(actor, wanted, limit=limit, offset=offset)
    return listed(request, [one.to_json_dict() for one in items], total, limit, offset)


@loop.get("/{accession_number:path}", response_model=Checked, dependencies=[permission(Action.QUERY)])
def check(
    accession_number: Annotated[str, Path(min_length=1, max_length=64, description="Of the order.", examples=["A100"])],
    pacs: Annotated[
        str, Query(description="Id or name of the server where the study should be.", examples=["test-pacs-1"])
    ],
    actor: CurrentActor,
    application: CurrentApplication,
) -> Any:
    """Compare every step with the order: ordered, scheduled, performed, stored, committed, findable, retrievable.

    The server is asked by C-FIND, and the study is fetched by C-GET; nothing of it is kept.
    """
    server = application.pacs.resolve(actor, pacs)
    found = application.loops.check(actor, accession_number, server)
    is_closed = all(step.state is LoopState.EQUAL for _, steps in found for step in steps)
    return {"is_closed": is_closed, "items": [loop_dict(*one) for one in found]}
