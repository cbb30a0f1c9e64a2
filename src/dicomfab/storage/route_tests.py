"""The last test of each C-MOVE route in the database."""

from __future__ import annotations

from sqlalchemy import delete, func, insert, select

from dicomfab.registry.route_test import RouteOutcome, RouteTest
from dicomfab.storage.database import Database
from dicomfab.storage.tables import pacs_server, route_test

_SUBJECT = "registry"


class RouteTestRepository:
    """Keeps one test for each pair of servers.

    Args:
        database: where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[tuple[str, str], RouteTest]:
        """The last test of each pair that was ever tested, by the ids of source and destination."""
        with self._database.read() as connection:
            rows = [dict(row._mapping) for row in connection.execute(select(route_test))]
        tests = [RouteTest(**{**row, "outcome": RouteOutcome(row["outcome"])}) for row in rows]
        return {(test.source, test.destination): test for test in tests}

    def record(self, test: RouteTest) -> bool:
        """Keep a test in the place of the one before; false if one of the servers is gone by now."""
        ends = (test.source, test.destination)
        there = select(func.count()).select_from(pacs_server).where(pacs_server.c.id.in_(ends))
        of_it = (route_test.c.source == test.source) & (route_test.c.destination == test.destination)
        with self._database.changing(_SUBJECT) as connection:
            if connection.execute(there).scalar_one() != len(ends):
                return False
            connection.execute(delete(route_test).where(of_it))
            connection.execute(
                insert(route_test).values(
                    source=test.source,
                    destination=test.destination,
                    outcome=str(test.outcome),
                    tested_at=test.tested_at,
                    message=dict(test.message),
                    tested=dict(test.tested),
                )
            )
            return True
