"""Verify jobs: an item for each study that two places are to hold alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dicomfab.model.actor import Actor
from dicomfab.model.errors import DicomFabError, DiskFull, Interrupted, InvalidInput
from dicomfab.model.job import ItemOutcome, ItemState, Job, JobItem, JobKind, NewItem, NewJob
from dicomfab.model.values import Environment, uid
from dicomfab.registry.registry import Registry
from dicomfab.registry.server import PacsServer
from dicomfab.services.comparing import allowed_keywords
from dicomfab.services.jobs.reports import report_dict, result_of, stopped_with
from dicomfab.services.jobs.run import JobRun, Result
from dicomfab.services.jobs.service import priority_of
from dicomfab.services.verification import VerdictKind
from dicomfab.services.verifying import LOCAL_STORE, Asked, Verification, VerifyService
from dicomfab.storage.jobs import JobRepository


def verify_job(
    actor: Actor,
    service: VerifyService,
    studies: Sequence[str],
    source: PacsServer | None,
    destination: PacsServer,
    *,
    deep: bool = False,
    allow: Sequence[str] = (),
    store_id: str,
    priority: int = 5,
    max_attempts: int = 1,
) -> tuple[NewJob, list[NewItem]]:
    """A verification to be submitted, after everything that can be refused beforehand has been looked at.

    Args:
        actor: see :meth:`VerifyService.check`.
        service: verifies.
        studies: Study Instance UIDs.
        source: where the studies are as they should be; ``None`` for the local store.
        destination: the server to look at.
        deep: retrieve and compare attributes and pixels as well.
        allow: keywords of attributes that may differ, beside those that always may.
        store_id: of the local store.
        priority: 1 (first) to 9.
        max_attempts: how often in a row it is begun when it ends with a failure that may pass.

    Raises:
        AccessDenied: no QUERY at a server, or no RETRIEVE if it is to be deep, or no VIEW of a local study.
        NotFound: no such local study.
        InvalidInput: a UID or a keyword that is none, no study is named, or both sides are the same server.
    """
    if not studies:
        raise InvalidInput("studies: none is named", field="studies", value=[], remedy="name at least one")
    if source == destination:
        raise InvalidInput(
            f"at: {destination.name} is also the source",
            field="at",
            value=destination.id,
            remedy="name two different places",
        )
    allowed_keywords(tuple(allow))
    keys = list(dict.fromkeys(uid(study, field="study") for study in studies))
    environment = _checked(actor, service, [Asked(key, source, destination, deep=deep) for key in keys])
    several = f"{len(keys)} studies" if len(keys) > 1 else "a study"
    where = LOCAL_STORE if source is None else source.name
    job = NewJob(
        kind=JobKind.VERIFY,
        title=f"Verify {several} of {where} at {destination.name}",
        owner=actor.name,
        roles=tuple(sorted(actor.roles)),
        door=actor.door,
        account_id=actor.account_id,
        environment=str(environment),
        queue=f"pacs:{destination.id}",
        request={
            "source": source.id if source else None,
            "destination": destination.id,
            "deep": deep,
            "allow": list(allow),
        },
        store_id="" if source else store_id,
        priority=priority,
        max_attempts=max_attempts,
    )
    return job, [NewItem(key, key) for key in keys]


def _checked(actor: Actor, service: VerifyService, studies: Sequence[Asked]) -> Environment:
    """Whether all may be asked for, and who may see what is found: production if any side or study belongs there."""
    found: set[Environment] = set()
    for asked in studies:
        service.check(actor, asked)
        found.update(server.environment for server in asked.servers)
        if asked.source is None:
            found.add(service.local.study(asked.study_instance_uid).summary.environment)
    return Environment.PROD if Environment.PROD in found else Environment.TEST


@dataclass(frozen=True, slots=True)
class VerifyJobs:
    """Submits verify jobs.

    Args:
        ledger: where jobs are kept.
        service: verifies.
        store_id: identity of the local store.
    """

    ledger: JobRepository
    service: VerifyService
    store_id: Callable[[], str]

    def submit(
        self,
        actor: Actor,
        studies: Sequence[str],
        source: PacsServer | None,
        destination: PacsServer,
        *,
        deep: bool = False,
        allow: Sequence[str] = (),
        priority: int = 5,
        max_attempts: int = 1,
    ) -> Job:
        """Submit studies to be verified; see :func:`verify_job`."""
        new, items = verify_job(
            actor,
            self.service,
            studies,
            source,
            destination,
            deep=deep,
            allow=allow,
            store_id=self.store_id(),
            priority=priority_of(priority),
            max_attempts=max_attempts,
        )
        return self.ledger.find(self.ledger.submit(new, items))


@dataclass(frozen=True, slots=True)
class VerifyExecutor:
    """Does verify jobs.

    Args:
        service: verifies.
        registry: the servers as they are now.
    """

    service: VerifyService
    registry: Callable[[], Registry]

    def __call__(self, run: JobRun) -> Result:
        """Verify study after study; what could not be verified counts as failed, so that a retry looks again.

        Raises:
            DiskFull: no space for what is retrieved.
            PeerError: a side could not be asked, for a reason that may pass, and somebody comes again.
        """
        for item in run.open_items():
            if run.stopped():
                return stopped_with(_reports(run))
            run.note([], begin=[item.number])
            try:
                found = self._verify(run, item)
            except (Interrupted, DiskFull) as error:
                run.note([ItemOutcome(item.number, ItemState.PENDING)])
                if isinstance(error, DiskFull):
                    raise
                return stopped_with(_reports(run))
            except DicomFabError as error:
                run.note([ItemOutcome(item.number, ItemState.FAILED, detail={"error": error.as_dict()})])
                continue
            broken_off = found.report.error
            if broken_off is not None and broken_off.transient and run.job.max_attempts > 1:
                run.note([ItemOutcome(item.number, ItemState.PENDING)])
                raise broken_off
            is_so = found.report.verdict.kind is VerdictKind.VERIFIED
            state = ItemState.DONE if is_so else ItemState.FAILED
            run.note([ItemOutcome(item.number, state, detail={"report": verification_dict(found)})])
        refused = [item.detail["error"] for item in run.items((ItemState.FAILED,)) if "error" in item.detail]
        return result_of(_reports(run), refused=refused)

    def _verify(self, run: JobRun, item: JobItem) -> Verification:
        request, registry = run.job.request, self.registry()
        source = registry.get(request["source"]) if request["source"] else None
        destination = registry.get(request["destination"])
        allowed = allowed_keywords(tuple(request["allow"]))
        return self.service.verify(
            run.actor,
            Asked(item.key, source, destination, deep=request["deep"], allowed=allowed),
            name=f"job-{run.job.id}",
            on_progress=run.progress,
            cancelled=run.stopped,
        )


def verification_dict(found: Verification) -> dict[str, Any]:
    """A verification as plain values: the report of a transfer with ``series`` and ``compared``."""
    plain = report_dict(found.report)
    plain["series"] = [dataclasses.asdict(one) for one in found.series]
    compared = found.compared
    plain["compared"] = None
    if compared is not None:
        plain["compared"] = {
            "instances": compared.instances,
            "differences": [
                {**dataclasses.asdict(one.difference), "instances": one.instances, "first": one.first}
                for one in compared.differences
            ],
            "not_listed": compared.not_listed,
            "pixels": {key: list(hashes) for key, hashes in compared.pixels.items()},
            "unreadable": dict(compared.unreadable),
        }
    return plain


def _reports(run: JobRun) -> list[dict[str, Any]]:
    ended = run.items((ItemState.DONE, ItemState.FAILED))
    return [item.detail["report"] for item in ended if "report" in item.detail]
