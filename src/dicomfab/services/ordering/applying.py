"""Applying what was only committed to, in the background: in small parts, giving way to messages that come."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final

from dicomfab.model.errors import LocalFailure
from dicomfab.model.log_lines import log_failure

log = logging.getLogger(__name__)

#: As often it is looked for what a run before left, or another process kept.
_LOOK_S: Final = 0.5
#: Messages of one transaction, when nobody has sent any for a while. Else it is one at a time: who sends the next waits
#: as long as that takes.
_BATCH: Final = 10
_WHILE_S: Final = 0.05
#: A sender that waits for each answer leaves shorter gaps than this, and than so many times what its last message took.
#: In one that is longer there is time to apply.
_GAP_S: Final = 0.003
_GAP_OF_TAKING: Final = 3
#: Without such a gap, applying rests so many times as long as it has worked.
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
        self._gap_s = _GAP_S
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

    @contextmanager
    def giving_way(self) -> Iterator[None]:
        """For the block in which a message is taken."""
        start = self._came_at = time.monotonic()
        yield
        self._came_at = time.monotonic()
        self._gap_s = max(_GAP_S, _GAP_OF_TAKING * (self._came_at - start))

    def kept(self) -> None:
        """There is something to be applied."""
        self._woken.set()

    def _run(self) -> None:
        while not self._over.is_set():
            self._woken.clear()
            start = time.monotonic()
            try:
                applied = self._apply(_BATCH if start - self._came_at > _WHILE_S else 1)
            except LocalFailure as failure:
                log.error("kept messages could not be applied: %s", failure.what)
                applied = 0
            except Exception as error:  # noqa: BLE001 (outermost door of a thread: nobody else applies them)
                log_failure(log, "applying kept messages", error)
                applied = 0
            took_s = time.monotonic() - start
            if not applied:
                self._woken.wait(_LOOK_S)
            self._give_way(_RESTS * max(took_s, _GAP_S))

    def _give_way(self, most_s: float) -> None:
        """Wait for a gap between messages, but not for ever."""
        end = time.monotonic() + most_s
        while not self._over.is_set():
            now = time.monotonic()
            left_s = min(end, self._came_at + self._gap_s) - now
            if left_s <= 0:
                return
            self._over.wait(left_s)
