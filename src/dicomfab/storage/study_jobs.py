"""Which jobs are, or were, about a study."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, Text, and_, cast, exists, or_, select

from dicomfab.model.job import JobKind
from dicomfab.storage.database import Database
from dicomfab.storage.job_rows import job_of
from dicomfab.storage.jobs import JobPage
from dicomfab.storage.tables import job, job_item

#: Kinds whose items may name a study otherwise than by their key.
_TRANSFERS: Final = (str(JobKind.SEND), str(JobKind.MOVE), str(JobKind.GET))


class StudyJobRepository:
    """The ledger, asked from the side of a study.

    Args:
        database: where jobs are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, study: str, environments: frozenset[str], *, limit: int, offset: int = 0) -> JobPage:
        """Jobs about a study, the newest first.

        Args:
            study: Study Instance UID.
            environments: of the jobs; others are left out.
            limit: how many of them at most.
            offset: how many to pass over.
        """
        ids = select(job.c.id).where(job.c.environment.in_(environments), _about(study)).order_by(job.c.id.desc())
        with self._database.read() as connection:
            numbers = connection.execute(ids).scalars().all()
            shown = select(job).where(job.c.id.in_(numbers[offset : offset + limit])).order_by(job.c.id.desc())
            return JobPage(tuple(job_of(row) for row in connection.execute(shown)), len(numbers))


def _about(study: str) -> ColumnElement[bool]:
    """A study is the key of an item, or stands in the report; until there is one, it is looked for in labels."""
    report = cast(job.c.report, Text)
    of_job = job_item.c.job_id == job.c.id
    labels = or_(job_item.c.label == study, job_item.c.label.startswith(f"{study}/", autoescape=True))
    return or_(
        exists().where(of_job, job_item.c.key == study),
        report.contains(f'"{study}"', autoescape=True),
        and_(job.c.kind.in_(_TRANSFERS), ~report.contains('"studies"'), exists().where(of_job, labels)),
    )
