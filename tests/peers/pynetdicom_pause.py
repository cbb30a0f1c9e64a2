"""pynetdicom 3.0 loses a response in some thousands, or waits for ever; with this it does neither.

Whoever sends a request pauses the thread that reads for the association, lest that take the response. Two things are
wrong there: that thread may have passed the checkpoint just before, and not yet said so: both read then. And a thread
that hands over an N-EVENT-REPORT says "paused" and "not paused" in its name: the one lets both read, and the other has
the sender wait for what is long so.
"""

from __future__ import annotations

import threading
from typing import Any

from pynetdicom.association import Association


class Checkpoint(threading.Event):
    """Set while the reading thread of an association may go on, which passes and says so in one step."""

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


def _paused(association: Association) -> bool:
    return association._kill or association.__dict__.get("_reader_is_paused", False)


def _say_paused(association: Association, value: bool) -> None:
    if threading.current_thread() is association:
        association.__dict__["_reader_is_paused"] = value


def mend() -> None:
    """Have every association of this process paused by such a checkpoint, and by nobody but its reading thread."""
    initialise = Association.__init__

    def initialised(self: Association, *arguments: Any, **options: Any) -> None:
        initialise(self, *arguments, **options)
        self._reactor_checkpoint = Checkpoint(self)
        self._reactor_checkpoint.set()

    Association.__init__ = initialised
    Association._is_paused = property(_paused, _say_paused)
