"""Send, move, get: work that changes what a server holds, proven afterwards and reported as it was."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from pydicom import Dataset

from dicomfab.access.policy import Action, require
from dicomfab.archive.archive import Archive
from dicomfab.archive.receive import ArchiveReceiver
from dicomfab.archive.records import StoredInstance, StudySummary
from dicomfab.dimse.messages import Response, Suboperations
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scu.store import StoreOutcome
from dicomfab.dimse.sop_classes import storage_sop_classes
from dicomfab.dimse.status import CANCEL
from dicomfab.model.actor import Actor
from dicomfab.model.errors import (
    ConfirmationRequired,
    DicomFabError,
    NotFound,
    PeerError,
    StatusFailure,
)
from dicomfab.model.query import Level, QueryModel
from dicomfab.model.values import Environment, uid
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.peers import peer_for
from dicomfab.services.progress import Cancelled, OnProgress, Progress, ignore, never
from dicomfab.services.query import Find, instances_held, sop_classes_held
from dicomfab.services.receiving import Arrival, ReceivingService, lacks_get
from dicomfab.services.verification import DEFAULT_WAIT_S, Listing, Verdict, doubted, held_before, verify

#: See the functions of the same names in :mod:`dicomfab.dimse.scu`.
Store = Callable[..., Iterator[StoreOutcome]]
Move = Callable[..., Iterator[Response]]
Get = Callable[..., Iterator[Response]]

#: Some sources answer a C-MOVE before they have sent everything.
_ARRIVAL_WAIT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class FailedInstance:
    """An instance that the peer did not take, and why."""

    sop_instance_uid: str
    reason: str


@dataclass(frozen=True, slots=True)
class TransferReport:
    """What was asked, what the peer said and what was found afterwards.

    Args:
        operation: ``C-STORE``, ``C-MOVE`` or ``C-GET``.
        study_instance_uid: the study.
        source: name of where it came from.
        destination: name of where it went.
        instances: how many instances the transfer is about.
        accepted: how many the peer said that it took (completed plus warning); ``None`` if it did not say.
        failed: instances refused, with reasons, as far as the peer named them.
        resent: instances sent a second time because no response came to the first.
        transcoded: transfer syntax UID -> how many instances were converted to it for the destination, which does not
            take their own; the decoded pixels are the same.
        suboperations: the final counters of C-MOVE and C-GET.
        verdict: verified, mismatch or unverified.
        seconds: transfer time without verification.
        size_bytes: sent, for C-STORE.
        cancelled: stopped on request before the end.
        error: what broke the transfer off half-way; what came before it is counted and verified all the same.
        detour: why a C-MOVE to our own Storage SCP was used where a C-GET was asked for; blank if it was not.
        identifiers: why fabricated identifiers could not be checked at the destination; blank if they could.
    """

    operation: str
    study_instance_uid: str
    source: str
    destination: str
    instances: int
    accepted: int | None
    failed: tuple[FailedInstance, ...]
    resent: int
    suboperations: Suboperations | None
    verdict: Verdict
    seconds: float
    size_bytes: int | None = None
    cancelled: bool = False
    error: DicomFabError | None = None
    transcoded: Mapping[str, int] = field(default_factory=dict)
    detour: str = ""
    identifiers: str = ""


@dataclass(frozen=True, slots=True)
class Watch:
    """How a caller follows and limits a transfer.

    Args:
        on_progress: told after every response.
        cancelled: asked before every instance or after every response.
        verify_wait_s: how long the destination may take to list what it received.
        on_start: told of the instances that are sent, in order, before the first of them is.
        on_outcome: told of every instance that was answered for.
        comes_again: whoever sends tries again later: what the destination refuses for a reason that may pass (its
            disk is full) ends the sending with that error instead of counting as refused.
    """

    on_progress: OnProgress = ignore
    cancelled: Cancelled = never
    verify_wait_s: float = DEFAULT_WAIT_S
    on_start: Callable[[Sequence[StoredInstance]], None] = lambda _instances: None
    on_outcome: Callable[[StoreOutcome], None] = lambda _outcome: None
    comes_again: bool = False


@dataclass(frozen=True, slots=True)
class Earlier:
    """What attempts before this one did of a study.

    Args:
        accepted: SOP instance UIDs that the peer took.
        failed: those that it refused, with its reasons.
        resent: instances that were sent more than once.
    """

    accepted: frozenset[str] = frozenset()
    failed: Mapping[str, str] = field(default_factory=dict)
    resent: int = 0


@dataclass(slots=True)
class TransferService:
    """Transfers between the local study store and PACS servers, and between PACS servers.

    Args:
        check_identifiers: looks, before a study is sent, whether its identifiers are another's at the destination;
            gives what the report says of it.
    """

    local: Archive
    find: Find
    store: Store
    move_scu: Move
    get_scu: Get
    receiving: ReceivingService | None = None
    check_identifiers: Callable[[StudySummary, PacsServer], str] = lambda _study, _destination: ""

    def send(
        self,
        actor: Actor,
        study_instance_uid: str,
        destination: PacsServer,
        *,
        confirm_production: bool = False,
        transcode: bool = True,
        watch: Watch | None = None,
        earlier: Earlier | None = None,
    ) -> TransferReport:
        """C-STORE a local study to a server, then compare what the server lists (PS3.4 annex B).

        Args:
            actor: needs STORE at the destination and EXPORT of the study.
            study_instance_uid: the study.
            destination: where it shall go.
            confirm_production: an explicit yes, for a destination in production.
            transcode: whether instances that the destination does not take as they are may be converted to a transfer
                syntax with the same decoded pixels.
            watch: progress, cancel, wait.
            earlier: goes on with a study that was partly sent before.

        Raises:
            AccessDenied: STORE at the destination, or EXPORT of the study's own environment, is not allowed.
            ConfirmationRequired: the destination is production and ``confirm_production`` is not set.
            NotFound: no such local study.
            Conflict: sending to this server is switched off, or fabricated identifiers are somebody else's there.
            PeerError: the server could not be reached, or fell silent twice for one instance.
        """
        watch = watch or Watch()
        study = self.local.study(study_instance_uid)
        require(actor, Action.EXPORT, study.summary.environment)
        may_write(actor, destination, confirm_production)
        peer = peer_for(destination, Capability.STORE)
        identifiers = self.check_identifiers(study.summary, destination)
        instances = self.local.instances(study_instance_uid)
        expected = frozenset(i.identity.sop_instance_uid for i in instances)
        done = earlier or Earlier()
        to_send = [i for i in instances if i.identity.sop_instance_uid not in done.accepted | done.failed.keys()]
        listing = self._listing(destination, study_instance_uid)
        before = held_before(listing) if earlier is None else None
        start = time.perf_counter()
        watch.on_start(to_send)
        outcomes, error = self._send_all(peer, to_send, watch, transcode=transcode)
        seconds = time.perf_counter() - start
        accepted = len(done.accepted & expected) + sum(outcome.accepted for outcome in outcomes)
        sizes = {i.identity.sop_instance_uid: i.size_bytes for i in to_send}
        failed = {uid_: done.failed[uid_] for uid_ in sorted(done.failed.keys() & expected)}
        failed |= {o.instance.identity.sop_instance_uid: o.error.what for o in outcomes if o.error}
        verdict = verify(
            expected,
            before,
            listing,
            # What was refused or never sent will not appear: look once, do not wait for it.
            wait_s=watch.verify_wait_s if accepted == len(instances) else 0.0,
            on_progress=watch.on_progress,
            stopped=watch.cancelled,
        )
        return TransferReport(
            operation="C-STORE",
            study_instance_uid=study_instance_uid,
            source="local store",
            destination=destination.name,
            instances=len(instances),
            accepted=accepted,
            failed=tuple(FailedInstance(*item) for item in failed.items()),
            resent=done.resent + sum(outcome.resent for outcome in outcomes),
            suboperations=None,
            verdict=doubted(verdict, len(failed)),
            seconds=seconds,
            size_bytes=sum(sizes[o.instance.identity.sop_instance_uid] for o in outcomes if o.accepted),
            cancelled=error is None and len(outcomes) < len(to_send),
            error=error,
            transcoded=Counter(outcome.transcoded_to for outcome in outcomes if outcome.transcoded_to),
            identifiers=identifiers,
        )

    def _send_all(
        self, peer: Peer, instances: Sequence[StoredInstance], watch: Watch, *, transcode: bool
    ) -> tuple[list[StoreOutcome], DicomFabError | None]:
        """Every outcome in order, and what broke the sending off half-way; raises if not even one was sent."""
        outcomes: list[StoreOutcome] = []
        files = [instance.file for instance in instances]
        for_later: DicomFabError | None = None

        def stopped() -> bool:
            return for_later is not None or watch.cancelled()

        watch.on_progress(Progress("sending", 0, len(instances)))
        try:
            for outcome in self.store(peer, files, cancelled=stopped, transcode=transcode):
                watch.on_outcome(outcome)
                if watch.comes_again and outcome.error is not None and outcome.error.transient:
                    for_later = for_later or outcome.error
                    continue
                outcomes.append(outcome)
                watch.on_progress(Progress("sending", len(outcomes), len(instances)))
        except PeerError as error:
            if not outcomes:
                raise
            return outcomes, error
        return outcomes, for_later

    def move(
        self,
        actor: Actor,
        study_instance_uid: str,
        source: PacsServer,
        destination: PacsServer,
        move_destination: str,
        *,
        confirm_production: bool = False,
        watch: Watch | None = None,
    ) -> TransferReport:
        """Have the source send a study to the destination, then compare both sides (PS3.4 C.4.2).

        Args:
            actor: needs STORE in the environments of both ends.
            study_instance_uid: the study.
            source: where the study is.
            destination: where it shall go.
            move_destination: the route's AE title, as the source knows it.
            confirm_production: an explicit yes, for a destination in production.
            watch: progress, cancel, wait.

        Raises:
            AccessDenied: before anything is sent.
            ConfirmationRequired: before anything is sent.
            NotFound: the source does not hold the study.
            StatusFailure: A801 destination unknown to the source, A702 and other failures.
            PeerError: the source could not be reached or asked what it holds.
        """
        watch = watch or Watch()
        require(actor, Action.STORE, source.environment)
        may_write(actor, destination, confirm_production)
        peer = peer_for(source, Capability.MOVE)
        expected = self._held_by_source(source, study_instance_uid)
        listing = self._listing(destination, study_instance_uid)
        before = held_before(listing)
        start = time.perf_counter()
        responses = self.move_scu(
            peer, QueryModel.STUDY_ROOT, _study(study_instance_uid), move_destination, cancelled=watch.cancelled
        )
        final, error = _follow(responses, "moving", len(expected), watch)
        seconds = time.perf_counter() - start
        verdict = verify(
            expected,
            before,
            listing,
            wait_s=watch.verify_wait_s if _all_delivered(final, len(expected)) else 0.0,
            on_progress=watch.on_progress,
            stopped=watch.cancelled,
        )
        ends = (source.name, destination.name)
        return _retrieve_report("C-MOVE", study_instance_uid, ends, len(expected), final, error, verdict, seconds)

    def get(
        self, actor: Actor, study_instance_uid: str, source: PacsServer, *, watch: Watch | None = None
    ) -> TransferReport:
        """Fetch a study into the local store over one association (PS3.4 C.4.3).

        A source that cannot C-GET is asked by C-MOVE to send it to our own Storage SCP instead, and the report says so.
        The local study carries the environment of the source from then on.

        Raises:
            AccessDenied: RETRIEVE is not allowed in the source's environment.
            NotFound: the source does not hold the study.
            Conflict: C-GET is switched off for the source, and C-MOVE too.
            StatusFailure: the source answered with a failure.
            PeerError: the source could not be reached or asked what it holds.
            PortInUse: a C-MOVE to us is needed, and another program has our port.
            DiskFull: no space is left in the local store; what has arrived is kept.
        """
        watch = watch or Watch()
        require(actor, Action.RETRIEVE, source.environment)
        receiving = self.receiving if source.can(Capability.MOVE) else None
        why = f"C-GET is disabled for {source.name}."
        if receiving is None or source.can(Capability.GET):
            try:
                return self._get(study_instance_uid, source, watch)
            except PeerError as error:
                if receiving is None or not lacks_get(error):
                    raise
                why = error.what
        with receiving.arrival(actor, source, watch.cancelled) as arrival:
            return self._get_by_move(study_instance_uid, source, watch, arrival, why)

    def _get(self, study_instance_uid: str, source: PacsServer, watch: Watch) -> TransferReport:
        peer = peer_for(source, Capability.GET)
        expected = self._held_by_source(source, study_instance_uid)
        classes = [*sop_classes_held(self.find, source, study_instance_uid), *storage_sop_classes()]
        listing = self._local_listing(study_instance_uid)
        before = held_before(listing)
        receiver = ArchiveReceiver(self.local, source.environment)
        start = time.perf_counter()

        def stopped() -> bool:
            return receiver.full is not None or watch.cancelled()

        responses = self.get_scu(
            peer, QueryModel.STUDY_ROOT, _study(study_instance_uid), classes, receiver, cancelled=stopped
        )
        try:
            final, error = _follow(responses, "getting", len(expected), watch)
        except PeerError:
            if receiver.full is None:
                raise
        if receiver.full is not None:
            raise receiver.full
        seconds = time.perf_counter() - start
        verdict = verify(expected, before, listing, wait_s=0.0, on_progress=watch.on_progress, stopped=watch.cancelled)
        ends = (source.name, "local store")
        report = _retrieve_report("C-GET", study_instance_uid, ends, len(expected), final, error, verdict, seconds)
        return _with_kept(report, receiver.kept)

    def _get_by_move(
        self, study_instance_uid: str, source: PacsServer, watch: Watch, arrival: Arrival, why: str
    ) -> TransferReport:
        """Have the source send the study to our own Storage SCP (PS3.4 C.4.2)."""
        peer = peer_for(source, Capability.MOVE)
        expected = self._held_by_source(source, study_instance_uid)
        listing = self._local_listing(study_instance_uid)
        before = held_before(listing)
        start = time.perf_counter()
        responses = self.move_scu(
            peer, QueryModel.STUDY_ROOT, _study(study_instance_uid), arrival.ae_title, cancelled=watch.cancelled
        )
        try:
            final, error = _follow(responses, "getting", len(expected), watch)
        except StatusFailure as failure:
            failure.what += f" It was asked to send to us, {arrival.ae_title}, because: {why}"
            raise
        seconds = time.perf_counter() - start
        verdict = verify(
            expected,
            before,
            listing,
            wait_s=max(watch.verify_wait_s, _ARRIVAL_WAIT_S) if _all_delivered(final, len(expected)) else 0.0,
            on_progress=watch.on_progress,
            stopped=watch.cancelled,
        )
        ends = (source.name, "local store")
        report = _retrieve_report("C-MOVE", study_instance_uid, ends, len(expected), final, error, verdict, seconds)
        return replace(_with_kept(report, arrival.kept()), detour=why)

    def _listing(self, server: PacsServer, study_instance_uid: str) -> Listing:
        return lambda: instances_held(self.find, server, study_instance_uid)

    def _local_listing(self, study_instance_uid: str) -> Listing:
        def held() -> frozenset[str]:
            return frozenset(i.identity.sop_instance_uid for i in self.local.instances(study_instance_uid))

        return held

    def _held_by_source(self, source: PacsServer, study_instance_uid: str) -> frozenset[str]:
        held = instances_held(self.find, source, uid(study_instance_uid, field="study"))
        if not held:
            raise NotFound(
                f"{source.name} holds no study {study_instance_uid}.",
                cause="the study is on another server, or the UID is not complete",
                remedy=f"look for it: dicomfab query --pacs {source.id} --study {study_instance_uid}",
            )
        return held


def may_write(actor: Actor, destination: PacsServer, confirmed: bool) -> None:
    """Whether the actor may send to a server, and means it.

    Raises:
        AccessDenied: the role does not allow it.
        ConfirmationRequired: it is production, and that was not confirmed.
    """
    require(actor, Action.STORE, destination.environment)
    if destination.environment is Environment.PROD and not confirmed:
        raise ConfirmationRequired(
            f"{destination.name} is a production server: nothing was sent.",
            cause="writing to production wants an explicit yes each time",
            remedy="if you mean it, say so: --yes-production on the command line, the check box on the page",
        )


def _study(study_instance_uid: str) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = str(Level.STUDY)
    identifier.StudyInstanceUID = study_instance_uid
    return identifier


def _follow(
    responses: Iterator[Response], stage: str, expected: int, watch: Watch
) -> tuple[Response, PeerError | None]:
    """The last response, and what broke the retrieve off after it; raises if there was no response at all."""
    last: Response | None = None
    watch.on_progress(Progress(stage, 0, expected))
    try:
        for response in responses:
            last = response
            counters = response.suboperations
            done = (counters.completed or 0) + (counters.warning or 0) + (counters.failed or 0)
            watch.on_progress(Progress(stage, done, expected, counters))
    except PeerError as error:
        if last is None:
            raise
        return last, error
    if last is None:
        raise RuntimeError("an association ended without a response and without an error")
    return last, None


def _with_kept(report: TransferReport, kept: Sequence[str]) -> TransferReport:
    """The report, when of some instances the local store kept what it had."""
    failed = tuple(FailedInstance(u, "the local store kept its own, which has other content") for u in kept)
    return replace(report, failed=report.failed + failed, verdict=doubted(report.verdict, len(failed)))


def _all_delivered(final: Response, expected: int) -> bool:
    delivered = final.suboperations.delivered
    return delivered is None or delivered >= expected


def _retrieve_report(
    operation: str,
    study_instance_uid: str,
    ends: tuple[str, str],
    expected: int,
    final: Response,
    error: PeerError | None,
    verdict: Verdict,
    seconds: float,
) -> TransferReport:
    return TransferReport(
        operation=operation,
        study_instance_uid=study_instance_uid,
        source=ends[0],
        destination=ends[1],
        instances=expected,
        accepted=final.suboperations.delivered,
        failed=tuple(FailedInstance(u, "named by the source as failed") for u in final.failed_sop_instance_uids),
        resent=0,
        suboperations=final.suboperations,
        verdict=doubted(verdict, final.suboperations.failed or 0),
        seconds=seconds,
        cancelled=final.status == CANCEL,
        error=error,
    )
