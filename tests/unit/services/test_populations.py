"""Populations as a service: who may make them, what is recorded, and that the ledger knows their studies first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from pathlib import Path

import pytest

from dicomfab.fabricate.population.recipe import PopulationRecipe
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.errors import AccessDenied, Interrupted
from dicomfab.services.populations import CHUNK, PopulationService
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
