"""An unexpected failure of our own code, as a log may show it: where it happened, without the values it names."""

from __future__ import annotations

import logging

from dicomfab.model.log_lines import places


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
