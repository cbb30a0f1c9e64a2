"""Ports of this machine: are they free, and if not, who has them."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from random import SystemRandom
from typing import Final

import psutil

from dicomfab.model.errors import LocalFailure, PortInUse
from dicomfab.testpacs.process import is_of_a_lab
from dicomfab.testpacs.spec import ServerSpec

# Above our defaults and those of others, and what browsers refuse to speak to.
_LOWEST_FREE: Final = 20_000
_TRIES: Final = 100
_ANY: Final = 0
_CONNECTIONS: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


def require_free(servers: Iterable[ServerSpec], bind: str) -> None:
    """Check that every port of these servers can be listened on.

    Raises:
        PortInUse: one cannot, naming the process that has it.
        LocalFailure: the address is not this machine's, or the port needs privileges.
    """
    for server in servers:
        for port, purpose in ((server.dicom_port, "DICOM"), (server.web_port, "web")):
            try:
                listening(bind, port).close()
            except OSError as error:
                raise not_free(error, bind, port, f"{purpose} port of {server.name}") from error


def listening(bind: str, port: int) -> socket.socket:
    """A socket bound to a port, for a server that listens on it.

    Raises:
        OSError: the port cannot be had.
    """
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    # asyncio switches Nagle's algorithm off only where the protocol is named: without it each page waits for 40 ms.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # those of a server just stopped count as free
        bound.bind((bind, port))
    except BaseException:
        bound.close()
        raise
    return bound


def free_ports(count: int, bind: str) -> list[int]:
    """Different ports that nobody has at this moment.

    Not of those that connections are given: a server would find its port taken by one when it is started again.

    Raises:
        OSError: the address is not this machine's, or no port is left.
    """
    kept = range(_LOWEST_FREE, max(_LOWEST_FREE, _first_of_connections()))
    tried = SystemRandom().sample(kept, min(len(kept), count + _TRIES))
    found: list[int] = []
    with ExitStack() as held:
        for port in (*tried, *[_ANY] * count):
            try:
                bound = held.enter_context(listening(bind, port))
            except OSError:
                if port == _ANY:
                    raise
                continue
            found.append(int(bound.getsockname()[1]))
            if len(found) == count:
                break
    return found


def _first_of_connections() -> int:
    """The first port that the system gives to a connection."""
    try:
        return int(_CONNECTIONS.read_text().split()[0])
    except (OSError, ValueError, IndexError):  # not Linux: 49152 there (RFC 6335), and less does no harm
        return 32_768


def not_free(error: OSError, bind: str, port: int, purpose: str) -> LocalFailure:
    """The error for a port that could not be bound."""
    if error.errno != errno.EADDRINUSE:
        return LocalFailure(
            f"port {port} of {bind} ({purpose}) cannot be listened on: {error.strerror}",
            cause="the address is not one of this machine's, or ports below 1024 are kept for root",
            remedy="choose other ports or another address: dicomfab lab start --dicom-ports ... --web-ports ... --bind",
        )
    owner = _owner(port)
    elsewhere = "choose others: dicomfab lab start --free-ports, or --dicom-ports and --web-ports"
    if owner is None:
        return PortInUse(
            f"port {port} ({purpose}) is taken, by a process of another user",
            cause="another DICOM server or web server listens on it",
            remedy=f"see which one with: sudo lsof -i :{port} - and stop it, or {elsewhere}",
        )
    name, pid, is_lab = owner
    cause = "that is the lab of another DICOMFAB_HOME" if is_lab else "another server listens on it"
    if name == "Orthanc" and not is_lab:
        cause = "Debian starts the Orthanc that it installs; this ends it: sudo systemctl disable --now orthanc"
    return PortInUse(
        f"port {port} ({purpose}) is taken by {name} (pid {pid})",
        cause=cause,
        remedy=f"stop it, or {elsewhere}",
    )


def _owner(port: int) -> tuple[str, int, bool] | None:
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:  # on macOS for everybody but root
        return None
    pids = [c.pid for c in connections if c.status == psutil.CONN_LISTEN and c.laddr.port == port and c.pid]
    for pid in pids:
        try:
            process = psutil.Process(pid)
            return process.name(), pid, is_of_a_lab(process.cmdline())
        except psutil.Error:
            continue
    return None
