"""Move and get jobs: an item for each study that a source is asked for (PS3.4 C.4.2, C.4.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dicomfab.access.policy import Action, require
from dicomfab.model.actor import Actor
from dicomfab.model.errors import DicomFabError, InvalidInput
from dicomfab.model.job import ItemOutcome, ItemState, JobItem, JobKind, NewItem, NewJob
from dicomfab.model.values import Environment, uid
from dicomfab.registry.fields import Capability
from dicomfab.registry.registry import Registry
from dicomfab.registry.server import PacsServer
from dicomfab.services.jobs.reports import report_dict, result_of
from dicomfab.services.jobs.run import JobRun, Result
from dicomfab.services.peers import peer_for
from dicomfab.services.transfer import TransferReport, TransferService, Watch, may_write
from dicomfab.services.verification import VerdictKind


def move_job(
    actor: Actor,
    registry: Registry,
    studies: Sequence[str],
    source: PacsServer,
    destination: PacsServer,
    *,
    confirm_production: bool = False,
    verify_wait_s: float,
    priority: int = 5,
    max_attempts: int = 1,
) -> tuple[NewJob, list[NewItem]]:
    """A move to be submitted, after everything that can be refused beforehand has been looked at.

    Raises:
        AccessDenied: STORE is not allowed in the environment of one of the ends.
        ConfirmationRequired: the destination is production and that is not confirmed.
        RouteMissing: the source has no name for the destination.
        Conflict: C-MOVE is switched off for the source.
        InvalidInput: a UID that is none, or no study is named.
    """
    require(actor, Action.STORE, source.environment)
    may_write(actor, destination, confirm_production)
    peer_for(source, Capability.MOVE)
    registry.route(source.id, destination.id)
    return _job(
        actor,
        JobKind.MOVE,
        f"from {source.name} to {destination.name}",
        studies,
        source,
        environments=(source.environment, destination.environment),
        request={
            "source": source.id,
            "destination": destination.id,
            "confirm_production": confirm_production,
            "verify_wait_s": verify_wait_s,
        },
        store_id="",
        priority=priority,
        max_attempts=max_attempts,
    )


def get_job(
    actor: Actor,
    studies: Sequence[str],
    source: PacsServer,
    *,
    store_id: str,
    priority: int = 5,
    max_attempts: int = 1,
) -> tuple[NewJob, list[NewItem]]:
    """A get into the local store, to be submitted.

    Raises:
        AccessDenied: RETRIEVE is not allowed in the source's environment.
        InvalidInput: a UID that is none, or no study is named.
    """
    require(actor, Action.RETRIEVE, source.environment)
    return _job(
        actor,
        JobKind.GET,
        f"from {source.name}",
        studies,
        source,
        environments=(source.environment,),
        request={"source": source.id},
        store_id=store_id,
        priority=priority,
        max_attempts=max_attempts,
    )


def _job(
    actor: Actor,
    kind: JobKind,
    where: str,
    studies: Sequence[str],
    source: PacsServer,
    *,
    environments: Sequence[Environment],
    request: dict[str, Any],
    store_id: str,
    priority: int,
    max_attempts: int,
) -> tuple[NewJob, list[NewItem]]:
    if not studies:
        raise InvalidInput("studies: none is named", field="studies", value=[], remedy="name at least one")
    items = [NewItem(study, study) for study in dict.fromkeys(uid(study, field="study") for study in studies)]
    several = f"{len(items)} studies" if len(items) > 1 else "a study"
    job = NewJob(
        kind=kind,
        title=f"{str(kind).capitalize()} {several} {where}",
        owner=actor.name,
        roles=tuple(sorted(actor.roles)),
        door=actor.door,
        environment=str(Environment.PROD if Environment.PROD in environments else Environment.TEST),
        queue=f"pacs:{source.id}",
        request=request,
        store_id=store_id,
        priority=priority,
        max_attempts=max_attempts,
    )
    return job, items


@dataclass(frozen=True, slots=True)
class RetrieveExecutor:
    """Does move and get jobs.

    Args:
        transfers: asks the source, and verifies.
        registry: the servers and routes as they are now.
    """

    transfers: TransferService
    registry: Callable[[], Registry]

    def __call__(self, run: JobRun) -> Result:
        """Ask for study after study.

        A study that fails for a reason of its own fails as an item, and the next one is asked for. A failure that may
        pass ends the run.

        Raises:
            DicomFabError: a failure that may pass, and somebody comes again; the items say what was done.
        """
        for item in run.open_items():
            if run.stopped():
                return Result(None)
            run.note([], begin=[item.number])
            try:
                report = self._transfer(run, item)
            except DicomFabError as error:
                if error.transient and run.job.max_attempts > 1:
                    raise
                run.note([ItemOutcome(item.number, ItemState.FAILED, _status(error), {"error": error.as_dict()})])
                if run.job.counts.total == 1:
                    raise
                continue
            if report.cancelled:
                run.note([ItemOutcome(item.number, ItemState.PENDING, detail={"report": report_dict(report)})])
                return Result(None)
            run.note([_outcome(item, report)])
        return _result(run)

    def _transfer(self, run: JobRun, item: JobItem) -> TransferReport:
        request, registry = run.job.request, self.registry()
        source = registry.get(request["source"])
        watch = Watch(run.progress, run.stopped, request.get("verify_wait_s", 0.0))
        if run.job.kind is JobKind.GET:
            return self.transfers.get(run.actor, item.key, source, watch=watch)
        destination = registry.get(request["destination"])
        return self.transfers.move(
            run.actor,
            item.key,
            source,
            destination,
            registry.route(source.id, destination.id),
            confirm_production=request["confirm_production"],
            watch=watch,
        )


def _outcome(item: JobItem, report: TransferReport) -> ItemOutcome:
    is_complete = report.verdict.kind is not VerdictKind.MISMATCH and report.error is None
    return ItemOutcome(
        item.number,
        ItemState.DONE if is_complete else ItemState.FAILED,
        detail={"report": report_dict(report)},
        size_bytes=report.size_bytes or 0,
        resent=report.resent,
    )


def _result(run: JobRun) -> Result:
    ended = run.items((ItemState.DONE, ItemState.FAILED))
    reports = [item.detail["report"] for item in ended if "report" in item.detail]
    refused = [item.detail["error"] for item in ended if "error" in item.detail]
    result = result_of(reports)
    if not refused:
        return result
    first = refused[0]
    error = DicomFabError(
        f"{len(refused)} of {len(ended)} studies could not be asked for; the first: {first['what']}",
        cause=first["cause"],
        remedy=first["remedy"],
    )
    return result_of(reports, error)


def _status(error: DicomFabError) -> str:
    status = getattr(error, "status", None)
    return f"{status:04X}" if isinstance(status, int) else ""
