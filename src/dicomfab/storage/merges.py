"""Patients whose identifier is another now, and whether what is kept here says so yet."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from dicomfab.model.order import OrderField
from dicomfab.model.values import Environment
from dicomfab.storage.database import Database
from dicomfab.storage.order_tables import patient_merge


@dataclass(frozen=True, slots=True)
class PatientMerge:
    """One identifier in place of another; or, under the one that there was, other data of the patient.

    Args:
        number: identifies the merge.
        environment: of the patient.
        prior_id: Patient ID that is no longer used.
        prior_issuer: its issuer; empty if nobody said it.
        patient_id: the one to use.
        issuer: its issuer.
        fields: what is known of the patient.
        message: number of the HL7 message that said so.
        is_done: whether the local studies say so too.
        outcome: what was changed, or why it could not be.
        at: when it was said, with time zone.
    """

    number: int
    environment: Environment
    prior_id: str
    prior_issuer: str
    patient_id: str
    issuer: str
    fields: tuple[OrderField, ...]
    message: int | None
    is_done: bool
    outcome: str
    at: datetime

    @property
    def is_update(self) -> bool:
        """Whether the identifier stays, and only other data are other now."""
        return self.prior_id == self.patient_id and self.prior_issuer == self.issuer

    def value(self, keyword: str) -> str:
        """What is known of the patient by a keyword; empty if nothing is."""
        return next((one.value for one in self.fields if one.keyword == keyword), "")


class MergeRows:
    """Merges within one transaction.

    Args:
        connection: of the transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(
        self,
        environment: Environment,
        prior: tuple[str, str],
        now_called: tuple[str, str],
        fields: Sequence[OrderField],
        *,
        message: int | None,
        at: datetime,
    ) -> None:
        """Note a merge, still to be carried through to the local studies."""
        values = {
            "environment": str(environment),
            "prior_id": prior[0],
            "prior_issuer": prior[1],
            "patient_id": now_called[0],
            "issuer": now_called[1],
            "fields": [[one.keyword, one.value, one.origin, one.note] for one in fields],
            "message": message,
            "is_done": False,
            "outcome": "",
            "at": at,
        }
        self._connection.execute(insert(patient_merge), values)

    def leads(self, environment: Environment, was: tuple[str, str], now_called: tuple[str, str]) -> bool:
        """Whether merges lead from an identifier to another, one after the other.

        Args:
            environment: of the patient.
            was: Patient ID and issuer; an issuer that nobody said is any.
            now_called: the same.
        """
        seen, left = set[tuple[str, str]](), [was]
        while left:
            one = left.pop()
            if is_one_patient(one, now_called):
                return True
            if one in seen:
                continue
            seen.add(one)
            of_it = (patient_merge.c.environment == str(environment), patient_merge.c.prior_id == one[0])
            for row in self._connection.execute(select(patient_merge).where(*of_it)):
                if is_one_patient(one, (row.prior_id, row.prior_issuer)):
                    left.append((row.patient_id, row.issuer or one[1]))
        return False


class MergeRepository:
    """Merges of one installation.

    Args:
        database: where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def pending(self, environments: Collection[Environment], limit: int) -> list[PatientMerge]:
        """Those of some environments that the local studies do not say yet, the oldest first."""
        with self._database.read() as connection:
            chosen = select(patient_merge).where(
                patient_merge.c.is_done.is_(False), patient_merge.c.environment.in_(map(str, environments))
            )
            return [_merge(row) for row in connection.execute(chosen.order_by(patient_merge.c.number).limit(limit))]

    def newest(self, environments: Collection[Environment], limit: int) -> list[PatientMerge]:
        """Those of some environments, the newest first."""
        with self._database.read() as connection:
            chosen = select(patient_merge).where(patient_merge.c.environment.in_(map(str, environments)))
            newest = chosen.order_by(patient_merge.c.number.desc()).limit(limit)
            return [_merge(row) for row in connection.execute(newest)]

    def note(self, number: int, outcome: str, *, is_done: bool = True) -> None:
        """Note what came of a merge, or why it could not be carried out yet; what another has done stays as it is."""
        with self._database.write() as connection:
            of_it = update(patient_merge).where(patient_merge.c.number == number, patient_merge.c.is_done.is_(False))
            connection.execute(of_it.values(is_done=is_done, outcome=outcome))

    def forget(self, numbers: Sequence[int]) -> None:
        """Forget updates that nothing here had to follow."""
        if numbers:
            with self._database.write() as connection:
                is_idle = (patient_merge.c.number.in_(numbers), patient_merge.c.is_done.is_(False))
                connection.execute(delete(patient_merge).where(*is_idle))


def is_one_patient(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two identifiers, each Patient ID and issuer, are of one patient; an issuer that nobody said is any."""
    return one[0] == other[0] and ("" in (one[1], other[1]) or one[1] == other[1])


def _merge(row: Row[Any]) -> PatientMerge:
    return PatientMerge(
        number=row.number,
        environment=Environment(row.environment),
        prior_id=row.prior_id,
        prior_issuer=row.prior_issuer,
        patient_id=row.patient_id,
        issuer=row.issuer,
        fields=tuple(OrderField(*one) for one in row.fields),
        message=row.message,
        is_done=row.is_done,
        outcome=row.outcome,
        at=row.at,
    )
