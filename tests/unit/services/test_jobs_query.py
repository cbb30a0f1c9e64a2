"""Query jobs: each server's answer is an item, those that failed are asked again, and the results are kept."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dicomfab.model.actor import Actor, Role
from dicomfab.model.errors import InvalidInput
from dicomfab.model.job import ItemState, Job, JobEvent, JobKind, JobState
from dicomfab.registry.server import PacsServer
from dicomfab.services.jobs.outcomes import outcome_rows
from dicomfab.services.jobs.query import QueryExecutor, query_job
from dicomfab.services.jobs.run import JobRun
from dicomfab.services.pacs import PacsService
from dicomfab.services.query import Asked
from dicomfab.services.search import SearchService
from dicomfab.services.search_saved import SavedSearches
from dicomfab.services.study_filter import StudyFilter
from dicomfab.storage.registry import RegistryRepository
from dicomfab.storage.searches import SearchStore
from tests.unit.dimse import raw
from tests.unit.services.hospital import ADMIN, actor
from tests.unit.services.job_office import STORE, Office, mortal
from tests.unit.services.test_query_answers import answers_with
from tests.unit.services.test_search import Holding

DOE = StudyFilter(patient_name="Doe")


class Desk:
    """An office that searches."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.registry = RegistryRepository(office.database)
        folder = office.site.folder / "queries"
        pacs = PacsService(self.registry, lambda _peer: pytest.fail("no C-ECHO here"))
        self.searches = SearchService(
            office.site.queries, pacs, SearchStore(folder / "results"), SavedSearches(folder / "saved")
        )
        office.executors[JobKind.QUERY] = QueryExecutor(self.searches)

    def know(self, *servers: PacsServer) -> None:
        self.office.know(*servers)
        self.registry.change(lambda _before: self.office.registry)

    def holding(self, ae_title: str, *studies: str) -> tuple[Holding, PacsServer]:
        """A server with studies, known to the registry."""
        handlers = Holding(*((study, "Doe^Jane", "3") for study in studies))
        server = self.office.site.server(ae_title, handlers)
        self.know(server)
        return handlers, server

    def ask(self, servers: Sequence[Asked], as_whom: Actor = ADMIN, *, limit: int = 500, attempts: int = 1) -> int:
        made = query_job(as_whom, servers, DOE, limit=limit, store_id=STORE, max_attempts=attempts)
        return self.office.submit(*made)

    def found(self, job: Job, as_whom: Actor = ADMIN) -> list[tuple[str, str | None]]:
        rows = self.searches.rows(as_whom, job.request["search"])
        return sorted((row.answer.server_id, row.match.values["StudyInstanceUID"]) for row in rows)


@pytest.fixture
def desk(office: Office) -> Desk:
    return Desk(office)


def states(job: Job) -> dict[str, str]:
    return {server["server"]: server["state"] for server in job.report["servers"]}


def test_each_server_is_an_item_and_the_results_are_kept(desk: Desk) -> None:
    (_, one), (_, two) = desk.holding("ONE", "1.1", "1.2"), desk.holding("TWO", "1.2")
    job_id = desk.ask([one, two])
    assert desk.office.run(job_id).state is JobState.SUCCEEDED
    job = desk.office.checked(job_id)
    assert states(job) == {"one": "ok", "two": "ok"}
    assert [item.detail["why"] for item in desk.office.items(job_id)] == ["2 found", "1 found"]
    assert desk.found(job) == [("one", "1.1"), ("one", "1.2"), ("two", "1.2")]
    assert "Doe" not in job.title + "".join(item.label for item in desk.office.items(job_id))


def test_the_limit_is_said(desk: Desk) -> None:
    _, one = desk.holding("ONE", "1.1", "1.2")
    job_id = desk.ask([one], limit=1)
    job = desk.office.run(job_id)
    assert (job.report["servers"][0]["truncated"], job.report["servers"][0]["found"]) == (True, 1)
    assert desk.office.items(job_id)[0].detail["why"] == "the first 1 of more"


def test_a_server_that_failed_is_asked_again_and_it_alone(desk: Desk) -> None:
    handlers, one = desk.holding("ONE", "1.1")
    dead, two = mortal(desk.office, "TWO")
    desk.know()
    dead.kill()
    job_id = desk.ask([one, two], attempts=3)
    waiting = desk.office.run(job_id)
    assert (waiting.state, waiting.counts.done, waiting.counts.failed) == (JobState.QUEUED, 1, 0)
    assert "1 of 2 servers did not answer; TWO" in waiting.error["what"]
    kept = desk.searches.get(ADMIN, waiting.request["search"])
    assert [answer.state for answer in kept.answers] == ["ok", "failed"]
    dead.revive()
    desk.office.pass_s(600)
    assert desk.office.run(job_id).state is JobState.SUCCEEDED
    job = desk.office.checked(job_id)
    assert states(job) == {"one": "ok", "two": "ok"}
    assert (len(handlers.identifiers), desk.found(job)) == (1, [("one", "1.1")])


def test_a_server_that_stays_away_fails_and_a_retry_asks_it(desk: Desk) -> None:
    _, one = desk.holding("ONE", "1.1")
    dead, two = mortal(desk.office, "TWO")
    desk.know()
    dead.kill()
    job_id = desk.ask([one, two])
    job = desk.office.run(job_id)
    assert (job.state, job.counts.done, job.counts.failed) == (JobState.FAILED, 1, 1)
    assert (states(job), job.error["fault"]) == ({"one": "ok", "two": "failed"}, "peer")
    assert desk.found(job) == [("one", "1.1")]
    dead.revive()
    assert desk.office.retried(job_id).state is JobState.SUCCEEDED
    assert states(desk.office.checked(job_id)) == {"one": "ok", "two": "ok"}


def test_an_empty_answer_is_not_a_failed_one(desk: Desk) -> None:
    _, one = desk.holding("ONE")
    with raw.peer(answers_with(0xC001)) as peer:
        two = desk.office.site.entry("RAW", peer.port)
        desk.know(two)
        job_id = desk.ask([one, two], attempts=5)
        job = desk.office.run(job_id)
    assert (job.state, states(job)) == (JobState.FAILED, {"one": "ok", "raw": "failed"})
    assert [(item.state, item.status) for item in desk.office.items(job_id)] == [
        (ItemState.DONE, ""),
        (ItemState.FAILED, "C001"),
    ]


def test_a_warning_leaves_doubt_and_a_retry_asks_again(desk: Desk) -> None:
    with raw.peer(answers_with(0xB000)) as peer:
        warns = desk.office.site.entry("RAW", peer.port)
        desk.know(warns)
        job_id = desk.ask([warns])
        job = desk.office.run(job_id)
        assert (job.state, states(job)) == (JobState.UNVERIFIED, {"raw": "warning"})
    job = desk.office.retried(job_id)
    assert (job.state, states(job), desk.office.checked(job_id).counts.failed) == (
        JobState.FAILED,
        {"raw": "failed"},
        1,
    )


def test_policy_is_looked_at_again_when_the_job_runs(desk: Desk) -> None:
    (handlers, one), (other, two) = desk.holding("ONE", "1.1"), desk.holding("TWO", "1.2")
    tester = actor(Role.TEST_WRITE)
    job_id = desk.ask([one, two], tester)
    desk.office.registry = desk.office.registry.edit(two.id, {"environment": "prod"}, confirm_environment=True)
    desk.know()
    job = desk.office.run(job_id)
    assert (job.state, states(job)) == (JobState.FAILED, {"one": "ok", "two": "not allowed"})
    assert (len(handlers.identifiers), other.identifiers) == (1, [])
    assert desk.found(job, tester) == [("one", "1.1")]


def test_a_server_that_was_removed_fails_by_itself(desk: Desk) -> None:
    (_, one), (_, two) = desk.holding("ONE", "1.1"), desk.holding("TWO", "1.2")
    job_id = desk.ask([one, two])
    desk.office.registry = desk.office.registry.remove(two.id)
    desk.know()
    job = desk.office.run(job_id)
    assert (job.state, job.counts.done, job.counts.failed) == (JobState.FAILED, 1, 1)
    assert desk.office.items(job_id)[1].detail["error"]["error"] == "NotFound"


def test_a_search_too_wide_for_production_is_no_job(desk: Desk) -> None:
    _, one = desk.holding("ONE")
    desk.office.registry = desk.office.registry.edit(one.id, {"environment": "prod"}, confirm_environment=True)
    with pytest.raises(InvalidInput, match="too wide"):
        query_job(ADMIN, [desk.office.registry.get(one.id)], StudyFilter(modality="CT"), store_id=STORE)
    with pytest.raises(InvalidInput, match="no server"):
        query_job(ADMIN, [], DOE, store_id=STORE)


def test_a_cancelled_job_asks_nobody_until_it_is_retried(desk: Desk) -> None:
    handlers, one = desk.holding("ONE", "1.1")
    job_id = desk.ask([one])
    desk.office.ledger.ask(job_id, JobEvent.CANCEL)
    assert not desk.office.worker().run_one(job_id)
    assert handlers.identifiers == []
    assert desk.office.retried(job_id).state is JobState.SUCCEEDED


def test_results_that_are_gone_are_asked_for_again(desk: Desk) -> None:
    handlers, one = desk.holding("ONE", "1.1")
    dead, two = mortal(desk.office, "TWO")
    desk.know()
    dead.kill()
    job_id = desk.ask([one, two])
    job = desk.office.run(job_id)
    desk.searches.forget(ADMIN, job.request["search"])
    dead.revive()
    job = desk.office.retried(job_id)
    assert (job.state, len(handlers.identifiers)) == (JobState.SUCCEEDED, 2)
    assert desk.found(desk.office.checked(job_id)) == [("one", "1.1")]


def test_many_matches_are_asked_again_without_being_there_twice(desk: Desk) -> None:
    _, one = desk.holding("ONE", *(f"1.2.{number}" for number in range(2100)))
    job_id = desk.ask([one], limit=5000)
    job = desk.office.run(job_id)
    search = desk.searches.get(ADMIN, job.request["search"])
    assert len(desk.found(job)) == 2100
    [answer] = desk.searches.ask_again(ADMIN, search.id, [one])
    assert (answer.found, len(desk.found(job))) == (2100, 2100)
    assert sum(1 for _ in desk.searches.merged(ADMIN, search.id)) == 2100


def test_a_worker_that_is_lost_half_way_leaves_nothing_twice(desk: Desk) -> None:
    (_, one), (_, two) = desk.holding("ONE", "1.1"), desk.holding("TWO", "1.2")
    job_id = desk.ask([one, two])
    taken = desk.office.queue.claim("lost", store_id=STORE, limit=lambda _: 2, only=job_id)
    assert taken is not None
    run = JobRun(*taken, desk.office.queue, desk.office.ledger)
    search = taken[0].request["search"]
    desk.searches.begin(ADMIN, [one, two], DOE, 500, search)
    run.note([], begin=[item.number for item in run.open_items()])
    answers = desk.searches.run(ADMIN, search)
    next(answers)  # and here the process ends
    desk.office.pass_s(60)
    assert desk.office.run(job_id).state is JobState.SUCCEEDED
    job = desk.office.checked(job_id)
    assert (job.counts.done, job.counts.resent) == (2, 2)
    assert desk.found(job) == [("one", "1.1"), ("two", "1.2")]
    assert "2 found" not in outcome_rows(desk.office.items(job_id))
    assert outcome_rows(desk.office.items(job_id)).count("1 found") == 2
