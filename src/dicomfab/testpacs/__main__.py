"""``python -m dicomfab.testpacs ID --lab FOLDER``: one test PACS server, in the foreground."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dicomfab.model.errors import DicomFabError
from dicomfab.testpacs import process, spec
from dicomfab.testpacs.engine import engine_of
from dicomfab.testpacs.folders import LabFolders


def main() -> int:
    """Run the server; the exit code is 0 after SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m dicomfab.testpacs", description=__doc__)
    parser.add_argument("id", choices=spec.IDS)
    parser.add_argument("--lab", type=Path, required=True, help="the folder of lab.json, data, logs and pid files")
    parser.add_argument("--pid-file-fd", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    folders = LabFolders(given.lab.absolute())
    try:
        lock = process.claim(folders, given.id, given.pid_file_fd)
        if lock is None:
            print(f"{given.id} runs already", file=sys.stderr)  # noqa: T201 - this is a program
            return 1
        config = spec.load(folders.root)
        engine_of(config).serve(config, config.server(given.id), folders, lock)
    except DicomFabError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
