"""Files with the passwords and tokens of DICOMweb services, and which files those may be."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicomfab.model.errors import InvalidInput

_MAX_SECRET_BYTES: Final = 16 << 10
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class SecretFiles:
    """Whoever may change an entry says which file is read, and to which server its line goes: so few files will do.

    Args:
        folder: in which any file may be one; made when it is first looked into. ``None``: there is no such folder.
        files: others that may be.
    """

    folder: Path | None = None
    files: tuple[Path, ...] = ()

    def read(self, path: str, *, is_token: bool = False) -> str:
        """The first line of a file that is its owner's alone.

        Args:
            path: of the file.
            is_token: it is sent as it is, and therefore has to be ASCII.

        Raises:
            InvalidInput: the file is none of these, or cannot be used.
        """
        actual = self._allowed(path)
        try:
            with open(os.open(actual, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                if not stat.S_ISREG(mode) or mode & _OTHERS:
                    raise _unusable(path, "is not a file that its owner alone can read")
                text = file.read(_MAX_SECRET_BYTES).decode("utf-8")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "it is no text"
            raise _unusable(path, f"cannot be read ({why})") from None  # the error holds what was read
        line = text.partition("\n")[0].rstrip("\r")
        if not line or not line.isprintable():
            raise _unusable(path, "holds no secret" if not line else "holds a character that no secret has")
        if is_token and not line.isascii():
            raise _unusable(path, "holds a character that no token has")
        return line

    def _allowed(self, path: str) -> str:
        """Where the file really is."""
        try:
            if self.folder is not None:
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            actual = os.path.realpath(path)
        except (OSError, ValueError) as error:
            raise _unusable(path, f"cannot be read ({getattr(error, 'strerror', None) or 'it is no path'})") from None
        inside = self.folder is not None and Path(actual).is_relative_to(os.path.realpath(self.folder))
        if not inside and actual not in map(os.path.realpath, self.files):
            where = "there is no folder for such files" if self.folder is None else f"only files in {self.folder} are"
            raise _unusable(path, f"may not be used as a secret: {where}")
        return actual


#: No file at all.
NO_SECRETS: Final = SecretFiles()


def _unusable(path: str, problem: str) -> InvalidInput:
    return InvalidInput(
        f"dicomweb_secret_file: {path!r} {problem}",
        field="dicomweb_secret_file",
        value=path,
        cause="the file is not there, may not be read by the user that dicomfab runs as, or holds something else",
        remedy="write the password or the token alone into a file in the folder 'secrets' of DICOM Fabricator's home "
        "folder, readable by that user only: chmod 600 FILE",
    )
