"""The mapping profiles of an installation: one file for each, in a folder of its home."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from dicomfab.model.errors import Conflict, LocalFailure

if TYPE_CHECKING:
    from dicomfab.hl7.profile import Profile


def profiles_in(folder: Path) -> tuple[Profile, ...]:
    """The profiles of a folder, by the names of their files; none if there is no such folder.

    Raises:
        InvalidInput: one that cannot be used, by its file and field.
        Conflict: two are for the same sender.
        LocalFailure: a file cannot be read.
    """
    found = []
    for file in sorted(folder.glob("*.yaml")):
        try:
            stat = file.stat()
            found.append(_read(file, (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)))
        except (OSError, UnicodeDecodeError) as error:
            raise LocalFailure(
                f"the mapping profile {file.name} cannot be read", cause=str(error), remedy="save it as UTF-8, readable"
            ) from error
    senders = Counter(sender for profile in found for sender in profile.senders)
    twice = [sender for sender, times in senders.items() if times > 1]
    if twice:
        raise Conflict(
            f"several mapping profiles are for {twice[0]}",
            cause="it would depend on their names which one is used",
            remedy="leave it in one of them",
        )
    return tuple(found)


@lru_cache(maxsize=64)
def _read(file: Path, _unchanged: tuple[int, ...]) -> Profile:
    """A file is read when it has changed, not for each message."""
    from dicomfab.services.order_profile_file import read

    return read(file.read_text("utf-8"), source=file.name)
