"""What can be done with several local studies at once: send, download, delete, validate, compare."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from dicomfab.access.policy import Action, require
from dicomfab.app.build import Application
from dicomfab.model.actor import Actor
from dicomfab.model.errors import InvalidInput, NotFound
from dicomfab.services.jobs.service import IN_THE_BACKGROUND
from dicomfab.services.media import media
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.jobs import to_job
from dicomfab.web.query import chosen_destination
from dicomfab.web.studies import destinations
from dicomfab.web.study_listing import chosen_of
from dicomfab.web.templating import page, query_string
from dicomfab.web.validation_runs import ValidationRun, ValidationRuns

if TYPE_CHECKING:
    from dicomfab.archive.records import StudySummary

router = APIRouter(prefix="/studies")


def _chosen(study: Annotated[list[str] | None, Query()] = None) -> tuple[str, ...]:
    return _some(study)


def _chosen_in_form(study: Annotated[list[str] | None, Form()] = None) -> tuple[str, ...]:
    return _some(study)


def _some(given: list[str] | None) -> tuple[str, ...]:
    found = chosen_of(given or ())
    if not found:
        raise InvalidInput(
            "study: choose at least one study", field="study", value="", remedy="tick studies in the list: /studies"
        )
    return found


def _runs(request: Request) -> ValidationRuns:
    runs: ValidationRuns = request.app.state.validation_runs
    return runs


Chosen = Annotated[tuple[str, ...], Depends(_chosen)]
ChosenInForm = Annotated[tuple[str, ...], Depends(_chosen_in_form)]
Runs = Annotated[ValidationRuns, Depends(_runs)]


@dataclass(frozen=True, slots=True)
class Together:
    """Chosen studies.

    Args:
        studies: in the order in which they were chosen.
    """

    studies: tuple[StudySummary, ...]

    @property
    def instances(self) -> int:
        """Of all of them."""
        return sum(study.instance_count for study in self.studies)

    @property
    def size_bytes(self) -> int:
        """Of their data sets."""
        return sum(study.size_bytes for study in self.studies)

    @property
    def query(self) -> str:
        """Of an address that names them."""
        return query_string({"study": [study.study_instance_uid for study in self.studies]})


def _together(application: Application, actor: Actor, uids: tuple[str, ...]) -> Together:
    return Together(tuple(application.studies.brief(actor, uid).summary for uid in uids))


@router.get("/send", dependencies=[permission(Action.STORE)])
def ask_send(request: Request, chosen: Chosen, actor: CurrentActor, application: CurrentApplication) -> Response:
    """What would be sent, and where to."""
    return _send(request, application, actor, chosen)


@router.post("/send", dependencies=[permission(Action.STORE)])
def send(
    request: Request,
    chosen: ChosenInForm,
    actor: CurrentActor,
    application: CurrentApplication,
    destination: Annotated[str, Form()] = "",
    confirm_name: Annotated[str, Form()] = "",
) -> Response:
    """Start one job that sends them all."""
    _together(application, actor, chosen)
    try:
        server = chosen_destination(application, actor, destination, confirm_name=confirm_name)
    except InvalidInput as error:
        return _send(request, application, actor, chosen, error, destination)
    job = application.jobs.send(
        actor, chosen, server, confirm_production=server.is_production, options=IN_THE_BACKGROUND
    )
    return to_job(application, job)


@router.get("/download", dependencies=[permission(Action.EXPORT)])
def download(chosen: Chosen, actor: CurrentActor, application: CurrentApplication) -> Response:
    """A zip with a DICOMDIR, made while it is sent."""
    made = media(application.studies, actor, chosen)
    headers = {"Content-Disposition": f'attachment; filename="{made.name}"', "Cache-Control": "no-store"}
    return StreamingResponse(made.chunks, media_type="application/zip", headers=headers)


@router.get("/delete", dependencies=[permission(Action.DELETE)])
def ask_delete(request: Request, chosen: Chosen, actor: CurrentActor, application: CurrentApplication) -> Response:
    """What would go, and the question."""
    return page(request, "studies/delete.html", {"together": _together(application, actor, chosen)})


@router.post("/delete", dependencies=[permission(Action.DELETE)])
def delete(chosen: ChosenInForm, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Remove them with their files, if the actor may delete every one."""
    for study in _together(application, actor, chosen).studies:
        require(actor, Action.DELETE, study.environment)
    for uid in chosen:
        application.studies.delete(actor, uid)
    return RedirectResponse("/studies", status_code=303)


@router.get("/compare", dependencies=[permission(Action.QUERY)])
def compare(chosen: Chosen) -> Response:
    """To the form that compares what two servers hold of a study."""
    if len(chosen) > 1:
        raise InvalidInput(
            f"study: {len(chosen)} studies are chosen",
            field="study",
            cause="servers are compared by one study, or by a search",
            remedy="choose one study, or compare servers by date or patient: /compare",
        )
    return RedirectResponse(f"/compare?{query_string({'study_instance_uid': chosen[0]})}", status_code=303)


@router.post("/validate", dependencies=[permission(Action.VIEW)])
def validate(chosen: ChosenInForm, runs: Runs, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Begin to validate them; the page that follows shows what is found."""
    studies = _together(application, actor, chosen).studies
    run_id = runs.begin(ValidationRun(actor, studies, application.validation))
    return RedirectResponse(f"/studies/validations/{run_id}", status_code=303)


@router.get("/validations/{run_id}", dependencies=[permission(Action.VIEW)])
def validation(
    request: Request,
    run_id: str,
    runs: Runs,
    actor: CurrentActor,
    application: CurrentApplication,
    severity: str = "",
) -> Response:
    """How far it has come, and then what was found, by study, series and instance."""
    run = runs.get(actor, run_id)
    context = {"run": run, "run_id": run_id, "severity": severity, "view": run.view(severity)}
    context["names"] = _names(application, actor, run) if run.has_ended else {}
    return page(request, "studies/validation.html", context)


def _names(application: Application, actor: Actor, run: ValidationRun) -> dict[str, str]:
    """Series Instance UID -> the series for reading; not of studies that are gone by now."""
    names: dict[str, str] = {}
    for study in run.studies:
        with suppress(NotFound):
            for one in application.studies.show(actor, study.study_instance_uid).series:
                names[one.series_instance_uid] = f"{one.modality} {one.series_number}: {one.description or 'series'}"
    return names


@router.post("/validations/{run_id}/stop", dependencies=[permission(Action.VIEW)])
def stop_validation(run_id: str, runs: Runs, actor: CurrentActor) -> Response:
    """End it; what was checked until then is shown."""
    runs.get(actor, run_id).stop()
    return RedirectResponse(f"/studies/validations/{run_id}", status_code=303)


def _send(
    request: Request,
    application: Application,
    actor: Actor,
    chosen: tuple[str, ...],
    error: InvalidInput | None = None,
    destination: str = "",
) -> Response:
    context = {
        "together": _together(application, actor, chosen),
        "destinations": destinations(application, actor),
        "error": error,
        "wrong": error.field if error else "",
        "chosen": destination,
    }
    return page(request, "studies/send.html", context, status_code=400 if error else 200)
