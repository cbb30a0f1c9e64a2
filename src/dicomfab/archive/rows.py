"""Rows of the index: adds an instance with whatever of its tree is missing, and takes one out again."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, exists, insert, select, update

from dicomfab.archive.attributes import BY_LEVEL
from dicomfab.archive.header import Header
from dicomfab.archive.records import StoredInstance
from dicomfab.archive.schema import TABLES, instance, obsolete_file, patient, series, study
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
    series.c.SeriesInstanceUID,
    study.c.StudyInstanceUID,
    patient.c.PatientID,
)
TREE: Final = instance.join(series).join(study).join(patient)

_EXISTING = (
    select(instance.c.id, instance.c.digest, instance.c.series_id, *STORED_COLUMNS)
    .select_from(TREE)
    .where(instance.c.SOPInstanceUID == bindparam("uid"))
)
_PARENTS = (
    select(study.c.id, study.c.environment, patient.c.PatientID, series.c.id.label("series_id"))
    .select_from(
        study.join(patient).outerjoin(
            series, (series.c.study_id == study.c.id) & (series.c.SeriesInstanceUID == bindparam("series"))
        )
    )
    .where(study.c.StudyInstanceUID == bindparam("study"))
)
_PATIENT = select(patient.c.id).where(
    patient.c.PatientID == bindparam("patient"),
    patient.c.PatientID != "",
    patient.c.IssuerOfPatientID == bindparam("issuer"),
)
_OF_STUDY = (
    select(instance.c.path)
    .select_from(instance.join(series).join(study))
    .where(study.c.StudyInstanceUID == bindparam("study"))
)
_EMPTY: Final = {level: {a.keyword: "" for a in attributes} for level, attributes in BY_LEVEL.items()}
_INSERT: Final = {level: insert(table) for level, table in TABLES.items()}
_INDEXED = select(exists().where(instance.c.path == bindparam("path")))
_NOW_PROD = update(study).where(study.c.StudyInstanceUID == bindparam("uid")).values(environment=Environment.PROD.value)


def find_instance(connection: Connection, sop_instance_uid: str) -> Any:
    """The row of a SOP instance, or ``None``: what :func:`stored_instance` reads, its ``id`` and ``digest``."""
    return connection.execute(_EXISTING, {"uid": sop_instance_uid}).first()


def stored_instance(row: Any, instances: Path) -> StoredInstance:
    """Turn a row of ``STORED_COLUMNS`` into a value."""
    return StoredInstance(
        path=instances / row.path,
        identity=InstanceIdentity(row.SOPClassUID, row.SOPInstanceUID, row.transfer_syntax_uid),
        study_instance_uid=row.StudyInstanceUID,
        series_instance_uid=row.SeriesInstanceUID,
        patient_id=row.PatientID,
        size_bytes=row.size_bytes,
        dataset_offset=row.dataset_offset,
    )


def add_instance(connection: Connection, header: Header, environment: Environment, columns: dict[str, Any]) -> str:
    """Add an instance, and its series, study and patient if they are not there.

    What is known of a patient, study or series is what its first instance said.

    Args:
        connection: in a write transaction.
        header: its attributes.
        environment: where it came from.
        columns: the instance's own columns beside its attributes.

    Returns:
        The PatientID of the patient that the study belongs to.
    """
    keys = {"study": header.study_instance_uid, "series": header.series_instance_uid}
    parents = connection.execute(_PARENTS, keys).first()
    if parents is None:
        series_id, patient_id = None, header.levels[Level.PATIENT].get("PatientID", "")
        study_id = _add_study(connection, header, environment)
    else:
        series_id, patient_id, study_id = parents.series_id, parents.PatientID, parents.id
        if environment is Environment.PROD and parents.environment != Environment.PROD:
            mark_prod(connection, header.study_instance_uid)
    if series_id is None:
        series_id = _insert(connection, Level.SERIES, header, {"study_id": study_id})
    _insert(connection, Level.IMAGE, header, {**columns, "series_id": series_id})
    return patient_id


def mark_prod(connection: Connection, study_instance_uid: str) -> None:
    """A study that holds anything from production counts as production."""
    connection.execute(_NOW_PROD, {"uid": study_instance_uid})


def remove_instance(connection: Connection, row: Any) -> None:
    """Take an instance out, and its series, study and patient if nothing else is in them; note its file as obsolete."""
    connection.execute(insert(obsolete_file).prefix_with("OR IGNORE"), {"path": row.path})
    connection.execute(delete(instance).where(instance.c.id == row.id))
    remove_empty(connection, row.StudyInstanceUID)


def remove_study(connection: Connection, study_instance_uid: str) -> int:
    """Take a study out; note its files as obsolete. Returns how many instances it had."""
    keys = {"study": study_instance_uid}
    paths = connection.execute(_OF_STUDY, keys).scalars().all()
    if paths:
        notes = [{"path": path} for path in paths]
        connection.execute(insert(obsolete_file).prefix_with("OR IGNORE"), notes)
        in_study = select(series.c.id).join(study).where(study.c.StudyInstanceUID == study_instance_uid)
        connection.execute(delete(instance).where(instance.c.series_id.in_(in_study)))
        remove_empty(connection, study_instance_uid)
    return len(paths)


def remove_empty(connection: Connection, study_instance_uid: str) -> None:
    """Remove the empty series of a study; then the study and its patient, if they are empty too."""
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
    """Whether the index names a file."""
    return bool(connection.execute(_INDEXED, {"path": path}).scalar_one())


def _add_study(connection: Connection, header: Header, environment: Environment) -> int:
    of_patient = header.levels[Level.PATIENT]
    keys = {"patient": of_patient.get("PatientID", ""), "issuer": of_patient.get("IssuerOfPatientID", "")}
    patient_id = connection.execute(_PATIENT, keys).scalar_one_or_none()
    if patient_id is None:
        patient_id = _insert(connection, Level.PATIENT, header, {})
    now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    columns = {"patient_id": patient_id, "environment": environment.value, "stored_at": now}
    return _insert(connection, Level.STUDY, header, columns)


def _insert(connection: Connection, level: Level, header: Header, columns: dict[str, Any]) -> int:
    values = {**_EMPTY[level], **header.levels[level], **columns}
    key: Any = connection.execute(_INSERT[level], values).inserted_primary_key
    return int(key[0])
