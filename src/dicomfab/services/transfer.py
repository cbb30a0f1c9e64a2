"""Send, move, get: work that changes what a server holds, proven afterwards and reported as it was."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pydicom import Dataset

from dicomfab.access.policy import Action, require
from dicomfab.archive.archive import Archive
from dicomfab.archive.receive import ArchiveReceiver
from dicomfab.archive.records import StoredInstance, StudySummary
from dicomfab.dimse.messages import Response
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
from dicomfab.model.values import Environment
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.listings import instances_held
from dicomfab.services.peers import peer_for
from dicomfab.services.progress import Progress
from dicomfab.services.provenance import Provenance
from dicomfab.services.query import Find
from dicomfab.services.receiving import Arrival, ReceivingService, lacks_get
from dicomfab.services.recording import Record, Transfer, nobody, of_study, transferring
from dicomfab.services.transfer_reports import (
    Earlier,
    FailedInstance,
    Part,
    TransferReport,
    Watch,
    ended_unasked,
    retrieve_report,
    with_kept,
)
from dicomfab.services.verification import Listing, doubted, held_before, verify

__all__ = [
    "Earlier",
    "FailedInstance",
    "Get",
    "Move",
    "Part",
    "Store",
    "TransferReport",
    "TransferService",
    "Watch",
    "may_write",
    "sop_classes_held",
]

#: See the functions of the same names in :mod:`dicomfab.dimse.scu`.
Store = Callable[..., Iterator[StoreOutcome]]
Move = Callable[..., Iterator[Response]]
Get = Callable[..., Iterator[Response]]

#: Some sources answer a C-MOVE before they have sent everything.
_ARRIVAL_WAIT_S: Final = 10.0


@dataclass(slots=True)
class TransferService:
    """Transfers between the local study store and PACS servers, and between PACS servers.

    Args:
        local: the local store.
        find: the C-FIND SCU.
        store: the C-STORE SCU.
        move_scu: the C-MOVE SCU.
        get_scu: the C-GET SCU.
        provenance: refuses, before anything is sent, what the destination's entry does not allow.
        receiving: our own Storage SCP, for a C-MOVE to ourselves where a server knows no C-GET.
        check_identifiers: looks, before a study is sent, whether its identifiers are another's at the destination;
            gives what the report says of it.
        record: where to record what goes where.
    """

    local: Archive
    find: Find
    store: Store
    move_scu: Move
    get_scu: Get
    provenance: Provenance
    receiving: ReceivingService | None = None
    check_identifiers: Callable[[StudySummary, Sequence[StoredInstance], PacsServer], str] = lambda *_: ""
    record: Record = nobody

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
            AccessDenied: STORE at the destination, or EXPORT of the study's own environment, is not allowed; or the
                destination's entry does not allow what the study is made of.
            ConfirmationRequired: the destination is production and ``confirm_production`` is not set.
            NotFound: no such local study.
            Conflict: sending to this server is switched off, or fabricated identifiers are somebody else's there.
            PeerError: the server could not be reached, or fell silent twice for one instance.
        """
        with (
            self.local.using(study_instance_uid),
            transferring(self.record, actor, study_instance_uid, receiver=destination) as noted,
        ):
            report = self._send(
                actor, study_instance_uid, destination, confirm_production, transcode, watch or Watch(), earlier, noted
            )
            return noted.ended(report)

    def _send(
        self,
        actor: Actor,
        study_instance_uid: str,
        destination: PacsServer,
        confirm_production: bool,
        transcode: bool,
        watch: Watch,
        earlier: Earlier | None,
        noted: Transfer,
    ) -> TransferReport:
        study = self.local.study(study_instance_uid)
        require(actor, Action.EXPORT, study.summary.environment)
        may_write(actor, destination, confirm_production)
        peer = peer_for(destination, Capability.STORE)
        instances = self.local.instances(study_instance_uid)
        self.provenance.check_send(study_instance_uid, destination, instances)
        identifiers = self.check_identifiers(study.summary, instances, destination)
        expected = frozenset(i.identity.sop_instance_uid for i in instances)
        done = earlier or Earlier()
        dealt_with = done.accepted | done.failed.keys()
        to_send = [i for i in instances if i.identity.sop_instance_uid not in dealt_with]
        listing = self._listing(destination, study_instance_uid)
        before = held_before(listing) if earlier is None else None
        noted.begin(**of_study(study.summary, instances))
        start = time.perf_counter()
        watch.on_start(to_send)
        outcomes, error = self._send_all(peer, to_send, watch, transcode=transcode)
        seconds = time.perf_counter() - start
        accepted_before = len(done.accepted & expected)
        accepted = accepted_before + sum(outcome.accepted for outcome in outcomes)
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
            operation="C-STORE" if peer.web is None else "STOW-RS",
            study_instance_uid=study_instance_uid,
            source="local store",
            destination=destination.name,
            instances=len(instances),
            accepted=accepted,
            accepted_before=accepted_before,
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
        series_instance_uid: str = "",
        watch: Watch | None = None,
    ) -> TransferReport:
        """Have the source send a study, or one series of it, to the destination, then compare both sides (PS3.4 C.4.2).

        Args:
            actor: needs STORE in the environments of both ends.
            study_instance_uid: the study.
            source: where the study is.
            destination: where it shall go.
            move_destination: the route's AE title, as the source knows it.
            confirm_production: an explicit yes, for a destination in production.
            series_instance_uid: the series; blank for the whole study.
            watch: progress, cancel, wait.

        Raises:
            AccessDenied: before anything is sent; also if the destination's entry does not allow what the study is
                made of, or what it is made of could not be told.
            ConfirmationRequired: before anything is sent.
            NotFound: the source does not hold the study.
            StatusFailure: A801 destination unknown to the source, A702 and other failures.
            PeerError: the source could not be reached or asked what it holds.
        """
        part = Part(study_instance_uid, series_instance_uid).checked()
        with transferring(
            self.record, actor, study_instance_uid, sender=source.by("dimse"), receiver=destination.by("dimse")
        ) as noted:
            require(actor, Action.STORE, source.environment)
            may_write(actor, destination, confirm_production)
            return noted.ended(self._move(part, source, destination, move_destination, watch or Watch(), noted))

    def _move(
        self,
        part: Part,
        source: PacsServer,
        destination: PacsServer,
        move_destination: str,
        watch: Watch,
        noted: Transfer,
    ) -> TransferReport:
        peer = peer_for(source, Capability.MOVE)
        expected = self._held_by_source(source, part)
        self.provenance.check_move(part.study_instance_uid, source, destination)
        listing = self._listing(destination, part.study_instance_uid)
        before = held_before(listing)
        noted.begin()
        start = time.perf_counter()
        responses = self.move_scu(
            peer, QueryModel.STUDY_ROOT, part.identifier(), move_destination, cancelled=watch.cancelled
        )
        final, error = _follow(peer, "C-MOVE", responses, "moving", len(expected), watch)
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
        return retrieve_report("C-MOVE", part, ends, len(expected), final, error, verdict, seconds)

    def get(
        self,
        actor: Actor,
        study_instance_uid: str,
        source: PacsServer,
        *,
        series_instance_uid: str = "",
        to_look_at: bool = False,
        watch: Watch | None = None,
    ) -> TransferReport:
        """Fetch a study, or one series of it, into the local store over one association (PS3.4 C.4.3).

        A source that cannot C-GET is asked by C-MOVE to send it to our own Storage SCP instead, and the report says so.
        The local study carries the environment of the source from then on. What comes ``to_look_at`` expires.

        Raises:
            AccessDenied: RETRIEVE is not allowed in the source's environment.
            NotFound: the source does not hold the study.
            Conflict: C-GET is switched off for the source, and C-MOVE too.
            StatusFailure: the source answered with a failure.
            PeerError: the source could not be reached or asked what it holds.
            PortInUse: a C-MOVE to us is needed, and another program has our port.
            DiskFull: no space is left in the local store; what has arrived is kept.
        """
        part = Part(study_instance_uid, series_instance_uid).checked()
        sink = ArchiveReceiver(self.local, source.environment, expires=True, to_look_at=to_look_at)
        with (
            self.local.using(study_instance_uid),
            transferring(self.record, actor, study_instance_uid, sender=source) as noted,
        ):
            require(actor, Action.RETRIEVE, source.environment)
            noted.begin()
            report = self._fetched(actor, part, source, sink, watch or Watch())
            with contextlib.suppress(NotFound):  # nothing has come
                summary = self.local.study(study_instance_uid).summary
                noted.add(**of_study(summary, self.local.instances(study_instance_uid)))
            return noted.ended(report)

    def _fetched(
        self, actor: Actor, part: Part, source: PacsServer, sink: ArchiveReceiver, watch: Watch
    ) -> TransferReport:
        # C-MOVE is a service of DIMSE: another address, another port, other settings of TLS.
        may_move = source.can(Capability.MOVE) and source.via != "web"
        receiving = self.receiving if may_move else None
        why = f"C-GET is disabled for {source.name}."
        if receiving is None or source.can(Capability.GET):
            try:
                return self._get(part, source, sink, watch)
            except PeerError as error:
                if receiving is None or not lacks_get(error):
                    raise
                why = error.what
        with receiving.arrival(actor, source, watch.cancelled, to_look_at=sink.to_look_at) as arrival:
            return self._get_by_move(part, source, watch, arrival, why)

    def _get(self, part: Part, source: PacsServer, sink: ArchiveReceiver, watch: Watch) -> TransferReport:
        peer = peer_for(source, Capability.GET)
        expected = self._held_by_source(source, part)
        classes = [*sop_classes_held(self.find, source, part.study_instance_uid), *storage_sop_classes()]
        listing = self._local_listing(part.study_instance_uid)
        before = held_before(listing)
        start = time.perf_counter()
        root, wanted = QueryModel.STUDY_ROOT, part.identifier()
        responses = self.get_scu(
            peer, root, wanted, classes, sink, cancelled=lambda: bool(sink.full) or watch.cancelled()
        )
        try:
            final, error = _follow(peer, "C-GET", responses, "getting", len(expected), watch)
        except PeerError:
            if sink.full is None:
                raise
        if sink.full is not None:
            raise sink.full
        seconds = time.perf_counter() - start
        verdict = verify(expected, before, listing, wait_s=0.0, on_progress=watch.on_progress, stopped=watch.cancelled)
        ends = (source.name, "local store")
        operation = "C-GET" if peer.web is None else "WADO-RS"
        report = retrieve_report(operation, part, ends, len(expected), final, error, verdict, seconds)
        return with_kept(report, sink.kept)

    def _get_by_move(self, part: Part, source: PacsServer, watch: Watch, arrival: Arrival, why: str) -> TransferReport:
        """Have the source send it to our own Storage SCP (PS3.4 C.4.2)."""
        peer = peer_for(source, Capability.MOVE)
        expected = self._held_by_source(source, part)
        listing = self._local_listing(part.study_instance_uid)
        before = held_before(listing)
        start = time.perf_counter()
        responses = self.move_scu(
            peer, QueryModel.STUDY_ROOT, part.identifier(), arrival.ae_title, cancelled=watch.cancelled
        )
        try:
            final, error = _follow(peer, "C-MOVE", responses, "getting", len(expected), watch)
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
        report = retrieve_report("C-MOVE", part, ends, len(expected), final, error, verdict, seconds)
        return replace(with_kept(report, arrival.kept()), detour=why)

    def _listing(self, server: PacsServer, study_instance_uid: str) -> Listing:
        return lambda: instances_held(self.find, server, study_instance_uid)

    def _local_listing(self, study_instance_uid: str) -> Listing:
        def held() -> frozenset[str]:
            return frozenset(i.identity.sop_instance_uid for i in self.local.instances(study_instance_uid))

        return held

    def _held_by_source(self, source: PacsServer, part: Part) -> frozenset[str]:
        held = instances_held(self.find, source, part.study_instance_uid, part.series_instance_uid)
        if not held:
            raise NotFound(
                f"{source.name} holds no {part}.",
                cause="it is on another server, or the UID is not complete",
                remedy=f"look for it: dicomfab query --pacs {source.id} --study {part.study_instance_uid}",
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
            remedy="if you mean it, say so: --yes-production on the command line, the server's name on the page",
        )


def sop_classes_held(find: Find, server: PacsServer, study_instance_uid: str) -> frozenset[str]:
    """The SOP classes of a study, where the server says so (SOPClassesInStudy is an optional key); else empty.

    Empty also for a server that is asked over DICOMweb, where a retrieval has no use for them.
    """
    peer = peer_for(server, Capability.FIND)
    if peer.web is not None:
        return frozenset()
    identifier = Dataset()
    identifier.QueryRetrieveLevel = str(Level.STUDY)
    identifier.StudyInstanceUID = study_instance_uid
    identifier.SOPClassesInStudy = ""
    classes: set[str] = set()
    # A warning is no matter: without the key all classes are proposed.
    for match in find(peer, QueryModel.STUDY_ROOT, identifier, report=lambda _response: None):
        value = match.get("SOPClassesInStudy")
        several = isinstance(value, Iterable) and not isinstance(value, str)
        classes.update(map(str, value) if several else [str(value)] if value else [])
    return frozenset(classes)


def _follow(
    peer: Peer, operation: str, responses: Iterator[Response], stage: str, expected: int, watch: Watch
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
    # Not a stop, or a job would take it for its own and ask again and again.
    return last, ended_unasked(operation, peer.label) if last.status == CANCEL and not watch.cancelled() else None


def _all_delivered(final: Response, expected: int) -> bool:
    delivered = final.suboperations.delivered
    return delivered is None or delivered >= expected
