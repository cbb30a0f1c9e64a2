#!/usr/bin/env python3
"""Put the four test PACS servers and the C-MOVE routes between them into the registry: `dicomfab lab configure`.

Runs with any python3: it goes on with the interpreter of the clone, which has everything installed.
"""

import os
import subprocess
import sys
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]
PYTHON = CLONE / ".venv" / "bin" / "python"


def main():
    """Hand over to the clone's interpreter, or say what is missing."""
    if not is_set_up():
        sys.exit(f"DICOM Fabricator is not set up yet. Run 'make setup' (or 'make run') in {CLONE} once first.")
    command = [str(PYTHON), "-m", "dicomfab", "lab", "configure", *sys.argv[1:]]
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


def is_set_up():
    """Whether the clone's interpreter is there and finds the package."""
    return PYTHON.exists() and subprocess.call([str(PYTHON), "-c", "import dicomfab"], stderr=subprocess.DEVNULL) == 0


if __name__ == "__main__":
    main()
