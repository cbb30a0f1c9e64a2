"""Lists for people: pages of studies, one study with its series, patients, and how much there is."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final

from sqlalchemy import ColumnElement, Engine, exists, func, select

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
from dicomfab.archive.find import condition
from dicomfab.archive.records import (
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

_ORDER: Final[dict[StudySort, ColumnElement[Any]]] = {
    StudySort.STORED: study.c.id,
    StudySort.STUDY_DATE: study.c.StudyDate + study.c.StudyTime,
    StudySort.PATIENT_NAME: func.lower(patient.c.PatientName),
    StudySort.PATIENT_ID: patient.c.PatientID,
    StudySort.ACCESSION_NUMBER: study.c.AccessionNumber,
    StudySort.DESCRIPTION: func.lower(study.c.StudyDescription),
    StudySort.INSTANCES: STUDY_INSTANCES.value(),
    StudySort.SIZE: STUDY_BYTES,
}
_SEARCHED: Final = (
    patient.c.PatientName
    + "\n"
    + patient.c.PatientID
    + "\n"
    + study.c.AccessionNumber
    + "\n"
    + study.c.StudyDescription
)


def study_page(
    engine: Engine,
    wanted: StudyFilter,
    environments: Collection[Environment],
    *,
    sort: StudySort,
    descending: bool,
    limit: int,
    offset: int,
) -> StudyPage:
    """One page of the studies that a filter lets through, and their total."""
    conditions = [study.c.environment.in_([e.value for e in environments]), *_conditions(wanted)]
    order = _ORDER[sort]
    ordered = (order.desc(), study.c.id.desc()) if descending else (order, study.c.id)
    page = _SUMMARY.where(*conditions).order_by(*ordered).limit(limit).offset(offset)
    count = select(func.count()).select_from(study.join(patient)).where(*conditions)
    with reporting(engine), engine.connect() as connection:
        total = connection.execute(count).scalar_one()
        return StudyPage(tuple(_study_summary(row) for row in connection.execute(page)), total)


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


def retrieved_before(engine: Engine, moment: str) -> list[str]:
    """The studies of production of which copies came from a server, all of them before a moment."""
    newest = func.max(instance.c.retrieved_at)
    statement = (
        select(study.c.StudyInstanceUID)
        .select_from(instance.join(series).join(study))
        .where(study.c.environment == Environment.PROD.value, instance.c.retrieved_at.is_not(None))
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


def storage(engine: Engine) -> StorageSummary:
    """Counts over the whole archive."""
    counts = [select(func.count()).select_from(table).scalar_subquery() for table in (patient, study, series, instance)]
    size = select(func.coalesce(func.sum(instance.c.size_bytes), 0)).scalar_subquery()
    with reporting(engine), engine.connect() as connection:
        row: Any = connection.execute(select(*counts, size)).one()
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
    if wanted.modality:
        conditions.append(MODALITIES_IN_STUDY.matching(wanted.modality))
    contains: Callable[..., ColumnElement[Any]] = func.contains_word
    conditions += [contains(word, _SEARCHED) == 1 for word in wanted.search.casefold().split()]
    return conditions


def _study_summary(row: Any) -> StudySummary:
    fields: list[Any] = [*row]
    fields[12] = listed_values(row.modalities)
    fields[16] = Environment(row.environment)
    return StudySummary(*fields)
