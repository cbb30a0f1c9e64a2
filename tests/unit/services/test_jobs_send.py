"""Send jobs between real servers: the ledger says what is there, whatever goes wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pydicom
import pytest

from dicomfab.dimse.handlers import Refusal
from dicomfab.dimse.scu.store import StoreOutcome, store
from dicomfab.model.actor import Role
from dicomfab.model.errors import AssociationAborted, ConfirmationRequired
from dicomfab.model.job import ItemState, Job, JobEvent, JobState
from dicomfab.model.study import InstanceFile, InstanceIdentity
from dicomfab.model.values import Environment
from dicomfab.storage.job_queue import JobQueue
from tests.unit.dimse.memory_pacs import MemoryPacs
from tests.unit.services.hospital import Hospital, actor
from tests.unit.services.job_office import Gate, Office, at_work, cards, mortal, picky, until

DISK_FULL = Refusal(0xA700, "disk full")


def kinds(job: Job) -> list[str]:
    return [study["verdict"]["kind"] for study in job.report.get("studies", ())]


def test_every_instance_is_an_item_and_done_when_the_destination_lists_it(office: Office) -> None:
    handlers, server = picky(office)
    one, two = office.site.make(cards(3)), office.site.make(cards(2, seed=6))
    job_id = office.send([one, two, one], server)
    assert office.run(job_id).state is JobState.SUCCEEDED
    job = office.checked(job_id)
    assert (job.counts.done, job.counts.resent, kinds(job)) == (5, 0, ["verified", "verified"])
    assert job.counts.size_bytes == sum(i.size_bytes for s in (one, two) for i in office.site.local.instances(s))
    assert {item.key for item in office.items(job_id)} == office.site.held("PICKY", one) | office.site.held(
        "PICKY", two
    )
    assert {(item.attempts, item.status) for item in office.items(job_id)} == {(1, "0000")}
    assert len(handlers.received) == 5


def test_refused_instances_fail_with_reason_and_status_and_a_retry_sends_only_them(office: Office) -> None:
    handlers, server = picky(office)
    study = office.site.make(cards(6))
    bad = sorted(office.site.held("local", study))[:3]
    for uid, status in zip(bad, (0xA900, 0xC000, 0x0110), strict=True):
        handlers.refusals[uid] = Refusal(status, f"no {status:04X}")
    job_id = office.send([study], server)
    assert office.run(job_id).state is JobState.FAILED
    job = office.checked(job_id)
    assert (job.counts.done, job.counts.failed, job.error["error"]) == (3, 3, "TransferIncomplete")
    failed = {item.key: item for item in office.items(job_id, ItemState.FAILED)}
    assert [failed[uid].status for uid in bad] == ["A900", "C000", "0110"]
    assert all(f"no {item.status}" in item.detail["error"]["what"] for item in failed.values())
    handlers.refusals.clear()
    handlers.received.clear()
    assert office.retried(job_id).state is JobState.SUCCEEDED
    assert sorted(handlers.received) == bad
    assert office.checked(job_id).counts.done == 6
    assert office.site.held("PICKY", study) == office.site.held("local", study)


def test_a_full_destination_puts_a_job_off_that_comes_again(office: Office) -> None:
    handlers, server = picky(office)
    study = office.site.make(cards(8))
    handlers.refuse_after = 3, DISK_FULL
    job_id = office.send([study], server, max_attempts=3)
    job = office.run(job_id)
    assert (job.state, job.attempts, job.error["status"], job.error["transient"]) == (JobState.QUEUED, 1, "A700", True)
    # What was under way when the first refusal came was refused too, and waits like the rest.
    states = [item.state for item in office.items(job_id)]
    assert states == [ItemState.DONE] * 3 + [ItemState.PENDING] * 5
    assert office.items(job_id)[3].status == "A700"
    assert len(handlers.received) <= 5
    assert 1.0 <= (job.not_before - office.now()).total_seconds() + 0.5 <= 2.6
    assert not office.worker().run_one(job_id)
    handlers.refuse_after = None
    handlers.received.clear()
    office.pass_s(3)
    assert office.run(job_id).state is JobState.SUCCEEDED
    assert (office.checked(job_id).counts.done, len(handlers.received)) == (8, 5)


def test_a_job_that_gets_on_between_two_failures_counts_them_from_the_start(office: Office) -> None:
    handlers, server = picky(office)
    study = office.site.make(cards(6))
    job_id = office.send([study], server, max_attempts=3)
    seen = []
    for accepted in (2, 0, 0):
        handlers.refuse_after = len(handlers.received) + accepted, DISK_FULL
        job = office.run(job_id)
        seen.append((job.state, job.attempts))
        office.pass_s(600)
    assert seen == [(JobState.QUEUED, 1), (JobState.QUEUED, 2), (JobState.FAILED, 2)]
    assert office.checked(job_id).counts.done == 2
    assert office.ledger.find(job_id).error["status"] == "A700"


def test_a_full_destination_fails_a_job_at_once_that_somebody_waits_for(office: Office) -> None:
    handlers, server = picky(office)
    study = office.site.make(cards(4))
    handlers.refuse_after = 1, DISK_FULL
    job_id = office.send([study], server)
    job = office.run(job_id)
    assert (job.state, job.counts.done, job.counts.failed) == (JobState.FAILED, 1, 3)
    assert {item.status for item in office.items(job_id, ItemState.FAILED)} == {"A700"}


@pytest.mark.parametrize("max_attempts", [1, 5])
def test_a_destination_that_dies_midway_leaves_the_rest_for_later(office: Office, max_attempts: int) -> None:
    server, entry = mortal(office)
    study = office.site.make(cards(12))

    def fifth() -> None:
        if len(server.handlers.received) == 5:
            server.die()

    server.handlers.on_store = fifth
    job_id = office.send([study], entry, max_attempts=max_attempts)
    job = office.run(job_id)
    assert job.state is (JobState.FAILED if max_attempts == 1 else JobState.QUEUED)
    assert job.error["fault"] == "peer"
    assert job.counts.done == 4
    server.revive()
    server.handlers.received.clear()
    office.pass_s(600)
    assert (office.retried(job_id) if max_attempts == 1 else office.run(job_id)).state is JobState.SUCCEEDED
    job = office.checked(job_id)
    assert (job.counts.done, job.counts.resent) == (12, 1)
    assert len(server.handlers.received) == 8
    assert office.site.held("MORTAL", study) == office.site.held("local", study)


def test_what_was_answered_for_out_of_order_stays_done_when_the_rest_breaks_off(office: Office) -> None:
    """As over DICOMweb, where the second half of a group that was refused goes before the quarters of the first."""
    handlers, server = picky(office)
    study = office.site.make(cards(6))

    def broken_off(peer: Any, files: Sequence[InstanceFile], **options: Any) -> Iterator[StoreOutcome]:
        for position in (2, 3, 0):
            yield from store(peer, [files[position]], **options)
        raise AssociationAborted("the connection broke", cause="it was cut")

    office.site.transfers.store = broken_off
    job_id = office.send([study], server)
    assert office.run(job_id).state is JobState.FAILED
    assert office.checked(job_id).counts.done == 3
    done, way, pending = ItemState.DONE, ItemState.UNDER_WAY, ItemState.PENDING
    assert [item.state for item in office.items(job_id)] == [done, way, done, done, pending, pending]
    office.site.transfers.store = store
    handlers.received.clear()
    assert office.retried(job_id).state is JobState.SUCCEEDED
    job = office.checked(job_id)
    assert (job.counts.done, job.counts.resent, len(handlers.received)) == (6, 1, 3)


@pytest.mark.parametrize("max_attempts", [1, 5])
def test_a_destination_that_is_not_there(office: Office, max_attempts: int) -> None:
    server, entry = mortal(office)
    study = office.site.make(cards(3))
    server.kill()
    job_id = office.send([study], entry, max_attempts=max_attempts)
    job = office.run(job_id)
    assert job.state is (JobState.FAILED if max_attempts == 1 else JobState.QUEUED)
    assert job.error["error"] == "ConnectionFailed"
    assert [item.state for item in office.items(job_id)][1:] == [ItemState.PENDING] * 2
    server.revive()
    office.pass_s(600)
    assert (office.retried(job_id) if max_attempts == 1 else office.run(job_id)).state is JobState.SUCCEEDED
    assert office.checked(job_id).counts.done == 3


def test_a_destination_that_takes_everything_and_lists_nothing(office: Office) -> None:
    memory = MemoryPacs()
    server = office.site.server("LIAR", memory)
    office.know(server)
    study = office.site.make(cards(3))
    job_id = office.send([study], server)
    job = office.run(job_id)
    assert (job.state, job.error["error"], kinds(job)) == (JobState.FAILED, "TransferIncomplete", ["mismatch"])
    assert (office.checked(job_id).counts.done, job.counts.failed) == (0, 3)
    assert "does not list it" in office.items(job_id)[0].detail["error"]["what"]
    memory.stored.clear()
    office.retried(job_id)
    assert len(memory.stored) == 3


def test_a_destination_that_cannot_be_asked_leaves_the_job_in_doubt(office: Office) -> None:
    _, server = picky(office, capabilities=["echo", "store"])
    job_id = office.send([office.site.make(cards(2))], server)
    job = office.run(job_id)
    assert (job.state, kinds(job), job.counts.done) == (JobState.UNVERIFIED, ["unverified"], 2)


@pytest.mark.parametrize(
    ("event", "state", "back"),
    [(JobEvent.PAUSE, JobState.PAUSED, JobEvent.RESUME), (JobEvent.CANCEL, JobState.CANCELLED, JobEvent.RETRY)],
)
def test_stopping_comes_before_the_next_instance_and_going_on_does_the_rest(
    office: Office, event: JobEvent, state: JobState, back: JobEvent
) -> None:
    handlers, server = picky(office)
    study, gate = office.site.make(cards(10)), Gate(4)
    handlers.on_store = gate
    job_id = office.send([study], server)
    with at_work(office.worker(), job_id) as thread:
        gate.wait()
        assert office.ledger.ask(job_id, event).state is JobState.RUNNING
        _until_heard(office, job_id)
        gate.opened.set()
        thread.join(30)
    job = office.checked(job_id)
    assert job.state is state
    # One more may have been on its way already.
    assert 4 <= job.counts.done == len(handlers.received) <= 5
    assert len(office.site.held("PICKY", study)) == job.counts.done
    handlers.received.clear()
    office.ledger.ask(job_id, back)
    assert office.run(job_id).state is JobState.SUCCEEDED
    assert len(handlers.received) == 10 - job.counts.done
    assert office.checked(job_id).counts.resent == 0


def _until_heard(office: Office, job_id: int) -> None:
    """Until the worker has renewed its lease, and so heard what is asked of it."""
    before = _lease(office, job_id)
    until(lambda: _lease(office, job_id) != before)


def _lease(office: Office, job_id: int) -> object:
    with office.database.read() as connection:
        return connection.exec_driver_sql("SELECT lease_until FROM job WHERE id = ?", (job_id,)).scalar()


def test_a_worker_that_is_told_to_end_hands_its_job_over_at_once(office: Office) -> None:
    handlers, server = picky(office)
    study, gate, worker = office.site.make(cards(10)), Gate(4), office.worker()
    handlers.on_store = gate
    job_id = office.send([study], server)
    with at_work(worker, job_id):
        gate.wait()
        worker.stop()
        gate.opened.set()
    job = office.checked(job_id)
    assert (job.state, job.attempts) == (JobState.QUEUED, 0)
    assert office.run(job_id).state is JobState.SUCCEEDED
    assert office.checked(job_id).counts.resent == 0
    assert len(handlers.received) == 10


def test_a_worker_that_ends_while_it_waits_for_the_destination_hands_the_verifying_over(office: Office) -> None:
    memory = MemoryPacs()
    server = office.site.server("SLOW", memory)
    office.know(server)
    study, worker = office.site.make(cards(3)), office.worker()
    job_id = office.send([study], server, verify_wait_s=60.0)

    def stop_when_asked_again(*_arguments: object) -> object:
        memory.identifiers.append(None)  # type: ignore[arg-type]
        if len(memory.identifiers) > 1:
            worker.stop()
        return iter(())

    memory.find = stop_when_asked_again  # type: ignore[assignment,method-assign]
    with at_work(worker, job_id) as thread:
        thread.join(30)
    job = office.checked(job_id)
    assert (job.state, job.counts.done) == (JobState.QUEUED, 3)


def test_a_worker_that_has_lost_its_lease_stops_and_writes_nothing(office: Office) -> None:
    handlers, server = picky(office)
    study, gate = office.site.make(cards(10)), Gate(4)
    handlers.on_store = gate
    job_id = office.send([study], server)
    claimed_at = office.now()
    cut_off = JobQueue(office.database, now=lambda: claimed_at, lease_s=30)  # what it renews is over all the same
    first, second = office.worker(cut_off, name="first"), office.worker(name="second")
    with at_work(first, job_id) as thread:
        gate.wait()
        office.pass_s(60)
        assert second.run_one(job_id)
        job = office.checked(job_id)
        assert (job.state, job.worker, job.counts.done) == (JobState.SUCCEEDED, "second", 10)
        version = office.ledger.find(job_id).version
        gate.opened.set()
        thread.join(30)
        assert office.ledger.find(job_id).version == version
    assert office.site.held("PICKY", study) == office.site.held("local", study)
    assert office.checked(job_id).counts.resent >= 4


def test_no_more_jobs_of_a_server_run_at_once_than_it_bears(office: Office) -> None:
    handlers, server = picky(office)
    office.limits[f"pacs:{server.id}"] = 1
    gate = Gate(1)
    handlers.on_store = gate
    first, second = (office.send([office.site.make(cards(2, seed=seed))], server) for seed in (1, 2))
    with at_work(office.worker(), first) as thread:
        gate.wait()
        assert not office.worker().run_one(second)
        gate.opened.set()
        thread.join(30)
        assert office.run(second).state is JobState.SUCCEEDED


def test_role_and_confirmation_are_looked_at_again_when_the_job_runs(office: Office) -> None:
    handlers, server = picky(office)
    study = office.site.make(cards(2))
    job_ids = [
        office.send([study], server),
        office.send([study], server, confirm_production=True, as_whom=actor(Role.TEST_WRITE)),
        office.send([study], server, confirm_production=True),
    ]
    to_production = {"environment": "prod", "allow_synthetic": True}
    office.registry = office.registry.edit(server.id, to_production, confirm_environment=True)
    jobs = [office.run(job_id) for job_id in job_ids]
    assert [job.state for job in jobs] == [JobState.FAILED, JobState.FAILED, JobState.SUCCEEDED]
    assert [job.error.get("error") for job in jobs[:2]] == [ConfirmationRequired.__name__, "AccessDenied"]
    assert len(handlers.received) == 2


def test_a_server_that_was_deleted_fails_the_job(office: Office) -> None:
    handlers, server = picky(office)
    job_id = office.send([office.site.make(cards(2))], server)
    office.registry = office.registry.remove(server.id)
    job = office.run(job_id)
    assert (job.state, job.error["error"], handlers.received) == (JobState.FAILED, "NotFound", [])


def test_a_study_that_was_deleted_fails_by_itself(office: Office) -> None:
    _, server = picky(office)
    gone, there = office.site.make(cards(2)), office.site.make(cards(3, seed=6))
    job_id = office.send([gone, there], server)
    office.site.local.delete_study(gone)
    assert office.run(job_id).state is JobState.FAILED
    job = office.checked(job_id)
    assert (job.counts.done, job.counts.failed, job.report["verdict"]) == (3, 2, "mismatch")
    assert "1 of 2 studies" in job.error["what"]
    assert office.items(job_id)[0].detail["error"]["error"] == "NotFound"
    alone = office.send([there], server)
    office.site.local.delete_study(there)
    assert office.run(alone).error["error"] == "NotFound"


def test_a_study_that_has_changed_since_is_sent_as_it_is(office: Office) -> None:
    _, server = picky(office)
    whole = office.site.make(cards(4))
    job_id = office.send([whole], server)
    now_held = _changed(office.site, whole)
    assert office.run(job_id).state is JobState.FAILED
    job = office.checked(job_id)
    assert (job.counts.total, job.counts.done, job.counts.failed) == (5, 4, 1)
    assert office.site.held("PICKY", whole) == office.site.held("local", whole) == now_held
    assert "no longer in the local store" in office.items(job_id, ItemState.FAILED)[0].detail["error"]["what"]


def _changed(site: Hospital, study: str) -> set[str]:
    """Take the first instance out of a local study and put another into it."""
    data = [pydicom.dcmread(instance.path) for instance in site.local.instances(study)]
    site.local.delete_study(study)
    data[0].SOPInstanceUID += ".1"
    for one in data:
        file = pydicom.filebase.DicomBytesIO()
        file.is_little_endian, file.is_implicit_VR = True, False
        pydicom.filewriter.write_dataset(file, one)
        uids = (one.SOPClassUID, one.SOPInstanceUID, one.file_meta.TransferSyntaxUID)
        incoming = site.local.begin(InstanceIdentity(*map(str, uids)))
        incoming.write(file.getvalue())
        incoming.commit(environment=Environment.TEST)
    return {str(one.SOPInstanceUID) for one in data}
