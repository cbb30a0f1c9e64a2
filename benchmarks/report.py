"""What every benchmark of the network prints: the facts of the machine, and one table of measurements and gates."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from peers import program

IN_MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs"})
_LOOK_S, _BUSY_PERCENT = 2.0, 15.0
_ATTEMPTS = 5
_WIDTHS = (66, 28, 42, 8, 8, 6)


def options(description: str) -> argparse.Namespace:
    """The options that all of them have: ``quick`` and ``dir``."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a dry run: fewer instances, three runs instead of five")
    parser.add_argument("--dir", type=Path, help="where servers keep what they receive; its disk is what is measured")
    given = parser.parse_args()
    if sys.platform != "linux":
        raise SystemExit("these benchmarks read /proc: they run on Linux only")
    given.runs = 3 if given.quick else 5
    given.dir = (given.dir or _a_disk()).resolve()
    return given


def _a_disk() -> Path:
    """The first usual place that does not lie in memory."""
    places = (Path("/var/tmp"), Path("/tmp"), Path.cwd())
    return next(
        (place for place in places if os.access(place, os.W_OK) and filesystem(place) not in IN_MEMORY), places[0]
    )


def filesystem(folder: Path) -> str:
    """The kind of the file system that a folder lies on."""
    resolved = folder.resolve()
    found = ("", "unknown")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, point, kind, *_ = line.split()
        if resolved.is_relative_to(point) and len(point) >= len(found[0]):
            found = (point, kind)
    return found[1]


def alternating(runs: int, **sides: Callable[[], float]) -> dict[str, list[float]]:
    """Measure each side in turn, so that whatever else the machine does meets all of them alike."""
    measured: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(runs):
        for name, measure in sides.items():
            measured[name].append(measure())
    return measured


def complete(measure: Callable[[], float]) -> float:
    """Measure again when a run of pynetdicom was cut off: it loses about one response in 2,000."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return measure()
        except RuntimeError as error:
            print(f"  repeated: {error}")
    return measure()


@dataclass
class Table:
    """Prints each row when it is known, and remembers whether a gate failed."""

    failed: list[str] = field(default_factory=list)
    title: str = ""

    def higher(
        self, what: str, unit: str, ours: Sequence[float], peer_name: str, peer: Sequence[float],
        gate: float | None = None,
    ) -> None:  # fmt: skip
        """More is better; the ratio is ours to theirs, and has to reach the gate."""
        ratio = statistics.median(ours) / statistics.median(peer)
        self._row(what, cell(ours, unit), f"{peer_name} {cell(peer, unit)}", ratio, gate, ">=")

    def lower(
        self, what: str, unit: str, ours: Sequence[float], peer_name: str, peer: Sequence[float],
        gate: float | None = None,
    ) -> None:  # fmt: skip
        """Less is better; the ratio is theirs to ours, and has to reach the gate."""
        ratio = statistics.median(peer) / statistics.median(ours)
        self._row(what, cell(ours, unit), f"{peer_name} {cell(peer, unit)}", ratio, gate, ">=")

    def over_floor(
        self, what: str, unit: str, ours: Sequence[float], floor: Sequence[float], gate: float | None = None
    ) -> None:
        """How many times a floor that nobody can pass below; the ratio must not exceed the gate."""
        ratio = statistics.median(ours) / statistics.median(floor)
        self._row(what, cell(ours, unit), f"raw sockets {cell(floor, unit)}", ratio, gate, "<=")

    def under_limit(self, what: str, unit: str, ours: Sequence[float], limit: float) -> None:
        """An amount that is itself the gate."""
        passed = statistics.median(ours) <= limit
        self._print(what, cell(ours, unit), "", "", f"<= {limit:g}", "PASS" if passed else "FAIL")
        if not passed:
            self.failed.append(f"{what.strip()} | {self.title}")

    def report(self, what: str, unit: str, values: Sequence[float], *, of_peer: str = "") -> None:
        """A figure without a gate: ours, or a peer's."""
        text = cell(values, unit)
        self._print(what, "" if of_peer else text, f"{of_peer} {text}" if of_peer else "", "", "", "")

    def _row(self, what: str, ours: str, peer: str, ratio: float, gate: float | None, sign: str) -> None:
        passed = gate is None or (ratio >= gate if sign == ">=" else ratio <= gate)
        result = "" if gate is None else "PASS" if passed else "FAIL"
        self._print(what, ours, peer, f"{ratio:.2f}x", "" if gate is None else f"{sign} {gate:g}x", result)
        if not passed:
            self.failed.append(f"{what.strip()} | {self.title}")

    def section(self, title: str) -> None:
        """Begin a part of the table: its settings as the title, and the names of the columns."""
        self.title = title
        print(f"\n{title}")
        self._print("what", "ours: median [min..max]", "peer: median [min..max]", "ratio", "gate", "result")

    @staticmethod
    def _print(*cells: str) -> None:
        print("  ".join(f"{text:{width}}" for text, width in zip(cells, _WIDTHS, strict=True)).rstrip(), flush=True)

    def finish(self) -> int:
        """Say which gates failed; the exit code."""
        for what in self.failed:
            print(f"gate failed: {what}")
        return 1 if self.failed else 0


def cell(values: Sequence[float], unit: str) -> str:
    """Median and range."""
    middle, low, high = (_number(value) for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} [{low}..{high}] {unit}"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3f}"


def facts(folders: Mapping[str, Path]) -> None:
    """Print what the figures were measured on and against.

    Args:
        folders: what lies where, for its file system.
    """
    print(f"machine   {os.cpu_count()} cores, {_processor()}, Linux {platform.release()}")
    busy_percent = psutil.cpu_percent(interval=_LOOK_S)
    print(f"idle      {100 - busy_percent:.0f} % of all cores before the start", end="")
    print("" if busy_percent < _BUSY_PERCENT else ": OTHERS ARE AT WORK, AND NO FIGURE BELOW CAN BE RELIED ON")
    libraries = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("pydicom", "pynetdicom"))
    print(f"software  Python {platform.python_version()}, {libraries}, {_version('storescu')}, {_version('Orthanc')}")
    for purpose, folder in folders.items():
        print(f"files     {purpose}: {filesystem(folder)} ({folder.parent})")
    print("ratios are of medians, taken in alternating runs; TCP_NODELAY of DCMTK and Orthanc as each table says")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _version(name: str) -> str:
    done = subprocess.run([program(name), "--version"], capture_output=True, text=True, check=False)
    words = done.stdout.split()
    return f"DCMTK {words[2]}" if name == "storescu" else f"Orthanc {words[1]}"
