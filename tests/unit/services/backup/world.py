"""Installations to back up, and what has to hold of one that was put back."""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pydicom

from dicomfab.app.build import Application
from dicomfab.app.settings import Settings
from dicomfab.archive.archive import Archive
from dicomfab.model.actor import local_admin
from dicomfab.services.backup.about import About
from dicomfab.services.backup.tar_file import ABOUT, Writer
from tests.unit.archive.builders import dataset, store

ADMIN = local_admin("keeper", "cli")


@contextlib.contextmanager
def installation(home: Path) -> Iterator[Application]:
    application = Application(Settings(home=home, worker_idle_s=0))
    try:
        yield application
    finally:
        application.close()


def fill(archive: Archive, *, studies: int = 2, each: int = 3, root: str = "1.2.7", words: str = "Study") -> list[str]:
    """Small studies; returns their UIDs."""
    uids = [f"{root}.{number}" for number in range(1, studies + 1)]
    for uid in uids:
        for number in range(1, each + 1):
            store(archive, dataset(uid, f"{uid}.1", f"{uid}.1.{number}", StudyDescription=f"{words} {uid}"))
    return uids


def content(home: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(path.relative_to(home)): path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()}


def check_archive(root: Path) -> set[str]:
    """That each row has its file, of the right length and with what the row says; gives the SOP Instance UIDs."""
    with contextlib.closing(sqlite3.connect(root / "index.sqlite3")) as index:
        assert index.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert index.execute("PRAGMA foreign_key_check").fetchall() == []
        rows = index.execute(
            "SELECT path, dataset_offset + size_bytes, SOPInstanceUID, StudyInstanceUID, StudyDescription,"
            " InstanceNumber FROM instance JOIN series ON series.id = series_id JOIN study ON study.id = study_id"
        ).fetchall()
    for path, size, sop_instance, study, description, number in rows:
        file = root / "instances" / path
        assert file.stat().st_size == size, path
        header = pydicom.dcmread(file, stop_before_pixels=True)
        assert (header.SOPInstanceUID, header.StudyInstanceUID) == (sop_instance, study)
        assert (str(header.get("StudyDescription", "")), str(header.get("InstanceNumber", ""))) == (description, number)
    files = {str(one.relative_to(root / "instances")) for one in (root / "instances").rglob("*.dcm")}
    assert files == {row[0] for row in rows}
    return {row[2] for row in rows}


def packed(
    file: Path, members: Mapping[str, bytes], about: About | None = None, *, headers: Callable[[bytes], bytes] = bytes
) -> Path:
    """A backup of whatever is wanted, with a list that agrees with it.

    Args:
        headers: changes the headers of the members.
    """
    about = about or About("2026-01-01T00:00:00+00:00", "/old/home", "", lab=False)
    with file.open("w+b") as written, io.BytesIO() as listed:
        writer = Writer(_Changing(written, headers), listed, int(time.time()))  # type: ignore[arg-type]
        for name, data in {ABOUT: about.as_bytes(), **members}.items():
            writer.add(name, io.BytesIO(data), len(data))
        writer.finish()
    return file


class _Changing:
    """A file whose headers are changed on their way, with a checksum that is right again."""

    def __init__(self, file: Any, headers: Callable[[bytes], bytes]) -> None:
        self._file = file
        self._headers = headers
        self.tell = file.tell

    def write(self, data: bytes) -> None:
        if len(data) == 512 and data[257:262] == b"ustar":
            data = with_checksum(self._headers(bytes(data)))
        self._file.write(data)


def with_checksum(block: bytes) -> bytes:
    """A tar header with the checksum that it must have."""
    blank = block[:148] + b" " * 8 + block[156:]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


def rebuilt(file: Path, change: Callable[[tarfile.TarInfo, bytes], Iterator[tuple[tarfile.TarInfo, bytes]]]) -> Path:
    """A backup packed anew by another program, with other members."""
    target = file.with_suffix(".other")
    with tarfile.open(file) as old, tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as new:
        for info in old:
            data = old.extractfile(info).read()  # type: ignore[union-attr]
            for changed, other in change(info, data):
                changed.size = len(other)
                new.addfile(changed, io.BytesIO(other))
    return target


def listed(file: Path) -> dict[str, Any]:
    """The list in a backup."""
    with tarfile.open(file) as opened:
        lines = opened.extractfile("manifest.jsonl").read().splitlines()  # type: ignore[union-attr]
    return {one["name"]: one for one in map(json.loads, lines)}
