"""An archive as a store of DICOMweb: satisfies :class:`dicomfab.dicomweb.ports.WebStore`."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, overload

from pydicom.tag import BaseTag
from sqlalchemy import FromClause, func, select

from dicomfab.archive import rows
from dicomfab.archive.attributes import BY_LEVEL, BY_TAG, up_to
from dicomfab.archive.computed import COMPUTED, listed_values
from dicomfab.archive.errors import ArchiveFailure, ArchiveFull, MismatchedInstance, UnreadableInstance
from dicomfab.archive.find import INSTANCE_AVAILABILITY, Query, parse
from dicomfab.archive.records import Outcome
from dicomfab.archive.schema import TABLES, instance, patient, reporting, series, study
from dicomfab.dicomweb.held import KEYWORDS, named, no_such
from dicomfab.dicomweb.ports import HeldInstance, Kept, NotStored, Row, Search
from dicomfab.model.errors import AccessDenied
from dicomfab.model.query import Level, QueryModel
from dicomfab.model.study import Buffer, InstanceFile, InstanceIdentity
from dicomfab.model.values import Environment
from dicomfab.pixels.transcode import transcode

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from dicomfab.archive.archive import Archive
    from dicomfab.archive.incoming import Incoming

_DUPLICATE: Final = 0x0111
_ROWS_PER_FETCH: Final = 200
_HELD_COLUMNS: Final = (
    instance.c.path,
    instance.c.SOPClassUID,
    instance.c.SOPInstanceUID,
    instance.c.transfer_syntax_uid,
    instance.c.dataset_offset,
    series.c.SeriesInstanceUID,
    study.c.StudyInstanceUID,
)
_FROM: Final[dict[Level, FromClause]] = {
    Level.STUDY: study.join(patient),
    Level.SERIES: series.join(study).join(patient),
    Level.IMAGE: rows.TREE,
}


class ArchiveWebStore:
    """What one request of DICOMweb may see of an archive, and store into it.

    Args:
        archive: where the instances are.
        readable: only studies that came from one of these are seen; the others look as if they were not there.
        environment: where what is stored belongs.
        deletable: studies that came from one of these may be deleted, if they are seen.
    """

    def __init__(
        self,
        archive: Archive,
        *,
        readable: Collection[Environment],
        environment: Environment,
        deletable: Collection[Environment] = (),
    ) -> None:
        self._archive = archive
        self._readable = sorted(str(one) for one in readable)
        self._environment = environment
        self._deletable = frozenset(deletable) & frozenset(readable)

    def can_match(self, level: Level, tag: int) -> bool:
        """Whether the index has an attribute at a level or above it."""
        attribute, computed = BY_TAG.get(tag), COMPUTED.get(tag)
        if attribute is not None:
            return attribute.level in up_to(level)
        return computed is not None and computed.listed and computed.level in up_to(level)

    def find(self, search: Search) -> Iterator[Row]:
        """The answers to a search, in the order in which they were first stored.

        Raises:
            ArchiveQueryError: a key that cannot be matched.
        """
        identifier = search.identifier
        for level in search.levels if search.include_all else ():
            above = BY_LEVEL[Level.PATIENT] if level is Level.STUDY else ()
            for attribute in (*above, *BY_LEVEL[level]):
                if BaseTag(attribute.tag) not in identifier:
                    identifier.add_new(attribute.tag, attribute.vr, None)
        return self._rows(parse(QueryModel.STUDY_ROOT, identifier))

    def instances(
        self, study_instance_uid: str, series_instance_uid: str = "", sop_instance_uid: str = ""
    ) -> Sequence[HeldInstance]:
        """The instances of a study, a series or one; series by series, in the order of their numbers."""
        return self._held(study_instance_uid, series_instance_uid, sop_instance_uid)

    def _held(
        self, study_instance_uid: str, series_instance_uid: str, sop_instance_uid: str, limit: int | None = None
    ) -> Sequence[HeldInstance]:
        wanted = [study.c.StudyInstanceUID == study_instance_uid, study.c.environment.in_(self._readable)]
        if series_instance_uid:
            wanted.append(series.c.SeriesInstanceUID == series_instance_uid)
        if sop_instance_uid:
            wanted.append(instance.c.SOPInstanceUID == sop_instance_uid)
        number = instance.c.InstanceNumber
        statement = select(*_HELD_COLUMNS).select_from(rows.TREE).where(*wanted)
        ordered = statement.order_by(series.c.id, number == "", func.length(number), number, instance.c.id)
        with reporting(self._engine()), self._engine().connect() as connection:
            found = connection.execute(ordered.limit(limit)).all()
        return _Held(self._archive.root / "instances", found)

    @contextmanager
    def transcoded(self, file: InstanceFile, transfer_syntax_uid: str) -> Iterator[InstanceFile]:
        """An instance in another transfer syntax, for as long as the context is open.

        Raises:
            TranscodingFailed: it cannot be written in that.
        """
        with tempfile.TemporaryDirectory(prefix="dicomfab-web-") as folder:
            yield transcode(file, transfer_syntax_uid, Path(folder))

    def begin(self, identity: InstanceIdentity) -> WebSink:
        """Start to take in an instance.

        Raises:
            ArchiveFailure: disk or index cannot be used.
        """
        return WebSink(self._archive.begin(identity), self._environment)

    def delete(self, study_instance_uid: str, series_instance_uid: str = "", sop_instance_uid: str = "") -> None:
        """Delete a study, one of its series, or one instance; what is left empty goes with it. All of it or nothing.

        Raises:
            NotFound: there is no such one, or it is not seen.
            AccessDenied: it is seen, and may not be deleted.
            Conflict: it is in use.
        """
        uids = study_instance_uid, series_instance_uid, sop_instance_uid
        by_keyword = dict(zip(KEYWORDS, uids, strict=True))
        if not self._held(*uids, 1):
            raise no_such(by_keyword)
        if self._deletable and self._archive.delete_part(*uids, environments=self._deletable):
            return
        if not self._held(*uids, 1):  # somebody else was faster
            raise no_such(by_keyword)
        raise AccessDenied(
            f"{named(by_keyword)} may not be deleted",
            cause="whoever asks may see it and not delete it, or nothing is deleted here by DICOMweb",
            remedy="ask someone who may delete studies of this environment",
        )

    def _rows(self, query: Query) -> Iterator[Row]:
        """What :func:`dicomfab.archive.find.responses` gives, as text: making data sets takes most of its time."""
        columns = [TABLES[one.level].c[one.keyword] for one in query.stored]
        computed = [one.value().label(f"computed_{tag:08x}") for tag, one in query.computed]
        seen = study.c.environment.in_(self._readable)
        statement = select(*columns, *computed).select_from(_FROM[query.level]).where(*query.conditions, seen)
        ordered = statement.order_by(TABLES[query.level].c.id).execution_options(yield_per=_ROWS_PER_FETCH)
        same: dict[int, tuple[str, str]] = {tag: (vr, "") for tag, vr in query.empty}
        if query.wants_availability:
            same[INSTANCE_AVAILABILITY] = ("CS", "ONLINE")
        stored = [(one.tag, one.vr) for one in query.stored]
        with reporting(self._engine()), self._engine().connect() as connection:
            for row in connection.execute(ordered):
                made = dict(same)
                made.update((tag, (vr, text)) for (tag, vr), text in zip(stored, row, strict=False))
                for (tag, one), value in zip(query.computed, row[len(stored) :], strict=True):
                    made[tag] = (one.vr, "\\".join(listed_values(value)) if one.listed else str(value))
                yield made

    def _engine(self) -> Engine:
        return self._archive._opened().engine


class _Held(Sequence[HeldInstance]):
    """Instances that are made of their rows when somebody looks at them: of thousands often only one is wanted.

    Args:
        folder: of all instances.
        found: rows of ``_HELD_COLUMNS``.
    """

    def __init__(self, folder: Path, found: Sequence[Any]) -> None:
        self._folder = folder
        self._found = found

    def __len__(self) -> int:
        return len(self._found)

    @overload
    def __getitem__(self, index: int) -> HeldInstance: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[HeldInstance]: ...
    def __getitem__(self, index: int | slice) -> HeldInstance | Sequence[HeldInstance]:
        if isinstance(index, slice):
            return _Held(self._folder, self._found[index])
        path, sop_class, sop_instance, syntax, offset, series_uid, study_uid = self._found[index]
        file = InstanceFile(self._folder / path, InstanceIdentity(sop_class, sop_instance, syntax), offset)
        return HeldInstance(file, study_uid, series_uid)


class WebSink:
    """One instance on its way in.

    Args:
        incoming: of the archive.
        environment: where the instance belongs.
    """

    def __init__(self, incoming: Incoming, environment: Environment) -> None:
        self._incoming = incoming
        self._environment = environment

    def write(self, chunk: Buffer) -> None:
        """Take the next bytes.

        Raises:
            DiskFull: no space is left.
            NotStored: the disk fails otherwise.
        """
        try:
            self._incoming.write(chunk)
        except ArchiveFull:
            raise
        except ArchiveFailure as error:
            raise NotStored(error.status) from error

    def commit(self) -> Kept:
        """Keep the instance; on return it is durable.

        Raises:
            NotStored: it cannot be read, is another than it says, or is there already with other content.
            DiskFull: no space is left.
        """
        try:
            stored = self._incoming.commit(environment=self._environment)
        except ArchiveFull:
            raise
        except (ArchiveFailure, UnreadableInstance, MismatchedInstance) as error:
            raise NotStored(error.status) from error
        if stored.outcome in (Outcome.REFUSED, Outcome.KEPT):
            raise NotStored(_DUPLICATE)
        return Kept(stored.instance.study_instance_uid, stored.instance.series_instance_uid)

    def discard(self) -> None:
        """Forget the instance if it was not committed."""
        self._incoming.abort()
