"""What can be wrong with a backup or with putting one back, in words."""

from __future__ import annotations

import errno
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dicomfab.model.disk import is_disk_full
from dicomfab.model.errors import Conflict, DiskFull, InvalidInput, LocalFailure, NotFound

if TYPE_CHECKING:
    from dicomfab.storage.address import PostgresAddress


@contextmanager
def of_backup(target: Path) -> Iterator[None]:
    """Turn the errors of the disk into ours, while a backup is written."""
    try:
        yield
    except FileExistsError:
        raise is_there(target) from None
    except OSError as error:
        if is_disk_full(error):
            raise _no_room(target, str(target)) from error
        raise _failed(f"the backup {target} could not be written", error) from error


@contextmanager
def of_restore(home: Path) -> Iterator[None]:
    """Turn the errors of the disk into ours, while a backup is put back."""
    try:
        yield
    except DiskFull as error:
        raise _no_room(home, f"the home {home}") from error
    except OSError as error:
        if is_disk_full(error):
            raise _no_room(home, f"the home {home}") from error
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise not_empty(home) from error
        raise _failed(f"the home {home} could not be made", error) from error


def require_room(folder: Path, size: int, what: Path) -> None:
    """See that a disk has room for something.

    Args:
        folder: on that disk.
        size: bytes that are needed at least.
        what: is to be written.

    Raises:
        DiskFull: it has not.
    """
    free = shutil.disk_usage(folder).free
    if size > free:
        raise DiskFull(
            f"{what} needs {size / 1e6:,.1f} MB, and its disk has {free / 1e6:,.1f} MB: nothing was written",
            cause="the disk is too small, or full",
            remedy="make room, or name a place on another disk",
        )


def no_home(home: Path) -> NotFound:
    """There is nothing to take a backup of."""
    return NotFound(
        f"there is no home at {home}, so that there is nothing to back up",
        cause="DICOMFAB_HOME names another folder than that of the installation, or nothing was done in it yet",
        remedy="set DICOMFAB_HOME as the installation has it",
    )


def within_home(target: Path, home: Path) -> InvalidInput:
    """The backup would be lost with what it is of."""
    return InvalidInput(
        f"{target} is in the home {home} that it would be a backup of",
        field="file",
        value=str(target),
        cause="whatever takes the home takes such a backup along; and the next one would hold it",
        remedy="name a file outside the home, on another disk if there is one",
    )


def no_file_name(target: Path) -> InvalidInput:
    """A folder, or a file in a folder that is not there."""
    is_folder = target.is_dir()
    return InvalidInput(
        f"{target} is a folder" if is_folder else f"there is no folder {target.parent}",
        field="file",
        value=str(target),
        cause="a backup is one file, in a folder that is there",
        remedy=f"name a file: {target}/dicomfab.tar" if is_folder else f"make it: mkdir -p {target.parent}",
    )


def is_there(target: Path) -> Conflict:
    """The file is there."""
    return Conflict(
        f"{target} is there already, and was left as it is",
        cause="an earlier backup has that name",
        remedy="name another file, or add --overwrite",
    )


def of_database(database: Path | PostgresAddress) -> InvalidInput:
    """The database is where the command does not think it is."""
    if isinstance(database, Path):
        return InvalidInput(
            "--without-database: the database of this installation is a file of the home",
            field="--without-database",
            cause="DICOMFAB_DATABASE is not set here, as it is where the installation runs",
            remedy="leave the option out; or set DICOMFAB_DATABASE, if the installation has one",
        )
    options = {
        "--host": database.host or database.options.get("host", ""),
        "--port": str(database.port),
        "--username": database.user,
    }
    words = ["pg_dump", "--format=custom", "--file=dicomfab.dump"]
    words += [f"{name}={value}" for name, value in options.items() if value]
    dump = shlex.join([*words, database.database])
    return InvalidInput(
        f"the database {database} is not in the home, and is not part of its backup",
        field="--without-database",
        cause="PostgreSQL has programs of its own for that, which know all of what it can do",
        remedy=f"first {dump} and then the rest: dicomfab backup FILE --without-database",
    )


def not_empty(home: Path) -> Conflict:
    """There is something where the backup is to be put."""
    return Conflict(
        f"the home {home} is not empty, and was left as it is: nothing was restored",
        cause="a backup is put back as a whole, never over something else",
        remedy=f"stop what runs there, then move it away: mv {home} {home}.before; or name another folder: "
        "DICOMFAB_HOME=FOLDER dicomfab restore FILE",
    )


def was_completed(home: Path) -> Conflict:
    """An earlier one was killed at its very end."""
    return Conflict(
        f"the home {home} is that of an earlier restore, and complete now; nothing else was restored",
        cause="that one was killed at its end, when only the names of some files were still to be changed",
        remedy="use it; or move it away, and restore again",
    )


def other_database(has_one: bool) -> InvalidInput:
    """The backup holds the database, and another is set; or neither."""
    if has_one:
        return InvalidInput(
            "the backup holds its database, and DICOMFAB_DATABASE names another one: nothing was restored",
            field="DICOMFAB_DATABASE",
            cause="it was taken of an installation without PostgreSQL",
            remedy="unset DICOMFAB_DATABASE, here and wherever the installation is to run",
        )
    return InvalidInput(
        "the backup was taken without its database, and DICOMFAB_DATABASE is not set: nothing was restored",
        field="DICOMFAB_DATABASE",
        cause="the database was on PostgreSQL",
        remedy="restore it there first (pg_restore), set DICOMFAB_DATABASE, and do it again",
    )


def _no_room(place: Path, what: str) -> DiskFull:
    return DiskFull(
        f"no space is left for {what}; nothing of it is left",
        cause=f"the disk of {place.parent} is full",
        remedy="make room, or name a place on another disk, and do it again",
    )


def _failed(what: str, error: OSError) -> LocalFailure:
    causes = {
        errno.EFBIG: "the file system, or a limit of this process (ulimit -f), allows no file as large as that",
        errno.ENOLCK: "its file system knows no locks",
    }
    where = f": {error.filename}" if error.filename else ""
    return LocalFailure(
        f"{what} ({error.strerror or error}{where}); nothing of it is left",
        cause=causes.get(error.errno or 0, "the folder cannot be written, or the disk fails"),
        remedy="mend that, or name a place on another disk, and do it again",
    )
