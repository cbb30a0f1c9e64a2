"""The archive: takes instances in, keeps them, finds them. One for the local store and one for each test PACS."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from dicomfab.archive import browse
from dicomfab.archive.files import InstanceFiles
from dicomfab.archive.in_use import InUse
from dicomfab.archive.records import (
    Duplicate,
    InstanceSummary,
    PatientSummary,
    ReindexReport,
    StorageSummary,
    StoredInstance,
    StudyDetail,
    StudyFilter,
    StudyPage,
    StudySort,
)
from dicomfab.archive.schema import Found, open_engine, prepare
from dicomfab.archive.writer import Writer
from dicomfab.model.errors import Conflict
from dicomfab.model.query import QueryModel
from dicomfab.model.study import InstanceIdentity
from dicomfab.model.values import Environment

if TYPE_CHECKING:  # what reads and writes data sets is loaded when it is needed: not to list studies
    from pydicom.dataset import Dataset

    from dicomfab.archive import snapshot
    from dicomfab.archive.incoming import Batch, Incoming

logger = logging.getLogger(__name__)

INDEX_NAME = "index.sqlite3"


@dataclass(frozen=True, slots=True)
class _Opened:
    engine: Engine
    files: InstanceFiles
    writer: Writer


class Archive:
    """SOP instances in DICOM files below one directory, and an index of them.

    Safe for several threads, and for several processes on one machine. Nothing is opened or made before the first use;
    the first use also clears up after processes that were killed.

    Args:
        root: the directory; made when needed.
        on_duplicate: what to do with a SOP instance UID that is there with other content.
    """

    def __init__(self, root: Path, *, on_duplicate: Duplicate = Duplicate.KEEP) -> None:
        self.root = root
        self.on_duplicate = on_duplicate
        self._lock = threading.Lock()
        self._in_use = InUse(root / "in-use")
        self._state: _Opened | None = None

    def close(self) -> None:
        """Close the index and drop what was not committed. The next use opens it again."""
        with self._lock:
            state, self._state = self._state, None
            if state is not None:
                settled = state.writer.close()
                state.engine.dispose()
                state.files.close(keep=not settled)

    def begin(self, identity: InstanceIdentity) -> Incoming:
        """Start to take in an instance.

        Args:
            identity: what the C-STORE command and the presentation context, or the file header, say that it is.

        Raises:
            InvalidInput: a UID that is none.
            ArchiveFailure: disk or index cannot be used.
        """
        from dicomfab.archive.incoming import Incoming

        state = self._opened()
        return Incoming(state.files, identity, state.writer)

    @contextmanager
    def batch(self) -> Iterator[Batch]:
        """Store many instances in one transaction when the block ends; an error in the block stores none.

        Raises:
            ArchiveFailure: disk or index failed; none was stored.
        """
        from dicomfab.archive.incoming import Batch

        state = self._opened()
        batch = Batch(state.files, state.writer)
        try:
            yield batch
            batch.store()
        finally:
            batch.discard()

    @contextmanager
    def rewriting(self, study_instance_uid: str) -> Iterator[Batch]:
        """Put instances in place of those of a study, in one transaction when the block ends.

        They have the UIDs that are there, and the study goes with the patient whom they name. When they came in, and
        what is known of their origin, stays. An error in the block changes nothing.

        Raises:
            Conflict: the study is in use, see :meth:`using`, or one of its instances was deleted meanwhile.
            ArchiveFailure: disk or index failed. Nothing was changed in either case.
        """
        from dicomfab.archive.incoming import Batch

        with self._in_use.alone(study_instance_uid) as is_mine:
            if not is_mine:
                raise Conflict(
                    f"study {study_instance_uid} is in use, and nothing of it was changed",
                    cause="it is being sent, exported or written to a medium at the moment",
                    remedy="wait until that is done, then do it again",
                )
            state = self._opened()
            batch = Batch(state.files, state.writer, is_rewriting=True)
            try:
                yield batch
                batch.store()
            finally:
                batch.discard()

    def find(self, model: QueryModel, identifier: Dataset, *, retrieve_ae_title: str = "") -> Iterator[Dataset]:
        """Answer a C-FIND (PS3.4 C.4.1). The request is checked at once, the matches come as they are read.

        Args:
            model: the information model, by the request's SOP class.
            identifier: the request's, as received: it is decoded by its own Specific Character Set.
            retrieve_ae_title: for Retrieve AE Title (0008,0054) of the responses; left out if empty.

        Raises:
            ArchiveQueryError: it cannot be answered (C-FIND status A900).
        """
        from dicomfab.archive import find

        query = find.parse(model, identifier)
        return find.responses(self._opened().engine, query, retrieve_ae_title)

    def select(self, model: QueryModel, identifier: Dataset) -> list[StoredInstance]:
        """The instances that a C-MOVE or C-GET asks for (PS3.4 C.4.2, C.4.3); none is an empty list.

        Raises:
            ArchiveQueryError: no valid level or unique key (status A900).
        """
        from dicomfab.archive import find

        state = self._opened()
        return find.select_instances(state.engine, state.files.instances, model, identifier)

    def studies(
        self,
        wanted: StudyFilter | None = None,
        *,
        environments: Collection[Environment] = tuple(Environment),
        sort: StudySort = StudySort.STORED,
        descending: bool = True,
        limit: int = 50,
        offset: int = 0,
        counted: bool = True,
    ) -> StudyPage:
        """One page of a list of studies.

        Args:
            wanted: which studies; all if left out.
            sort: the order; ties go by when the study came in.
            descending: the greatest, or the newest, first.
            limit: at most so many on the page.
            offset: so many before it.
            environments: only studies that came from one of these; none shows nothing.
            counted: whether all are counted; if not, the total is that of the page, and it is there sooner.

        Raises:
            ArchiveQueryError: a filter that cannot be matched, by name.
        """
        return browse.study_page(
            self._opened().engine,
            wanted or StudyFilter(),
            environments,
            sort=sort,
            descending=descending,
            limit=limit,
            offset=offset,
            counted=counted,
        )

    def has_study(self, study_instance_uid: str) -> bool:
        """Whether a study is in the archive."""
        return browse.has_study(self._opened().engine, study_instance_uid)

    def study(self, study_instance_uid: str) -> StudyDetail:
        """One study with its series.

        Raises:
            NotFound: it is not in the archive.
        """
        return browse.study_detail(self._opened().engine, study_instance_uid)

    def instances(self, study_instance_uid: str) -> list[StoredInstance]:
        """The instances of a study, series by series; empty if it is not in the archive."""
        state = self._opened()
        return browse.study_instances(state.engine, state.files.instances, study_instance_uid)

    def sop_classes(self, study_instance_uid: str) -> list[str]:
        """The SOP Class UIDs of the instances of a study, each once; empty if it is not in the archive."""
        return browse.sop_classes(self._opened().engine, study_instance_uid)

    def instance_uids(self, study_instance_uid: str, series_instance_uid: str) -> list[str]:
        """The SOP Instance UIDs of a series by InstanceNumber; empty if it is not in the archive."""
        return browse.instance_uids(self._opened().engine, study_instance_uid, series_instance_uid)

    def instance_page(
        self, study_instance_uid: str, series_instance_uid: str, *, limit: int = 50, offset: int = 0
    ) -> list[InstanceSummary]:
        """Some instances of a series by InstanceNumber."""
        engine = self._opened().engine
        return browse.instance_page(engine, study_instance_uid, series_instance_uid, limit=limit, offset=offset)

    def find_instance(self, sop_instance_uid: str) -> StoredInstance | None:
        """An instance by its UID alone, or nothing."""
        state = self._opened()
        return browse.find_instance(state.engine, state.files.instances, sop_instance_uid)

    def patients(self) -> list[PatientSummary]:
        """All patients with counts, by name."""
        return browse.patients(self._opened().engine)

    def storage(self, environments: Collection[Environment] | None = None) -> StorageSummary:
        """How much there is, in all or in the studies of some environments."""
        return browse.storage(self._opened().engine, environments)

    def delete_study(self, study_instance_uid: str) -> int:
        """Delete a study, rows and files. Returns how many instances it had.

        Raises:
            NotFound: it is not in the archive.
        """
        count = self._opened().writer.delete_study(study_instance_uid)
        if not count:
            raise browse.no_such_study(study_instance_uid)
        return count

    def delete_part(
        self,
        study_instance_uid: str,
        series_instance_uid: str = "",
        sop_instance_uid: str = "",
        *,
        environments: Collection[Environment] = tuple(Environment),
    ) -> int:
        """Delete a study, one of its series, or one instance: rows and files, all of it or nothing.

        Args:
            study_instance_uid: the study.
            series_instance_uid: only this one of its series.
            sop_instance_uid: only this one of its instances.
            environments: nothing is deleted of a study that came from none of these.

        Returns:
            How many instances were deleted; 0 if none is there.

        Raises:
            Conflict: the study is in use, see :meth:`using`.
        """
        with self._in_use.alone(study_instance_uid) as is_mine:
            if not is_mine:
                raise Conflict(
                    f"study {study_instance_uid} is in use, and nothing of it was deleted",
                    cause="it is being sent, exported or written to a medium at the moment",
                    remedy="wait until that is done, then delete it",
                )
            writer = self._opened().writer
            return writer.delete_part(study_instance_uid, series_instance_uid, sop_instance_uid, environments)

    def retrieved_before(self, moment: str, environment: Environment) -> list[str]:
        """The studies of which servers sent copies that expire, all of them before a moment (ISO 8601 in UTC)."""
        return browse.retrieved_before(self._opened().engine, moment, environment)

    def delete_expired(self, study_instance_uid: str, before: str) -> int:
        """Delete the copies that servers sent of a study, if all of them came before a moment (ISO 8601 in UTC).

        What came by another way stays, and so does a study that is in use: see :meth:`using`. Returns how many
        instances were deleted.
        """
        with self._in_use.alone(study_instance_uid) as is_mine:
            return self._opened().writer.delete_expired(study_instance_uid, before) if is_mine else 0

    def keep(self, sop_instance_uid: str) -> None:
        """Let an instance not expire that a server sent: it came by another way as well."""
        self._opened().writer.keep(sop_instance_uid)

    def keep_study(self, study_instance_uid: str) -> bool:
        """Let a study not expire, unless it is in use: more of it may be coming. Whether it was done."""
        with self._in_use.alone(study_instance_uid) as is_mine:
            if is_mine:
                self._opened().writer.keep_study(study_instance_uid)
            return is_mine

    def using(self, study_instance_uid: str) -> AbstractContextManager[None]:
        """See that a study does not expire during the block, in any process of this machine."""
        return self._in_use.using(study_instance_uid)

    def held(self, index: Path, moment: Callable[[], None]) -> AbstractContextManager[snapshot.Snapshot]:
        """Hold one moment of the archive during the block, to copy it; see :mod:`.snapshot`.

        Args:
            index: where the copy of the index goes.
            moment: called at that moment.
        """
        from dicomfab.archive import snapshot

        state = self._opened()
        return snapshot.held(state.engine, state.files, index, moment)

    def reindex(self) -> ReindexReport:
        """Rebuild the index from the files. Writers wait, and readers see the old one, until it is done.

        The environment of a study is not in its files: what the old index knows is kept, the rest counts as production.
        """
        from dicomfab.archive import reindex

        self.close()
        files = InstanceFiles(self.root)
        engine = open_engine(self.root / INDEX_NAME)
        try:
            with files.opening():
                if (self.root / INDEX_NAME).exists():
                    reindex.set_aside_if_damaged(engine)
                return reindex.rebuild(engine, files)
        finally:
            engine.dispose()

    def _opened(self) -> _Opened:
        with self._lock:
            if self._state is None:
                self._state = self._open()
            return self._state

    def _open(self) -> _Opened:
        files = InstanceFiles(self.root)
        engine = open_engine(self.root / INDEX_NAME)
        writer = Writer(engine, files, self.on_duplicate)
        try:
            with files.opening():
                found = prepare(engine)
                if found is Found.OLDER:
                    from dicomfab.archive import reindex

                    logger.info("the index of %s is made anew for this version of the program", self.root)
                    reindex.rebuild(engine, files)
                writer.clear_up(index_is_new=found is Found.NONE)
                files.open()
        except BaseException:
            writer.close()
            engine.dispose()
            raise
        return _Opened(engine, files, writer)
