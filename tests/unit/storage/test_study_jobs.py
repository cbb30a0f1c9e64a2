"""The jobs of a study: by the items' keys, by what was reported, and by labels as long as nothing is."""

from __future__ import annotations

import pytest

from dicomfab.model.job import JobEvent, JobKind, NewItem, NewJob
from dicomfab.storage.database import Database
from dicomfab.storage.job_queue import JobQueue
from dicomfab.storage.jobs import JobRepository
from dicomfab.storage.study_jobs import StudyJobRepository

STUDY = "1.2.840.1"
EVERYWHERE = frozenset({"test", "prod"})


def submitted(database: Database, kind: JobKind, *items: NewItem, environment: str = "test") -> int:
    new = NewJob(
        kind=kind, title="t", owner="o", roles=(), door="cli", environment=environment, queue="local", request={}
    )
    return JobRepository(database).submit(new, items)


def ended(database: Database, number: int, *studies: str) -> int:
    queue = JobQueue(database)
    taken = queue.claim("w", store_id="", limit=lambda _: 99, only=number)
    assert taken is not None
    queue.finish(taken[1], JobEvent.SUCCEED, report={"studies": [{"study_instance_uid": one} for one in studies]})
    return number


def numbers(
    database: Database, *, environments: frozenset[str] = EVERYWHERE, limit: int = 99, offset: int = 0
) -> list[int]:
    page = StudyJobRepository(database).page(STUDY, environments, limit=limit, offset=offset)
    return [job.id for job in page.jobs]


@pytest.mark.parametrize(
    ("kind", "item"),
    [
        (JobKind.FABRICATE, NewItem(STUDY, "CT")),
        (JobKind.SEND, NewItem(f"{STUDY}.5.1", STUDY)),
        (JobKind.MOVE, NewItem(f"{STUDY}/{STUDY}.5", f"{STUDY}/{STUDY}.5")),
        (JobKind.GET, NewItem(STUDY, STUDY)),
        (JobKind.VERIFY, NewItem(STUDY, STUDY)),
        (JobKind.COMPARE, NewItem(STUDY, STUDY)),
    ],
)
def test_a_job_is_of_the_study_of_its_items_before_and_after_its_end(
    database: Database, kind: JobKind, item: NewItem
) -> None:
    number = submitted(database, kind, NewItem("7.8", "7.8"), item)
    assert numbers(database) == [number]
    ended(database, number, "7.8", STUDY)
    assert numbers(database) == [number]


def test_a_row_of_a_list_is_of_the_study_that_the_report_names(database: Database) -> None:
    number = submitted(database, JobKind.MOVE, NewItem("line 3", "line 3"))
    assert numbers(database) == []
    ended(database, number, STUDY)
    assert numbers(database) == [number]


def test_uids_that_begin_or_end_alike_are_others(database: Database) -> None:
    for other in (f"{STUDY}0", f"{STUDY}.1", STUDY[2:], f"9.{STUDY}", STUDY.replace(".", "_")):
        submitted(database, JobKind.SEND, NewItem(f"{other}.5", other))
        ended(database, submitted(database, JobKind.GET, NewItem(other, other)), other)
        submitted(database, JobKind.MOVE, NewItem(f"{other}/{STUDY}", f"{other}/{STUDY}"))
    assert numbers(database) == []


def test_the_newest_come_first_a_page_of_them_and_those_of_an_environment(database: Database) -> None:
    made = [submitted(database, JobKind.GET, NewItem(STUDY, STUDY)) for _ in range(3)]
    live = submitted(database, JobKind.GET, NewItem(STUDY, STUDY), environment="prod")
    assert numbers(database) == [live, *reversed(made)]
    assert numbers(database, limit=2, offset=1) == [made[2], made[1]]
    assert numbers(database, environments=frozenset({"test"})) == [*reversed(made)]
    assert numbers(database, environments=frozenset()) == []
    assert StudyJobRepository(database).page(STUDY, EVERYWHERE, limit=1).total == 4
