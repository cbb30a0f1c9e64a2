"""Servers that come and go on ports that stay, and a clock that a test moves: for tests of monitoring."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.echo import echo
from dicomfab.model.actor import Actor, local_admin
from dicomfab.registry.server import PacsServer
from dicomfab.services.monitor.monitor import Monitor
from dicomfab.services.monitor.service import MonitorService
from dicomfab.services.pacs import PacsService
from dicomfab.storage.database import Database
from dicomfab.storage.monitoring import MonitorRepository
from dicomfab.storage.registry import RegistryRepository
from dicomfab.testpacs.ports import free_ports
from tests.unit.dimse.memory_pacs import MemoryPacs

ADMIN: Actor = local_admin("tester", "api")
MIDNIGHT = datetime(2026, 5, 1, tzinfo=UTC)


class Clock:
    """Stands until it is moved."""

    def __init__(self, moment: datetime = MIDNIGHT) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@dataclass
class Ward:
    """Servers, and what monitors them.

    Args:
        database: of the installation.
        clock: by which servers are due.
    """

    database: Database
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.registry = RegistryRepository(self.database)
        self.repository = MonitorRepository(self.database, now=self.clock)
        self.pacs = PacsService(self.registry, echo)
        self.service = MonitorService(self.repository, self.pacs)
        self.running: dict[str, Server] = {}

    def monitor(self, call: Callable[..., Any] = echo, **options: Any) -> Monitor:
        """A worker's; without jitter unless something else is said."""
        return Monitor(self.repository, self.registry.load, call, **{"draw": lambda: 0.5, **options})

    def add(self, name: str, environment: str = "test", port: int | None = None, **fields: Any) -> PacsServer:
        """Register a server on a port of its own; nothing listens there yet."""
        taken = {server.port for server in self.pacs.servers(ADMIN)}
        while port is None:  # one that nobody listens on may be offered twice
            port = next((one for one in free_ports(1, "127.0.0.1") if one not in taken), None)
        entry = {"name": name, "host": "127.0.0.1", "port": port, "aec": name.upper(), "environment": environment}
        return self.pacs.add(ADMIN, entry | fields)

    def start(self, server: PacsServer) -> None:
        """Let it listen."""
        config = ServerConfig(server.aec, port=server.port)
        self.running[server.id] = Server(config, MemoryPacs()).__enter__()

    def stop(self, server: PacsServer) -> None:
        """Let nobody listen there any more."""
        self.running.pop(server.id).__exit__(None, None, None)

    def stop_all(self) -> None:
        """At the end of a test."""
        for server in list(self.running.values()):
            server.__exit__(None, None, None)
        self.running.clear()

    def live(self, until: datetime, outages: dict[str, list[tuple[datetime, datetime]]]) -> int:
        """Let the clock run, from one due check to the next, with servers that stop and start at given times.

        Returns:
            How many checks were made.
        """
        servers = {server.id: server for server in self.registry.load().servers}
        monitor, made = self.monitor(), 0
        while self.clock.moment < until:
            for server_id, spans in outages.items():
                is_out = any(begin <= self.clock.moment < end for begin, end in spans)
                if is_out and server_id in self.running:
                    self.stop(servers[server_id])
                elif not is_out and server_id not in self.running:
                    self.start(servers[server_id])
            made += len(monitor.once())
            due = [row.next_at for row in self.repository.states().values() if row.next_at is not None]
            self.clock.moment = max(min(due), self.clock.moment + timedelta(milliseconds=1))
        return made


@contextlib.contextmanager
def silence() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield listener.getsockname()[1]
