"""How our log files write: a line stays a line, and of an unexpected failure it says where, not what was said."""

from __future__ import annotations

import copy
import logging
import traceback
from types import TracebackType
from typing import TypeAlias

_ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class LogLines(logging.Formatter):
    """What somebody else sent, such as a path or an AE title, can neither end a line nor steer a terminal.

    The words of an exception stay out: those of pydicom and of a database quote the value at fault, a patient's name
    too.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, and below it the places of a failure."""
        ours = copy.copy(record)
        ours.exc_text = None  # what another's formatter made of it has the words
        return super().format(ours)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line without what cannot be printed."""
        line = super().formatMessage(record)
        return line if line.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802 - logging's name
        """The kind of a failure and its places."""
        kind, _, trace = ei
        return f"{kind.__name__ if kind else ''}\n{places(trace)}"


def places(trace: TracebackType | None) -> str:
    """Where something failed, the innermost place last; without the values that it was about."""
    return "".join(traceback.format_list(traceback.extract_tb(trace))).rstrip("\n")


def log_failure(log: logging.Logger, what: str, error: Exception) -> None:
    """Note that something failed unexpectedly.

    The error's own words stay out: those of pydicom and of a database quote the value at fault, a patient's name too.

    Args:
        log: of the module that caught it.
        what: what failed, in words that name no patient.
        error: what was caught.
    """
    if not log.isEnabledFor(logging.ERROR):
        return
    told = ("%s failed: %s", (what, type(error).__name__))
    # Places go where a stack goes: below the line, whatever writes it.
    log.handle(
        log.makeRecord(log.name, logging.ERROR, __file__, 0, *told, exc_info=None, sinfo=places(error.__traceback__))
    )
