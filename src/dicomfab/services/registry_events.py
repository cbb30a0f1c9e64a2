"""What is recorded of a change of the registry: one entry for each server, and each source of routes, that differs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.registry.registry import Registry
from dicomfab.registry.server import PacsServer
from dicomfab.services.recording import Record, node

if TYPE_CHECKING:
    from dicomfab.storage.audit import Transaction


def noting(record: Record, actor: Actor) -> Callable[[Transaction, Registry, Registry], None]:
    """For :meth:`RegistryRepository.change`: have the change recorded in its own transaction."""

    def note(within: Transaction, before: Registry, after: Registry) -> None:
        if events := changed(actor, before, after):
            record(*events, within=within)

    return note


def changed(actor: Actor, before: Registry, after: Registry) -> list[AuditEvent]:
    """The events of a change. Routes that went with a server are not told of by themselves."""
    old, new = ({server.id: server for server in one.servers} for one in (before, after))
    events = []
    for server_id in sorted(old.keys() | new.keys()):
        was, now = old.get(server_id), new.get(server_id)
        if was != now:
            events.append(_server(actor, was, now))
    for server_id in sorted(old.keys() & new.keys() | new.keys() - old.keys()):
        routes = (
            {to: title for to, title in before.routes_from(server_id).items() if to in new} if server_id in old else {}
        )
        after_it = after.routes_from(server_id)
        differing = [to for to in sorted(routes.keys() | after_it.keys()) if routes.get(to) != after_it.get(to)]
        if differing:
            detail = {to: f"{routes.get(to, '') or 'none'} -> {after_it.get(to, '') or 'none'}" for to in differing}
            server = new[server_id]
            given = {"environment": str(server.environment), "subject": server_id, "detail": detail}
            events.append(AuditEvent.by(actor, EventKind.ROUTE_CHANGE, **given))
    return events


def _server(actor: Actor, was: PacsServer | None, now: PacsServer | None) -> AuditEvent:
    one = now or was
    assert one is not None
    if was is None or now is None:
        end = node(one)
        detail = {"change": "added" if was is None else "removed", "name": end.name, "aec": end.ae_title}
        detail["address"] = f"{one.host}:{one.port}"
    else:
        before, after = was.as_dict(), now.as_dict()
        detail = {name: f"{before[name]} -> {after[name]}" for name in after if before[name] != after[name]}
        detail["change"] = "edited"
    given = {"environment": str(one.environment), "subject": one.id, "detail": detail}
    return AuditEvent.by(actor, EventKind.REGISTRY_CHANGE, **given)
