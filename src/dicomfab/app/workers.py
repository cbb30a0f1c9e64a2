"""Worker processes: how many jobs a server bears, and a worker started when one is needed."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from dicomfab.app.settings import Settings
    from dicomfab.services.jobs.service import JobService
    from dicomfab.storage.registry import RegistryRepository

IDLE_EXIT_S: Final = 60.0
_LOCAL_JOBS: Final = 2  # each renders on all processors
_PACS: Final = "pacs:"


class Installation(Protocol):
    """What has jobs, and workers that do them."""

    @property
    def settings(self) -> Settings:
        """Where its state lives."""

    @property
    def store_id(self) -> str:
        """The identity of its local store."""

    @property
    def jobs(self) -> JobService:
        """Its jobs."""


def limits(registry: RegistryRepository) -> Callable[[str], int]:
    """How many jobs of a queue may run at once."""

    def limit(queue: str) -> int:
        if not queue.startswith(_PACS):
            return _LOCAL_JOBS
        servers = {server.id: server for server in registry.load().servers}
        server = servers.get(queue.removeprefix(_PACS))
        return 1 if server is None else server.max_associations

    return limit


def store_id(settings: Settings) -> str:
    """The identity of a local store: drawn once, and kept with it."""
    file = settings.home / "store-id"
    with suppress(FileNotFoundError):
        if known := file.read_text("ascii").strip():
            return known
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_text(f"{uuid.uuid4()}\n", "ascii")
    with suppress(FileExistsError):
        os.link(draft, file)  # whoever is first decides
    draft.unlink()
    return file.read_text("ascii").strip()


def ensure_worker(application: Installation) -> bool:
    """See to it that a worker is there to do what was submitted; it ends by itself when there is nothing to do.

    Returns:
        Whether one had to be started.
    """
    if any(one.store_id == application.store_id for one in application.jobs.workers()):
        return False
    logs = application.settings.logs
    logs.mkdir(parents=True, exist_ok=True)
    with open(logs / "worker.log", "ab") as log:
        subprocess.Popen(
            [sys.executable, "-m", "dicomfab", "worker", "--idle-exit", f"{IDLE_EXIT_S:g}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "DICOMFAB_HOME": str(application.settings.home)},
            start_new_session=True,  # it goes on when the terminal is closed
        )
    return True
