"""The command palette: pages, servers, studies, patients, procedures and jobs by a few letters of their names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from dicomfab.access.policy import Action, Scope, decide, visible
from dicomfab.app.build import Application
from dicomfab.archive.records import StudyFilter
from dicomfab.model.actor import Actor
from dicomfab.model.procedure import ProcedureFilter
from dicomfab.registry.fields import Capability
from dicomfab.storage.jobs import JobFilter
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.navigation import groups_for
from dicomfab.web.templating import page, person_name, query_string

_OF_A_KIND = 5
_LONGEST = 200
#: Shorter than this, too much of what is stored would fit.
_SHORTEST = 2

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Choice:
    """One line: where it leads, what it says, what it is."""

    address: str
    label: str
    kind: str
    icon: str
    note: str = ""


@router.get("/palette", dependencies=[permission(Action.OWN_ACCOUNT)])
def palette(request: Request, actor: CurrentActor, application: CurrentApplication, q: str = "") -> Response:
    """What fits the letters, as a fragment."""
    wanted = q.strip()[:_LONGEST]
    has_accounts = not request.app.state.web.asks_nobody
    choices = list(_pages(actor, wanted.casefold(), has_accounts=has_accounts))
    choices += _servers(application, actor, wanted.casefold())
    if len(wanted) >= _SHORTEST:
        choices += [*_studies(application, actor, wanted), *_patients(application, actor, wanted)]
        choices += [*_procedures(application, actor, wanted), *_jobs(application, actor, wanted)]
    return page(request, "fragments/palette.html", {"choices": choices, "wanted": wanted})


def _pages(actor: Actor, wanted: str, *, has_accounts: bool) -> Iterator[Choice]:
    for group in groups_for(actor, has_accounts=has_accounts):
        for entry in group.entries:
            if wanted in entry.label.casefold():
                yield Choice(entry.address, entry.label, "page", entry.icon)
    if "add new pacs".find(wanted) >= 0 and decide(actor, Action.CONFIGURE, Scope.SYSTEM).allowed:
        yield Choice("/pacs/new", "Add New PACS", "page", "plus-lg")


def _servers(application: Application, actor: Actor, wanted: str) -> Iterator[Choice]:
    if not wanted or not visible(actor, Action.VIEW):
        return
    fitting = [s for s in application.pacs.servers(actor) if wanted in f"{s.name} {s.aec} {s.host}".casefold()]
    for server in fitting[:_OF_A_KIND]:
        note = f"{server.aec} · {server.environment}"
        yield Choice(f"/pacs#{server.id}", server.name, "server", "hdd-network", note)
        if server.is_active and server.can(Capability.FIND):
            yield Choice(f"/query?pacs={server.id}", f"Query {server.name}", "server", "search", note)
        yield Choice(f"/doctor?pacs={server.id}", f"Diagnose {server.name}", "server", "heart-pulse", note)


def _studies(application: Application, actor: Actor, wanted: str) -> Iterator[Choice]:
    if not visible(actor, Action.VIEW):
        return
    for study in application.studies.page(actor, StudyFilter(search=wanted), limit=_OF_A_KIND, counted=False).studies:
        label = f"{person_name(study.patient_name) or 'no name'}: {study.description or 'no description'}"
        note = f"{study.patient_id} · {study.environment}"
        yield Choice(f"/studies/{study.study_instance_uid}", label, "study", "collection", note)


def _patients(application: Application, actor: Actor, wanted: str) -> Iterator[Choice]:
    if not decide(actor, Action.VIEW, Scope.TEST).allowed:
        return
    for patient in application.patients.page(actor, wanted, limit=_OF_A_KIND).patients:
        data = patient.data.patient
        yield Choice(
            f"/patients?{query_string({'q': data.patient_id})}",
            person_name(data.name),
            "patient",
            "person",
            data.patient_id,
        )


def _procedures(application: Application, actor: Actor, wanted: str) -> Iterator[Choice]:
    if not visible(actor, Action.VIEW):
        return
    for one in application.ordering.schedule.page(actor, ProcedureFilter(search=wanted), limit=_OF_A_KIND).procedures:
        name = person_name(one.value("PatientName")) or "no name"
        label = f"{name}: {one.value('RequestedProcedureDescription') or 'no description'}"
        note = f"{one.accession_number} · {one.environment}"
        yield Choice(f"/procedures/{one.number}", label, "procedure", "calendar2-check", note)


def _jobs(application: Application, actor: Actor, wanted: str) -> Iterator[Choice]:
    for job in application.jobs.page(actor, JobFilter(search=wanted), limit=_OF_A_KIND).jobs:
        yield Choice(f"/jobs/{job.id}", job.title, "job", "list-task", str(job.state))
