"""Servers, routes and connection tests in the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from sqlalchemy import Connection, Row, delete, insert, select, update

from dicomfab.registry.registry import Registry
from dicomfab.registry.server import FIELD_NAMES, ConnectionTest, MoveRoute, PacsServer
from dicomfab.storage.database import Database
from dicomfab.storage.tables import connection_test, move_route, pacs_server

_SUBJECT = "registry"
Note: TypeAlias = Callable[[Connection, Registry, Registry], None]


class RegistryRepository:
    """Loads and changes the registry.

    Args:
        database: where it is kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self) -> Registry:
        """The registry as it is."""
        with self._database.read() as connection:
            return _load(connection)

    def change(self, compute: Callable[[Registry], Registry], note: Note = lambda *_: None) -> Registry:
        """Read, compute and write back in one transaction, so that edits made at the same time all count.

        Args:
            compute: from the registry as it is to the one to keep; what it raises changes nothing.
            note: given the registry before and after, within the transaction; what it raises changes nothing.

        Returns:
            The registry as it is now.
        """
        with self._database.changing(_SUBJECT) as connection:
            before = _load(connection)
            after = compute(before)
            _store_servers(connection, before, after)
            _store_routes(connection, before, after)
            note(connection, before, after)
            return after

    def connection_tests(self) -> dict[str, ConnectionTest]:
        """The last connection test of each server that was ever tested, by its id."""
        with self._database.read() as connection:
            rows = connection.execute(select(connection_test)).all()
        return {row.server_id: ConnectionTest(**row._mapping) for row in rows}

    def record_test(self, tested: PacsServer, result: ConnectionTest) -> bool:
        """Keep a test's result, in the place of the one before.

        Args:
            tested: the server as it was when the test began.
            result: the outcome.

        Returns:
            False if nothing was kept, because the server is gone or is reached by another way by now.
        """
        with self._database.changing(_SUBJECT) as connection:
            found = connection.execute(select(pacs_server).where(pacs_server.c.id == tested.id)).one_or_none()
            if found is None or _way(_server(found)) != _way(tested):
                return False
            connection.execute(delete(connection_test).where(connection_test.c.server_id == tested.id))
            connection.execute(
                insert(connection_test).values(
                    server_id=result.server_id,
                    ok=result.ok,
                    tested_at=result.tested_at,
                    latency_ms=result.latency_ms,
                    message=dict(result.message),
                )
            )
            return True


def _load(connection: Connection) -> Registry:
    servers = tuple(_server(row) for row in connection.execute(select(pacs_server)))
    routes = tuple(MoveRoute(**row._mapping) for row in connection.execute(select(move_route)))
    return Registry(servers, routes)


def _server(row: Row[Any]) -> PacsServer:
    return PacsServer(**row._mapping)


def _way(server: PacsServer) -> tuple[object, ...]:
    """What a connection test depends on; when it changes, the old result says nothing any more."""
    way = ("host", "port", "aec", "aet_echo", *(name for name in FIELD_NAMES if name.startswith("tls")))
    return tuple(getattr(server, name) for name in way)


def _store_servers(connection: Connection, before: Registry, after: Registry) -> None:
    old = {s.id: s for s in before.servers}
    new = {s.id: s for s in after.servers}
    for server_id in old.keys() - new.keys():
        connection.execute(delete(pacs_server).where(pacs_server.c.id == server_id))
    for server_id, server in new.items():
        if server_id not in old:
            connection.execute(insert(pacs_server).values(server.as_dict()))
        elif server != old[server_id]:
            connection.execute(update(pacs_server).where(pacs_server.c.id == server_id).values(server.as_dict()))
            if _way(server) != _way(old[server_id]):
                connection.execute(delete(connection_test).where(connection_test.c.server_id == server_id))


def _store_routes(connection: Connection, before: Registry, after: Registry) -> None:
    old, new = set(before.routes), set(after.routes)
    for route in old - new:
        ends = (move_route.c.source == route.source) & (move_route.c.destination == route.destination)
        connection.execute(delete(move_route).where(ends))
    for route in new - old:
        connection.execute(
            insert(move_route).values(source=route.source, destination=route.destination, ae_title=route.ae_title)
        )
