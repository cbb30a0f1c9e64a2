"""An unexpected failure of our own code, as a log may show it: where it happened, without the values it names."""

from __future__ import annotations

import logging
import traceback


def log_failure(log: logging.Logger, what: str, error: Exception) -> None:
    """Note that something failed unexpectedly.

    The error's own words stay out: those of pydicom and of a database quote the value at fault, a patient's name too.

    Args:
        log: of the module that caught it.
        what: what failed, in words that name no patient.
        error: what was caught.
    """
    places = "".join(traceback.format_list(traceback.extract_tb(error.__traceback__)))
    log.error("%s failed: %s\n%s", what, type(error).__name__, places)
