"""How much of a codec's own rate does the encode stage keep? CT slices, rendered before, into four transfer syntaxes.

    python benchmarks/bench_encode.py [--quick]

The codec alone encodes the same frames on as many threads and lets go of each coded frame a few frames later, as one
who writes them must. The stage makes whole instances: headers, fragments, order. Ratios are of the best of alternating
runs, as anything else that runs slows both. Exits with 1 if one is below the gate.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from dicomfab.fabricate.encode.series import described, encode_series
from dicomfab.fabricate.plan import SeriesPlan
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.fabricate.render.batches import default_workers
from dicomfab.fabricate.resolve import resolve
from dicomfab.fabricate.study import plans
from dicomfab.pixels.encoders import encode
from dicomfab.pixels.writable import writable

GATE = 0.9
# How many slices make a run, and which share of the repeats it needs: a second at most each.
SYNTAXES = {"rle": (200, 1.0), "jpeg-ls": (60, 0.6), "htj2k": (100, 0.8), "j2k": (12, 0.4)}
NOW = dt.datetime(2026, 1, 31, 9, 30, tzinfo=dt.UTC)
SLICES = 200
_KEPT = 4


def series() -> tuple[SeriesPlan, list[memoryview]]:
    """A CT series and its frames, in memory."""
    recipe = StudyRecipe((SeriesRecipe("ct-chest", SLICES),), seed=1)
    plan = next(plans(resolve(recipe, now=NOW, draw_seed=lambda: 1), default_workers()))
    return plan, list(plan.pixels())


def raw_s(plan: SeriesPlan, uid: str, frames: Sequence[memoryview], workers: int) -> float:
    description = described(plan.dataset, 1)

    def run(first: int) -> None:
        kept: deque[bytes] = deque(maxlen=_KEPT)
        for frame in frames[first::workers]:
            kept.append(encode(uid, frame, description))

    start = time.perf_counter()
    if workers == 1:
        run(0)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(run, range(workers)))
    return time.perf_counter() - start


def stage_s(plan: SeriesPlan, uid: str, frames: Sequence[memoryview], workers: int) -> float:
    def pixels() -> Iterator[memoryview]:
        return iter(frames)

    ready = replace(plan, count=len(frames), pixels=pixels)
    start = time.perf_counter()
    for instance in encode_series(ready, uid, workers):
        for _ in instance.buffers:
            pass
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    repeats = 5 if parser.parse_args().quick else 15
    plan, rendered = series()
    failed = []
    print(f"{'CT 512 x 512':14} {'threads':>7} {'codec':>16} {'encode stage':>16} {'kept':>6}  gate {GATE:.0%}")
    for name, (slices, share) in SYNTAXES.items():
        uid, frames = writable(name).uid, rendered[:slices]
        size = sum(frame.nbytes for frame in frames) / 1e6
        for workers in sorted({1, default_workers()}):
            runs = [
                (raw_s(plan, uid, frames, workers), stage_s(plan, uid, frames, workers))
                for _ in range(max(3, round(repeats * share)))
            ]
            raw, stage = (min(times) for times in zip(*runs, strict=True))
            kept = raw / stage
            print(f"{name:14} {workers:7} {size / raw:11.0f} MB/s {size / stage:11.0f} MB/s {kept:6.0%}", flush=True)
            if kept < GATE:
                failed.append(f"{name} on {workers}")
    for what in failed:
        print(f"gate failed: {what} threads")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
