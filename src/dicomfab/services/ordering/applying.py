"""Applying what was only committed to, in the background: in small parts, giving way to messages that come."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final

from dicomfab.model.errors import LocalFailure

log = logging.getLogger(__name__)

#: As often it is looked for what a run before left, or another process kept.
_LOOK_S: Final = 0.5
#: Messages of one transaction: whoever waits for an answer meanwhile waits as long as that takes.
_BATCH: Final = 10
#: For so long after a message others are likely to follow.
_BUSY_S: Final = 0.05
#: While messages come, applying rests so many times as long as it has worked.
_RESTS: Final = 9


class Applying:
    """Applies kept messages during a ``with`` block, this run's and what a run before left.

    Args:
        apply: applies up to so many, the oldest first; gives how many there were.
    """

    def __init__(self, apply: Callable[[int], int]) -> None:
        self._apply = apply
        self._woken = threading.Event()
        self._over = threading.Event()
        self._came_at = 0.0
        self._thread = threading.Thread(target=self._run, name="hl7-apply", daemon=True)

    def __enter__(self) -> Applying:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._woken.set()
        self._thread.join()

    def came(self, *, is_kept: bool) -> None:
        """A message was taken; if it was only kept, it is applied soon."""
        self._came_at = time.monotonic()
        if is_kept:
            self._woken.set()

    def _run(self) -> None:
        while not self._over.is_set():
            self._woken.clear()
            start = time.monotonic()
            try:
                applied = self._apply(_BATCH)
            except LocalFailure as failure:
                log.error("kept messages could not be applied: %s", failure.what)
                applied = 0
            if applied:
                self._give_way(_RESTS * (time.monotonic() - start))
            else:
                self._woken.wait(_LOOK_S)

    def _give_way(self, most_s: float) -> None:
        """Wait while messages come, but not for ever."""
        end = time.monotonic() + most_s
        while not self._over.is_set():
            now = time.monotonic()
            left_s = min(end, self._came_at + _BUSY_S) - now
            if left_s <= 0:
                return
            self._over.wait(left_s)
