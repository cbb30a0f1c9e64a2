"""Lists for people: pages of studies, one study with its series, patients, and how much there is."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from sqlalchemy import ColumnElement, Engine, FromClause, Select, exists, func, select, true

from dicomfab.archive import rows
from dicomfab.archive.attributes import ATTRIBUTES
from dicomfab.archive.computed import (
    MODALITIES_IN_STUDY,
    PATIENT_INSTANCES,
    PATIENT_SERIES,
    PATIENT_STUDIES,
    SERIES_BYTES,
    SERIES_INSTANCES,
    STUDY_BYTES,
    STUDY_INSTANCES,
    STUDY_RETRIEVED_AT,
    STUDY_SERIES,
    listed_values,
)
from dicomfab.archive.keys import condition
from dicomfab.archive.records import (
    InstanceSummary,
    PatientSummary,
    SeriesSummary,
    StorageSummary,
    StoredInstance,
    StudyDetail,
    StudyFilter,
    StudyPage,
    StudySort,
    StudySummary,
)
from dicomfab.archive.schema import instance, patient, reporting, series, study
from dicomfab.model.errors import NotFound
from dicomfab.model.values import Environment

_BY_KEYWORD: Final = {attribute.keyword: attribute for attribute in ATTRIBUTES}
_SUMMARY: Final = select(
    study.c.StudyInstanceUID,
    patient.c.PatientName,
    patient.c.PatientID,
    patient.c.IssuerOfPatientID,
    patient.c.PatientBirthDate,
    patient.c.PatientSex,
    study.c.AccessionNumber,
    study.c.StudyDate,
    study.c.StudyTime,
    study.c.StudyID,
    study.c.StudyDescription,
    study.c.ReferringPhysicianName,
    MODALITIES_IN_STUDY.value().label("modalities"),
    STUDY_SERIES.value().label("series_count"),
    STUDY_INSTANCES.value().label("instance_count"),
    STUDY_BYTES.label("size_bytes"),
    study.c.environment,
    study.c.stored_at,
    func.coalesce(STUDY_RETRIEVED_AT, "").label("retrieved_at"),
).select_from(study.join(patient))

_SUMMARY_AND_ID: Final = _SUMMARY.add_columns(study.c.id)
_CONTENT: Final = (
    select(
        series.c.study_id,
        func.count().label("instances"),
        func.coalesce(func.sum(instance.c.size_bytes), 0).label("size_bytes"),
    )
    .select_from(instance.join(series))
    .group_by(series.c.study_id)
    .subquery()
)

_ORDER: Final[dict[StudySort, ColumnElement[Any]]] = {
    StudySort.STORED: study.c.id,
    StudySort.STUDY_DATE: study.c.StudyDate + study.c.StudyTime,
    StudySort.PATIENT_NAME: func.lower(patient.c.PatientName),
    StudySort.PATIENT_ID: patient.c.PatientID,
    StudySort.ACCESSION_NUMBER: study.c.AccessionNumber,
    StudySort.DESCRIPTION: func.lower(study.c.StudyDescription),
    StudySort.INSTANCES: _CONTENT.c.instances,
    StudySort.SIZE: _CONTENT.c.size_bytes,
}
_BY_PATIENT: Final = (StudySort.PATIENT_NAME, StudySort.PATIENT_ID)
_BY_CONTENT: Final = (StudySort.INSTANCES, StudySort.SIZE)
_AT_ONCE: Final = 5000  # SQLite takes some ten thousand values in one statement


def study_page(
    engine: Engine,
    wanted: StudyFilter,
    environments: Collection[Environment],
    *,
    sort: StudySort,
    descending: bool,
    limit: int,
    offset: int,
    counted: bool,
) -> StudyPage:
    """One page of the studies that a filter lets through, and their total, if it is to be counted."""
    visible = true() if set(environments) == set(Environment) else study.c.environment.in_(map(str, environments))
    conditions = _conditions(wanted)
    needs_patient = wanted.patient_name or wanted.patient_id or sort in _BY_PATIENT
    source: FromClause = study.join(patient) if needs_patient else study
    if sort in _BY_CONTENT:
        source = source.join(_CONTENT, _CONTENT.c.study_id == study.c.id)
    order = _ORDER[sort]
    ordered = (order.desc(), study.c.id.desc()) if descending else (order, study.c.id)
    # First which, then what: SQLite would count the instances of every study before it sorts and cuts off.
    which = select(study.c.id).select_from(source).where(visible, *conditions).order_by(*ordered)
    with reporting(engine), engine.connect() as connection:
        if (
            conditions and counted
        ):  # every study is looked at in any case: once is enough for the page and for the total
            ids = connection.execute(which).scalars().all()
            shown, total = ids[offset : offset + limit], len(ids)
        else:
            shown = connection.execute(which.limit(limit).offset(offset)).scalars().all()
            every = select(func.count()).select_from(study).where(visible)
            total = connection.execute(every).scalar_one() if counted else len(shown)
        found: dict[int, StudySummary] = {}
        for start in range(0, len(shown), _AT_ONCE):
            some = _SUMMARY_AND_ID.where(study.c.id.in_(shown[start : start + _AT_ONCE]))
            found.update((row.id, _study_summary(row)) for row in connection.execute(some))
        return StudyPage(tuple(found[one] for one in shown), total)


def study_detail(engine: Engine, study_instance_uid: str) -> StudyDetail:
    """One study.

    Raises:
        NotFound: the archive does not have it.
    """
    of_study = (
        select(
            series.c.SeriesInstanceUID,
            series.c.Modality,
            series.c.SeriesNumber,
            series.c.SeriesDescription,
            series.c.BodyPartExamined,
            SERIES_INSTANCES.value().label("instance_count"),
            SERIES_BYTES.label("size_bytes"),
        )
        .select_from(series.join(study))
        .where(study.c.StudyInstanceUID == study_instance_uid)
        .order_by(func.length(series.c.SeriesNumber), series.c.SeriesNumber, series.c.id)
    )
    with reporting(engine), engine.connect() as connection:
        summary = connection.execute(_SUMMARY.where(study.c.StudyInstanceUID == study_instance_uid)).first()
        if summary is None:
            raise no_such_study(study_instance_uid)
        return StudyDetail(_study_summary(summary), tuple(SeriesSummary(*row) for row in connection.execute(of_study)))


def retrieved_before(engine: Engine, moment: str, environment: Environment) -> list[str]:
    """The studies of an environment of which copies came from a server, all of them before a moment."""
    newest = func.max(instance.c.retrieved_at)
    statement = (
        select(study.c.StudyInstanceUID)
        .select_from(instance.join(series).join(study))
        .where(study.c.environment == environment.value, instance.c.retrieved_at.is_not(None))
        .group_by(study.c.id)
        .having(newest < moment)
    )
    with reporting(engine), engine.connect() as connection:
        return list(connection.execute(statement).scalars())


def has_study(engine: Engine, study_instance_uid: str) -> bool:
    """Whether the archive has a study."""
    found = select(exists().where(study.c.StudyInstanceUID == study_instance_uid))
    with reporting(engine), engine.connect() as connection:
        return bool(connection.execute(found).scalar_one())


def no_such_study(study_instance_uid: str) -> NotFound:
    """The error for a study that is not there."""
    return NotFound(
        f"study {study_instance_uid} is not in the archive",
        cause="it was deleted, or never stored here",
        remedy="list the studies to see what there is",
    )


def study_instances(engine: Engine, instances: Path, study_instance_uid: str) -> list[StoredInstance]:
    """All instances of a study, series by series, in the order in which they came in."""
    statement = (
        select(*rows.STORED_COLUMNS)
        .select_from(rows.TREE)
        .where(study.c.StudyInstanceUID == study_instance_uid)
        .order_by(series.c.id, instance.c.id)
    )
    with reporting(engine), engine.connect() as connection:
        return [rows.stored_instance(row, instances) for row in connection.execute(statement)]


def sop_classes(engine: Engine, study_instance_uid: str) -> list[str]:
    """The SOP Class UIDs of the instances of a study, each once."""
    statement = (
        select(instance.c.SOPClassUID)
        .select_from(instance.join(series).join(study))
        .where(study.c.StudyInstanceUID == study_instance_uid)
        .distinct()
        .order_by(instance.c.SOPClassUID)
    )
    with reporting(engine), engine.connect() as connection:
        return list(connection.execute(statement).scalars())


def instance_uids(engine: Engine, study_instance_uid: str, series_instance_uid: str) -> list[str]:
    """The SOP Instance UIDs of a series, in the order of their numbers."""
    statement = _in_series(select(instance.c.SOPInstanceUID), study_instance_uid, series_instance_uid)
    with reporting(engine), engine.connect() as connection:
        return list(connection.execute(statement).scalars())


def instance_page(
    engine: Engine, study_instance_uid: str, series_instance_uid: str, *, limit: int, offset: int
) -> list[InstanceSummary]:
    """Some instances of a series, in the order of their numbers."""
    columns = (
        instance.c.SOPInstanceUID,
        instance.c.SOPClassUID,
        instance.c.InstanceNumber,
        instance.c.ImageType,
        instance.c.Rows,
        instance.c.Columns,
        instance.c.NumberOfFrames,
        instance.c.transfer_syntax_uid,
        instance.c.size_bytes,
    )
    statement = _in_series(select(*columns), study_instance_uid, series_instance_uid)
    with reporting(engine), engine.connect() as connection:
        return [InstanceSummary(*row) for row in connection.execute(statement.limit(limit).offset(offset))]


def _in_series(statement: Select[Any], study_instance_uid: str, series_instance_uid: str) -> Select[Any]:
    return (
        statement.select_from(instance.join(series).join(study))
        .where(study.c.StudyInstanceUID == study_instance_uid, series.c.SeriesInstanceUID == series_instance_uid)
        .order_by(func.length(instance.c.InstanceNumber), instance.c.InstanceNumber, instance.c.id)
    )


def find_instance(engine: Engine, instances: Path, sop_instance_uid: str) -> StoredInstance | None:
    """An instance, wherever it is."""
    with reporting(engine), engine.connect() as connection:
        row = rows.find_instance(connection, sop_instance_uid)
    return None if row is None else rows.stored_instance(row, instances)


def patients(engine: Engine) -> list[PatientSummary]:
    """All patients with counts, by name."""
    counts = (PATIENT_STUDIES.value(), PATIENT_SERIES.value(), PATIENT_INSTANCES.value())
    statement = select(
        patient.c.PatientName,
        patient.c.PatientID,
        patient.c.IssuerOfPatientID,
        patient.c.PatientBirthDate,
        patient.c.PatientSex,
        *counts,
    ).select_from(patient)
    with reporting(engine), engine.connect() as connection:
        found = connection.execute(statement.order_by(func.lower(patient.c.PatientName), patient.c.id))
        return [PatientSummary(*row) for row in found]


def storage(engine: Engine, environments: Collection[Environment] | None = None) -> StorageSummary:
    """Counts over the whole archive, or over the studies of some environments."""
    joined = study.join(series, series.c.study_id == study.c.id).join(instance, instance.c.series_id == series.c.id)
    tables: list[Any] = [patient, study, series, instance, instance]
    wanted: list[Any] = [
        func.count(),
        func.count(),
        func.count(),
        func.count(),
        func.coalesce(func.sum(instance.c.size_bytes), 0),
    ]
    if environments is not None:
        tables = [study, study, study.join(series, series.c.study_id == study.c.id), joined, joined]
        wanted[0] = func.count(func.distinct(study.c.patient_id))
    asked = [select(what).select_from(table) for what, table in zip(wanted, tables, strict=True)]
    if environments is not None:
        asked = [one.where(study.c.environment.in_([str(e) for e in environments])) for one in asked]
    counts = [one.scalar_subquery() for one in asked]
    with reporting(engine), engine.connect() as connection:
        row: Any = connection.execute(select(*counts)).one()
        return StorageSummary(*row)


def _conditions(wanted: StudyFilter) -> list[ColumnElement[bool]]:
    keys = {
        "PatientName": wanted.patient_name,
        "PatientID": wanted.patient_id,
        "AccessionNumber": wanted.accession_number,
        "StudyDate": f"{wanted.date_from}-{wanted.date_to}" if wanted.date_from or wanted.date_to else "",
    }
    found = [condition(_BY_KEYWORD[keyword], pattern) for keyword, pattern in keys.items()]
    conditions = [one for one in found if one is not None]
    if wanted.modality.isalnum():
        is_one = series.c.Modality == wanted.modality
        conditions.append(select(series.c.id).where(series.c.study_id == study.c.id, is_one).exists())
    elif wanted.modality:
        conditions.append(MODALITIES_IN_STUDY.matching(wanted.modality))
    conditions += [func.instr(study.c.search_text, word) > 0 for word in wanted.search.casefold().split()]
    return conditions


def _study_summary(row: Any) -> StudySummary:
    fields: list[Any] = [*row[: len(_SUMMARY.selected_columns)]]
    fields[12] = listed_values(row.modalities)
    fields[16] = Environment(row.environment)
    return StudySummary(*fields)
