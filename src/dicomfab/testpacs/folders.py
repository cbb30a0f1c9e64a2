"""Where a lab keeps what it has, below one folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ORTHANC_SETTINGS: Final = "dicomfab-lab.json"


@dataclass(frozen=True, slots=True)
class LabFolders:
    """The folder of a lab.

    It holds ``lab.json``, ``web-password``, ``data/ID`` and ``orthanc/ID``, of which each belongs to one engine,
    ``logs/ID.log``, ``logs/ID.out`` and ``run/ID.pid``.
    """

    root: Path

    def data(self, server_id: str) -> Path:
        """The archive of a server of ours."""
        return self.root / "data" / server_id

    def orthanc(self, server_id: str) -> Path:
        """Settings, index and storage of a server that is an Orthanc."""
        return self.root / "orthanc" / server_id

    def orthanc_settings(self, server_id: str) -> Path:
        """Its settings. The command line of a running Orthanc names nothing else, and nothing else names this."""
        return self.orthanc(server_id) / ORTHANC_SETTINGS

    def commitments(self, server_id: str) -> Path:
        """The storage commitments that a server has yet to report; they go when its archive is deleted."""
        return self.data(server_id) / "commitments"

    @property
    def logs(self) -> Path:
        """What all servers log and print."""
        return self.root / "logs"

    def log(self, server_id: str) -> Path:
        """What a server logs; rotated."""
        return self.logs / f"{server_id}.log"

    def output(self, server_id: str) -> Path:
        """Standard output and error of a server, begun anew at each start: empty unless it failed to start."""
        return self.logs / f"{server_id}.out"

    def pid_file(self, server_id: str) -> Path:
        """Locked for as long as the server runs."""
        return self.root / "run" / f"{server_id}.pid"

    @property
    def web_password(self) -> Path:
        """The password of the servers' web ports, for those who call them by their registry entries."""
        return self.root / "web-password"

    def write_web_password(self, password: str) -> Path:
        """Write it where only the owner reads it, if it is not there; where."""
        path = self.web_password
        if path.exists() and path.read_text("utf-8") == f"{password}\n":
            return path
        self.make()
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(f"{password}\n")
        return path

    def make(self) -> None:
        """Make the folders that are absent, readable by their owner only."""
        for folder in (self.root, self.root / "data", self.logs, self.root / "run"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One command at a time may start or stop servers; a second one waits for the first."""
        self.make()
        handle = os.open(self.root / "run" / "lab.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
