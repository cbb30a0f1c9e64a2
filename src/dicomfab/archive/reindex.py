"""Rebuilds the index from the instance files: after damage, or for another version's tables."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, MetaData
from sqlalchemy.exc import DatabaseError

from dicomfab.archive import rows
from dicomfab.archive.errors import MismatchedInstance, UnreadableInstance
from dicomfab.archive.files import InstanceFiles
from dicomfab.archive.header import read_header, read_identity
from dicomfab.archive.records import ReindexReport
from dicomfab.archive.schema import create_tables, reporting, writing
from dicomfab.model.values import Environment

_CHUNK_BYTES: Final = 1 << 20


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
    """Make the tables anew and index every file, in one transaction.

    Studies keep the environment that the old index gives them; without one they count as production.
    """
    with reporting(engine), writing(engine).begin() as connection:
        environments = _environments(connection)
        old = MetaData()
        old.reflect(connection)
        old.drop_all(connection)
        create_tables(connection)
        count, unusable = 0, []
        for path in files.all():
            if _index_file(connection, files, path, environments):
                count += 1
            else:
                unusable.append(path)
    return ReindexReport(count, tuple(unusable))


def digest_of(transfer_syntax_uid: str) -> hashlib._Hash:
    """A running digest of content: the data set's bytes, and the transfer syntax that gives them their sense."""
    return hashlib.sha256(transfer_syntax_uid.encode("ascii"))


def _environments(connection: Connection) -> dict[str, Environment]:
    try:
        found = connection.exec_driver_sql("SELECT StudyInstanceUID, environment FROM study").all()
    except DatabaseError:
        return {}
    return {uid: Environment(name) for uid, name in found if name in list(Environment)}


def _index_file(connection: Connection, files: InstanceFiles, path: Path, environments: dict[str, Environment]) -> bool:
    try:
        identity, offset = read_identity(path)
        header = read_header(path, offset, identity)
    except (UnreadableInstance, MismatchedInstance):
        return False
    if rows.find_instance(connection, identity.sop_instance_uid) is not None:
        return False
    digest = digest_of(identity.transfer_syntax_uid)
    with path.open("rb") as file:
        file.seek(offset)
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
        size = file.tell() - offset
    columns = {
        "transfer_syntax_uid": identity.transfer_syntax_uid,
        "path": str(path.relative_to(files.instances)),
        "size_bytes": size,
        "dataset_offset": offset,
        "digest": digest.digest(),
    }
    environment = environments.get(header.study_instance_uid, Environment.PROD)
    rows.add_instance(connection, header, environment, columns)
    return True
