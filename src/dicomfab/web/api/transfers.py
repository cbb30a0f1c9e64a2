"""What starts a job between servers: send, move, get, verify, compare and making equal what was compared."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Response
from pydantic import Field

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.model.actor import Actor
from dicomfab.registry.server import PacsServer
from dicomfab.services.jobs.service import Options
from dicomfab.services.study_filter import StudyFilter
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.api.jobs import Job, Number
from dicomfab.web.api.shared import Given, begun, is_production, resource

LOCAL: Final = "local"
_ATTEMPTS: Final = 8

router: APIRouter = resource("jobs")

Studies = Annotated[
    list[str],
    Field(
        min_length=1,
        max_length=1000,
        description="Study Instance UIDs, or accession numbers that fit one study.",
        examples=[["2.25.1"]],
    ),
]
Source = Annotated[str, Field(description="Id or name of the server that has them.", examples=["test-pacs-1"])]
Destination = Annotated[str, Field(description="Id or name of the server that gets them.", examples=["test-pacs-2"])]
Series = Annotated[
    tuple[str, ...], Field(max_length=1000, description="Only these series of the one study, by UID.", examples=[[]])
]
Priority = Annotated[int, Field(ge=1, le=9, description="1 (first) to 9.", examples=[5])]
Via = Annotated[
    str, Field(description="dimse, or web for DICOMweb; blank: as the entry of the server says.", examples=[""])
]
Confirmation = Annotated[
    str, Field(description="The destination's name, if it is a production server and you mean it.", examples=[""])
]
VerifyWaitS = Annotated[
    float,
    Field(ge=0, le=3600, description="Seconds that the destination may take to list what arrived.", examples=[30.0]),
]


class Send(Given):
    """Local studies to be sent (C-STORE, STOW-RS)."""

    studies: Studies
    destination: Destination
    confirm_production: Confirmation = ""
    transcode: bool = Field(True, description="Convert, with the same decoded pixels, what the server does not take.")
    verify_wait_s: VerifyWaitS = 30.0
    priority: Priority = 5
    via: Via = ""


class Move(Given):
    """Studies, or series of one, to be moved by the route table (C-MOVE)."""

    studies: Studies
    source: Source
    destination: Destination
    series: Series = ()
    confirm_production: Confirmation = ""
    verify_wait_s: VerifyWaitS = 30.0
    priority: Priority = 5


class Get(Given):
    """Studies, or series of one, to be fetched into the local store (C-GET, WADO-RS)."""

    studies: Studies
    source: Source
    series: Series = ()
    priority: Priority = 5
    via: Via = ""


class Verify(Given):
    """Studies to be compared at two places."""

    studies: Studies
    source: str = Field(description="Where they are as they should be: local, or id or name of a server.")
    at: str = Field(description="Id or name of the server to look at.", examples=["test-pacs-1"])
    deep: bool = Field(False, description="Also retrieve the instances and compare attributes and pixels.")
    allow: list[str] = Field([], max_length=200, description="Attributes that may differ, by keyword.", examples=[[]])
    priority: Priority = 5


class Compare(Given):
    """Two servers to be compared; blank filters do not narrow."""

    a: str = Field(description="Id or name of one server.", examples=["test-pacs-1"])
    b: str = Field(description="Id or name of the other.", examples=["test-pacs-2"])
    patient_id: str = ""
    accession_number: str = ""
    date: str = Field("", description="A date, A..B, today, yesterday, 'last 7 days'.")
    date_from: str = ""
    date_to: str = ""
    modality: str = ""
    study_instance_uid: str = ""
    instances: bool = Field(False, description="List the instances of every study.")
    priority: Priority = 5


class Fix(Given):
    """Move what a comparison found missing."""

    destination: str = Field(description="Which of its two servers is to receive.", examples=["test-pacs-2"])
    confirm_production: Confirmation = ""
    verify_wait_s: VerifyWaitS = 30.0
    priority: Priority = 5


@router.post("/send", status_code=202, response_model=Job, dependencies=[permission(Action.STORE)])
def send(body: Send, response: Response, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Send local studies to a server, and prove that they are there."""
    server = application.pacs.resolve(actor, body.destination)
    uids = [application.studies.resolve_reference(actor, one) for one in body.studies]
    job = application.jobs.send(
        actor,
        uids,
        server,
        confirm_production=is_production(actor, server, body.confirm_production),
        transcode=body.transcode,
        via=body.via,
        options=_options(body.priority, body.verify_wait_s),
    )
    return begun(application, response, job)


@router.post("/move", status_code=202, response_model=Job, dependencies=[permission(Action.STORE)])
def move(body: Move, response: Response, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Have one server send studies to another, and prove that they arrived; without a route nothing is sent."""
    source, destination = (application.pacs.resolve(actor, one) for one in (body.source, body.destination))
    application.pacs.route(actor, source.id, destination.id)
    is_confirmed = is_production(actor, destination, body.confirm_production)
    job = application.jobs.move(
        actor,
        _identified(application, actor, source, body.studies),
        source,
        destination,
        series=body.series,
        confirm_production=is_confirmed,
        options=_options(body.priority, body.verify_wait_s),
    )
    return begun(application, response, job)


@router.post("/get", status_code=202, response_model=Job, dependencies=[permission(Action.RETRIEVE)])
def get(body: Get, response: Response, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Fetch studies from a server into the local store, and prove that they are whole."""
    source = application.pacs.resolve(actor, body.source).by(body.via)
    studies = _identified(application, actor, source, body.studies)
    options = _options(body.priority)
    job = application.jobs.get(actor, studies, source, series=body.series, via=body.via, options=options)
    return begun(application, response, job)


@router.post("/verify", status_code=202, response_model=Job, dependencies=[permission(Action.QUERY)])
def verify(body: Verify, response: Response, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Compare the instances of studies at two places, and with `deep` their attributes and pixels."""
    at = application.pacs.resolve(actor, body.at)
    if body.source.casefold() == LOCAL:
        origin, uids = None, [application.studies.resolve_reference(actor, one) for one in body.studies]
    else:
        origin = application.pacs.resolve(actor, body.source)
        uids = _identified(application, actor, origin, body.studies)
    job = application.verify_jobs.submit(
        actor, uids, origin, at, deep=body.deep, allow=body.allow, priority=body.priority, max_attempts=_ATTEMPTS
    )
    return begun(application, response, job)


@router.post("/compare", status_code=202, response_model=Job, dependencies=[permission(Action.QUERY)])
def compare(body: Compare, response: Response, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Compare what two servers hold; without a filter, no production server is asked."""
    a, b = (application.pacs.resolve(actor, one) for one in (body.a, body.b))
    wanted = StudyFilter(**body.model_dump(exclude={"a", "b", "instances", "priority"}))
    job = application.compare_jobs.submit(
        actor, a, b, wanted, instances=body.instances, priority=body.priority, max_attempts=_ATTEMPTS
    )
    return begun(application, response, job)


@router.post("/{job_id}/fix", status_code=202, response_model=Job, dependencies=[permission(Action.STORE)])
def fix(job_id: Number, body: Fix, response: Response, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Move what a comparison found missing from the other server."""
    destination = application.pacs.resolve(actor, body.destination)
    job = application.compare_jobs.fix(
        actor,
        job_id,
        destination,
        confirm_production=is_production(actor, destination, body.confirm_production),
        options=_options(body.priority, body.verify_wait_s),
    )
    return begun(application, response, job)


def _identified(application: Application, actor: Actor, source: PacsServer, studies: list[str]) -> list[str]:
    return [application.queries.identify(actor, source, one) for one in studies]


def _options(priority: int, verify_wait_s: float = 30.0) -> Options:
    return Options(verify_wait_s, priority, _ATTEMPTS)
