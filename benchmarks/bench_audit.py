"""What the audit log costs: an entry alone, entries together, entries of several threads, and a check of the chain.

``python benchmarks/bench_audit.py [--quick] [--dir DIR]``

The floor is SQLite itself: the same row, in a transaction of its own, through the driver and nothing else.
"""

from __future__ import annotations

import itertools
import logging
import sqlite3
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import data
import report
from report import Table, alternating

from dicomfab.app.build import Application
from dicomfab.app.settings import Settings
from dicomfab.model.actor import local_admin
from dicomfab.model.audit import AuditEvent, EventKind, Node
from dicomfab.services.audit import AuditService
from dicomfab.storage.audit import AuditFilter

ACTOR = local_admin("benchmark", "cli")
SERVER = Node(name="Ward PACS", ae_title="WARD", host="192.0.2.9")
APPEND_MS = 1.0
TOGETHER = 20
THREADS = 4


def event(kind: EventKind = EventKind.TRANSFER_ENDED) -> AuditEvent:
    return AuditEvent.by(
        ACTOR, kind, environment="test", receiver=SERVER, study_uids=("2.25." + "1" * 36,),
        sop_classes={"1.2.840.10008.5.1.4.1.1.2": 200}, patient_ids=("SYN0000000001",),
    )  # fmt: skip


def alone(audit: AuditService, count: int) -> float:
    """Milliseconds for an entry in a transaction of its own."""
    start = time.perf_counter()
    for _ in range(count):
        audit.record(event())
    return (time.perf_counter() - start) * 1000 / count


def processor(audit: AuditService, count: int) -> float:
    """Milliseconds of processor time for an entry, which does not depend on what else the machine does."""
    start = time.process_time()
    for _ in range(count):
        audit.record(event())
    return (time.process_time() - start) * 1000 / count


def together(audit: AuditService, count: int) -> float:
    """Milliseconds for each of several entries in one transaction."""
    start = time.perf_counter()
    for _ in range(count // TOGETHER):
        audit.record(*(event() for _ in range(TOGETHER)))
    return (time.perf_counter() - start) * 1000 / (count // TOGETHER * TOGETHER)


def of_threads(audit: AuditService, count: int) -> float:
    """Milliseconds for an entry while several threads add some."""
    start = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda _: audit.record(event()), range(count)))
    return (time.perf_counter() - start) * 1000 / count


def synced(audit: AuditService, count: int) -> float:
    """Milliseconds for an entry that is on the disk before the next one begins."""
    start = time.perf_counter()
    for _ in range(count):
        audit.record(event(EventKind.DELETION))
    return (time.perf_counter() - start) * 1000 / count


def floor(path: Path, numbers: itertools.count[int], count: int) -> float:
    """Milliseconds for a row of the same size through the driver alone."""
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
        "CREATE TABLE IF NOT EXISTS entry (seq INTEGER PRIMARY KEY, actor TEXT, body TEXT, mac TEXT)"
    )
    start = time.perf_counter()
    for _ in range(count):
        database.execute("BEGIN IMMEDIATE")
        database.execute("INSERT INTO entry VALUES (?, ?, ?, ?)", (next(numbers), "benchmark", "x" * 500, "0" * 64))
        database.execute("COMMIT")
    elapsed = time.perf_counter() - start
    database.close()
    return elapsed * 1000 / count


def main() -> int:
    given = report.options(__doc__ or "")
    logging.disable(logging.WARNING)
    count = 500 if given.quick else 3000
    with data.disk_folder(given.dir) as disk:
        report.facts({"of the log": disk})
        application = Application(Settings(home=disk / "home"))
        audit, table = application.audit, Table()
        audit.record(event())
        table.section(f"adding entries, {count} a run")
        measured = alternating(
            given.runs,
            alone=partial(alone, audit, count),
            processor=partial(processor, audit, count),
            together=partial(together, audit, count),
            threads=partial(of_threads, audit, count),
            synced=partial(synced, audit, count // 10),
            floor=partial(floor, disk / "floor.sqlite3", itertools.count(), count),
        )
        table.under_limit("an entry, processor time", "ms", measured["processor"], APPEND_MS)
        table.report("an entry, in a transaction of its own", "ms", measured["alone"])
        table.under_limit(f"an entry, {TOGETHER} in a transaction", "ms", measured["together"], APPEND_MS)
        table.report(f"an entry, {THREADS} threads at once", "ms", measured["threads"])
        table.report("an entry that is on the disk at once", "ms", measured["synced"])
        table.report("SQLite alone, a row in a transaction of its own", "ms", measured["floor"], of_peer="SQLite")
        verifying(table, audit, given.runs)
        application.close()
    return table.finish()


def verifying(table: Table, audit: AuditService, runs: int) -> None:
    entries = audit.page(ACTOR, AuditFilter(), limit=1).entries[0].seq
    table.section(f"a log of {entries:,} entries")
    rates, pages = [], []
    for _ in range(runs):
        start = time.perf_counter()
        if audit.verify(ACTOR).broken is not None:
            raise RuntimeError("the log that was just written is broken")
        rates.append(entries / (time.perf_counter() - start))
        start = time.perf_counter()
        audit.page(ACTOR, AuditFilter(text="ward"), limit=50)
        pages.append((time.perf_counter() - start) * 1000)
    table.report("verify", "entries/s", rates)
    table.report("a page of 50, found by a part of their text", "ms", pages)


if __name__ == "__main__":
    sys.exit(main())
