"""The write side of the archive: one transaction puts files in place and rows beside them, or does neither."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, select
from sqlalchemy.exc import DatabaseError

from dicomfab.archive import rows
from dicomfab.archive.errors import ArchiveFailure
from dicomfab.archive.files import InstanceFiles
from dicomfab.archive.header import Header
from dicomfab.archive.records import Duplicate, Outcome, Stored, StoredInstance
from dicomfab.archive.schema import obsolete_file, reporting, writing
from dicomfab.model.study import InstanceIdentity
from dicomfab.model.values import Environment

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Received:
    """An instance that lies complete and synced in the workspace.

    Args:
        temporary: its file.
        digest: of transfer syntax and data set: the same for the same content.
        size_bytes: of the data set.
        dataset_offset: bytes before the data set.
    """

    temporary: Path
    identity: InstanceIdentity
    header: Header
    digest: bytes
    size_bytes: int
    dataset_offset: int
    environment: Environment


@dataclass(slots=True)
class _Ticket:
    """One thread's place in the queue for the next transaction, and then its answer."""

    received: Received
    answer: Stored | ArchiveFailure | None = None


class Writer:
    """Stores, replaces and deletes. Thread-safe.

    Instances that several threads hand in while a transaction runs share the next one (group commit): what a
    transaction costs is its syncing, not its rows.
    """

    def __init__(self, engine: Engine, files: InstanceFiles, on_duplicate: Duplicate) -> None:
        self._engine = writing(engine)
        self._files = files
        self._on_duplicate = on_duplicate
        self._turn = threading.Lock()
        self._queue: list[_Ticket] = []  # appended to at any time, taken over whole by whose turn it is
        self._queue_lock = threading.Lock()

    def store(self, received: Received) -> Stored:
        """Store one instance; on return it is durable, file and index.

        Raises:
            ArchiveFailure: disk or index failed; it was not stored.
        """
        ticket = _Ticket(received)
        with self._queue_lock:
            self._queue.append(ticket)
        with self._turn:
            if ticket.answer is None:
                with self._queue_lock:
                    group, self._queue = self._queue, []
                self._store_group(group)
        if isinstance(ticket.answer, Stored):
            return ticket.answer
        raise ticket.answer or ArchiveFailure("the transaction that was to store the instance was interrupted")

    def store_all(self, received: Sequence[Received]) -> list[Stored]:
        """Store all of them or none, in one transaction.

        Raises:
            ArchiveFailure: disk or index failed; none was stored.
        """
        with self._turn:
            return self._transaction(received)

    def delete_study(self, study_instance_uid: str) -> int:
        """Delete a study; its files go after its rows. Returns how many instances it had."""
        with self._turn:
            with reporting(self._engine), self._engine.begin() as connection:
                count = rows.remove_study(connection, study_instance_uid)
            if count:
                self._sweep_now_or_later()
        return count

    def sweep(self) -> None:
        """Remove the files whose rows are gone: under the write lock, so that no one is putting them back."""
        with self._engine.begin() as connection:
            for path in connection.execute(select(obsolete_file.c.path)).scalars().all():
                if not rows.is_indexed(connection, path):
                    self._files.remove(path)
            connection.execute(delete(obsolete_file))

    def clear_up(self) -> None:
        """Undo what killed processes left half done. To be called within the files' ``opening``."""
        with reporting(self._engine):
            with self._files.abandoned() as left, self._engine.begin() as connection:
                for name in self._files.final_names(left):
                    if not rows.is_indexed(connection, name):
                        self._files.remove(name)
            self.sweep()

    def _store_group(self, group: list[_Ticket]) -> None:
        """Answer every ticket: in one transaction, or each in its own if that fails because of one of them."""
        if not group:
            return
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

    def _transaction(self, received: Sequence[Received]) -> list[Stored]:
        placed: list[str] = []
        try:
            with reporting(self._engine), self._engine.begin() as connection:
                stored = [self._store_one(connection, one, placed) for one in received]
                self._files.sync_directories(placed)
        except BaseException:
            self._undo(placed)
            raise
        if any(one.outcome is Outcome.REPLACED for one in stored):
            self._sweep_now_or_later()
        return stored

    def _undo(self, placed: list[str]) -> None:
        """Take files back out, unless the index names them after all."""
        if not placed:
            return
        with reporting(self._engine), self._engine.begin() as connection:
            for name in placed:
                if not rows.is_indexed(connection, name):
                    self._files.remove(name)

    def _store_one(self, connection: Connection, received: Received, placed: list[str]) -> Stored:
        header, uid = received.header, received.identity.sop_instance_uid
        stem = f"{header.study_instance_uid}/{header.series_instance_uid}/{uid}"
        existing = rows.find_instance(connection, uid)
        if existing is None:
            return Stored(Outcome.NEW, self._add(connection, received, f"{stem}.dcm", placed))
        before = rows.stored_instance(existing, self._files.instances)
        if not before.path.is_file():
            logger.warning("SOP instance %s: its file was missing from the archive; stored anew", uid)
            rows.remove_instance(connection, existing)
            return Stored(Outcome.NEW, self._add(connection, received, f"{stem}.dcm", placed))
        if existing.digest == received.digest:
            if received.environment is Environment.PROD:
                rows.mark_prod(connection, before.study_instance_uid)
            return Stored(Outcome.SAME, before)
        logger.warning("SOP instance %s arrived again with other content (%s)", uid, self._on_duplicate)
        if self._on_duplicate is not Duplicate.REPLACE:
            return Stored(Outcome.KEPT if self._on_duplicate is Duplicate.KEEP else Outcome.REFUSED, before)
        rows.remove_instance(connection, existing)
        # Under another name than the file it replaces: until the commit, that one is the truth.
        name = f"{stem}.{received.digest.hex()[:16]}.dcm"
        return Stored(Outcome.REPLACED, self._add(connection, received, name, placed))

    def _add(self, connection: Connection, received: Received, name: str, placed: list[str]) -> StoredInstance:
        self._files.place(received.temporary, name)
        placed.append(name)
        columns = {
            "transfer_syntax_uid": received.identity.transfer_syntax_uid,
            "path": name,
            "size_bytes": received.size_bytes,
            "dataset_offset": received.dataset_offset,
            "digest": received.digest,
        }
        patient_id = rows.add_instance(connection, received.header, received.environment, columns)
        return StoredInstance(
            path=self._files.instances / name,
            identity=received.identity,
            study_instance_uid=received.header.study_instance_uid,
            series_instance_uid=received.header.series_instance_uid,
            patient_id=patient_id,
            size_bytes=received.size_bytes,
            dataset_offset=received.dataset_offset,
        )

    def _sweep_now_or_later(self) -> None:
        try:
            self.sweep()
        except (OSError, DatabaseError) as error:
            logger.warning("obsolete files stay until the archive %s is opened next: %s", self._files.root, error)
