"""How the last sign-ins by directories went, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import delete, func, insert, select

from dicomfab.model.person import Step
from dicomfab.storage.account_tables import sign_in_trace
from dicomfab.storage.database import Database

KEPT: Final = 100


@dataclass(frozen=True, slots=True)
class SignInTrace:
    """One sign-in.

    Args:
        at: when, with time zone.
        source: by which directory or provider.
        name: as typed, or as the provider says; blank if that was not reached.
        came: ``signed_in``, or why not, in a word.
        steps: in order.
    """

    at: datetime
    source: str
    name: str
    came: str
    steps: tuple[Step, ...]


class SignInTraces:
    """The newest of one installation.

    Args:
        database: where they are kept.
        now: the moment, with time zone.
    """

    def __init__(self, database: Database, *, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def add(self, source: str, name: str, came: str, steps: Sequence[Step]) -> None:
        """Keep one; the oldest are forgotten."""
        values = {"at": self._now(), "source": source, "name": name[:200], "came": came[:32]}
        with self._database.write(synced=False) as connection:
            connection.execute(insert(sign_in_trace).values(**values, steps=[asdict(step) for step in steps]))
            newest = select(func.max(sign_in_trace.c.id)).scalar_subquery()
            connection.execute(delete(sign_in_trace).where(sign_in_trace.c.id <= newest - KEPT))

    def newest(self, limit: int = KEPT) -> list[SignInTrace]:
        """The newest first."""
        query = select(sign_in_trace).order_by(sign_in_trace.c.id.desc()).limit(limit)
        with self._database.read() as connection:
            return [
                SignInTrace(row.at, row.source, row.name, row.came, tuple(Step(**step) for step in row.steps))
                for row in connection.execute(query)
            ]
