"""The index: tables, connections and the functions that SQL calls. SQLite in WAL mode, every commit synced.

Several threads and several processes may use one index at once. Writers begin with BEGIN IMMEDIATE, so that a
transaction that has read never fails when it comes to write. The threads of one process take turns for that, and share
one connection: the database itself lets processes wait by sleeping.
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
)
from sqlalchemy.exc import DatabaseError

from dicomfab.archive.attributes import BY_LEVEL
from dicomfab.archive.errors import ArchiveFailure, ArchiveFull
from dicomfab.archive.matching import matches, matches_any
from dicomfab.model.disk import is_disk_full
from dicomfab.model.query import Level

SCHEMA_VERSION: Final = 5
_WITHOUT_ORIGIN: Final = 2  # made good by two columns
_WITHOUT_LISTS: Final = 3  # made good by a column and indexes
_SHARING_PATIENTS: Final = 4  # made good by a row of a patient for each environment
_OLDER: Final = (1,)  # of these the files tell all that the new tables need
_BUSY_TIMEOUT_MS: Final = 30_000
_BEGIN: Final = "dicomfab_begin"  # execution option: the statement that opens a transaction

metadata = MetaData()


def _table(name: str, level: Level, *columns: Column[Any]) -> Table:
    attributes = (Column(a.keyword, Text, nullable=False, server_default="") for a in BY_LEVEL[level])
    return Table(name, metadata, Column("id", Integer, primary_key=True), *columns, *attributes)


patient = _table("patient", Level.PATIENT)
study = _table(
    "study",
    Level.STUDY,
    Column("patient_id", ForeignKey("patient.id"), nullable=False, index=True),
    Column("environment", Text, nullable=False),
    Column("stored_at", Text, nullable=False),
    # What people find it by, one below the other, casefolded: see search_text().
    Column("search_text", Text, nullable=False, server_default=""),
)
series = _table("series", Level.SERIES, Column("study_id", ForeignKey("study.id"), nullable=False))
instance = _table(
    "instance",
    Level.IMAGE,
    Column("series_id", ForeignKey("series.id"), nullable=False),
    Column("transfer_syntax_uid", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("dataset_offset", Integer, nullable=False),
    # ISO 8601 in UTC, of what a server of production sent, or any server to be looked at: such copies expire. Null for
    # all else.
    Column("retrieved_at", Text),
    # 1 if this installation fabricated it: nothing else has to be looked at then. Null if that is not known.
    Column("made_here", Integer),
)
# Files whose rows are gone and which are still to be removed; the row goes with the file.
obsolete_file = Table("obsolete_file", metadata, Column("path", Text, primary_key=True))
# Instances whose file in place may not survive the machine yet, and what it is restored from: see settling.py. The row
# goes with the instance; a foreign key would search this table for every instance that is removed.
unsettled = Table(
    "unsettled",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("instance_id", Integer, nullable=False),
    Column("temporary", Text, nullable=False),
    Column("content", LargeBinary),
)

TABLES: Final = {Level.PATIENT: patient, Level.STUDY: study, Level.SERIES: series, Level.IMAGE: instance}

# Patients without an ID are never taken for one another: each of their studies has its own. Those with studies of both
# environments have a row for each.
Index("patient_key", patient.c.PatientID, patient.c.IssuerOfPatientID, sqlite_where=patient.c.PatientID != "")
Index("study_key", study.c.StudyInstanceUID, unique=True)
Index("study_accession", study.c.AccessionNumber)
Index("study_date", study.c.StudyDate)
Index("series_key", series.c.study_id, series.c.SeriesInstanceUID, unique=True)
Index("series_uid", series.c.SeriesInstanceUID)
Index("instance_key", instance.c.SOPInstanceUID, unique=True)
# What lists of studies are counted, summed and sorted by, without a look at the rows themselves.
_FOR_LISTS: Final = (
    Index("study_environment", study.c.environment),
    Index("instance_size", instance.c.series_id, instance.c.size_bytes),
)


def open_engine(path: Path) -> Engine:
    """An engine on the index file; nothing is opened yet."""
    # Slow peers may each hold a C-FIND open: connections are cheap, waiting for one is not.
    engine = create_engine(f"sqlite:///{path}", pool_size=8, max_overflow=-1)

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # this module says BEGIN itself
        connection.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        # Debian's SQLite would write zeros over every page that a settled instance leaves.
        connection.execute("PRAGMA secure_delete=FAST")
        connection.create_function("dicom_matches", 3, matches, deterministic=True)
        connection.create_function("dicom_matches_any", 3, matches_any, deterministic=True)

    @event.listens_for(engine, "begin")
    def _begins(connection: Connection) -> None:
        if begin := connection.get_execution_options().get(_BEGIN, "BEGIN"):
            driver(connection).execute(begin)

    return engine


def driver(connection: Connection) -> Any:
    """The driver's connection below SQLAlchemy's, in the same transaction.

    For the statements that every stored instance needs: SQLAlchemy's own way takes ten times as long as they do.
    """
    return connection.connection.dbapi_connection


class WriteTransactions:
    """The write transactions of this process: one at a time, each holding the write lock from its beginning."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine.execution_options(**{_BEGIN: ""})
        self._turn = threading.Lock()
        self._connection: Connection | None = None

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction, committed and synced when the block ends, rolled back on an error.

        Raises:
            ArchiveFailure: disk or index failed.
        """
        with self._turn, reporting(self.engine):
            connection, self._connection = self._connection or self.engine.connect(), None
            try:
                driver(connection).execute("BEGIN IMMEDIATE")
                yield connection
                driver(connection).commit()
                connection.rollback()  # SQLAlchemy's own state, if it was used
            except BaseException:
                driver(connection).rollback()
                connection.close()
                raise
            self._connection = connection

    def close(self) -> None:
        """Give the connection back. The next transaction takes another."""
        with self._turn:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def search_text(patient_name: str, patient_id: str, accession_number: str, description: str) -> str:
    """The words by which a study is found."""
    return "\n".join((patient_name, patient_id, accession_number, description)).casefold()


@contextmanager
def reporting(engine: Engine) -> Iterator[None]:
    """Turn the errors of disk and database into ours."""
    try:
        yield
    except (OSError, DatabaseError, engine.dialect.loaded_dbapi.Error) as error:
        reason = error.orig if isinstance(error, DatabaseError) else error
        kind = ArchiveFull if reason is not None and is_disk_full(reason) else ArchiveFailure
        raise kind(
            f"the archive's index {engine.url.database} or its files failed ({reason})",
            cause="the disk is full or read-only, another process kept the index locked, or the index is damaged",
            remedy="make room or end the other process, then try again; "
            "if it is damaged, rebuild it (local store: dicomfab study reindex)",
        ) from error


class Found(enum.Enum):
    """What kind of index there was."""

    NONE = enum.auto()
    OLDER = enum.auto()
    CURRENT = enum.auto()


def prepare(engine: Engine) -> Found:
    """Create the tables if there are none.

    Returns:
        What was found; if ``OLDER``, the index has to be rebuilt before it can be used.

    Raises:
        ArchiveFailure: the index was made by another version, or cannot be used.
    """
    with reporting(engine):
        with engine.execution_options(**{_BEGIN: ""}).connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        with engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"}).begin() as connection:
            version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            if version == 0:
                create_tables(connection)
            elif version == _WITHOUT_ORIGIN:
                connection.exec_driver_sql("ALTER TABLE instance ADD COLUMN retrieved_at TEXT")
                connection.exec_driver_sql("ALTER TABLE instance ADD COLUMN made_here INTEGER")
                version = _WITHOUT_LISTS
            if version == _WITHOUT_LISTS:
                _serve_lists(connection)
                version = _SHARING_PATIENTS
            if version == _SHARING_PATIENTS:
                _part_patients(connection)
                connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA_VERSION}")
                version = SCHEMA_VERSION
    if version in (0, SCHEMA_VERSION):
        return Found.CURRENT if version else Found.NONE
    if version in _OLDER:
        return Found.OLDER
    raise ArchiveFailure(
        f"the index {engine.url.database} has version {version}, this program uses version {SCHEMA_VERSION}",
        cause="another version of the program made it",
        remedy="rebuild the index from the instance files (local store: dicomfab study reindex)",
    )


def _serve_lists(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE study ADD COLUMN search_text TEXT NOT NULL DEFAULT ''")
    driver(connection).create_function("search_text", 4, search_text, deterministic=True)
    connection.exec_driver_sql(
        "UPDATE study SET search_text = (SELECT search_text(PatientName, PatientID, AccessionNumber, StudyDescription)"
        " FROM patient WHERE patient.id = study.patient_id)"
    )
    for index in _FOR_LISTS:
        index.create(connection)
    connection.exec_driver_sql("DROP INDEX ix_instance_series_id")  # the beginning of another one


def _part_patients(connection: Connection) -> None:
    """Give the studies of production rows of their own of patients who have studies of test, too."""
    connection.exec_driver_sql("DROP INDEX patient_key")
    names = ", ".join(column.name for column in patient.c if column.name != "id")
    shared = "SELECT patient_id FROM study GROUP BY patient_id HAVING COUNT(DISTINCT environment) > 1"
    for (row,) in connection.exec_driver_sql(shared).all():
        copied = driver(connection).execute(
            f"INSERT INTO patient ({names}) SELECT {names} FROM patient WHERE id = ?",  # noqa: S608 - our own names
            (row,),
        )
        driver(connection).execute(
            "UPDATE study SET patient_id = ? WHERE patient_id = ? AND environment = 'prod'", (copied.lastrowid, row)
        )
    for index in patient.indexes:
        index.create(connection)


def create_tables(connection: Connection) -> None:
    """Make the tables, and note their version."""
    metadata.create_all(connection)
    connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA_VERSION}")
