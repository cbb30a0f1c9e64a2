"""Reads the file of a backup, and believes nothing that it says; see :mod:`.tar_file`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

from dicomfab.model.errors import InvalidInput
from dicomfab.services.backup.about import About
from dicomfab.services.backup.tar_file import (
    ABOUT,
    BLOCK,
    MANIFEST,
    Digests,
    Written,
    ending,
    header,
    is_plain,
    named,
    padding,
    pieces,
)

_MAX_ABOUT: Final = 1 << 20
_LONG_NAME: Final = "././@LongLink"
_MAX_LONG_NAME: Final = 1 << 14

Take = Callable[[str, Iterator[memoryview]], None]


class Read(NamedTuple):
    """What was found in a file that is as it was written.

    Args:
        about: what it says of itself.
        members: how many files.
        size_bytes: of their contents.
        fingerprint: see :class:`~dicomfab.services.backup.tar_file.Written`.
    """

    about: About
    members: int
    size_bytes: int
    fingerprint: str


class _Member(NamedTuple):
    name: str
    size: int


def read_through(
    file: IO[bytes], path: Path, take: Take | None = None, pulse: Callable[[], None] = lambda: None
) -> Read:
    """Read a backup from its beginning to its end, and compare all of it with what it says.

    Args:
        file: at its beginning.
        path: for messages.
        take: given the name of each file and its content, which it reads to the end. That is right only when this
            function has returned.
        pulse: called with every piece.

    Raises:
        InvalidInput: it is no backup, of a newer program, or not as it was written.
    """
    return _Reader(file, path, take, pulse).read()


class _Reader:
    def __init__(self, file: IO[bytes], path: Path, take: Take | None, pulse: Callable[[], None]) -> None:
        self._file = file
        self._path = path
        self._take = take
        self._pulse = pulse
        self._digests = Digests()
        self._size = 0
        self._moment: int | None = None
        self._sum = hashlib.sha256()

    def read(self) -> Read:
        about = self._about()
        while (member := self._member()).name != MANIFEST:
            contents = self._contents(member)
            if self._take is not None:
                self._take(member.name, contents)
            for _ in contents:
                pass
            self._end_member(member)
        written = self._manifest(member)
        self._zeros(ending(self._file.tell()), "its end")
        if self._file.read(1):
            raise self._wrong("something follows its end")
        return Read(about, written.members, self._size, written.fingerprint)

    def _about(self) -> About:
        member = self._member()
        if member.name != ABOUT or member.size > _MAX_ABOUT:
            raise _no_backup(self._path)
        content = b"".join(self._contents(member))
        self._end_member(member)
        return About.parse(content, self._path)

    def _member(self) -> _Member:
        """The next header, if it is just as we would write it."""
        start = self._file.tell()
        try:
            block = self._exactly(BLOCK)
            name, size, moment = named(block)
            if name == _LONG_NAME and 0 < size <= _MAX_LONG_NAME:
                text = self._exactly(size + padding(size))
                last = self._exactly(BLOCK)
                block += text + last
                name, (_, size, moment) = text.rstrip(b"\0").decode("utf-8", "surrogateescape"), named(last)
            if not is_plain(name):
                raise self._wrong(f"the name of a file in it leads elsewhere: {name!r}")
            self._moment = moment if self._moment is None else self._moment
            if size < 0 or block != header(name, size, self._moment):
                raise self._wrong(f"{name!r} is no regular file of a backup, or its header was altered")
        except (ValueError, OverflowError):
            raise (self._wrong(f"there is no header at byte {start}") if start else _no_backup(self._path)) from None
        return _Member(name, size)

    def _contents(self, member: _Member) -> Iterator[memoryview]:
        self._sum = hashlib.sha256()
        left = member.size
        for piece in pieces(self._file, member.size):
            self._sum.update(piece)
            left -= len(piece)
            self._pulse()
            yield piece
        if left:
            raise self._wrong(f"it ends within {member.name!r}: the rest is missing")

    def _end_member(self, member: _Member) -> None:
        self._zeros(padding(member.size), f"the end of {member.name!r}")
        self._digests.line(member.name, member.size, self._sum.hexdigest())
        self._size += member.size

    def _manifest(self, member: _Member) -> Written:
        """Compare the list with what was read."""
        start = self._file.tell()
        written = self._digests.written
        for _ in self._contents(member):
            pass
        self._zeros(padding(member.size), "the end of the list")
        if (member.size, self._sum.hexdigest()) != (self._digests.size, written.fingerprint):
            raise self._wrong(f"{self._first_other(start, start + member.size)} is not as the list in it says")
        return written

    def _first_other(self, start: int, end: int) -> str:
        """The first member that the list tells something else of: reads all of it once more."""
        at, lines = 0, Digests()
        self._file.seek(0)
        while at < start - BLOCK:
            member = self._member()
            if member.name == MANIFEST:
                break
            for _ in self._contents(member):
                pass
            self._file.seek(padding(member.size), 1)
            at = self._file.tell()
            line = lines.line(member.name, member.size, self._sum.hexdigest())
            self._file.seek(start)
            if self._exactly(min(len(line), end - start)) != line:
                return repr(member.name)
            start += len(line)
            self._file.seek(at)
        return "the number of its files"

    def _zeros(self, size: int, where: str) -> None:
        if self._exactly(size).strip(b"\0"):
            raise self._wrong(f"{where} was altered")

    def _exactly(self, size: int) -> bytes:
        got = self._file.read(size)
        if len(got) < size:
            is_begun = self._moment is not None
            raise self._wrong("it ends too early: the rest is missing") if is_begun else _no_backup(self._path)
        return got

    def _wrong(self, why: str) -> InvalidInput:
        return InvalidInput(
            f"the backup {self._path} is not as it was written: {why}. Nothing was restored",
            field="file",
            value=str(self._path),
            cause="it was not copied to its end, a disk or a transfer has damaged it, or somebody has altered it",
            remedy="use another copy of it, or an earlier backup",
        )


def _no_backup(path: Path) -> InvalidInput:
    return InvalidInput(
        f"{path} is no backup of DICOM Fabricator",
        field="file",
        value=str(path),
        cause="it is another file, or was compressed or packed by another program",
        remedy="name a file that dicomfab backup has written, unpacked: gunzip FILE",
    )
