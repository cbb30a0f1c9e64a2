"""Text files that commands are given."""

from __future__ import annotations

import sys
from pathlib import Path

from dicomfab.model.errors import InvalidInput, NotFound


def read_text(file: str, *, remedy: str) -> str:
    """The text of a file, or of standard input for ``-``.

    Args:
        file: its path.
        remedy: how to save it, if it is not UTF-8.

    Raises:
        NotFound: it cannot be read.
        InvalidInput: it is not UTF-8.
    """
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise NotFound(
            f"{file}: {error.strerror}", cause="the file is not there or may not be read", remedy="check the path"
        ) from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{file}: byte {error.start} is not UTF-8",
            field="(file)",
            source=file,
            cause="the file is in another encoding or no text at all",
            remedy=remedy,
        ) from error
