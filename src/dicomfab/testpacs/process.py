"""A server as a process of this machine: started, recognised and stopped.

Whether a server runs is told by a lock on its pid file. The lock is taken before the process is started and inherited
by it, so there is no moment at which a server runs and is not known, whoever is killed when; and the operating system
lets go of it the moment the server is gone, so a stale file or a recycled pid never passes for a server.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from dicomfab.model.errors import LocalFailure
from dicomfab.testpacs.folders import ORTHANC_SETTINGS, LabFolders

MODULE = "dicomfab.testpacs"
_PID_FILE_WAIT_S = 5.0
_POLL_S = 0.02

# Servers outlive the command that starts them. In a program that stays, they are kept here to be reaped when they end.
_started: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True, slots=True)
class Running:
    """What a pid file says of the server that holds it."""

    pid: int
    started_at: datetime

    @property
    def uptime_s(self) -> float:
        """Seconds since its start."""
        return (datetime.now(UTC) - self.started_at).total_seconds()


def take_pid_file(folders: LabFolders, server_id: str) -> int | None:
    """Lock the pid file of a server.

    Returns:
        A file descriptor that holds the lock; ``None`` if the server runs.
    """
    path = folders.pid_file(server_id)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    while (handle := _lock(path, fcntl.LOCK_EX)) is None:
        if running(folders, server_id) is not None:
            return None
        time.sleep(_POLL_S)  # somebody only looked whether it is locked
    return handle


def claim(folders: LabFolders, server_id: str, inherited: int | None) -> int | None:
    """Make this process the server, for as long as it lives.

    Args:
        folders: the lab's.
        server_id: which server.
        inherited: a file descriptor that holds the lock already; none takes it.

    Returns:
        A file descriptor that holds the lock; ``None`` if the server runs already.
    """
    handle = take_pid_file(folders, server_id) if inherited is None else inherited
    if handle is None:
        return None
    os.set_inheritable(handle, False)
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps({"pid": os.getpid(), "started_at": datetime.now(UTC).isoformat()}).encode(), 0)
    # A server must not keep the folder busy that its user happened to stand in.
    os.chdir(folders.root)
    return handle


def start(folders: LabFolders, server_id: str) -> int | None:
    """Start a server in a session of its own, so that it survives the shell.

    Returns:
        Its pid; ``None`` if it runs already.
    """
    handle = take_pid_file(folders, server_id)
    if handle is None:
        return None
    try:
        os.ftruncate(handle, 0)
        with folders.output(server_id).open("wb") as output:
            command = [
                sys.executable,
                "-m",
                MODULE,
                server_id,
                "--lab",
                str(folders.root),
                "--pid-file-fd",
                str(handle),
            ]
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=(handle,),
            )
    finally:
        os.close(handle)
    _started[child.pid] = child
    return child.pid


def running(folders: LabFolders, server_id: str) -> Running | None:
    """The server, if it runs.

    Raises:
        LocalFailure: somebody holds the lock, and it is no server of this lab that this process can see.
    """
    _reap()
    path = folders.pid_file(server_id)
    deadline = time.monotonic() + _PID_FILE_WAIT_S
    while path.exists():
        if not _is_locked(path):
            return None
        found = _read(path)
        if found is not None and _is_server(found.pid, folders, server_id):
            return found
        if time.monotonic() > deadline:
            raise _held_by_stranger(path)
        time.sleep(_POLL_S)  # the process was only just started and has not written its file
    return None


def last_words(folders: LabFolders, server_id: str) -> str:
    """The line of a server's output that says why it ended: of an error its first, of a traceback its last."""
    try:
        lines = folders.output(server_id).read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return ""
    return next((line for line in reversed(lines) if line[:1].strip()), "")


def stop(folders: LabFolders, server_ids: Iterable[str], *, grace_s: float) -> tuple[str, ...]:
    """Ask servers to end, and end those that do not within the grace.

    Returns:
        The ids of those that ran.
    """
    processes: dict[str, psutil.Process] = {}
    for server_id in server_ids:
        found = running(folders, server_id)
        if found is None:
            continue
        try:
            # psutil remembers which process it means: should the pid change hands now, no signal is sent.
            processes[server_id] = psutil.Process(found.pid)
            processes[server_id].terminate()
        except psutil.NoSuchProcess:
            continue
    for server_id in _still_locked(folders, processes, grace_s):
        with suppress(psutil.NoSuchProcess):
            processes[server_id].kill()
    _still_locked(folders, processes, grace_s)
    _reap()
    return tuple(processes)


def _still_locked(folders: LabFolders, server_ids: Iterable[str], wait_s: float) -> list[str]:
    """Wait until servers have let go of their pid files; gives those that have not.

    The process table would not do: where nobody reaps orphans, as in many containers, the ended stay in it.
    """
    deadline = time.monotonic() + wait_s
    left = list(server_ids)
    while True:
        left = [server_id for server_id in left if _is_locked(folders.pid_file(server_id))]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(_POLL_S)


def _is_locked(path: Path) -> bool:
    handle = _lock(path, fcntl.LOCK_SH)
    if handle is not None:
        os.close(handle)
    return handle is None


def _lock(path: Path, kind: int) -> int | None:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _read(path: Path) -> Running | None:
    try:
        content = json.loads(path.read_bytes())
        return Running(content["pid"], datetime.fromisoformat(content["started_at"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_server(pid: int, folders: LabFolders, server_id: str) -> bool:
    """The lock's holder wrote this pid; in another container, sharing the folder, it may mean another process."""
    try:
        words = psutil.Process(pid).cmdline()
    except psutil.Error:
        return False
    return any(mark <= set(words) for mark in _marks(folders, server_id))


def _marks(folders: LabFolders, server_id: str) -> tuple[frozenset[str], ...]:
    """What a command line says if it is this server's: that of our program, or of the Orthanc that it became."""
    own, orthanc = (MODULE, server_id, str(folders.root)), (str(folders.orthanc_settings(server_id)),)
    return frozenset(own), frozenset(orthanc)


def is_of_a_lab(words: Iterable[str]) -> bool:
    """Whether a command line is that of a server of any lab."""
    return any(word == MODULE or word.endswith(f"/{ORTHANC_SETTINGS}") for word in words)


def _reap() -> None:
    for pid, child in list(_started.items()):
        if child.poll() is not None:
            _started.pop(pid, None)


def _held_by_stranger(path: Path) -> LocalFailure:
    return LocalFailure(
        f"{path} is locked, but not by a server that can be seen from here",
        cause="another container or user runs the lab in the same folder",
        remedy="stop the lab where it was started, or point DICOMFAB_HOME at a folder of your own",
    )
