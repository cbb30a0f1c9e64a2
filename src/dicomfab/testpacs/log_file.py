"""The log file of a program that stays: a server of the lab, or a command that receives, orders or monitors."""

from __future__ import annotations

import logging
import logging.handlers
from pathlib import Path
from typing import Final

from dicomfab.model.log_lines import LogLines

LOG_BYTES: Final = 5_000_000
LOG_FILES: Final = 3


class _Rotating(logging.handlers.RotatingFileHandler):
    """Looks at the size of its file now and then: each look formats the record once more."""

    _LOOK_EVERY = 100
    _unseen = 0

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802 - logging's name
        self._unseen += 1
        if self._unseen < self._LOOK_EVERY:
            return False
        self._unseen = 0
        return bool(super().shouldRollover(record))


def log_to(path: Path) -> None:
    """Log to a file that is rotated before it grows large."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handler = _Rotating(path, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8")
    handler.setFormatter(LogLines("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)  # of libraries only warnings: the root's level stays
    logging.getLogger("dicomfab").setLevel(logging.INFO)
