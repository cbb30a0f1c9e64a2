"""The four servers together: start, status, stop, clean."""

from __future__ import annotations

import enum
import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from dicomfab.model.disk import disk_full
from dicomfab.model.errors import Conflict, LocalFailure
from dicomfab.testpacs import ports, process, spec
from dicomfab.testpacs.engine import ENGINES, engine_of
from dicomfab.testpacs.folders import LabFolders
from dicomfab.testpacs.probe import Holdings, NoAnswer, require_echo
from dicomfab.testpacs.spec import IDS, EngineName, LabConfig, ServerSpec

READY_S: Final = 60.0
GRACE_S: Final = 10.0
_POLL_S: Final = 0.05
_NEEDED_BYTES: Final = 1 << 20


class State(enum.StrEnum):
    """What a server is doing."""

    RUNNING = "running"
    NOT_ANSWERING = "not answering"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One server as it is now.

    Args:
        server: which one.
        host: where it listens, or would.
        state: whether it runs and answers.
        pid: none when stopped.
        uptime_s: none when stopped.
        holdings: what it holds by its own word; none unless it answers.
        problem: how it does not answer.
        was_running: for a start: there was nothing to do.
    """

    server: ServerSpec
    host: str
    state: State
    pid: int | None = None
    uptime_s: float | None = None
    holdings: Holdings | None = None
    problem: str = ""
    was_running: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain values, one level but for the holdings."""
        rest = asdict(self)
        server = rest.pop("server")
        return {**server, **rest}


Report = Callable[[ServerStatus], None]


class Lab:
    """The test PACS servers of one installation, run with the engine that its settings name.

    Args:
        root: the lab's folder; made when first needed.
    """

    def __init__(self, root: Path) -> None:
        self.folders = LabFolders(root.absolute())

    @property
    def config(self) -> LabConfig:
        """Ports and options.

        Raises:
            InvalidInput: ``lab.json`` cannot be used.
        """
        return spec.load(self.folders.root)

    def notes(self) -> tuple[str, ...]:
        """What is different from what the options say, with this engine; a sentence each."""
        config = self.config
        return engine_of(config).notes(config)

    def configure(self, change: Callable[[LabConfig], LabConfig]) -> LabConfig:
        """Change ports, options or engine; they last.

        Raises:
            InvalidInput: they cannot be used.
            Conflict: servers run that would not follow, or the engine does not have an option. Nothing was changed.
            SetupMissing: the engine is not installed. Nothing was changed.
        """
        with self.folders.locked():
            before = self.config
            after = change(before)
            if after == before:
                return before
            names = [s.name for s in before.servers if process.running(self.folders, s.id) is not None]
            if names:
                raise Conflict(
                    f"ports, options and engine of the lab were not changed: {', '.join(names)} would not follow",
                    cause="running servers keep the settings they were started with",
                    remedy="dicomfab lab stop, then start with the new settings",
                )
            engine_of(after).require(after)
            spec.save(self.folders.root, after)
            return after

    def use_free_ports(self) -> LabConfig:
        """Move all servers to ports that nobody has now.

        Raises:
            Conflict: some of them run.
        """

        def moved(config: LabConfig) -> LabConfig:
            found = ports.free_ports(2 * len(IDS), config.bind)
            return config.with_ports(dicom_ports=found[: len(IDS)], web_ports=found[len(IDS) :])

        return self.configure(moved)

    def start(self, report: Report = lambda _status: None) -> tuple[ServerStatus, ...]:
        """Start what does not run, all at once, and wait until each answers a C-ECHO and a web request.

        Args:
            report: called with each server, from any thread, the moment it is ready.

        Raises:
            PortInUse: a port is taken; nothing was started.
            SetupMissing, Conflict: the engine is not there, or does not have an option; nothing was started.
            LocalFailure: a server ended or did not answer; the others run.
        """
        with self.folders.locked():
            config = self.config
            engine = engine_of(config)
            engine.require(config)
            stopped = [s for s in config.servers if process.running(self.folders, s.id) is None]
            ports.require_free(stopped, engine.listens_on(config))
            for server in stopped:
                process.start(self.folders, server.id)
            ids = {s.id for s in stopped}

            def ready(server: ServerSpec) -> ServerStatus:
                status = self._await(config, server, was_running=server.id not in ids)
                report(status)
                return status

            found = _at_once(ready, config.servers)
        failed = [s for s in found if s.state is not State.RUNNING]
        if failed:
            raise self._not_started(failed)
        return found

    def status(self) -> tuple[ServerStatus, ...]:
        """Every server as it is now; those that run are asked."""
        return _at_once(partial(self._status, self.config), self.config.servers)

    def stop(self, *, grace_s: float = GRACE_S) -> tuple[str, ...]:
        """Stop what runs: SIGTERM, and SIGKILL for what is still there after the grace.

        Returns:
            The ids of the servers that ran.
        """
        with self.folders.locked():
            return process.stop(self.folders, IDS, grace_s=grace_s)

    def clean(self, *, grace_s: float = GRACE_S) -> tuple[str, ...]:
        """Stop the servers and delete what they hold, and their logs. Ports, options and other engines' data stay.

        Returns:
            The ids of the servers that ran.

        Raises:
            LocalFailure: a file could not be deleted.
        """
        with self.folders.locked():
            ran = process.stop(self.folders, IDS, grace_s=grace_s)
            engine = engine_of(self.config)
            for server_id in IDS:
                self._delete(server_id, engine.data(self.folders, server_id))
            return ran

    def engines_with_data(self) -> tuple[EngineName, ...]:
        """Engines of whose servers something is kept here."""
        return tuple(
            name for name, engine in ENGINES.items() if any(engine.data(self.folders, one).exists() for one in IDS)
        )

    def _delete(self, server_id: str, data: Path) -> None:
        try:
            if data.exists():
                shutil.rmtree(data)
            for log in self.folders.logs.glob(f"{server_id}.*"):
                log.unlink()
        except OSError as error:
            raise LocalFailure(
                f"the data of {server_id} could not all be deleted: {error}",
                cause="files belong to another user, or the folder is a link",
                remedy=f"delete {data} yourself, then repeat the command",
            ) from error

    def _await(self, config: LabConfig, server: ServerSpec, *, was_running: bool) -> ServerStatus:
        deadline = time.monotonic() + READY_S
        while True:
            status = self._status(config, server, was_running=was_running)
            if status.state is not State.NOT_ANSWERING or time.monotonic() > deadline:
                return status
            time.sleep(_POLL_S)

    def _status(self, config: LabConfig, server: ServerSpec, *, was_running: bool = False) -> ServerStatus:
        found = process.running(self.folders, server.id)
        if found is None:
            return ServerStatus(server, config.connect_host, State.STOPPED)
        running = partial(
            ServerStatus, server, config.connect_host, pid=found.pid, uptime_s=found.uptime_s, was_running=was_running
        )
        try:
            holdings = engine_of(config).holdings(config, server)
            require_echo(config, server)
            return running(state=State.RUNNING, holdings=holdings)
        except NoAnswer as error:
            return running(state=State.NOT_ANSWERING, problem=str(error))

    def _not_started(self, failed: Iterable[ServerStatus]) -> LocalFailure:
        if shutil.disk_usage(self.folders.root).free < _NEEDED_BYTES:  # then their logs cannot say so
            return disk_full(self.folders.root)
        sentences = []
        for status in failed:
            if status.state is State.STOPPED:
                words = engine_of(self.config).last_words(self.folders, status.server.id)
                sentences.append(f"{status.server.name} ended at once{words and f': {words}'}")
            else:
                sentences.append(f"{status.server.name} runs (pid {status.pid}) but does not answer: {status.problem}")
        return LocalFailure(
            "; ".join(sentences),
            cause=f"its files in {self.folders.logs} say more",
            remedy="mend that, then: dicomfab lab restart",
        )


def _at_once(ask: Callable[[ServerSpec], ServerStatus], servers: tuple[ServerSpec, ...]) -> tuple[ServerStatus, ...]:
    with ThreadPoolExecutor(len(servers), thread_name_prefix="lab") as pool:
        return tuple(pool.map(ask, servers))
