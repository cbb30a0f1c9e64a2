"""Populations as a service: who may make them, what is recorded, and that the ledger knows their studies first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from dicomfab.fabricate.population.plan import studies
from dicomfab.fabricate.population.recipe import PopulationRecipe
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.errors import AccessDenied, Conflict, Interrupted, InvalidInput, LocalFailure
from dicomfab.services.populations import CHUNK, LOCK, PopulationService
from dicomfab.services.progress import Progress
from tests.unit.services.hospital import ADMIN

RECIPE = PopulationRecipe(patients=CHUNK + 4, studies_per_patient=(1, 2), mix=(("CR", 1.0),), seed=2, images="small")


class Office:
    """A service, with all that it tells."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.known: list[str] = []
        self.service = PopulationService(
            lambda: dt.datetime(2026, 6, 30, 12, tzinfo=dt.UTC), lambda: 77, self._note, self._record
        )

    def _note(self, studies: Iterable[str]) -> None:
        self.known += studies

    def _record(self, *events: AuditEvent, within: object = None) -> None:
        for event in events:
            assert set(event.study_uids) <= set(self.known)
        self.events += events


def test_what_is_made_is_known_first_and_recorded(tmp_path: Path) -> None:
    office = Office()
    seen: list[Progress] = []
    recipe = office.service.resolve(ADMIN, RECIPE)
    made = office.service.create(ADMIN, recipe, tmp_path / "out", on_progress=seen.append, workers=1)
    assert (made.patients, made.kept) == (CHUNK + 4, 0)
    assert seen[-1].done == made.instances
    assert {event.kind for event in office.events} == {EventKind.FABRICATION}
    *portions, whole = office.events
    assert [len(event.patient_ids) for event in portions] == [CHUNK, 4]
    assert [uid for event in portions for uid in event.study_uids] == office.known
    assert whole.detail == {"studies": str(made.studies), "instances": str(made.instances)}
    assert {event.subject for event in office.events} == {str(tmp_path / "out")}


def test_what_is_left_open_is_decided_once() -> None:
    recipe = Office().service.resolve(ADMIN, PopulationRecipe())
    assert (recipe.seed, recipe.end_date) == (77, "20260630")


def test_who_may_not_fabricate_makes_nothing(tmp_path: Path) -> None:
    office, reader = Office(), Actor("somebody", frozenset(), "web")
    recipe = office.service.resolve(ADMIN, RECIPE)
    for attempt in (
        lambda: office.service.create(reader, recipe, tmp_path / "out"),
        lambda: office.service.resume(reader, tmp_path / "out"),
        lambda: office.service.resolve(reader, RECIPE),
        lambda: office.service.plan(reader, recipe),
        lambda: office.service.load(reader, tmp_path / "x.yaml"),
    ):
        with pytest.raises(AccessDenied):
            attempt()
    assert not (tmp_path / "out").exists()


def test_two_never_write_into_one_folder(tmp_path: Path) -> None:
    office, out = Office(), tmp_path / "out"
    recipe = office.service.resolve(ADMIN, RECIPE)

    def also_asks(_progress: Progress) -> None:
        for attempt in (
            lambda: office.service.resume(ADMIN, out, workers=1),
            lambda: office.service.create(ADMIN, recipe, out, workers=1),
        ):
            with pytest.raises(Conflict, match="another process"):
                attempt()

    made = office.service.create(ADMIN, recipe, out, on_progress=also_asks, workers=1)
    assert made.kept == 0
    assert not list(out.glob(".*"))


def test_the_lock_file_of_a_killed_process_locks_nothing(tmp_path: Path) -> None:
    office, out = Office(), tmp_path / "out"
    out.mkdir()
    (out / LOCK).touch()
    recipe = office.service.resolve(ADMIN, RECIPE)
    assert office.service.create(ADMIN, recipe, out, workers=1).studies
    (out / LOCK).touch()
    assert office.service.resume(ADMIN, out, workers=1).kept
    assert not list(out.glob(".*"))


@pytest.mark.parametrize("place", ["file", "file/sub", "no-such/../file/sub/deeper"])
def test_a_folder_that_cannot_be_is_refused_by_its_field(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    office = Office()
    recipe = office.service.resolve(ADMIN, RECIPE)
    with pytest.raises(InvalidInput) as refused:
        office.service.create(ADMIN, recipe, tmp_path / place, workers=1)
    assert (refused.value.field, bool(refused.value.cause), bool(refused.value.remedy)) == ("out", True, True)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.full)])
def test_a_folder_that_cannot_be_written_is_said_by_its_name(tmp_path: Path, workers: int) -> None:
    office, out = Office(), tmp_path / "out"
    recipe = office.service.resolve(ADMIN, RECIPE)
    patient = next(studies(recipe)).study.patient.patient_id

    def in_the_way(studies: Iterable[str]) -> None:
        del studies
        (out / patient).touch()  # a file where the folder of a patient is to be

    service = replace(office.service, note_studies=in_the_way)
    with pytest.raises(LocalFailure, match=patient) as failed:
        service.create(ADMIN, recipe, out, workers=workers)
    assert failed.value.cause
    assert not (out / LOCK).exists()


def test_cancelled_at_any_instance_only_complete_studies_are_there(tmp_path: Path) -> None:
    office = Office()
    recipe = office.service.resolve(ADMIN, RECIPE)
    asked = iter(range(10**6))
    with pytest.raises(Interrupted):
        office.service.create(ADMIN, recipe, tmp_path / "out", cancelled=lambda: next(asked) >= 9, workers=1)
    there = sorted((tmp_path / "out").glob("*/*"))
    assert there
    assert all((study / "truth.json").is_file() and len(list(study.glob("*.dcm"))) >= 1 for study in there)
    done = office.service.resume(ADMIN, tmp_path / "out", workers=1)
    assert done.kept == len(there)
    assert set((tmp_path / "out").glob("*/*")) > set(there)
