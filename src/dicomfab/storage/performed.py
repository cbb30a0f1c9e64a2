"""Modality performed procedure steps in the database, and which scheduled steps they are for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from dicomfab.model.errors import Conflict, NotFound
from dicomfab.model.values import Environment
from dicomfab.storage.order_tables import performed_for, performed_step


@dataclass(frozen=True, slots=True)
class PerformedStep:
    """A performed procedure step as its modality reports it.

    Args:
        sop_instance_uid: its UID.
        environment: of the worklist that it was reported to.
        state: Performed Procedure Step Status (0040,0252).
        calling_ae_title: who reports.
        attributes: in the JSON model (PS3.18 annex F).
        created_at, changed_at: with time zone.
    """

    sop_instance_uid: str
    environment: Environment
    state: str
    calling_ae_title: str
    attributes: dict[str, Any]
    created_at: datetime
    changed_at: datetime


class PerformedRows:
    """Performed steps within one transaction.

    Args:
        connection: of the transaction.
        now: the moment, with time zone.
    """

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._now = now

    def get(self, sop_instance_uid: str) -> PerformedStep:
        """One of them.

        Raises:
            NotFound: there is none.
        """
        found = self._row(sop_instance_uid)
        if found is None:
            raise NotFound(f"there is no performed procedure step {sop_instance_uid}.", cause="nobody reported it here")
        return _performed(found)

    def add(
        self,
        sop_instance_uid: str,
        environment: Environment,
        state: str,
        calling_ae_title: str,
        attributes: dict[str, Any],
        steps: Iterable[tuple[int, int]],
    ) -> None:
        """Keep a new one.

        Args:
            sop_instance_uid: its UID.
            environment: of the worklist.
            state: its status.
            calling_ae_title: who reports.
            attributes: in the JSON model.
            steps: numbers of procedure and scheduled step that it is for.

        Raises:
            Conflict: it is there already.
        """
        if self._row(sop_instance_uid) is not None:
            raise Conflict(f"the performed procedure step {sop_instance_uid} was reported already")
        values = {
            "sop_instance_uid": sop_instance_uid,
            "environment": str(environment),
            "state": state,
            "calling_ae_title": calling_ae_title[:16],
            "attributes": attributes,
            "created_at": self._now,
            "changed_at": self._now,
        }
        self._connection.execute(insert(performed_step), values)
        links = [
            {"performed_step": sop_instance_uid, "procedure": procedure, "step": step}
            for procedure, step in dict.fromkeys(steps)
        ]
        if links:
            self._connection.execute(insert(performed_for), links)

    def replace(self, sop_instance_uid: str, state: str, attributes: dict[str, Any]) -> None:
        """Put other attributes in place of those of a step."""
        of_it = update(performed_step).where(performed_step.c.sop_instance_uid == sop_instance_uid)
        self._connection.execute(of_it.values(state=state, attributes=attributes, changed_at=self._now))

    def steps_of(self, sop_instance_uid: str) -> list[tuple[int, int]]:
        """Numbers of the procedures and scheduled steps that a performed step is for."""
        links = performed_for.c
        chosen = select(links.procedure, links.step).where(links.performed_step == sop_instance_uid)
        return [(row.procedure, row.step) for row in self._connection.execute(chosen.order_by(links.step))]

    def in_progress(self, steps: Iterable[int]) -> set[int]:
        """Those of some scheduled steps, by their numbers, that are being performed."""
        links = performed_for.c
        chosen = (
            select(links.step)
            .join(performed_step, performed_step.c.sop_instance_uid == links.performed_step)
            .where(links.step.in_(list(steps)), performed_step.c.state == "IN PROGRESS")
        )
        return set(self._connection.execute(chosen).scalars())

    def of_procedure(self, procedure: int) -> list[PerformedStep]:
        """What was performed of a procedure, the oldest first."""
        of_it = select(performed_for.c.performed_step).where(performed_for.c.procedure == procedure)
        chosen = select(performed_step).where(performed_step.c.sop_instance_uid.in_(of_it))
        return [_performed(row) for row in self._connection.execute(chosen.order_by(performed_step.c.created_at))]

    def _row(self, sop_instance_uid: str) -> Row[Any] | None:
        chosen = select(performed_step).where(performed_step.c.sop_instance_uid == sop_instance_uid)
        return self._connection.execute(chosen).one_or_none()


def _performed(row: Row[Any]) -> PerformedStep:
    return PerformedStep(
        row.sop_instance_uid,
        Environment(row.environment),
        row.state,
        row.calling_ae_title,
        row.attributes,
        row.created_at,
        row.changed_at,
    )
