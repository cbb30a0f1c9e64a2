"""Local studies follow their patients in the background, while messages about them come."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final

from dicomfab.model.errors import LocalFailure
from dicomfab.model.log_lines import log_failure
from dicomfab.services.progress import Cancelled

log = logging.getLogger(__name__)

_LOOK_S: Final = 0.5


class Following:
    """Carries out what is pending during a ``with`` block, this run's and what a run before left.

    Args:
        carry_out: does what is pending; asks whether to stop before each study.
    """

    def __init__(self, carry_out: Callable[[Cancelled], object]) -> None:
        self._carry_out = carry_out
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="patients-follow", daemon=True)

    def __enter__(self) -> Following:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        said = ""
        while not self._over.is_set():
            try:
                self._carry_out(self._over.is_set)
                said = ""
            except LocalFailure as failure:
                if failure.what != said:  # it is tried again and again, and stays the same
                    log.error("local studies could not follow their patients: %s", failure.what)
                said = failure.what
            except Exception as error:  # noqa: BLE001 (outermost door of a thread: nobody else carries them out)
                if type(error).__name__ != said:
                    log_failure(log, "having local studies follow their patients", error)
                said = type(error).__name__
            self._over.wait(_LOOK_S)
