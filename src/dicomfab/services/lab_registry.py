"""The lab's servers in the registry: put there, or put right, and nothing else touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dicomfab.access.policy import Action, Scope, require
from dicomfab.model.actor import Actor
from dicomfab.registry.registry import Registry, RegistryDiff, diff
from dicomfab.registry.server import MoveRoute, PacsServer
from dicomfab.services.recording import Record, nobody
from dicomfab.services.registry_events import noting
from dicomfab.storage.registry import RegistryRepository

#: Where they are asked over DICOMweb, and as whom.
WEB: Final = ("dicomweb_root", "dicomweb_user", "dicomweb_secret_file")
# What the lab decides about its servers; description, notes, limits and timeouts stay as their owner set them.
DECIDED = (
    "name", "host", "port", "aec", "environment", "aet_find", "aet_store", "aet_echo", "aet_move", "aet_get",
    "allow_synthetic", *WEB,
)  # fmt: skip


class LabRegistryService:
    """Configures the registry for servers and routes that are given.

    Args:
        repository: keeps the registry.
        record: has the change recorded.
    """

    def __init__(self, repository: RegistryRepository, record: Record = nobody) -> None:
        self._repository = repository
        self._record = record

    def configure(self, actor: Actor, servers: Sequence[PacsServer], routes: Sequence[MoveRoute]) -> RegistryDiff:
        """Add or correct these servers and the routes between them; a second time there is nothing to do.

        Args:
            actor: who asks.
            servers: as they have to be; of one that is there, only the fields in :data:`DECIDED` are changed.
            routes: from one of these servers to another.

        Returns:
            What is different now.

        Raises:
            AccessDenied: the actor may not configure.
            Conflict: a name, or host, port and AE title, belongs to another server. Nothing was changed.
        """
        require(actor, Action.CONFIGURE, Scope.SYSTEM)
        before = self._repository.load()
        if configured(before, servers, routes) == before:
            return diff(before, before)
        after = self._repository.change(
            lambda registry: configured(registry, servers, routes), noting(self._record, actor)
        )
        return diff(before, after)

    def correct(self, actor: Actor, servers: Sequence[PacsServer]) -> RegistryDiff:
        """Put right the fields in :data:`WEB` of those of these servers that are there, and nothing else.

        Raises:
            AccessDenied: the actor may not configure.
        """
        require(actor, Action.CONFIGURE, Scope.SYSTEM)
        before = self._repository.load()
        if corrected(before, servers) == before:
            return diff(before, before)
        after = self._repository.change(lambda registry: corrected(registry, servers), noting(self._record, actor))
        return diff(before, after)


def corrected(registry: Registry, servers: Sequence[PacsServer]) -> Registry:
    """The registry with those of these servers that it has as :meth:`LabRegistryService.correct` says."""
    for server in servers:
        if server.id in registry.ids:
            registry = registry.edit(server.id, {name: getattr(server, name) for name in WEB})
    return registry


def configured(registry: Registry, servers: Sequence[PacsServer], routes: Sequence[MoveRoute]) -> Registry:
    """The registry with these servers and routes (see :meth:`LabRegistryService.configure`)."""
    for server in servers:
        if server.id not in registry.ids:
            registry = registry.add(server)
            continue
        wanted = server.as_dict()
        registry = registry.edit(server.id, {name: wanted[name] for name in DECIDED}, confirm_environment=True)
    for route in routes:
        registry = registry.set_routes(route.source, {route.destination: route.ae_title})
    return registry
