"""Rows of the index: adds an instance with whatever of its tree is missing, and takes one out again.

What runs once per received instance is text that goes to the driver as it is.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, and_, bindparam, delete, exists, func, insert, select, true

from dicomfab.archive.attributes import BY_LEVEL
from dicomfab.archive.records import StoredInstance
from dicomfab.archive.schema import (
    TABLES,
    driver,
    instance,
    obsolete_file,
    patient,
    search_text,
    series,
    study,
    unsettled,
)
from dicomfab.model.query import Level
from dicomfab.model.study import InstanceIdentity
from dicomfab.model.values import Environment

STORED_COLUMNS: Final = (
    instance.c.path,
    instance.c.SOPClassUID,
    instance.c.SOPInstanceUID,
    instance.c.transfer_syntax_uid,
    instance.c.size_bytes,
    instance.c.dataset_offset,
    instance.c.made_here,
    series.c.SeriesInstanceUID,
    study.c.StudyInstanceUID,
    patient.c.PatientID,
)
TREE: Final = instance.join(series).join(study).join(patient)

_EXISTING = (
    select(instance.c.id, *STORED_COLUMNS).select_from(TREE).where(instance.c.SOPInstanceUID == bindparam("uid"))
)
_OF_STUDY = (
    select(instance.c.path)
    .select_from(instance.join(series).join(study))
    .where(study.c.StudyInstanceUID == bindparam("study"))
)
_NEWEST = (
    select(func.max(instance.c.retrieved_at))
    .select_from(instance.join(series).join(study))
    .where(study.c.StudyInstanceUID == bindparam("study"))
)

if TYPE_CHECKING:
    from dicomfab.archive.header import Header


def _insert_text(table: Table) -> str:
    names = [column.name for column in table.c if column.name != "id"]
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608 - our own


def _place_of(keyword: str, level: Level) -> int:
    return [attribute.keyword for attribute in BY_LEVEL[level]].index(keyword)


_NAME: Final = _place_of("PatientName", Level.PATIENT)
_ACCESSION: Final = _place_of("AccessionNumber", Level.STUDY)
_DESCRIPTION: Final = _place_of("StudyDescription", Level.STUDY)
_INSERT: Final = {level: _insert_text(table) for level, table in TABLES.items()}
_INSERT_UNSETTLED: Final = _insert_text(unsettled)
_LOOK_UP: Final = """
    SELECT study.id, study.environment, patient.PatientID, series.id,
           EXISTS (SELECT 1 FROM instance WHERE instance.SOPInstanceUID = ?)
    FROM (SELECT 1)
    LEFT JOIN study ON study.StudyInstanceUID = ?
    LEFT JOIN patient ON patient.id = study.patient_id
    LEFT JOIN series ON series.study_id = study.id AND series.SeriesInstanceUID = ?
"""
# Of another environment it is another row: what the one says of a patient is not told to those who see the other.
_PATIENT: Final = (
    "SELECT id, PatientName FROM patient WHERE PatientID = ? AND PatientID != '' AND IssuerOfPatientID = ?"
    " AND EXISTS (SELECT 1 FROM study WHERE study.patient_id = patient.id AND study.environment = ?)"
)
_SHARED: Final = (
    "SELECT patient.id FROM patient JOIN study ON study.patient_id = patient.id WHERE study.StudyInstanceUID = ?"
    " AND EXISTS (SELECT 1 FROM study AS other WHERE other.patient_id = patient.id AND other.environment != ?)"
)
_NOW_PROD: Final = "UPDATE study SET environment = ? WHERE StudyInstanceUID = ?"
_AGAIN: Final = "UPDATE instance SET retrieved_at = ? WHERE SOPInstanceUID = ? AND retrieved_at IS NOT NULL"
_STUDY_STAYS: Final = (
    "UPDATE instance SET retrieved_at = NULL WHERE retrieved_at IS NOT NULL AND series_id IN"
    " (SELECT series.id FROM series JOIN study ON study.id = series.study_id WHERE study.StudyInstanceUID = ?)"
)
_STAYS_OF_TEST: Final = (
    "UPDATE instance SET retrieved_at = NULL WHERE SOPInstanceUID = ? AND retrieved_at IS NOT NULL AND"
    " (SELECT environment FROM series JOIN study ON study.id = series.study_id"
    " WHERE series.id = instance.series_id) = ?"
)
_CAME_AS: Final = "SELECT retrieved_at, made_here FROM instance WHERE SOPInstanceUID = ?"
_OF_STUDY_ROW: Final = (
    "SELECT patient_id, environment, AccessionNumber, StudyDescription FROM study WHERE StudyInstanceUID = ?"
)
_ALL_OF_A_PATIENT: Final = ", ".join(f"{attribute.keyword} = ?" for attribute in BY_LEVEL[Level.PATIENT])
_KNOWN_AS: Final = f"UPDATE patient SET {_ALL_OF_A_PATIENT} WHERE id = ?"  # noqa: S608 - our own names
_REFILED: Final = "UPDATE study SET patient_id = ?, search_text = ?, stored_at = ? WHERE StudyInstanceUID = ?"
_STORED_AT: Final = "SELECT stored_at FROM study WHERE StudyInstanceUID = ?"
_NOBODYS: Final = (
    "DELETE FROM patient WHERE id = ? AND NOT EXISTS (SELECT 1 FROM study WHERE study.patient_id = patient.id)"
)
_INDEXED: Final = "SELECT EXISTS (SELECT 1 FROM instance WHERE SOPInstanceUID IN (?, ?) AND path = ?)"


class Place(NamedTuple):
    """What the index holds of an instance's tree; ``None`` is what it does not hold.

    Args:
        patient_id: the PatientID of the patient that the study belongs to.
        instance_known: the SOP instance is there, here or elsewhere.
    """

    study_id: int | None
    environment: str | None
    patient_id: str | None
    series_id: int | None
    instance_known: bool


class FileColumns(NamedTuple):
    """The columns of an instance beside its attributes, in the order of the table.

    Args:
        path: relative to the directory of all instances.
        retrieved_at: when a server of production sent it, ISO 8601 in UTC; none for all else.
        made_here: 1 if it was fabricated here; none if that is not known.
    """

    transfer_syntax_uid: str
    path: str
    size_bytes: int
    dataset_offset: int
    retrieved_at: str | None = None
    made_here: int | None = None


class CameAs(NamedTuple):
    """How an instance came in.

    Args:
        retrieved_at: when it was fetched, if the copy expires, ISO 8601 in UTC; else none.
        made_here: this installation fabricated it.
    """

    retrieved_at: str | None
    made_here: bool


def look_up(connection: Connection, header: Header, sop_instance_uid: str) -> Place:
    """Where an instance belongs, and whether it is there."""
    keys = (sop_instance_uid, header.study_instance_uid, header.series_instance_uid)
    return Place._make(driver(connection).execute(_LOOK_UP, keys).fetchone())


def find_instance(connection: Connection, sop_instance_uid: str) -> Any:
    """The row of a SOP instance, or ``None``: what :func:`stored_instance` reads, and its ``id``."""
    return connection.execute(_EXISTING, {"uid": sop_instance_uid}).first()


def stored_instance(row: Any, instances: Path) -> StoredInstance:
    """Turn a row that ends with ``STORED_COLUMNS`` into a value."""
    # By place: a study may have ten thousand instances, and looking names up would take longer than the query.
    path, sop_class, sop_instance, syntax, size_bytes, offset, made_here, series_uid, study_uid, patient_id = row[
        -len(STORED_COLUMNS) :
    ]
    return StoredInstance(
        path=instances / path,
        identity=InstanceIdentity(sop_class, sop_instance, syntax),
        study_instance_uid=study_uid,
        series_instance_uid=series_uid,
        patient_id=patient_id,
        size_bytes=size_bytes,
        dataset_offset=offset,
        made_here=bool(made_here),
    )


def add_instance(
    connection: Connection, place: Place, header: Header, environment: Environment, file: FileColumns
) -> tuple[int, str]:
    """Add an instance, and its series, study and patient if they are not there.

    What is known of a patient, study or series is what its first instance said.

    Args:
        connection: in a write transaction.
        place: from :func:`look_up` in the same transaction.
        header: its attributes.
        environment: where it came from.
        file: its other columns.

    Returns:
        The instance's row, and the PatientID of the patient that the study belongs to.
    """
    study_id, series_id, patient_id = place.study_id, place.series_id, place.patient_id
    if study_id is None or patient_id is None:
        study_id, patient_id = _add_study(connection, header, environment)
    elif environment is Environment.PROD and place.environment != Environment.PROD:
        mark_prod(connection, header.study_instance_uid)
    if series_id is None:
        series_id = _insert(connection, Level.SERIES, study_id, *header.values(Level.SERIES))
    return _insert(connection, Level.IMAGE, series_id, *file, *header.values(Level.IMAGE)), patient_id


def add_unsettled(connection: Connection, instance_id: int, temporary: str, content: bytes | None) -> int:
    """Note what an instance's file can be restored from. Returns the row of the note."""
    return int(driver(connection).execute(_INSERT_UNSETTLED, (instance_id, temporary, content)).lastrowid)


def mark_prod(connection: Connection, study_instance_uid: str) -> None:
    """A study that holds anything from production counts as production."""
    driver(connection).execute(_NOW_PROD, (Environment.PROD.value, study_instance_uid))
    part_patient(connection, study_instance_uid, Environment.PROD)


def part_patient(connection: Connection, study_instance_uid: str, environment: Environment) -> None:
    """Give a study a patient row of its environment, if it shares one with studies of another."""
    shared = driver(connection).execute(_SHARED, (study_instance_uid, environment.value)).fetchone()
    if shared is None:
        return
    values = driver(connection).execute("SELECT * FROM patient WHERE id = ?", shared).fetchone()
    found = driver(connection).execute(_PATIENT, (*values[1:3], environment.value)).fetchone()
    own = found[0] if found and found[0] != shared[0] else _insert(connection, Level.PATIENT, *values[1:])
    driver(connection).execute("UPDATE study SET patient_id = ? WHERE StudyInstanceUID = ?", (own, study_instance_uid))


def came_as(connection: Connection, sop_instance_uid: str) -> CameAs | None:
    """How an instance came in; nothing if it is not there."""
    found = driver(connection).execute(_CAME_AS, (sop_instance_uid,)).fetchone()
    return None if found is None else CameAs(found[0], bool(found[1]))


def stored_at(connection: Connection, study_instance_uid: str) -> str:
    """When the first instance of a study came in, ISO 8601 in UTC; empty if the study is not there."""
    found = driver(connection).execute(_STORED_AT, (study_instance_uid,)).fetchone()
    return str(found[0]) if found else ""


def refile(connection: Connection, header: Header, stored_at: str) -> None:
    """Put a study under the patient that an instance of it names now; what is known of that patient is what it says.

    Args:
        connection: in a write transaction.
        header: of the instance.
        stored_at: when the study came in, from :func:`stored_at` before anything of it was replaced.
    """
    of_patient = header.values(Level.PATIENT)
    before, environment, *said = driver(connection).execute(_OF_STUDY_ROW, (header.study_instance_uid,)).fetchone()
    found = driver(connection).execute(_PATIENT, (*of_patient[:2], environment)).fetchone()
    if found:
        row = found[0]
        driver(connection).execute(_KNOWN_AS, (*of_patient, row))
    else:
        row = _insert(connection, Level.PATIENT, *of_patient)
    words = search_text(of_patient[_NAME], of_patient[0], *said)
    driver(connection).execute(_REFILED, (row, words, stored_at, header.study_instance_uid))
    if row != before:
        driver(connection).execute(_NOBODYS, (before,))


def renew(connection: Connection, sop_instance_uid: str, retrieved_at: str) -> None:
    """A server sent an instance again: its time begins anew, unless it came by another way before."""
    driver(connection).execute(_AGAIN, (retrieved_at, sop_instance_uid))


def keep(connection: Connection, sop_instance_uid: str) -> None:
    """An instance does not expire any more."""
    driver(connection).execute(_AGAIN, (None, sop_instance_uid))


def keep_study(connection: Connection, study_instance_uid: str) -> None:
    """A study does not expire any more."""
    driver(connection).execute(_STUDY_STAYS, (study_instance_uid,))


def keep_of_test(connection: Connection, sop_instance_uid: str) -> None:
    """An instance of test came to stay that had been fetched to be looked at."""
    driver(connection).execute(_STAYS_OF_TEST, (sop_instance_uid, Environment.TEST.value))


def remove_instance(connection: Connection, row: Any) -> None:
    """Take an instance out, and its series, study and patient if nothing else is in them; note its file as obsolete."""
    connection.execute(insert(obsolete_file).prefix_with("OR IGNORE"), {"path": row.path})
    connection.execute(delete(instance).where(instance.c.id == row.id))
    remove_empty(connection, row.StudyInstanceUID)


def remove(
    connection: Connection, study_instance_uid: str, series_instance_uid: str = "", sop_instance_uid: str = ""
) -> int:
    """Take a study out, one of its series, or one instance; note the files as obsolete. Returns how many there were.

    An empty UID means any.
    """
    which: list[ColumnElement[bool]] = [true()]
    if series_instance_uid:
        of_series = select(series.c.id).where(series.c.SeriesInstanceUID == series_instance_uid)
        which.append(instance.c.series_id.in_(of_series))
    if sop_instance_uid:
        which.append(instance.c.SOPInstanceUID == sop_instance_uid)
    return _remove(connection, study_instance_uid, and_(*which))


def environment_of(connection: Connection, study_instance_uid: str) -> Environment | None:
    """Where a study came from; nothing if it is not there."""
    found = connection.execute(select(study.c.environment).where(study.c.StudyInstanceUID == study_instance_uid))
    text = found.scalar_one_or_none()
    return None if text is None else Environment(text)


def remove_expired(connection: Connection, study_instance_uid: str, before: str) -> int:
    """Take out what servers sent of a study, if all of that came before a moment; what came otherwise stays.

    Returns how many instances were taken out.
    """
    newest = connection.execute(_NEWEST, {"study": study_instance_uid}).scalar()
    if newest is None or newest >= before:
        return 0
    return _remove(connection, study_instance_uid, instance.c.retrieved_at.is_not(None))


def _remove(connection: Connection, study_instance_uid: str, which: ColumnElement[bool]) -> int:
    paths = connection.execute(_OF_STUDY.where(which), {"study": study_instance_uid}).scalars().all()
    if paths:
        notes = [{"path": path} for path in paths]
        connection.execute(insert(obsolete_file).prefix_with("OR IGNORE"), notes)
        in_study = select(series.c.id).join(study).where(study.c.StudyInstanceUID == study_instance_uid)
        connection.execute(delete(instance).where(instance.c.series_id.in_(in_study), which))
        remove_empty(connection, study_instance_uid)
    return len(paths)


def remove_empty(connection: Connection, study_instance_uid: str) -> None:
    """Remove what instances that were removed leave: their notes, the empty series of their study, then the study and
    its patient, if they are empty too.
    """
    connection.execute(delete(unsettled).where(unsettled.c.instance_id.not_in(select(instance.c.id))))
    of_study = select(study.c.id).where(study.c.StudyInstanceUID == study_instance_uid)
    patient_of = select(study.c.patient_id).where(study.c.StudyInstanceUID == study_instance_uid)
    patient_id = connection.execute(patient_of).scalar_one_or_none()
    for table, child, which in (
        (series, instance.c.series_id, series.c.study_id.in_(of_study)),
        (study, series.c.study_id, study.c.StudyInstanceUID == study_instance_uid),
        (patient, study.c.patient_id, patient.c.id == patient_id),
    ):
        connection.execute(delete(table).where(which, ~exists().where(child == table.c.id)))


def is_indexed(connection: Connection, path: str) -> bool:
    """Whether the index names a file that the archive has put in place: the name begins with its SOP instance UID."""
    name = path.rpartition("/")[2].removesuffix(".dcm")
    return bool(driver(connection).execute(_INDEXED, (name, name.rpartition(".")[0], path)).fetchone()[0])


def _add_study(connection: Connection, header: Header, environment: Environment) -> tuple[int, str]:
    of_patient, of_study = header.values(Level.PATIENT), header.values(Level.STUDY)
    patient_id, issuer = of_patient[:2]  # the order of the attributes
    found = driver(connection).execute(_PATIENT, (patient_id, issuer, environment.value)).fetchone()
    patient_row, name = found or (_insert(connection, Level.PATIENT, *of_patient), of_patient[_NAME])
    words = search_text(name, patient_id, of_study[_ACCESSION], of_study[_DESCRIPTION])
    now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    columns = (patient_row, environment.value, now, words, *of_study)
    return _insert(connection, Level.STUDY, *columns), patient_id


def _insert(connection: Connection, level: Level, *columns: object) -> int:
    return int(driver(connection).execute(_INSERT[level], columns).lastrowid)
