"""C-FIND, and the selection of instances for C-MOVE and C-GET, over the index (PS3.4 C.4.1 to C.4.3, C.6).

Keys above the query's level may be missing: every query is treated as a relational one (PS3.4 C.4.1.2.2.1). Keys below
it, and those the index does not know, are returned empty and match anything (C.2.2.1.3).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import BaseTag
from sqlalchemy import ColumnElement, Engine, FromClause, Row, Select, select

from dicomfab.archive import rows
from dicomfab.archive.attributes import ATTRIBUTES, BY_TAG, LEVELS, UNIQUE_KEY, Attribute, up_to
from dicomfab.archive.computed import COMPUTED, Computed, listed_values
from dicomfab.archive.errors import ArchiveQueryError
from dicomfab.archive.keys import column, condition
from dicomfab.archive.matching import compile_key, split_values
from dicomfab.archive.records import StoredInstance
from dicomfab.archive.schema import TABLES, patient, reporting, series, study
from dicomfab.archive.text import SPECIFIC_CHARACTER_SET, UTF_8, identifier_values
from dicomfab.model import values
from dicomfab.model.errors import InvalidInput
from dicomfab.model.query import Level, QueryModel

QUERY_RETRIEVE_LEVEL: Final = 0x00080052
RETRIEVE_AE_TITLE: Final = 0x00080054
INSTANCE_AVAILABILITY: Final = 0x00080056

_ROWS_PER_FETCH: Final = 200
_FROM: Final[dict[Level, FromClause]] = {
    Level.PATIENT: patient,
    Level.STUDY: study.join(patient),
    Level.SERIES: series.join(study).join(patient),
    Level.IMAGE: rows.TREE,
}
_BY_KEYWORD: Final = {attribute.keyword: attribute for attribute in ATTRIBUTES}


@dataclass(frozen=True, slots=True)
class Query:
    """A C-FIND request, checked.

    Args:
        conditions: all have to hold.
        stored, computed: the keys to return that have a value at this level.
        empty: the keys to return without one, with their VR.
        wants_availability: Instance Availability was asked for.
    """

    level: Level
    conditions: tuple[ColumnElement[bool], ...]
    stored: tuple[Attribute, ...]
    computed: tuple[tuple[int, Computed], ...]
    empty: tuple[tuple[int, str], ...]
    wants_availability: bool


def parse(model: QueryModel, identifier: Dataset) -> Query:
    """Check a C-FIND identifier.

    Raises:
        ArchiveQueryError: no valid Query/Retrieve Level for the information model, or a key that cannot be matched.
    """
    keys = identifier_values(identifier)
    level = _level(model, keys)
    above = up_to(level)
    conditions: list[ColumnElement[bool]] = []
    stored = [_BY_KEYWORD[UNIQUE_KEY[level]]]
    computed: list[tuple[int, Computed]] = []
    empty: list[tuple[int, str]] = []
    for tag, (vr, pattern) in keys.items():
        attribute, worked_out = BY_TAG.get(tag), COMPUTED.get(tag)
        if attribute is not None and attribute.level in above:
            key = condition(attribute, pattern)
            conditions.extend(() if key is None else (key,))
            stored.extend(() if attribute in stored else (attribute,))
        elif worked_out is not None and worked_out.level in above:
            computed.append((tag, worked_out))
            if worked_out.listed and compile_key(worked_out.vr, pattern) is not None:
                conditions.append(worked_out.matching(pattern))
        elif not _answered_otherwise(tag):
            empty.append((tag, vr))
    return Query(level, tuple(conditions), tuple(stored), tuple(computed), tuple(empty), INSTANCE_AVAILABILITY in keys)


def responses(engine: Engine, query: Query, retrieve_ae_title: str) -> Iterator[Dataset]:
    """Yield one identifier per match, as the rows come."""
    columns: list[ColumnElement[Any]] = [column(attribute) for attribute in query.stored]
    columns += [computed.value().label(f"computed_{tag:08x}") for tag, computed in query.computed]
    statement: Select[Any] = select(*columns).select_from(_FROM[query.level]).where(*query.conditions)
    statement = statement.order_by(TABLES[query.level].c.id).execution_options(yield_per=_ROWS_PER_FETCH)
    with reporting(engine), engine.connect() as connection:
        for row in connection.execute(statement):
            yield _response(query, row, retrieve_ae_title)


def select_instances(engine: Engine, instances: Path, model: QueryModel, identifier: Dataset) -> list[StoredInstance]:
    """What a C-MOVE or C-GET identifier names, in the order in which it came in.

    Only unique keys select, by equality: the level's own, which has to be there, and those above it.

    Raises:
        ArchiveQueryError: no valid level, or its unique key is missing or no UID.
    """
    keys = identifier_values(identifier)
    level = _level(model, keys)
    conditions = []
    for one in up_to(level):
        attribute = _BY_KEYWORD[UNIQUE_KEY[one]]
        _, text = keys.get(attribute.tag, ("", ""))
        wanted = [_unique_value(attribute, value) for value in split_values(attribute.vr, text) if value]
        if wanted:
            conditions.append(column(attribute).in_(wanted))
        elif one is level:
            raise ArchiveQueryError(
                f"the identifier has no {attribute.keyword}, the unique key of the {level} level",
                field=attribute.keyword,
                cause="a retrieve request names what it wants by the unique key of its level (PS3.4 C.4.2.1.4)",
                remedy=f"query for the {attribute.keyword} first, then retrieve it",
            )
    statement = select(*rows.STORED_COLUMNS).select_from(rows.TREE).where(*conditions)
    with reporting(engine), engine.connect() as connection:
        found = connection.execute(statement.order_by(TABLES[Level.IMAGE].c.id))
        return [rows.stored_instance(row, instances) for row in found]


def _level(model: QueryModel, keys: dict[int, tuple[str, str]]) -> Level:
    text = keys.get(QUERY_RETRIEVE_LEVEL, ("", ""))[1]
    allowed = LEVELS if model is QueryModel.PATIENT_ROOT else LEVELS[1:]
    if text not in allowed:
        raise ArchiveQueryError(
            f"QueryRetrieveLevel {text!r} is none of those of the {model} information model",
            field="QueryRetrieveLevel",
            value=text,
            cause="the key is missing or misspelt, or the PATIENT level was asked for under Study Root",
            remedy=f"use one of {', '.join(allowed)}",
        )
    return Level(text)


def _unique_value(attribute: Attribute, value: str) -> str:
    if attribute.vr != "UI":
        return value
    try:
        return values.uid(value, field=attribute.keyword)
    except InvalidInput as error:
        raise ArchiveQueryError(
            error.what, field=attribute.keyword, value=value, cause=error.cause, remedy=error.remedy
        ) from error


def _answered_otherwise(tag: int) -> bool:
    """Keys that every response answers in its own way, and group lengths, which are no keys."""
    always = (SPECIFIC_CHARACTER_SET, QUERY_RETRIEVE_LEVEL, RETRIEVE_AE_TITLE, INSTANCE_AVAILABILITY)
    return tag in always or tag & 0xFFFF == 0


def _response(query: Query, row: Row[Any], retrieve_ae_title: str) -> Dataset:
    texts = [row[i] for i in range(len(query.stored))]
    elements = [_element(a.tag, a.vr, text) for a, text in zip(query.stored, texts, strict=True)]
    for (tag, computed), value in zip(query.computed, row[len(texts) :], strict=True):
        text = "\\".join(listed_values(value)) if computed.listed else str(value)
        elements.append(_element(tag, computed.vr, text))
    elements += [_element(tag, vr, "") for tag, vr in query.empty]
    elements.append(_element(QUERY_RETRIEVE_LEVEL, "CS", query.level.value))
    if retrieve_ae_title:
        elements.append(_element(RETRIEVE_AE_TITLE, "AE", retrieve_ae_title))
    if query.wants_availability:
        elements.append(_element(INSTANCE_AVAILABILITY, "CS", "ONLINE"))
    if not all(text.isascii() for text in texts):
        elements.append(_element(SPECIFIC_CHARACTER_SET, "CS", UTF_8))
    return Dataset({element.tag: element for element in sorted(elements, key=lambda one: one.tag)})


def _element(tag: int, vr: str, text: str) -> DataElement:
    """A data element, unvalidated: what the archive holds is answered as it is; numbers that are none become empty."""
    value: Any = text or None
    if vr == "SQ":
        value = DicomSequence()
    elif text and vr == "US":
        value = [int(number) for number in text.split("\\")]
    try:
        return DataElement(BaseTag(tag), vr, value, validation_mode=IGNORE)
    except (ValueError, TypeError, OverflowError):
        return DataElement(BaseTag(tag), vr, None)
