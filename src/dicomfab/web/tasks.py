"""Long work: each task has its own page, which shows its progress as it happens."""

from __future__ import annotations

import time
from collections.abc import Iterator

from fastapi import APIRouter, Request
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import RedirectResponse, Response

from dicomfab.access.policy import Action
from dicomfab.model.actor import Actor
from dicomfab.services.studies import Fabricated
from dicomfab.services.tasks import TaskRunner, TaskState, TaskStatus
from dicomfab.services.transfer import TransferReport
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.streams import stream
from dicomfab.web.templating import fragment, page

# An instance may take a fifth of a millisecond; nobody reads that fast, and a browser draws slower.
_LONGEST_RATE_S = 0.15
_BEAT_S = 1.0

_RESULTS: dict[type, str] = {TransferReport: "results/transfer.html", Fabricated: "results/fabricated.html"}

router = APIRouter(prefix="/tasks", dependencies=[permission(Action.VIEW)])


def to_task(task: TaskStatus) -> RedirectResponse:
    """Send the browser to the page of a task that was just started."""
    return RedirectResponse(f"/tasks/{task.id}", status_code=303)


@router.get("/{task_id}")
def show(request: Request, task_id: int, actor: CurrentActor, application: CurrentApplication) -> Response:
    """The task as it is now, followed by events while it runs."""
    return page(request, "tasks/show.html", _context(application.tasks.status(actor, task_id)))


@router.get("/{task_id}/events")
def events(task_id: int, actor: CurrentActor, application: CurrentApplication) -> EventSourceResponse:
    """``progress`` while it runs, ``finished`` with the result."""
    application.tasks.status(actor, task_id)
    return stream(_events(application.tasks, actor, task_id))


@router.post("/{task_id}/cancel")
def cancel(task_id: int, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Ask it to stop before its next instance."""
    return to_task(application.tasks.cancel(actor, task_id))


def _events(tasks: TaskRunner, actor: Actor, task_id: int) -> Iterator[ServerSentEvent]:
    shown = -1
    for task in tasks.watch(actor, task_id, beat_s=_BEAT_S):
        if task.state is not TaskState.RUNNING:
            yield ServerSentEvent(event="finished", data=fragment("tasks/panel.html", **_context(task)))
        elif task.version != shown:
            shown = task.version
            yield ServerSentEvent(event="progress", data=fragment("tasks/progress.html", task=task))
            time.sleep(_LONGEST_RATE_S)


def _context(task: TaskStatus) -> dict[str, object]:
    return {"task": task, "result_template": _RESULTS.get(type(task.result), "")}
