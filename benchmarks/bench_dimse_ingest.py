"""C-STORE as receiver: our embedded PACS against Orthanc, on one disk, with every instance new to both.

``python benchmarks/bench_dimse_ingest.py [--quick] [--dir DIR]``

Durability. Ours answers success when nothing of the instance can be lost: the commit of the index is synced (SQLite in
WAL mode, synchronous FULL) and holds what is small; what is larger lies in a synced file. Orthanc with SyncStorageArea
true syncs the file alone: its index is SQLite in WAL mode with synchronous NORMAL, set in its source, which syncs at
checkpoints only (strace of 1.10.1 shows one fdatasync for each instance, of its file). So ours promises more than
Orthanc can be told to; the gates make no allowance for that.

Both leave work for later: ours syncs the files in place after every 256 instances, Orthanc its index at checkpoints. A
run of the fast senders is longer than that, and all disks are synced before each run, so that neither pays for what the
other left.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import data
import report
from data import CT, TINY, Maker
from report import Table, alternating

import peers
from peers import Child, EmbeddedPacs, Orthanc, Served

SENDERS = (1, 4)
STOCK_GATES = {TINY: 20.0, CT: 5.0}
FAST_GATES = {TINY: 1.0, CT: 1.0}
# files of the two storescu runs, into ours and into Orthanc: stock Orthanc takes some 10 instances a second
STOCK_COUNTS = {TINY: ((20, 620), (2, 22)), CT: ((10, 130), (2, 22))}
FAST_COUNTS = {TINY: 1200, CT: 320}  # divisible by senders and by what --quick leaves


class Counted:
    """A server, and how many instances it must hold by now: what was answered with success has to be there."""

    def __init__(self, server: Served, count: Callable[[], int]) -> None:
        self.server = server
        self._count = count
        self._expected = 0

    def expect(self, more: int) -> None:
        self._expected += more

    def check(self) -> None:
        found = self._count()
        if found != self._expected:
            raise RuntimeError(f"{self.server.ae_title} holds {found} instances, but took {self._expected}")


def stock_rate(into: Counted, maker: Maker, counts: tuple[int, int], folder: Path) -> float:
    """Instances per second of a stock storescu, without its start."""
    few, many = counts
    with data.disk_folder(folder) as place:
        files = maker.write(place, few + many)
        os.sync()
        rate = peers.storescu_rate(into.server, files[:few], files[few:], nodelay=False)
    into.expect(few + many)
    return rate


def fast_rate(into: Counted, maker: Maker, count: int, folder: Path, senders: Sequence[Child]) -> float:
    """Instances per second of our senders, each with a study and an association of its own, from the first's start."""
    with data.disk_folder(folder) as place:
        for number, sender in enumerate(senders):
            maker.write(place / str(number), count // len(senders))
            sender.ask("load", folder=str(place / str(number)))
        os.sync()
        for sender in senders:
            sender.begin("send", peer=into.server.address())
        sent = [sender.answer() for sender in senders]
    accepted = sum(one["accepted"] for one in sent)
    if accepted != count:
        raise RuntimeError(f"{into.server.ae_title} accepted {accepted} of {count} instances")
    into.expect(count)
    return float(count / (max(one["end"] for one in sent) - min(one["start"] for one in sent)))


def stock(table: Table, ours: Counted, theirs: Counted, folder: Path, runs: int, share: int) -> None:
    table.section("from one stock storescu (TCP_NODELAY absent): into our embedded PACS, and into stock Orthanc")
    for kind, gate in STOCK_GATES.items():
        maker = Maker(kind)
        (few, many), orthanc_counts = STOCK_COUNTS[kind]
        measured = alternating(
            runs,
            ours=partial(stock_rate, ours, maker, (few, many // share), folder),
            peer=partial(stock_rate, theirs, maker, orthanc_counts, folder),
        )
        table.higher(f"receive {kind.label}", "/s", measured["ours"], "Orthanc", measured["peer"], gate)
    theirs.check()
    ours.check()


def fast(table: Table, ours: Counted, theirs: Counted, folder: Path, runs: int, share: int) -> None:
    table.section("from our SCU, 1 and 4 processes: into our embedded PACS, and into Orthanc with TCP_NODELAY=1")
    for senders in SENDERS:
        with ExitStack() as children:
            sending = [children.enter_context(Child()) for _ in range(senders)]
            for kind, gate in FAST_GATES.items():
                maker, count = Maker(kind), FAST_COUNTS[kind] // share
                measured = alternating(
                    runs,
                    ours=partial(fast_rate, ours, maker, count, folder, sending),
                    peer=partial(fast_rate, theirs, maker, count, folder, sending),
                )
                what = f"receive {kind.label}, {senders} sender{'s' if senders > 1 else ''}"
                table.higher(what, "/s", measured["ours"], "Orthanc", measured["peer"], gate)
    theirs.check()
    ours.check()


def counted(server: Orthanc | EmbeddedPacs) -> Counted:
    return Counted(server if isinstance(server, Orthanc) else server.served(), server.count)


def main() -> int:
    given = report.options(__doc__ or "")
    table, share = Table(), 4 if given.quick else 1
    with data.memory_folder() as memory, data.disk_folder(given.dir) as disk:
        report.facts({"of senders": memory, "of servers": disk})
        if report.filesystem(disk) in report.IN_MEMORY:
            print("the servers' folder lies in memory, where syncing costs nothing: name another with --dir")
            return 1
        print("synced    ours: file or content, and index (SQLite WAL, FULL); Orthanc: file (its index: WAL, NORMAL)")
        with peers.embedded_pacs(disk) as pacs:
            ours = counted(pacs)
            with peers.orthanc(disk, nodelay=False) as stock_orthanc:
                stock(table, ours, counted(stock_orthanc), memory, given.runs, share)
            with peers.orthanc(disk, nodelay=True) as orthanc:
                fast(table, ours, counted(orthanc), memory, given.runs, share)
    return table.finish()


if __name__ == "__main__":
    sys.exit(main())
