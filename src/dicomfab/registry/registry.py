"""All servers and routes together: an immutable value whose invariants always hold."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dicomfab.model.errors import Conflict, InvalidInput, NotFound, RouteMissing
from dicomfab.model.values import slug
from dicomfab.registry.fields import MOVE_ROUTING, suggestion
from dicomfab.registry.server import MoveRoute, PacsServer, changed, label_key


@dataclass(frozen=True, slots=True)
class Registry:
    """Servers by id and the C-MOVE routes between them; every operation gives a new registry.

    Always true: ids and names are unique whatever their case, no name is another server's id; one host, port and
    AE title stands in one environment only; routes join two different known servers; at most one default.

    Args:
        servers: in any order; kept sorted by name.
        routes: in any order; kept sorted by source and destination.

    Raises:
        Conflict: two servers that cannot both be.
        InvalidInput: a route from or to nowhere.
    """

    servers: tuple[PacsServer, ...] = ()
    routes: tuple[MoveRoute, ...] = ()

    def __post_init__(self) -> None:
        by_name = sorted(self.servers, key=lambda s: (label_key(s.name), s.id))
        by_ends = sorted(self.routes, key=lambda r: (r.source, r.destination))
        object.__setattr__(self, "servers", tuple(by_name))
        object.__setattr__(self, "routes", tuple(by_ends))
        _check_labels(self.servers)
        _check_environments(self.servers)
        _check_default(self.servers)
        _check_routes(self)

    @property
    def ids(self) -> frozenset[str]:
        """The ids of all servers."""
        return frozenset(s.id for s in self.servers)

    def get(self, server_id: str) -> PacsServer:
        """The server with exactly this id.

        Raises:
            NotFound: with the nearest id.
        """
        for server in self.servers:
            if server.id == server_id:
                return server
        raise not_found(server_id, self.servers)

    def find(self, label: str) -> PacsServer:
        """The server whose id or name this is, whatever its case.

        Raises:
            NotFound: with the nearest id or name.
        """
        key = label_key(label.strip())
        for server in self.servers:
            if key in {label_key(server.id), label_key(server.name)}:
                return server
        raise not_found(label, self.servers)

    @property
    def default(self) -> PacsServer | None:
        """The server to use when none is named."""
        return next((s for s in self.servers if s.is_default), None)

    def add(self, server: PacsServer) -> Registry:
        """With one more server; if it is the default, the old default no longer is.

        Raises:
            Conflict: its id, name or endpoint is taken.
        """
        others = self._without_default() if server.is_default else self.servers
        return Registry((*others, server), self.routes)

    def edit(self, server_id: str, changes: Mapping[str, object], *, confirm_environment: bool = False) -> Registry:
        """With fields of one server changed; what is not named stays.

        Args:
            server_id: which server.
            changes: field name -> new value.
            confirm_environment: yes, the environment may change: other people will have access from now on.

        Raises:
            NotFound: no such server.
            InvalidInput: an unknown field, a value that cannot be used, or the id, which never changes.
            ConfirmationRequired: the environment would change and this was not confirmed.
            Conflict: the new name or endpoint is taken.
        """
        old = self.get(server_id)
        new = changed(old, changes, confirm_environment=confirm_environment)
        others = self._without_default() if new.is_default else self.servers
        return Registry((*(s for s in others if s.id != old.id), new), self.routes)

    def remove(self, server_id: str) -> Registry:
        """Without a server and without every route from or to it.

        Raises:
            NotFound: no such server.
        """
        self.get(server_id)
        return Registry(
            tuple(s for s in self.servers if s.id != server_id),
            tuple(r for r in self.routes if server_id not in (r.source, r.destination)),
        )

    def routes_from(self, source: str) -> dict[str, str]:
        """Destination id -> move AE title, for one source."""
        return {r.destination: r.ae_title for r in self.routes if r.source == source}

    def set_routes(self, source: str, ae_titles: Mapping[str, str]) -> Registry:
        """With the routes of one source changed for the destinations named; blank removes a route.

        Args:
            source: id of the server that moves.
            ae_titles: destination id -> move AE title as the source knows it, or blank.

        Raises:
            NotFound: no such source.
            InvalidInput: an unknown destination, the source itself, or an AE title that cannot be used.
        """
        self.get(source)
        wanted = self.routes_from(source)
        for destination, ae_title in ae_titles.items():
            if isinstance(ae_title, str) and not ae_title.strip(" "):
                _check_ends(self.ids, source, destination, ae_title)
                wanted.pop(destination, None)
            else:
                wanted[destination] = ae_title
        others = tuple(r for r in self.routes if r.source != source)
        return Registry(self.servers, others + tuple(MoveRoute(source, d, a) for d, a in wanted.items()))

    def route(self, source: str, destination: str) -> str:
        """The move AE title from one server to another (PS3.4 C.4.2.1, Move Destination).

        Raises:
            NotFound: one of them is no server.
            RouteMissing: there is no route; nothing was sent.
        """
        start, end = self.get(source), self.get(destination)
        ae_title = self.routes_from(source).get(destination)
        if ae_title is None:
            raise RouteMissing(
                f"no C-MOVE route from {start.name} ({start.id}) to {end.name} ({end.id}); nothing was sent",
                cause=f"nobody has said yet under which AE title {start.name} knows {end.name}",
                remedy=f"ask the administrator of {start.name} for that AE title, then: "
                f"dicomfab pacs route {start.id} {end.id} --ae TITLE, "
                f'or "Edit C-MOVE Routing" of {start.name} on the PACS Management page',
            )
        return ae_title

    def _without_default(self) -> tuple[PacsServer, ...]:
        return tuple(dataclasses.replace(s, is_default=False) if s.is_default else s for s in self.servers)


def free_id(name: str, servers: Iterable[PacsServer]) -> str:
    """An id for a new server: the slug of its name, numbered when taken, ``pacs`` when the slug is empty."""
    base = slug(name)[:58].strip("-") or "pacs"
    taken = {label_key(label) for s in servers for label in (s.id, s.name)}
    candidates = (base if number == 1 else f"{base}-{number}" for number in itertools.count(1))
    return next(c for c in candidates if c not in taken)


def not_found(label: str, candidates: tuple[PacsServer, ...]) -> NotFound:
    """The error for a server that is not among the candidates, with the nearest id or name."""
    names = [label for s in candidates for label in (s.id, s.name)]
    if not names:
        return NotFound(
            f"no PACS server {label!r}: there is none at all",
            cause="the registry is empty, or holds none that you may see",
            remedy="add the test servers: dicomfab lab configure; or one of your own: dicomfab pacs add --help",
        )
    return NotFound(
        f"no PACS server {label!r}",
        cause=suggestion(label, names) or "it was never added, was removed, or has another name",
        remedy="dicomfab pacs list shows the servers",
    )


def _check_labels(servers: tuple[PacsServer, ...]) -> None:
    owners: dict[str, tuple[str, PacsServer]] = {}
    for server in servers:
        for kind, label in (("id", server.id), ("name", server.name)):
            owned_as, owner = owners.setdefault(label_key(label), (kind, server))
            if owner is not server:
                raise Conflict(
                    f"{kind}: {label!r} of {server.id} is already the {owned_as} of {owner.id} ({owner.name})",
                    cause="ids and names must each point to one server, whatever their case",
                    remedy=f"choose another {kind}, or change {owner.id} instead",
                )


def _check_environments(servers: tuple[PacsServer, ...]) -> None:
    by_dimse = {server: server.endpoint for server in servers}
    by_web = {server: server.web_endpoint for server in servers if server.web_endpoint}
    for ends, named in ((by_dimse, "host, port and AE title (aec)"), (by_web, "DICOMweb address (dicomweb_root)")):
        seen: dict[tuple[str, int, str], PacsServer] = {}
        for server, end in ends.items():
            other = seen.setdefault(end, server)
            if other.environment is not server.environment:
                place = server.dicomweb_root if ends is by_web else f"{server.aec} at {server.address}"
                raise Conflict(
                    f"environment: {server.id} is '{server.environment}' and {other.id} is '{other.environment}', "
                    f"but both are {place}",
                    cause=f"the same {named} cannot be test and prod at once",
                    remedy="correct it, or the environment of one of them",
                )


def _check_default(servers: tuple[PacsServer, ...]) -> None:
    defaults = [s.id for s in servers if s.is_default]
    if len(defaults) > 1:
        raise Conflict(
            f"is_default: true for {' and '.join(defaults)}",
            cause="at most one server is the default",
            remedy="set is_default to true for one of them only",
        )


def _check_routes(registry: Registry) -> None:
    seen = set()
    for route in registry.routes:
        _check_ends(registry.ids, route.source, route.destination, route.ae_title)
        ends = (route.source, route.destination)
        if ends in seen:
            raise Conflict(f"{MOVE_ROUTING}: two routes from {ends[0]} to {ends[1]}", remedy="keep one of them")
        seen.add(ends)


def _check_ends(ids: frozenset[str], source: str, destination: str, ae_title: object) -> None:
    for end in (source, destination):
        if end not in ids:
            raise InvalidInput(
                f"{MOVE_ROUTING}.{end}: {source!r} has a route to {destination!r} (move AE title {ae_title!r}), "
                f"but there is no server with the id {end!r}",
                field=f"{MOVE_ROUTING}.{end}",
                value=ae_title,
                cause=suggestion(end, ids) or "the server was never added, or has another id",
                remedy="add the server first, or correct the id (dicomfab pacs list)",
            )
    if source == destination:
        raise InvalidInput(
            f"{MOVE_ROUTING}.{source}: a server cannot move to itself (move AE title {ae_title!r})",
            field=f"{MOVE_ROUTING}.{source}",
            value=ae_title,
            cause="source and destination are the same server",
            remedy="choose another destination",
        )


@dataclass(frozen=True, slots=True)
class ServerChange:
    """What became of one server.

    Args:
        id: which server.
        fields: field name -> (value before, value after); routes as ``move_routing.DESTINATION``.
    """

    id: str
    fields: Mapping[str, tuple[object, object]]


@dataclass(frozen=True, slots=True)
class RegistryDiff:
    """What two registries do not have in common, by server."""

    added: tuple[str, ...]
    changed: tuple[ServerChange, ...]
    removed: tuple[str, ...]


def diff(before: Registry, after: Registry) -> RegistryDiff:
    """Compare two registries; a route counts as part of its source."""
    old = {s.id: _described(before, s) for s in before.servers}
    new = {s.id: _described(after, s) for s in after.servers}
    changed = []
    for server_id in sorted(old.keys() & new.keys()):
        names = sorted(old[server_id].keys() | new[server_id].keys())
        pairs = {n: (old[server_id].get(n, ""), new[server_id].get(n, "")) for n in names}
        different = {n: pair for n, pair in pairs.items() if pair[0] != pair[1]}
        if different:
            changed.append(ServerChange(server_id, different))
    return RegistryDiff(tuple(sorted(new.keys() - old.keys())), tuple(changed), tuple(sorted(old.keys() - new.keys())))


def _described(registry: Registry, server: PacsServer) -> dict[str, object]:
    routes = {f"{MOVE_ROUTING}.{d}": a for d, a in registry.routes_from(server.id).items()}
    return {**server.as_dict(), **routes}
