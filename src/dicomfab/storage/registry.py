"""Servers, routes and connection tests in the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from sqlalchemy import Connection, Row, delete, insert, select, update

from dicomfab.registry.registry import Registry
from dicomfab.registry.server import FIELD_NAMES, ConnectionTest, MoveRoute, PacsServer
from dicomfab.registry.sides import Endpoint, check_sides, remembered
from dicomfab.storage.database import Database
from dicomfab.storage.tables import connection_test, favourite_server, former_production, move_route, pacs_server

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

    def change(
        self,
        compute: Callable[[Registry], Registry],
        note: Note = lambda *_: None,
        *,
        confirm_environment: bool = True,
    ) -> Registry:
        """Read, compute and write back in one transaction, so that edits made at the same time all count.

        Args:
            compute: from the registry as it is to the one to keep; what it raises changes nothing.
            note: given the registry before and after, within the transaction; what it raises changes nothing.
            confirm_environment: yes, a test server may stand where a production server stands or stood.

        Returns:
            The registry as it is now.

        Raises:
            ConfirmationRequired: it would, and that was not confirmed; nothing was changed.
        """
        with self._database.changing(_SUBJECT) as connection:
            before = _load(connection)
            after, former = compute(before), _former(connection)
            if not confirm_environment:
                check_sides(before, after, former)
            _remember(connection, former, remembered(before, after, former))
            _store_servers(connection, before, after)
            _store_routes(connection, before, after)
            note(connection, before, after)
            return after

    def former_production(self) -> dict[Endpoint, str]:
        """Where production servers stood that are entered there no more, each with its name."""
        with self._database.read() as connection:
            return _former(connection)

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

    def favourites(self, actor: str) -> frozenset[str]:
        """Ids of the servers that somebody marked, by his sign-in name."""
        chosen = select(favourite_server.c.server_id).where(favourite_server.c.actor == actor)
        with self._database.read() as connection:
            return frozenset(connection.execute(chosen).scalars())

    def set_favourite(self, actor: str, server_id: str, *, is_on: bool) -> None:
        """Mark a server for somebody, or take the mark away; marking what is gone changes nothing."""
        row = (favourite_server.c.actor == actor) & (favourite_server.c.server_id == server_id)
        with self._database.changing(_SUBJECT) as connection:
            connection.execute(delete(favourite_server).where(row))
            is_there = connection.execute(select(pacs_server.c.id).where(pacs_server.c.id == server_id)).one_or_none()
            if is_on and is_there is not None:
                connection.execute(insert(favourite_server).values(actor=actor, server_id=server_id))


def _load(connection: Connection) -> Registry:
    servers = tuple(_server(row) for row in connection.execute(select(pacs_server)))
    routes = tuple(MoveRoute(**row._mapping) for row in connection.execute(select(move_route)))
    return Registry(servers, routes)


def _former(connection: Connection) -> dict[Endpoint, str]:
    rows = connection.execute(select(former_production))
    return {(row.host, row.port, row.aec): row.name for row in rows}


def _remember(connection: Connection, old: Mapping[Endpoint, str], new: Mapping[Endpoint, str]) -> None:
    table = former_production.c
    for host, port, aec in old.keys() - new.keys():
        gone = (table.host == host) & (table.port == port) & (table.aec == aec)
        connection.execute(delete(former_production).where(gone))
    for end in new.keys() - old.keys():
        connection.execute(insert(former_production).values((*end, new[end])))


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
