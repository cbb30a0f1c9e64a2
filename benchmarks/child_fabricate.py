"""What the benchmarks of fabrication measure in a fresh process: ``child_fabricate.py OPERATION [ARGUMENT...]``.

Each operation prints one line of JSON. Moments are of the system-wide monotonic clock, so that the caller can count
from before the process was started.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dicomfab.fabricate.recipe import ResolvedStudy

NOW = dt.datetime(2026, 1, 31, 9, 30, tzinfo=dt.UTC)


def study(kind: str, seed: int = 1, count: int | None = None) -> ResolvedStudy:
    from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
    from dicomfab.fabricate.resolve import resolve

    return resolve(StudyRecipe((SeriesRecipe(kind, count),), seed=seed), now=NOW, draw_seed=lambda: seed)


def libraries() -> dict[str, Any]:
    """Nothing but importing what no first image can be made without."""
    import numba  # noqa: F401
    import numpy  # noqa: F401
    import pydicom  # noqa: F401

    return _now()


def first(kind: str) -> dict[str, Any]:
    """Until the first image of a study of the default size is encoded: of a cine, its first frame."""
    from dicomfab.fabricate.study import fabricate

    buffers = next(iter(fabricate(study(kind)))).buffers
    next(buffers)  # the header
    next(buffers)
    return _now()


def preview(kind: str) -> dict[str, Any]:
    """Until every series of a study of the default size has been shown; frames made of each, and how many it has."""
    from dicomfab.fabricate.preview import previews

    series = []
    for one in previews(study(kind)):
        one.picture()
        series.append((one.plan.count * one.plan.frames, one.instances * one.frames))
    return {**_now(), "series": series}


def memory(kind: str, count: str, early: str) -> dict[str, Any]:
    """Peaks of resident memory after some of the frames of a study and after all of them, which are dropped.

    Args:
        kind: of the study.
        count: what its recipe counts.
        early: how many frames are some.
    """
    from dicomfab.fabricate.study import fabricate

    frames, peak_bytes = 0, 0
    start = time.monotonic()
    for instance in fabricate(study(kind, count=int(count))):
        next(instance.buffers)
        for _ in instance.buffers:
            frames += 1
            if frames == int(early):
                peak_bytes = _peak_bytes()
    return {"early": peak_bytes, "all": _peak_bytes(), "frames": frames, "seconds": time.monotonic() - start}


def _now() -> dict[str, Any]:
    return {"moment": time.monotonic(), "processor_s": time.process_time()}


def _peak_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
