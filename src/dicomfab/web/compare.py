"""Compare two servers: the form, and what is sent by what a comparison found. Jobs do the work, and show the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.model.actor import Actor
from dicomfab.model.errors import InvalidInput
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.jobs.service import IN_THE_BACKGROUND
from dicomfab.services.search_dates import SHORTCUTS
from dicomfab.services.study_filter import StudyFilter
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.jobs import to_job
from dicomfab.web.query import chosen_destination
from dicomfab.web.server_form import FormData
from dicomfab.web.templating import page

router = APIRouter(prefix="/compare")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the form holds: two servers by id, which studies, and how closely to look."""

    a: str = ""
    b: str = ""
    patient_id: str = ""
    accession_number: str = ""
    date: str = ""
    modality: str = ""
    study_instance_uid: str = ""
    instances: bool = False

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Wanted:
        """What an address or a form holds."""
        texts = {field.name: str(given.get(field.name, "")).strip() for field in fields(cls)}
        return cls(**{**texts, "instances": bool(texts["instances"])})  # type: ignore[arg-type]

    @property
    def filter(self) -> StudyFilter:
        """Which studies."""
        return StudyFilter(
            patient_id=self.patient_id,
            accession_number=self.accession_number,
            date=self.date,
            modality=self.modality,
            study_instance_uid=self.study_instance_uid,
        )


@router.get("", dependencies=[permission(Action.QUERY)])
def form(request: Request, actor: CurrentActor, application: CurrentApplication) -> Response:
    """The form; an address can fill it in. Nothing is asked before it is submitted."""
    return _form(request, application, actor, Wanted.of(request.query_params))


@router.post("", dependencies=[permission(Action.QUERY)])
def submit(request: Request, given: FormData, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Submit the comparison; its page shows what it finds."""
    wanted = Wanted.of(given)
    try:
        a, b = (_chosen(application, actor, wanted, name) for name in ("a", "b"))
        job = application.compare_jobs.submit(
            actor, a, b, wanted.filter, instances=wanted.instances, max_attempts=IN_THE_BACKGROUND.max_attempts
        )
    except InvalidInput as error:
        return _form(request, application, actor, wanted, error)
    return to_job(application, job)


@router.post("/{job_id}/fix", dependencies=[permission(Action.STORE)])
def fix(
    job_id: int,
    actor: CurrentActor,
    application: CurrentApplication,
    to: Annotated[str, Form()],
    confirm_name: Annotated[str, Form()] = "",
) -> Response:
    """Move what a comparison found missing at one of its servers; for production, its name was typed as well."""
    destination = chosen_destination(application, actor, to, confirm_name=confirm_name)
    job = application.compare_jobs.fix(
        actor, job_id, destination, confirm_production=destination.is_production, options=IN_THE_BACKGROUND
    )
    return to_job(application, job)


def _chosen(application: Application, actor: Actor, wanted: Wanted, name: str) -> PacsServer:
    chosen = getattr(wanted, name)
    if not chosen:
        raise InvalidInput(f"{name}: choose a server", field=name, value="")
    return application.pacs.get(actor, chosen)


def _form(
    request: Request, application: Application, actor: Actor, wanted: Wanted, error: InvalidInput | None = None
) -> Response:
    offered = [s for s in application.pacs.servers(actor) if s.is_active and s.can(Capability.FIND)]
    own = {field.name for field in fields(Wanted)}
    context: dict[str, Any] = {
        "wanted": wanted,
        "servers": [("", "Choose a server …"), *((s.id, f"{s.name} ({s.environment})") for s in offered)],
        "offered": offered,
        "shortcuts": SHORTCUTS,
        "error": error,
        "wrong": error.field if error and error.field in own else "",
    }
    return page(request, "compare/form.html", context, status_code=400 if error else 200)
