"""C-STORE as sender: our SCU against DCMTK's storescu, to the same sink, over one association.

``python benchmarks/bench_dimse_store.py [--quick] [--dir DIR]``

Ours is timed from opening the association to its release, in a process that has started; of storescu the time of its
process is taken for few and for many files, and the difference counted, so that its start and its association cost it
nothing. Ours is told what identifies each file, as an archive knows it; a further row reads it from the files first.

The limit is the sink: of the time that an instance of 5 KB takes, it works for about a half. So a third sender, a bare
socket that sends bytes made ready beforehand and looks at nothing, says how fast this sink can be fed at all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import data
import report
from data import CT, DX, TINY, Kind, Maker
from report import Table, alternating

import peers
from dicomfab.model.study import InstanceFile
from peers import Child, Served

PDU_LENGTHS = (16384, 131072)  # storescp's default, and the most that it can
# kind -> few and many files of a storescu run with TCP_NODELAY, and the gate
NODELAY = {TINY: (20, 1500, 1.3), CT: (10, 400, 1.3), DX: (2, 24, 1.5)}
SHARE_OF_LIMIT = 0.7  # of what bytes made ready beforehand reach, to the same sink in the same run
# Nagle's algorithm makes a stock exchange last 88 ms on any machine, so the first depends on how fast this one is.
STOCK_FACTOR, STOCK_ORTHANC_FACTOR = 200.0, 10.0
PYNETDICOM_COUNTS = {TINY: 300, CT: 100, DX: 10}


def rate(child: Child, served: Served, count: int, operation: str = "send", **arguments: bool) -> float:
    """Instances per second of one association that a child opens for what it has loaded."""
    sent = child.ask(operation, peer=served.address(), **arguments)
    if sent["accepted"] != count:
        raise RuntimeError(f"{sent['accepted']} of {count} instances were accepted at the first attempt")
    return float(count / (sent["end"] - sent["start"]))


def sinks(table: Table, folder: Path, made: dict[Kind, list[InstanceFile]], runs: int) -> None:
    """The gates against storescu with TCP_NODELAY, for each receive PDU of the sink."""
    for pdu in PDU_LENGTHS:
        table.section(f"to storescp --ignore +B --max-pdu {pdu}; TCP_NODELAY=1 for storescu and storescp")
        with peers.storescp(folder, nodelay=True, pdu=pdu) as sink, Child() as ours:
            for kind, (few, _, gate) in NODELAY.items():
                files = made[kind]
                before = peers.processor_s(sink.pid)
                ours.ask("load", folder=str(files[0].path.parent))
                measured = alternating(
                    runs,
                    ours=partial(rate, ours, sink, len(files)),
                    peer=partial(peers.storescu_rate, sink, files[:few], files, nodelay=True),
                    limit=partial(rate, ours, sink, len(files), "send_ready"),
                    reading=partial(rate, ours, sink, len(files), read_first=True),
                )
                table.higher(f"send {kind.label}", "/s", measured["ours"], "storescu", measured["peer"], gate)
                what = "  reading what identifies each file first"
                table.higher(what, "/s", measured["reading"], "storescu", measured["peer"])
                share = None if kind is DX else SHARE_OF_LIMIT  # 20 MB are sent from their file, not from memory
                table.higher("  of bytes made ready", "/s", measured["ours"], "bare socket", measured["limit"], share)
                taken = runs * (4 * len(files) + few)
                busy_us = (peers.processor_s(sink.pid) - before) / taken * 1e6
                table.report("  processor time of the sink for each", "us", [busy_us], of_peer="storescp")


def stock(table: Table, folder: Path, made: dict[Kind, list[InstanceFile]], runs: int, quick: bool) -> None:
    """The gates against storescu as it comes, to peers as they come."""
    table.section("to stock peers: TCP_NODELAY absent for storescu, storescp (--ignore +B, PDU 16384) and Orthanc")
    tiny = made[TINY]
    few, many = tiny[:3], tiny[: 13 if quick else 23]
    with peers.storescp(folder, nodelay=False) as sink, Child() as ours:
        ours.ask("load", folder=str(tiny[0].path.parent))
        measured = alternating(
            runs,
            ours=lambda: rate(ours, sink, len(tiny)),
            peer=lambda: peers.storescu_rate(sink, few, many, nodelay=False),
        )
    table.higher(f"send {TINY.label} to storescp", "/s", measured["ours"], "storescu", measured["peer"], STOCK_FACTOR)
    maker, count = Maker(CT), 40 if quick else 100
    with peers.orthanc(folder, nodelay=False, sync=False) as server, Child() as ours:
        measured = alternating(
            runs,
            ours=lambda: fresh(folder, maker, count, lambda _: rate(ours, server, count), ours),
            peer=lambda: fresh(
                folder, maker, 14, lambda files: peers.storescu_rate(server, files[:2], files[2:], nodelay=False)
            ),
        )
        expected = runs * (count + 14)
        if server.count() != expected:
            raise RuntimeError(f"Orthanc holds {server.count()} instances, not {expected}")
    table.higher(
        f"send {CT.label} to Orthanc (in memory, new instances)", "/s", measured["ours"], "storescu", measured["peer"],
        STOCK_ORTHANC_FACTOR,
    )  # fmt: skip


def fresh(
    folder: Path, maker: Maker, count: int, measure: Callable[[list[InstanceFile]], float], loader: Child | None = None
) -> float:
    """Measure with instances that no server has seen; they are removed afterwards."""
    with data.disk_folder(folder) as place:
        files = maker.write(place, count)
        if loader is not None:
            loader.ask("load", folder=str(place))
        return measure(files)


def reported(table: Table, folder: Path, made: dict[Kind, list[InstanceFile]], runs: int) -> None:
    """Figures without a gate: pynetdicom, and what bare sockets reach."""
    table.section("for comparison: storescp --max-pdu 131072, TCP_NODELAY=1; pynetdicom in its best public settings")
    with (
        peers.storescp(folder, nodelay=True, pdu=131072) as sink,
        Child("child_pynetdicom") as other,
        Child() as server,
        Child() as client,
    ):
        port = server.ask("serve_raw")
        for kind in NODELAY:
            count = min(PYNETDICOM_COUNTS[kind], len(made[kind]))
            other.ask("load", folder=str(made[kind][0].path.parent), count=count)
            measure = partial(rate, other, sink, count, "child_pynetdicom.send")
            rates = [report.complete(measure) for _ in range(runs)]
            table.report(f"send {kind.label}", "/s", rates, of_peer="pynetdicom")
            turns = {"count": 20 if kind is DX else 300, "request": Maker(kind).size_bytes, "answer": 200}
            seconds = [client.ask("raw_exchanges", port=port, **turns) for _ in range(runs)]
            table.report(
                f"  request of {kind.label} and answer, in turn", "/s", [1 / one for one in seconds],
                of_peer="raw sockets",
            )  # fmt: skip


def made_in(folder: Path, kinds: Sequence[Kind], quick: bool) -> dict[Kind, list[InstanceFile]]:
    """The files of each kind, as many as the larger storescu run takes."""
    share = 3 if quick else 1
    return {
        kind: Maker(kind).write(folder / str(number), NODELAY[kind][1] // share) for number, kind in enumerate(kinds)
    }


def main() -> int:
    given = report.options(__doc__ or "")
    with data.memory_folder() as folder:
        report.facts({"of senders, sinks and Orthanc": folder})
        made = made_in(folder, list(NODELAY), given.quick)
        table = Table()
        sinks(table, folder, made, given.runs)
        stock(table, folder, made, given.runs, given.quick)
        reported(table, folder, made, given.runs)
    return table.finish()


if __name__ == "__main__":
    sys.exit(main())
