"""What tests of both databases have in common."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL, select

from dicomfab.storage import tables
from dicomfab.storage.address import PostgresAddress
from dicomfab.storage.database import Database


def raise_number(database: Database) -> int:
    """The simplest change there is; returns the number before it."""
    with database.changing("registry") as connection:
        number = select(tables.revision.c.number).where(tables.revision.c.subject == "registry")
        raised: int = connection.execute(number).scalar_one()
        return raised - 1


def url(place: Path | PostgresAddress) -> URL:
    """How SQLAlchemy opens it without us."""
    if isinstance(place, Path):
        return URL.create("sqlite", database=str(place))
    return URL.create(
        "postgresql+psycopg", username=place.user, host=place.host, port=place.port, database=place.database
    )
