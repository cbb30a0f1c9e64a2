"""Start real peers from Debian's packages on free ports, and end them again."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.scu.echo import echo
from dicomfab.dimse.tls_settings import TlsSettings
from dicomfab.model.errors import PeerError

_SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin"))
_START_ATTEMPTS = 200
_CLIENT_TIMEOUT_S = 120


def program(name: str) -> str:
    """The path of a program; its absence is a visible skip, and a failure in CI."""
    found = shutil.which(name, path=_SEARCH_PATH)
    if found:
        return found
    if os.environ.get("CI"):
        pytest.fail(f"{name} is not installed, and CI allows no skip")
    pytest.skip(f"{name} is not installed: run tools/debian_peers.sh")


def free_port() -> int:
    """A port that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def dcmtk(name: str, *arguments: object, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a DCMTK program to its end; what it logs is in ``stderr``."""
    return subprocess.run(
        [program(name), *map(str, arguments)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_CLIENT_TIMEOUT_S,
        cwd=folder,
        check=False,
    )


@contextmanager
def client(name: str, *arguments: object, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A DCMTK program that runs beside the block; killed with it if it is not over by then."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([program(name), *map(str, arguments)], cwd=folder, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)


@contextmanager
def running(arguments: list[str], peer: Peer, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; it is up when it answers C-ECHO (or rejects us, knowing what DICOM is)."""
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(arguments, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        try:
            _await_echo(process, peer, folder)
            yield process
        finally:
            process.kill()  # Orthanc takes seconds to end in good order, and nothing of it is kept
            process.wait(10)


def _await_echo(process: subprocess.Popen[bytes], peer: Peer, folder: Path) -> None:
    for _ in range(_START_ATTEMPTS):
        try:
            echo(peer)
        except PeerError:
            try:
                process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            break
        return
    pytest.fail(f"{peer.label} did not start:\n{(folder / 'log.txt').read_text(errors='replace')}")


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc.

    Args:
        peer: its DICOM side.
        http: the base address of its REST side.
    """

    peer: Peer
    http: str

    def rest(self, path: str) -> Any:
        """GET from the REST side."""
        with urllib.request.urlopen(f"{self.http}{path}", timeout=10) as answer:
            return json.load(answer)

    def post(self, path: str, body: Any) -> Any:
        """POST a value, or bytes as they are, to the REST side."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        with urllib.request.urlopen(f"{self.http}{path}", data, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text.strip() else None

    def delete(self, path: str) -> None:
        """DELETE on the REST side."""
        urllib.request.urlopen(urllib.request.Request(f"{self.http}{path}", method="DELETE"), timeout=10).close()


@contextmanager
def orthanc(
    folder: Path,
    *,
    known: dict[str, tuple[str, int]] | None = None,
    settings: dict[str, Any] | None = None,
    tls: TlsSettings | None = None,
) -> Iterator[Orthanc]:
    """Orthanc with its data in the folder.

    Args:
        folder: an empty one.
        known: AE title -> (host, port) of the modalities that it knows.
        settings: more of its configuration.
        tls: how to call it, if the settings have it speak TLS.
    """
    dicom, http = free_port(), free_port()
    configuration = {
        "Name": "Peer",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": http,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": "ORTHANC",
        "DicomPort": dicom,
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomModalities": {name: [name, *address] for name, address in (known or {}).items()}
        | {"FAB": {"AET": "DICOMFAB", "Host": "127.0.0.1", "Port": 11112, "AllowMove": True}},
        "Plugins": [],
    } | (settings or {})
    path = folder / "orthanc.json"
    path.write_text(json.dumps(configuration))
    peer = Peer("127.0.0.1", dicom, "ORTHANC", timeouts=Timeouts(1, 5, 30), name="Orthanc", tls=tls)
    with running([program("Orthanc"), str(path)], peer, folder):
        yield Orthanc(peer, f"http://127.0.0.1:{http}")


DICOMWEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@contextmanager
def orthanc_web(folder: Path, *, settings: dict[str, Any] | None = None) -> Iterator[Orthanc]:
    """Orthanc with its DICOMweb plugin, below ``/dicom-web/`` of its REST side."""
    if not DICOMWEB_PLUGIN.exists():
        if os.environ.get("CI"):
            pytest.fail("Orthanc's DICOMweb plugin is not installed, and CI allows no skip")
        pytest.skip("Orthanc's DICOMweb plugin is not installed: run tools/debian_peers.sh")
    plugin = {"Plugins": [str(DICOMWEB_PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}}
    with orthanc(folder, settings=plugin | (settings or {})) as running_peer:
        yield running_peer


@contextmanager
def storescp(folder: Path, *options: str, tls: TlsSettings | None = None) -> Iterator[Peer]:
    """DCMTK's storescp writing into the folder; ``tls`` is how to call it, if its options have it speak TLS."""
    peer = Peer("127.0.0.1", free_port(), "STORESCP", timeouts=Timeouts(1, 5, 30), name="storescp", tls=tls)
    arguments = [program("storescp"), *options, "--output-directory", str(folder), str(peer.port)]
    with running(arguments, peer, folder):
        yield peer


@contextmanager
def dcmqrscp(
    folder: Path, *options: str, known: dict[str, tuple[str, int]] | None = None, max_pdu: int = 16384
) -> Iterator[Peer]:
    """DCMTK's query/retrieve server; ``max_pdu`` is the longest PDU that it takes, in bytes."""
    peer = Peer("127.0.0.1", free_port(), "DCMQRSCP", timeouts=Timeouts(1, 5, 30), name="dcmqrscp")
    (folder / "storage").mkdir()
    hosts = "".join(f"{name.lower()} = ({name}, {host}, {port})\n" for name, (host, port) in (known or {}).items())
    configuration = (
        f"NetworkTCPPort = {peer.port}\nMaxPDUSize = {max_pdu}\nMaxAssociations = 16\n"
        f"HostTable BEGIN\n{hosts}HostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nDCMQRSCP {folder / 'storage'} RW (200, 1024mb) ANY\nAETable END\n"
    )
    path = folder / "dcmqrscp.cfg"
    path.write_text(configuration)
    with running([program("dcmqrscp"), *options, "--config", str(path)], peer, folder):
        yield peer
