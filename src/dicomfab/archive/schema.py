"""The index: tables, connections and the functions that SQL calls. SQLite in WAL mode, every commit synced.

Several threads and several processes may use one index at once. Writers begin with BEGIN IMMEDIATE, so that a
transaction that has read never fails when it comes to write.
"""

from __future__ import annotations

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
from dicomfab.archive.errors import ArchiveFailure
from dicomfab.archive.matching import matches, matches_any
from dicomfab.model.query import Level

SCHEMA_VERSION: Final = 1
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
)
series = _table("series", Level.SERIES, Column("study_id", ForeignKey("study.id"), nullable=False))
instance = _table(
    "instance",
    Level.IMAGE,
    Column("series_id", ForeignKey("series.id"), nullable=False, index=True),
    Column("transfer_syntax_uid", Text, nullable=False),
    Column("path", Text, nullable=False, unique=True),
    Column("size_bytes", Integer, nullable=False),
    Column("dataset_offset", Integer, nullable=False),
    Column("digest", LargeBinary, nullable=False),
)
# Files whose rows are gone and which are still to be removed; the row goes with the file.
obsolete_file = Table("obsolete_file", metadata, Column("path", Text, primary_key=True))

TABLES: Final = {Level.PATIENT: patient, Level.STUDY: study, Level.SERIES: series, Level.IMAGE: instance}

# Patients without an ID are never taken for one another: each of their studies has its own.
Index(
    "patient_key",
    patient.c.PatientID,
    patient.c.IssuerOfPatientID,
    unique=True,
    sqlite_where=patient.c.PatientID != "",
)
Index("study_key", study.c.StudyInstanceUID, unique=True)
Index("study_accession", study.c.AccessionNumber)
Index("study_date", study.c.StudyDate)
Index("series_key", series.c.study_id, series.c.SeriesInstanceUID, unique=True)
Index("series_uid", series.c.SeriesInstanceUID)
Index("instance_key", instance.c.SOPInstanceUID, unique=True)


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
        connection.create_function("dicom_matches", 3, matches, deterministic=True)
        connection.create_function("dicom_matches_any", 3, matches_any, deterministic=True)
        connection.create_function("contains_word", 2, contains_word, deterministic=True)

    @event.listens_for(engine, "begin")
    def _begins(connection: Connection) -> None:
        if begin := connection.get_execution_options().get(_BEGIN, "BEGIN"):
            connection.exec_driver_sql(begin)

    return engine


def writing(engine: Engine) -> Engine:
    """The same engine, whose transactions take the write lock when they begin."""
    return engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})


def contains_word(word: str, text: str) -> bool:
    """Whether a casefolded word occurs in a text."""
    return word in text.casefold()


@contextmanager
def reporting(engine: Engine) -> Iterator[None]:
    """Turn the errors of disk and database into ours."""
    try:
        yield
    except (OSError, DatabaseError) as error:
        reason = error.orig if isinstance(error, DatabaseError) else error
        raise ArchiveFailure(
            f"the archive's index {engine.url.database} or its files failed ({reason})",
            cause="the disk is full or read-only, another process kept the index locked, or the index is damaged",
            remedy="make room or end the other process, then try again; "
            "if it is damaged, rebuild it (local store: dicomfab study reindex)",
        ) from error


def prepare(engine: Engine) -> None:
    """Create the tables, or check that they are this version's.

    Raises:
        ArchiveFailure: the index was made by another version, or cannot be used.
    """
    with reporting(engine):
        with engine.execution_options(**{_BEGIN: ""}).connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        with writing(engine).begin() as connection:
            version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            if version == 0:
                create_tables(connection)
    if version not in (0, SCHEMA_VERSION):
        raise ArchiveFailure(
            f"the index {engine.url.database} has version {version}, this program uses version {SCHEMA_VERSION}",
            cause="another version of the program made it",
            remedy="rebuild the index from the instance files (local store: dicomfab study reindex)",
        )


def create_tables(connection: Connection) -> None:
    """Make the tables, and note their version."""
    metadata.create_all(connection)
    connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA_VERSION}")
