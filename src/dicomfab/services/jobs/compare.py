"""Compare jobs: what two servers hold, side by side; an item for each study that is not the same on both.

What a comparison found out can be made good with one move job; see :meth:`CompareJobs.fix`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from dicomfab.access.policy import Action, require
from dicomfab.model.actor import Actor
from dicomfab.model.errors import Conflict, InvalidInput, RouteMissing
from dicomfab.model.job import ItemState, Job, JobItem, JobKind, JobState, NewItem, NewJob
from dicomfab.model.query import DEFAULT_LIMIT, Level
from dicomfab.model.values import Environment
from dicomfab.registry.fields import Capability
from dicomfab.registry.registry import Registry
from dicomfab.registry.server import PacsServer
from dicomfab.services.jobs.listed import SEPARATOR
from dicomfab.services.jobs.retrieve import move_job
from dicomfab.services.jobs.service import DEFAULTS, JobService, Options, priority_of
from dicomfab.services.peers import peer_for
from dicomfab.services.query import check
from dicomfab.services.study_filter import StudyFilter

#: How the two sides are called in items and reports.
SIDES: Final = ("a", "b")
OTHER: Final[Mapping[str, str]] = {"a": "b", "b": "a"}
#: Fields of a search that a comparison can be narrowed with; servers match other texts each in its own way.
FILTERS: Final = ("patient_id", "accession_number", "date", "date_from", "date_to", "modality", "study_instance_uid")
_READ_AT_ONCE: Final = 1000


def compare_job(
    actor: Actor,
    a: PacsServer,
    b: PacsServer,
    wanted: StudyFilter,
    *,
    instances: bool = False,
    priority: int = 5,
    max_attempts: int = 1,
) -> tuple[NewJob, list[NewItem]]:
    """A comparison to be submitted, after everything that can be refused beforehand has been looked at.

    Args:
        actor: may QUERY at both servers.
        a: one server.
        b: the other.
        wanted: which studies, by the fields of :data:`FILTERS`; all of them if it is blank.
        instances: list the instances of every study, not only of those whose counts differ or are not told.
        priority: 1 (first) to 9.
        max_attempts: how often in a row it is begun when it ends with a failure that may pass.

    Raises:
        AccessDenied: no QUERY at a server.
        Conflict: C-FIND is switched off for one.
        InvalidInput: both are the same server, a field cannot be used, or it is too wide for a production server.
    """
    if a.id == b.id:
        raise InvalidInput(
            f"b: {b.name} is also the other server",
            field="b",
            value=b.id,
            cause="a server holds what it holds",
            remedy="name two different servers",
        )
    for server in (a, b):
        require(actor, Action.QUERY, server.environment)
        peer_for(server, Capability.FIND)
    _only_known(wanted)
    check(actor, [a, b], wanted, DEFAULT_LIMIT)
    is_prod = Environment.PROD in (a.environment, b.environment)
    job = NewJob(
        kind=JobKind.COMPARE,
        title=f"Compare {a.name} with {b.name}",
        owner=actor.name,
        roles=tuple(sorted(actor.roles)),
        door=actor.door,
        account_id=actor.account_id,
        environment=str(Environment.PROD if is_prod else Environment.TEST),
        queue=f"pacs:{a.id}",
        request={
            "a": a.id,
            "b": b.id,
            "filter": {**asdict(wanted), "keys": []},
            "instances": instances,
        },
        priority=priority,
        max_attempts=max_attempts,
    )
    return job, []


def _only_known(wanted: StudyFilter) -> None:
    if wanted.query_level is not Level.STUDY or wanted != StudyFilter(**{f: getattr(wanted, f) for f in FILTERS}):
        raise InvalidInput(
            "filter: a comparison cannot be narrowed with this",
            field="filter",
            cause="servers match names and descriptions each in its own way, so that what they list differs by that",
            remedy=f"use {', '.join(FILTERS)}",
        )


@dataclass(frozen=True, slots=True)
class CompareJobs:
    """Submits compare jobs, and moves by what they found.

    Args:
        jobs: all jobs.
        registry: servers and routes.
    """

    jobs: JobService
    registry: Callable[[], Registry]

    def submit(
        self,
        actor: Actor,
        a: PacsServer,
        b: PacsServer,
        wanted: StudyFilter,
        *,
        instances: bool = False,
        priority: int = 5,
        max_attempts: int = 1,
    ) -> Job:
        """Submit a comparison; see :func:`compare_job`."""
        new, items = compare_job(
            actor,
            a,
            b,
            wanted,
            instances=instances,
            priority=priority_of(priority),
            max_attempts=max_attempts,
        )
        return self.jobs.ledger.find(self.jobs.ledger.submit(new, items))

    def show(self, actor: Actor, job_id: int) -> Job:
        """A comparison.

        Raises:
            NotFound: there is no such job, or it is of an environment that the actor does not see.
            InvalidInput: it is a job of another kind.
        """
        found = self.jobs.show(actor, job_id)
        if found.kind is not JobKind.COMPARE:
            raise InvalidInput(
                f"job: {job_id} is no comparison but: {found.title}",
                field="job",
                value=job_id,
                remedy="find the number: dicomfab jobs list --kind compare",
            )
        return found

    def findings(self, actor: Actor, job: Job, *, most: int | None = None) -> dict[str, list[JobItem]]:
        """What a comparison found: items by kind, ``only_a``, ``only_b`` and ``differs``.

        Args:
            actor: sees the job.
            job: a comparison that has come to its end.
            most: of each kind, the first ones; all of them if left out.
        """
        told = job.report["comparison"]
        numbers = {"only_a": told["a"]["only"], "only_b": told["b"]["only"], "differs": told["differ"]}
        left = {kind: number if most is None else min(number, most) for kind, number in numbers.items()}
        found: dict[str, list[JobItem]] = {kind: [] for kind in left}
        offset = 0
        while any(left.values()):
            items = self.jobs.items(actor, job.id, (ItemState.DONE,), limit=_READ_AT_ONCE, offset=offset)
            for item in items:
                kind = item.detail["kind"]
                if left.get(kind):
                    found[kind].append(item)
                    left[kind] -= 1
            if len(items) < _READ_AT_ONCE:
                break
            offset += _READ_AT_ONCE
        return found

    def fix(
        self,
        actor: Actor,
        job_id: int,
        destination: PacsServer,
        *,
        confirm_production: bool = False,
        options: Options = DEFAULTS,
    ) -> Job:
        """Submit one move job that sends a server what it lacks: whole studies, or the series that lack an instance.

        Attributes that differ stay as they are: which of the two is right is for a person to say.

        Args:
            actor: may STORE at both servers.
            job_id: a comparison that has ended well.
            destination: which of its two servers is to receive.
            confirm_production: yes, write to a production server.
            options: as for all transfers.

        Raises:
            NotFound: no such comparison, or a server of it is there no more.
            InvalidInput: the destination is none of its servers.
            Conflict: it has not ended well, or nothing is missing at the destination.
            AccessDenied, ConfirmationRequired, RouteMissing: as :func:`~dicomfab.services.jobs.retrieve.move_job`.
        """
        job = self.show(actor, job_id)
        side = next((one for one in SIDES if job.request[one] == destination.id), None)
        if side is None:
            raise InvalidInput(
                f"to: {destination.name} is none of the two servers of job {job.id}",
                field="to",
                value=destination.id,
                remedy=f"use {job.request['a']} or {job.request['b']}",
            )
        if job.state is not JobState.SUCCEEDED:
            raise Conflict(
                f"job {job.id} is {job.state}: what it would find is not all known",
                cause="a comparison that did not come to its end says nothing of what it did not see",
                remedy=f"wait for it, or see why it failed: dicomfab jobs show {job.id}",
            )
        registry = self.registry()
        source = registry.get(job.request[OTHER[side]])
        keys = missing_keys(self.jobs.every_item(actor, job.id), side)
        if not keys:
            raise Conflict(
                f"nothing is missing at {destination.name}; nothing was sent",
                cause=f"job {job.id} found nothing that only {source.name} has",
                remedy="attributes that differ are not made alike; to look anew, compare again",
            )
        studies = [key.split(SEPARATOR)[0] for key in keys]
        try:
            new, _ = move_job(
                actor,
                registry,
                studies,
                source,
                destination,
                confirm_production=confirm_production,
                verify_wait_s=options.verify_wait_s,
                priority=priority_of(options.priority),
                max_attempts=options.max_attempts,
                provenance=self.jobs.provenance,
            )
        except RouteMissing as error:
            raise _another_way(error, source, destination) from error
        new = replace(new, title=f"Move {_counted(keys)} from {source.name} to {destination.name}")
        return self.jobs.ledger.find(self.jobs.ledger.submit(new, [NewItem(key, key) for key in keys]))


def missing_keys(items: Iterable[JobItem], side: str) -> list[str]:
    """What a side lacks, as keys of a move job: studies, or ``study/series`` where a part of the study is there."""
    keys: list[str] = []
    for item in items:
        lacks: Mapping[str, Any] | None = item.detail.get("missing", {}).get(side)
        if lacks is None:
            continue
        keys += [f"{item.key}{SEPARATOR}{series}" for series in lacks["series"]] if lacks["series"] else [item.key]
    return keys


def _counted(keys: list[str]) -> str:
    series = sum(SEPARATOR in key for key in keys)
    studies = len(keys) - series
    parts = [f"{studies} {'study' if studies == 1 else 'studies'}"] if studies else []
    return " and ".join(parts + ([f"{series} series"] if series else []))


def _another_way(error: RouteMissing, source: PacsServer, destination: PacsServer) -> RouteMissing:
    """The same with the way around: through the local store."""
    remedy = error.remedy
    if source.can(Capability.GET) and destination.can(Capability.STORE):
        remedy += (
            f". Or go through the local store: dicomfab get STUDY --from {source.id}, "
            f"then dicomfab send STUDY --to {destination.id}"
        )
    return RouteMissing(error.what, cause=error.cause, remedy=remedy)
