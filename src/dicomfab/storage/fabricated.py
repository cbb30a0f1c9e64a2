"""Which studies were made here, whether they are in the local store still or not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Select, insert, select

from dicomfab.storage.database import Database
from dicomfab.storage.tables import issued_id

#: Beside the purposes of patterns: Study Instance UIDs are identifiers that were given out, too.
_PURPOSE: Final = "study"
_SUBJECT: Final = "patients"
_AT_ONCE: Final = 500  # databases bind a limited number of values in one statement


class FabricatedStudies:
    """The Study Instance UIDs of all studies that were ever begun to be made.

    Args:
        database: where identifiers given out are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def __call__(self, study_instance_uid: str) -> bool:
        """Whether a study was made here."""
        with self._database.read() as connection:
            return connection.execute(_known(study_instance_uid)).first() is not None

    def note(self, study_instance_uid: str) -> None:
        """Remember a study, before anything of it is kept."""
        if self(study_instance_uid):
            return
        with self._database.changing(_SUBJECT) as connection:
            if connection.execute(_known(study_instance_uid)).first() is None:
                connection.execute(insert(issued_id).values(purpose=_PURPOSE, value=study_instance_uid))

    def note_all(self, study_instance_uids: Iterable[str]) -> None:
        """Remember several studies at once, before anything of them is kept."""
        wanted = list(dict.fromkeys(study_instance_uids))
        with self._database.changing(_SUBJECT) as connection:
            for first in range(0, len(wanted), _AT_ONCE):
                some = wanted[first : first + _AT_ONCE]
                known = select(issued_id.c.value).where(issued_id.c.purpose == _PURPOSE, issued_id.c.value.in_(some))
                there = set(connection.execute(known).scalars())
                new = [{"purpose": _PURPOSE, "value": one} for one in some if one not in there]
                if new:
                    connection.execute(insert(issued_id), new)


def _known(study_instance_uid: str) -> Select[tuple[str]]:
    return select(issued_id.c.value).where(issued_id.c.purpose == _PURPOSE, issued_id.c.value == study_instance_uid)
