"""Rebuilds the index from the instance files: after damage, or for another version's tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, MetaData, Text, column, select, table
from sqlalchemy.exc import DatabaseError

from dicomfab.archive import rows, settling
from dicomfab.archive.errors import MismatchedInstance, UnreadableInstance
from dicomfab.archive.files import InstanceFiles
from dicomfab.archive.header import read_header, read_identity
from dicomfab.archive.records import ReindexReport
from dicomfab.archive.schema import SCHEMA_VERSION, WriteTransactions, create_tables
from dicomfab.model.values import Environment


class _Known(NamedTuple):
    """What only the old index tells.

    Args:
        environments: by Study Instance UID.
        arrivals: when production sent it, by SOP Instance UID.
        made_here: 1, by the SOP Instance UID of what was fabricated here.
    """

    environments: dict[str, Environment]
    arrivals: dict[str, str]
    made_here: dict[str, int]


def set_aside_if_damaged(engine: Engine) -> None:
    """Rename an index file that SQLite cannot read, so that a new one takes its place."""
    try:
        with engine.connect() as connection:
            sound = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one() == "ok"
    except DatabaseError:
        sound = False
    engine.dispose()
    if not sound:
        index = Path(str(engine.url.database))
        for suffix in ("", "-wal", "-shm"):
            part = index.with_name(index.name + suffix)
            if part.exists():
                part.replace(index.with_name(index.name + suffix + ".damaged"))


def rebuild(engine: Engine, files: InstanceFiles) -> ReindexReport:
    """Make the tables anew and index every file, in one transaction. To be called within the files' ``opening``.

    What the old index knows as gone does not come back: files that a process, killed before, had no time to remove.
    Studies keep the environment that the old index gives them, copies from production the time of their arrival, and
    what was fabricated here that it was; without an old index, studies count as production and do not expire.
    """
    transactions = WriteTransactions(engine)
    try:
        with files.abandoned() as left, transactions.begin() as connection:
            if connection.exec_driver_sql("PRAGMA user_version").scalar_one() == SCHEMA_VERSION:
                settling.restore(connection, files, ())  # what the old index vouches for goes with it
            _remove_gone(connection, files, left.placing)
            arrivals, made_here = (_noted(connection, name) for name in ("retrieved_at", "made_here"))
            known = _Known(_environments(connection), arrivals, made_here)
            old = MetaData()
            old.reflect(connection)
            old.drop_all(connection)
            create_tables(connection)
            count, unusable = 0, []
            for path in files.all():
                if _index_file(connection, files, path, known):
                    count += 1
                else:
                    unusable.append(path)
    finally:
        transactions.close()
    return ReindexReport(count, tuple(unusable))


def _remove_gone(connection: Connection, files: InstanceFiles, placing: Sequence[str]) -> None:
    """Remove what was deleted, or placed by a transaction that was not committed. Without an old index, files count."""
    try:
        names = [*connection.exec_driver_sql("SELECT path FROM obsolete_file").scalars(), *placing]
        gone = [name for name in names if not rows.is_indexed(connection, name)]
    except (DatabaseError, sqlite3.DatabaseError):
        return
    for name in gone:
        files.remove(name)


def _environments(connection: Connection) -> dict[str, Environment]:
    try:
        found = connection.exec_driver_sql("SELECT StudyInstanceUID, environment FROM study").all()
    except DatabaseError:
        return {}
    return {uid: Environment(name) for uid, name in found if name in list(Environment)}


def _noted(connection: Connection, name: str) -> dict[str, Any]:
    """What a column of the old index says, by SOP Instance UID; nothing if it has no such column."""
    try:
        uid, noted = column("SOPInstanceUID", Text), column(name, Text)
        found = connection.execute(select(uid, noted).select_from(table("instance")).where(noted.is_not(None)))
        return {row[0]: row[1] for row in found}
    except DatabaseError:
        return {}


def _index_file(connection: Connection, files: InstanceFiles, path: Path, known: _Known) -> bool:
    try:
        identity, offset = read_identity(path)
        header = read_header(path, offset, identity)
    except (UnreadableInstance, MismatchedInstance):
        return False
    place = rows.look_up(connection, header, identity.sop_instance_uid)
    if place.instance_known:
        return False
    name = str(path.relative_to(files.instances))
    uid = identity.sop_instance_uid
    noted = known.arrivals.get(uid), known.made_here.get(uid)
    file = rows.FileColumns(identity.transfer_syntax_uid, name, path.stat().st_size - offset, offset, *noted)
    environment = known.environments.get(header.study_instance_uid, Environment.PROD)
    rows.add_instance(connection, place, header, environment, file)
    return True
