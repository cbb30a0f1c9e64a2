"""Keys that are not stored but worked out when asked for: counts, and what a study is made of (PS3.4 C.3.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, Table, func, select

from dicomfab.archive.schema import instance, patient, series, study
from dicomfab.model.query import Level


@dataclass(frozen=True, slots=True)
class Computed:
    """One computed key.

    Args:
        level: the entity that it belongs to; at levels above it has no value.
        source: the rows it is taken from, tied to the entity by ``of_entity``.
        column: what is counted or listed.
        listed: a list of distinct values, which can be matched; else a count, which cannot.
    """

    level: Level
    vr: str
    source: FromClause
    column: ColumnElement[Any]
    of_entity: ColumnElement[bool]
    entity: Table
    listed: bool = False

    def value(self) -> ColumnElement[Any]:
        """The value for the row at hand; values of a list are joined by commas, which CS and UI do not have."""
        what = func.group_concat(self.column.distinct()) if self.listed else func.count(self.column)
        return select(what).select_from(self.source).where(self.of_entity).correlate(self.entity).scalar_subquery()

    def matching(self, pattern: str) -> ColumnElement[bool]:
        """Whether one of the list's values satisfies a key."""
        fits = func.dicom_matches(self.vr, pattern, self.column) == 1
        found = select(self.column).select_from(self.source).where(self.of_entity, fits)
        return found.correlate(self.entity).exists()


# Aliases, since the tables counted over may be those that the query itself runs over.
_instance, _series, _study = instance.alias(), series.alias(), study.alias()
_SERIES_INSTANCES = _instance.join(_series, _instance.c.series_id == _series.c.id)
_PATIENT_SERIES = _series.join(_study, _series.c.study_id == _study.c.id)
_PATIENT_INSTANCES = _instance.join(_PATIENT_SERIES, _instance.c.series_id == _series.c.id)
_IN_SERIES = _instance.c.series_id == series.c.id
_IN_STUDY = _series.c.study_id == study.c.id
_IN_PATIENT = _study.c.patient_id == patient.c.id

PATIENT_STUDIES: Final = Computed(Level.PATIENT, "IS", _study, _study.c.id, _IN_PATIENT, patient)
PATIENT_SERIES: Final = Computed(Level.PATIENT, "IS", _PATIENT_SERIES, _series.c.id, _IN_PATIENT, patient)
PATIENT_INSTANCES: Final = Computed(Level.PATIENT, "IS", _PATIENT_INSTANCES, _instance.c.id, _IN_PATIENT, patient)
STUDY_SERIES: Final = Computed(Level.STUDY, "IS", _series, _series.c.id, _IN_STUDY, study)
STUDY_INSTANCES: Final = Computed(Level.STUDY, "IS", _SERIES_INSTANCES, _instance.c.id, _IN_STUDY, study)
SERIES_INSTANCES: Final = Computed(Level.SERIES, "IS", _instance, _instance.c.id, _IN_SERIES, series)
MODALITIES_IN_STUDY: Final = Computed(Level.STUDY, "CS", _series, _series.c.Modality, _IN_STUDY, study, listed=True)
SOP_CLASSES_IN_STUDY: Final = Computed(
    Level.STUDY, "UI", _SERIES_INSTANCES, _instance.c.SOPClassUID, _IN_STUDY, study, listed=True
)

COMPUTED: Final[dict[int, Computed]] = {
    0x00080061: MODALITIES_IN_STUDY,
    0x00080062: SOP_CLASSES_IN_STUDY,
    0x00201200: PATIENT_STUDIES,
    0x00201202: PATIENT_SERIES,
    0x00201204: PATIENT_INSTANCES,
    0x00201206: STUDY_SERIES,
    0x00201208: STUDY_INSTANCES,
    0x00201209: SERIES_INSTANCES,
}

# Bytes of the data sets, for the archive's own pages.
STUDY_BYTES: Final = (
    select(func.coalesce(func.sum(_instance.c.size_bytes), 0))
    .select_from(_SERIES_INSTANCES)
    .where(_IN_STUDY)
    .correlate(study)
    .scalar_subquery()
)
#: When a server of production sent the newest instance, for what expires.
STUDY_RETRIEVED_AT: Final = (
    select(func.max(_instance.c.retrieved_at))
    .select_from(_SERIES_INSTANCES)
    .where(_IN_STUDY)
    .correlate(study)
    .scalar_subquery()
)
SERIES_BYTES: Final = (
    select(func.coalesce(func.sum(_instance.c.size_bytes), 0)).where(_IN_SERIES).correlate(series).scalar_subquery()
)


def listed_values(text: str | None) -> tuple[str, ...]:
    """The values of a list as SQL joined them, sorted, without empty ones."""
    return tuple(sorted(value for value in (text or "").split(",") if value))
