"""Which DICOM files are meant by files, folders and zips: each on the disk when it is looked at, one at a time."""

from __future__ import annotations

import os
import tempfile
import zipfile
import zlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from dicomfab.archive.errors import UnreadableInstance
from dicomfab.archive.header import read_identity
from dicomfab.model.disk import disk_full, is_disk_full
from dicomfab.model.errors import InvalidInput, NotFound
from dicomfab.model.study import InstanceFile

_DIRECTORY: Final = "1.2.840.10008.1.3.10"  # a DICOMDIR is no instance (PS3.10 8)
_PREAMBLE_BYTES: Final = 132
_ZIP_PREFIX: Final = b"PK\3\4"
_EMPTY_ZIP_PREFIX: Final = b"PK\5\6"
_CHUNK: Final = 1 << 20
#: What a zip's DICOM files may be together: so many times its own size, and so much more. Pictures of little text
#: deflate to a five-hundredth; what is larger was made to fill a disk.
_MAX_RATIO: Final = 100
_MORE_BYTES: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Refused:
    """A DICOM file that was not taken, and why. Its name may tell of a patient: for the report only."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """A DICOM file.

    Args:
        name: for people: the path, of a zip's file ``zip: path within``.
        file: on the disk; one of a zip only until the next is asked for.
    """

    name: str
    file: InstanceFile


@dataclass(slots=True)
class Walk:
    """Goes through what was named.

    Args:
        paths: files, folders with all below them (links to folders are not followed), zips.
        folder: for temporary files; nothing within a zip decides a name in it.
        skipped: how many files were no DICOM instances.
        refused: files that could not be read.
    """

    paths: Sequence[Path]
    folder: Path
    skipped: int = 0
    refused: list[Refused] = field(default_factory=list)

    def __iter__(self) -> Iterator[Found]:
        for path in self.paths:
            if not path.exists():
                raise NotFound(
                    f"there is no file or folder {str(path)!r}.",
                    cause="the path is mistyped",
                    remedy="name a DICOM file, a folder or a zip",
                )
            for one in self._files(path):
                yield from self._file(one)

    def _files(self, path: Path) -> Iterator[Path]:
        if not path.is_dir():
            yield path
            return

        def failed(error: OSError) -> None:
            self.refused.append(Refused(str(error.filename), error.strerror or str(error)))

        for name, folders, files in os.walk(path, onerror=failed):
            folders.sort()
            yield from (Path(name, file) for file in sorted(files))

    def _file(self, path: Path) -> Iterator[Found]:
        try:
            if not path.is_file():
                self.skipped += 1
                return
            with path.open("rb") as opened:
                start = opened.read(_PREAMBLE_BYTES)
        except OSError as error:
            self.refused.append(Refused(str(path), error.strerror or str(error)))
            return
        if start.startswith((_ZIP_PREFIX, _EMPTY_ZIP_PREFIX)):
            yield from self._zip(path)
        elif start[128:] == b"DICM":
            yield from self._dicom(path, str(path))
        else:
            self.skipped += 1

    def _dicom(self, path: Path, name: str) -> Iterator[Found]:
        try:
            identity, offset = read_identity(path)
        except (UnreadableInstance, OSError) as error:
            self.refused.append(Refused(name, error.what if isinstance(error, UnreadableInstance) else str(error)))
            return
        if identity.sop_class_uid == _DIRECTORY:
            self.skipped += 1
        else:
            yield Found(name, InstanceFile(path, identity, offset))

    def _zip(self, path: Path) -> Iterator[Found]:
        try:
            with zipfile.ZipFile(path) as archive:
                left = path.stat().st_size * _MAX_RATIO + _MORE_BYTES
                for member in archive.infolist():
                    if member.is_dir():
                        continue
                    left = yield from self._member(archive, member, f"{path}: {member.filename}", left)
        except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
            self.refused.append(Refused(str(path), f"the zip cannot be read ({error})"))

    def _member(
        self, archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, left: int
    ) -> Generator[Found, None, int]:
        """One file of a zip; gives back how many bytes the others may have together."""
        temporary = self.folder / "member.dcm"
        try:
            with archive.open(member) as packed:
                start = packed.read(_PREAMBLE_BYTES)
                if start[128:] != b"DICM":
                    self.skipped += 1
                    return left
                if member.file_size > left:
                    raise _bomb(archive.filename or "")
                left -= _copied(packed, start, temporary)
            yield from self._dicom(temporary, name)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
            # RuntimeError is how zipfile says that a password is wanted.
            self.refused.append(Refused(name, f"it cannot be unpacked ({error})"))
        finally:
            temporary.unlink(missing_ok=True)
        return left


def _copied(packed: IO[bytes], start: bytes, target: Path) -> int:
    size = len(start)
    try:
        with target.open("wb") as file:
            file.write(start)
            while data := packed.read(_CHUNK):
                file.write(data)
                size += len(data)
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(target.parent) from error
        raise
    return size


def _bomb(name: str) -> InvalidInput:
    return InvalidInput(
        f"path: the DICOM files in {name} would be more than {_MAX_RATIO} times as large as the zip",
        field="path",
        value=name,
        cause="it was made to fill a disk, or it is damaged",
        remedy="if you trust it, unpack it yourself and name the folder",
    )


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Where the files of zips are for a moment."""
    return tempfile.TemporaryDirectory(prefix="dicomfab-import-")
