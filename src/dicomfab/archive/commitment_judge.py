"""Whether the archive can answer for instances: each file is read back from beginning to end (PS3.4 J.3.2)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dicomfab.archive.errors import MismatchedInstance, UnreadableInstance
from dicomfab.archive.header import read_header, read_identity
from dicomfab.dimse.commitment import Failed, FailureReason, Reference, Transaction, Verdict
from dicomfab.dimse.sop_classes import is_storage

if TYPE_CHECKING:
    from dicomfab.archive.archive import Archive
    from dicomfab.archive.records import StoredInstance

log = logging.getLogger(__name__)

_CHUNK_BYTES: Final = 1 << 20

#: Why nothing of a study is committed, by its Study Instance UID; ``None`` if it may be.
Withheld = Callable[[str], FailureReason | None]


class Judge:
    """Judges one transaction.

    Args:
        archive: what is answered for.
        withheld: why a study is not committed although it is there; asked once for each.
        check_wanted: called while a file is read; raises what ends the reading.
    """

    def __init__(self, archive: Archive, withheld: Withheld, check_wanted: Callable[[], None]) -> None:
        self._archive = archive
        self._withheld = withheld
        self._check_wanted = check_wanted
        self._of_studies: dict[str, FailureReason | None] = {}

    def verdict(self, transaction: Transaction) -> Verdict:
        """Judge every reference of a transaction.

        Raises:
            ArchiveFailure: the index failed.
        """
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
            reason = self._of_study(stored.study_instance_uid)
            if reason is not None:
                return reason
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

    def _of_study(self, study_instance_uid: str) -> FailureReason | None:
        if study_instance_uid not in self._of_studies:
            self._of_studies[study_instance_uid] = self._withheld(study_instance_uid)
        return self._of_studies[study_instance_uid]

    def _damage(self, stored: StoredInstance) -> FailureReason | None:
        """What is wrong with the file of an instance, read from beginning to end; ``None`` if nothing is."""
        try:
            if self._length(stored.path) != stored.dataset_offset + stored.size_bytes:
                return _damaged(stored, "its length is another than was stored")
            if read_identity(stored.path) != (stored.identity, stored.dataset_offset):
                return _damaged(stored, "its file header is another than was stored")
            header = read_header(stored.path, stored.dataset_offset, stored.identity)
        except FileNotFoundError:
            log.error("the file of instance %s is gone", stored.identity.sop_instance_uid)
            return FailureReason.NO_SUCH_OBJECT_INSTANCE
        except (UnreadableInstance, MismatchedInstance) as error:
            return _damaged(stored, f"{error.field} cannot be read, or is another than was stored")
        except OSError as error:
            return _damaged(stored, error.strerror or type(error).__name__)
        placed = (header.study_instance_uid, header.series_instance_uid)
        if placed != (stored.study_instance_uid, stored.series_instance_uid):
            return _damaged(stored, "its study or series is another than was stored")
        return None

    def _length(self, path: Path) -> int:
        """Bytes of a file, as they can be read.

        Raises:
            OSError: the disk does not give them.
        """
        length = 0
        buffer = bytearray(_CHUNK_BYTES)
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                self._check_wanted()
                length += count
        return length


def _damaged(stored: StoredInstance, what: str) -> FailureReason:
    log.error("the file of instance %s is damaged: %s", stored.identity.sop_instance_uid, what)
    return FailureReason.PROCESSING_FAILURE
