"""Instances put in place of those of a study: all or none, with what is known of how they came."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from dicomfab.archive.archive import Archive
from dicomfab.archive.incoming import Batch
from dicomfab.model.errors import Conflict
from dicomfab.model.values import Environment
from tests.unit.archive.builders import dataset, encode, identity_of, store

FETCHED = "2026-01-05T10:00:00+00:00"


def put(batch: Batch, instance: int, patient_id: str = "P9") -> None:
    ds = dataset(instance=f"1.2.1.1.{instance}", PatientID=patient_id, PatientName="ROE^JANE")
    with batch.begin(identity_of(ds)) as incoming:
        incoming.write(encode(ds))
        incoming.commit(environment=Environment.TEST)


@pytest.fixture
def filled(archive: Archive) -> Archive:
    """Two instances of a study: one that was made here, and one that was fetched and expires."""
    ds = dataset(instance="1.2.1.1.1")
    with archive.batch() as batch, batch.begin(identity_of(ds)) as made:
        made.write(encode(ds))
        made.commit(environment=Environment.TEST, made_here=True)
    ds = dataset(instance="1.2.1.1.2")
    with archive.begin(identity_of(ds)) as fetched:
        fetched.write(encode(ds))
        fetched.commit(environment=Environment.TEST, retrieved_at=FETCHED)
    return archive


def known(archive: Archive) -> list[tuple[object, ...]]:
    with sqlite3.connect(archive.root / "index.sqlite3") as index:
        found = index.execute("SELECT SOPInstanceUID, retrieved_at, made_here FROM instance ORDER BY 1").fetchall()
    index.close()
    return found


def files(archive: Archive) -> set[Path]:
    return set((archive.root / "instances").rglob("*.dcm"))


def test_how_they_came_stays(filled: Archive) -> None:
    before = known(filled)
    assert [row[1:] for row in before] == [(None, 1), (FETCHED, None)]
    with filled.rewriting("1.2.1") as batch:
        put(batch, 1)
        put(batch, 2)
    assert known(filled) == before
    assert filled.study("1.2.1").summary.patient_id == "P9"
    assert files(filled) == {one.path for one in filled.instances("1.2.1")}


def test_a_study_of_one_instance_keeps_the_time_of_its_coming(archive: Archive) -> None:
    store(archive, dataset(instance="1.2.1.1.1"))
    before = archive.study("1.2.1").summary
    with archive.rewriting("1.2.1") as batch:
        put(batch, 1)
    after = archive.study("1.2.1").summary
    assert (after.stored_at, after.environment) == (before.stored_at, before.environment)
    assert [one.patient_id for one in archive.patients()] == ["P9"]


def test_an_error_changes_nothing(filled: Archive) -> None:
    before, held = known(filled), {one: one.read_bytes() for one in files(filled)}

    def broken() -> None:
        with filled.rewriting("1.2.1") as batch:
            put(batch, 1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert known(filled) == before
    assert {one: one.read_bytes() for one in files(filled)} == held
    assert filled.study("1.2.1").summary.patient_id == "P1"


def test_what_was_deleted_meanwhile_does_not_come_back(filled: Archive) -> None:
    def late() -> None:
        with filled.rewriting("1.2.1") as batch:
            put(batch, 1)
            put(batch, 2)
            filled.delete_study("1.2.1")

    with pytest.raises(Conflict, match="deleted"):
        late()
    assert not filled.has_study("1.2.1")
    assert files(filled) == set()


def test_what_is_in_use_is_not_rewritten(filled: Archive) -> None:
    with filled.using("1.2.1"), pytest.raises(Conflict, match="in use"), filled.rewriting("1.2.1"):
        pass


def test_other_studies_of_the_patient_stay_with_him(filled: Archive) -> None:
    store(filled, dataset("1.2.7", "1.2.7.1", "1.2.7.1.1"))
    with filled.rewriting("1.2.1") as batch:
        put(batch, 1)
        put(batch, 2)
    assert {one.patient_id: one.study_count for one in filled.patients()} == {"P1": 1, "P9": 1}
