"""Two servers side by side: what only one has and what differs is named, nothing else is, and a move makes it good."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import pydicom
import pytest
from pydicom import Dataset

from dicomfab.archive.archive import Archive
from dicomfab.dimse.handlers import Refusal
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.actor import Role
from dicomfab.model.errors import (
    AccessDenied,
    ConfirmationRequired,
    Conflict,
    InvalidInput,
    NotFound,
    Recorded,
    RouteMissing,
)
from dicomfab.model.job import ItemState, Job, JobEvent, JobKind, JobState, Wish
from dicomfab.model.query import QueryModel
from dicomfab.model.study import Patient
from dicomfab.model.values import Environment
from dicomfab.registry.fields import Capability
from dicomfab.registry.hours import PermittedHours, permitted_hours
from dicomfab.registry.registry import Registry
from dicomfab.registry.server import PacsServer
from dicomfab.services.jobs.compare import CompareJobs, compare_job
from dicomfab.services.jobs.compare_run import CompareExecutor
from dicomfab.services.jobs.service import JobService, Options
from dicomfab.services.study_filter import StudyFilter
from dicomfab.testpacs.pacs import PacsHandlers
from tests.peers import programs
from tests.unit.services.hospital import ADMIN, Hospital, actor
from tests.unit.services.job_office import STORE, Office
from tests.unit.services.test_derivation import add

NOW = Options(verify_wait_s=0.0)


@pytest.fixture
def office(site: Hospital) -> Office:
    made = Office(site)
    made.executors[JobKind.COMPARE] = CompareExecutor(site.queries, lambda: made.registry, made.now)
    return made


@pytest.fixture
def compare(office: Office) -> CompareJobs:
    jobs = JobService(
        office.ledger, office.site.local, lambda: STORE, lambda: office.registry, office.now, office.queue.workers
    )
    return CompareJobs(jobs, lambda: office.registry)


def compared(office: Office, a: PacsServer, b: PacsServer, wanted: StudyFilter = StudyFilter(), **options: Any) -> Job:  # noqa: B008
    return office.run(office.submit(*compare_job(ADMIN, a, b, wanted, **options)))


def findings(office: Office, job: Job) -> dict[str, dict[str, Any]]:
    return {item.key: dict(item.detail) for item in office.items(job.id)}


def studies(site: Hospital, count: int, *servers: PacsServer, first: int = 1, **options: Any) -> list[str]:
    """Make studies of a series of two cards and one of one card, and put them on servers."""
    made = []
    for seed in range(first, first + count):
        cards = (SeriesRecipe("text-card", 2), SeriesRecipe("text-card", 1))
        options = {"study_date": "20260105", "patient": Patient(f"Doe^N{seed}", f"SYN{seed}"), **options}
        made.append(site.make(StudyRecipe(cards, seed=seed, accession_number=f"ACC{seed}", **options)))
        for server in servers:
            put(site, made[-1], server)
    return made


def put(site: Hospital, study: str, server: PacsServer, *, but: Sequence[str] = (), **values: Any) -> None:
    """Put a study on a server, without some of its instances, and with other values."""
    kept, wanted = site.local, site.local.instances(study)
    site.local = site.archives[server.aec]
    try:
        for one in wanted:
            if one.identity.sop_instance_uid not in but:
                ds = pydicom.dcmread(one.path)
                for keyword, value in values.items():
                    setattr(ds, keyword, value)
                add(site, study, ds)
    finally:
        site.local = kept


def lacking(site: Hospital, study: str, server: PacsServer) -> tuple[str, str]:
    """Put a study on a server but for one instance of its larger series; gives that series and instance."""
    one = next(i for i in site.local.instances(study) if _size(site, study, i.series_instance_uid) == 2)
    put(site, study, server, but=[one.identity.sop_instance_uid])
    return one.series_instance_uid, one.identity.sop_instance_uid


def _size(site: Hospital, study: str, series: str) -> int:
    return sum(i.series_instance_uid == series for i in site.local.instances(study))


def test_three_studies_and_an_instance_are_named_and_a_move_makes_the_servers_equal(
    site: Hospital, office: Office, compare: CompareJobs
) -> None:
    one, two = site.pacs("ONE"), site.pacs("TWO")
    office.know(one, two)
    studies(site, 4, one, two)
    only_one = studies(site, 2, one, first=10)
    only_two = studies(site, 1, two, first=20)
    (partial,) = studies(site, 1, one, first=30)
    series, instance = lacking(site, partial, two)

    job = compared(office, one, two)
    assert (job.state, job.report["verdict"]) == (JobState.SUCCEEDED, "mismatch")
    told = job.report["comparison"]
    assert (told["a"]["studies"], told["b"]["studies"], told["both"]) == (7, 6, 5)
    assert (told["a"]["only"], told["b"]["only"], told["differ"], told["same"]) == (2, 1, 1, 4)
    assert (told["a"]["lacking"], told["b"]["lacking"]) == (1, 3)
    found = findings(office, job)
    assert {key: one["kind"] for key, one in found.items()} == {
        **dict.fromkeys(only_one, "only_a"),
        **dict.fromkeys(only_two, "only_b"),
        partial: "differs",
    }
    assert found[partial]["missing"] == {"b": {"series": {series: {"missing": 1, "instances": [instance]}}}}
    assert found[partial]["why"] == "3 instances at ONE, 2 at TWO; 1 instance missing at TWO"
    assert found[only_one[0]]["why"] == "only at ONE: 2026-01-05, OT, 3 instances"
    assert office.checked(job.id).counts.done == 4

    moved = office.run(compare.fix(ADMIN, job.id, two, options=NOW).id)
    assert (moved.state, moved.title) == (JobState.SUCCEEDED, "Move 2 studies and 1 series from ONE to TWO")
    assert {item.key for item in office.items(moved.id)} == {*only_one, f"{partial}/{series}"}
    assert site.held("TWO", partial) == site.held("ONE", partial)
    assert compared(office, one, two).report["comparison"]["a"]["only"] == 0

    assert office.run(compare.fix(ADMIN, job.id, one, options=NOW).id).state is JobState.SUCCEEDED
    job = compared(office, one, two)
    assert (job.state, job.report["verdict"], office.items(job.id)) == (JobState.SUCCEEDED, "verified", [])
    with pytest.raises(Conflict, match="nothing is missing at TWO"):
        compare.fix(ADMIN, job.id, two)


def test_attributes_that_differ_are_named_without_a_patient_and_not_fixed(
    site: Hospital, office: Office, compare: CompareJobs
) -> None:
    one, two = site.pacs("ONE"), site.pacs("TWO")
    office.know(one, two)
    (study,) = studies(site, 1, one)
    put(site, study, two, PatientName="Roe^Richard", PatientID="SYN 2", StudyDate="20260106")
    job = compared(office, one, two)
    detail = findings(office, job)[study]
    assert detail["why"] == "not the same: PatientID, PatientName, StudyDate"
    assert detail["attributes"] == [
        {"keyword": "PatientID", "a": "SYN1", "b": "SYN 2"},
        {"keyword": "PatientName", "a": None, "b": None},
        {"keyword": "StudyDate", "a": "20260105", "b": "20260106"},
    ]
    with pytest.raises(Conflict, match="nothing is missing"):
        compare.fix(ADMIN, job.id, two)


def test_what_a_filter_keeps_from_one_listing_is_not_missing_there(site: Hospital, office: Office) -> None:
    one, two = site.pacs("ONE"), site.pacs("TWO")
    office.know(one, two)
    (study,) = studies(site, 1, one)
    put(site, study, two, StudyDate="20260106")
    studies(site, 1, one, first=5, study_date="20260201")
    job = compared(office, one, two, StudyFilter(date="2026-01-05"))
    assert {key: one["why"] for key, one in findings(office, job).items()} == {study: "not the same: StudyDate"}
    job = compared(office, one, two, StudyFilter(patient_id="SYN5"))
    assert [one["kind"] for one in findings(office, job).values()] == ["only_a"]


def test_the_same_counts_are_looked_into_only_if_wanted(site: Hospital, office: Office) -> None:
    one, two = site.pacs("ONE"), site.pacs("TWO")
    office.know(one, two)
    (study,) = studies(site, 1, one)
    swapped = site.local.instances(study)[0].identity.sop_instance_uid
    put(site, study, two, but=[swapped])
    put(site, study, two, but=[i.identity.sop_instance_uid for i in site.local.instances(study)[1:]],
        SOPInstanceUID="1.2.3.4.5")  # fmt: skip
    assert compared(office, one, two).report["verdict"] == "verified"
    job = compared(office, one, two, instances=True)
    missing = findings(office, job)[study]["missing"]
    named = {side: [uid for s in of["series"].values() for uid in s["instances"]] for side, of in missing.items()}
    assert named == {"a": ["1.2.3.4.5"], "b": [swapped]}


class Terse(PacsHandlers):
    """A server with faults of its own.

    Args:
        archive, ae_title: as of :class:`PacsHandlers`.
        silent: keywords that it does not return.
        most: matches that it answers a question with at most, and says success.
        lists: whether it knows lists of UIDs; if it refuses them, the status.
        ignores: keys that it does not match.
    """

    def __init__(
        self,
        archive: Archive,
        ae_title: str,
        *,
        silent: Sequence[str] = (),
        most: int = 10**9,
        lists: bool | int = True,
        ignores: Sequence[str] = (),
    ) -> None:
        super().__init__(archive, ae_title, Environment.TEST, {})
        self.silent, self.most, self.lists, self.ignores = silent, most, lists, ignores
        self.asked: list[str] = []
        self.on_find = lambda identifier: None

    def find(self, requestor: Any, model: QueryModel, identifier: Dataset) -> Iterator[Dataset]:
        self.asked.append(str(identifier.QueryRetrieveLevel))
        self.on_find(identifier)
        several = not isinstance(identifier.get("StudyInstanceUID", ""), str)
        if several and self.lists is not True:
            if self.lists:
                raise Refusal(self.lists, "no lists")
            return
        for keyword in self.ignores:
            setattr(identifier, keyword, "")
        for number, match in enumerate(super().find(requestor, model, identifier)):
            if number == self.most:
                return
            for keyword in self.silent:
                if keyword in match:
                    del match[keyword]
            yield match


def terse(site: Hospital, name: str, **options: Any) -> tuple[Terse, PacsServer]:
    handlers = Terse(site.archive(name), name, **options)
    handlers._destinations = site.destinations
    return handlers, site.server(name, handlers)


COUNTS = ("NumberOfStudyRelatedInstances", "NumberOfStudyRelatedSeries", "NumberOfSeriesRelatedInstances")


def test_unknown_counts_are_no_zero_and_instances_are_asked_for(site: Hospital, office: Office) -> None:
    one = site.pacs("ONE")
    silent, two = terse(site, "TWO", silent=[*COUNTS, "ModalitiesInStudy"])
    office.know(one, two)
    studies(site, 2, one, two)
    assert compared(office, one, two).report["verdict"] == "verified"
    assert silent.asked.count("SERIES") == 2
    assert silent.asked.count("IMAGE") == 4
    (study,) = studies(site, 1, one, first=7)
    series, instance = lacking(site, study, two)
    job = compared(office, one, two)
    assert findings(office, job)[study]["why"] == "1 instance missing at TWO"
    assert findings(office, job)[study]["missing"]["b"]["series"][series]["instances"] == [instance]
    assert job.report["comparison"]["b"]["uncounted"] == 3
    assert job.report["comparison"]["b"]["not_returned"] == ["ModalitiesInStudy"]
    (alone,) = studies(site, 1, two, first=9)
    assert findings(office, compared(office, one, two))[alone]["why"].endswith("it does not say how many instances")


@pytest.mark.parametrize("lists", [True, False, 0xA900])
def test_a_listing_that_is_cut_off_silently_names_nothing(site: Hospital, office: Office, lists: bool | int) -> None:
    one = site.pacs("ONE")
    limited, two = terse(site, "TWO", most=2, lists=lists)
    office.know(one, two)
    studies(site, 4, one, two)
    job = compared(office, one, two)
    assert (job.state, job.error["error"]) == (JobState.FAILED, "AnswerIncomplete")
    assert "TWO did not list everything" in job.error["what"]
    assert Recorded(job.error).exit_code == 4
    assert office.items(job.id) == []
    limited.most = 100
    assert office.retried(job.id).report["verdict"] == "verified"


@pytest.mark.parametrize("lists", [True, False, 0xA900])
@pytest.mark.parametrize("empty", [True, False])
def test_a_server_that_knows_no_lists_of_uids_is_asked_one_by_one(
    site: Hospital, office: Office, lists: bool | int, empty: bool
) -> None:
    one = site.pacs("ONE")
    handlers, two = terse(site, "TWO", lists=lists)
    office.know(one, two)
    only = studies(site, 3, one)
    if not empty:
        studies(site, 1, one, two, first=9)
    job = compared(office, one, two)
    assert set(findings(office, job)) == set(only)
    assert job.report["comparison"]["b"]["only"] == 0
    assert len(handlers.asked) <= 1 + 1 + 3


def test_instances_that_are_counted_and_not_listed_leave_it_open(site: Hospital, office: Office) -> None:
    one = site.pacs("ONE")
    handlers, two = terse(site, "TWO")
    office.know(one, two)
    (study,) = studies(site, 1, one)
    (other,) = studies(site, 1, one, first=3)
    lacking(site, other, two)
    put(site, study, two)
    handlers.on_find = lambda asked: setattr(handlers, "most", 1 if asked.QueryRetrieveLevel == "IMAGE" else 99)
    job = compared(office, one, two, instances=True)
    assert (job.state, job.report["verdict"]) == (JobState.FAILED, "unverified")
    assert {item.key: item.state for item in office.items(job.id)} == {study: ItemState.FAILED, other: ItemState.DONE}
    assert "it counts 2 instances in study" in findings(office, job)[study]["error"]["what"]
    handlers.on_find = lambda asked: setattr(handlers, "most", 99)
    job = office.retried(job.id)
    assert (job.state, job.report["comparison"]["differ"]) == (JobState.SUCCEEDED, 1)
    assert {key: one["kind"] for key, one in findings(office, job).items()} == {study: "same", other: "differs"}
    office.checked(job.id)


def test_a_study_that_arrives_meanwhile_is_no_cut_off_listing(site: Hospital, office: Office) -> None:
    one = site.pacs("ONE")
    handlers, two = terse(site, "TWO")
    office.know(one, two)
    study, _ = studies(site, 2, one)
    put(site, _, two)

    def arrive(identifier: Dataset) -> None:
        if not isinstance(identifier.get("StudyInstanceUID", ""), str):
            handlers.on_find = lambda identifier: None
            put(site, study, two)

    handlers.on_find = arrive
    assert compared(office, one, two).report["verdict"] == "verified"


def test_a_server_that_ignores_the_modality_does_not_make_studies_missing(site: Hospital, office: Office) -> None:
    one = site.pacs("ONE")
    handlers, two = terse(site, "TWO", ignores=["ModalitiesInStudy"])
    office.know(one, two)
    ct = site.make(StudyRecipe((SeriesRecipe("ct-chest", 1),), seed=3, accession_number="CT"))
    (cards,) = studies(site, 1)
    for server in (one, two):
        put(site, ct, server)
        put(site, cards, server)
    only = site.make(StudyRecipe((SeriesRecipe("ct-chest", 1),), seed=4, accession_number="CT2"))
    put(site, only, two)
    for silent in ((), ("ModalitiesInStudy",)):
        handlers.silent = silent
        job = compared(office, one, two, StudyFilter(modality="ct"))
        assert set(findings(office, job)) == {only}, silent


def test_a_side_that_does_not_answer_fails_it(site: Hospital, office: Office) -> None:
    one, blind = site.pacs("ONE"), site.pacs("BLIND")
    away = dataclasses.replace(site.entry("AWAY", programs.free_port()), connect_timeout_s=1)
    handlers, full = terse(site, "FULL")
    office.know(one, away, blind, full)
    studies(site, 2, one)

    def refuse(_identifier: Dataset) -> None:
        raise Refusal(0xA700, "full")

    handlers.on_find = refuse
    for server, kind in ((away, "ConnectionFailed"), (full, "StatusFailure")):
        for pair in ((one, server), (server, one)):
            job = compared(office, *pair)
            assert (job.state, job.error["error"], office.items(job.id)) == (JobState.FAILED, kind, [])
            assert Recorded(job.error).exit_code == 4
    job = compared(office, one, away, max_attempts=3)
    assert (job.state, job.attempts) == (JobState.QUEUED, 1)


def test_it_is_cancelled_between_studies_and_goes_on_from_the_start(site: Hospital, office: Office) -> None:
    one = site.pacs("ONE")
    handlers, two = terse(site, "TWO")
    office.know(one, two)
    only = studies(site, 2, one)
    shared = studies(site, 2, one, first=5)
    for study in shared:
        lacking(site, study, two)
    job_id = office.submit(*compare_job(ADMIN, one, two, StudyFilter()))

    def cancel(identifier: Dataset) -> None:
        if identifier.QueryRetrieveLevel == "SERIES":
            handlers.on_find = lambda identifier: None
            office.ledger.ask(job_id, JobEvent.CANCEL)

    handlers.on_find = cancel
    job = office.run(job_id, cancelled=lambda: office.ledger.find(job_id).wish is not Wish.NONE)
    assert job.state is JobState.CANCELLED
    assert {one["kind"] for one in findings(office, job).values()} == {"only_a"}
    site.archives["ONE"].delete_study(only[0])
    job = office.retried(job_id)
    assert job.state is JobState.SUCCEEDED
    kinds = {key: one["kind"] for key, one in findings(office, job).items()}
    assert kinds == {only[0]: "same", only[1]: "only_a", **dict.fromkeys(shared, "differs")}
    office.checked(job_id)


def test_closed_hours_postpone_what_is_asked_study_by_study(site: Hospital, office: Office) -> None:
    one, two = site.pacs("ONE"), site.pacs("TWO", permitted_hours=_closed_now(office))
    office.know(one, two)
    studies(site, 1, one, two)
    assert compared(office, one, two).state is JobState.SUCCEEDED
    job = compared(office, one, two, instances=True)
    assert (job.state, job.not_before > office.now()) == (JobState.QUEUED, True)


def _closed_now(office: Office) -> PermittedHours:
    now = office.now().astimezone()
    hour = (now.hour + 2) % 24
    return permitted_hours(f"{hour:02}:00-{(hour + 1) % 24:02}:00", "permitted_hours")


def test_what_is_refused_at_the_door(site: Hospital, office: Office, compare: CompareJobs) -> None:
    one, prod = site.pacs("ONE"), site.pacs("PROD", "prod")
    deaf = site.pacs("DEAF", capabilities=frozenset({Capability.STORE, Capability.FIND}))
    blind = site.pacs("BLIND", capabilities=frozenset({Capability.STORE}))
    office.know(one, prod, deaf, blind)
    narrow = StudyFilter(date="2026-01-05")
    for whom, pair, wanted, kind in (
        (ADMIN, (one, one), narrow, InvalidInput),
        (ADMIN, (one, prod), StudyFilter(modality="CT"), InvalidInput),
        (ADMIN, (one, prod), StudyFilter(patient_name="DOE"), InvalidInput),
        (ADMIN, (one, deaf), StudyFilter(level="series", study_instance_uid="1.2"), InvalidInput),
        (ADMIN, (one, deaf), StudyFilter(date="someday"), InvalidInput),
        (ADMIN, (one, blind), narrow, Conflict),
        (actor(Role.TEST_READ), (one, prod), narrow, AccessDenied),
        (actor(Role.PROD_READ), (one, prod), narrow, AccessDenied),
    ):
        with pytest.raises(kind):
            compare.submit(whom, *pair, wanted)

    (study,) = studies(site, 1, one)
    job = office.run(compare.submit(ADMIN, one, prod, narrow).id)
    assert (job.environment, set(findings(office, job))) == ("prod", {study})
    reader = actor(Role.TEST_WRITE, Role.PROD_READ)
    for whom, to, kind in (
        (ADMIN, prod, ConfirmationRequired),
        (reader, prod, AccessDenied),
        (ADMIN, deaf, InvalidInput),
        (ADMIN, one, Conflict),
        (actor(Role.TEST_WRITE), prod, NotFound),
    ):
        with pytest.raises(kind):
            compare.fix(whom, job.id, to)
    assert office.run(compare.fix(ADMIN, job.id, prod, confirm_production=True, options=NOW).id).counts.done == 1

    waiting = compare.submit(ADMIN, one, deaf, narrow)
    with pytest.raises(Conflict, match="is queued"):
        compare.fix(ADMIN, waiting.id, deaf)
    with pytest.raises(InvalidInput, match="is no comparison"):
        compare.fix(ADMIN, office.get([study], one), one)
    job = office.run(waiting.id)
    office.registry = Registry((*office.registry.servers,))
    with pytest.raises(RouteMissing) as caught:
        compare.fix(ADMIN, job.id, deaf)
    assert "dicomfab pacs route one deaf" in caught.value.remedy
    assert "dicomfab get STUDY --from one, then dicomfab send STUDY --to deaf" in caught.value.remedy
