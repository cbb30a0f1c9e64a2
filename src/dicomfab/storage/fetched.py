"""Which studies were fetched only to be looked at, and when somebody did so last."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, insert, select, update

from dicomfab.storage.database import Database
from dicomfab.storage.tables import fetched_study

_SUBJECT = "fetched"


class FetchedStudies:
    """The Study Instance UIDs of what was fetched to be looked at.

    Args:
        database: where they are noted.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, study_instance_uid: str, moment: datetime) -> None:
        """A study is about to be fetched, or fetched again."""
        with self._database.changing(_SUBJECT) as connection:
            known = update(fetched_study).where(fetched_study.c.study_instance_uid == study_instance_uid)
            if not connection.execute(known.values(viewed_at=moment)).rowcount:
                connection.execute(
                    insert(fetched_study).values(study_instance_uid=study_instance_uid, viewed_at=moment)
                )

    def viewed(self, study_instance_uid: str, moment: datetime) -> None:
        """Somebody looks at a study; nothing happens if it was not fetched for that."""
        if study_instance_uid not in self.least_recent_first():
            return
        with self._database.changing(_SUBJECT) as connection:
            known = update(fetched_study).where(fetched_study.c.study_instance_uid == study_instance_uid)
            connection.execute(known.values(viewed_at=moment))

    def forget(self, study_instance_uid: str) -> None:
        """It is gone, or here to stay."""
        if study_instance_uid not in self.least_recent_first():
            return
        with self._database.changing(_SUBJECT) as connection:
            connection.execute(delete(fetched_study).where(fetched_study.c.study_instance_uid == study_instance_uid))

    def before(self, moment: datetime) -> list[str]:
        """Those that nobody has looked at since."""
        with self._database.read() as connection:
            query = select(fetched_study.c.study_instance_uid).where(fetched_study.c.viewed_at < moment)
            return list(connection.execute(query).scalars())

    def least_recent_first(self) -> list[str]:
        """All of them; the one that nobody has looked at for the longest time first."""
        with self._database.read() as connection:
            ordered = select(fetched_study.c.study_instance_uid).order_by(fetched_study.c.viewed_at)
            return list(connection.execute(ordered).scalars())
