"""Servers and routes as JSON: one object, objects keyed by id, or a list of objects.

What a file names is put in place; what it does not name stays as it is:

- a server whose id is known (or, without an id, whose name is known) is changed in the fields given;
- any other server is added, absent ``aet_*`` fields being ``DICOMFAB`` and an absent id made from the name;
- ``move_routing`` changes the routes to the destinations it lists; a blank AE title removes a route;
- with ``into`` one object is a fragment: fields of one server that is there already.

A file is taken as a whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from dicomfab.model.errors import Conflict, DicomFabError, InvalidInput
from dicomfab.registry.fields import MOVE_ROUTING
from dicomfab.registry.registry import Registry, RegistryDiff, ServerChange, diff, free_id
from dicomfab.registry.server import PacsServer, changed, label_key, server_from


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did, by server id.

    Args:
        added: servers that are new.
        changed: servers that are different now, also those that only ceased to be the default.
        unchanged: servers that the file names and that were like that already.
    """

    added: tuple[str, ...]
    changed: tuple[ServerChange, ...]
    unchanged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One object of the file.

    Args:
        where: file and key, for messages.
        id: as given, or none.
        fields: everything but id and routes.
        routes: destination id -> AE title or blank.
    """

    where: str
    id: str | None
    fields: dict[str, Any]
    routes: dict[str, Any]


def import_servers(
    registry: Registry, text: str, *, source: str, into: str | None = None, confirm_environment: bool = False
) -> tuple[Registry, ImportReport]:
    """Apply a file to a registry.

    Args:
        registry: as it is.
        text: the file's content.
        source: the file's name, for messages.
        into: id of a server that is there; the file is then a fragment of that server.
        confirm_environment: yes, servers that are there may change their environment.

    Returns:
        The new registry and what is different in it.

    Raises:
        InvalidInput, Conflict, ConfirmationRequired, NotFound: naming the file, the key and the value.
    """
    entries = _entries(_decode(text, source), source)
    if into is not None:
        registry.get(into)
        entries = [_fragment(entries, into, source)]
    servers: dict[str, PacsServer] = {s.id: s for s in registry.servers}
    named: dict[str, _Entry] = {}
    for entry in entries:
        with _located(entry.where):
            server = _placed(entry, servers, confirm_environment)
            if server.id in named:
                raise Conflict(
                    f"id: {server.id!r} is also that of {named[server.id].where}",
                    cause="two objects of the file are one and the same server",
                    remedy="keep one of them",
                )
            named[server.id] = entry
            servers[server.id] = server
    with _located(source):
        after = Registry(_one_default(servers, named), registry.routes)
    for server_id, entry in named.items():
        with _located(entry.where):
            after = after.set_routes(server_id, entry.routes)
    return after, _report(diff(registry, after), named)


def _placed(entry: _Entry, servers: Mapping[str, PacsServer], confirm_environment: bool) -> PacsServer:
    """The server that an entry makes, from the one that is there or from nothing."""
    old = servers.get(entry.id) if entry.id is not None else _by_name(entry.fields.get("name"), servers.values())
    if old is not None:
        return changed(old, entry.fields, confirm_environment=confirm_environment)
    name = entry.fields.get("name")
    new_id = entry.id if entry.id is not None else free_id(name if isinstance(name, str) else "", servers.values())
    return server_from(entry.fields, server_id=new_id)


def _by_name(name: object, servers: Iterable[PacsServer]) -> PacsServer | None:
    if not isinstance(name, str):
        return None
    return next((s for s in servers if label_key(s.name) == label_key(name.strip())), None)


def _one_default(servers: Mapping[str, PacsServer], named: Mapping[str, _Entry]) -> tuple[PacsServer, ...]:
    """Where the file chooses a default, whatever else was the default no longer is."""
    chosen = {i for i, entry in named.items() if entry.fields.get("is_default")}
    if not chosen:
        return tuple(servers.values())
    return tuple(replace(s, is_default=s.id in chosen) for s in servers.values())


def _report(difference: RegistryDiff, named: Iterable[str]) -> ImportReport:
    touched = {*difference.added, *(c.id for c in difference.changed)}
    return ImportReport(difference.added, difference.changed, tuple(sorted(set(named) - touched)))


def export_servers(registry: Registry, ids: Iterable[str] | None = None) -> str:
    """Servers keyed by id, each with its routes; all of them when no ids are given.

    Raises:
        NotFound: no server with such an id.
    """
    chosen = registry.servers if ids is None else [registry.get(i) for i in ids]
    return _encode({s.id: _object(registry, s) for s in chosen})


def export_server(registry: Registry, server_id: str) -> str:
    """One server as one object, its id inside.

    Raises:
        NotFound: no server with this id.
    """
    return _encode({"id": server_id, **_object(registry, registry.get(server_id))})


def _object(registry: Registry, server: PacsServer) -> dict[str, Any]:
    plain = server.as_dict()
    del plain["id"]
    return {**plain, MOVE_ROUTING: registry.routes_from(server.id)}


def _encode(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _decode(text: str, source: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise InvalidInput(
                    f"{source}: {key}: stands twice in one object (the second value is {value!r})",
                    field=key,
                    value=value,
                    source=source,
                    cause="JSON has one value for each key; which of the two is meant cannot be known",
                    remedy=f"remove one {key}",
                )
            found[key] = value
        return found

    try:
        return json.loads(text.removeprefix("\ufeff"), object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        what, cause = f"line {error.lineno}, column {error.colno}: {error.msg}", "the file is not valid JSON"
    except ValueError as error:
        what, cause = str(error), "the file holds a number too long to be read"
    except RecursionError:
        what, cause = "objects nested too deeply", "the file is not a list of servers"
    raise InvalidInput(
        f"{source}: {what}",
        field="(file)",
        source=source,
        cause=cause,
        remedy="compare it with what `dicomfab pacs export` writes",
    )


def _entries(document: Any, source: str) -> list[_Entry]:
    """Tell the three shapes apart: objects keyed by id, a list, or one object."""
    if isinstance(document, list):
        found = [_entry(value, f"{source}: entry {n}", source) for n, value in enumerate(document, 1)]
    elif _is_keyed_by_id(document):
        found = [_keyed_entry(key, value, source) for key, value in document.items()]
    else:
        found = [_entry(document, source, source)]
    if not found:
        raise InvalidInput(
            f"{source}: holds no server",
            field="(file)",
            source=source,
            cause="the list is empty",
            remedy="give at least one server; nothing is removed by an import",
        )
    return found


def _is_keyed_by_id(document: Any) -> bool:
    """Every value is an object; the one field that is itself an object can be no id."""
    return (
        isinstance(document, dict)
        and bool(document)
        and document.keys() != {MOVE_ROUTING}
        and all(isinstance(value, dict) for value in document.values())
    )


def _keyed_entry(key: str, value: dict[str, Any], source: str) -> _Entry:
    entry = _entry(value, f"{source}: {key}", source)
    if entry.id not in (None, key):
        raise InvalidInput(
            f"{source}: {key}: id: {entry.id!r} is not the key {key!r} that the object stands under",
            field="id",
            value=entry.id,
            source=source,
            cause="the id is given twice and differently",
            remedy="leave one of them out",
        )
    return replace(entry, id=key)


def _entry(value: Any, where: str, source: str) -> _Entry:
    if not isinstance(value, dict) or not value:
        raise InvalidInput(
            f"{where}: {value!r} is not an object with the settings of a server",
            field=where,
            value=value,
            source=source,
            cause='a server is written as {"name": ..., "host": ..., "port": ..., "aec": ..., "environment": ...}',
            remedy="compare it with what `dicomfab pacs export` writes",
        )
    given = dict(value)
    routes = given.pop(MOVE_ROUTING, {})
    server_id = given.pop("id", None)
    if not isinstance(routes, dict):
        raise InvalidInput(
            f"{where}: {MOVE_ROUTING}: {routes!r} is not an object of destination ids and AE titles",
            field=MOVE_ROUTING,
            value=routes,
            source=source,
            remedy='write for example {"pacs-2-id": "MOVE_TO_PACS2"}',
        )
    if "id" in value and not isinstance(server_id, str):
        raise InvalidInput(
            f"{where}: id: {server_id!r} is not a text",
            field="id",
            value=server_id,
            source=source,
            remedy="leave the id out to have one made from the name",
        )
    return _Entry(where, server_id, given, routes)


def _fragment(entries: Sequence[_Entry], into: str, source: str) -> _Entry:
    if len(entries) != 1 or entries[0].id not in (None, into):
        raise InvalidInput(
            f"{source}: is not a fragment of {into!r}",
            field="id",
            value=", ".join(str(e.id) for e in entries),
            source=source,
            cause="what goes into one server is one object, with that server's id or none",
            remedy="import the file without --into, or give one object",
        )
    return replace(entries[0], id=into)


@contextmanager
def _located(where: str) -> Iterator[None]:
    """Say in which file and under which key an error arose."""
    try:
        yield
    except DicomFabError as error:
        error.what = f"{where}: {error.what}"
        error.args = (error.what,)
        if isinstance(error, InvalidInput):
            error.source = where
        raise
