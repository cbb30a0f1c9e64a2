"""Worker processes: how many jobs a server bears, and a worker started when one is needed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from dicomfab.app.acting import for_nobody
from dicomfab.model.errors import LocalFailure
from dicomfab.model.job import WorkerInfo

if TYPE_CHECKING:
    from dicomfab.app.settings import Settings
    from dicomfab.services.copies import ExpiringCopies
    from dicomfab.services.jobs.schedules import ScheduleService
    from dicomfab.services.jobs.service import JobService
    from dicomfab.services.monitor.monitor import Monitor
    from dicomfab.storage.job_queue import JobQueue
    from dicomfab.storage.registry import RegistryRepository

_LOCAL_JOBS: Final = 2  # each renders on all processors
_PACS: Final = "pacs:"
_STARTING: Final = threading.Lock()
_CHILDREN: Final[list[subprocess.Popen[bytes]]] = []  # waited for when the next one is started


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

    @property
    def job_queue(self) -> JobQueue:
        """Where its workers take them from."""

    @property
    def schedules(self) -> ScheduleService:
        """Jobs that are made again and again."""

    @property
    def monitor(self) -> Monitor:
        """Checks its servers."""

    @property
    def copies(self) -> ExpiringCopies:
        """Its copies that expire."""


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
    """The identity of a local store: drawn once, and kept with it.

    Raises:
        LocalFailure: the file that holds it is empty.
    """
    from dicomfab.services.backup.beside import sync

    file = settings.home / "store-id"
    with suppress(FileNotFoundError):
        if known := file.read_text("ascii").strip():
            return known
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_text(f"{uuid.uuid4()}\n", "ascii")
    sync(draft)  # else a power cut may leave the name without the content
    with suppress(FileExistsError):
        os.link(draft, file)  # whoever is first decides
    draft.unlink()
    sync(settings.home)
    if known := file.read_text("ascii").strip():
        return known
    raise LocalFailure(
        f"{file} is empty: it should hold the identity of the local store",
        cause="the power failed, or the disk was full, while it was written; or somebody emptied it",
        remedy="put it back from a backup of this folder; if there is none, remove the file: another one is drawn. "
        "Jobs that were submitted before and need the local store wait for ever then: cancel them",
    )


def ensure_worker(application: Installation) -> bool:
    """See to it that a worker is there to do what was submitted; it ends by itself when there is nothing to do.

    One that takes jobs of certain queues only does not count: it would leave all others waiting.

    Returns:
        Whether one had to be started.

    Raises:
        LocalFailure: none could be started. What was submitted waits.
    """
    if not application.settings.worker_idle_s:
        return False
    with _STARTING:
        _CHILDREN[:] = [child for child in _CHILDREN if child.poll() is None]
        if any(one.store_id == application.store_id and not one.queues for one in application.jobs.workers()):
            return False
        child = _started(application.settings)
        _CHILDREN.append(child)
        # Known at once, under the name that it gives itself, so that nobody starts a second one meanwhile.
        now, host = application.jobs.now(), socket.gethostname()
        application.job_queue.see(WorkerInfo(f"{host}:{child.pid}", host, child.pid, application.store_id, now, now))
    return True


def replace_lost_worker(application: Installation) -> bool:
    """Start a worker if one is needed and none is there: after a reboot, or one was killed.

    It is needed when a job is due, a schedule is enabled, somebody has switched a server's monitoring on, or the time
    of a copy from production is over.

    Returns:
        Whether one had to be started.

    Raises:
        LocalFailure: none could be started.
    """
    due = application.job_queue.next_due(application.store_id)
    is_needed = (due is not None and due <= application.jobs.now()) or application.schedules.need_a_worker()
    is_needed = is_needed or application.monitor.need_a_worker() or application.copies.need_a_worker()
    return is_needed and ensure_worker(application)


def _started(settings: Settings) -> subprocess.Popen[bytes]:
    try:
        settings.logs.mkdir(parents=True, exist_ok=True)
        with open(settings.logs / "worker.log", "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dicomfab", "worker", "--idle-exit", f"{settings.worker_idle_s:g}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**for_nobody(os.environ), "DICOMFAB_HOME": str(settings.home)},
                start_new_session=True,  # it goes on when the terminal is closed
            )
    except OSError as error:
        raise LocalFailure(
            "no worker could be started; the job waits",
            cause=str(error),
            remedy="mend the cause, then: dicomfab worker",
        ) from error
