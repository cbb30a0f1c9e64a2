"""The archive as SCP of Storage Commitment Push Model (PS3.4 annex J): answers for what it can read back.

A request is on disk before it is answered with success, and stays there until its requestor has taken the report: so
neither a crash nor a requestor that is down loses one.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from dicomfab.archive.errors import ArchiveFailure, MismatchedInstance, UnreadableInstance
from dicomfab.archive.header import read_header, read_identity
from dicomfab.dimse.association import Association, associate
from dicomfab.dimse.commitment import (
    REQUEST_ACTION,
    Failed,
    FailureReason,
    InvalidCommitment,
    Reference,
    Transaction,
    Verdict,
)
from dicomfab.dimse.contexts import PLAIN_SYNTAXES
from dicomfab.dimse.failures import log_failure
from dicomfab.dimse.handlers import NormalizedReply, NormalizedRequest, Refusal, Requestor
from dicomfab.dimse.messages import ProposedContext
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.scu.normalized import n_event_report
from dicomfab.dimse.sop_classes import COMMITMENT, COMMITMENT_INSTANCE, is_storage
from dicomfab.dimse.status import SUCCESS, Category, category, failure
from dicomfab.model.disk import is_disk_full
from dicomfab.model.errors import ConnectionFailed, DicomFabError, Interrupted
from dicomfab.model.values import is_uid

if TYPE_CHECKING:
    from dicomfab.archive.archive import Archive
    from dicomfab.archive.records import StoredInstance

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
_CHUNK_BYTES: Final = 1 << 20
_JOIN_S: Final = 2.0
_MOST_DOUBLINGS: Final = 20
# What the name of a transaction's file ends with.
_PENDING: Final = ".json"
_UNFINISHED: Final = ".new"
_ASIDE: Final = ".unreported"
_MOST_ASIDE: Final = 1000


@dataclass(frozen=True, slots=True)
class CommitmentLimits:
    """How long reports are tried, and how much is taken on.

    Args:
        pause_s: from taking a request on to its first report: many requestors expect no report before the answer.
        retry_first_s: after a first failure to report; twice as long after each further one.
        retry_longest_s: but never longer.
        give_up_hours: after so many hours without success a transaction is set aside.
        max_pending: transactions at a time.
        max_references: of one transaction.
        timeouts: of the associations that reports go out on.
    """

    pause_s: float = 1.0
    retry_first_s: float = 5.0
    retry_longest_s: float = 600.0
    give_up_hours: float = 24.0
    max_pending: int = 1000
    max_references: int = 100_000
    timeouts: Timeouts = field(default_factory=Timeouts)


class Commitments:
    """Takes requests of storage commitment and reports on them, as long as it is entered; a handler of N-services.

    Args:
        archive: what it answers for.
        folder: one file for each transaction that was not reported; made when needed.
        destination: where requestors are to be called, by AE title.
        our_ae_title: to call them as.
        limits: how long, and how much.

    Raises:
        ArchiveFailure: on entering, when the folder cannot be read.
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
        self._archive = archive
        self._files = _Files(folder)
        self._destination = destination
        self._our_ae_title = our_ae_title
        self._limits = limits or CommitmentLimits()
        # Held while files are written or removed; the other is never held for long.
        self._filing = threading.Lock()
        self._changed = threading.Condition()
        self._pending: dict[str, _Kept] = {}
        self._due: dict[str, float] = {}
        self._backoffs: dict[str, tuple[int, float]] = {}  # AE title -> failures so far, and when to call it next
        self._closing = False
        self._association: Association | None = None
        self._worker: threading.Thread | None = None

    def __enter__(self) -> Commitments:
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
            association = self._association
            self._changed.notify_all()
        if association is not None:
            association.abort()
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
            if self._destination(requestor.ae_title) is None:
                raise Refusal(_PROCESSING_FAILURE, f"no address is registered for the AE title {requestor.ae_title}")
            with self._filing:
                self._take_on(requestor, transaction)
        except Refusal as refusal:
            log.warning("storage commitment for %s: %04X (%s)", _who(requestor), refusal.status, refusal.comment)
            raise
        return NormalizedReply(SUCCESS)

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

    def _take_on(self, requestor: Requestor, transaction: Transaction) -> None:
        """Note a transaction on disk, then in memory."""
        uid = transaction.transaction_uid
        with self._changed:
            known, count = self._pending.get(uid), len(self._pending)
        try:
            if known is not None:
                if known.ae_title != requestor.ae_title or self._files.read(known) != transaction:
                    raise Refusal(_DUPLICATE_TRANSACTION_UID, "another transaction with this UID is pending")
                return
            if count >= self._limits.max_pending:
                raise Refusal(_RESOURCE_LIMITATION, f"{count} transactions are pending; try later")
            kept = self._files.write(requestor.ae_title, transaction)
        except OSError as error:
            status = _RESOURCE_LIMITATION if is_disk_full(error) else _PROCESSING_FAILURE
            raise Refusal(status, f"the request cannot be kept: {error.strerror}") from error
        log.info("storage commitment %s for %s: %d instances", uid, _who(requestor), len(transaction.references))
        with self._changed:
            self._pending[uid] = kept
            self._due[uid] = time.monotonic() + self._limits.pause_s
            self._backoffs.pop(requestor.ae_title, None)  # who asks is there
            self._changed.notify_all()

    # ------------------------------------------------------------------ reports

    def _work(self) -> None:
        while (one := self._next()) is not None:
            try:
                self._settle(one)
            except (DicomFabError, OSError, ValueError) as error:
                if not self._closing:
                    self._postpone(one, error.what if isinstance(error, DicomFabError) else type(error).__name__)
            except Exception as error:  # noqa: BLE001 (the outermost door; logged)
                log_failure(log, f"storage commitment {one.transaction_uid} for {one.ae_title}", error)
                self._postpone(one, "the application failed")

    def _next(self) -> _Kept | None:
        """Wait for a transaction whose time has come; ``None`` when it is time to end."""
        with self._changed:
            while not self._closing:
                now = time.monotonic()
                soonest = None
                for uid, one in self._pending.items():
                    due = max(self._due[uid], self._backoffs.get(one.ae_title, (0, 0.0))[1])
                    if due <= now:
                        return one
                    soonest = due if soonest is None else min(soonest, due)
                self._changed.wait(None if soonest is None else soonest - now)
        return None

    def _settle(self, one: _Kept) -> None:
        """Judge a transaction, report on it and forget it.

        Raises:
            DicomFabError, OSError, ValueError: it has to be tried again.
        """
        address = self._destination(one.ae_title)
        if address is None:
            raise ConnectionFailed(f"no address is registered for {one.ae_title} any more")
        peer = Peer(*address, one.ae_title, self._our_ae_title, self._limits.timeouts)
        if one.ae_title in self._backoffs:
            self._call(peer, None)  # a whole study is not read again for a peer that is still down
        transaction = self._files.read(one)
        verdict = self._judged(transaction)
        self._call(peer, verdict)
        log.info(
            "storage commitment %s reported to %s: %d committed, %d failed",
            one.transaction_uid, one.ae_title, len(verdict.committed), len(verdict.failed),
        )  # fmt: skip
        with self._filing:
            self._files.path(one).unlink(missing_ok=True)
            self._forget(one)

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
                if category(told.response.status) not in (Category.SUCCESS, Category.WARNING):
                    raise failure("N-EVENT-REPORT", told.response, peer.label, association.implementation)
        finally:
            with self._changed:
                self._association = None

    def _forget(self, one: _Kept) -> None:
        with self._changed:
            del self._pending[one.transaction_uid], self._due[one.transaction_uid]
            self._backoffs.pop(one.ae_title, None)

    def _postpone(self, one: _Kept, why: str) -> None:
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
            failures, _ = self._backoffs.get(one.ae_title, (0, 0.0))
            wait_s = min(limits.retry_longest_s, limits.retry_first_s * 2 ** min(failures, _MOST_DOUBLINGS))
            self._backoffs[one.ae_title] = failures + 1, time.monotonic() + wait_s
            self._pending[one.transaction_uid] = self._pending.pop(one.transaction_uid)  # others come first now
        log.warning(
            "storage commitment %s not reported to %s, again in %g s: %s",
            one.transaction_uid, one.ae_title, wait_s, why,
        )  # fmt: skip

    # ------------------------------------------------------------------ judging

    def _judged(self, transaction: Transaction) -> Verdict:
        judged = [(reference, self._why_not(reference)) for reference in transaction.references]
        committed = tuple(reference for reference, reason in judged if reason is None)
        failed = tuple(Failed(reference, reason) for reference, reason in judged if reason is not None)
        return Verdict(transaction.transaction_uid, committed, failed)

    def _why_not(self, reference: Reference) -> FailureReason | None:
        """Why an instance is not committed; ``None`` if it is."""
        if not is_storage(reference.sop_class_uid):
            return FailureReason.SOP_CLASS_NOT_SUPPORTED
        stored = self._archive.find_instance(reference.sop_instance_uid)
        while stored is not None:
            if stored.identity.sop_class_uid != reference.sop_class_uid:
                return FailureReason.CLASS_INSTANCE_CONFLICT
            reason = self._damage(stored)
            if reason is None:
                return None
            again = self._archive.find_instance(reference.sop_instance_uid)
            if again == stored:
                return reason
            stored = again  # it was replaced or deleted while it was read
        return FailureReason.NO_SUCH_OBJECT_INSTANCE

    def _damage(self, stored: StoredInstance) -> FailureReason | None:
        """What is wrong with the file of an instance, read from beginning to end; ``None`` if nothing is."""
        try:
            if self._length(stored.path) != stored.dataset_offset + stored.size_bytes:
                return self._damaged(stored, "its length is another than was stored")
            if read_identity(stored.path) != (stored.identity, stored.dataset_offset):
                return self._damaged(stored, "its file header is another than was stored")
            header = read_header(stored.path, stored.dataset_offset, stored.identity)
        except FileNotFoundError:
            log.error("the file of instance %s is gone", stored.identity.sop_instance_uid)
            return FailureReason.NO_SUCH_OBJECT_INSTANCE
        except (UnreadableInstance, MismatchedInstance) as error:
            return self._damaged(stored, f"{error.field} cannot be read, or is another than was stored")
        except OSError as error:
            return self._damaged(stored, error.strerror or type(error).__name__)
        placed = (header.study_instance_uid, header.series_instance_uid)
        if placed != (stored.study_instance_uid, stored.series_instance_uid):
            return self._damaged(stored, "its study or series is another than was stored")
        return None

    def _length(self, path: Path) -> int:
        """Bytes of a file, as they can be read.

        Raises:
            OSError: the disk does not give them.
            Interrupted: we are stopping.
        """
        length = 0
        buffer = bytearray(_CHUNK_BYTES)
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                self._check_wanted()
                length += count
        return length

    def _check_wanted(self) -> None:
        if self._closing:
            raise Interrupted("storage commitments are being stopped; what was not reported stays on disk")

    @staticmethod
    def _damaged(stored: StoredInstance, what: str) -> FailureReason:
        log.error("the file of instance %s is damaged: %s", stored.identity.sop_instance_uid, what)
        return FailureReason.PROCESSING_FAILURE


def _who(requestor: Requestor) -> str:
    return f"{requestor.ae_title}@{requestor.address}"


@dataclass(frozen=True, slots=True)
class _Kept:
    """A transaction on disk; its references stay there until they are needed.

    Args:
        transaction_uid: of the transaction.
        ae_title: the requestor's.
        received_at: seconds since the epoch.
    """

    transaction_uid: str
    ae_title: str
    received_at: float


class _Files:
    """The files. Writing and removing is for one thread at a time.

    Args:
        folder: made when needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def pending(self) -> list[_Kept]:
        """What was not reported, the oldest first; what a killed process did not finish is removed.

        Raises:
            OSError: the folder cannot be read.
        """
        for path in self.folder.glob(f"*{_UNFINISHED}"):
            path.unlink(missing_ok=True)
        found = []
        for path in self.folder.glob(f"*{_PENDING}"):
            try:
                found.append(_kept(json.loads(path.read_text("utf-8")), path.stem))
            except (ValueError, KeyError, TypeError):
                log.error("%s is no storage commitment, and is left where it is", path)
        return sorted(found, key=lambda one: one.received_at)

    def write(self, ae_title: str, transaction: Transaction) -> _Kept:
        """Keep a transaction; on return it survives the machine.

        Raises:
            OSError: the disk does not take it; nothing is left of it.
        """
        kept = _Kept(transaction.transaction_uid, ae_title, time.time())
        references = [astuple(one) for one in transaction.references]
        document = {**asdict(kept), "references": references}
        path = self.path(kept)
        temporary = path.with_suffix(_UNFINISHED)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(document, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            for directory in (self.folder, self.folder.parent):
                _sync(directory)
        except OSError:
            for made in (temporary, path):
                with suppress(OSError):
                    made.unlink()
            raise
        return kept

    def read(self, kept: _Kept) -> Transaction:
        """A transaction with its references.

        Raises:
            OSError, ValueError: its file cannot be read.
        """
        document = json.loads(self.path(kept).read_text("utf-8"))
        try:
            references = tuple(Reference(str(one), str(other)) for one, other in document["references"])
        except (KeyError, TypeError) as error:
            raise ValueError("the file of a storage commitment has no references") from error
        return Transaction(kept.transaction_uid, references)

    def set_aside(self, kept: _Kept) -> None:
        """Keep the file of a transaction that is not tried any more, for people to look at, but not all of them."""
        path = self.path(kept)
        try:
            path.replace(path.with_suffix(_ASIDE))
            aside = sorted(self.folder.glob(f"*{_ASIDE}"), key=lambda one: one.stat().st_mtime)
            for old in aside[:-_MOST_ASIDE]:
                old.unlink()
        except OSError as error:
            log.error("storage commitment %s cannot be set aside: %s", kept.transaction_uid, error.strerror)

    def path(self, kept: _Kept) -> Path:
        """The file of a transaction."""
        return self.folder / f"{kept.transaction_uid}{_PENDING}"


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _kept(document: Any, stem: str) -> _Kept:
    kept = _Kept(str(document["transaction_uid"]), str(document["ae_title"]), float(document["received_at"]))
    if kept.transaction_uid != stem or not is_uid(stem):
        raise ValueError("the name is another than the transaction UID")
    return kept
