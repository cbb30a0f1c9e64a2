"""One moment of an archive, held while it is copied: storing, rewriting and deleting go on.

The files get a second name each, in this process's workspace: no deletion takes the content from under the copy. Most
of them get it before the moment, while others write; the rest, and what was replaced meanwhile, under the index's write
lock, within which no file is put in place or removed. A read transaction that begins there keeps the index as it was.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import Connection, Engine, delete, select
from sqlalchemy.exc import DatabaseError

from dicomfab.archive import rows
from dicomfab.archive.errors import ArchiveFailure
from dicomfab.archive.files import InstanceFiles
from dicomfab.archive.schema import (
    WriteTransactions,
    driver,
    instance,
    obsolete_file,
    open_engine,
    reporting,
    series,
    study,
    unsettled,
)
from dicomfab.model.disk import is_disk_full

_PAGES: Final = 1024


class InstanceFile(NamedTuple):
    """A file that the index names.

    Args:
        path: relative to the directory of all instances.
        size_bytes: that it has by the index.
    """

    path: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An archive as it was at the moment.

    Args:
        index: a copy of the index, in one file.
        held: the folder below which the instance files are, under the paths of the index.
    """

    index: Path
    held: Path

    def files(self) -> Iterator[InstanceFile]:
        """Every file that the index names, those of a series together."""
        with closing(sqlite3.connect(self.index)) as copy:
            query = "SELECT path, dataset_offset + size_bytes FROM instance ORDER BY series_id, id"
            yield from (InstanceFile(*row) for row in copy.execute(query))

    def extent(self) -> tuple[int, int]:
        """How many files there are, and how many bytes."""
        with closing(sqlite3.connect(self.index)) as copy:
            count, size = copy.execute("SELECT count(*), total(dataset_offset + size_bytes) FROM instance").fetchone()
            return count, int(size)

    def forget(self, paths: Collection[str]) -> None:
        """Take out of the copy of the index what has no file, so that it names nothing that is not there."""
        with _edited(self.index) as connection:
            for path in paths:
                found = connection.execute(
                    select(study.c.StudyInstanceUID, series.c.SeriesInstanceUID, instance.c.SOPInstanceUID)
                    .join_from(instance, series, instance.c.series_id == series.c.id)
                    .join(study, series.c.study_id == study.c.id)
                    .where(instance.c.path == path)
                ).one()
                rows.remove(connection, *found)
            connection.execute(delete(obsolete_file))


@contextmanager
def held(engine: Engine, files: InstanceFiles, index: Path, moment: Callable[[], None]) -> Iterator[Snapshot]:
    """Hold a moment of an archive during the block.

    Args:
        engine: of the index.
        files: opened.
        index: where to put the copy of the index; not there yet.
        moment: called at the moment, while nobody can write to the index.

    Raises:
        ArchiveFailure: disk or index failed.
        OSError: the copy could not be written: its disk is full.
    """
    names = files.temporary_path(files.temporary())
    transactions = WriteTransactions(engine)
    try:
        with closing(sqlite3.connect(str(engine.url.database), isolation_level=None)) as reading:
            with reporting(engine):
                names.mkdir()
                with engine.connect() as connection:
                    _name(connection, files.instances, names)
            with transactions.begin() as connection:
                _name(connection, files.instances, names)
                reading.execute("BEGIN")
                reading.execute("SELECT count(*) FROM sqlite_master").fetchone()  # the snapshot is taken here
                moment()
            with _copying(index), closing(sqlite3.connect(index)) as copy:
                copy.execute("PRAGMA synchronous=OFF")
                reading.backup(copy, pages=_PAGES)
            reading.execute("ROLLBACK")
        with _edited(index) as connection:
            # The files are whole already, and what they could be restored from is not copied.
            connection.execute(delete(unsettled))
            connection.execute(delete(obsolete_file))
        yield Snapshot(index, names)
    finally:
        transactions.close()
        shutil.rmtree(names, ignore_errors=True)


def _name(connection: Connection, instances: Path, names: Path) -> None:
    """Give every file that the index names its second name, unless it has it."""
    for (path,) in driver(connection).execute("SELECT path FROM instance ORDER BY series_id, id"):
        source, name = f"{instances}/{path}", f"{names}/{path}"
        try:
            if not _same(source, name):
                _link(source, name)
        except FileNotFoundError:
            continue  # before the moment: deleted meanwhile; at the moment: the archive has lost it


def _link(source: str, name: str) -> None:
    try:
        os.link(source, name)
    except FileNotFoundError:
        if not os.path.exists(source):
            raise
        os.makedirs(os.path.dirname(name), exist_ok=True)
        os.link(source, name)
    except FileExistsError:  # of a file in whose place is another now
        os.unlink(name)
        os.link(source, name)


def _same(source: str, name: str) -> bool:
    try:
        one, other = os.stat(source), os.stat(name)
    except FileNotFoundError:
        return False
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


@contextmanager
def _edited(index: Path) -> Iterator[Connection]:
    """Change a copy of an index, of which only one file is left afterwards."""
    engine = open_engine(index)
    try:
        with _copying(index):
            with engine.connect() as connection:
                driver(connection).execute("PRAGMA synchronous=OFF")
                with connection.begin():
                    yield connection
            engine.dispose()
            with closing(sqlite3.connect(index)) as copy:
                copy.execute("PRAGMA journal_mode=DELETE")
    finally:
        engine.dispose()


@contextmanager
def _copying(index: Path) -> Iterator[None]:
    """Turn what SQLite says of a copy into what any other file of the backup would say."""
    try:
        yield
    except (sqlite3.Error, DatabaseError) as error:
        reason = getattr(error, "orig", None) or error
        if is_disk_full(reason):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(index)) from error
        raise ArchiveFailure(
            f"the archive's index could not be copied to {index} ({reason})",
            cause="a disk fails, or the index is damaged",
            remedy="if it is damaged, rebuild it (local store: dicomfab study reindex)",
        ) from error
