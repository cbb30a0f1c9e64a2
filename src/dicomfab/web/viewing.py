"""From a study to the viewer: one that is on a server is fetched first, and the page follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.app.workers import ensure_worker
from dicomfab.model.actor import Actor
from dicomfab.model.errors import InvalidInput, NotFound
from dicomfab.model.job import Job, JobKind, JobState
from dicomfab.services.jobs.listed import SEPARATOR
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.job_view import view_of
from dicomfab.web.query_rows import chosen_of
from dicomfab.web.templating import page
from dicomfab.web.viewer_modes import Opening, opening

if TYPE_CHECKING:
    from dicomfab.archive.records import StudyDetail

router = APIRouter()

#: All that the source has is here.
_COMPLETE: Final = frozenset({JobState.SUCCEEDED, JobState.UNVERIFIED})


@router.get("/studies/{study}/view", dependencies=[permission(Action.VIEW)])
def view(study: str, actor: CurrentActor, application: CurrentApplication) -> Response:
    """To the viewer with a local study, or to the page that shows what the viewer cannot."""
    detail = application.studies.brief(actor, study)
    application.copies.viewed(study)
    return RedirectResponse(opening_of(application, detail).address or f"/studies/{study}/look", status_code=303)


@router.post("/query/view", dependencies=[permission(Action.RETRIEVE)])
def fetch(
    actor: CurrentActor,
    application: CurrentApplication,
    row: Annotated[str, Form()] = "",
    instances: Annotated[str, Form()] = "",
) -> Response:
    """Fetch a study that a search found, and open it; at once if it is here."""
    chosen = chosen_of(application, actor, (row,))
    (task,) = chosen.tasks
    if task.series or len(task.studies) != 1:
        raise InvalidInput(f"row: {row[:200]!r} is no study", field="row", remedy="choose a study")
    number = int(instances) if instances.isascii() and instances.isdigit() and len(instances) < 10 else None
    job = application.viewing.fetch(actor, task.studies[0], task.source, instances=number)
    if job is None:
        return RedirectResponse(f"/studies/{task.studies[0]}/view", status_code=303)
    ensure_worker(application)
    return RedirectResponse(f"/view/{job.id}", status_code=303)


@router.get("/view/{job_id}", dependencies=[permission(Action.VIEW)])
def wait(request: Request, job_id: int, actor: CurrentActor, application: CurrentApplication) -> Response:
    """How far a study is on its way here; the page goes on to the viewer by itself."""
    job = _job(application, actor, job_id)
    if job.state.has_ended:
        return RedirectResponse(f"/view/{job_id}/open", status_code=303)
    return page(request, "viewing/wait.html", {"view": view_of(application, actor, job)})


@router.get("/view/{job_id}/open", dependencies=[permission(Action.VIEW)])
def opened(job_id: int, actor: CurrentActor, application: CurrentApplication) -> Response:
    """To the viewer if the study has come, to the job if it has not."""
    job = _job(application, actor, job_id)
    (item,) = application.jobs.items(actor, job_id, limit=1)
    study = item.key.partition(SEPARATOR)[0]
    if job.state in _COMPLETE and application.studies.local.has_study(study):
        return RedirectResponse(f"/studies/{study}/view", status_code=303)
    return RedirectResponse(f"/jobs/{job_id}", status_code=303)


@router.post("/studies/{study}/keep", dependencies=[permission(Action.RETRIEVE)])
def keep(study: str, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Let a study stay that was fetched to be looked at."""
    application.copies.keep(actor, study)
    return RedirectResponse(f"/studies/{study}", status_code=303)


def opening_of(application: Application, detail: StudyDetail) -> Opening:
    """What the viewer makes of a local study."""
    study = detail.summary.study_instance_uid
    classes = application.studies.local.sop_classes(study)
    return opening(study, {one.modality for one in detail.series}, classes)


def _job(application: Application, actor: Actor, job_id: int) -> Job:
    job = application.jobs.show(actor, job_id)
    if job.kind is not JobKind.GET:
        raise NotFound(f"job {job_id} fetches nothing", remedy=f"see what it does: /jobs/{job_id}")
    return job
