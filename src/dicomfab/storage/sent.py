"""What the ledger of jobs knows of where fabricated studies went."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, or_, select

from dicomfab.model.job import ItemState, JobKind
from dicomfab.storage.database import Database
from dicomfab.storage.tables import issued_id, job, job_item

_KINDS = (str(JobKind.SEND), str(JobKind.MOVE))


class SentStudies:
    """The fabricated studies that jobs sent or moved to a server, and their SOP instances.

    Args:
        database: where jobs are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def to(self, server_id: str) -> list[str]:
        """The Study Instance UIDs of what jobs began to send to a server and what was fabricated here, in order."""
        with self._database.read() as connection:
            ours = _fabricated(connection)
            found: dict[str, None] = {}
            for job_id, kind in _jobs_to(connection, server_id):
                query = select(job_item.c.key, job_item.c.label, job_item.c.detail).where(job_item.c.job_id == job_id)
                was_begun = or_(job_item.c.attempts > 0, job_item.c.state == str(ItemState.DONE))
                for key, label, detail in connection.execute(query.where(was_begun).order_by(job_item.c.number)):
                    study = label if kind == JobKind.SEND else _moved(key, detail)
                    if study in ours:
                        found[study] = None
        return list(found)

    def instances(self, study_instance_uid: str) -> frozenset[str]:
        """The SOP Instance UIDs of a study that jobs sent anywhere."""
        query = (
            select(job_item.c.key)
            .select_from(job_item.join(job))
            .where(job.c.kind == str(JobKind.SEND), job_item.c.label == study_instance_uid)
        )
        with self._database.read() as connection:
            return frozenset(connection.execute(query).scalars())


def _fabricated(connection: Connection) -> frozenset[str]:
    return frozenset(connection.execute(select(issued_id.c.value).where(issued_id.c.purpose == "study")).scalars())


def _jobs_to(connection: Connection, server_id: str) -> list[tuple[int, str]]:
    query = select(job.c.id, job.c.kind, job.c.request).where(job.c.kind.in_(_KINDS)).order_by(job.c.id)
    return [(row.id, row.kind) for row in connection.execute(query) if row.request.get("destination") == server_id]


def _moved(key: str, detail: dict[str, Any]) -> str:
    """An item of a move is a study, ``study/series``, or a row whose report names the study."""
    return str(detail.get("report", {}).get("study_instance_uid", key.partition("/")[0]))
