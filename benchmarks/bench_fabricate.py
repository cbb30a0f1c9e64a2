"""How fast are studies made? Slices rendered, rendered and written, DX views, and headers against pydicom's dcmwrite.

    python benchmarks/bench_fabricate.py [--quick]

Ratios are taken in one run on one machine. Exits with 1 if headers are not at least 10 times as fast as pydicom.
"""

from __future__ import annotations

import argparse
import copy
import datetime as dt
import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pydicom import Dataset

from dicomfab.fabricate.encode.template import HeaderTemplate
from dicomfab.fabricate.recipe import ResolvedStudy, SeriesRecipe, StudyRecipe, resolve
from dicomfab.fabricate.sinks import write_files
from dicomfab.fabricate.study import fabricate, plans

HEADER_GATE = 10.0
NOW = dt.datetime(2026, 1, 31, 9, 30, tzinfo=dt.UTC)


def study(kind: str, seed: int, slices: int | None = None) -> ResolvedStudy:
    return resolve(StudyRecipe((SeriesRecipe(kind, slices),), seed=seed), now=NOW, draw_seed=lambda: seed)


def seconds(work: Callable[[int], float], repeats: int) -> float:
    """The median of what ``work`` measures, each time with a seed, and so a body, of its own."""
    return statistics.median(work(100 + repeat) for repeat in range(repeats))


def rendered(kind: str, seed: int) -> float:
    start = time.perf_counter()
    for _ in fabricate(study(kind, seed)):
        pass
    return time.perf_counter() - start


def written(seed: int, base: str | None) -> float:
    """Without the time that it takes to remove the files again."""
    with tempfile.TemporaryDirectory(dir=base) as folder:
        start = time.perf_counter()
        write_files(study("ct-chest", seed), Path(folder))
        return time.perf_counter() - start


def header_ratio(count: int) -> tuple[float, float]:
    """Headers per second by template and by pydicom (one Dataset kept, changed elements set, encoded)."""
    plan = next(iter(plans(study("ct-chest", 1, count), 1)))
    template = HeaderTemplate(plan.dataset, tuple(plan.varying(0)), None)
    start = time.perf_counter()
    ours = [template.header(plan.varying(index)) for index in range(count)]
    middle = time.perf_counter()
    dataset = copy.deepcopy(plan.dataset)
    theirs = [_pydicom(dataset, plan.varying(index)) for index in range(count)]
    end = time.perf_counter()
    if ours != theirs:
        raise AssertionError("the two wrote different bytes")
    return count / (middle - start), count / (end - middle)


def _pydicom(dataset: Dataset, values: Mapping[str, str]) -> bytes:
    for keyword, value in values.items():
        setattr(dataset, keyword, value.split("\\") if "\\" in value else value)
    file = io.BytesIO()
    dataset.save_as(file, implicit_vr=False, little_endian=True, enforce_file_format=False)
    return file.getvalue()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    repeats = 3 if parser.parse_args().quick else 9
    start = time.perf_counter()
    next(fabricate(study("ct-chest", 1, 1)))
    print(
        f"first CT slice of this process         {time.perf_counter() - start:8.2f} s (compiles kernels if not cached)"
    )
    rendered("dx-chest", 1)
    print(f"CT slices rendered, a body a study     {200 / seconds(lambda n: rendered('ct-chest', n), repeats):8.0f} /s")
    for name, base in (("memory", "/dev/shm" if os.path.isdir("/dev/shm") else None), ("disk", None)):
        rate = 200 / seconds(lambda n, base=base: written(n, base), repeats)
        print(f"CT slices rendered, written to {name:7s} {rate:8.0f} /s, {rate * 0.5263:.0f} MB/s")
    print(f"DX study, PA and lateral               {seconds(lambda n: rendered('dx-chest', n), repeats):8.2f} s")
    ours, theirs = header_ratio(500 if repeats == 3 else 2000)
    print(f"CT headers by template                 {ours:8.0f} /s")
    print(f"CT headers by pydicom                  {theirs:8.0f} /s")
    print(f"ratio (gate {HEADER_GATE:g})                         {ours / theirs:8.1f}")
    return 0 if ours / theirs >= HEADER_GATE else 1


if __name__ == "__main__":
    sys.exit(main())
