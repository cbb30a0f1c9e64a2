"""Moves and gets of some series of a study: nothing else is asked for, and the verdict is about them alone."""

from __future__ import annotations

import csv
import io

import pytest

from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.errors import InvalidInput
from dicomfab.model.job import Job, JobState
from dicomfab.registry.server import PacsServer
from dicomfab.services.jobs.outcomes import outcome_rows
from dicomfab.services.study_list import ListedStudy
from tests.unit.services.hospital import ADMIN
from tests.unit.services.job_office import Office, Picky, picky

THREE = StudyRecipe(tuple(SeriesRecipe("text-card", count) for count in (1, 2, 3)), seed=7, accession_number="SERIES")


def filled(office: Office) -> tuple[Picky, PacsServer, str, dict[str, set[str]]]:
    """A source with a study of three series: handlers, server, study, series -> its SOP instance UIDs."""
    handlers, server = picky(office, "SOURCE")
    study = office.site.make(THREE)
    office.site.transfers.send(ADMIN, study, server)
    series: dict[str, set[str]] = {}
    for instance in office.site.local.instances(study):
        series.setdefault(instance.series_instance_uid, set()).add(instance.identity.sop_instance_uid)
    office.site.local.delete_study(study)
    return handlers, server, study, dict(sorted(series.items(), key=lambda pair: len(pair[1])))


def verdicts(job: Job) -> list[tuple[str, int, int]]:
    return [(one["verdict"]["kind"], one["instances"], one["verdict"]["arrived"]) for one in job.report["studies"]]


def test_two_series_are_moved_and_nothing_else(office: Office) -> None:
    _, source, study, series = filled(office)
    _, target = picky(office, "TARGET")
    first, second, _ = series
    job_id = office.move([study], source, target, series=[first, second])
    job = office.run(job_id)
    assert (job.state, job.title) == (JobState.SUCCEEDED, "Move 2 series from SOURCE to TARGET")
    assert verdicts(job) == [("verified", 1, 1), ("verified", 2, 2)]
    assert [item.key for item in office.items(job_id)] == [f"{study}/{first}", f"{study}/{second}"]
    assert [one["series_instance_uid"] for one in job.report["studies"]] == [first, second]
    assert office.site.held("TARGET", study) == series[first] | series[second]


def test_what_is_there_already_of_other_series_proves_nothing(office: Office) -> None:
    handlers, source, study, series = filled(office)
    _, target = picky(office, "TARGET")
    first, _, third = series
    assert office.run(office.move([study], source, target, series=[third])).state is JobState.SUCCEEDED
    handlers.select = lambda *_: []  # type: ignore[method-assign]
    job = office.run(office.move([study], source, target, series=[first]))
    assert (job.state, job.report["studies"][0]["verdict"]["present"]) == (JobState.FAILED, 0)
    assert "1 of 1 instances are not listed" in job.error["what"]


def test_a_series_is_fetched_into_the_local_store(office: Office) -> None:
    _, source, study, series = filled(office)
    *_, third = series
    job_id = office.get([study], source, series=[third, third])
    job = office.run(job_id)
    assert (job.state, verdicts(job), job.title) == (
        JobState.SUCCEEDED,
        [("verified", 3, 3)],
        "Get a series from SOURCE",
    )
    assert office.site.held("local", study) == series[third]


def test_a_series_that_the_source_does_not_hold_fails_by_itself(office: Office) -> None:
    _, source, study, series = filled(office)
    _, target = picky(office, "TARGET")
    first, *_ = series
    job_id = office.move([study], source, target, series=["1.2.3", first])
    job = office.run(job_id)
    assert (job.state, job.counts.done, job.counts.failed) == (JobState.FAILED, 1, 1)
    assert f"holds no series 1.2.3 of study {study}" in office.items(job_id)[0].detail["error"]["what"]
    rows = list(csv.DictReader(io.StringIO(outcome_rows(office.items(job_id)))))
    assert [(row["study"], row["state"]) for row in rows] == [(study, "failed"), (study, "done")]


def test_a_series_in_doubt_is_looked_at_again_by_itself(office: Office) -> None:
    handlers, source, study, series = filled(office)
    _, blind = picky(office, "BLIND", capabilities=["echo", "store"])
    _, second, _ = series
    job_id = office.move([study], source, blind, series=[second])
    assert office.run(job_id).state is JobState.UNVERIFIED
    office.registry = office.registry.edit(blind.id, {"capabilities": ["echo", "store", "find"]})
    moves = []
    handlers.on_move = lambda: moves.append(1)
    job = office.retried(job_id)
    assert (job.state, job.report["studies"][0]["verdict"]["expected"], moves) == (JobState.SUCCEEDED, 2, [])


def test_series_need_one_study(office: Office) -> None:
    _, source, study, series = filled(office)
    for studies in (["1.2", study], [ListedStudy(2, study_instance_uid=study)], []):
        with pytest.raises(InvalidInput):
            office.get(studies, source, series=list(series))  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="series"):
        office.get([study], source, series=["no uid"])
