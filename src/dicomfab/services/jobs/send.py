"""Send jobs: local studies to a server, an item for each instance (PS3.4 annex B)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dicomfab.access.policy import Action, require
from dicomfab.archive.archive import Archive
from dicomfab.archive.records import StoredInstance
from dicomfab.dimse.scu.store import StoreOutcome
from dicomfab.model.actor import Actor
from dicomfab.model.errors import (
    AccessDenied,
    Conflict,
    DicomFabError,
    Fault,
    InvalidInput,
    NotFound,
    StatusFailure,
    TransferIncomplete,
)
from dicomfab.model.job import ItemOutcome, ItemState, JobItem, JobKind, NewItem, NewJob
from dicomfab.registry.fields import Capability
from dicomfab.registry.registry import Registry
from dicomfab.registry.server import PacsServer
from dicomfab.services.jobs.reports import report_dict, result_of, stopped_with
from dicomfab.services.jobs.run import JobRun, Result
from dicomfab.services.peers import peer_for
from dicomfab.services.progress import Progress
from dicomfab.services.provenance import Provenance
from dicomfab.services.transfer import Earlier, TransferReport, TransferService, Watch, may_write
from dicomfab.services.verification import VerdictKind
from dicomfab.storage.job_queue import ItemBrief, LeaseLost

_OPEN: Final = (ItemState.PENDING, ItemState.UNDER_WAY)
_BATCH: Final = 200  # marked as begun at once: so many at most are sent twice when this process is killed
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
    via: str = "",
    verify_wait_s: float,
    store_id: str,
    priority: int = 5,
    max_attempts: int = 1,
    provenance: Provenance | None = None,
) -> tuple[NewJob, list[NewItem]]:
    """A send to be submitted, after everything that can be refused beforehand has been looked at.

    ``provenance`` judges the studies beforehand; it is asked again in any case when the job's turn has come. ``via`` is
    the way, ``dimse`` or ``web``; blank means the destination's own.

    Raises:
        AccessDenied: STORE at the destination, or EXPORT of a study's own environment, is not allowed; or the
            destination's entry does not allow what a study is made of.
        ConfirmationRequired: the destination is production and that is not confirmed.
        NotFound: no such local study.
        Conflict: sending to this server is switched off.
        InvalidInput: no study is named, or the destination cannot be asked this way.
    """
    destination = destination.by(via)
    if not studies:
        raise InvalidInput("studies: none is named", field="studies", value=[], remedy="name at least one")
    may_write(actor, destination, confirm_production)
    peer_for(destination, Capability.STORE)
    items: list[NewItem] = []
    for study in dict.fromkeys(studies):
        require(actor, Action.EXPORT, local.study(study).summary.environment)
        instances = local.instances(study)
        if provenance is not None:
            provenance.check_send(study, destination, instances)
        items += [NewItem(i.identity.sop_instance_uid, study) for i in instances]
    several = f"{len(set(studies))} studies" if len(set(studies)) > 1 else "a study"
    job = NewJob(
        kind=JobKind.SEND,
        title=f"Send {several} to {destination.name}",
        owner=actor.name,
        roles=tuple(sorted(actor.roles)),
        door=actor.door,
        account_id=actor.account_id,
        environment=str(destination.environment),
        queue=f"pacs:{destination.id}",
        request={
            "destination": destination.id,
            "confirm_production": confirm_production,
            "transcode": transcode,
            "verify_wait_s": verify_wait_s,
            **({"via": via} if via else {}),
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

        A study that fails for a reason of its own, such as that it was deleted, fails with its items, and the next one
        is sent.

        Raises:
            DicomFabError: nothing more could be sent; the items say what was.
        """
        destination = self.registry().get(run.job.request["destination"]).by(run.job.request.get("via", ""))
        reports: list[dict[str, Any]] = []
        refused: list[dict[str, Any]] = []
        gone = 0
        by_study: dict[str, list[ItemBrief]] = {}
        for item in run.briefs():
            by_study.setdefault(item.label, []).append(item)
        for study, items in by_study.items():
            if run.stopped():
                return stopped_with(reports)
            try:
                report, journal = self._study(run, study, items, destination)
            except (NotFound, AccessDenied, Conflict) as error:
                refused.append(error.as_dict())
                _refuse(run, items, error)
                continue
            gone += journal.gone
            reports.append(report_dict(report))
            if report.cancelled or (run.stopped() and report.verdict.kind is VerdictKind.UNVERIFIED):
                return stopped_with(reports)
            if report.error is not None:
                if report.error.transient and run.job.max_attempts > 1:
                    raise report.error
                return result_of(reports, report.error)
            if report.accepted == report.instances:  # else nobody waited for them to be listed
                _withdraw(run, journal.items, report)
        return result_of(reports, _gone(gone) if gone else None, refused=refused)

    def _study(
        self, run: JobRun, study: str, items: list[ItemBrief], destination: PacsServer
    ) -> tuple[TransferReport, _Journal]:
        request, journal = run.job.request, _Journal(run, study, items)
        watch = Watch(
            journal.show,
            run.stopped,
            request["verify_wait_s"],
            on_start=journal.start,
            on_outcome=journal,
            comes_again=run.job.max_attempts > 1,
        )
        with journal:
            report = self.transfers.send(
                run.actor,
                study,
                destination,
                confirm_production=request["confirm_production"],
                transcode=request["transcode"],
                watch=watch,
                earlier=journal.earlier,
            )
            journal.broken_off = report.error
        return report, journal


def _refuse(run: JobRun, items: Sequence[ItemBrief], error: DicomFabError) -> None:
    """Items that are still open can never be sent."""
    detail = {"error": error.as_dict()}
    still_open = [item for item in items if item.state in _OPEN]
    if still_open:
        run.note([ItemOutcome(item.number, ItemState.FAILED, detail=detail) for item in still_open])


def _gone(count: int) -> DicomFabError:
    return TransferIncomplete(
        f"{count} instances were no longer in the local store when their turn came; the others were sent",
        cause="they were deleted, or replaced, after the job was submitted",
        remedy="see them with: dicomfab jobs show; submit a new job for what is there now",
    )


def _withdraw(run: JobRun, items: Sequence[ItemBrief], report: TransferReport) -> None:
    """What the destination took and does not list is not done, and trying again sends it again."""
    missing = set(report.verdict.missing)
    if report.verdict.kind is VerdictKind.MISMATCH and missing:
        error = TransferIncomplete(
            f"{report.destination} answered success and does not list it", cause="it did not keep the instance"
        )
        detail = {"error": error.as_dict()}
        unlisted = [item for item in items if item.key in missing]
        run.revise([ItemOutcome(item.number, ItemState.FAILED, detail=detail) for item in unlisted])


class _Journal:
    """Notes what is sent of a study, some instances at a time, those that come next marked before they go.

    Args:
        run: the job.
        study: Study Instance UID.
        items: of the study.
    """

    def __init__(self, run: JobRun, study: str, items: Sequence[ItemBrief]) -> None:
        self.items = items
        self.gone = 0
        self.broken_off: DicomFabError | None = None
        self._run = run
        self._study = study
        self._comes_again = run.job.max_attempts > 1
        self._open: list[int] = []  # numbers of items, in the order in which they are sent
        self._places: dict[str, tuple[int, int]] = {}  # SOP instance UID -> position in it, and bytes
        self._ended: list[ItemOutcome] = []
        self._begun = 0
        self._taken = 0  # one more than the last position that was answered for
        self._answered: set[int] = set()  # positions; a group that is sent in parts is answered out of order
        self._noted = time.monotonic()
        done = [item for item in items if item.state is ItemState.DONE]
        failed = any(item.state is ItemState.FAILED for item in items)
        reasons = (
            {one.key: _reason(one) for one in run.items((ItemState.FAILED,)) if one.label == study} if failed else {}
        )
        was_begun = any(item.attempts for item in items)
        resent = sum(item.resent + (item.state is ItemState.UNDER_WAY) for item in items)
        self.earlier = Earlier(frozenset(item.key for item in done), reasons, resent) if was_begun else None

    def start(self, instances: Sequence[StoredInstance]) -> None:
        """These will be sent, in this order: what the study holds now, without what was dealt with before."""
        uids = [instance.identity.sop_instance_uid for instance in instances]
        known = {item.key: item for item in self.items}
        if new := [NewItem(uid, self._study) for uid in uids if uid not in known]:
            self._run.add_items(new)
            self.items = [item for item in self._run.briefs() if item.label == self._study]
            known = {item.key: item for item in self.items}
        wanted = set(uids)
        gone = [item for item in self.items if item.state in _OPEN and item.key not in wanted]
        _refuse(self._run, gone, NotFound("the instance is no longer in the local store", cause="somebody deleted it"))
        self.gone = len(gone)
        self._open = [known[uid].number for uid in uids]
        self._places = {uid: (n, one.size_bytes) for n, (uid, one) in enumerate(zip(uids, instances, strict=True))}
        self._note()

    def __enter__(self) -> _Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DicomFabError):
            self.broken_off = self.broken_off or error
        if kind is None or (issubclass(kind, Exception) and kind is not LeaseLost):
            self._leave()

    def __call__(self, outcome: StoreOutcome) -> None:
        """One instance was answered for."""
        position, size_bytes = self._places[outcome.instance.identity.sop_instance_uid]
        self._ended.append(_ended(self._open[position], outcome, size_bytes, comes_again=self._comes_again))
        self._answered.add(position)
        self._taken = max(self._taken, position + 1)
        if len(self._ended) >= _BATCH - _ON_THE_WAY or time.monotonic() - self._noted >= _BATCH_S:
            self._note()

    def show(self, progress: Progress) -> None:
        """Sending is shown by what is noted; what comes after it, by itself."""
        if progress.stage != "sending":
            self._run.progress(progress)
        elif progress.done == 0:
            self._run.stage(progress.stage)

    def _note(self) -> None:
        last = min(self._taken + _BATCH, len(self._open))
        begin = self._open[self._begun : last]
        ended, self._ended = self._ended, []
        if ended or begin:
            self._run.note(ended, begin=begin)
        self._begun = max(self._begun, last)
        self._noted = time.monotonic()

    def _leave(self) -> None:
        """Of the instances that were marked, one may be on its way still; the others have not been sent."""
        unanswered = [position for position in range(self._begun) if position not in self._answered]
        unsent_from = int(self._is_one_on_its_way())
        unsent = [ItemOutcome(self._open[position], ItemState.PENDING) for position in unanswered[unsent_from:]]
        ended, self._ended = self._ended, []
        if ended or unsent:
            self._run.note([*ended, *unsent])

    def _is_one_on_its_way(self) -> bool:
        """Whether sending was broken off without an answer, neither ended in order nor refused beforehand."""
        error = self.broken_off
        return error is not None and error.fault is not Fault.CALLER and not isinstance(error, StatusFailure)


def _ended(number: int, outcome: StoreOutcome, size_bytes: int, *, comes_again: bool) -> ItemOutcome:
    response, error = outcome.response, outcome.error
    status = f"{response.status:04X}" if response is not None else ""
    detail: dict[str, Any] = {}
    if outcome.transcoded_to:
        detail["transcoded_to"] = outcome.transcoded_to
    if error is None:
        return ItemOutcome(number, ItemState.DONE, status, detail, size_bytes, int(outcome.resent))
    detail["error"] = error.as_dict()
    state = ItemState.PENDING if comes_again and error.transient else ItemState.FAILED
    return ItemOutcome(number, state, status, detail, 0, int(outcome.resent))


def _reason(item: JobItem) -> str:
    return str(item.detail.get("error", {}).get("what", "refused"))
