"""Orthanc and dcmqrscp with a given configuration, and with a line of ours added to it."""

from __future__ import annotations

import copy
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dicomfab.diagnosis.products import Line
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.tls_settings import TlsSettings
from tests.peers import programs

TIMEOUTS = Timeouts(2, 5, 10, 10)
START_S = 20.0
ALL_OFF = {f"DicomAlwaysAllow{operation}": False for operation in ("Echo", "Store", "Find", "Get", "Move")}


@dataclass(frozen=True)
class OrthancConfiguration:
    """What stands in orthanc.json.

    Args:
        settings: without ports and folders.
        port: DICOM port, the same after every restart.
    """

    settings: dict[str, Any]
    port: int = field(default_factory=programs.free_port)

    def with_line(self, line: Line) -> OrthancConfiguration:
        """The line added where it says."""
        settings = copy.deepcopy(self.settings)
        new = json.loads(f"{{{line.text}}}")
        if 'in "DicomModalities"' not in line.place:
            return OrthancConfiguration(settings | new, self.port)
        assert line.place.startswith("orthanc.json")
        (entry,) = new.values()
        known = settings.get("DicomModalities", {})
        title = entry["AET"] if isinstance(entry, dict) else entry[0]
        rest = {n: e for n, e in known.items() if (e["AET"] if isinstance(e, dict) else e[0]) != title}
        return OrthancConfiguration(settings | {"DicomModalities": rest | new}, self.port)

    @contextmanager
    def running(self, folder: Path, *, tls: TlsSettings | None = None, holds: Path | None = None) -> Iterator[Peer]:
        """Orthanc with it; what it holds stays in the folder, that instance too."""
        http = programs.free_port()
        fixed = {
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "HttpPort": http,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomAet": "ORTHANC",
            "DicomPort": self.port,
            "Plugins": [],
        }
        path = folder / "orthanc.json"
        path.write_text(json.dumps(fixed | self.settings))

        def up() -> bool:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{http}/system", timeout=2).close()
            except (urllib.error.URLError, OSError):
                return False
            return True

        with _process([programs.program("Orthanc"), str(path)], folder, up):
            if holds is not None:
                urllib.request.urlopen(f"http://127.0.0.1:{http}/instances", holds.read_bytes(), timeout=10).close()
            yield Peer("127.0.0.1", self.port, "ORTHANC", timeouts=TIMEOUTS, name="Orthanc", tls=tls)


@contextmanager
def dcmtk(program: str, folder: Path, *arguments: str, tls: TlsSettings | None = None) -> Iterator[Peer]:
    """A server of DCMTK; ``PORT`` among its arguments is replaced by a free port."""
    port = programs.free_port()
    peer = Peer("127.0.0.1", port, "QR", timeouts=TIMEOUTS, name=program, tls=tls)

    def up() -> bool:
        try:
            socket.create_connection((peer.host, port), 2).close()
        except OSError:
            return False
        return True

    with _process([programs.program(program), *(a.replace("PORT", str(port)) for a in arguments)], folder, up):
        yield peer


def dcmqrscp_cfg(
    folder: Path,
    *,
    title: str = "QR",
    access: str = "RW",
    quota: str = "(200, 1024mb)",
    peers: str = "ANY",
    **more: str,
) -> Path:
    """A configuration with one database; ``hosts`` and ``associations`` besides."""
    (folder / "storage").mkdir(exist_ok=True)
    path = folder / "dcmqrscp.cfg"
    path.write_text(
        f"MaxPDUSize = 16384\n{more.get('associations', 'MaxAssociations = 16')}\n"
        f"HostTable BEGIN\n{more.get('hosts', '')}\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\n{title} {folder / 'storage'} {access} {quota} {peers}\nAETable END\n"
    )
    return path


@contextmanager
def _process(arguments: list[str], folder: Path, up: Callable[[], bool]) -> Iterator[None]:
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(arguments, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + START_S
        while not up():
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                if time.monotonic() < end:
                    continue
            pytest.fail(f"{arguments[0]} did not start:\n{(folder / 'log.txt').read_text(errors='replace')}")
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
