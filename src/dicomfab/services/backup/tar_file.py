"""The file of a backup: a plain tar of regular files; the first says what it is, the last lists all others.

Any tar program can list and unpack it. Our reader takes only what our writer writes, byte for byte: regular files with
plain names, headers that say nothing else, zeros in between. So there is nothing in it that no check covers, and no
link, device or path out of the folder can come along.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterator
from typing import IO, Any, Final, NamedTuple

ABOUT: Final = "backup.json"
MANIFEST: Final = "manifest.jsonl"
BLOCK: Final = tarfile.BLOCKSIZE
_ZEROS: Final = bytes(tarfile.RECORDSIZE + BLOCK)  # no end is longer
_PIECE: Final = 1 << 20
_MAX_NAME: Final = 4096


class Shortened(Exception):
    """A file ended before the size that was promised for it; nothing of it is in the backup."""


class Written(NamedTuple):
    """A backup that is complete.

    Args:
        members: how many files it has, without the list of them.
        fingerprint: SHA-256 of the list, 64 hexadecimal digits; it tells one backup from another.
    """

    members: int
    fingerprint: str


class Digests:
    """The list of all members, line by line; itself never held."""

    def __init__(self) -> None:
        self.members = 0
        self.size = 0
        self._sum = hashlib.sha256()

    def line(self, name: str, size: int, digest: str) -> bytes:
        """The line of the next member."""
        values = {"name": name, "size": size, "sha256": digest}
        line = f"{json.dumps(values, separators=(',', ':'))}\n".encode()
        self.members += 1
        self.size += len(line)
        self._sum.update(line)
        return line

    @property
    def written(self) -> Written:
        """What all lines so far come to."""
        return Written(self.members, self._sum.hexdigest())


class Writer:
    """Writes a backup.

    Args:
        file: where to; it can be sought.
        listed: an empty file for the list until the end.
        moment: seconds since the epoch, the time of all members.
    """

    def __init__(self, file: IO[bytes], listed: IO[bytes], moment: int) -> None:
        self._file = file
        self._listed = listed
        self._moment = moment
        self._digests = Digests()

    def add(self, name: str, source: IO[bytes], size: int, pulse: Callable[[], None] = lambda: None) -> None:
        """Add a member.

        Args:
            name: relative, with slashes.
            source: its content, from where it stands.
            size: so many bytes of it.
            pulse: called with every piece; what it raises goes through.

        Raises:
            Shortened: there were fewer; it is left out.
        """
        start = self._file.tell()
        self._file.write(header(name, size, self._moment))
        digest, left = hashlib.sha256(), size
        for piece in pieces(source, size):
            digest.update(piece)
            self._file.write(piece)
            left -= len(piece)
            pulse()
        if left:
            self._file.seek(start)
            self._file.truncate()
            raise Shortened(name)
        self._file.write(_ZEROS[: padding(size)])
        self._listed.write(self._digests.line(name, size, digest.hexdigest()))

    def finish(self) -> Written:
        """Add the list, and end the file."""
        size = self._digests.size
        self._listed.seek(0)
        self._file.write(header(MANIFEST, size, self._moment))
        for piece in pieces(self._listed, size):
            self._file.write(piece)
        self._file.write(_ZEROS[: padding(size)])
        self._file.write(_ZEROS[: ending(self._file.tell())])
        return self._digests.written


def header(name: str, size: int, moment: int) -> bytes:
    """The one header that a regular file of ours has.

    Args:
        name: relative, with slashes.
        size: bytes.
        moment: seconds since the epoch.
    """
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, moment, 0o600
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def padding(size: int) -> int:
    """How many zeros follow a content."""
    return -size % BLOCK


def ending(position: int) -> int:
    """How many zeros end a file that has come so far: two blocks, and up to a whole record."""
    return 2 * BLOCK + -(position + 2 * BLOCK) % tarfile.RECORDSIZE


def pieces(source: IO[bytes], size: int) -> Iterator[memoryview]:
    """At most so many bytes of a file, piece by piece, each only until the next is asked for."""
    buffer = memoryview(bytearray(min(_PIECE, size)))
    while size:
        got = source.readinto(buffer[:size])  # type: ignore[attr-defined]
        if not got:
            return
        size -= got
        yield buffer[:got]


def is_plain(name: str) -> bool:
    """Whether a name leads to a file below a folder, by one way only."""
    if not name or len(name) > _MAX_NAME or "\0" in name or name.startswith("/"):
        return False
    return all(part not in ("", ".", "..") and len(part.encode("utf-8", "replace")) < 256 for part in name.split("/"))


def named(block: bytes) -> tuple[str, int, Any]:
    """What a header says: name, size and moment.

    Raises:
        ValueError: it is none.
    """
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise ValueError(str(error)) from error
    return info.name, info.size, info.mtime
