"""What a job costs: a send job against the bare C-STORE of our wire, and pages of long lists of jobs and items.

``python benchmarks/bench_jobs.py [--quick] [--dir DIR]``

Both sides send the files of the same archive from this process over one association to the same sink, in turn. A job is
timed from being taken from the queue to its end in the ledger, which lies on the disk that is named below. The sink
answers no C-FIND, so no side waits for a listing.
"""

from __future__ import annotations

import datetime
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import data
import report
from data import CT, TINY, Kind, Maker
from report import Table, alternating

import peers
from dicomfab.app.build import Application
from dicomfab.app.settings import Settings
from dicomfab.archive.archive import Archive
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scu.store import store
from dicomfab.model.actor import local_admin
from dicomfab.model.job import ItemState, JobKind, NewItem, NewJob
from dicomfab.model.study import InstanceFile
from dicomfab.model.values import Environment
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.peers import peer_for
from dicomfab.storage.jobs import JobFilter, JobRepository

ACTOR = local_admin("benchmark", "cli")
# kind -> instances, and the least share of the bare rate; 1 / 1.25 and 1 / 1.05 were the first goals (ADR 17)
SENT: dict[Kind, tuple[int, float]] = {TINY: (10_000, 0.7), CT: (2000, 0.85)}
MANY = 10_000
PAGE_MS = 200.0
RUNS_OF_A_PAGE = 5


def keep(archive: Archive, files: list[InstanceFile]) -> str:
    """Put the files of one study into an archive."""
    with archive.batch() as batch:
        for file in files:
            with batch.begin(file.identity) as incoming, file.path.open("rb") as source:
                source.seek(file.dataset_offset)
                incoming.write(source.read())
                incoming.commit(environment=Environment.TEST)
    return data.study_uid(files[0])


def bare(peer: Peer, files: list[InstanceFile]) -> float:
    """Instances per second of our C-STORE alone."""
    start = time.perf_counter()
    accepted = sum(outcome.accepted for outcome in store(peer, files))
    return rate(accepted, len(files), time.perf_counter() - start)


def as_job(application: Application, study: str, sink: PacsServer, count: int) -> float:
    """The same of a job."""
    job = application.jobs.send(ACTOR, [study], sink)
    start = time.perf_counter()
    if not application.worker.run_one(job.id):
        raise RuntimeError("the job could not be taken")
    seconds = time.perf_counter() - start
    return rate(application.jobs.show(ACTOR, job.id).counts.done, count, seconds)


def rate(accepted: int, count: int, seconds: float) -> float:
    if accepted != count:
        raise RuntimeError(f"{accepted} of {count} instances were accepted")
    return count / seconds


@contextmanager
def installation(folder: Path) -> Iterator[Application]:
    application = Application(Settings(home=folder / "home"))
    try:
        yield application
    finally:
        application.close()


def sending(table: Table, memory: Path, disk: Path, runs: int, quick: bool) -> None:
    table.section("to storescp --ignore +B --max-pdu 131072, TCP_NODELAY=1; the same files over one association")
    with peers.storescp(memory, nodelay=True, pdu=131072) as served, installation(disk) as application:
        entry = PacsServer(
            id="sink", name="sink", host=peers.HOST, port=served.port, aec=served.ae_title, environment="test",
            allow_real=True,
            capabilities=["echo", "store"],
        )  # fmt: skip
        application.registry.change(lambda registry: registry.add(entry))
        sink = application.registry.load().get("sink")
        for kind, (count, gate) in SENT.items():
            count = count // (4 if quick else 1)
            archive = Archive(memory / kind.label.replace(" ", ""))
            application.transfers.local = application.jobs.local = archive
            study = keep(archive, Maker(kind).write(memory / "made" / kind.label, count))
            files = [instance.file for instance in archive.instances(study)]
            measured = alternating(
                runs,
                job=partial(as_job, application, study, sink, count),
                bare=partial(bare, peer_for(sink, Capability.STORE), files),
            )
            table.higher(f"send {kind.label}", "/s", measured["job"], "bare C-STORE", measured["bare"], gate)
            submit = partial(application.jobs.send, ACTOR, [study], sink)
            submitting = [elapsed_ms(submit) for _ in range(runs)]
            table.report(f"  submitting it, {count} items", "ms", submitting)
            archive.close()


def pages(table: Table, disk: Path) -> None:
    table.section(f"pages of {MANY:,} jobs, and of {MANY:,} items of one job")
    with installation(disk) as application:
        fill(JobRepository(application.database))
        jobs, first = application.jobs, 1
        views: dict[str, Callable[[], int]] = {
            "first 100 jobs": lambda: len(jobs.page(ACTOR, JobFilter(), limit=100).jobs),
            "last 100 jobs": lambda: len(jobs.page(ACTOR, JobFilter(), limit=100, offset=MANY - 100).jobs),
            "100 jobs by a part of the title": lambda: len(jobs.page(ACTOR, JobFilter(search="9"), limit=100).jobs),
            "first 200 items": lambda: len(jobs.items(ACTOR, first, limit=200)),
            "last 200 items": lambda: len(jobs.items(ACTOR, first, limit=200, offset=MANY - 200)),
            "items in one state": lambda: len(jobs.items(ACTOR, first, [ItemState.PENDING], limit=200, offset=5000)),
        }
        for what, view in views.items():
            if view() not in (100, 200):
                raise RuntimeError(f"{what}: not a whole page")
            table.under_limit(what, "ms", [elapsed_ms(view) for _ in range(RUNS_OF_A_PAGE)], PAGE_MS)


def fill(ledger: JobRepository) -> None:
    """One job of many items, and many jobs of one."""
    for number in range(MANY):
        new = NewJob(
            kind=JobKind.SEND, title=f"Send study {number} to a server", owner=ACTOR.name, roles=tuple(ACTOR.roles),
            door=ACTOR.door, environment="test", queue="pacs:nowhere", request={"destination": "nowhere"},
            not_before=datetime.datetime.now(datetime.UTC),
        )  # fmt: skip
        count = 1 if number else MANY
        ledger.submit(new, [NewItem(f"2.25.{number}.{item}", "2.25.1") for item in range(count)])


def elapsed_ms(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000


def main() -> int:
    given = report.options(__doc__ or "")
    logging.disable(logging.WARNING)
    with data.memory_folder() as memory, data.disk_folder(given.dir) as disk:
        report.facts({"of sender and sink": memory, "of the ledger": disk})
        table = Table()
        sending(table, memory, disk / "sending", given.runs, given.quick)
        pages(table, disk / "pages")
    return table.finish()


if __name__ == "__main__":
    sys.exit(main())
