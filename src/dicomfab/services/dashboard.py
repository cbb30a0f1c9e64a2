"""Where things stand: how much there is, and what happened last, as far as the actor may see it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dicomfab.access.policy import Action, Scope, decide, visible
from dicomfab.model.actor import Actor
from dicomfab.services.jobs.service import JobService
from dicomfab.services.monitor.service import MonitorService
from dicomfab.services.studies import StudyService
from dicomfab.storage.jobs import JobFilter

if TYPE_CHECKING:
    from dicomfab.services.patients import PatientService


@dataclass(frozen=True, slots=True)
class Holdings:
    """How much the local store has.

    Args:
        patients, studies, series, instances: of the environments that the actor may see.
        size_bytes: of their data sets.
        free_bytes: room that is left on the disk.
        registered_patients: in the registry of patients; ``None`` for those who may not look at it.
    """

    patients: int
    studies: int
    series: int
    instances: int
    size_bytes: int
    free_bytes: int
    registered_patients: int | None


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened.

    Args:
        at: when, with time zone.
        kind: ``job``, ``server`` or ``study``.
        key: the job's number, the server's id or the Study Instance UID.
        title: what it is about, for people.
        state: of the job or of the server; empty for a study, which was stored.
        environment: that it belongs to.
    """

    at: datetime
    kind: str
    key: str
    title: str
    state: str
    environment: str


class DashboardService:
    """What the first page tells.

    Args:
        studies: the local store.
        patients: the registry of patients.
        jobs: the jobs.
        monitoring: what is known of the servers.
        store: folder of the local store.
    """

    def __init__(
        self, studies: StudyService, patients: PatientService, jobs: JobService, monitoring: MonitorService, store: Path
    ) -> None:
        self._studies = studies
        self._patients = patients
        self._jobs = jobs
        self._monitoring = monitoring
        self._store = store

    def holdings(self, actor: Actor) -> Holdings:
        """How much there is for this actor."""
        seen = visible(actor, Action.VIEW)
        held = self._studies.local.storage(None if len(seen) > 1 else seen)
        may_look = decide(actor, Action.VIEW, Scope.TEST).allowed
        return Holdings(
            held.patients,
            held.studies,
            held.series,
            held.instances,
            held.size_bytes,
            shutil.disk_usage(_existing(self._store)).free,
            self._patients.page(actor, limit=1).total if may_look else None,
        )

    def activity(self, actor: Actor, limit: int = 10) -> list[Happening]:
        """What happened last, the newest first: jobs, servers that went down or came up, studies that were stored."""
        jobs = self._jobs.page(actor, JobFilter(), limit=limit).jobs
        happenings = [
            Happening(
                at=job.ended_at or job.started_at or job.created_at,
                kind="job",
                key=str(job.id),
                title=job.title,
                state=str(job.state),
                environment=job.environment,
            )
            for job in jobs
        ]
        servers = {one.server.id: one.server for one in self._monitoring.board(actor, days=1)}
        for event in self._monitoring.events(actor, limit=limit):
            server = servers[event.server_id]
            where = (event.server_id, server.name, str(event.state), str(server.environment))
            happenings.append(Happening(event.at, "server", *where))
        for study in self._studies.page(actor, limit=limit).studies if visible(actor, Action.VIEW) else ():
            name = " ".join(part for part in study.patient_name.partition("=")[0].split("^") if part)
            what = f"{name or study.patient_id or 'no name'}: {study.description or 'no description'}"
            stored = datetime.fromisoformat(study.stored_at)
            happenings.append(Happening(stored, "study", study.study_instance_uid, what, "", str(study.environment)))
        return sorted(happenings, key=lambda one: one.at, reverse=True)[:limit]


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.exists())
