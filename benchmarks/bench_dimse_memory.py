"""Memory of sender and receiver: flat over 10,000 instances, and small for one instance of 2 GB.

``python benchmarks/bench_dimse_memory.py [--quick] [--dir DIR]``

Our SCU sends to our server, each in a process of its own; the server counts the bytes and keeps nothing. Peaks are the
kernel's (VmHWM, begun anew before each measurement), above what the process held when it was idle and ready, with the
list of what will be sent. The first tenth brings what is imported or set up once; then all of them are sent, and
whatever the peak rises by is growth.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import data
import report
from data import TINY, Maker
from report import Table

import peers
from peers import Child, Served

INSTANCES, QUICK_INSTANCES = 10_000, 1_000
LARGE_BYTES, QUICK_LARGE_BYTES = 2 << 30, 256 << 20
GROWTH_LIMIT_MB = 5e-4  # for each instance: a tenth of what one instance of 5 KB would add if it were kept
LARGE_LIMIT_MB = 100.0


@dataclass
class Pair:
    """A sender and a server that counts, each ready."""

    sender: Child
    receiver: Child
    server: Served

    def run(self, count: int, size_bytes: int) -> tuple[float, float]:
        """Send the first of what was loaded; the peaks of both above what they hold now, in MB."""
        pids = (self.sender.pid, self.receiver.pid)
        before = self.receiver.ask("counted")
        idle = [peers.resident_bytes(pid) for pid in pids]
        for pid in pids:
            peers.forget_peak(pid)
        sent = self.sender.ask("send", peer=self.server.address(), count=count)
        peaks = [peers.peak_bytes(pid) for pid in pids]
        after = self.receiver.ask("counted")
        arrived = (after["instances"] - before["instances"], after["size_bytes"] - before["size_bytes"])
        if sent["accepted"] != count or arrived != (count, size_bytes):
            raise RuntimeError(f"{sent['accepted']} of {count} accepted; {arrived} arrived, not {(count, size_bytes)}")
        over = [max(0, peak - rest) / 1e6 for peak, rest in zip(peaks, idle, strict=True)]
        return over[0], over[1]


def started(sender: Child, receiver: Child) -> Pair:
    return Pair(sender, receiver, Served("COUNTER", receiver.ask("serve"), receiver.pid))


def many(table: Table, folder: Path, count: int, runs: int) -> None:
    """Peaks for a tenth of the instances and then for all of them, in fresh processes each time.

    The list of all of them stays loaded throughout: memory that became free would hide growth.
    """
    maker = Maker(TINY)
    maker.write(folder, count)
    first: list[tuple[float, float]] = []
    growth: list[tuple[float, float]] = []
    for _ in range(runs):
        with Child() as sender, Child() as receiver:
            pair = started(sender, receiver)
            sender.ask("load", folder=str(folder))
            few = pair.run(count // 10, count // 10 * maker.size_bytes)
            rest = pair.run(count, count * maker.size_bytes)
        first.append(few)
        growth.append(rest)
    for side, label in enumerate(("sender", "receiving server")):
        table.report(f"first {count // 10} instances of {TINY.label}, {label}", "MB", [one[side] for one in first])
        table.under_limit(
            f"{count} more on a new association, {label}", "MB", [one[side] for one in growth], GROWTH_LIMIT_MB * count
        )


def large(table: Table, folder: Path, size_bytes: int, runs: int) -> None:
    """Peaks for one multi-frame instance."""
    instance = data.write_sparse(folder / "large.dcm", size_bytes)
    encoded_bytes = instance.path.stat().st_size - instance.dataset_offset
    peaks: list[tuple[float, float]] = []
    for _ in range(runs):
        with Child() as sender, Child() as receiver:
            pair = started(sender, receiver)
            sender.ask("load", folder=str(folder))
            peaks.append(pair.run(1, encoded_bytes))
    for side, label in enumerate(("sender", "receiving server")):
        table.under_limit(
            f"one instance of {size_bytes >> 20} MiB, {label}", "MB", [one[side] for one in peaks], LARGE_LIMIT_MB
        )


def main() -> int:
    given = report.options(__doc__ or "")
    count, size_bytes = (QUICK_INSTANCES, QUICK_LARGE_BYTES) if given.quick else (INSTANCES, LARGE_BYTES)
    table = Table()
    # The large file is a hole, and some kernels fill a hole in memory when it is read: it goes to a disk.
    with data.memory_folder() as memory, data.disk_folder(given.dir) as disk:
        report.facts({"5 KB": memory, "large, sparse": disk})
        table.section("peak of resident memory above idle, in fresh processes; our SCU to our server")
        many(table, memory, count, given.runs)
        large(table, disk, size_bytes, given.runs)
    return table.finish()


if __name__ == "__main__":
    sys.exit(main())
