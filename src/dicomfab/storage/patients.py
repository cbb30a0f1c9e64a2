"""Registered patients and issued identifiers in the database."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select, update

from dicomfab.fabricate.patients import FIELD_NAMES, PatientData, folded
from dicomfab.fabricate.patterns import Pattern, Purpose, exhausted
from dicomfab.model.errors import Conflict, NotFound
from dicomfab.storage.database import Database
from dicomfab.storage.tables import id_sequence, issued_id, patient

_SUBJECT: Final = "patients"
_CHUNK: Final = 64


class PatientSort(enum.StrEnum):
    """Columns that a list of patients can be ordered by."""

    NAME = "name"
    PATIENT_ID = "patient_id"
    BIRTH_DATE = "birth_date"
    SEX = "sex"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class StoredPatient:
    """A patient of the registry.

    Args:
        number: identifies the entry for ever, whatever is edited.
        data: what is known of the patient.
        created_at, changed_at: with time zone.
        revision: 1 when added, and one more with each edit.
    """

    number: int
    data: PatientData
    created_at: datetime
    changed_at: datetime
    revision: int


@dataclass(frozen=True, slots=True)
class PatientPage:
    """A page of a list, and how many patients the whole list has."""

    patients: tuple[StoredPatient, ...]
    total: int


_ORDER: Final[dict[PatientSort, ColumnElement[Any]]] = {
    PatientSort.NAME: patient.c.search_text,
    PatientSort.PATIENT_ID: patient.c.patient_id,
    PatientSort.BIRTH_DATE: patient.c.birth_date,
    PatientSort.SEX: patient.c.sex,
    PatientSort.CHANGED: patient.c.changed_at,
}


class PatientRepository:
    """Loads and changes registered patients.

    Args:
        database: where they are kept.
        now: the moment, with time zone.
        draw_seed: a random number for the order of a new sequence of identifiers.
    """

    def __init__(self, database: Database, *, now: Callable[[], datetime], draw_seed: Callable[[], int]) -> None:
        self._database = database
        self._now = now
        self._draw_seed = draw_seed

    def page(
        self,
        search: str = "",
        *,
        sort: PatientSort = PatientSort.NAME,
        descending: bool = False,
        limit: int | None = None,
        offset: int = 0,
    ) -> PatientPage:
        """One page of the patients; each word of ``search`` occurs in name or ID, accents and case aside."""
        words = folded(search).replace(",", " ").split()
        conditions = [patient.c.search_text.contains(word, autoescape=True) for word in words]
        order = _ORDER[sort]
        ordered = (order.desc(), patient.c.number.desc()) if descending else (order, patient.c.number)
        chosen = select(patient).where(*conditions).order_by(*ordered).limit(limit).offset(offset)
        with self._database.read() as connection:
            total = connection.execute(select(func.count()).select_from(patient).where(*conditions)).scalar_one()
            return PatientPage(tuple(_stored(row) for row in connection.execute(chosen)), total)

    def get(self, number: int) -> StoredPatient:
        """The patient with this number.

        Raises:
            NotFound: there is none.
        """
        with self._database.read() as connection:
            return _get(connection, number)

    def with_id(self, patient_id: str) -> tuple[StoredPatient, ...]:
        """The patients with exactly this ID, one for each issuer."""
        with self._database.read() as connection:
            return _with_id(connection, patient_id)

    @contextmanager
    def change(self) -> Iterator[PatientChanges]:
        """Several changes as one transaction that no other writer gets between; an error in the block undoes all."""
        with self._database.changing(_SUBJECT) as connection:
            yield PatientChanges(connection, self._now(), self._draw_seed)


class PatientChanges:
    """What can be done within one transaction; :meth:`PatientRepository.change` makes it."""

    def __init__(self, connection: Connection, now: datetime, draw_seed: Callable[[], int]) -> None:
        self._connection = connection
        self._now = now
        self._draw_seed = draw_seed

    @property
    def transaction(self) -> Connection:
        """For what is to share the fate of the changes."""
        return self._connection

    def get(self, number: int) -> StoredPatient:
        """As :meth:`PatientRepository.get`."""
        return _get(self._connection, number)

    def known(self, patient_ids: Sequence[str]) -> dict[tuple[str, str], StoredPatient]:
        """The patients with one of these IDs, by ID and issuer."""
        found = {}
        for part in _parts(patient_ids):
            for row in self._connection.execute(select(patient).where(patient.c.patient_id.in_(part))):
                one = _stored(row)
                found[one.data.patient_id, one.data.issuer] = one
        return found

    def add(self, people: Sequence[PatientData]) -> tuple[StoredPatient, ...]:
        """Add patients, whose IDs differ from one another, and return them in the same order.

        Raises:
            Conflict: an ID is there already.
        """
        ids = [data.patient_id for data in people]
        self._must_be_free(people, self.known(ids))
        rows = [{**_columns(data), "created_at": self._now, "changed_at": self._now, "revision": 1} for data in people]
        numbered = insert(patient).returning(patient.c.number, sort_by_parameter_order=True)
        numbers = self._connection.execute(numbered, rows).scalars() if rows else ()
        self._note(Purpose.PATIENT_ID, ids)
        pairs = zip(numbers, people, strict=True)
        return tuple(StoredPatient(number, data, self._now, self._now, 1) for number, data in pairs)

    def replace(self, before: StoredPatient, data: PatientData) -> StoredPatient:
        """Put other data in a patient's place and raise the revision.

        Raises:
            Conflict: the new ID is another patient's.
        """
        if (data.patient_id, data.issuer) != (before.data.patient_id, before.data.issuer):
            self._must_be_free([data], self.known([data.patient_id]))
            self._note(Purpose.PATIENT_ID, [data.patient_id])
        revision = before.revision + 1
        values = {**_columns(data), "changed_at": self._now, "revision": revision}
        self._connection.execute(update(patient).where(patient.c.number == before.number).values(values))
        return StoredPatient(before.number, data, before.created_at, self._now, revision)

    def put_back(self, removed: StoredPatient) -> None:
        """Add a patient who was removed, exactly as he was; no number is ever given out again.

        Raises:
            Conflict: the ID is there already.
        """
        self._must_be_free([removed.data], self.known([removed.data.patient_id]))
        values = {name: getattr(removed, name) for name in ("number", "created_at", "changed_at", "revision")}
        self._connection.execute(insert(patient).values({**_columns(removed.data), **values}))

    def remove(self, number: int) -> StoredPatient:
        """Remove a patient; the ID stays noted as used.

        Raises:
            NotFound: there is none.
        """
        found = self.get(number)
        self._connection.execute(delete(patient).where(patient.c.number == number))
        return found

    def draw(self, pattern: Pattern, count: int, *, is_used: Callable[[str], bool]) -> list[str]:
        """The next new values of a pattern.

        Every value is looked at once in the life of the sequence: one that is used elsewhere is passed over for good.

        Args:
            pattern: what makes the values.
            count: how many.
            is_used: whether a value stands somewhere that this database does not know.

        Raises:
            InvalidInput: the pattern has fewer new values left.
        """
        position, seed = self._position(pattern)
        drawn: list[str] = []
        while len(drawn) < count and position < pattern.capacity:
            indexes = range(position, min(position + max(_CHUNK, count - len(drawn)), pattern.capacity))
            values = [pattern.value(index, seed) for index in indexes]
            issued = self._issued(pattern.purpose, values)
            for value in values:
                position += 1
                if value not in issued and not is_used(value):
                    drawn.append(value)
                    if len(drawn) == count:
                        break
        if len(drawn) < count:
            raise exhausted(pattern, len(drawn), count)
        self._connection.execute(update(id_sequence).where(_is_of(pattern)).values(next_index=position))
        self._note(pattern.purpose, drawn)
        return drawn

    def _position(self, pattern: Pattern) -> tuple[int, int]:
        """The next index of a pattern's sequence, and its seed."""
        found = self._connection.execute(select(id_sequence).where(_is_of(pattern))).one_or_none()
        if found is not None:
            return found.next_index, found.seed
        seed = self._draw_seed()
        key = {"purpose": pattern.purpose.value, "pattern": pattern.key}
        self._connection.execute(insert(id_sequence).values(**key, seed=seed, next_index=0))
        return 0, seed

    def _issued(self, purpose: Purpose, values: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for part in _parts(values):
            known = select(issued_id.c.value).where(issued_id.c.purpose == purpose.value, issued_id.c.value.in_(part))
            found |= set(self._connection.execute(known).scalars())
        return found

    def _note(self, purpose: Purpose, values: Sequence[str]) -> None:
        known = self._issued(purpose, values)
        fresh = dict.fromkeys(value for value in values if value not in known)
        new = [{"purpose": purpose.value, "value": value} for value in fresh]
        if new:
            self._connection.execute(insert(issued_id), new)

    @staticmethod
    def _must_be_free(people: Sequence[PatientData], known: Mapping[tuple[str, str], StoredPatient]) -> None:
        for data in people:
            if (data.patient_id, data.issuer) in known:
                raise Conflict(
                    f"patient_id: {data.patient_id} (issuer {data.issuer}) is registered already",
                    cause="a patient is identified by ID and issuer",
                    remedy="edit that patient, or give another ID",
                )


def _parts(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """In parts of 500: a statement of SQLite takes a limited number of values."""
    for start in range(0, len(values), 500):
        yield values[start : start + 500]


def _get(connection: Connection, number: int) -> StoredPatient:
    row = connection.execute(select(patient).where(patient.c.number == number)).one_or_none()
    if row is None:
        raise NotFound(
            f"there is no patient number {number} in the registry",
            cause="it was removed, or never there",
            remedy="see who is there: dicomfab patient list",
        )
    return _stored(row)


def _with_id(connection: Connection, patient_id: str) -> tuple[StoredPatient, ...]:
    statement = select(patient).where(patient.c.patient_id == patient_id).order_by(patient.c.number)
    return tuple(_stored(row) for row in connection.execute(statement))


def _stored(row: Row[Any]) -> StoredPatient:
    values = row._mapping
    data = PatientData(**{name: values[name] for name in FIELD_NAMES})
    return StoredPatient(row.number, data, row.created_at, row.changed_at, row.revision)


def _columns(data: PatientData) -> dict[str, Any]:
    name = data.name.replace("^", " ").replace("=", " ")
    return {**data.as_dict(), "search_text": folded(f"{name}\n{data.patient_id}")}


def _is_of(pattern: Pattern) -> ColumnElement[bool]:
    return (id_sequence.c.purpose == pattern.purpose.value) & (id_sequence.c.pattern == pattern.key)
