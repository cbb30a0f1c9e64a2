"""How fast is a population made, does memory stay flat, and what do data sets and objects cost.

``python benchmarks/bench_population.py [--quick] [--dir DIR]``

Gates are ratios: pydicom encoding the same data sets, and the memory of a population a tenth as large. The goal of
instances a second is printed as reached or missed. Two processes make the population, small images, headers and all.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import report
from child_fabricate import NOW
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from report import Table, alternating

from dicomfab.fabricate.encode.document import encode_document
from dicomfab.fabricate.encode.explicit import encode_explicit
from dicomfab.fabricate.kinds import KINDS, OBJECTS
from dicomfab.fabricate.plan import SeriesPlan
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.fabricate.resolve import resolve
from dicomfab.fabricate.study import plans

GOAL, MEMORY_GATE, ENCODE_GATE = 500.0, 0.8, 3.0  # instances a second; few to many; ours to pydicom
_MAKE = """
import json, resource, sys, time
from pathlib import Path
from dicomfab.app.build import build
from dicomfab.app.settings import Settings
from dicomfab.model.actor import local_admin
from dicomfab.fabricate.population.recipe import PopulationRecipe
home, patients = Path(sys.argv[1]), int(sys.argv[2])
application = build(Settings(home / "home"))
owner = local_admin("bench", "cli")
recipe = application.populations.resolve(owner, PopulationRecipe(patients=patients, seed=1, images="small"))
start = time.perf_counter()
made = application.populations.create(owner, recipe, home / "out", workers=2)
seconds = time.perf_counter() - start
application.close()
peak = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
print(json.dumps({"instances": made.instances, "seconds": seconds, "peak_mb": peak}))
"""


def _plans(*series: SeriesRecipe) -> list[SeriesPlan]:
    made = resolve(StudyRecipe(series, seed=1), now=NOW, draw_seed=lambda: 1)
    return list(plans(made, 1))


def population(folder: Path, patients: int) -> dict[str, Any]:
    """Make one in a fresh process."""
    with tempfile.TemporaryDirectory(dir=folder) as home:
        done = subprocess.run(
            [sys.executable, "-c", _MAKE, home, str(patients)], stdout=subprocess.PIPE, text=True, check=True
        )
    return dict(json.loads(done.stdout))


def made(table: Table, folder: Path, patients: int) -> None:
    """Instances a second, and memory."""
    few, many = population(folder, patients // 10), population(folder, patients)
    rate = many["instances"] / many["seconds"]
    table.report(f"{patients} patients, {many['instances']} instances", "/s", [rate])
    print(f"  goal of {GOAL:.0f} instances/s: {'reached' if rate >= GOAL else 'missed'}")
    table.lower(
        "peak memory of parent and largest child", "MB", [many["peak_mb"]], f"of {patients // 10} patients",
        [few["peak_mb"]], MEMORY_GATE,
    )  # fmt: skip


def data_sets() -> list[Dataset]:
    """One of each kind without elements that are encoded already."""
    found = [_plans(SeriesRecipe(kind))[0].dataset for kind in KINDS]
    return [ds for ds in found if not any(isinstance(element, RawDataElement) for element in ds.values())]


def _by_pydicom(ds: Dataset) -> None:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, ds)


def encoded(table: Table, runs: int) -> None:
    """Data sets a second, ours and pydicom's."""
    every = data_sets()

    def rate(encode: Callable[[Dataset], object]) -> float:
        start = time.process_time()
        for _ in range(3):
            for ds in every:
                encode(ds)
        return 3 * len(every) / (time.process_time() - start)

    measured = alternating(runs, ours=lambda: rate(encode_explicit), theirs=lambda: rate(_by_pydicom))
    table.higher("headers encoded", "/s", measured["ours"], "pydicom", measured["theirs"], ENCODE_GATE)


def objects(table: Table, runs: int) -> None:
    """What an object costs beside a CT of 200 slices, in processor time: planned and encoded."""
    for kind in OBJECTS:
        spent = []
        for _ in range(runs):
            start = time.process_time()
            *_, plan = _plans(SeriesRecipe("ct-chest"), SeriesRecipe(kind))
            if not plan.frames:
                b"".join(next(encode_document(plan)).buffers)
            spent.append(1000 * (time.process_time() - start))
        table.report(kind, "ms", spent)


def main() -> int:
    """Measure."""
    given = report.options(__doc__ or "")
    report.facts({"out": given.dir})
    table = Table()
    table.section("a population of small images, two processes")
    made(table, given.dir, 200 if given.quick else 1000)
    table.section("data sets in Explicit VR Little Endian")
    encoded(table, given.runs)
    table.section("objects beside a CT of 200 slices, processor time")
    objects(table, given.runs)
    return table.finish()


if __name__ == "__main__":
    sys.exit(main())
