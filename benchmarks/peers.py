"""Peers as processes on free ports of this machine, ended with the block that started them, and their clients timed.

DCMTK and Orthanc (which uses DCMTK) leave Nagle's algorithm on unless the environment variable TCP_NODELAY says
otherwise: "stock" means that it is absent, "NODELAY" that it is 1, each time for the process concerned.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from dicomfab.model.study import InstanceFile
from dicomfab.testpacs import process
from dicomfab.testpacs.engine import engine_of
from dicomfab.testpacs.lab import Lab
from dicomfab.testpacs.probe import NoAnswer

HOST = "127.0.0.1"
_SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin"))
_START_S = 60.0
_CLIENT_S = 300.0
_POLL_S = 0.05


@dataclass(frozen=True)
class Served:
    """A server that runs.

    Args:
        ae_title: its own.
        pid: of its process.
    """

    ae_title: str
    port: int
    pid: int

    def address(self) -> dict[str, Any]:
        """As a child process is told it."""
        return {"ae_title": self.ae_title, "port": self.port}


def program(name: str) -> str:
    """The path of a program that must be there."""
    found = shutil.which(name, path=_SEARCH_PATH)
    if found is None:
        raise SystemExit(f"{name} is not installed, and nothing can be measured without: run tools/debian_peers.sh")
    return found


def free_port() -> int:
    """A port that nothing listens on at the moment."""
    with socket.socket() as probed:
        probed.bind((HOST, 0))
        return int(probed.getsockname()[1])


def environment(nodelay: bool) -> dict[str, str]:
    """Our own, with TCP_NODELAY for DCMTK set or absent."""
    kept = {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}
    return {**kept, "TCP_NODELAY": "1"} if nodelay else kept


# --------------------------------------------------------------------------- servers


@contextmanager
def storescp(
    folder: Path, *, nodelay: bool, pdu: int = 16384, port: int = 0, ae_title: str = "STORESCP"
) -> Iterator[Served]:
    """DCMTK's storescp as a sink: what it receives goes to the null device as it came.

    Args:
        pdu: its receive PDU, from 4096 to 131072; its own default is 16384.
        port: 0 takes a free one.
    """
    listening = port or free_port()
    options = ["--ignore", "+B", "--max-pdu", str(pdu), "--aetitle", ae_title]
    with _running([program("storescp"), *options, str(listening)], folder, ae_title, listening, nodelay) as pid:
        yield Served(ae_title, listening, pid)


@dataclass(frozen=True)
class Orthanc(Served):
    """An Orthanc that runs."""

    http_port: int

    def count(self) -> int:
        """Instances that it holds."""
        with urllib.request.urlopen(f"http://{HOST}:{self.http_port}/statistics", timeout=30) as answer:
            return int(json.load(answer)["CountInstances"])


@contextmanager
def orthanc(
    folder: Path,
    *,
    nodelay: bool,
    sync: bool = True,
    known: Mapping[str, tuple[str, int]] | None = None,
    plugins: Sequence[str] = (),
) -> Iterator[Orthanc]:
    """Orthanc with its data in the folder, and otherwise as it comes.

    Args:
        sync: SyncStorageArea, its default: each file is synced before success is answered.
        known: AE title -> host and port of the move destinations.
        plugins: paths of what it loads.
    """
    dicom, http = free_port(), free_port()
    home = folder / f"orthanc-{dicom}"
    home.mkdir()
    configuration = {
        "Name": "Peer",
        "StorageDirectory": str(home / "storage"),
        "IndexDirectory": str(home / "storage"),
        "SyncStorageArea": sync,
        "HttpPort": http,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": "ORTHANC",
        "DicomPort": dicom,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "DicomModalities": {name: [name, *address] for name, address in (known or {}).items()},
        "Plugins": list(plugins),
    }
    (home / "orthanc.json").write_text(json.dumps(configuration))
    with _running([program("Orthanc"), str(home / "orthanc.json")], home, "ORTHANC", dicom, nodelay) as pid:
        yield Orthanc("ORTHANC", dicom, pid, http)


class EmbeddedPacs:
    """Test PACS servers of a lab of their own, as ``dicomfab lab`` runs them."""

    def __init__(self, folder: Path) -> None:
        self.lab = Lab(folder)
        self.config = self.lab.use_free_ports()

    def served(self, server_id: str = "test-pacs-1") -> Served:
        """One that runs."""
        found = process.running(self.lab.folders, server_id)
        if found is None:
            raise RuntimeError(f"{server_id} does not run: {self.lab.folders.output(server_id).read_text()}")
        server = self.config.server(server_id)
        return Served(server.ae_title, server.dicom_port, found.pid)

    def count(self, server_id: str = "test-pacs-1") -> int:
        """Instances that it holds."""
        return engine_of(self.config).holdings(self.config, self.config.server(server_id)).instances


@contextmanager
def embedded_pacs(folder: Path) -> Iterator[EmbeddedPacs]:
    """Our embedded PACS, one server of it, with its archive in the folder.

    Success is answered when what it took is durable (SQLite: WAL, synchronous FULL; larger files synced).
    """
    pacs = EmbeddedPacs(folder / "lab")
    pacs.lab.folders.make()
    process.start(pacs.lab.folders, "test-pacs-1")
    try:
        deadline = time.monotonic() + _START_S
        while True:
            try:
                pacs.count()
                break
            except NoAnswer:
                pacs.served()
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_S)
        yield pacs
    finally:
        pacs.lab.stop()


@contextmanager
def _running(arguments: Sequence[str], folder: Path, ae_title: str, port: int, nodelay: bool) -> Iterator[int]:
    with (folder / f"log-{port}.txt").open("wb") as log:
        child = subprocess.Popen(arguments, cwd=folder, stdout=log, stderr=log, env=environment(nodelay))
        try:
            _await_echo(child, ae_title, port, folder / f"log-{port}.txt")
            yield child.pid
        finally:
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(20)


def _await_echo(child: subprocess.Popen[bytes], ae_title: str, port: int, log: Path) -> None:
    """Asked by a foreign client, so that a peer is up or not whatever state our own is in."""
    deadline = time.monotonic() + _START_S
    echoscu = [program("echoscu"), "-q", "-aec", ae_title, HOST, str(port)]
    while time.monotonic() < deadline and child.poll() is None:
        if subprocess.run(echoscu, check=False, env=environment(True), capture_output=True).returncode == 0:
            return
        time.sleep(_POLL_S)
    raise RuntimeError(f"{child.args!r} did not start:\n{log.read_text(errors='replace')}")


# --------------------------------------------------------------------------- clients


def run_client(name: str, served: Served, arguments: Sequence[str], *, nodelay: bool, cwd: Path | None = None) -> float:
    """Run one of DCMTK's clients; the seconds that its process took, start and end included.

    Raises:
        RuntimeError: it ended with another exit code than 0.
    """
    command = [program(name), "-aec", served.ae_title, *arguments]
    start = time.perf_counter()
    done = subprocess.run(
        command, env=environment(nodelay), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=_CLIENT_S,
        check=False, cwd=cwd,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}")
    return seconds


def storescu(served: Served, files: Sequence[InstanceFile], *, nodelay: bool) -> float:
    """Send files with DCMTK's storescu over one association; the seconds that its process took."""
    arguments = [HOST, str(served.port), *(str(file.path) for file in files)]
    return run_client("storescu", served, arguments, nodelay=nodelay)


def storescu_rate(served: Served, few: Sequence[InstanceFile], many: Sequence[InstanceFile], *, nodelay: bool) -> float:
    """Instances per second of storescu, without its start and its association: from two runs of different size."""
    first = storescu(served, few, nodelay=nodelay)
    second = storescu(served, many, nodelay=nodelay)
    return rate_between((len(few), first), (len(many), second))


def rate_between(small: tuple[int, float], large: tuple[int, float]) -> float:
    """What a unit more costs, as units per second: (n2 - n1) / (t2 - t1).

    Raises:
        RuntimeError: the larger run took no longer; the machine is too busy to measure.
    """
    if large[1] <= small[1]:
        raise RuntimeError(f"{large[0]} took {large[1]:.3f} s, {small[0]} took {small[1]:.3f} s: nothing can be said")
    return (large[0] - small[0]) / (large[1] - small[1])


# --------------------------------------------------------------------------- children of our own


class Child:
    """A process of our own that does what it is asked, one request after the other (``child.py``).

    Its start and its imports are over before anything is measured.
    """

    def __init__(self, *imports: str) -> None:
        script = Path(__file__).with_name("child.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid
        self.ask("prepare", modules=list(imports))

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20)

    def begin(self, operation: str, **arguments: Any) -> None:
        """Send a request and do not wait."""
        if self._process.stdin is None:
            raise RuntimeError("the child has no standard input")
        self._process.stdin.write(json.dumps({"operation": operation, **arguments}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """Wait for the answer.

        Raises:
            RuntimeError: the child ended; its error is on standard error.
        """
        if self._process.stdout is None:
            raise RuntimeError("the child has no standard output")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a child process of the benchmark ended; see above")
        return json.loads(line)

    def ask(self, operation: str, **arguments: Any) -> Any:
        """Send a request and wait for its answer."""
        self.begin(operation, **arguments)
        return self.answer()


def processor_s(pid: int) -> float:
    """Processor time that a process has taken so far, user and system."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def resident_bytes(pid: int) -> int:
    """Resident memory of a process now."""
    return _status_bytes(pid, "VmRSS")


def peak_bytes(pid: int) -> int:
    """The most that it was since :func:`forget_peak`."""
    return _status_bytes(pid, "VmHWM")


def forget_peak(pid: int) -> None:
    """Let the peak begin anew at what is resident now (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _status_bytes(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) << 10
    raise RuntimeError(f"/proc/{pid}/status has no {name}")
