"""How fast are studies made: headers, slices to memory and disk, large projections, first images, previews.

``python benchmarks/bench_fabricate.py [--quick] [--dir DIR]``

Gates are ratios to what was measured beside them in the same run: pydicom's dcmwrite, writing bytes made ready, the ray
sum of a projection alone in numpy, importing the libraries and nothing else. Goals in numbers are printed as reached or
missed. First images and previews are of studies of the default size, each in a fresh process, its start included.
"""

from __future__ import annotations

import copy
import importlib.util
import io
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count as from_
from pathlib import Path
from typing import Any

import data
import numpy as np
import report
from child_fabricate import study
from pydicom import Dataset
from report import Table, alternating

from dicomfab.fabricate.encode.template import HeaderTemplate
from dicomfab.fabricate.kinds import KINDS
from dicomfab.fabricate.sinks import write_files
from dicomfab.fabricate.study import fabricate, plans
from dicomfab.fabricate.warm import warm

HEADER_GATE = 10.0
WRITE_GATE, WRITE_GOAL = 0.15, 1500.0  # share of the rate of bytes made ready; slices a second
PROJECTION_GATE, PROJECTION_GOAL = 0.6, 3.0  # ray sums in numpy; images a second
FIRST_GATE, FIRST_GOAL_S = 0.15, 2.0  # share that the bare imports have of the processor time
FEW_FRAMES, SHARE_SHOWN = 3, 0.25  # what a preview may make of a series: these, or that share if it is more
SLICES, LONG = 200, 1000
RAYS, STEPS = (1000, 1200), 128  # of a chest, PA, on a detector of 2000 x 2400

_seeds = from_(100)


def fresh(operation: str, *arguments: str) -> Any:
    """What an operation of ``child_fabricate.py`` prints; ``wall_s`` since before its process was started."""
    script = Path(__file__).with_name("child_fabricate.py")
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(script), operation, *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    result = json.loads(done.stdout)
    return {**result, "wall_s": result["moment"] - start} if "moment" in result else result


def verdict(reached: bool) -> str:
    return "reached" if reached else "missed"


# --------------------------------------------------------------------------- headers


class Headers:
    """The headers of a CT series, by our template and by pydicom: one Dataset kept, changed elements set, encoded."""

    def __init__(self, count: int) -> None:
        self._plan = next(iter(plans(study("ct-chest", 1, count), 1)))
        self._count = count
        if self._ours(1) != self._theirs(1):
            raise AssertionError("the two wrote different bytes")

    def ours(self) -> float:
        """Headers a second."""
        return self._rate(self._ours)

    def theirs(self) -> float:
        """Headers a second."""
        return self._rate(self._theirs)

    def _rate(self, work: Callable[[int], object]) -> float:
        start = time.perf_counter()
        work(self._count)
        return self._count / (time.perf_counter() - start)

    def _ours(self, count: int) -> list[bytes]:
        template = HeaderTemplate(self._plan.dataset, tuple(self._plan.varying(0)), None)
        return [template.header(self._plan.varying(index)) for index in range(count)]

    def _theirs(self, count: int) -> list[bytes]:
        dataset = copy.deepcopy(self._plan.dataset)
        return [_by_pydicom(dataset, self._plan.varying(index)) for index in range(count)]


def _by_pydicom(dataset: Dataset, values: Mapping[str, str]) -> bytes:
    for keyword, value in values.items():
        setattr(dataset, keyword, value.split("\\") if "\\" in value else value)
    file = io.BytesIO()
    dataset.save_as(file, implicit_vr=False, little_endian=True, enforce_file_format=False)
    return file.getvalue()


# --------------------------------------------------------------------------- slices


def rendered(slices: int) -> float:
    """Slices a second of a new body, encoded and dropped."""
    made, start = study("ct-chest", next(_seeds), slices), time.perf_counter()
    for instance in fabricate(made):
        for _ in instance.buffers:
            pass
    return slices / (time.perf_counter() - start)


def written(base: Path, slices: int) -> float:
    """Slices a second of a new body, into files; without the time that it takes to remove them again."""
    with data.disk_folder(base) as folder:
        made, start = study("ct-chest", next(_seeds), slices), time.perf_counter()
        write_files(made, folder)
        return slices / (time.perf_counter() - start)


def ready(base: Path, slices: int, buffers: Sequence[bytes]) -> float:
    """Files a second of as many bytes as a slice has, which are there already."""
    with data.disk_folder(base) as folder:
        start = time.perf_counter()
        for number in range(slices):
            descriptor = os.open(folder / f"{number:05d}.dcm", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            os.writev(descriptor, buffers)
            os.close(descriptor)
        return slices / (time.perf_counter() - start)


def sections(table: Table, memory: Path, disk: Path, runs: int) -> None:
    """Slices of CT: rendered, and rendered and written."""
    sample = [bytes(part) for part in next(iter(fabricate(study("ct-chest", 1, 1)))).buffers]
    table.section("CT of the chest, slices of 512 x 512, each run a new body; peer: files of bytes made ready")
    for slices in (SLICES, LONG):
        table.report(f"{slices} slices rendered", "/s", [rendered(slices) for _ in range(runs)])
        measured = alternating(
            runs, ours=partial(written, memory, slices), limit=partial(ready, memory, slices, sample)
        )
        reached = verdict(statistics.median(measured["ours"]) >= WRITE_GOAL)
        table.higher(
            f"{slices} slices to tmpfs (goal {WRITE_GOAL:.0f}/s: {reached})", "/s", measured["ours"],
            "ready", measured["limit"], WRITE_GATE,
        )  # fmt: skip
    measured = alternating(runs, ours=partial(written, disk, SLICES), limit=partial(ready, disk, SLICES, sample))
    table.higher(f"{SLICES} slices to a disk", "/s", measured["ours"], "ready", measured["limit"])


# --------------------------------------------------------------------------- projections


def projected(kind: str) -> float:
    """Images a second of a study of a new body."""
    images, start = 0, time.perf_counter()
    for instance in fabricate(study(kind, next(_seeds))):
        for _ in instance.buffers:
            pass
        images += 1
    return images / (time.perf_counter() - start)


def numpy_sums(labels: np.ndarray, table: np.ndarray) -> float:
    """Ray sums a second of a whole body in numpy, and nothing else of an image."""
    start = time.perf_counter()
    for _ in range(RAYS[0]):
        table[labels].sum(axis=1)
    return 1 / (time.perf_counter() - start)


def projections(table: Table, runs: int) -> None:
    """Radiographs and mammograms."""
    rng = np.random.default_rng(1)
    labels = rng.integers(
        0, 64, (RAYS[1], STEPS), np.uint8
    )  # one row of rays: it stays in the cache, to numpy's favour
    values = rng.integers(0, 50_000, 64, np.int32)
    table.section(f"projections, each run a new body; peer: {RAYS[0]} x {RAYS[1]} ray sums of {STEPS} steps, no image")
    for kind in ("dx-chest", "cr-knee", "mg-screening"):
        measured = alternating(runs, ours=partial(projected, kind), peer=lambda: numpy_sums(labels, values))
        reached = verdict(statistics.median(measured["ours"]) >= PROJECTION_GOAL)
        table.higher(
            f"{kind}, images (goal {PROJECTION_GOAL:g}/s: {reached})", "/s", measured["ours"],
            "numpy", measured["peer"], PROJECTION_GATE,
        )  # fmt: skip


# --------------------------------------------------------------------------- first images and previews


Runs = list[dict[str, Any]]


def slowest_first(operation: str, runs: int) -> tuple[dict[str, Runs], Runs]:
    """The runs of every kind, the slowest first, and those of the imports alone, spread over them."""
    measured: dict[str, Runs] = {}
    floor: Runs = []
    for number, kind in enumerate(KINDS):
        measured[kind] = [fresh(operation, kind) for _ in range(runs)]
        if number % 4 == 0:
            floor.append(fresh("libraries"))
    return dict(sorted(measured.items(), key=lambda item: -_median(item[1], "wall_s"))), floor


def _median(runs: Runs, what: str) -> float:
    return statistics.median(one[what] for one in runs)


def _list(table: Table, kind: str, runs: Runs, floor: Runs, gate: float | None = None) -> None:
    ours, imports = ([one["processor_s"] for one in measured] for measured in (runs, floor))
    table.lower(f"{_median(runs, 'wall_s'):5.2f} s  {kind}", "s", ours, "imports", imports, gate)


def firsts(table: Table, runs: int) -> None:
    """Every kind's first image. Processor time is compared: it hardly depends on what else the machine does."""
    measured, floor = slowest_first("first", runs)
    missed = sum(_median(of_kind, "wall_s") >= FIRST_GOAL_S for of_kind in measured.values())
    reached = f"{missed} kinds missed it" if missed else "reached"
    table.section(
        f"first image, Python's start and imports included (goal {FIRST_GOAL_S:g} s: {reached}); processor time"
    )
    for kind, of_kind in measured.items():
        _list(table, kind, of_kind, floor, FIRST_GATE)


def shown(table: Table, runs: int) -> None:
    """Every kind's preview."""
    measured, floor = slowest_first("preview", runs)
    table.section(
        f"previews of all series of a study, at most {FEW_FRAMES} frames or {SHARE_SHOWN:.0%} of each; processor time"
    )
    for kind, of_kind in measured.items():
        series = of_kind[0]["series"]
        made, total = (sum(numbers) for numbers in zip(*series, strict=True))
        _list(table, f"{kind}, {made} of {total} frames", of_kind, floor)
        if any(few > max(FEW_FRAMES, SHARE_SHOWN * whole) for few, whole in series):
            table.failed.append(f"preview of {kind}: too many frames of a series (made, of): {series}")


def _has_bytecode() -> bool:
    """Whether Python finds numba compiled, which ``make setup`` sees to."""
    spec = importlib.util.find_spec("numba")
    return spec is not None and spec.cached is not None and Path(spec.cached).is_file()


def main() -> int:
    given = report.options(__doc__ or "")
    started, table = time.monotonic(), Table()
    compiled = warm()
    compiling_s = time.monotonic() - started
    with data.memory_folder() as memory, data.disk_folder(given.dir) as disk:
        report.facts({"tmpfs": memory, "disk": disk})
        print(
            "bytecode ",
            "of libraries is there" if _has_bytecode() else "OF LIBRARIES IS MISSING: imports take twice as long",
        )
        print("kernels  ", f"were compiled first, in {compiling_s:.0f} s" if compiled else "were compiled before")
        headers = Headers(200 if given.quick else 500)
        table.section("headers of CT slices, explicit VR little endian")
        measured = alternating(given.runs, ours=headers.ours, peer=headers.theirs)
        table.higher("headers", "/s", measured["ours"], "pydicom", measured["peer"], HEADER_GATE)
        sections(table, memory, disk, given.runs)
    projections(table, given.runs)
    firsts(table, 1 if given.quick else 3)
    shown(table, 1)
    print(f"\n{time.monotonic() - started:.0f} s")
    return table.finish()


if __name__ == "__main__":
    sys.exit(main())
