"""Memory of a worker that fabricates: flat over 10,000 instances, over long cines and over large slides.

``python benchmarks/bench_fabricate_memory.py [--quick] [--dir DIR]``

Each study is made in a process of its own, which drops what it has encoded. Peaks are the kernel's (VmHWM), libraries
and compiled kernels included: after 200 instances or frames, and after all of them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import report
from bench_fabricate import fresh
from report import Table

EARLY = 200
GROWTH_LIMIT_MB, PEAK_LIMIT_MB = 20.0, 400.0


@dataclass(frozen=True)
class Long:
    """A study that could fill the memory.

    Args:
        kind: of the study.
        what: it is made of.
        count: in the recipe.
        quick: the same for a dry run.
    """

    kind: str
    what: str
    count: int
    quick: int


STUDIES = (
    Long("ct-chest", "instances", 10_000, 1_000),
    Long("us-cine", "frames of one instance", 1_000, 300),
    Long("xa-cine", "frames of one instance", 1_000, 300),
    Long("wsi", "tiles of five levels", 40, 24),
)


def main() -> int:
    given = report.options(__doc__ or "")
    table = Table()
    report.facts({})
    for long in STUDIES:
        made = fresh("memory", long.kind, str(long.quick if given.quick else long.count), str(EARLY))
        rate = made["frames"] / made["seconds"]
        table.section(f"{long.kind}: {made['frames']} {long.what}, {rate:.0f} a second; peak of resident memory")
        early, late = made["early"] / 1e6, made["all"] / 1e6
        table.report(f"after {EARLY}", "MB", [early])
        table.under_limit("risen by then, after all", "MB", [late - early], GROWTH_LIMIT_MB)
        table.under_limit("after all", "MB", [late], PEAK_LIMIT_MB)
    return table.finish()


if __name__ == "__main__":
    sys.exit(main())
