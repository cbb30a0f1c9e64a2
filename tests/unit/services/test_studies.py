"""The local study store."""

from __future__ import annotations

import datetime
from pathlib import Path

import pydicom
import pytest

from dicomfab.fabricate.recipe import StudyRecipe
from dicomfab.model.actor import Role
from dicomfab.model.errors import AccessDenied, Conflict, Interrupted, InvalidInput, NotFound
from dicomfab.model.values import Environment
from dicomfab.services.changes import rewrite
from dicomfab.services.progress import Progress
from dicomfab.services.studies import patient_given
from tests.unit.archive.builders import dataset, store
from tests.unit.services.hospital import ADMIN, CARDS, NOW, Hospital, actor


def test_what_is_made_is_kept_and_making_it_again_changes_nothing(site: Hospital) -> None:
    resolved = site.studies.resolve_recipe(ADMIN, CARDS)
    seen: list[Progress] = []
    made = site.studies.create(ADMIN, resolved, on_progress=seen.append)
    files = {i.path: i.path.read_bytes() for i in site.local.instances(resolved.study_instance_uid)}
    assert made.instances == len(files) == 3
    assert [p.done for p in seen] == [1, 2, 3]
    site.studies.create(ADMIN, resolved)
    assert {i.path: i.path.read_bytes() for i in site.local.instances(resolved.study_instance_uid)} == files
    assert site.studies.page(ADMIN).total == 1


def test_what_was_changed_since_is_not_said_to_be_made_again(site: Hospital, tmp_path: Path) -> None:
    resolved = site.studies.resolve_recipe(ADMIN, CARDS)
    site.studies.create(ADMIN, resolved)
    study = resolved.study_instance_uid
    with site.local.rewriting(study) as batch:
        for one in site.local.instances(study):
            rewrite(batch, one.file, Environment.TEST, {"PatientID": "P2"}, tmp_path)
    with pytest.raises(Conflict, match="other content, which was kept") as told:
        site.studies.create(ADMIN, resolved)
    assert "another seed" in told.value.remedy
    assert site.local.study(study).summary.patient_id == "P2"
    site.studies.delete(ADMIN, study)
    assert site.studies.create(ADMIN, resolved).instances == 3


def test_a_seed_given_makes_the_same_study_whatever_the_clock_says(site: Hospital) -> None:
    recipe = StudyRecipe(("text-card",), seed=7, study_date="20260101", accession_number="R1")
    first = site.studies.resolve_recipe(ADMIN, recipe)
    site.studies.now = lambda: NOW + datetime.timedelta(hours=3)
    assert site.studies.resolve_recipe(ADMIN, recipe) == first


def test_a_cancelled_fabrication_leaves_nothing(site: Hospital) -> None:
    resolved = site.studies.resolve_recipe(ADMIN, CARDS)
    with pytest.raises(Interrupted):
        site.studies.create(ADMIN, resolved, cancelled=lambda: True)
    assert site.studies.page(ADMIN).total == 0
    assert not list((site.folder / "local").rglob("*.dcm"))


def test_plain_files_are_the_same_bytes_as_the_store(site: Hospital, tmp_path: Path) -> None:
    resolved = site.studies.resolve_recipe(ADMIN, CARDS)
    site.studies.create(ADMIN, resolved)
    made = site.studies.write_files(ADMIN, resolved, tmp_path / "out")
    assert made.instances == 3
    stored = {i.path.read_bytes() for i in site.local.instances(resolved.study_instance_uid)}
    assert {p.read_bytes() for p in (tmp_path / "out").rglob("*.dcm")} == stored


def test_the_ways_to_name_a_study(site: Hospital) -> None:
    first = site.make()
    second = site.make(StudyRecipe(("text-card",), seed=9, accession_number="OTHER"))
    assert site.studies.resolve_reference(ADMIN, first) == first
    assert site.studies.resolve_reference(ADMIN, "CARDS") == first
    assert site.studies.resolve_reference(ADMIN, "latest") == second
    for unknown in ("NOSUCH", "1.2.3.4"):
        with pytest.raises(NotFound):
            site.studies.resolve_reference(ADMIN, unknown)
    for pattern in ("CA*", "", "?"):
        with pytest.raises(InvalidInput):
            site.studies.resolve_reference(ADMIN, pattern)
    site.make(StudyRecipe(("text-card",), seed=10, accession_number="CARDS"))
    with pytest.raises(InvalidInput, match="more than one"):
        site.studies.resolve_reference(ADMIN, "CARDS")


def test_export_copies_and_never_mixes(site: Hospital, tmp_path: Path) -> None:
    study = site.make()
    paths = site.studies.export(ADMIN, study, tmp_path / "export")
    assert {pydicom.dcmread(p).SOPInstanceUID for p in paths} == site.held("local", study)
    with pytest.raises(InvalidInput) as caught:
        site.studies.export(ADMIN, study, tmp_path / "export")
    assert caught.value.field == "out"


def test_delete_removes_files_too(site: Hospital) -> None:
    study = site.make()
    site.studies.delete(ADMIN, study)
    assert not list((site.folder / "local").rglob("*.dcm"))
    with pytest.raises(NotFound):
        site.studies.show(ADMIN, study)


def test_a_lost_index_is_rebuilt_and_the_unknown_counts_as_production(site: Hospital) -> None:
    study = site.make()
    site.local.close()
    for index in (site.folder / "local").glob("index.sqlite3*"):
        index.unlink()
    assert site.studies.page(ADMIN).total == 0
    assert site.studies.reindex(ADMIN).instances == 3
    assert site.studies.show(ADMIN, study).summary.environment == "prod"
    with pytest.raises(AccessDenied):
        site.studies.reindex(actor(Role.TEST_WRITE))


def test_reindexing_keeps_what_is_known_to_be_made_here(site: Hospital) -> None:
    made, other = site.make(), "1.2.3"
    store(site.local, dataset(other))
    assert site.studies.reindex(ADMIN).instances > 1
    known = {uid: {one.made_here for one in site.local.instances(uid)} for uid in (made, other)}
    assert known == {made: {True}, other: {False}}


@pytest.mark.parametrize("role", list(Role))
def test_roles_on_a_study_from_test(site: Hospital, role: Role, tmp_path: Path) -> None:
    study = site.make()
    who = actor(role)
    may_read = role in (Role.TEST_READ, Role.TEST_WRITE, Role.ADMIN)
    may_write = role in (Role.TEST_WRITE, Role.ADMIN)
    assert site.studies.page(who).total == (1 if may_read else 0)
    attempts = (
        (may_read, lambda: site.studies.show(who, study)),
        (may_read, lambda: site.studies.export(who, study, tmp_path / "out")),
        (may_write, lambda: site.studies.delete(who, study)),
    )
    for allowed, attempt in attempts:
        if allowed:
            attempt()
        else:
            with pytest.raises(AccessDenied):
                attempt()
    assert site.local.has_study(study) != may_write


def test_any_role_may_fabricate_but_nobody_without_one(site: Hospital) -> None:
    for role in Role:
        site.studies.resolve_recipe(actor(role), CARDS)
    with pytest.raises(AccessDenied):
        site.studies.resolve_recipe(actor(), CARDS)


def test_a_partly_given_patient_is_completed_without_clashing(site: Hospital) -> None:
    def resolved(**given: str) -> object:
        values = {"name": "", "patient_id": "", "birth_date": "", "sex": "", **given}
        return site.studies.resolve_recipe(
            ADMIN, StudyRecipe(("text-card",), seed=4, patient=patient_given(**values))
        ).patient

    named, other = resolved(name="Doe^Jane"), resolved(name="Roe^Richard")
    assert named.name == "Doe^Jane"
    assert named.patient_id.startswith("SYN")
    assert named.patient_id != other.patient_id
    assert (named.sex, named.birth_date) == ("", "")
    identified = resolved(patient_id="X1")
    assert identified.patient_id == "X1"
    assert identified.name
    assert identified.sex
