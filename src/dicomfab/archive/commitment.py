"""The archive as SCP of Storage Commitment Push Model (PS3.4 annex J): answers for what it can read back.

A request is on disk before it is answered with success, and stays there until its requestor has taken the report: so
neither a crash nor a requestor that is down loses one.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from dicomfab.archive.commitment_files import CommitmentFiles, Kept
from dicomfab.archive.commitment_judge import Judge
from dicomfab.archive.errors import ArchiveFailure
from dicomfab.dimse.association import Association, associate
from dicomfab.dimse.commitment import REQUEST_ACTION, FailureReason, InvalidCommitment, Transaction, Verdict
from dicomfab.dimse.contexts import PLAIN_SYNTAXES
from dicomfab.dimse.handlers import NormalizedReply, NormalizedRequest, Refusal, Requestor
from dicomfab.dimse.late_report import EventReport, ReplyThenReport
from dicomfab.dimse.messages import ProposedContext
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.scu.normalized import n_event_report, refused
from dicomfab.dimse.sop_classes import COMMITMENT, COMMITMENT_INSTANCE
from dicomfab.dimse.status import SUCCESS, Category, category
from dicomfab.model.disk import is_disk_full
from dicomfab.model.errors import ConnectionFailed, DicomFabError, Interrupted, StatusFailure
from dicomfab.model.log_lines import log_failure

if TYPE_CHECKING:
    from dicomfab.archive.archive import Archive

log = logging.getLogger(__name__)

#: Host and port of an AE title, or ``None`` for one without a registered address.
Destination = Callable[[str], tuple[str, int] | None]

_PROCESSING_FAILURE: Final = 0x0110
_NO_SUCH_OBJECT_INSTANCE: Final = 0x0112
_NO_SUCH_ACTION: Final = 0x0123
_DUPLICATE_TRANSACTION_UID: Final = 0x0131
_UNRECOGNIZED_OPERATION: Final = 0x0211
_RESOURCE_LIMITATION: Final = 0x0213
_CONTEXT: Final = ProposedContext(COMMITMENT, PLAIN_SYNTAXES, as_scp=True)
_TAKEN: Final = (Category.SUCCESS, Category.WARNING)
_JOIN_S: Final = 2.0
_MOST_DOUBLINGS: Final = 20


@dataclass(frozen=True, slots=True)
class CommitmentLimits:
    """How long reports are tried, and how much is taken on.

    Args:
        pause_s: from taking a request on to its first report on an association of our own: many requestors expect no
            report before the answer.
        same_association_s: for so long after the answer the report may go out on the association of the request
            (PS3.4 J.3.3); 0 for never.
        retry_first_s: after a first failure to report; twice as long after each further one.
        retry_longest_s: but never longer.
        give_up_hours: after so many hours without success a transaction is set aside.
        max_pending: transactions at a time.
        max_references: of one transaction.
        timeouts: of the associations that reports go out on.
    """

    pause_s: float = 1.0
    same_association_s: float = 0.0
    retry_first_s: float = 5.0
    retry_longest_s: float = 600.0
    give_up_hours: float = 24.0
    max_pending: int = 1000
    max_references: int = 100_000
    timeouts: Timeouts = field(default_factory=Timeouts)


class AnyCommitments(ABC):
    """Takes requests of storage commitment and reports on them, as long as it is entered; a handler of N-services.

    Args:
        archive: what it answers for.
        folder: one file for each transaction that was not reported; made when needed.
        limits: how long, and how much.

    Raises:
        ArchiveFailure: on entering, when the folder cannot be read.
    """

    def __init__(self, archive: Archive, folder: Path, limits: CommitmentLimits | None = None) -> None:
        self._archive = archive
        self._files = CommitmentFiles(folder)
        self._limits = limits or CommitmentLimits()
        # Held while files are written or removed; the other is never held for long.
        self._filing = threading.Lock()
        self._changed = threading.Condition()
        self._pending: dict[str, Kept] = {}
        self._due: dict[str, float] = {}
        self._backoffs: dict[Requestor, tuple[int, float]] = {}  # failures so far, and when to call it next
        self._late: dict[str, _OnSameAssociation] = {}  # left alone by our worker
        self._closing = False
        self._association: Association | None = None
        self._worker: threading.Thread | None = None

    @abstractmethod
    def peer_of(self, requestor: Requestor) -> Peer | None:
        """Where a requestor is to be called, and as whom; ``None`` if it has no registered address."""

    def withheld(self, _requestor: Requestor, _study_instance_uid: str) -> FailureReason | None:
        """Why nothing of a study is committed to a requestor, although it is there; ``None`` if it may be."""
        return None

    def asked(self, requestor: Requestor, transaction: Transaction) -> None:  # noqa: B027 (most need not know)
        """Told of each request that is about to be taken on; may raise :class:`~dicomfab.dimse.handlers.Refusal`."""

    def reported(self, requestor: Requestor, verdict: Verdict) -> None:  # noqa: B027 (the same)
        """Told of each verdict that a requestor has taken."""

    def __enter__(self) -> Self:
        try:
            pending = {one.transaction_uid: one for one in self._files.pending()}
        except OSError as error:
            raise ArchiveFailure(
                f"the storage commitments in {self._files.folder} cannot be read ({error.strerror})",
                cause="the folder or a file in it belongs to another user, or the disk fails",
                remedy="make it readable, then start again",
            ) from error
        with self._changed:
            self._pending, self._closing = pending, False
            self._due = dict.fromkeys(pending, 0.0)
            self._backoffs.clear()
        if pending:
            log.info("%d storage commitments are taken up again", len(pending))
        self._worker = threading.Thread(target=self._work, name="commitments", daemon=True)
        self._worker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closing = True
            association, late = self._association, list(self._late.values())
            self._changed.notify_all()
        if association is not None:
            association.abort()
        for one in late:
            one.join(_JOIN_S)
        if self._worker is not None:
            self._worker.join(_JOIN_S)  # it may be connecting, and will look then whether it is still wanted

    # ------------------------------------------------------------------ requests

    def perform(self, requestor: Requestor, request: NormalizedRequest) -> NormalizedReply:
        """Take a request on (N-ACTION, PS3.4 J.3.2): on return it is safe on disk.

        Raises:
            Refusal: 0211 for another operation, 0112 for another instance than the well-known one, 0123 for another
                action type than 1, 0120 or 0115 for what cannot be understood, 0213 for too much of it or a full disk,
                0131 for the UID of another transaction that is pending, 0110 for a requestor without a registered
                address, or a disk that fails.
        """
        try:
            transaction = self._requested(request)
            if self.peer_of(requestor) is None:
                raise Refusal(_PROCESSING_FAILURE, f"no address is registered for the AE title {requestor.ae_title}")
            with self._filing:
                late = self._take_on(requestor, transaction)
        except Refusal as refusal:
            log.warning("storage commitment for %s: %04X (%s)", _who(requestor), refusal.status, refusal.comment)
            raise
        return ReplyThenReport(SUCCESS, late=late)

    def _requested(self, request: NormalizedRequest) -> Transaction:
        if request.operation != "N-ACTION":
            raise Refusal(_UNRECOGNIZED_OPERATION)
        if request.sop_instance_uid != COMMITMENT_INSTANCE:
            raise Refusal(_NO_SUCH_OBJECT_INSTANCE, "requests are to the well-known instance")
        if request.number != REQUEST_ACTION:
            raise Refusal(_NO_SUCH_ACTION, "the only action type is 1")
        try:
            return Transaction.from_dataset(request.attributes, most=self._limits.max_references)
        except InvalidCommitment as error:
            raise Refusal(error.status, error.comment) from error

    def _take_on(self, requestor: Requestor, transaction: Transaction) -> _OnSameAssociation | None:
        """Note a transaction on disk, then in memory; what is to be reported on its own association, if anything."""
        uid = transaction.transaction_uid
        with self._changed:
            known, count = self._pending.get(uid), len(self._pending)
        try:
            if known is not None:
                if known.ae_title != requestor.ae_title or self._files.read(known) != transaction:
                    raise Refusal(_DUPLICATE_TRANSACTION_UID, "another transaction with this UID is pending")
                return None
            if count >= self._limits.max_pending:
                raise Refusal(_RESOURCE_LIMITATION, f"{count} transactions are pending; try later")
            self.asked(requestor, transaction)
            kept = self._files.write(requestor, transaction)
        except OSError as error:
            status = _RESOURCE_LIMITATION if is_disk_full(error) else _PROCESSING_FAILURE
            raise Refusal(status, f"the request cannot be kept: {error.strerror}") from error
        log.info("storage commitment %s for %s: %d instances", uid, _who(requestor), len(transaction.references))
        late = _OnSameAssociation(self, kept, self._limits.same_association_s)
        with self._changed:
            self._pending[uid] = kept
            self._due[uid] = time.monotonic() + self._limits.pause_s
            self._backoffs.pop(requestor, None)  # who asks is there
            if late.within_s:
                self._late[uid] = late
            self._changed.notify_all()
        return late if late.within_s else None

    # ------------------------------------------------------------------ reports

    def _work(self) -> None:
        while (one := self._next()) is not None:
            try:
                self._settle(one)
            except (DicomFabError, OSError, ValueError) as error:
                if not self._closing:
                    self._postpone(one, _words(error))
            except Exception as error:  # noqa: BLE001 (the outermost door; logged)
                log_failure(log, f"storage commitment {one.transaction_uid} for {one.ae_title}", error)
                self._postpone(one, "the application failed")

    def _next(self) -> Kept | None:
        """Wait for a transaction whose time has come; ``None`` when it is time to end."""
        with self._changed:
            while not self._closing:
                now = time.monotonic()
                soonest = None
                for uid, one in self._pending.items():
                    if uid in self._late:
                        continue
                    due = max(self._due[uid], self._backoffs.get(one.requestor, (0, 0.0))[1])
                    if due <= now:
                        return one
                    soonest = due if soonest is None else min(soonest, due)
                self._changed.wait(None if soonest is None else soonest - now)
        return None

    def _settle(self, one: Kept) -> None:
        """Judge a transaction, report on it and forget it.

        Raises:
            DicomFabError, OSError, ValueError: it has to be tried again.
        """
        peer = self.peer_of(one.requestor)
        if peer is None:
            raise ConnectionFailed(f"no address is registered for {one.ae_title} any more")
        if one.requestor in self._backoffs:
            self._call(peer, None)  # a whole study is not read again for a peer that is still down
        verdict = self.judged(one, self._check_wanted)
        self._call(peer, verdict)
        self._done(one, verdict)

    def judged(self, one: Kept, check_wanted: Callable[[], None]) -> Verdict:
        """The verdict on a transaction.

        Args:
            one: it.
            check_wanted: raises what ends the reading.

        Raises:
            DicomFabError, OSError, ValueError: it has to be tried again.
        """
        judge = Judge(self._archive, lambda study: self.withheld(one.requestor, study), check_wanted)
        return judge.verdict(self._files.read(one))

    def _call(self, peer: Peer, verdict: Verdict | None) -> None:
        """Open an association as SCP (PS3.4 J.3.3), and report on it, if there is something to report."""
        try:
            with associate(peer, [_CONTEXT]) as association:
                with self._changed:
                    self._association = association
                self._check_wanted()
                if verdict is None:
                    return
                number, information = verdict.event_type, verdict.to_dataset()
                told = n_event_report(association, COMMITMENT, COMMITMENT_INSTANCE, number, information)
                if category(told.response.status) not in _TAKEN:
                    raise refused("N-EVENT-REPORT", told.response, peer.label, association.implementation)
        finally:
            with self._changed:
                self._association = None

    def late_ended(self, one: Kept, verdict: Verdict | None, status: int | None) -> None:
        """The association of a request is over, or its time: reported there, or a matter of our worker from now on.

        Args:
            one: the transaction.
            verdict: on it, if it was there.
            status: that the requestor has answered the report with; ``None`` if it was not reported.
        """
        if verdict is not None and status is not None and category(status) in _TAKEN:
            self._done(one, verdict, "on the association of its request")
            return
        why = "was not reported" if status is None else f"was answered {status:04X}"
        log.info("storage commitment %s %s on the association of its request", one.transaction_uid, why)
        with self._changed:
            self._late.pop(one.transaction_uid, None)
            self._due[one.transaction_uid] = time.monotonic() + self._limits.pause_s
            self._changed.notify_all()

    def _done(self, one: Kept, verdict: Verdict, where: str = "on an association of our own") -> None:
        log.info(
            "storage commitment %s reported to %s %s: %d committed, %d failed",
            one.transaction_uid, one.ae_title, where, len(verdict.committed), len(verdict.failed),
        )  # fmt: skip
        self.reported(one.requestor, verdict)
        with self._filing:
            self._files.path(one).unlink(missing_ok=True)
            self._forget(one)

    def _forget(self, one: Kept) -> None:
        with self._changed:
            del self._pending[one.transaction_uid], self._due[one.transaction_uid]
            self._late.pop(one.transaction_uid, None)
            self._backoffs.pop(one.requestor, None)

    def _postpone(self, one: Kept, why: str) -> None:
        """Try a transaction again later, and whatever else is for its requestor; or set it aside."""
        limits = self._limits
        if time.time() - one.received_at > limits.give_up_hours * 3600:
            log.error(
                "storage commitment %s was not reported to %s within %g h, and is set aside: %s",
                one.transaction_uid, one.ae_title, limits.give_up_hours, why,
            )  # fmt: skip
            with self._filing:
                self._files.set_aside(one)
                self._forget(one)
            return
        with self._changed:
            failures, _ = self._backoffs.get(one.requestor, (0, 0.0))
            wait_s = min(limits.retry_longest_s, limits.retry_first_s * 2 ** min(failures, _MOST_DOUBLINGS))
            self._backoffs[one.requestor] = failures + 1, time.monotonic() + wait_s
            self._pending[one.transaction_uid] = self._pending.pop(one.transaction_uid)  # others come first now
        log.warning(
            "storage commitment %s not reported to %s, again in %g s: %s",
            one.transaction_uid, one.ae_title, wait_s, why,
        )  # fmt: skip

    def _check_wanted(self) -> None:
        if self._closing:
            raise Interrupted("storage commitments are being stopped; what was not reported stays on disk")


class Commitments(AnyCommitments):
    """Storage commitment for requestors that are known by their AE title alone.

    Args:
        archive, folder, limits: as of :class:`AnyCommitments`.
        destination: where requestors are to be called, by AE title.
        our_ae_title: to call them as.
    """

    def __init__(
        self,
        archive: Archive,
        folder: Path,
        destination: Destination,
        our_ae_title: str,
        *,
        limits: CommitmentLimits | None = None,
    ) -> None:
        super().__init__(archive, folder, limits)
        self._destination = destination
        self._our_ae_title = our_ae_title

    def peer_of(self, requestor: Requestor) -> Peer | None:
        """At the address of its AE title, wherever it called from."""
        address = self._destination(requestor.ae_title)
        if address is None:
            return None
        return Peer(*address, requestor.ae_title, self._our_ae_title, self._limits.timeouts)


class _OnSameAssociation:
    """A report that is wanted on the association of its request (see :class:`~dicomfab.dimse.late_report.LateReport`).

    Args:
        commitments: whose it is.
        one: the transaction.
        within_s: how long after the answer; 0 for never.
    """

    def __init__(self, commitments: AnyCommitments, one: Kept, within_s: float) -> None:
        self.within_s = within_s
        self._commitments = commitments
        self._one = one
        self._judged = threading.Event()
        self._verdict: Verdict | None = None
        self._is_over = False
        self._thread: threading.Thread | None = None

    def wait(self, timeout_s: float) -> EventReport | None:
        """The report, when the files have been read: by a thread of its own, as the peer may ask for more meanwhile."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._judge, name="commitment", daemon=True)
            self._thread.start()
        if not self._judged.wait(timeout_s) or self._verdict is None:
            return None
        verdict = self._verdict
        return EventReport(COMMITMENT, COMMITMENT_INSTANCE, verdict.event_type, verdict.to_dataset())

    def ended(self, status: int | None) -> None:
        """Reported, or to be reported in another way."""
        self._is_over = True
        self._commitments.late_ended(self._one, self._verdict, status)

    def join(self, timeout_s: float) -> None:
        """Wait for the reading to end, which is not wanted any more."""
        self._is_over = True
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _judge(self) -> None:
        try:
            self._verdict = self._commitments.judged(self._one, self._check_wanted)
        except Interrupted:
            return
        except (DicomFabError, OSError, ValueError) as error:  # tried again on an association of our own
            log.warning("storage commitment %s: %s", self._one.transaction_uid, type(error).__name__)
        except Exception as error:  # noqa: BLE001 (the outermost door; logged)
            log_failure(log, f"storage commitment {self._one.transaction_uid} for {self._one.ae_title}", error)
        else:
            self._judged.set()

    def _check_wanted(self) -> None:
        if self._is_over:
            raise Interrupted("the association of the request is over")


def _words(error: Exception) -> str:
    """Of a failure, what may be in a log: a peer's own comment may name a patient."""
    if isinstance(error, StatusFailure):
        return f"{error.heading} ({error.code})"
    return error.what if isinstance(error, DicomFabError) else type(error).__name__


def _who(requestor: Requestor) -> str:
    return f"{requestor.ae_title}@{requestor.address}"
