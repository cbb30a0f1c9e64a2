"""The predecessor's ``pacs_config.json``: id -> a server with its C-MOVE routes.

A server that is here already is never changed, and neither is a route. What two entries contradict each other about is
taken from neither.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from dicomfab.model.errors import Conflict, InvalidInput
from dicomfab.registry import fields
from dicomfab.registry.fields import MOVE_ROUTING
from dicomfab.registry.registry import Registry, free_id
from dicomfab.registry.server import PacsServer, label_key, server_from
from dicomfab.services.legacy.findings import Finding, Kind, Verdict, clipped, reason, several
from dicomfab.services.legacy.routes import Place, plan_routes

_TITLES: Final = ("aet_find", "aet_store", "aet_echo")
_TAKEN: Final = ("name", "description", "host", "port", "aec", "environment", *_TITLES, "is_default", "is_active")
#: The state of the predecessor's own tests, and what is read elsewhere.
_KNOWN: Final = frozenset(
    {*_TAKEN, "id", "aet", MOVE_ROUTING, "created_date", "modified_date", "last_tested", "test_status", "test_message"}
)
#: As long as any value may be; longer digits would take time to read as a number.
_LONGEST: Final = 2000


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """What becomes of the servers and routes of a file.

    Args:
        findings: one for each.
        to_import: id -> fields and routes, as an import of servers takes them.
    """

    findings: tuple[Finding, ...]
    to_import: Mapping[str, Mapping[str, Any]]


@dataclass(slots=True)
class _Entry:
    """A server of the file, and what has become of it.

    Args:
        key: it stands under.
        given: fields to take.
        routes: as they stand there.
        server: what it is here, or would be.
        verdict: what becomes of it, once that is known.
        says: why.
        notes: what is otherwise here.
        inner: the id that it has in itself; blank if none.
        is_default: whether it is the default there.
    """

    key: str
    given: dict[str, Any]
    routes: object
    server: PacsServer
    verdict: Verdict = Verdict.ADD
    says: str = ""
    notes: list[str] = field(default_factory=list)
    inner: str = ""
    is_default: bool = False

    def end(self, verdict: Verdict, says: str) -> None:
        self.verdict, self.says = verdict, says


def plan_servers(
    document: Mapping[str, Any], file: str, here: Registry, *, barred: Mapping[str, str] | None = None
) -> ServerPlan:
    """Judge the servers of a file, and the routes between them.

    Args:
        document: the file.
        file: what findings call it.
        here: the servers and routes that there are.
        barred: id here -> why it may not be added.
    """
    findings: dict[str, Finding] = {}
    entries: list[_Entry] = []
    unread: list[Place] = []
    for key, value in document.items():
        try:
            entries.append(_read(key, value))
        except InvalidInput as error:
            name = _name(key, value)
            findings[key] = Finding(file, name, Kind.SERVER, Verdict.REFUSED, reason(error.what))
            routes = value.get(MOVE_ROUTING) if isinstance(value, dict) else None
            unread.append(Place(frozenset({key}), name, key, Verdict.REFUSED, routes))
    _contradicting(entries)
    registry = here
    # Ids that stay as they are come first, so that none that is made takes one of them.
    for entry in sorted(entries, key=lambda one: not _is_id(one.key)):
        if entry.verdict is Verdict.ADD:
            registry = _placed(entry, registry, here, barred or {})
    findings |= {entry.key: _finding(entry, file) for entry in entries}
    told, new = plan_routes([*unread, *_places(entries, document)], file, registry)
    added = {one.server.id: _fields(registry.get(one.server.id)) for one in entries if one.verdict is Verdict.ADD}
    to_import = {i: {**added.get(i, {}), MOVE_ROUTING: new.get(i, {})} for i in (*added, *new)}
    return ServerPlan((*(findings[key] for key in document), *told), to_import)


def _places(entries: Iterable[_Entry], document: Mapping[str, Any]) -> Iterator[Place]:
    """The servers as ends of routes, which may call them by the id that they have in themselves."""
    ambiguous = several(one.inner for one in entries)
    for one in entries:
        inner = {one.inner} - ambiguous - document.keys() - {""}
        name = clipped(one.server.name)
        yield Place(frozenset({one.key, *inner}), name, one.server.id, one.verdict, one.routes)


def _read(key: str, value: object) -> _Entry:
    if not isinstance(value, dict):
        raise InvalidInput("it is no object with the settings of a server", field="(entry)")
    given, notes = _given(value)
    if "environment" not in given:
        raise InvalidInput(
            "environment: missing; who may use a server is never guessed. Write test or prod into the file",
            field="environment",
        )
    server = server_from(given, server_id=key if _is_id(key) else "pacs")
    inner = value.get("id")
    if inner not in (None, key):
        notes.append("it has another id in itself; the one that it stands under is taken")
    if unknown := sorted(value.keys() - _KNOWN):
        notes.append(f"not taken, since a server has no such setting: {clipped(', '.join(unknown))}")
    entry = _Entry(key, given, value.get(MOVE_ROUTING), replace(server, is_default=False), notes=notes)
    entry.inner = inner if isinstance(inner, str) else ""
    entry.is_default = server.is_default
    return entry


def _given(value: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The fields to take, and what was supplied."""
    given = {name: value[name] for name in _TAKEN if name in value}
    for name in ("description", "aet_store"):  # there, no value is a blank one
        if name in given and given[name] is None:
            given[name] = ""
    for name, one in given.items():
        if isinstance(one, str) and len(one) > _LONGEST:
            raise InvalidInput(f"{name}: it has {len(one)} characters", field=name)
    missing = [name for name in _TITLES if name not in given]
    if not missing:
        return given, []
    title = value.get("aet")
    if title is None:
        return given, [f"{', '.join(missing)}: not given; DICOMFAB is taken"]
    return {**given, **dict.fromkeys(missing, title)}, [f"{', '.join(missing)}: not given; that of aet is taken"]


def _name(key: str, value: object) -> str:
    """What people call a server that cannot be taken."""
    name = value.get("name") if isinstance(value, dict) else None
    return clipped(name if isinstance(name, str) and name.strip() else key)


def _is_id(key: str) -> bool:
    try:
        fields.server_id(key)
    except InvalidInput:
        return False
    return True


def _contradicting(entries: list[_Entry]) -> None:
    """End those that another entry of the file contradicts."""
    names = several(label_key(one.server.name) for one in entries)
    by_endpoint = defaultdict(list)
    for one in entries:
        by_endpoint[one.server.endpoint].append(one)
        if label_key(one.server.name) in names:
            one.end(
                Verdict.REFUSED, f"name: several servers are called {clipped(one.server.name)!r}; rename them there"
            )
    for group in by_endpoint.values():
        if len({one.server.environment for one in group}) > 1:
            for one in group:
                says = f"environment: {_place(one.server)} is both test and prod in the file; which cannot be known"
                one.end(Verdict.REFUSED, says)


def _placed(entry: _Entry, registry: Registry, here: Registry, barred: Mapping[str, str]) -> Registry:
    """The registry with a server in it, unless it is there already or cannot be."""
    old = _known(entry, here)
    if old is not None:
        _compare(entry, old)
        return registry
    entry.server = replace(entry.server, id=_new_id(entry, registry))
    if why := barred.get(entry.server.id):
        entry.end(Verdict.REFUSED, why)
        return registry
    server = replace(entry.server, is_default=entry.is_default and registry.default is None)
    try:
        after = registry.add(server)
    except Conflict as error:
        entry.end(Verdict.REFUSED, reason(error.what))
        return registry
    entry.notes += _notes(entry, server, registry)
    entry.server, entry.says = server, f"{server.environment} server, {_place(server)}, id {server.id}"
    return after


def _known(entry: _Entry, here: Registry) -> PacsServer | None:
    """The server here of the same id, or else of the same name."""
    by_id = next((one for one in here.servers if one.id == entry.key), None)
    name = label_key(entry.server.name)
    return by_id or next((one for one in here.servers if label_key(one.name) == name), None)


def _compare(entry: _Entry, old: PacsServer) -> None:
    names = [name for name in entry.given if name != "is_default"]
    differing = [name for name in names if getattr(old, name) != getattr(entry.server, name)]
    entry.server = old
    entry.notes = []
    if differing:
        says = f"{clipped(old.name)} ({old.id}) is here already, with another {', '.join(differing)}; it stays as it is"
        entry.end(Verdict.CONFLICT, says)
    else:
        entry.end(Verdict.SAME, f"is here already ({old.id})")


def _new_id(entry: _Entry, registry: Registry) -> str:
    taken = {label_key(label) for one in registry.servers for label in (one.id, one.name)}
    if _is_id(entry.key) and label_key(entry.key) not in taken:
        return entry.key
    return free_id(entry.server.name, registry.servers)


def _notes(entry: _Entry, server: PacsServer, registry: Registry) -> Iterator[str]:
    if server.id != entry.key:
        yield f"its id becomes {server.id}, since {clipped(entry.key)!r} cannot be one here or is taken"
    if not server.aet_store:
        yield "C-STORE is disabled, since its aet_store is blank"
    if not server.is_active:
        yield "it is not active there, and will not be here"
    if entry.is_default and registry.default is not None:
        yield f"it will not be the default, which is {clipped(registry.default.name)}"
    for other in registry.servers:
        if other.port == server.port and other.endpoint == server.endpoint:
            yield f"{clipped(other.name)} stands at the same address, under the same AE title"


def _place(server: PacsServer) -> str:
    return f"{server.aec} at {server.address}"


def _finding(entry: _Entry, file: str) -> Finding:
    notes = tuple(entry.notes) if entry.verdict is Verdict.ADD else ()
    return Finding(file, clipped(entry.server.name), Kind.SERVER, entry.verdict, entry.says, notes)


def _fields(server: PacsServer) -> dict[str, Any]:
    given = server.as_dict()
    return {name: given[name] for name in _TAKEN}
