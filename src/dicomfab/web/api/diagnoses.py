"""The doctor: why DICOM fails, on one server or in a C-MOVE between two."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import Path, Request, Response
from pydantic import Field

from dicomfab.access.policy import Action, require
from dicomfab.model.actor import Actor
from dicomfab.model.errors import ConfirmationRequired, InvalidInput
from dicomfab.model.values import uid
from dicomfab.registry.server import PacsServer
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.api.shared import PREFIX, Given, Told, WaitS, resource, wait_until
from dicomfab.web.confirmation import untyped
from dicomfab.web.doctor import runs_of
from dicomfab.web.doctor_runs import Run, of_move, of_server

router = resource("diagnoses")


class ServerExamination(Given):
    """One server to be examined."""

    server: str = Field(description="Id or name.", examples=["test-pacs-1"])


class MoveExamination(Given):
    """A C-MOVE to be examined; in production with C-ECHO and C-FIND only, unless it is confirmed."""

    source: str = Field(description="Id or name of the server that would send.", examples=["test-pacs-1"])
    destination: str = Field(description="Id or name of the server that would receive.", examples=["test-pacs-2"])
    study: str = Field("", description="Study Instance UID; an instance of the doctor's own if left out.")
    confirm_production: str = Field(
        "", description="The names of its production servers, joined by commas, if more is to be tried there."
    )


class Diagnosis(Told):
    """A diagnosis as far as it has come; kept for a while, for whoever asked for it."""

    id: str
    state: Literal["running", "done"]
    title: str
    seconds: float
    verdict: str | None = Field(description="nothing wrong, found, or cannot tell; null until it has ended.")
    checks: list[dict[str, Any]] = Field(description="In the order in which they were made.")
    causes: list[dict[str, Any]] = Field(description="Most likely first.")
    error: dict[str, Any] | None = Field(description="Why it could not be made, if so.")


@router.post("/server", status_code=202, response_model=Diagnosis, dependencies=[permission(Action.ECHO)])
def server(
    request: Request,
    body: ServerExamination,
    response: Response,
    actor: CurrentActor,
    application: CurrentApplication,
    wait_s: WaitS = 0,
) -> Any:
    """Have one server examined."""
    found = application.pacs.resolve(actor, body.server)
    require(actor, Action.ECHO, found.environment)
    return _begun(request, response, actor, of_server(application, actor, found), wait_s)


@router.post("/move", status_code=202, response_model=Diagnosis, dependencies=[permission(Action.QUERY)])
def move(
    request: Request,
    body: MoveExamination,
    response: Response,
    actor: CurrentActor,
    application: CurrentApplication,
    wait_s: WaitS = 0,
) -> Any:
    """Have a C-MOVE between two servers examined."""
    source, destination = (application.pacs.resolve(actor, one) for one in (body.source, body.destination))
    for end in (source, destination):
        require(actor, Action.QUERY, end.environment)
    if source.id == destination.id:
        raise InvalidInput(
            f"destination: {destination.name} is the source itself",
            field="destination",
            remedy="choose another server",
        )
    moved = uid(body.study, field="study") if body.study else ""
    is_confirmed = _is_confirmed(body.confirm_production, source, destination)
    run = of_move(application, actor, source, destination, study=moved, is_confirmed=is_confirmed)
    return _begun(request, response, actor, run, wait_s)


@router.get("/{run_id}", response_model=Diagnosis, dependencies=[permission(Action.ECHO)])
def show(
    request: Request, actor: CurrentActor, run_id: str = Path(description="Id of the diagnosis."), wait_s: WaitS = 0
) -> Any:
    """Show a diagnosis, at once, or when it has ended or `wait_s` seconds are over."""
    return _told(runs_of(request).get(actor, run_id), run_id, wait_s)


def _is_confirmed(typed: str, *ends: PacsServer) -> bool:
    """Whether the names of all production servers were typed; nothing typed is no."""
    if not typed.strip():
        return False
    production = [end for end in ends if end.is_production]
    left = untyped(typed, production)
    if left is not None:
        raise ConfirmationRequired(
            f"confirm_production: {left.name} is a production server; nothing was tried",
            cause="storing there wants an explicit yes each time",
            remedy=f"name it as well, or nothing for C-ECHO and C-FIND only: {left.name}",
        )
    return bool(production)


def _begun(request: Request, response: Response, actor: Actor, run: Run, wait_s: float) -> dict[str, Any]:
    run_id = runs_of(request).add(run)
    run.start_as(actor)
    response.headers["Location"] = f"{PREFIX}/diagnoses/{run_id}"
    return _told(run, run_id, wait_s)


def _told(run: Run, run_id: str, wait_s: float) -> dict[str, Any]:
    wait_until(lambda: run.has_ended, wait_s)
    has_ended = run.has_ended
    told: dict[str, Any] = {
        "id": run_id,
        "state": "done" if has_ended else "running",
        "title": run.title,
        "seconds": round(run.seconds, 3),
        "verdict": None,
        "checks": [check.as_dict() for check in list(run.checks)],
        "causes": [],
        "error": run.failure.as_dict() if has_ended and run.failure is not None else None,
    }
    return {**told, **(run.diagnosis.as_dict() if has_ended and run.diagnosis is not None else {})}
