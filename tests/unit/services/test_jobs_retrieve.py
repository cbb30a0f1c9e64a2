"""Move and get jobs between real servers: the ledger says what is there, whatever goes wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from dicomfab.dimse.handlers import Refusal
from dicomfab.dimse.messages import Response
from dicomfab.dimse.scu.get import get
from dicomfab.dimse.scu.move import move
from dicomfab.model.job import ItemState, Job, JobEvent, JobState
from dicomfab.model.study import InstanceFile
from dicomfab.registry.server import PacsServer
from tests.unit.services.hospital import ADMIN
from tests.unit.services.job_office import Gate, Mortal, Office, Picky, at_work, cards, mortal, picky


def filled(office: Office, counts: Sequence[int]) -> tuple[Picky, PacsServer, list[str]]:
    """A source with studies of so many instances, which are nowhere else."""
    handlers, server = picky(office, "SOURCE")
    studies = fill(office, server, counts)
    handlers.received.clear()
    return handlers, server, studies


def fill(office: Office, server: PacsServer, counts: Sequence[int]) -> list[str]:
    studies = [office.site.make(cards(count, seed=seed)) for seed, count in enumerate(counts, start=1)]
    for study in studies:
        office.site.transfers.send(ADMIN, study, server)
        office.site.local.delete_study(study)
    return studies


def kinds(job: Job) -> list[str]:
    return [study["verdict"]["kind"] for study in job.report.get("studies", ())]


def test_a_move_is_done_when_the_destination_lists_every_study(office: Office) -> None:
    _, source, studies = filled(office, (2, 3))
    _, target = picky(office, "TARGET")
    job_id = office.move(studies, source, target)
    assert office.run(job_id).state is JobState.SUCCEEDED
    job = office.checked(job_id)
    assert (job.counts.done, job.counts.resent, kinds(job)) == (2, 0, ["verified", "verified"])
    assert [item.detail["report"]["verdict"]["arrived"] for item in office.items(job_id)] == [2, 3]
    for study in studies:
        assert office.site.held("TARGET", study) == office.site.held("SOURCE", study)


def test_success_with_no_suboperations_is_a_failure(office: Office) -> None:
    handlers, source, studies = filled(office, (3,))
    _, target = picky(office, "TARGET")
    handlers.select = lambda *_: []  # type: ignore[method-assign]
    job_id = office.move(studies, source, target)
    job = office.run(job_id)
    assert (job.state, job.counts.failed, kinds(job)) == (JobState.FAILED, 1, ["mismatch"])
    assert job.report["studies"][0]["suboperations"]["completed"] == 0
    assert job.error["error"] == "TransferIncomplete"
    assert "3 of 3 instances are not listed" in job.error["what"]
    assert job.error["cause"].endswith("ended the C-MOVE with success and says that it sent nothing at all")


def test_success_with_fewer_arrived_is_a_mismatch_and_a_retry_asks_again(office: Office) -> None:
    handlers, source, studies = filled(office, (2, 3))
    _, target = picky(office, "TARGET")
    whole = handlers.select

    def all_but_one(*arguments: Any) -> Sequence[InstanceFile]:
        found = whole(*arguments)
        return found[:-1] if len(found) == 3 else found

    handlers.select = all_but_one  # type: ignore[method-assign]
    job_id = office.move(studies, source, target)
    job = office.run(job_id)
    assert (job.state, kinds(job), job.counts.done, job.counts.failed) == (
        JobState.FAILED,
        ["verified", "mismatch"],
        1,
        1,
    )
    handlers.select = whole  # type: ignore[method-assign]
    moves = []
    handlers.on_move = lambda: moves.append(1)
    assert office.retried(job_id).state is JobState.SUCCEEDED
    assert (len(moves), kinds(office.checked(job_id))) == (1, ["verified", "verified"])


def test_failed_suboperations_are_named(office: Office) -> None:
    _, source, studies = filled(office, (4,))
    handlers, target = picky(office, "TARGET")
    bad = sorted(office.site.held("SOURCE", studies[0]))[:2]
    handlers.refusals = dict.fromkeys(bad, Refusal(0xA900, "not mine"))
    job_id = office.move(studies, source, target)
    job = office.run(job_id)
    assert (job.state, kinds(job)) == (JobState.FAILED, ["mismatch"])
    report = office.items(job_id)[0].detail["report"]
    assert sorted(failed["sop_instance_uid"] for failed in report["failed"]) == bad
    assert (report["suboperations"]["completed"], report["suboperations"]["failed"]) == (2, 2)


def test_a_study_that_the_source_does_not_hold_fails_by_itself(office: Office) -> None:
    _, source, studies = filled(office, (2,))
    _, target = picky(office, "TARGET")
    job_id = office.move(["1.2.3", *studies], source, target)
    job = office.run(job_id)
    assert (job.state, job.counts.done, job.counts.failed) == (JobState.FAILED, 1, 1)
    assert office.items(job_id)[0].detail["error"]["error"] == "NotFound"
    assert "1 of 2 studies" in job.error["what"]
    alone = office.move(["1.2.3"], source, target)
    assert office.run(alone).error["error"] == "NotFound"


def dying(office: Office) -> tuple[Mortal, PacsServer, list[str]]:
    """A source that dies when it is asked for the second of three studies."""
    one, source = mortal(office, "SOURCE")
    studies = fill(office, source, (2, 2, 2))
    moves = []

    def second() -> None:
        moves.append(1)
        if len(moves) == 2:
            one.die()

    one.handlers.on_move = second
    return one, source, studies


@pytest.mark.parametrize("kind", ["move", "get"])
def test_a_source_that_dies_puts_a_job_off_that_comes_again(office: Office, kind: str) -> None:
    one, source, studies = dying(office)
    _, target = picky(office, "TARGET")
    if kind == "move":
        job_id = office.move(studies, source, target, max_attempts=4)
    else:
        job_id = office.get(studies, source, max_attempts=4)
    job = office.run(job_id)
    assert (job.state, job.counts.done, job.error["fault"]) == (JobState.QUEUED, 1, "peer")
    one.revive()
    office.pass_s(600)
    assert office.run(job_id).state is JobState.SUCCEEDED
    job = office.checked(job_id)
    assert (job.counts.done, job.counts.resent) == (3, 1)
    where = "TARGET" if kind == "move" else "local"
    assert all(office.site.held(where, study) == office.site.held("SOURCE", study) for study in studies)


def test_a_source_that_dies_fails_a_job_that_somebody_waits_for(office: Office) -> None:
    one, source, studies = dying(office)
    _, target = picky(office, "TARGET")
    job_id = office.move(studies, source, target)
    job = office.run(job_id)
    assert (job.state, job.counts.done, job.counts.failed) == (JobState.FAILED, 1, 2)
    one.revive()
    assert office.retried(job_id).state is JobState.SUCCEEDED
    assert office.checked(job_id).counts.done == 3


def test_an_unknown_destination_fails_at_once_with_its_status(office: Office) -> None:
    _, source, studies = filled(office, (1,))
    _, target = picky(office, "TARGET")
    del office.site.destinations["TARGET"]
    job_id = office.move(studies, source, target, max_attempts=5)
    job = office.run(job_id)
    assert (job.state, job.error["status"], office.items(job_id)[0].status) == (JobState.FAILED, "A801", "A801")


def test_a_route_that_was_deleted_fails_the_job_before_anything_is_asked(office: Office) -> None:
    handlers, source, studies = filled(office, (1,))
    _, target = picky(office, "TARGET")
    job_id = office.move(studies, source, target)
    office.registry = office.registry.set_routes(source.id, {target.id: ""})
    moves = []
    handlers.on_move = lambda: moves.append(1)
    job = office.run(job_id)
    assert (job.state, job.error["error"], moves) == (JobState.FAILED, "RouteMissing", [])


def test_confirmation_is_looked_at_again_when_the_job_runs(office: Office) -> None:
    _, source, studies = filled(office, (1,))
    handlers, target = picky(office, "TARGET")
    job_id = office.move(studies, source, target)
    office.registry = office.registry.edit(target.id, {"environment": "prod"}, confirm_environment=True)
    job = office.run(job_id)
    assert (job.state, job.error["error"], handlers.received) == (JobState.FAILED, "ConfirmationRequired", [])


@pytest.mark.parametrize(
    ("event", "state", "back"),
    [(JobEvent.PAUSE, JobState.PAUSED, JobEvent.RESUME), (JobEvent.CANCEL, JobState.CANCELLED, JobEvent.RETRY)],
)
def test_stopping_comes_before_the_next_study_and_going_on_does_the_rest(
    office: Office, event: JobEvent, state: JobState, back: JobEvent
) -> None:
    handlers, source, studies = filled(office, (1, 1, 1))
    _, target = picky(office, "TARGET")
    gate = Gate(2)
    handlers.on_move = gate
    job_id = office.move(studies, source, target)
    with at_work(office.worker(), job_id) as thread:
        gate.wait()
        office.ledger.ask(job_id, event)
        gate.opened.set()
        thread.join(30)
    job = office.checked(job_id)
    # It hears of it with what it notes next, or earlier.
    assert job.state is state
    assert 1 <= job.counts.done <= 2
    assert [item.state for item in office.items(job_id)][2] is ItemState.PENDING
    office.ledger.ask(job_id, back)
    assert office.run(job_id).state is JobState.SUCCEEDED
    assert office.checked(job_id).counts.done == 3


def test_a_get_puts_studies_into_the_local_store(office: Office) -> None:
    _, source, studies = filled(office, (2, 3))
    job_id = office.get(studies, source)
    assert office.run(job_id).state is JobState.SUCCEEDED
    assert kinds(office.checked(job_id)) == ["verified", "verified"]
    assert all(office.site.held("local", study) == office.site.held("SOURCE", study) for study in studies)


def test_a_move_in_doubt_is_looked_at_again_when_it_is_retried(office: Office) -> None:
    handlers, source, studies = filled(office, (2,))
    _, blind = picky(office, "BLIND", capabilities=["echo", "store"])
    job_id = office.move(studies, source, blind)
    assert office.run(job_id).state is JobState.UNVERIFIED
    office.registry = office.registry.edit(blind.id, {"capabilities": ["echo", "store", "find"]})
    moves = []
    handlers.on_move = lambda: moves.append(1)
    job = office.retried(job_id)
    assert (job.state, kinds(job), moves) == (JobState.SUCCEEDED, ["verified"], [])


@pytest.mark.parametrize("left", [0, 1])
def test_a_move_in_doubt_stays_so_when_the_source_has_less_by_now(office: Office, left: int) -> None:
    handlers, source, (study,) = filled(office, (3,))
    _, blind = picky(office, "BLIND", capabilities=["echo", "store"])
    job_id = office.move([study], source, blind)
    assert office.run(job_id).state is JobState.UNVERIFIED
    office.registry = office.registry.edit(blind.id, {"capabilities": ["echo", "store", "find"]})
    office.site.archives["BLIND"].delete_study(study)
    for instance in office.site.archives["SOURCE"].instances(study)[left:]:
        uids = (instance.series_instance_uid, instance.identity.sop_instance_uid)
        office.site.archives["SOURCE"].delete_part(study, *uids)
    moves = []
    handlers.on_move = lambda: moves.append(1)
    for _ in range(2):
        job = office.retried(job_id)
        assert (job.state, kinds(job), moves) == (JobState.UNVERIFIED, ["unverified"], [])
        verdict = office.items(job_id)[0].detail["report"]["verdict"]
        assert f"lists only {left} of the 3 instances" in verdict["why"]
        assert verdict["expected"] == 3


@pytest.mark.parametrize("max_attempts", [1, 4])
@pytest.mark.parametrize("kind", ["move", "get"])
def test_a_source_that_ends_it_as_cancelled_unasked_has_failed(office: Office, kind: str, max_attempts: int) -> None:
    _, source, (study,) = filled(office, (2,))
    _, target = picky(office, "TARGET")
    calls = []

    def and_then_gives_up(*arguments: Any, **options: Any) -> Iterator[Response]:
        """What a source sends that stops after everything was delivered but before it says so."""
        calls.append(1)
        for response in (move if kind == "move" else get)(*arguments, **options):
            yield Response(0xFF00 if response.status == 0xFF00 else 0xFE00, "", response.suboperations)

    if kind == "move":
        office.site.transfers.move_scu = and_then_gives_up
        job_id = office.move([study], source, target, max_attempts=max_attempts)
    else:
        office.site.transfers.get_scu = and_then_gives_up
        job_id = office.get([study], source, max_attempts=max_attempts)
    job = office.run(job_id)
    assert (job.state, calls, job.counts.failed) == (JobState.FAILED, [1], 1)
    assert (job.error["error"], job.error["status"]) == ("StatusFailure", "FE00")
    assert "nobody asked for" in job.error["what"]
    # What arrived is told all the same.
    report = office.items(job_id)[0].detail["report"]
    assert (report["cancelled"], report["verdict"]["kind"], report["verdict"]["present"]) == (False, "verified", 2)


def test_a_source_that_ends_it_as_cancelled_when_asked_to_has_not_failed(office: Office) -> None:
    _, source, (study,) = filled(office, (2,))
    _, target = picky(office, "TARGET")
    responses = []

    def cancelled(*arguments: Any, **options: Any) -> Iterator[Response]:
        for response in move(*arguments, **options):
            responses.append(response)
            yield Response(0xFF00 if response.status == 0xFF00 else 0xFE00, "", response.suboperations)

    office.site.transfers.move_scu = cancelled
    job_id = office.move([study], source, target)
    assert office.run(job_id, cancelled=lambda: bool(responses)).state is JobState.CANCELLED
    assert [item.state for item in office.items(job_id)] == [ItemState.PENDING]
