"""Studies of a population into folders, by several processes: each study is complete under its name, or not there."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dicomfab.fabricate.population.plan import PlannedStudy
from dicomfab.fabricate.recipe import ResolvedStudy
from dicomfab.fabricate.study import count
from dicomfab.model.disk import disk_full, is_disk_full
from dicomfab.model.errors import LocalFailure

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

TRUTH: Final = "truth.json"
_POLL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Task:
    """A study to be written.

    Args:
        study: with everything decided.
        folder: what it will be called.
    """

    study: ResolvedStudy
    folder: str

    @classmethod
    def of(cls, planned: PlannedStudy, directory: Path) -> Task:
        """Below the folder of a population: that of the patient, and that of the study, numbered and dated."""
        study = planned.study
        name = f"{planned.number + 1:02d}-{study.study_date}-{planned.exam}"
        return cls(study, str(directory / study.patient.patient_id / name))


@dataclass(frozen=True, slots=True)
class Written:
    """A study that is there.

    Args:
        study_instance_uid: its UID.
        patient_id: whose it is.
        instances: how many.
        size_bytes: their files together.
        was_there: whether it was complete already.
    """

    study_instance_uid: str
    patient_id: str
    instances: int
    size_bytes: int
    was_there: bool


class _Cancelled(Exception):
    """Nobody waits any longer."""


def written(
    portions: Iterable[Sequence[Task]], workers: int, cancelled: Callable[[], bool]
) -> Iterator[tuple[Written, ...]]:
    """Write portions of studies.

    Args:
        portions: each is taken when there is somebody to do it; no more than two for each worker are held.
        workers: processes; with one, all is done in this one.
        cancelled: when it says so, each process drops the study that it is at, and all ends.

    Yields:
        What was written of each portion, in order.

    Raises:
        DiskFull: no space is left.
        LocalFailure: a folder cannot be written for another reason.
    """
    if workers == 1:
        for portion in portions:
            yield tuple(_studies(portion, cancelled))
            if cancelled():
                return
        return
    # Children of a process with threads must not be forks of it: they could wait for a lock that nobody holds.
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(workers, context, initializer=_start, initargs=(stop,))
    pending: deque[Future[tuple[Written, ...]]] = deque()
    try:
        for portion in portions:
            pending.append(pool.submit(_portion, portion))
            if len(pending) > 2 * workers:
                yield _awaited(pending.popleft(), stop, cancelled)
            if cancelled():
                stop.set()
                break
        while pending:
            yield _awaited(pending.popleft(), stop, cancelled)
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _awaited(future: Future[tuple[Written, ...]], stop: Event, cancelled: Callable[[], bool]) -> tuple[Written, ...]:
    while True:
        try:
            return future.result(_POLL_S)
        except TimeoutError:
            if cancelled():
                stop.set()


_stop: Event | None = None


def _start(stop: Event) -> None:
    """What a child does first. Ctrl-C goes to all processes of a terminal; only the parent decides what it means."""
    from pydicom import config

    global _stop
    _stop = stop
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Resolving has checked every value already, and pydicom would check each again as it is set.
    config.settings.writing_validation_mode = config.settings.reading_validation_mode = config.IGNORE
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end_with_parent() -> None:
    """A parent that is killed has let go of its lock: nothing may be written after it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _portion(tasks: Sequence[Task]) -> tuple[Written, ...]:
    assert _stop is not None
    return tuple(_studies(tasks, _stop.is_set))


def _studies(tasks: Iterable[Task], cancelled: Callable[[], bool]) -> Iterator[Written]:
    for task in tasks:
        if cancelled():
            return
        try:
            yield _study(task, cancelled)
        except _Cancelled:
            return


def _study(task: Task, cancelled: Callable[[], bool]) -> Written:
    try:
        return _complete(task.study, Path(task.folder), cancelled)
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(Path(task.folder).parent) from error
        raise LocalFailure(
            f"{task.folder} cannot be written ({error.strerror or error})",
            cause="the disk or its permissions do not allow it, or somebody else changes the folder",
            remedy="put that right, and go on with the population: --resume",
        ) from error


def _complete(study: ResolvedStudy, folder: Path, cancelled: Callable[[], bool]) -> Written:
    from dicomfab.fabricate.sinks import write_files
    from dicomfab.fabricate.truth import checksums_of, truth

    if folder.is_dir():
        return _there(study, folder, was_there=True)
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)

    def progress(_done: int, _of: int) -> None:
        if cancelled():
            raise _Cancelled

    try:
        files = write_files(study, part, progress, workers=1, mark=False)
        found = truth(study, checksums_of(file.path for file in files))
        (part / TRUTH).write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        os.rename(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return _there(study, folder, was_there=False)


def _there(study: ResolvedStudy, folder: Path, *, was_there: bool) -> Written:
    with os.scandir(folder) as found:
        size = sum(one.stat().st_size for one in found if one.name != TRUTH)
    return Written(study.study_instance_uid, study.patient.patient_id, count(study), size, was_there)
