"""Jobs: looked at, followed, cancelled, paused, gone on with, tried again; and what starts them."""

from __future__ import annotations

import enum
from typing import Annotated, Any

from fastapi import Path, Query, Request, Response
from pydantic import Field

from dicomfab.access.policy import Action
from dicomfab.app.plain import item_dict, job_dict
from dicomfab.app.workers import ensure_worker
from dicomfab.model.job import ItemState, JobEvent, JobKind, JobState
from dicomfab.model.values import Environment
from dicomfab.storage.jobs import JobFilter
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.api.shared import Given, Limit, Listed, Offset, Told, WaitS, listed, resource, wait_until

router = resource("jobs")

Number = Annotated[int, Path(ge=1, lt=2**31, description="Number of the job.")]


class JobRequest(enum.StrEnum):
    """What may be asked of a job."""

    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"


class Job(Told):
    """A job: how far it is, and when it has ended what it found out."""

    id: int
    kind: JobKind
    title: str
    state: JobState
    asked_to: str = Field(description="What was asked of it and is not done yet; blank if nothing.")
    owner: str
    environment: str
    queue: str = Field(description="pacs:ID of the server whose associations it uses, or local.")
    priority: int
    items: int = Field(description="How many items it has.")
    done: int
    failed: int
    held: int = Field(description="Rows that fit several studies; somebody has to decide.")
    resent: int
    size_bytes: int
    stage: str
    attempts: int
    created_at: str
    started_at: str | None
    ended_at: str | None
    error: dict[str, Any] | None
    items_per_s: float | None = None
    seconds_left: float | None = None


class JobItem(Told):
    """An item of a job: a study, an instance, a server or a row of a list."""

    number: int
    key: str
    label: str
    state: ItemState
    attempts: int
    resent: int
    status: str = Field(description="DIMSE status in hexadecimal; blank if there was none.")
    detail: dict[str, Any]
    changed_at: str


class PriorityChange(Given):
    """Another priority."""

    priority: int = Field(ge=1, le=9, description="1 (first) to 9.", examples=[5])


class Decision(Given):
    """Which study a row means that was held back."""

    line: int = Field(ge=1, lt=2**31, examples=[2])
    study: str = Field(description="Its Study Instance UID.", examples=["2.25.1"])


@router.get("", response_model=Listed[Job], dependencies=[permission(Action.VIEW)])
def every(
    request: Request,
    actor: CurrentActor,
    application: CurrentApplication,
    state: Annotated[list[JobState], Query(description="Only in this state; again for more.")] = [],  # noqa: B006
    kind: Annotated[list[JobKind], Query(description="Only of this kind; again for more.")] = [],  # noqa: B006
    owner: str = "",
    server: Annotated[str, Query(description="Only those that use this server, by id.")] = "",
    environment: Environment | None = None,
    search: Annotated[str, Query(description="Only those with this in their title.")] = "",
    limit: Limit = 50,
    offset: Offset = 0,
) -> Any:
    """List jobs, the newest first."""
    wanted = JobFilter(
        frozenset(state),
        frozenset(kind),
        frozenset({str(environment)} if environment else ()),
        owner=owner,
        queue=f"pacs:{server}" if server else "",
        search=search,
    )
    page = application.jobs.page(actor, wanted, limit=limit, offset=offset)
    return listed(request, [job_dict(job, application.jobs) for job in page.jobs], page.total, limit, offset)


@router.get("/{job_id}", response_model=Job, dependencies=[permission(Action.VIEW)])
def show(job_id: Number, actor: CurrentActor, application: CurrentApplication, wait_s: WaitS = 0) -> Any:
    """Show a job, at once or when it has ended or `wait_s` seconds are over; that it is not done is no error."""
    service = application.jobs
    service.show(actor, job_id)
    wait_until(lambda: service.show(actor, job_id).state.has_ended, wait_s)
    return job_dict(service.show(actor, job_id), service)


@router.get("/{job_id}/items", response_model=Listed[JobItem], dependencies=[permission(Action.VIEW)])
def items(
    request: Request,
    job_id: Number,
    actor: CurrentActor,
    application: CurrentApplication,
    state: Annotated[list[ItemState], Query(description="Only in this state; again for more.")] = [],  # noqa: B006
    limit: Limit = 50,
    offset: Offset = 0,
) -> Any:
    """List the items of a job, those that failed first; in their order if states are named."""
    counts = application.jobs.show(actor, job_id).counts
    if not state:
        found = application.jobs.items_worst_first(actor, job_id, limit=limit, offset=offset)
        return listed(request, [item_dict(one) for one in found], counts.total, limit, offset)
    every_one = application.jobs.items(actor, job_id, state, limit=10**9)
    cut_out = [item_dict(one) for one in every_one[offset : offset + limit]]
    return listed(request, cut_out, len(every_one), limit, offset)


@router.put("/{job_id}/priority", response_model=Job, dependencies=[permission(Action.VIEW)])
def prefer(job_id: Number, body: PriorityChange, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Change the priority of one's own job."""
    return job_dict(application.jobs.prefer(actor, job_id, body.priority), application.jobs)


@router.post("/{job_id}/decide", response_model=Job, dependencies=[permission(Action.VIEW)])
def decide(job_id: Number, body: Decision, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Say which study a row of one's own job means that was held back; the job goes on."""
    decided = application.jobs.decide(actor, job_id, body.line, body.study)
    ensure_worker(application)
    return job_dict(decided, application.jobs)


@router.post("/{job_id}/{request}", status_code=202, response_model=Job, dependencies=[permission(Action.VIEW)])
def ask(
    job_id: Number, request: JobRequest, response: Response, actor: CurrentActor, application: CurrentApplication
) -> Any:
    """Cancel, pause, resume or retry one's own job; a job that runs stops before its next item."""
    asked = application.jobs.ask(actor, job_id, JobEvent(request))
    if asked.state is JobState.QUEUED:
        ensure_worker(application)
    response.headers["Location"] = f"/api/v1/jobs/{job_id}"
    return job_dict(asked, application.jobs)
