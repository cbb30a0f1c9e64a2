"""C-ECHO: how long it takes, above what bare sockets take for as many exchanges.

``python benchmarks/bench_dimse_echo.py [--quick] [--dir DIR]``

Opening, echo and release are one TCP connection with three exchanges; an echo on an open association is one. A bare
socket program does the same number of exchanges of the same lengths in the same run: that is the floor, and the gates
are multiples of it. The goals in milliseconds are printed beside them.
"""

from __future__ import annotations

import statistics
import sys
import time
from functools import partial

import data
import report
from report import Table, alternating

import peers
from peers import Child, Served

# A-ASSOCIATE-RQ and -AC, C-ECHO-RQ and -RSP, A-RELEASE-RQ and -RP: bytes, as they are here within a few
EXCHANGES = [[220, 190], [80, 90], [10, 10]]
OPEN_GATE, ECHO_GATE = 8.0, 8.0
OPEN_GOAL_MS, ECHO_GOAL_MS = 1.0, 0.2


def in_ms(child: Child, operation: str, served: Served, count: int) -> float:
    return float(child.ask(operation, peer=served.address(), count=count)) * 1000


def echoscu(served: Served, count: int) -> float:
    """The median milliseconds of DCMTK's echoscu, its start included."""
    arguments = [peers.HOST, str(served.port)]
    return statistics.median(peers.run_client("echoscu", served, arguments, nodelay=True) for _ in range(count)) * 1000


def gated(table: Table, ours: Child, raw: tuple[Child, int], served: Served, label: str, runs: int, count: int) -> None:
    """Both gates against one server."""
    client, port = raw
    measured = alternating(
        runs,
        ours=partial(in_ms, ours, "echoes", served, count),
        floor=lambda: client.ask("raw_connections", port=port, count=count, exchanges=EXCHANGES) * 1000,
        one=partial(in_ms, ours, "echoes_on_one", served, count),
        one_floor=lambda: client.ask("raw_exchanges", port=port, count=count, request=80, answer=90) * 1000,
    )
    for what, name, floor, gate, goal in (
        ("open, echo, release", "ours", "floor", OPEN_GATE, OPEN_GOAL_MS),
        ("echo on an open association", "one", "one_floor", ECHO_GATE, ECHO_GOAL_MS),
    ):
        reached = "reached" if statistics.median(measured[name]) < goal else "missed"
        table.over_floor(f"{what}, {label} (goal {goal:g} ms: {reached})", "ms", measured[name], measured[floor], gate)


def compared(table: Table, other: Child, served: Served, label: str, runs: int, count: int) -> None:
    for what, operation in (
        ("open, echo, release", "child_pynetdicom.echoes"),
        ("echo on an open association", "child_pynetdicom.echoes_on_one"),
    ):
        values = [in_ms(other, operation, served, count) for _ in range(runs)]
        table.report(f"{what}, {label}", "ms", values, of_peer="pynetdicom")
    table.report(f"process of echoscu, {label}", "ms", [echoscu(served, 5) for _ in range(runs)], of_peer="DCMTK")


def main() -> int:
    given = report.options(__doc__ or "")
    table, count = Table(), 100 if given.quick else 500
    started = time.monotonic()
    with (
        data.memory_folder() as folder,
        peers.storescp(folder, nodelay=True) as sink,
        Child() as server,
        Child() as raw_server,
        Child() as ours,
        Child() as client,
        Child("child_pynetdicom") as other,
    ):
        report.facts({})
        own = Served("COUNTER", server.ask("serve"), server.pid)
        raw = (client, raw_server.ask("serve_raw"))
        table.section(f"medians of {count} echoes, one after the other; TCP_NODELAY=1 for storescp and echoscu")
        gated(table, ours, raw, own, "our server", given.runs, count)
        gated(table, ours, raw, sink, "storescp", given.runs, count)
        table.section("for comparison")
        for served, label in ((own, "our server"), (sink, "storescp")):
            compared(table, other, served, label, given.runs, 5 if given.quick else 20)
    print(f"\n{time.monotonic() - started:.0f} s")
    return table.finish()


if __name__ == "__main__":
    sys.exit(main())
