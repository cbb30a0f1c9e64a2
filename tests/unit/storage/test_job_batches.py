"""What is noted in batches is noted of each item, whether their outcomes are alike or not, on every database."""

from __future__ import annotations

import random

import pytest

from dicomfab.model.job import ItemOutcome, ItemState
from dicomfab.storage.database import Database
from dicomfab.storage.job_queue import JobQueue, LeaseLost
from dicomfab.storage.jobs import JobRepository
from tests.unit.storage.test_jobs import items, take, wanted

COUNT = 120


@pytest.mark.parametrize("seed", range(4))
def test_every_item_gets_its_own_outcome(database: Database, seed: int) -> None:
    draw = random.Random(seed)
    ledger, queue = JobRepository(database), JobQueue(database)
    job_id = ledger.submit(wanted(), items(COUNT))
    _, claim = take(queue)
    numbers = list(range(1, COUNT + 1))
    if seed:  # with gaps, and not in order
        numbers = draw.sample(numbers, 90)
    queue.advance(claim, [], begin=numbers)
    expected: dict[int, tuple[object, ...]] = {}
    outcomes = []
    for number in numbers:
        is_usual = draw.random() < 0.9
        state = ItemState.DONE if is_usual else draw.choice((ItemState.DONE, ItemState.FAILED, ItemState.PENDING))
        status = "0000" if is_usual else "B000"
        detail = {} if is_usual or draw.random() < 0.5 else {"number": number}
        outcomes.append(ItemOutcome(number, state, status, detail, 5_000, int(not is_usual)))
        expected[number] = (state, status, detail, 1, int(not is_usual))
    queue.advance(claim, outcomes)
    untouched = (ItemState.PENDING, "", {}, 0, 0)
    for item in ledger.items(job_id):
        found = (item.state, item.status, item.detail, item.attempts, item.resent)
        assert found == expected.get(item.number, untouched)
    counts = ledger.find(job_id).counts
    states = [outcome.state for outcome in outcomes]
    assert (counts.done, counts.failed) == (states.count(ItemState.DONE), states.count(ItemState.FAILED))
    assert (counts.size_bytes, counts.resent) == (5_000 * len(numbers), sum(one.resent for one in outcomes))
    briefs = [(one.number, one.key, one.label, one.state, one.attempts, one.resent) for one in queue.briefs(job_id)]
    assert briefs == [(i.number, i.key, i.label, i.state, i.attempts, i.resent) for i in ledger.items(job_id)]


def test_what_was_done_can_turn_out_to_have_failed(database: Database) -> None:
    ledger, queue = JobRepository(database), JobQueue(database)
    job_id = ledger.submit(wanted(), items(20))
    _, claim = take(queue)
    queue.advance(claim, [ItemOutcome(n, ItemState.DONE, "0000") for n in range(1, 21)])
    queue.revise(claim, [ItemOutcome(n, ItemState.FAILED, detail={"error": {"what": "not listed"}}) for n in (3, 4)])
    queue.revise(claim, [ItemOutcome(5, ItemState.DONE, detail={"more": "is known"})])
    counts = ledger.find(job_id).counts
    assert (counts.done, counts.failed) == (18, 2)
    assert [item.number for item in ledger.items(job_id, [ItemState.FAILED])] == [3, 4]
    assert ledger.items(job_id)[4].detail == {"more": "is known"}


def test_revising_needs_the_claim(database: Database) -> None:
    ledger = JobRepository(database)
    queue = JobQueue(database, lease_s=-1)
    ledger.submit(wanted(), items(1))
    _, lost = take(queue)
    take(queue, "another")
    with pytest.raises(LeaseLost):
        queue.revise(lost, [ItemOutcome(1, ItemState.FAILED)])
