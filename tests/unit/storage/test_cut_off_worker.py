"""A worker that is cut off from PostgreSQL: connections stay open, and nothing comes through."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from sqlalchemy import select

from dicomfab.model.errors import LocalFailure
from dicomfab.model.job import ItemOutcome, ItemState, Job, JobEvent, JobKind, JobState, NewItem, NewJob
from dicomfab.storage.database import Database
from dicomfab.storage.job_queue import Claim, JobQueue, LeaseLost
from dicomfab.storage.job_rows import changing
from dicomfab.storage.jobs import JobRepository
from tests.peers.postgres import PostgresServer
from tests.peers.proxy import Proxy, proxy

LEASE_S = 2.0
HALF_OPEN_S = 1.0
FEW_S = 4.0
ITEMS = 6


@dataclass
class Scene:
    """Worker A behind a proxy and worker B, who have one database."""

    wire: Proxy
    database_a: Database
    a: JobQueue
    b: JobQueue
    ledger: JobRepository
    job_id: int
    claim: Claim

    def taken_over(self) -> tuple[Job, Claim]:
        """Worker B asks until it gets the job."""
        began = time.monotonic()
        patience = threading.Event()
        while (taken := take(self.b, "b")) is None:
            assert time.monotonic() - began < LEASE_S + FEW_S
            patience.wait(0.05)
        assert time.monotonic() - began < LEASE_S + FEW_S
        return taken

    def finish_as_b(self, claim: Claim) -> None:
        """B does again what A may have sent, and the rest."""
        open_items = [item.number for item in self.ledger.items(self.job_id) if item.state is not ItemState.DONE]
        self.b.advance(claim, [], begin=open_items)
        self.b.advance(claim, [ItemOutcome(number, ItemState.DONE, size_bytes=10) for number in open_items])
        self.b.finish(claim, JobEvent.SUCCEED)


def take(queue: JobQueue, name: str) -> tuple[Job, Claim] | None:
    return queue.claim(name, store_id="here", limit=lambda _: 1)


@pytest.fixture
def scene(postgres: PostgresServer, postgres_name: str) -> Iterator[Scene]:
    with proxy(postgres.port) as wire:
        database_a = Database(postgres.address(postgres_name, port=wire.port), half_open_s=HALF_OPEN_S)
        database_b = Database(postgres.address(postgres_name), half_open_s=HALF_OPEN_S)
        a, b = JobQueue(database_a, lease_s=LEASE_S), JobQueue(database_b, lease_s=LEASE_S)
        ledger = JobRepository(database_b)
        new = NewJob(
            kind=JobKind.SEND, title="Send", owner="ada", roles=("admin",), door="cli", environment="test",
            queue="pacs:a", request={},
        )  # fmt: skip
        job_id = ledger.submit(new, (NewItem(f"1.2.{n}") for n in range(ITEMS)))
        taken = take(a, "a")
        assert taken is not None
        claim = taken[1]
        a.advance(claim, [], begin=[1, 2])
        a.advance(claim, [ItemOutcome(1, ItemState.DONE, size_bytes=10)], begin=[3])
        yield Scene(wire, database_a, a, b, ledger, job_id, claim)
        wire.restore()
        database_a.close()
        database_b.close()


def check_ledger(scene: Scene) -> None:
    """Everything is there once; what A had begun and not noted was done again, and is counted."""
    job = scene.ledger.find(scene.job_id)
    assert (job.state, job.worker) == (JobState.SUCCEEDED, "b")
    counts = job.counts
    assert (counts.total, counts.done, counts.failed, counts.open) == (ITEMS, ITEMS, 0, 0)
    assert (counts.resent, counts.size_bytes) == (2, ITEMS * 10)
    items = scene.ledger.items(scene.job_id)
    assert [item.state for item in items] == [ItemState.DONE] * ITEMS
    assert [item.resent for item in items] == [0, 1, 1, 0, 0, 0]


def test_a_worker_cut_off_between_two_notes_comes_back_too_late(scene: Scene) -> None:
    scene.wire.cut()
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(scene.a.advance, scene.claim, [ItemOutcome(2, ItemState.DONE, size_bytes=99)], [4])
        job, claim = scene.taken_over()
        assert (job.worker, job.counts.done) == ("b", 1)
        assert not late.done()
        scene.finish_as_b(claim)
        scene.wire.restore()
        with pytest.raises(LeaseLost):
            late.result(timeout=20)
    with pytest.raises(LeaseLost):
        scene.a.renew(scene.claim, "")
    check_ledger(scene)


def test_a_worker_cut_off_within_a_note_holds_nobody_up_and_leaves_nothing_behind(scene: Scene) -> None:
    def note_and_be_cut_off() -> None:
        with changing(scene.database_a) as connection:
            scene.wire.cut()  # now its half-open transaction holds the lock that every change of a job waits for
            scene.finish_as_b(scene.taken_over()[1])
            scene.wire.restore()
            connection.execute(select(1))

    with pytest.raises(LocalFailure, match="cannot be reached") as lost:
        note_and_be_cut_off()
    assert lost.value.transient
    with pytest.raises(LeaseLost):
        scene.a.advance(scene.claim, [ItemOutcome(2, ItemState.DONE, size_bytes=99)])
    check_ledger(scene)
