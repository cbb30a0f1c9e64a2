"""How a home that was made elsewhere takes its place.

It is made beside its place, and takes it by one rename. That cannot be where the home is a volume of its own, or stands
in a folder that only others may write to, as a container's and a service's do. There it is made within, and its entries
are moved up, the database last. A note says that it is complete: if the process is killed meanwhile, whoever restores
next moves the rest.
"""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from dicomfab.services.backup import failures
from dicomfab.services.backup.beside import beside, is_ours, sync
from dicomfab.services.backup.contents import DATABASE

_PURPOSE: Final = "restoring"
_WITHIN: Final = "home"
_COMPLETE: Final = "restored-home-is-complete"
_OF_DISK: Final = "lost+found"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a home is to be, and nothing is.

    Args:
        home: the folder; there, if it is made within.
        within: whether it is made within.
    """

    home: Path
    within: bool

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The place of a home.

        Args:
            folder: not there, or empty.

        Raises:
            Conflict: something is in it; or a restore had to be completed, and was.
        """
        home = Path(os.path.realpath(folder))
        try:
            found = {path for path in home.iterdir() if path.name != _OF_DISK}
        except FileNotFoundError:
            return cls(home, within=False)
        except NotADirectoryError:
            raise failures.not_empty(folder) from None
        left = {path for path in found if is_ours(path, home / _WITHIN, _PURPOSE)}
        for path in left:
            if (path / _COMPLETE).exists():
                _move_up(path, home)
                raise failures.was_completed(folder)
        if found - left:
            raise failures.not_empty(folder)
        return cls(home, within=bool(left) or os.path.ismount(home) or not os.access(home.parent, os.W_OK | os.X_OK))

    def making(self) -> AbstractContextManager[Path]:
        """A folder to make the home in, during the block."""
        return beside(self.home / _WITHIN if self.within else self.home, _PURPOSE)

    def put(self, made: Path) -> None:
        """Let what was made, and is on the disk, take its place.

        Raises:
            OSError: it cannot; something else is there now.
        """
        if not self.within:
            os.rename(made, self.home)
            sync(self.home.parent)
            return
        (made / _COMPLETE).touch()
        sync(made)
        _move_up(made, self.home)


def _move_up(made: Path, home: Path) -> None:
    entries = sorted(made.iterdir(), key=lambda path: (path.name == DATABASE, path.name))
    for path in entries:
        if path.name != _COMPLETE:
            if os.path.lexists(home / path.name):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(home / path.name))
            path.rename(home / path.name)
    sync(home)
    shutil.rmtree(made)
