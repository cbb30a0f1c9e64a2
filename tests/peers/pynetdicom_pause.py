"""pynetdicom 3.0 loses a response in some thousands; with this it does not.

Whoever sends a request pauses the thread that reads for the association, lest that take the response. The thread may
have passed the checkpoint just before, and not yet said so: both read then. Here it passes and says so in one step.
"""

from __future__ import annotations

import threading
from typing import Any

from pynetdicom.association import Association


class Checkpoint(threading.Event):
    """Set while the reading thread of an association may go on."""

    def __init__(self, association: Association) -> None:
        super().__init__()
        self._association = association
        self._passing = threading.Lock()

    def wait(self, timeout: float | None = None) -> bool:
        """Pass, as one that is paused no longer."""
        while super().wait(timeout):
            with self._passing:
                if self.is_set():
                    self._association._is_paused = False
                    return True
        return False

    def clear(self) -> None:
        """Let nobody pass from now on."""
        with self._passing:
            super().clear()


def mend() -> None:
    """Give every association of this process such a checkpoint."""
    initialise = Association.__init__

    def initialised(self: Association, *arguments: Any, **options: Any) -> None:
        initialise(self, *arguments, **options)
        self._reactor_checkpoint = Checkpoint(self)
        self._reactor_checkpoint.set()

    Association.__init__ = initialised
