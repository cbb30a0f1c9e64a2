"""The PACS servers of the installation: list, change, test, import and export, C-MOVE routes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeAlias

from dicomfab.access.policy import Action, Scope, require, visible
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.errors import InvalidInput, NotFound, PeerError
from dicomfab.registry import seed_json
from dicomfab.registry.fields import Capability
from dicomfab.registry.registry import Registry, free_id, not_found
from dicomfab.registry.seed_json import ImportReport
from dicomfab.registry.server import ConnectionTest, MoveRoute, PacsServer, server_from
from dicomfab.registry.sides import in_place_of_production
from dicomfab.services.recording import Record, nobody
from dicomfab.services.registry_events import noting
from dicomfab.storage.registry import RegistryRepository

if TYPE_CHECKING:
    from dicomfab.dimse.peer import Peer

MAX_PARALLEL_TESTS = 16


class EchoAnswer(Protocol):
    """What is learned from a successful C-ECHO."""

    @property
    def latency_s(self) -> float:
        """Seconds from request to response."""

    @property
    def implementation_class_uid(self) -> str:
        """The peer's, from the association (PS3.7 D.3.3.2)."""

    @property
    def implementation_version(self) -> str:
        """The peer's version name, or empty."""


Echo: TypeAlias = "Callable[[Peer], EchoAnswer]"


@dataclass(frozen=True, slots=True)
class RouteRow:
    """One line of a server's C-MOVE routing.

    Args:
        destination: the other server.
        ae_title: the move AE title, or blank: not supported.
    """

    destination: PacsServer
    ae_title: str


@dataclass(frozen=True, slots=True)
class ServerOverview:
    """One line of the list of servers.

    Args:
        server: the server.
        routes: destination id -> move AE title, for the destinations that the actor may see.
        last_test: none if it was never tested as it is now.
    """

    server: PacsServer
    routes: Mapping[str, str]
    last_test: ConnectionTest | None


@dataclass(frozen=True, slots=True)
class RemovedServer:
    """A server that was removed, with all that is needed to put it back.

    Args:
        server: as it was.
        routes: those from and to it.
        is_favourite: whether whoever removed it had marked it.
    """

    server: PacsServer
    routes: tuple[MoveRoute, ...]
    is_favourite: bool


class PacsService:
    """What may be done with the registry, and by whom.

    A server is seen by those who may VIEW in its environment; everything that changes the registry needs CONFIGURE.

    Args:
        repository: keeps the registry.
        echo: performs one C-ECHO, raising a :class:`PeerError` when it fails.
        record: has every change recorded.
    """

    def __init__(self, repository: RegistryRepository, echo: Echo, record: Record = nobody) -> None:
        self._repository = repository
        self._echo = echo
        self._record = record

    def servers(self, actor: Actor) -> tuple[PacsServer, ...]:
        """The servers that the actor may see, by name."""
        return _visible_servers(actor, self._repository.load())

    def overview(self, actor: Actor) -> tuple[ServerOverview, ...]:
        """The servers that the actor may see, by name, each with its routes and its last test."""
        registry = self._repository.load()
        tests = self._repository.connection_tests()
        seen = _visible_servers(actor, registry)
        ids = {s.id for s in seen}
        return tuple(
            ServerOverview(s, {d: a for d, a in registry.routes_from(s.id).items() if d in ids}, tests.get(s.id))
            for s in seen
        )

    def get(self, actor: Actor, server_id: str) -> PacsServer:
        """The server with exactly this id.

        Raises:
            NotFound: no such server.
            AccessDenied: the actor may not see it.
        """
        return self._seen(actor, self._repository.load(), server_id, Registry.get)

    def resolve(self, actor: Actor, label: str) -> PacsServer:
        """The server that a person means by an id or a name, whatever its case.

        Raises:
            NotFound: with the nearest id or name among the servers that the actor may see.
            AccessDenied: the actor may not see it.
        """
        return self._seen(actor, self._repository.load(), label, Registry.find)

    def default(self, actor: Actor) -> PacsServer | None:
        """The default server, if there is one and the actor may see it."""
        return next((s for s in self.servers(actor) if s.is_default), None)

    def favourites(self, actor: Actor) -> frozenset[str]:
        """Ids of the servers that the actor marked and may see."""
        return self._repository.favourites(actor.name) & {s.id for s in self.servers(actor)}

    def set_favourite(self, actor: Actor, server_id: str, *, is_on: bool) -> PacsServer:
        """Mark a server for the actor alone, or take the mark away.

        Raises:
            NotFound, AccessDenied: as :meth:`get`.
        """
        server = self.get(actor, server_id)
        self._repository.set_favourite(actor.name, server.id, is_on=is_on)
        return server

    def add(self, actor: Actor, fields: Mapping[str, object], *, confirm_environment: bool = False) -> PacsServer:
        """Add a server; without an ``id`` it gets one from its name.

        Args:
            actor: who asks.
            fields: names and values of :class:`PacsServer`; what is absent gets its default.
            confirm_environment: yes, a test server may stand where a production server stood.

        Raises:
            AccessDenied, InvalidInput, Conflict: nothing was added.
            ConfirmationRequired: a production server stood there, and ``confirm_environment`` is not set.
        """
        require(actor, Action.CONFIGURE, Scope.SYSTEM)
        added: list[PacsServer] = []

        def compute(registry: Registry) -> Registry:
            server_id = fields.get("id") or free_id(str(fields.get("name", "")), registry.servers)
            added.append(server_from(fields, server_id=server_id))  # type: ignore[arg-type]
            return registry.add(added[0])

        self._repository.change(compute, noting(self._record, actor), confirm_environment=confirm_environment)
        return added[0]

    def edit(
        self, actor: Actor, server_id: str, changes: Mapping[str, object], *, confirm_environment: bool = False
    ) -> PacsServer:
        """Change fields of a server; what is not named stays.

        Raises:
            AccessDenied, NotFound, InvalidInput, Conflict: nothing was changed.
            ConfirmationRequired: the environment would change, or a test server would stand where a production server
                stood, and ``confirm_environment`` is not set.
        """
        require(actor, Action.CONFIGURE, Scope.SYSTEM)
        after = self._repository.change(
            lambda registry: registry.edit(server_id, changes, confirm_environment=confirm_environment),
            noting(self._record, actor),
            confirm_environment=confirm_environment,
        )
        return after.get(server_id)

    def changing_sides(self, actor: Actor, text: str, *, source: str) -> tuple[PacsServer, ...]:
        """The servers whose sides an import of JSON would change; nothing is changed by asking.

        Those whose environment would change, as they are; and those that would be test servers where production stood,
        as they would be.

        Raises:
            AccessDenied, InvalidInput, Conflict: as :meth:`import_json`.
        """
        require(actor, Action.CONFIGURE, Scope.SYSTEM)
        before = self._repository.load()
        after, _ = seed_json.import_servers(before, text, source=source, confirm_environment=True)
        changing = tuple(s for s in before.servers if after.get(s.id).environment is not s.environment)
        taking = in_place_of_production(before, after, self._repository.former_production())
        ids = {server.id for server in changing}
        return (*changing, *(server for server in taking if server.id not in ids))

    def remove(self, actor: Actor, server_id: str) -> PacsServer:
        """Remove a server with every route from and to it, and return it as it was.

        Raises:
            AccessDenied, NotFound: nothing was removed.
        """
        return self.take_out(actor, server_id).server

    def take_out(self, actor: Actor, server_id: str) -> RemovedServer:
        """The same, with what :meth:`put_back` needs.

        Tests, what monitoring noted of the server, and the marks of others go for good.

        Raises:
            AccessDenied, NotFound: nothing was removed.
        """
        require(actor, Action.CONFIGURE, Scope.SYSTEM)
        is_favourite = server_id in self._repository.favourites(actor.name)
        removed: list[RemovedServer] = []

        def compute(registry: Registry) -> Registry:
            routes = tuple(route for route in registry.routes if server_id in (route.source, route.destination))
            removed.append(RemovedServer(registry.get(server_id), routes, is_favourite))
            return registry.remove(server_id)

        self._repository.change(compute, noting(self._record, actor))
        return removed[-1]

    def put_back(self, actor: Actor, removed: RemovedServer) -> RemovedServer:
        """Add a server that was removed, under the same id and with its routes.

        What others did meanwhile stays: if there is another default server by now, this one is the default no more;
        routes whose other end is gone stay gone.

        Returns:
            What is there again.

        Raises:
            AccessDenied, Conflict: nothing was added: its id or name is taken, or what stands there is of the other
                environment.
            ConfirmationRequired: a production server stood there meanwhile.
        """
        require(actor, Action.CONFIGURE, Scope.SYSTEM)
        back: list[RemovedServer] = []

        def compute(registry: Registry) -> Registry:
            is_default = removed.server.is_default and registry.default is None
            server = replace(removed.server, is_default=is_default)
            added = registry.add(server)
            routes = tuple(one for one in removed.routes if {one.source, one.destination} <= added.ids)
            back.append(replace(removed, server=server, routes=routes))
            return Registry(added.servers, (*added.routes, *routes))

        self._repository.change(compute, noting(self._record, actor), confirm_environment=False)
        if removed.is_favourite:
            self._repository.set_favourite(actor.name, removed.server.id, is_on=True)
        return back[-1]

    def routes(self, actor: Actor, source_id: str) -> tuple[RouteRow, ...]:
        """C-MOVE routing of one server: a row for every other server that the actor may see.

        Raises:
            NotFound: no such server.
            AccessDenied: the actor may not see it.
        """
        registry = self._repository.load()
        source = self._seen(actor, registry, source_id, Registry.get)
        titles = registry.routes_from(source.id)
        others = (s for s in _visible_servers(actor, registry) if s.id != source.id)
        return tuple(RouteRow(s, titles.get(s.id, "")) for s in others)

    def set_routes(self, actor: Actor, source_id: str, ae_titles: Mapping[str, str]) -> tuple[RouteRow, ...]:
        """Change the routes of one server to the destinations named; a blank AE title removes a route.

        Raises:
            AccessDenied, NotFound, InvalidInput: nothing was changed.
        """
        require(actor, Action.CONFIGURE, Scope.SYSTEM)
        self._repository.change(lambda registry: registry.set_routes(source_id, ae_titles), noting(self._record, actor))
        return self.routes(actor, source_id)

    def route(self, actor: Actor, source_id: str, destination_id: str) -> str:
        """The move AE title from one server to another.

        Raises:
            NotFound, AccessDenied: as :meth:`get`, for either server.
            RouteMissing: there is none; it says how to add it.
        """
        registry = self._repository.load()
        for server_id in (source_id, destination_id):
            self._seen(actor, registry, server_id, Registry.get)
        return registry.route(source_id, destination_id)

    def import_json(
        self,
        actor: Actor,
        text: str,
        *,
        source: str,
        into: str | None = None,
        confirm_environment: bool = False,
    ) -> ImportReport:
        """Apply a JSON file as a whole or not at all (see :mod:`dicomfab.registry.seed_json`).

        Raises:
            AccessDenied, InvalidInput, Conflict, ConfirmationRequired, NotFound: nothing was imported.
        """
        require(actor, Action.CONFIGURE, Scope.SYSTEM)
        reports: list[ImportReport] = []

        def compute(registry: Registry) -> Registry:
            after, report = seed_json.import_servers(
                registry, text, source=source, into=into, confirm_environment=confirm_environment
            )
            reports.append(report)
            return after

        self._repository.change(compute, noting(self._record, actor), confirm_environment=confirm_environment)
        return reports[0]

    def export_json(self, actor: Actor, server_id: str | None = None) -> str:
        """One server as one object, or all of them keyed by id.

        Raises:
            AccessDenied: the actor may not configure.
            NotFound: no such server.
        """
        require(actor, Action.CONFIGURE, Scope.SYSTEM)
        registry = self._repository.load()
        what = "registry" if server_id is None else f"registry: {server_id}"
        self._record(AuditEvent.by(actor, EventKind.EXPORT, subject=what))
        return seed_json.export_servers(registry) if server_id is None else seed_json.export_server(registry, server_id)

    def test(self, actor: Actor, server_id: str) -> ConnectionTest:
        """Send one C-ECHO and keep the outcome beside the server, a failure of the peer as well.

        Raises:
            NotFound: no such server.
            AccessDenied: the actor may not ECHO in its environment.
            Conflict: C-ECHO is disabled for this server.
        """
        server = self.get(actor, server_id)
        require(actor, Action.ECHO, server.environment)
        result = self._tested(server)
        self._repository.record_test(server, result)
        return result

    def test_all(self, actor: Actor, server_ids: Iterable[str]) -> tuple[ConnectionTest, ...]:
        """Test several servers at once; the slowest decides how long it takes.

        Raises:
            NotFound, AccessDenied, Conflict: for any of them, before the first is tested.
        """
        servers = [self.get(actor, server_id) for server_id in server_ids]
        for server in servers:
            require(actor, Action.ECHO, server.environment)
            server.calling_ae_title(Capability.ECHO)
        with ThreadPoolExecutor(MAX_PARALLEL_TESTS, thread_name_prefix="echo") as pool:
            return tuple(pool.map(lambda server: self.test(actor, server.id), servers))

    def _tested(self, server: PacsServer) -> ConnectionTest:
        from dicomfab.services.peers import peer_for  # a list of servers needs no upper layer

        called = peer_for(server, Capability.ECHO)
        try:
            answer = self._echo(called)
        except (PeerError, InvalidInput) as error:  # a certificate's file may have gone since it was named
            return ConnectionTest(server.id, False, datetime.now(UTC), None, error.as_dict())
        message = {
            "what": f"{server.name} answered C-ECHO",
            "implementation_class_uid": answer.implementation_class_uid,
            "implementation_version": answer.implementation_version,
        }
        return ConnectionTest(server.id, True, datetime.now(UTC), round(answer.latency_s * 1000, 3), message)

    def _seen(
        self, actor: Actor, registry: Registry, label: str, find: Callable[[Registry, str], PacsServer]
    ) -> PacsServer:
        try:
            server = find(registry, label)
        except NotFound:
            raise not_found(label, _visible_servers(actor, registry)) from None
        require(actor, Action.VIEW, server.environment)
        return server


def _visible_servers(actor: Actor, registry: Registry) -> tuple[PacsServer, ...]:
    environments = visible(actor, Action.VIEW)
    return tuple(s for s in registry.servers if s.environment in environments)
