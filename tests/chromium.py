"""Where this machine has Chromium."""

from __future__ import annotations

import os
import shutil

#: Takes half as long for the same pages, since it draws no window.
_SHELL = "chromium-headless-shell"


def installed() -> str | None:
    """The one that ``CHROMIUM`` names, else the system's: nothing is downloaded."""
    return os.environ.get("CHROMIUM") or shutil.which(_SHELL) or whole()


def whole() -> str | None:
    """One with all that belongs to a browser."""
    return shutil.which("chromium") or shutil.which("google-chrome")
