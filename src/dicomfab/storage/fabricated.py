"""Which studies the ledger knows as made here."""

from __future__ import annotations

from sqlalchemy import select

from dicomfab.model.job import ItemState, JobKind
from dicomfab.storage.database import Database
from dicomfab.storage.tables import job, job_item


class FabricatedStudies:
    """Studies that fabricate jobs made, whether they are in the local store still or not.

    Args:
        database: of the ledger.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def __call__(self, study_instance_uid: str) -> bool:
        """Whether a fabricate job made a study. Jobs that were deleted from the ledger are not known any more."""
        query = (
            select(job_item.c.job_id)
            .join(job, job.c.id == job_item.c.job_id)
            .where(
                job.c.kind == str(JobKind.FABRICATE),
                job_item.c.key == study_instance_uid,
                job_item.c.state == str(ItemState.DONE),
            )
            .limit(1)
        )
        with self._database.read() as connection:
            return connection.execute(query).first() is not None
