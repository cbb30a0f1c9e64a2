"""Studies from a list: an outcome for each row, and the hours and the rate that a server permits."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydicom import Dataset

from dicomfab.dimse.handlers import Requestor
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.job import ItemOutcome, ItemState, JobEvent, JobItem, JobState
from dicomfab.model.query import QueryModel
from dicomfab.model.values import Environment
from dicomfab.registry.hours import permitted_hours
from dicomfab.registry.server import PacsServer
from dicomfab.services.jobs.listed import Pace, part_of
from dicomfab.services.jobs.outcomes import outcome_rows
from dicomfab.services.jobs.run import JobRun
from dicomfab.services.study_list import read_list
from dicomfab.services.transfer_reports import Part
from tests.unit.services.hospital import ADMIN
from tests.unit.services.job_office import Office, Picky, picky


def put(office: Office, server: PacsServer, accession: str, seed: int) -> str:
    """A study that only the server has."""
    recipe = StudyRecipe((SeriesRecipe("text-card", 2),), seed=seed, accession_number=accession)
    study = office.site.make(recipe)
    office.site.transfers.send(ADMIN, study, server)
    office.site.local.delete_study(study)
    return study


def test_each_row_has_an_outcome_and_one_that_fits_several_waits_for_a_decision(office: Office) -> None:
    _, source = picky(office, "SOURCE")
    _, target = picky(office, "TARGET")
    plain, (one, other) = put(office, source, "0042", 1), [put(office, source, "0007", seed) for seed in (2, 3)]
    rows = read_list(f"accession,study uid\n0042,\n0007,\nNONE,\n,{one}\n", source="list.csv")
    job_id = office.move(rows, source, target)
    job = office.run(job_id)
    assert job.state is JobState.FAILED
    states = [ItemState.DONE, ItemState.HELD, ItemState.FAILED, ItemState.DONE]
    assert [item.state for item in office.items(job_id)] == states
    assert {c["StudyInstanceUID"] for c in office.items(job_id)[1].detail["candidates"]} == {one, other}
    assert "no study" in office.items(job_id)[2].detail["error"]["what"]
    assert office.site.held("TARGET", plain)
    assert not office.site.held("TARGET", other)

    held = office.items(job_id, ItemState.HELD)[0]
    again = office.ledger.release(job_id, [held.number], {held.number: {**held.request, "study_instance_uid": other}})
    assert again.state is JobState.QUEUED
    office.run(job_id)
    office.checked(job_id)
    assert office.site.held("TARGET", other)

    table = list(csv.DictReader(io.StringIO(outcome_rows(office.items(job_id)))))
    assert [row["item"] for row in table] == ["line 2", "line 3", "line 4", "line 5"]
    assert [row["accession_number"] for row in table] == ["0042", "0007", "NONE", ""]
    assert [row["verdict"] for row in table] == ["verified", "verified", "", "verified"]
    assert table[1]["study"] == other


def test_a_row_that_is_decided_while_another_moves_is_moved_too(office: Office) -> None:
    handlers, source = picky(office, "SOURCE")
    _, target = picky(office, "TARGET")
    pairs = [[put(office, source, "0042", seed) for seed in (1, 2)], [put(office, source, "0007", n) for n in (3, 4)]]
    job_id = office.move(read_list("accession\n0042\n0007\n", source="list.csv"), source, target)
    office.run(job_id)
    held = office.items(job_id, ItemState.HELD)
    assert [item.number for item in held] == [1, 2]
    chosen = zip(held, pairs, strict=True)
    decided = {item.number: {**item.request, "study_instance_uid": pair[0]} for item, pair in chosen}

    def decide_the_other() -> None:
        office.ledger.release(job_id, [2], decided)

    handlers.on_move = decide_the_other
    assert office.ledger.release(job_id, [1], decided).state is JobState.QUEUED
    assert office.run(job_id).state is JobState.SUCCEEDED
    assert [item.state for item in office.items(job_id)] == [ItemState.DONE] * 2
    office.checked(job_id)
    assert all(office.site.held("TARGET", one) and not office.site.held("TARGET", other) for one, other in pairs)


class Deaf(Picky):
    """A PACS that knows no key but the level's own, and answers with all that it has."""

    def find(self, requestor: Requestor, model: QueryModel, identifier: Dataset) -> Iterator[Dataset]:
        for keyword in ("AccessionNumber", "PatientID", "StudyDate"):
            setattr(identifier, keyword, "")
        return super().find(requestor, model, identifier)


def deaf(office: Office) -> PacsServer:
    site = office.site
    handlers = Deaf(site.archive("SOURCE"), "SOURCE", Environment.TEST, site.destinations)
    server = site.server("SOURCE", handlers)
    office.know(server)
    return server


def row_0042(office: Office, source: PacsServer) -> JobItem:
    _, target = picky(office, "TARGET")
    (item,) = office.items(office.move(read_list("accession\n0042\n", source="list.csv"), source, target))
    return item


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("accession\n0042\n", "accession number"),
        ("pid\nNOBODY\n", "patient ID"),
        ("accession,date\n0007,1999-12-31\n", "study date"),
    ],
)
def test_a_study_that_a_row_does_not_name_is_not_moved_because_the_server_ignores_what_it_is_asked_for(
    office: Office, row: str, what: str
) -> None:
    source = deaf(office)
    _, target = picky(office, "TARGET")
    only = put(office, source, "0007", 1)
    job_id = office.move(read_list(row, source="list.csv"), source, target)
    assert office.run(job_id).state is JobState.FAILED
    (item,) = office.items(job_id)
    assert item.state is ItemState.FAILED
    assert f"studies of another {what}" in item.detail["error"]["what"]
    assert not office.site.held("TARGET", only)
    office.checked(job_id)


def test_of_all_that_a_server_answers_with_the_study_that_the_row_names_is_moved(office: Office) -> None:
    source = deaf(office)
    _, target = picky(office, "TARGET")
    named, other = put(office, source, "0042", 1), put(office, source, "0007", 2)
    job_id = office.move(read_list("accession\n0042\n", source="list.csv"), source, target)
    assert office.run(job_id).state is JobState.SUCCEEDED
    assert office.site.held("TARGET", named)
    assert not office.site.held("TARGET", other)


def test_a_study_is_not_told_to_be_the_only_one_when_the_server_did_not_answer_to_the_end(office: Office) -> None:
    _, source = picky(office, "SOURCE")

    def find(*_: object, limit: int) -> Iterator[Dataset]:
        for number in range(limit):
            match = Dataset()
            match.StudyInstanceUID, match.AccessionNumber = f"1.2.{number}", "0042" if number == 0 else "0007"
            yield match

    outcome = part_of(row_0042(office, source), find, source)
    assert isinstance(outcome, ItemOutcome)
    assert outcome.state is ItemState.FAILED


@pytest.mark.parametrize(("stated", "fits"), [("", True), ("0042 ", True), ("42", False), ("004200", False)])
def test_an_answer_fits_if_it_says_the_same_or_nothing(office: Office, stated: str, fits: bool) -> None:
    _, source = picky(office, "SOURCE")
    match = Dataset()
    match.StudyInstanceUID, match.AccessionNumber = "1.2.3", stated
    found = part_of(row_0042(office, source), lambda *_, limit: iter([match]), source)
    assert (found == Part("1.2.3")) is fits


def test_all_rows_done_and_proven_is_success(office: Office) -> None:
    _, source = picky(office, "SOURCE")
    study = put(office, source, "0042", 1)
    job_id = office.get(read_list("accession\n0042\n", source="list.csv"), source)
    assert office.run(job_id).state is JobState.SUCCEEDED
    assert office.site.local.has_study(study)


def test_outside_the_permitted_hours_a_list_waits_and_nothing_counts_as_a_failure(office: Office) -> None:
    _, source = picky(office, "SOURCE")
    put(office, source, "0042", 1)
    soon = office.now().astimezone() + datetime.timedelta(hours=2)
    span = f"{soon:%H:%M}-{soon + datetime.timedelta(hours=1):%H:%M}"
    office.registry = office.registry.edit(source.id, {"permitted_hours": permitted_hours(span, "permitted_hours")})
    job_id = office.get(read_list("accession\n0042\n", source="list.csv"), source)
    waiting = office.run(job_id)
    assert (waiting.state, waiting.attempts, waiting.counts.open) == (JobState.QUEUED, 0, 1)
    assert abs((waiting.not_before - office.now()).total_seconds() - 7200) < 61
    office.pass_s((waiting.not_before - office.now()).total_seconds() + 1)
    assert office.run(job_id).state is JobState.SUCCEEDED


@pytest.mark.parametrize("rate", [0, 6])
def test_items_keep_to_the_rate(office: Office, rate: int) -> None:
    _, source = picky(office, "SOURCE")
    clock = [100.0]
    paused: list[float] = []

    def pause(seconds: float) -> None:
        paused.append(seconds)
        clock[0] += seconds

    job_id = office.get(read_list("accession\n1\n2\n", source="list.csv"), source)
    taken = office.queue.claim("w", store_id="store-of-the-test", limit=lambda _: 1)
    assert taken is not None
    pace = Pace(replace(source, rate_per_minute=rate), office.now, pause=pause, clock=lambda: clock[0])
    run = JobRun(*taken, office.queue, office.ledger)
    for _ in range(3):
        pace.wait(run)
    assert clock[0] == pytest.approx(120.0 if rate else 100.0)
    assert all(seconds <= 0.2 for seconds in paused)
    office.queue.finish(taken[1], JobEvent.CANCEL)
    assert office.ledger.find(job_id).state is JobState.CANCELLED
