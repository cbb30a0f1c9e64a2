"""Two servers with 10,000 studies each, compared: how long it takes, and how much memory it needs.

``python benchmarks/bench_compare.py [--quick] [--dir DIR]``

Everything goes the way that a compare job goes: C-FIND over real sockets, the job and its items in a database. The
servers make up what they list and run in the same process, so their time and memory count too.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import report
from pydicom import Dataset
from report import Table

from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.find import find
from dicomfab.model.actor import local_admin
from dicomfab.model.job import Job, JobKind, JobState
from dicomfab.registry.registry import Registry
from dicomfab.registry.server import PacsServer
from dicomfab.services.jobs.compare import compare_job
from dicomfab.services.jobs.compare_run import CompareExecutor
from dicomfab.services.jobs.worker import Worker
from dicomfab.services.query import QueryService
from dicomfab.services.study_filter import StudyFilter
from dicomfab.storage.database import Database
from dicomfab.storage.job_queue import JobQueue
from dicomfab.storage.jobs import JobRepository

ME = local_admin("bench", "api")
STUDIES, QUICK_STUDIES = 10_000, 1_000
SERIES, INSTANCES = 4, 50
SECONDS, MEMORY_MB = 60.0, 300.0
ROOT = "1.2.826.0.1.3680043.99"


@dataclass
class Made:
    """A server that makes up its answers.

    Args:
        studies: numbers of the studies that it holds.
        lacks: numbers of those that lack the last instance of their last series.
        others: numbers of those of another accession number than elsewhere.
        counts: whether it counts instances.
    """

    studies: range | list[int]
    lacks: frozenset[int] = frozenset()
    others: frozenset[int] = frozenset()
    counts: bool = True
    held: set[int] = field(init=False)

    def __post_init__(self) -> None:
        self.held = set(self.studies)

    def find(self, _requestor: object, _model: object, identifier: Dataset) -> Iterator[Dataset]:
        """C-FIND at all levels, UIDs and lists of them as keys."""
        level, wanted = identifier.QueryRetrieveLevel, identifier.get("StudyInstanceUID") or []
        uids = [wanted] if isinstance(wanted, str) else list(wanted)
        numbers = [int(uid.rpartition(".")[2]) for uid in uids] if uids else self.studies
        for number in numbers:
            if number in self.held:
                make = {"STUDY": self._study, "SERIES": self._series, "IMAGE": self._instances}[level]
                yield from make(number, identifier)

    def _study(self, number: int, _identifier: Dataset) -> Iterator[Dataset]:
        match = _match("STUDY", number)
        match.PatientName = f"FAMILY{number * 7919 % 50_000}^GIVEN{number % 97}"
        match.PatientID, match.PatientSex = f"SYN{number:010}", "FMO"[number % 3]
        match.AccessionNumber = f"{'OTHER' if number in self.others else 'ACC'}{number:08}"
        match.StudyDate, match.StudyTime = f"20{10 + number % 16}{1 + number % 12:02}{1 + number % 28:02}", "101500"
        match.StudyDescription, match.ModalitiesInStudy = ("CT CHEST", "MR HEAD")[number % 2], "CT"
        if self.counts:
            match.NumberOfStudyRelatedSeries = SERIES
            match.NumberOfStudyRelatedInstances = SERIES * INSTANCES - (number in self.lacks)
        yield match

    def _series(self, number: int, _identifier: Dataset) -> Iterator[Dataset]:
        for series in range(SERIES):
            match = _match("SERIES", number)
            match.SeriesInstanceUID, match.Modality = f"{match.StudyInstanceUID}.{series}", "CT"
            if self.counts:
                match.NumberOfSeriesRelatedInstances = self._size(number, series)
            yield match

    def _instances(self, number: int, identifier: Dataset) -> Iterator[Dataset]:
        series = int(identifier.SeriesInstanceUID.rpartition(".")[2])
        for instance in range(self._size(number, series)):
            match = _match("IMAGE", number)
            match.SeriesInstanceUID = identifier.SeriesInstanceUID
            match.SOPInstanceUID = f"{identifier.SeriesInstanceUID}.{instance}"
            yield match

    def _size(self, number: int, series: int) -> int:
        return INSTANCES - (number in self.lacks and series == SERIES - 1)


def _match(level: str, number: int) -> Dataset:
    match = Dataset()
    match.QueryRetrieveLevel, match.StudyInstanceUID = level, f"{ROOT}.{number}"
    return match


def compared(folder: Path, a: Made, b: Made) -> tuple[Job, float, float]:
    """Compare; gives the job, the seconds, and the most memory of the process in MB."""
    own, peak = psutil.Process(), [0.0]

    def look() -> bool:
        peak.append(own.memory_info().rss / 1e6)
        return False

    def watch(_progress: object) -> None:
        look()

    with ExitStack() as stack:
        servers = [_server(stack, name, handlers) for name, handlers in (("A", a), ("B", b))]
        registry = Registry().add(servers[0]).add(servers[1])
        database = Database(folder / f"{time.monotonic_ns()}.sqlite3")
        stack.callback(database.close)
        ledger, queue = JobRepository(database), JobQueue(database)
        executor = CompareExecutor(QueryService(find), lambda: registry)
        worker = Worker(
            queue, ledger, {JobKind.COMPARE: executor}, limit=lambda _: 1, store_id="", now=database.now
        )  # fmt: skip
        job_id = ledger.submit(*compare_job(ME, servers[0], servers[1], StudyFilter()))
        began = time.perf_counter()
        worker.run_one(job_id, on_progress=watch, cancelled=look)
        seconds = time.perf_counter() - began
        job = ledger.find(job_id)
    if job.state is not JobState.SUCCEEDED:
        raise RuntimeError(f"the comparison did not end well: {job.state}, {job.error}")
    return job, seconds, max(peak)


def _server(stack: ExitStack, name: str, handlers: Made) -> PacsServer:
    port = stack.enter_context(Server(ServerConfig(name), handlers)).port  # type: ignore[arg-type]
    return PacsServer(id=name.lower(), name=name, host="127.0.0.1", port=port, aec=name, environment="test")  # type: ignore[arg-type]


def main() -> int:
    """Measure."""
    given = report.options(__doc__ or "")
    report.facts({"job ledger": given.dir})
    table, size = Table(), QUICK_STUDIES if given.quick else STUDIES
    every = range(size)
    cases = {
        "equal": (Made(every), Made(every), (0, 0, 0)),
        "three studies and one instance differ": (
            Made(every), Made([*range(2, size), size], frozenset({5})), (2, 1, 1),
        ),
        "one study in 100 lacks an instance, one has another accession number": (
            Made(every), Made(every, frozenset(range(0, size, 100)), frozenset(range(50, size, 100))),
            (0, 0, size // 50),
        ),
        "one server holds nothing": (Made(every), Made([]), (size, 0, 0)),
    }  # fmt: skip
    with tempfile.TemporaryDirectory(dir=given.dir) as folder:
        for what, (a, b, expected) in cases.items():
            table.section(f"two servers with {size} studies each: {what}")
            seconds, memory = [], []
            for _ in range(1 if what != "equal" else given.runs):
                job, took, used = compared(Path(folder), a, b)
                told = job.report["comparison"]
                if (told["a"]["only"], told["b"]["only"], told["differ"]) != expected:
                    raise RuntimeError(f"found {told} instead of {expected}")
                seconds.append(took)
                memory.append(used)
            table.under_limit("compared, every difference noted", "s", seconds, SECONDS)
            table.under_limit("memory of the process, servers included", "MB", [max(memory)], MEMORY_MB)
        table.section(f"{size // 50} studies whose instances one server does not count, all listed")
        some = range(size // 50)
        table.report("compared", "s", [compared(Path(folder), Made(some), Made(some, counts=False))[1]])
    return table.finish()


if __name__ == "__main__":
    sys.exit(main())
