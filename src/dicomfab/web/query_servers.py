"""Choosing the servers of a search: by environment, group and favourites, and what is known of each beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dicomfab.app.build import Application
from dicomfab.model.actor import Actor
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.web.monitor_view import Look, row_of
from dicomfab.web.pacs_filter import groups_of


@dataclass(frozen=True, slots=True)
class Known:
    """What was last seen of a server.

    Args:
        look: in a word, with a colour and a symbol.
        at: when; ``None`` if never.
    """

    look: Look
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Preset:
    """Servers that are chosen with one click.

    Args:
        key: what an address calls it.
        label: on the button.
        ids: of the servers.
    """

    key: str
    label: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Offered:
    """The servers that can be asked.

    Args:
        servers: by name.
        known: server id -> what was last seen of it.
        presets: ways to choose several.
    """

    servers: tuple[PacsServer, ...]
    known: dict[str, Known]
    presets: tuple[Preset, ...]

    def ids(self, key: str) -> tuple[str, ...]:
        """The servers of a preset; none if there is no such preset."""
        return next((preset.ids for preset in self.presets if preset.key == key), ())

    def chosen(self, labels: Sequence[str]) -> frozenset[str]:
        """The ids among them that ids or names mean."""
        return frozenset(server.id for server in self.servers if server.id in labels or server.name in labels)


def offered(application: Application, actor: Actor) -> Offered:
    """What can be asked with C-FIND, and is active."""
    servers = tuple(s for s in application.pacs.servers(actor) if s.is_active and s.can(Capability.FIND))
    favourites = application.pacs.favourites(actor)
    candidates = [
        Preset("all", "All", tuple(s.id for s in servers)),
        Preset("none", "None", ()),
        Preset("test", "Test", tuple(s.id for s in servers if not s.is_production)),
        Preset("prod", "Production", tuple(s.id for s in servers if s.is_production)),
        Preset("favourites", "Favourites", tuple(s.id for s in servers if s.id in favourites)),
    ]
    for word in groups_of(servers):
        ids = tuple(s.id for s in servers if word.casefold() in (one.casefold() for one in s.groups))
        candidates.append(Preset(f"group:{word}", word, ids))
    presets = tuple(preset for preset in candidates if preset.ids or preset.key == "none")
    return Offered(servers, known_states(application, actor), presets)


def known_states(application: Application, actor: Actor) -> dict[str, Known]:
    """Server id -> its state by monitoring, or by its last test if monitoring has not looked yet."""
    tests = {row.server.id: row.last_test for row in application.pacs.overview(actor)}
    found = {}
    for status in application.monitoring.board(actor, days=1):
        test = tests.get(status.server.id)
        if (status.is_monitored and status.row.last_at) or test is None:
            found[status.server.id] = Known(row_of(status, ()).look, status.row.last_at)
        elif test.ok:
            found[status.server.id] = Known(Look("Last test OK", "good", "check-circle-fill"), test.tested_at)
        else:
            found[status.server.id] = Known(Look("Last test failed", "bad", "x-circle-fill"), test.tested_at)
    return found
