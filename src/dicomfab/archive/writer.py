"""The write side of the archive: one transaction puts files in place and rows beside them, or does neither."""

from __future__ import annotations

import io
import logging
import secrets
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

from sqlalchemy import Connection, Engine, delete, select

from dicomfab.archive import rows, settling
from dicomfab.archive.errors import ArchiveFailure
from dicomfab.archive.files import InstanceFiles
from dicomfab.archive.records import Duplicate, Outcome, Stored, StoredInstance
from dicomfab.archive.schema import WriteTransactions, obsolete_file, reporting
from dicomfab.archive.settling import Settling, Unsettled
from dicomfab.model.errors import Conflict
from dicomfab.model.study import InstanceIdentity
from dicomfab.model.values import Environment

if TYPE_CHECKING:
    from dicomfab.archive.header import Header

logger = logging.getLogger(__name__)

_COMPARED_BYTES: Final = 1 << 20


def _locked() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


class Received(NamedTuple):
    """An instance that has arrived and was checked.

    Args:
        temporary: a name for it in the workspace.
        content: its file, header and data set, if it is small; else these are in the temporary file, synced.
        size_bytes: of the data set.
        dataset_offset: bytes before the data set.
        retrieved_at: when a server of production sent it, ISO 8601 in UTC; none for all else.
        made_here: it was fabricated by this installation.
    """

    temporary: str
    content: bytes | None
    identity: InstanceIdentity
    header: Header
    size_bytes: int
    dataset_offset: int
    environment: Environment
    retrieved_at: str | None = None
    made_here: bool = False


@dataclass(slots=True, eq=False)
class _Ticket:
    """One thread's place in the queue for the next transaction, and then its answer."""

    received: Received
    answer: Stored | ArchiveFailure | None = None
    leads: bool = False
    woken: threading.Lock = field(default_factory=_locked)


@dataclass(slots=True)
class _Work:
    """What one transaction does."""

    placed: list[str] = field(default_factory=list)
    unsettled: list[Unsettled] = field(default_factory=list)


class Writer:
    """Stores, replaces and deletes. Thread-safe.

    Instances that several threads hand in while a transaction runs share the next one (group commit): what a
    transaction costs is its syncing, not its rows.
    """

    def __init__(self, engine: Engine, files: InstanceFiles, on_duplicate: Duplicate) -> None:
        self._transactions = WriteTransactions(engine)
        self._files = files
        self._on_duplicate = on_duplicate
        self._settling = Settling(self._transactions, files)
        self._queue: list[_Ticket] = []
        self._led = False  # a thread is at work for the queue, and will name its successor
        self._lock = threading.Lock()

    def store(self, received: Received) -> Stored:
        """Store one instance; on return it is durable, file and index.

        If the answer is ``NEW`` or ``REPLACED``, its temporary file is no longer the caller's.

        Raises:
            ArchiveFailure: disk or index failed; it was not stored.
        """
        ticket = _Ticket(received)
        with self._lock:
            self._queue.append(ticket)
            if not self._led:
                self._name_leader()
        try:
            ticket.woken.acquire()
            if ticket.leads:
                self._lead()
        finally:
            if ticket.leads or ticket.answer is None:
                self._leave(ticket)
        if isinstance(ticket.answer, Stored):
            return ticket.answer
        raise ticket.answer or _interrupted()

    def store_all(self, received: Sequence[Received]) -> list[Stored]:
        """Store all of them or none, in one transaction. Their temporary files need not be synced.

        Raises:
            ArchiveFailure: disk or index failed; none was stored.
        """
        with reporting(self._transactions.engine):
            self._files.sync(self._files.temporary_path(one.temporary) for one in received)
        stored = self._transaction(received)
        self._settling.settle()
        return stored

    def rewrite_all(self, received: Sequence[Received]) -> list[Stored]:
        """Put instances in place of those that are there under their UIDs, all or none, in one transaction.

        Their studies go with the patients whom they name now. When they came in, where from, and whether they expire
        stays as it was.

        Raises:
            Conflict: one is not there any more; nothing was changed.
            ArchiveFailure: disk or index failed; nothing was changed.
        """
        with reporting(self._transactions.engine):
            self._files.sync(self._files.temporary_path(one.temporary) for one in received)
        stored = self._transaction(received, is_rewriting=True)
        self._settling.settle()
        return stored

    def delete_study(self, study_instance_uid: str) -> int:
        """Delete a study; its files go after its rows. Returns how many instances it had."""
        self._settling.settle()  # so that no second name keeps what is deleted on the disk
        with self._transactions.begin() as connection:
            count = rows.remove(connection, study_instance_uid)
        if count:
            self._sweep_now_or_later()
        return count

    def delete_part(
        self,
        study_instance_uid: str,
        series_instance_uid: str,
        sop_instance_uid: str,
        environments: Collection[Environment],
    ) -> int:
        """Delete a study, a series or an instance, if the study came from one of these environments.

        Returns how many instances were deleted.
        """
        self._settling.settle()
        with self._transactions.begin() as connection:
            if rows.environment_of(connection, study_instance_uid) not in environments:
                return 0
            count = rows.remove(connection, study_instance_uid, series_instance_uid, sop_instance_uid)
        if count:
            self._sweep_now_or_later()
        return count

    def delete_expired(self, study_instance_uid: str, before: str) -> int:
        """Delete what servers sent of a study, if all of that came before a moment; see :mod:`rows`."""
        self._settling.settle()
        with self._transactions.begin() as connection:
            count = rows.remove_expired(connection, study_instance_uid, before)
        if count:
            self._sweep_now_or_later()
        return count

    def keep(self, sop_instance_uid: str) -> None:
        """Let an instance not expire."""
        with self._transactions.begin() as connection:
            rows.keep(connection, sop_instance_uid)

    def keep_study(self, study_instance_uid: str) -> None:
        """Let a study not expire."""
        with self._transactions.begin() as connection:
            rows.keep_study(connection, study_instance_uid)

    def clear_up(self, *, index_is_new: bool) -> None:
        """Make good what killed processes left half done. To be called within the files' ``opening``."""
        with self._files.abandoned() as left:
            with self._transactions.begin() as connection:
                settling.restore(connection, self._files, left.living)
            if not index_is_new:  # else it knows nothing, and the files are all there is
                self._remove_unless_indexed(left.placing)
        self._sweep()

    def close(self) -> bool:
        """Leave nothing for others to clear up. Returns whether that succeeded."""
        settled = self._settling.close()
        self._transactions.close()
        return settled

    def _lead(self) -> None:
        """Answer all that has queued up."""
        with self._lock:
            group, self._queue = self._queue, []
        try:
            self._store_group(group)
        finally:
            for ticket in group:
                ticket.answer = ticket.answer or _interrupted()
                ticket.woken.release()

    def _leave(self, ticket: _Ticket) -> None:
        """Be done with a ticket, answered or not; if its thread led, another has to."""
        with self._lock:
            if ticket in self._queue:
                self._queue.remove(ticket)
            if ticket.leads:
                self._name_leader()

    def _name_leader(self) -> None:
        """Let whoever has waited longest do the next transaction. To be called with the lock held."""
        self._led = bool(self._queue)
        if self._led:
            self._queue[0].leads = True
            self._queue[0].woken.release()

    def _store_group(self, group: list[_Ticket]) -> None:
        """Answer every ticket: in one transaction, or each in its own if that fails because of one of them."""
        try:
            answers = self._transaction([ticket.received for ticket in group])
        except ArchiveFailure as error:
            if len(group) == 1:
                group[0].answer = error
                return
            for ticket in group:
                self._store_group([ticket])
        else:
            for ticket, answer in zip(group, answers, strict=True):
                ticket.answer = answer

    def _transaction(self, received: Sequence[Received], *, is_rewriting: bool = False) -> list[Stored]:
        work = _Work()
        try:
            with self._transactions.begin() as connection:
                self._files.start_placing()
                if is_rewriting:
                    stored = self._rewritten(connection, received, work)
                else:
                    stored = [self._store_one(connection, one, work, self._on_duplicate) for one in received]
        except BaseException:
            self._remove_unless_indexed(work.placed)
            raise
        self._settling.add(work.unsettled)
        if any(one.outcome is Outcome.REPLACED for one in stored):
            self._sweep_now_or_later()
        return stored

    def _rewritten(self, connection: Connection, received: Sequence[Received], work: _Work) -> list[Stored]:
        studies = {one.header.study_instance_uid: one.header for one in received}
        came_in = {study: rows.stored_at(connection, study) for study in studies}
        stored = []
        for one in received:
            came = rows.came_as(connection, one.identity.sop_instance_uid)
            if came is None:
                raise Conflict(
                    f"SOP instance {one.identity.sop_instance_uid} was deleted meanwhile: nothing was rewritten",
                    cause="somebody deleted it while it was being rewritten",
                    remedy="do it again, if anything is left",
                )
            one = one._replace(retrieved_at=came.retrieved_at, made_here=came.made_here)
            stored.append(self._store_one(connection, one, work, None))
        for study, header in studies.items():
            rows.refile(connection, header, came_in[study])
        return stored

    def _store_one(
        self, connection: Connection, received: Received, work: _Work, on_duplicate: Duplicate | None
    ) -> Stored:
        """Store one instance; without a rule for duplicates, it is meant to take the place of the one that is there."""
        header, uid = received.header, received.identity.sop_instance_uid
        stem = f"{header.study_instance_uid}/{header.series_instance_uid}/{uid}"
        place = rows.look_up(connection, header, uid)
        if not place.instance_known:
            return Stored(Outcome.NEW, self._add(connection, received, place, f"{stem}.dcm", work))
        existing = rows.find_instance(connection, uid)
        before = rows.stored_instance(existing, self._files.instances)
        if not before.path.is_file():
            logger.warning("SOP instance %s: its file was missing from the archive; stored anew", uid)
            outcome, name = Outcome.NEW, f"{stem}.dcm"
        elif self._has_content(before, received):
            if received.environment is Environment.PROD:
                rows.mark_prod(connection, before.study_instance_uid)
            if received.retrieved_at is not None:
                rows.renew(connection, uid, received.retrieved_at)
            elif received.environment is Environment.TEST:
                rows.keep_of_test(connection, uid)
            return Stored(Outcome.SAME, before)
        else:
            if on_duplicate is not None:
                logger.warning("SOP instance %s arrived again with other content (%s)", uid, on_duplicate)
            if on_duplicate not in (None, Duplicate.REPLACE):
                return Stored(Outcome.KEPT if on_duplicate is Duplicate.KEEP else Outcome.REFUSED, before)
            # Under another name than the file it replaces: until the commit, that one is the truth.
            outcome, name = Outcome.REPLACED, f"{stem}.{secrets.token_hex(8)}.dcm"
        rows.remove_instance(connection, existing)
        place = rows.look_up(connection, header, uid)
        return Stored(outcome, self._add(connection, received, place, name, work))

    def _has_content(self, before: StoredInstance, received: Received) -> bool:
        """Whether an instance in the archive has the same bytes in the same transfer syntax as one received."""
        announced = (received.identity.transfer_syntax_uid, received.size_bytes)
        if (before.identity.transfer_syntax_uid, before.size_bytes) != announced:
            return False
        with before.path.open("rb") as stored, self._opened(received) as again:
            stored.seek(before.dataset_offset)
            again.seek(received.dataset_offset)
            while chunk := stored.read(_COMPARED_BYTES):
                if chunk != again.read(_COMPARED_BYTES):
                    return False
            return not again.read(1)

    def _opened(self, received: Received) -> BinaryIO:
        if received.content is not None:
            return io.BytesIO(received.content)
        return self._files.temporary_path(received.temporary).open("rb")

    def _add(
        self, connection: Connection, received: Received, place: rows.Place, name: str, work: _Work
    ) -> StoredInstance:
        header, content = received.header, received.content
        work.placed.append(name)
        self._files.place(name, received.temporary if content is None else content)
        file = rows.FileColumns(
            received.identity.transfer_syntax_uid,
            name,
            received.size_bytes,
            received.dataset_offset,
            received.retrieved_at,
            1 if received.made_here else None,
        )
        row, patient_id = rows.add_instance(connection, place, header, received.environment, file)
        note = rows.add_unsettled(connection, row, received.temporary, content)
        work.unsettled.append(Unsettled(note, received.temporary, name, len(content or b"")))
        return StoredInstance(
            path=self._files.instances / name,
            identity=received.identity,
            study_instance_uid=header.study_instance_uid,
            series_instance_uid=header.series_instance_uid,
            patient_id=patient_id,
            size_bytes=received.size_bytes,
            dataset_offset=received.dataset_offset,
            made_here=received.made_here,
        )

    def _remove_unless_indexed(self, names: Sequence[str]) -> None:
        """Take files back out that a transaction put in place, unless it was committed after all."""
        if not names:
            return
        with self._transactions.begin() as connection:
            for name in names:
                if not rows.is_indexed(connection, name):
                    self._files.remove(name)

    def _sweep(self) -> None:
        """Remove the files whose rows are gone: under the write lock, so that no one is putting them back."""
        with self._transactions.begin() as connection:
            for path in connection.execute(select(obsolete_file.c.path)).scalars().all():
                if not rows.is_indexed(connection, path):
                    self._files.remove(path)
            connection.execute(delete(obsolete_file))

    def _sweep_now_or_later(self) -> None:
        try:
            self._sweep()
        except ArchiveFailure as error:
            logger.warning("obsolete files stay until the archive %s is opened next: %s", self._files.root, error)


def _interrupted() -> ArchiveFailure:
    return ArchiveFailure("the transaction that was to store the instance was interrupted")
