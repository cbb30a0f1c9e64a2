"""C-FIND as client: 10,000 matches from Orthanc, ours against findscu (time) and pynetdicom (processor time).

``python benchmarks/bench_dimse_find.py [--quick] [--dir DIR]``

Ours and pynetdicom are timed from opening the association to its release, in processes that have started, and read
three attributes of each match. Of findscu the time of its process is taken for one match and for all of them, and the
difference counted; it is measured quiet, so that printing costs it nothing, and printing into the null device.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import data
import report
from data import TINY, Maker
from report import Table, alternating

import peers
from peers import Child, Orthanc

STUDIES, QUICK_STUDIES = 10_000, 1_000
LOADERS = 4
FASTER_THAN_FINDSCU = 1.0
PROCESSOR_TIME_FACTOR = 5.0
KEYS = (
    "PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "StudyDescription",
)  # fmt: skip


def load(server: Orthanc, studies: int, folder: Path) -> str:
    """Fill Orthanc with studies of one instance, by several storescu at once; the accession number of one of them."""
    maker = Maker(TINY)
    with data.disk_folder(folder) as place:
        running = []
        for number in range(LOADERS):
            files = maker.write(place / str(number), studies // LOADERS, studies=studies // LOADERS)
            command = [peers.program("storescu"), "-aec", server.ae_title, peers.HOST, str(server.port)]
            command += [str(file.path) for file in files]
            running.append(subprocess.Popen(command, env=peers.environment(True)))
        codes = [child.wait() for child in running]
        accession = data.accession_number(files[0])
    if any(codes) or server.count() != studies:
        raise RuntimeError(f"Orthanc holds {server.count()} instances instead of {studies}")
    return accession


def asked(child: Child, server: Orthanc, studies: int, operation: str, *, touch: bool = True) -> dict[str, float]:
    """A query for all studies; seconds and processor seconds of the client."""
    keys = {"QueryRetrieveLevel": "STUDY"} | dict.fromkeys(KEYS, "")
    answer: dict[str, float] = child.ask(operation, peer=server.address(), keys=keys, touch=touch)
    if answer["matches"] != studies:
        raise RuntimeError(f"{answer['matches']} matches instead of {studies}")
    return answer


def findscu(server: Orthanc, accession: str, *options: str) -> float:
    """Seconds of findscu for all studies but one, without its start."""

    def seconds(accession_number: str) -> float:
        values = {"QueryRetrieveLevel": "STUDY"} | dict.fromkeys(KEYS, "") | {"AccessionNumber": accession_number}
        keys = [part for name, value in values.items() for part in ("-k", f"{name}={value}")]
        return peers.run_client("findscu", server, [*options, "-S", *keys, peers.HOST, str(server.port)], nodelay=True)

    one, all_of_them = seconds(accession), seconds("")
    if all_of_them <= one:
        raise RuntimeError(f"findscu took {all_of_them:.3f} s for all studies, {one:.3f} s for one")
    return all_of_them - one


def measured(table: Table, server: Orthanc, studies: int, accession: str, runs: int) -> None:
    """The gates are on fetching the matches; what reading them costs is pydicom's, for every client the same."""
    answers: dict[str, list[dict[str, float]]] = {}

    def client(child: Child, operation: str, *, touch: bool) -> float:
        answer = asked(child, server, studies, operation, touch=touch)
        answers.setdefault(f"{operation} {touch}", []).append(answer)
        return answer["seconds"]

    with Child() as ours, Child("child_pynetdicom") as other:
        sides: dict[str, Callable[[], float]] = {
            "ours": partial(client, ours, "query", touch=False),
            "ours reading": partial(client, ours, "query", touch=True),
            "quiet": partial(findscu, server, accession, "-q"),
            "printing": partial(findscu, server, accession),
        }
        for touch in (False, True):
            once = partial(client, other, "child_pynetdicom.query", touch=touch)
            sides[f"pynetdicom {touch}"] = partial(report.complete, once)
        taken = {name: [one * 1000 for one in values] for name, values in alternating(runs, **sides).items()}
    what = f"find {studies} studies"
    table.lower(f"{what}, findscu quiet", "ms", taken["ours"], "findscu -q", taken["quiet"])
    table.lower(f"{what}, findscu printing", "ms", taken["ours"], "findscu", taken["printing"], FASTER_THAN_FINDSCU)
    table.lower(f"{what}, pynetdicom", "ms", taken["ours"], "pynetdicom", taken["pynetdicom False"])
    reading = taken["ours reading"]
    table.lower("  the same, 3 attributes of each read", "ms", reading, "pynetdicom", taken["pynetdicom True"])
    processor = {name: [one["cpu_s"] / studies * 1e6 for one in values] for name, values in answers.items()}
    table.lower(
        "  processor time of the client for each match", "us", processor["query False"],
        "pynetdicom", processor["child_pynetdicom.query False"], PROCESSOR_TIME_FACTOR,
    )  # fmt: skip
    table.lower(
        "  the same, 3 attributes of each read", "us", processor["query True"],
        "pynetdicom", processor["child_pynetdicom.query True"],
    )  # fmt: skip


def main() -> int:
    given = report.options(__doc__ or "")
    studies = QUICK_STUDIES if given.quick else STUDIES
    table = Table()
    with data.memory_folder() as memory:
        report.facts({"of Orthanc, SyncStorageArea false": memory})
        with peers.orthanc(memory, nodelay=True, sync=False) as server:
            accession = load(server, studies, memory)
            table.section("from Orthanc; TCP_NODELAY=1 for Orthanc, findscu and (set on its socket) pynetdicom")
            measured(table, server, studies, accession, given.runs)
    return table.finish()


if __name__ == "__main__":
    sys.exit(main())
