"""Schema changes, one file each under ``versions``; Alembic runs them when a database is opened."""

from __future__ import annotations

from sqlalchemy import Connection, inspect, select
from sqlalchemy import column as sql_column
from sqlalchemy import table as sql_table

HEAD = "0023"
"""The newest revision, kept here so that an up-to-date database opens without loading Alembic."""

_VERSION = sql_table("alembic_version", sql_column("version_num"))


def current(connection: Connection) -> str | None:
    """The revision that a database is at, without loading Alembic; ``None`` if it is new."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(select(_VERSION.c.version_num)).scalar()
    return found
