"""The four servers for as long as one process lives, as a service manager or a container wants them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from dicomfab.model.errors import LocalFailure
from dicomfab.testpacs import process
from dicomfab.testpacs.lab import Lab, ServerStatus
from dicomfab.testpacs.spec import IDS

_LOOK_S: Final = 1.0


def run(lab: Lab, on_ready: Callable[[tuple[ServerStatus, ...]], None]) -> None:
    """Start the servers, and stop them when this is interrupted or one of them ends.

    They are processes of their own as ever, so that other commands see them. Stopping all of them from elsewhere
    (``dicomfab lab stop``) ends this as well.

    Args:
        lab: whose servers.
        on_ready: told when all four answer.

    Raises:
        KeyboardInterrupt: as the caller arranged for SIGINT and SIGTERM; the servers were stopped.
        LocalFailure: a server could not be started, or ended while the others ran; these were stopped.
    """
    try:
        on_ready(lab.start())
        while not _ended(lab):
            time.sleep(_LOOK_S)
        with lab.folders.locked():  # who is just stopping them has the lock until all have ended
            ended = _ended(lab)
        if len(ended) < len(IDS):
            raise LocalFailure(
                f"{', '.join(ended)} ended; the other servers were stopped",
                cause="somebody killed the process, or it failed: its file below lab/logs in the home says more",
                remedy="start them again: dicomfab lab run",
            )
    finally:
        lab.stop()


def _ended(lab: Lab) -> list[str]:
    """Names of the servers that do not run."""
    return [one.name for one in lab.config.servers if process.running(lab.folders, one.id) is None]
