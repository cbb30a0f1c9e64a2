"""A patient with studies of test and of production has a row for each: what the one says is not told of the other."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from dicomfab.archive.archive import Archive
from dicomfab.archive.records import StudyFilter
from dicomfab.archive.schema import SCHEMA_VERSION
from dicomfab.model.values import Environment
from tests.unit.archive.builders import EXPLICIT, dataset, encode, identity_of


def add(archive: Archive, study: str, name: str, environment: Environment, instance: int = 1) -> None:
    ds = dataset(study, f"{study}.1", f"{study}.1.{instance}", PatientID="P1", PatientName=name)
    incoming = archive.begin(identity_of(ds, EXPLICIT))
    incoming.write(encode(ds))
    incoming.commit(environment=environment)


def names(archive: Archive) -> dict[str, str]:
    return {one.study_instance_uid: one.patient_name for one in archive.studies(StudyFilter()).studies}


def test_each_environment_has_its_own_row(archive: Archive) -> None:
    add(archive, "1.2.1", "Real^One", Environment.PROD)
    add(archive, "1.2.2", "Test^Two", Environment.TEST)
    add(archive, "1.2.3", "Other^Spelling", Environment.TEST)
    assert names(archive) == {"1.2.1": "Real^One", "1.2.2": "Test^Two", "1.2.3": "Test^Two"}


def test_a_study_that_turns_out_to_be_of_production_leaves_the_row_of_test(archive: Archive) -> None:
    add(archive, "1.2.1", "Test^One", Environment.TEST)
    add(archive, "1.2.2", "Test^Two", Environment.TEST)
    add(archive, "1.2.2", "Test^Two", Environment.PROD, instance=2)
    add(archive, "1.2.3", "Real^Three", Environment.PROD)
    with sqlite3.connect(archive.root / "index.sqlite3") as index:
        rows = dict(index.execute("SELECT StudyInstanceUID, patient_id FROM study").fetchall())
    index.close()
    assert rows["1.2.1"] != rows["1.2.2"] == rows["1.2.3"]


def test_an_older_index_is_parted_when_it_is_opened(archive: Archive, tmp_path: Path) -> None:
    add(archive, "1.2.1", "Real^One", Environment.PROD)
    add(archive, "1.2.2", "Test^Two", Environment.TEST)
    archive.close()
    with sqlite3.connect(archive.root / "index.sqlite3") as index:
        (kept,) = index.execute("SELECT patient_id FROM study WHERE StudyInstanceUID = '1.2.1'").fetchone()
        index.execute("UPDATE study SET patient_id = ?", (kept,))
        index.execute("DELETE FROM patient WHERE id != ?", (kept,))
        index.executescript(
            "DROP INDEX patient_key; CREATE UNIQUE INDEX patient_key ON patient (PatientID, IssuerOfPatientID)"
            " WHERE PatientID != ''; PRAGMA user_version = 4"
        )
    index.close()
    add(archive, "1.2.3", "Real^Three", Environment.PROD)
    with sqlite3.connect(archive.root / "index.sqlite3") as index:
        rows = dict(index.execute("SELECT StudyInstanceUID, patient_id FROM study").fetchall())
        (version,) = index.execute("PRAGMA user_version").fetchone()
    index.close()
    assert rows["1.2.1"] == rows["1.2.3"] != rows["1.2.2"]
    assert version == SCHEMA_VERSION
