"""Jobs: all of them in a list, and each on a page of its own, which shows its progress as it happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Query, Request
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import RedirectResponse, Response

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.app.job_words import server_name
from dicomfab.app.workers import ensure_worker
from dicomfab.model.actor import Actor
from dicomfab.model.errors import InvalidInput
from dicomfab.model.job import ENDED, ItemState, Job, JobEvent, JobKind, JobState
from dicomfab.model.values import is_uid
from dicomfab.services.jobs.service import REQUESTS
from dicomfab.storage.jobs import JobFilter
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.job_view import LOCAL, PACS, outcome_of, view_of
from dicomfab.web.listing import PAGE_SIZE, Number, page_count, page_number
from dicomfab.web.streams import stream
from dicomfab.web.templating import capitalize_first, fragment, page

ITEMS_SHOWN = 50

#: For the list: all that have not ended.
ACTIVE = "active"

_BEAT_S = 1.0

#: The items that a filter shows; the first one that has any comes first when a page is opened.
_ITEM_STATES: Final = {
    "failed": (ItemState.FAILED,),
    "held": (ItemState.HELD,),
    "open": (ItemState.PENDING, ItemState.UNDER_WAY),
    "done": (ItemState.DONE,),
}
_PARTS: Final = ("state", "actions", "progress", "outcome", "facts", "priority")
_ITEMS_EVERY_S: Final = 2.0

router = APIRouter(prefix="/jobs", dependencies=[permission(Action.VIEW)])


@dataclass(frozen=True, slots=True)
class Listing:
    """Which jobs are shown, as the address of the page holds it; those of a study are all of them."""

    search: str
    state: str
    kind: str
    server: str
    is_own: bool
    number: int
    study: str = ""

    @property
    def parameters(self) -> dict[str, Any]:
        """For an address that shows the same; what is as usual is left out."""
        own = "1" if self.is_own else ""
        number = "" if self.number == 1 else self.number
        filters = {"state": self.state, "kind": self.kind, "server": self.server, "own": own}
        return {"q": self.search, **filters, "study": self.study, "page": number}

    @property
    def is_narrowed(self) -> bool:
        """Whether some jobs are left out."""
        return any((self.search, self.state, self.kind, self.server, self.is_own))

    def filter(self, actor: Actor) -> JobFilter:
        """The same for the ledger."""
        states = frozenset(JobState) - ENDED if self.state == ACTIVE else {JobState(self.state)} if self.state else ()
        return JobFilter(
            states=frozenset(states),
            kinds=frozenset({JobKind(self.kind)} if self.kind else ()),
            owner=actor.name if self.is_own else "",
            queue="" if not self.server else LOCAL if self.server == LOCAL else f"{PACS}{self.server}",
            search=self.search,
        )


def listing_of(
    q: str = "", state: str = "", kind: str = "", server: str = "", own: str = "", study: str = "", page: str = "1"
) -> Listing:
    """Read the listing from the address; what makes no sense there is taken as absent."""
    if is_uid(study):
        return Listing("", "", "", "", False, page_number(page), study)
    known_state = state if state == ACTIVE or state in set(JobState) else ""
    known_kind = kind if kind in set(JobKind) else ""
    return Listing(q.strip(), known_state, known_kind, server.strip(), bool(own), page_number(page))


def to_job(application: Application, job: Job) -> RedirectResponse:
    """Send the browser to the page of a job that was just submitted; a worker does it."""
    ensure_worker(application)
    return RedirectResponse(f"/jobs/{job.id}", status_code=303)


@router.get("")
def overview(
    request: Request,
    listing: Annotated[Listing, Depends(listing_of)],
    actor: CurrentActor,
    application: CurrentApplication,
) -> Response:
    """One page of the jobs, the newest first."""
    offset = (listing.number - 1) * PAGE_SIZE
    if listing.study:
        found = application.study_jobs.page(actor, listing.study, limit=PAGE_SIZE, offset=offset)
    else:
        found = application.jobs.page(actor, listing.filter(actor), limit=PAGE_SIZE, offset=offset)
    context = {
        "found": found,
        "listing": listing,
        "pages": page_count(found.total),
        "server_names": {job.queue: server_name(application, job.queue) for job in found.jobs},
        "is_live": any(not job.state.has_ended for job in found.jobs),
        "kinds": [("", "Any kind"), *((str(kind), capitalize_first(kind)) for kind in JobKind)],
        "servers": [
            ("", "Any server"),
            *((server.id, server.name) for server in application.pacs.servers(actor)),
            (LOCAL, "none: on this computer"),
        ],
        "workers": application.jobs.workers(),
    }
    return page(request, "jobs/list.html", context)


@router.get("/{job_id}")
def show(
    request: Request,
    job_id: Number,
    actor: CurrentActor,
    application: CurrentApplication,
    items: str = "",
    number: Annotated[str, Query(alias="page")] = "1",
) -> Response:
    """A job as it is now, followed by events until it has ended."""
    job = application.jobs.show(actor, job_id)
    context = {"view": view_of(application, actor, job), **outcome_of(application, actor, job)}
    return page(request, "jobs/show.html", {**context, **_items(application, actor, job, items, page_number(number))})


@router.get("/{job_id}/events")
def events(job_id: Number, actor: CurrentActor, application: CurrentApplication) -> EventSourceResponse:
    """Each part of the page when it changes, under the name of the part; ``items`` when they are to be asked for."""
    application.jobs.show(actor, job_id)
    gone = threading.Event()
    return stream(_events(application, actor, job_id, gone), on_close=gone.set)


@router.post("/{job_id}/ask")
def ask(
    job_id: Number, actor: CurrentActor, application: CurrentApplication, event: Annotated[str, Form()]
) -> Response:
    """Cancel, pause, resume or retry; the service lets nobody but the owner and administrators."""
    if event not in REQUESTS:
        raise InvalidInput(f"event: {event!r} cannot be asked of a job", field="event", value=event)
    return to_job(application, application.jobs.ask(actor, job_id, JobEvent(event)))


@router.post("/{job_id}/priority")
def prefer(
    job_id: Number, actor: CurrentActor, application: CurrentApplication, priority: Annotated[int, Form()]
) -> Response:
    """Change the priority; the service lets nobody but the owner and administrators."""
    application.jobs.prefer(actor, job_id, priority)
    return RedirectResponse(f"/jobs/{job_id}", status_code=303)


@router.post("/{job_id}/decide")
def decide(
    job_id: Number,
    actor: CurrentActor,
    application: CurrentApplication,
    line: Annotated[int, Form()],
    study: Annotated[str, Form()],
) -> Response:
    """Say which study a row means that was held back; the service lets nobody but the owner and administrators."""
    return to_job(application, application.jobs.decide(actor, job_id, line, study))


def _events(application: Application, actor: Actor, job_id: int, gone: threading.Event) -> Iterator[ServerSentEvent]:
    shown: dict[str, str] = {}
    items = _ItemsNews()
    for job in application.jobs.watch(actor, job_id, beat_s=_BEAT_S, stopped=gone.is_set):
        view, outcome = view_of(application, actor, job), outcome_of(application, actor, job)
        # Why the last attempt failed stays in sight until this one gets on.
        parts = [part for part in _PARTS if part != "outcome" or job.state is not JobState.RUNNING or not job.attempts]
        for part in parts:
            text = fragment(f"jobs/{part}.html", view=view, **outcome)
            if shown.get(part) != text:
                shown[part] = text
                yield ServerSentEvent(event=part, data=text)
        if items.are_due(job):
            yield ServerSentEvent(event="items", data="")


class _ItemsNews:
    """When the page is to ask for the items again: at once when the job's state changes, else now and then."""

    def __init__(self) -> None:
        self._seen: tuple[JobState, int] | None = None
        self._at = 0.0

    def are_due(self, job: Job) -> bool:
        """Whether now; the caller tells the page then."""
        now, seen = time.monotonic(), self._seen
        if seen is not None and (seen == (job.state, job.version) or (seen[0] is job.state and not self._is_time(now))):
            return False
        self._seen, self._at = (job.state, job.version), now
        return True

    def _is_time(self, now: float) -> bool:
        return now - self._at >= _ITEMS_EVERY_S


def _items(application: Application, actor: Actor, job: Job, wanted: str, number: int) -> dict[str, Any]:
    """A page of the items, those that failed if there are any and nothing else is wanted."""
    counts = job.counts
    numbers = {"failed": counts.failed, "held": counts.held, "open": counts.open, "done": counts.done}
    chosen = wanted if wanted in {"all", *numbers} else "failed" if counts.failed else "held" if counts.held else "all"
    states = _ITEM_STATES.get(chosen, ())
    total = numbers.get(chosen, counts.total)
    offset = (number - 1) * ITEMS_SHOWN
    return {
        "items": application.jobs.items(actor, job.id, states, limit=ITEMS_SHOWN, offset=offset),
        "items_chosen": chosen,
        "items_number": number,
        "items_pages": max(1, -(-total // ITEMS_SHOWN)),
        "items_offered": [("all", counts.total), *((name, n) for name, n in numbers.items() if n or name == chosen)],
    }
