"""Failed attempts to sign in, counted in the database: a restart forgets none, and all processes share them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select

from dicomfab.storage.account_tables import sign_in_failure
from dicomfab.storage.database import Database


@dataclass(frozen=True, slots=True)
class Limits:
    """How many attempts may fail.

    Args:
        of_name: of one name from one address.
        of_address: from one address.
        window: within this time.
    """

    of_name: int = 5
    of_address: int = 20
    window: timedelta = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that may be made, and counts as failed until it is taken back.

    Args:
        id: number of its row.
        name_hash, address: of which.
    """

    id: int
    name_hash: str
    address: str


class SignInFailures:
    """Failed attempts of one installation.

    Args:
        database: where they are kept.
        now: the moment, with time zone.
        limits: how many may fail.
    """

    def __init__(self, database: Database, *, now: Callable[[], datetime], limits: Limits | None = None) -> None:
        self._database = database
        self._now = now
        self._limits = limits or Limits()

    def begin(self, name_hash: str, address: str) -> Attempt | int:
        """Count an attempt before anything is checked: attempts at the same moment are counted like others.

        Args:
            name_hash: SHA-256 of the name, hexadecimal.
            address: where it comes from.

        Returns:
            The attempt; or the seconds until another one is let in, and nothing was counted.
        """
        now = self._now()
        failed, limits = sign_in_failure.c, self._limits
        from_address = failed.address == address
        with self._database.changing("sign_in") as connection:
            connection.execute(delete(sign_in_failure).where(failed.at <= now - limits.window))
            frees = [
                self._frees_at(connection, and_(from_address, failed.name_hash == name_hash), limits.of_name),
                self._frees_at(connection, from_address, limits.of_address),
            ]
            waits = [(at - now).total_seconds() for at in frees if at is not None]
            if waits:
                return max(1, math.ceil(max(waits)))
            values = {"name_hash": name_hash, "address": address, "at": now}
            query = insert(sign_in_failure).values(values).returning(failed.id)
            made: int = connection.execute(query).scalar_one()
            return Attempt(made, name_hash, address)

    def take_back(self, attempt: Attempt) -> None:
        """The attempt was none: what was given is right as far as it goes, or could not be checked."""
        with self._database.write() as connection:
            connection.execute(delete(sign_in_failure).where(sign_in_failure.c.id == attempt.id))

    def succeed(self, attempt: Attempt) -> None:
        """The attempt succeeded: its name has no failures from its address any more."""
        same = and_(sign_in_failure.c.name_hash == attempt.name_hash, sign_in_failure.c.address == attempt.address)
        with self._database.write() as connection:
            connection.execute(delete(sign_in_failure).where(same))

    def _frees_at(self, connection: Connection, which: ColumnElement[bool], limit: int) -> datetime | None:
        """When fewer than the limit are left, if that is not so now."""
        query = select(sign_in_failure.c.at).where(which).order_by(sign_in_failure.c.at.desc(), sign_in_failure.c.id)
        oldest: Any = connection.execute(query.offset(limit - 1).limit(1)).scalar()
        return None if oldest is None else oldest + self._limits.window
