"""Move and get jobs: an item for each study, or series, that a source is asked for (PS3.4 C.4.2, C.4.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from dicomfab.access.policy import Action, require
from dicomfab.model.actor import Actor
from dicomfab.model.errors import (
    DicomFabError,
    DiskFull,
    Interrupted,
    InvalidInput,
    PeerError,
    Recorded,
    TransferIncomplete,
)
from dicomfab.model.job import ItemOutcome, ItemState, JobEvent, JobItem, JobKind, NewItem, NewJob
from dicomfab.model.values import Environment, uid
from dicomfab.registry.fields import Capability
from dicomfab.registry.registry import Registry
from dicomfab.registry.server import PacsServer
from dicomfab.services.jobs.listed import SEPARATOR, Later, Pace, part_of
from dicomfab.services.jobs.reports import report_dict, result_of, stopped_with, verdict_dict
from dicomfab.services.jobs.run import JobRun, Result
from dicomfab.services.listings import instances_held
from dicomfab.services.peers import peer_for
from dicomfab.services.provenance import Provenance
from dicomfab.services.recording import asking_as, listing
from dicomfab.services.study_list import ListedStudy
from dicomfab.services.transfer import Part, TransferReport, TransferService, Watch, may_write
from dicomfab.services.transfer_reports import kept_unknown
from dicomfab.services.verification import Verdict, VerdictKind, verify


def move_job(
    actor: Actor,
    registry: Registry,
    studies: Sequence[str | ListedStudy],
    source: PacsServer,
    destination: PacsServer,
    *,
    series: Sequence[str] = (),
    confirm_production: bool = False,
    verify_wait_s: float,
    priority: int = 5,
    max_attempts: int = 1,
    provenance: Provenance | None = None,
) -> tuple[NewJob, list[NewItem]]:
    """A move to be submitted, after everything that can be refused beforehand has been looked at.

    With ``series``, these Series Instance UIDs of the one study are moved, each as an item. ``provenance`` judges the
    studies that are named by their UIDs beforehand; it is asked for all of them when the job's turn has come.

    Raises:
        AccessDenied: STORE is not allowed in the environment of one of the ends; or the destination's entry does not
            allow what a study is made of.
        ConfirmationRequired: the destination is production and that is not confirmed.
        RouteMissing: the source has no name for the destination.
        Conflict: C-MOVE is switched off for the source.
        InvalidInput: a UID that is none, no study is named, or series of several studies.
    """
    require(actor, Action.STORE, source.environment)
    may_write(actor, destination, confirm_production)
    peer_for(source, Capability.MOVE)
    registry.route(source.id, destination.id)
    items = _items(studies, series)
    if provenance is not None:
        for study in dict.fromkeys(one for one in studies if isinstance(one, str)):
            provenance.check_move_beforehand(study, source, destination)
    return _job(
        actor,
        JobKind.MOVE,
        f"from {source.name} to {destination.name}",
        items,
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
    studies: Sequence[str | ListedStudy],
    source: PacsServer,
    *,
    series: Sequence[str] = (),
    to_look_at: bool = False,
    via: str = "",
    store_id: str,
    priority: int = 5,
    max_attempts: int = 1,
) -> tuple[NewJob, list[NewItem]]:
    """A get into the local store, to be submitted; with ``series``, of these of the one study.

    What is fetched ``to_look_at`` expires. ``via`` is the way, ``dimse`` or ``web``; blank means the source's own.

    Raises:
        AccessDenied: RETRIEVE is not allowed in the source's environment.
        InvalidInput: a UID that is none, no study is named, or series of several studies; or the source cannot be asked
            this way.
    """
    source = source.by(via)
    require(actor, Action.RETRIEVE, source.environment)
    return _job(
        actor,
        JobKind.GET,
        f"from {source.name}{' to look at it' if to_look_at else ''}",
        _items(studies, series),
        source,
        environments=(source.environment,),
        request={
            "source": source.id,
            **({"to_look_at": True} if to_look_at else {}),
            **({"via": via} if via else {}),
        },
        store_id=store_id,
        priority=priority,
        max_attempts=max_attempts,
    )


def _job(
    actor: Actor,
    kind: JobKind,
    where: str,
    items: list[NewItem],
    source: PacsServer,
    *,
    environments: Sequence[Environment],
    request: dict[str, Any],
    store_id: str,
    priority: int,
    max_attempts: int,
) -> tuple[NewJob, list[NewItem]]:
    of_series = SEPARATOR in items[0].key
    several = "a series" if of_series else "a study"
    if len(items) > 1:
        several = f"{len(items)} {'series' if of_series else 'studies'}"
    job = NewJob(
        kind=kind,
        title=f"{str(kind).capitalize()} {several} {where}",
        owner=actor.name,
        roles=tuple(sorted(actor.roles)),
        door=actor.door,
        account_id=actor.account_id,
        environment=str(Environment.PROD if Environment.PROD in environments else Environment.TEST),
        queue=f"pacs:{source.id}",
        request=request,
        store_id=store_id,
        priority=priority,
        max_attempts=max_attempts,
    )
    return job, items


def _items(studies: Sequence[str | ListedStudy], series: Sequence[str]) -> list[NewItem]:
    if not studies:
        raise InvalidInput("studies: none is named", field="studies", value=[], remedy="name at least one")
    if not series:
        return [_item(study) for study in dict.fromkeys(studies)]
    study = studies[0]
    if len(studies) > 1 or isinstance(study, ListedStudy):
        raise InvalidInput(
            f"series: {series[0]} is of one study, and several are named",
            field="series",
            value=list(series),
            cause="a series is named together with its study (PS3.4 C.4.2.2.1)",
            remedy="name the one study",
        )
    keys = [f"{uid(study, field='study')}{SEPARATOR}{uid(one, field='series')}" for one in dict.fromkeys(series)]
    return [NewItem(key, key) for key in keys]


def _item(study: str | ListedStudy) -> NewItem:
    if isinstance(study, ListedStudy):
        return study.item()
    study = uid(study, field="study")
    return NewItem(study, study)


class _Stopped(Exception):
    """An item was stopped before its end; with what is known of it."""

    @property
    def reports(self) -> tuple[dict[str, Any], ...]:
        """None or one."""
        return self.args


@dataclass(frozen=True, slots=True)
class RetrieveExecutor:
    """Does move and get jobs.

    Args:
        transfers: asks the source, and verifies.
        registry: the servers and routes as they are now.
        now: the moment, with time zone.
        stays: told of each study that is fetched for good.
    """

    transfers: TransferService
    registry: Callable[[], Registry]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    stays: Callable[[str], None] = lambda _study_instance_uid: None

    def __call__(self, run: JobRun) -> Result:
        """Ask for study after study.

        A study that fails for a reason of its own fails as an item, and the next one is asked for. A failure that may
        pass ends the run. Studies that were in doubt are looked for again. Rows of a list are looked up first, within
        the hours and the rate that the server permits; those that are decided meanwhile have their turn, too.

        Raises:
            DicomFabError: a failure that may pass, and somebody comes again; the items say what was done.
            DiskFull: the local store takes no more.
        """
        for item in run.items((ItemState.DONE,)):
            if item.detail["report"]["verdict"]["kind"] == VerdictKind.UNVERIFIED and not run.stopped():
                self._look_again(run, item)
        source = self._source(run)
        pace = Pace(source, self.now)
        while still_open := run.open_items():
            for item in still_open:
                try:
                    if item.request:
                        pace.wait(run)
                    if run.stopped():
                        return stopped_with(_reports(run))
                    outcome = self._tried(run, item, source)
                except Later as later:
                    return Result(JobEvent.POSTPONE, not_before=later.not_before)
                except _Stopped as stopped:
                    run.note([ItemOutcome(item.number, ItemState.PENDING)])
                    return stopped_with([*_reports(run), *stopped.reports])
                run.note([outcome])
        return _result(run)

    def _source(self, run: JobRun) -> PacsServer:
        request = run.job.request
        return self.registry().get(request["source"]).by(request.get("via", ""))

    def _tried(self, run: JobRun, item: JobItem, source: PacsServer) -> ItemOutcome:
        """How an item ends."""
        run.note([], begin=[item.number])
        try:
            return self._outcome(run, item, source)
        except DiskFull:
            run.note([ItemOutcome(item.number, ItemState.PENDING)])
            raise
        except Interrupted:
            raise _Stopped from None
        except DicomFabError as error:
            if error.transient and run.job.max_attempts > 1:
                raise
            return ItemOutcome(item.number, ItemState.FAILED, _status(error), {"error": error.as_dict()})

    def _outcome(self, run: JobRun, item: JobItem, source: PacsServer) -> ItemOutcome:
        part = part_of(item, asking_as(self.transfers.record, run.actor, source, self.transfers.find), source)
        if isinstance(part, ItemOutcome):
            return part
        report = self._transfer(run, part, source)
        if report.error is not None and report.error.transient and run.job.max_attempts > 1:
            raise report.error
        if report.cancelled or (run.stopped() and report.verdict.kind is VerdictKind.UNVERIFIED):
            raise _Stopped(report_dict(report))
        return _ended(item, report)

    def _transfer(self, run: JobRun, part: Part, source: PacsServer) -> TransferReport:
        request, registry = run.job.request, self.registry()
        watch = Watch(run.progress, run.stopped, request.get("verify_wait_s", 0.0))
        if run.job.kind is JobKind.GET:
            to_look_at = bool(request.get("to_look_at"))
            if not to_look_at:
                self.stays(part.study_instance_uid)
            return self.transfers.get(
                run.actor,
                part.study_instance_uid,
                source,
                series_instance_uid=part.series_instance_uid,
                to_look_at=to_look_at,
                watch=watch,
            )
        destination = registry.get(request["destination"])
        return self.transfers.move(
            run.actor,
            part.study_instance_uid,
            source,
            destination,
            registry.route(source.id, destination.id),
            confirm_production=request["confirm_production"],
            series_instance_uid=part.series_instance_uid,
            watch=watch,
        )

    def _look_again(self, run: JobRun, item: JobItem) -> None:
        """Compare the ends once more after a transfer that could not be verified.

        What the source does not list any more cannot be looked for: then it stays in doubt.
        """
        request, registry, find = run.job.request, self.registry(), self.transfers.find
        report = item.detail["report"]
        study, series = report["study_instance_uid"], report.get("series_instance_uid", "")
        destination = registry.get(request["destination"]) if run.job.kind is JobKind.MOVE else None

        def listed(server: PacsServer, series: str = "") -> frozenset[str]:
            with listing(self.transfers.record, run.actor, server, study):
                return instances_held(find, server, study, series)

        def held() -> frozenset[str]:
            if destination is not None:
                return listed(destination)
            return frozenset(i.identity.sop_instance_uid for i in self.transfers.local.instances(study))

        try:
            expected = listed(self._source(run), series)
        except PeerError:  # it stays in doubt
            return
        if len(expected) < report["instances"]:
            verdict = _shrunken(len(expected), report["instances"])
        else:
            wait_s = request.get("verify_wait_s", 0.0)
            verdict = verify(expected, None, held, wait_s=wait_s, on_progress=run.progress, stopped=run.stopped)
        verdict = replace(verdict, before=report["verdict"]["before"])
        if report.get("detour"):  # another process may have received it, which tells nobody what it kept
            verdict = kept_unknown(verdict, verdict.before)
        is_there = verdict.kind is not VerdictKind.MISMATCH
        detail = {"report": {**report, "verdict": verdict_dict(verdict)}}
        state = ItemState.DONE if is_there else ItemState.FAILED
        run.revise([ItemOutcome(item.number, state, detail=detail)])


def _shrunken(listed: int, at_first: int) -> Verdict:
    why = f"the source lists only {listed} of the {at_first} instances that it had, so the others cannot be looked for"
    return Verdict(VerdictKind.UNVERIFIED, why, at_first)


def _ended(item: JobItem, report: TransferReport) -> ItemOutcome:
    is_complete = report.verdict.kind is not VerdictKind.MISMATCH and report.error is None
    return ItemOutcome(
        item.number,
        ItemState.DONE if is_complete else ItemState.FAILED,
        detail={"report": report_dict(report)},
        size_bytes=report.size_bytes or 0,
        resent=report.resent,
    )


def _result(run: JobRun) -> Result:
    reports = _reports(run)
    refused = [item.detail["error"] for item in run.items((ItemState.FAILED,)) if "error" in item.detail]
    broken_off = [error for report in reports if (error := report["error"]) is not None]
    held = run.items((ItemState.HELD,))
    error = Recorded(broken_off[0]) if broken_off else _undecided(run, len(held)) if held else None
    return result_of(reports, error, refused=refused)


def _undecided(run: JobRun, held: int) -> TransferIncomplete:
    return TransferIncomplete(
        f"{held} of {run.job.counts.total} rows fit more than one study, and were not transferred",
        cause="several studies have what the row says",
        remedy=f"see them: dicomfab jobs show {run.job.id} --items --state held; say which: dicomfab jobs release",
    )


def _reports(run: JobRun) -> list[dict[str, Any]]:
    ended = run.items((ItemState.DONE, ItemState.FAILED))
    return [item.detail["report"] for item in ended if "report" in item.detail]


def _status(error: DicomFabError) -> str:
    status = getattr(error, "status", None)
    return f"{status:04X}" if isinstance(status, int) else ""
