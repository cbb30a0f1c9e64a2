"""Lists of studies and patients, and the storage summary."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomfab.archive.archive import Archive
from dicomfab.archive.errors import ArchiveQueryError
from dicomfab.archive.records import PatientSummary, SeriesSummary, StudyFilter, StudySort
from dicomfab.model.errors import NotFound
from dicomfab.model.values import Environment
from tests.unit.archive.builders import dataset, encode, store

TEST, PROD = Environment.TEST, Environment.PROD


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Archive]:
    archive = Archive(tmp_path)
    store(archive, dataset("1.1", "1.1.1", "1.1.1.1", PatientName="ADAM^A", PatientID="A1", AccessionNumber="X-1",
                           StudyDescription="CT Thorax", StudyDate="20240101", SeriesNumber=10,
                           SeriesDescription="Axial", BodyPartExamined="CHEST"))  # fmt: skip
    store(archive, dataset("1.1", "1.1.1", "1.1.1.2"))
    store(archive, dataset("1.1", "1.1.2", "1.1.2.1", SeriesNumber=2, Modality="SR"))
    head = dataset("1.2", "1.2.1", "1.2.1.1", PatientName="bertha^b", PatientID="B1", AccessionNumber="X-2",
                   StudyDescription="MR Head", StudyDate="20230101", Modality="MR")  # fmt: skip
    store(archive, head, environment=PROD)
    store(archive, dataset("1.3", "1.3.1", "1.3.1.1", PatientName="Çelik^C", SpecificCharacterSet="ISO_IR 192",
                           PatientID="C1", AccessionNumber="Y_3", StudyDate="20240601"))  # fmt: skip
    yield archive
    archive.close()


def listed(archive: Archive, wanted: StudyFilter | None = None, **options: object) -> list[str]:
    return [one.study_instance_uid for one in archive.studies(wanted, **options).studies]  # type: ignore[arg-type]


def test_one_line_says_all(shelf: Archive) -> None:
    summary = shelf.study("1.1").summary
    sizes = sum(len(encode(d)) for d in (dataset("1.1", "1.1.1", "1.1.1.2"),))
    assert (summary.patient_name, summary.patient_id, summary.accession_number) == ("ADAM^A", "A1", "X-1")
    assert (summary.modalities, summary.series_count, summary.instance_count) == (("CT", "SR"), 2, 3)
    assert summary.size_bytes == sum(one.size_bytes for one in shelf.instances("1.1")) > sizes
    assert summary.environment is TEST
    assert summary.stored_at.startswith("20")
    assert summary == next(one for one in shelf.studies().studies if one.study_instance_uid == "1.1")


def test_series_come_by_number(shelf: Archive) -> None:
    second, tenth = shelf.study("1.1").series
    assert second.series_instance_uid == "1.1.2"
    sizes = [one.size_bytes for one in shelf.instances("1.1") if one.series_instance_uid == "1.1.1"]
    assert tenth == SeriesSummary("1.1.1", "CT", "10", "Axial", "CHEST", 2, sum(sizes))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (StudyFilter(), ["1.1", "1.2", "1.3"]),
        (StudyFilter(search="thorax"), ["1.1"]),
        (StudyFilter(search="ÇELIK"), ["1.3"]),
        (StudyFilter(search="x-1 adam"), ["1.1"]),
        (StudyFilter(search="adam head"), []),
        (StudyFilter(search="%"), []),
        (StudyFilter(search="_"), ["1.3"]),
        (StudyFilter(patient_name="BERTHA*"), ["1.2"]),
        (StudyFilter(patient_id="A1"), ["1.1"]),
        (StudyFilter(accession_number="X-?"), ["1.1", "1.2"]),
        (StudyFilter(modality="MR"), ["1.2"]),
        (StudyFilter(date_from="20240101"), ["1.1", "1.3"]),
        (StudyFilter(date_to="20240101"), ["1.1", "1.2"]),
        (StudyFilter(date_from="20240102", date_to="20241231", modality="CT"), ["1.3"]),
    ],
)
def test_filters(shelf: Archive, wanted: StudyFilter, expected: list[str]) -> None:
    page = shelf.studies(wanted)
    assert sorted(one.study_instance_uid for one in page.studies) == expected
    assert page.total == len(expected)


def test_a_filter_that_is_no_date_is_an_error(shelf: Archive) -> None:
    with pytest.raises(ArchiveQueryError) as caught:
        shelf.studies(StudyFilter(date_from="yesterday"))
    assert caught.value.field == "StudyDate"


@pytest.mark.parametrize(
    ("sort", "ascending"),
    [
        (StudySort.STORED, ["1.1", "1.2", "1.3"]),
        (StudySort.STUDY_DATE, ["1.2", "1.1", "1.3"]),
        (StudySort.PATIENT_NAME, ["1.1", "1.2", "1.3"]),
        (StudySort.PATIENT_ID, ["1.1", "1.2", "1.3"]),
        (StudySort.ACCESSION_NUMBER, ["1.1", "1.2", "1.3"]),
        (StudySort.DESCRIPTION, ["1.3", "1.1", "1.2"]),
        (StudySort.INSTANCES, ["1.2", "1.3", "1.1"]),
    ],
)
def test_order(shelf: Archive, sort: StudySort, ascending: list[str]) -> None:
    assert listed(shelf, sort=sort, descending=False) == ascending
    if sort is not StudySort.INSTANCES:
        assert listed(shelf, sort=sort) == ascending[::-1]


def test_sizes_order_too(shelf: Archive) -> None:
    sizes = [one.size_bytes for one in shelf.studies(sort=StudySort.SIZE, descending=False).studies]
    assert sizes == sorted(sizes)


def test_pages(shelf: Archive) -> None:
    page = shelf.studies(descending=False, limit=1, offset=1)
    assert ([one.study_instance_uid for one in page.studies], page.total) == (["1.2"], 3)


def test_a_list_shows_only_the_environments_allowed(shelf: Archive) -> None:
    assert listed(shelf, environments=frozenset({PROD})) == ["1.2"]
    assert listed(shelf, environments=[TEST], descending=False) == ["1.1", "1.3"]
    assert shelf.studies(environments=frozenset()).total == 0


def test_patients(shelf: Archive) -> None:
    assert shelf.patients()[0] == PatientSummary("ADAM^A", "A1", "", "", "", 1, 2, 3)
    assert [one.patient_id for one in shelf.patients()] == ["A1", "B1", "C1"]


def test_storage(shelf: Archive) -> None:
    summary = shelf.storage()
    assert (summary.patients, summary.studies, summary.series, summary.instances) == (3, 3, 4, 5)
    assert summary.size_bytes == sum(one.size_bytes for one in shelf.studies().studies)


def test_a_study_that_is_not_there(shelf: Archive) -> None:
    with pytest.raises(NotFound):
        shelf.study("1.9")
    with pytest.raises(NotFound):
        shelf.delete_study("1.9")
    assert shelf.instances("1.9") == []
