"""Where instances go when they are wanted as plain files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Final

import psutil

from dicomfab.fabricate import unfinished
from dicomfab.fabricate.recipe import ResolvedStudy
from dicomfab.fabricate.study import FabricatedInstance, count, fabricate
from dicomfab.model.disk import disk_full, is_disk_full
from dicomfab.model.errors import Conflict, InvalidInput
from dicomfab.model.study import Buffer, InstanceFile

Progress = Callable[[int, int], None]

_CALL_BYTES: Final = 1 << 20
_CALL_BUFFERS: Final = 64


def file_name(instance: FabricatedInstance) -> str:
    """The name of an instance's file: modality, series and instance number, such as ``CT_001_00042.dcm``."""
    return instance.file_name or f"{instance.modality}_{instance.series_number:03d}_{instance.instance_number:05d}.dcm"


def write_file(instance: FabricatedInstance, path: Path) -> InstanceFile:
    """Write one DICOM file (PS3.10) that is either complete under its name or not there.

    Args:
        instance: what to write; its buffers are taken.
        path: must not exist yet.

    Raises:
        Conflict: the file exists; it is left as it is.
        DiskFull: no space is left.
    """
    header = instance.header()
    part = os.path.join(path.parent, f".{path.name}.{os.getpid()}.part")
    try:
        # As few calls of the system as can be: after each, this thread may wait for one that renders.
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            _write_all(descriptor, chain((header,), instance.buffers))
        finally:
            os.close(descriptor)
        os.link(part, path)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(path.parent) from error
        raise
    finally:
        with suppress(FileNotFoundError):
            os.unlink(part)
    return InstanceFile(path, instance.identity, len(header))


def write_files(
    study: ResolvedStudy,
    directory: Path,
    progress: Progress | None = None,
    *,
    workers: int | None = None,
    resume: bool = False,
    mark: bool = True,
) -> list[InstanceFile]:
    """Fabricate a study into a folder, which is made if it does not exist.

    Args:
        study: what to make.
        directory: other files in it stay as they are.
        progress: told how many instances are written, and of how many.
        workers: threads that render.
        resume: instances that are there already are left as they are.
        mark: whether the folder says that it is incomplete until it is not; needless where the whole folder is
            thrown away unless it becomes complete.

    Returns:
        The files in instance order. If writing stops half-way, the files that are there are complete ones, and the
        folder is marked (see :mod:`dicomfab.fabricate.unfinished`).

    Raises:
        Conflict: one of the files exists already; it is left as it is, and nothing more is written.
        InvalidInput: the folder is a file.
        DiskFull: no space is left.
    """
    _make(directory)
    if resume:
        _forget_parts(directory)
    elif mark:
        unfinished.begin(directory, study)
    total = count(study)
    written: list[InstanceFile] = []
    try:
        for instance in fabricate(study, workers=workers):
            path = directory / file_name(instance)
            there = _there(instance, path) if resume else None
            written.append(there or write_file(instance, path))
            if progress:
                progress(len(written), total)
        if "dicomdir-lies" in study.defects:
            _write_directory(study, directory)
    except Conflict:
        if not written:  # nothing was begun
            unfinished.finish(directory)
        raise
    unfinished.finish(directory)
    return written


def _make(directory: Path) -> None:
    if directory.exists() and not directory.is_dir():
        raise InvalidInput(
            f"{directory} is a file, not a folder",
            field="directory",
            value=str(directory),
            remedy="name a folder, or one that does not exist yet",
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(directory) from error
        raise


def _write_directory(study: ResolvedStudy, directory: Path) -> None:
    from dicomfab.fabricate.defects import directory as dicomdir

    try:
        dicomdir.write(study, directory)
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(directory) from error
        raise


def _forget_parts(directory: Path) -> None:
    """Remove what processes that are gone left of files that they had not finished."""
    for part in directory.glob(".*.part"):
        process = part.name.split(".")[-2]
        if process.isdigit() and not psutil.pid_exists(int(process)):
            part.unlink(missing_ok=True)


def _there(instance: FabricatedInstance, path: Path) -> InstanceFile | None:
    """The file of an instance that was written before; complete, since only complete ones get their name."""
    header = instance.header()
    try:
        with path.open("rb") as file:
            return InstanceFile(path, instance.identity, len(header)) if file.read(len(header)) == header else None
    except FileNotFoundError:
        return None


def _write_all(descriptor: int, buffers: Iterable[Buffer]) -> None:
    """Write buffers as they come, several in one call: no more are held than make a call worth while."""
    pending: list[Buffer] = []
    size = 0
    for buffer in buffers:
        pending.append(buffer)
        size += len(buffer)
        if size >= _CALL_BYTES or len(pending) == _CALL_BUFFERS:
            _write(descriptor, pending)
            pending, size = [], 0
    _write(descriptor, pending)


def _write(descriptor: int, buffers: Sequence[Buffer]) -> None:
    """Write buffers in one call, and go on if the system took only a part."""
    pending = [memoryview(buffer) for buffer in buffers]
    while pending:
        taken = os.writev(descriptor, pending)
        while pending and taken >= len(pending[0]):
            taken -= len(pending.pop(0))
        if pending and taken:
            pending[0] = pending[0][taken:]


def _exists(path: Path) -> Conflict:
    return Conflict(
        f"{path} exists already",
        cause="another study was written to this folder",
        remedy="choose an empty folder, or remove the files that are in it",
    )
