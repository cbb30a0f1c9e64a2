"""Send jobs: local studies to a server, an item for each instance (PS3.4 annex B)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from dicomfab.access.policy import Action, require
from dicomfab.archive.archive import Archive
from dicomfab.dimse.scu.store import StoreOutcome
from dicomfab.model.actor import Actor
from dicomfab.model.errors import InvalidInput
from dicomfab.model.job import ItemOutcome, ItemState, JobItem, JobKind, NewItem, NewJob
from dicomfab.registry.fields import Capability
from dicomfab.registry.registry import Registry
from dicomfab.registry.server import PacsServer
from dicomfab.services.jobs.reports import report_dict, result_of
from dicomfab.services.jobs.run import JobRun, Result
from dicomfab.services.peers import peer_for
from dicomfab.services.progress import Progress
from dicomfab.services.transfer import Earlier, TransferReport, TransferService, Watch, may_write

_BATCH: Final = 100
_ON_THE_WAY: Final = 2  # instances beyond the newest outcome: one sent, one ready to go
_BATCH_S: Final = 0.5


def send_job(
    actor: Actor,
    local: Archive,
    studies: Sequence[str],
    destination: PacsServer,
    *,
    confirm_production: bool = False,
    transcode: bool = True,
    verify_wait_s: float,
    store_id: str,
    priority: int = 5,
    max_attempts: int = 1,
) -> tuple[NewJob, list[NewItem]]:
    """A send to be submitted, after everything that can be refused beforehand has been looked at.

    Raises:
        AccessDenied: STORE at the destination, or EXPORT of a study's own environment, is not allowed.
        ConfirmationRequired: the destination is production and that is not confirmed.
        NotFound: no such local study.
        Conflict: sending to this server is switched off.
        InvalidInput: no study is named.
    """
    if not studies:
        raise InvalidInput("studies: none is named", field="studies", value=[], remedy="name at least one")
    may_write(actor, destination, confirm_production)
    peer_for(destination, Capability.STORE)
    items: list[NewItem] = []
    for study in dict.fromkeys(studies):
        require(actor, Action.EXPORT, local.study(study).summary.environment)
        items += [NewItem(i.identity.sop_instance_uid, study) for i in local.instances(study)]
    several = f"{len(set(studies))} studies" if len(set(studies)) > 1 else "a study"
    job = NewJob(
        kind=JobKind.SEND,
        title=f"Send {several} to {destination.name}",
        owner=actor.name,
        roles=tuple(sorted(actor.roles)),
        door=actor.door,
        environment=str(destination.environment),
        queue=f"pacs:{destination.id}",
        request={
            "destination": destination.id,
            "confirm_production": confirm_production,
            "transcode": transcode,
            "verify_wait_s": verify_wait_s,
        },
        store_id=store_id,
        priority=priority,
        max_attempts=max_attempts,
    )
    return job, items


@dataclass(frozen=True, slots=True)
class SendExecutor:
    """Does send jobs.

    Args:
        transfers: sends a study, and verifies.
        registry: the servers as they are now.
    """

    transfers: TransferService
    registry: Callable[[], Registry]

    def __call__(self, run: JobRun) -> Result:
        """Send study after study, going on where an earlier attempt ended.

        Raises:
            DicomFabError: nothing more could be sent; the items say what was.
        """
        destination = self.registry().get(run.job.request["destination"])
        reports: list[dict[str, Any]] = []
        for study, group in groupby(run.items(), key=lambda item: item.label):
            if run.stopped():
                return Result(None)
            report = self._study(run, study, list(group), destination)
            if report.cancelled:
                return Result(None)
            if report.error is not None and report.error.transient and run.job.max_attempts > 1:
                raise report.error
            reports.append(report_dict(report))
            if report.error is not None:
                return result_of(reports, report.error)
        return result_of(reports)

    def _study(self, run: JobRun, study: str, items: list[JobItem], destination: PacsServer) -> TransferReport:
        request, journal = run.job.request, _Journal(run, items)
        watch = Watch(
            journal.show,
            run.stopped,
            request["verify_wait_s"],
            on_outcome=journal,
            comes_again=run.job.max_attempts > 1,
        )
        with journal:
            return self.transfers.send(
                run.actor,
                study,
                destination,
                confirm_production=request["confirm_production"],
                transcode=request["transcode"],
                watch=watch,
                earlier=journal.earlier,
            )


class _Journal:
    """Notes what is sent of a study, some instances at a time, those that come next marked before they go."""

    def __init__(self, run: JobRun, items: Sequence[JobItem]) -> None:
        self._run = run
        self._open = [item for item in items if item.state in (ItemState.PENDING, ItemState.UNDER_WAY)]
        self._numbers = {item.key: item.number for item in self._open}
        self._ended: list[ItemOutcome] = []
        self._begun = 0
        self._taken = 0
        self._noted = time.monotonic()
        done = [item for item in items if item.state is ItemState.DONE]
        failed = [item for item in items if item.state is ItemState.FAILED]
        was_begun = any(item.attempts for item in items)
        resent = sum(item.resent + (item.state is ItemState.UNDER_WAY) for item in items)
        self.earlier = (
            Earlier(frozenset(item.key for item in done), {item.key: _reason(item) for item in failed}, resent)
            if was_begun
            else None
        )

    def __enter__(self) -> _Journal:
        self._note()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None or issubclass(kind, Exception):
            self._leave()

    def __call__(self, outcome: StoreOutcome) -> None:
        """One instance was answered for."""
        number = self._numbers[outcome.instance.identity.sop_instance_uid]
        self._ended.append(_ended(number, outcome))
        self._taken += 1
        if len(self._ended) >= _BATCH or time.monotonic() - self._noted >= _BATCH_S:
            self._note()

    def show(self, progress: Progress) -> None:
        """Sending is shown by what is noted; what comes after it, by itself."""
        if progress.stage != "sending":
            self._run.progress(progress)
        elif progress.done == 0:
            self._run.stage(progress.stage)

    def _note(self) -> None:
        last = min(self._taken + _BATCH + _ON_THE_WAY, len(self._open))
        begin = [item.number for item in self._open[self._begun : last]]
        ended, self._ended = self._ended, []
        if ended or begin:
            self._run.note(ended, begin=begin)
        self._begun = max(self._begun, last)
        self._noted = time.monotonic()

    def _leave(self) -> None:
        """Of the instances that were marked, one may be on its way still; the others have not been sent."""
        unsent = [ItemOutcome(item.number, ItemState.PENDING) for item in self._open[self._taken + 1 : self._begun]]
        ended, self._ended = self._ended, []
        if ended or unsent:
            self._run.note([*ended, *unsent])


def _ended(number: int, outcome: StoreOutcome) -> ItemOutcome:
    detail: dict[str, Any] = {}
    if outcome.transcoded_to:
        detail["transcoded_to"] = outcome.transcoded_to
    if outcome.error is not None:
        detail["error"] = outcome.error.as_dict()
    response = outcome.response
    return ItemOutcome(
        number,
        ItemState.DONE if outcome.accepted else ItemState.FAILED,
        status=f"{response.status:04X}" if response is not None else "",
        detail=detail,
        size_bytes=outcome.instance.path.stat().st_size if outcome.accepted else 0,
        resent=int(outcome.resent),
    )


def _reason(item: JobItem) -> str:
    return str(item.detail.get("error", {}).get("what", "refused"))
