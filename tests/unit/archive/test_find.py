"""C-FIND and the selection for C-MOVE and C-GET, over a few patients as hospitals have them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicomfab.archive.archive import Archive
from dicomfab.archive.errors import ArchiveQueryError
from dicomfab.model.query import QueryModel
from dicomfab.model.values import Environment
from tests.unit.archive.builders import CT, IMPLICIT, MR, SR, dataset, encode, identity_of, received, store

STUDY_ROOT, PATIENT_ROOT = QueryModel.STUDY_ROOT, QueryModel.PATIENT_ROOT


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """Three patients, four studies.

    ::

        P1 Müller^Jörg (Latin-1)    1.10  CT, 2 series, 3 instances, and 1 SR   1.11  MR, 1 instance
        P2 Yamada^Tarou (UTF-8)     1.20  MR, 1 instance
        P3 DOE^100%_[A]             1.30  CT, 1 instance
    """
    archive = Archive(tmp_path_factory.mktemp("hospital"))
    joerg: dict[str, Any] = {
        "PatientID": "P1", "PatientName": "Müller^Jörg", "SpecificCharacterSet": "ISO_IR 100", "PatientSex": "M",
        "PatientBirthDate": "19600229",
    }  # fmt: skip
    thorax = {**joerg, "StudyDate": "20240110", "StudyTime": "101500", "AccessionNumber": "A-1", "StudyID": "S1"}
    for number in (1, 2):
        store(archive, dataset("1.10", "1.10.1", f"1.10.1.{number}", InstanceNumber=number, SeriesNumber=1, Rows=512,
                               ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], **thorax), IMPLICIT)  # fmt: skip
    store(archive, dataset("1.10", "1.10.2", "1.10.2.1", InstanceNumber=1, SeriesNumber=2, **thorax))
    store(archive, dataset("1.10", "1.10.3", "1.10.3.1", SOPClassUID=SR, **{**thorax, "Modality": "SR"}))
    head = {**joerg, "StudyDate": "20240220", "StudyTime": "235959.5", "AccessionNumber": "A-2"}
    store(archive, dataset("1.11", "1.11.1", "1.11.1.1", SOPClassUID=MR, Modality="MR", **head))
    store(archive, dataset("1.20", "1.20.1", "1.20.1.1", SOPClassUID=MR, Modality="MR", PatientID="P2",
                           PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう", SpecificCharacterSet="ISO_IR 192",
                           StudyDate="20231231", AccessionNumber="B-1"))  # fmt: skip
    store(archive, dataset("1.30", "1.30.1", "1.30.1.1", PatientID="P3", PatientName="DOE^100%_[A]",
                           StudyDate="20240110", AccessionNumber=None))  # fmt: skip
    yield archive
    archive.close()


def uids(archive: Archive, level: str = "STUDY", model: QueryModel = STUDY_ROOT, **keys: Any) -> list[str]:
    keyword = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID",
               "PATIENT": "PatientID"}[level]  # fmt: skip
    found = archive.find(model, received(QueryRetrieveLevel=level, **keys))
    return sorted(str(one[keyword].value) for one in found)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, ["1.10", "1.11", "1.20", "1.30"]),
        ({"PatientName": "*"}, ["1.10", "1.11", "1.20", "1.30"]),
        ({"PatientID": "P1"}, ["1.10", "1.11"]),
        ({"PatientID": "P?"}, ["1.10", "1.11", "1.20", "1.30"]),
        ({"AccessionNumber": "A-1"}, ["1.10"]),
        ({"AccessionNumber": "a-1"}, []),
        ({"AccessionNumber": "A*"}, ["1.10", "1.11"]),
        ({"AccessionNumber": "*"}, ["1.10", "1.11", "1.20", "1.30"]),
        ({"StudyInstanceUID": ["1.10", "1.30", "1.99"]}, ["1.10", "1.30"]),
        ({"StudyDate": "20240110"}, ["1.10", "1.30"]),
        ({"StudyDate": "20240110-"}, ["1.10", "1.11", "1.30"]),
        ({"StudyDate": "-20240109"}, ["1.20"]),
        ({"StudyDate": "20240101-20240131"}, ["1.10", "1.30"]),
        ({"StudyTime": "10-11"}, ["1.10"]),
        ({"StudyTime": "2359-"}, ["1.11"]),
        ({"PatientName": "MÜLLER*", "SpecificCharacterSet": "ISO_IR 100"}, ["1.10", "1.11"]),
        ({"PatientName": "müller^jörg", "SpecificCharacterSet": "ISO_IR 192"}, ["1.10", "1.11"]),
        ({"PatientName": "山田*", "SpecificCharacterSet": "ISO_IR 192"}, ["1.20"]),
        ({"PatientName": "yamada^tarou", "SpecificCharacterSet": "ISO_IR 192"}, ["1.20"]),
        ({"PatientName": "DOE^100%_[A]"}, ["1.30"]),
        ({"PatientName": "DOE^100%_[*"}, ["1.30"]),
        ({"PatientName": "DOE^%"}, []),
        ({"ModalitiesInStudy": "CT"}, ["1.10", "1.30"]),
        ({"ModalitiesInStudy": "SR"}, ["1.10"]),
        ({"ModalitiesInStudy": ["SR", "MR"]}, ["1.10", "1.11", "1.20"]),
        ({"ModalitiesInStudy": "?R"}, ["1.10", "1.11", "1.20"]),
        ({"SOPClassesInStudy": SR}, ["1.10"]),
        ({"PatientBirthDate": "19600229", "ModalitiesInStudy": "MR"}, ["1.11"]),
        # a key of a lower level, and one that the index does not know, restrict nothing
        ({"Modality": "CT"}, ["1.10", "1.11", "1.20", "1.30"]),
        ({"PregnancyStatus": 4}, ["1.10", "1.11", "1.20", "1.30"]),
        ({"NumberOfStudyRelatedInstances": "99"}, ["1.10", "1.11", "1.20", "1.30"]),
    ],
)
@pytest.mark.parametrize("model", list(QueryModel))
def test_study_level(hospital: Archive, model: QueryModel, keys: dict[str, Any], expected: list[str]) -> None:
    assert uids(hospital, model=model, **keys) == expected


def test_the_other_levels(hospital: Archive) -> None:
    assert uids(hospital, "PATIENT", PATIENT_ROOT) == ["P1", "P2", "P3"]
    assert uids(hospital, "PATIENT", PATIENT_ROOT, PatientName="m*r^*") == ["P1"]
    assert uids(hospital, "PATIENT", PATIENT_ROOT, PatientName="yamada*") == ["P2"]
    assert uids(hospital, "SERIES", StudyInstanceUID="1.10") == ["1.10.1", "1.10.2", "1.10.3"]
    assert uids(hospital, "SERIES", StudyInstanceUID="1.10", Modality="CT") == ["1.10.1", "1.10.2"]
    assert uids(hospital, "SERIES", StudyInstanceUID="1.10", SeriesNumber="+01") == ["1.10.1"]
    assert uids(hospital, "IMAGE", StudyInstanceUID="1.10", SeriesInstanceUID="1.10.1") == ["1.10.1.1", "1.10.1.2"]
    assert uids(hospital, "IMAGE", SeriesInstanceUID="1.10.1", InstanceNumber="2") == ["1.10.1.2"]
    assert uids(hospital, "IMAGE", SOPClassUID=SR) == ["1.10.3.1"]
    assert uids(hospital, "IMAGE", ImageType="AXIAL") == ["1.10.1.1", "1.10.1.2"]
    assert uids(hospital, "IMAGE", Rows=512) == ["1.10.1.1", "1.10.1.2"]
    # relational: no unique keys above the level
    assert uids(hospital, "IMAGE", PatientID="P2") == ["1.20.1.1"]


def test_counts_and_lists(hospital: Archive) -> None:
    asked = received(
        QueryRetrieveLevel="STUDY", StudyInstanceUID="1.10", NumberOfStudyRelatedInstances=None,
        NumberOfStudyRelatedSeries=None, ModalitiesInStudy=None, SOPClassesInStudy=None,
        NumberOfPatientRelatedStudies=None, NumberOfPatientRelatedSeries=None, NumberOfPatientRelatedInstances=None,
    )  # fmt: skip
    (found,) = hospital.find(STUDY_ROOT, asked)
    assert found.NumberOfStudyRelatedInstances == 4
    assert found.NumberOfStudyRelatedSeries == 3
    assert list(found.ModalitiesInStudy) == ["CT", "SR"]
    assert list(found.SOPClassesInStudy) == [CT, SR]
    assert found.NumberOfPatientRelatedStudies == 2
    assert found.NumberOfPatientRelatedSeries == 4
    assert found.NumberOfPatientRelatedInstances == 5
    (series,) = hospital.find(
        STUDY_ROOT, received(QueryRetrieveLevel="SERIES", SeriesInstanceUID="1.10.1", NumberOfSeriesRelatedInstances="")
    )
    assert series.NumberOfSeriesRelatedInstances == 2
    joerg, *_ = hospital.find(PATIENT_ROOT, received(QueryRetrieveLevel="PATIENT", NumberOfPatientRelatedStudies=""))
    assert joerg.NumberOfPatientRelatedStudies == 2


def test_what_a_response_carries(hospital: Archive) -> None:
    asked = received(
        QueryRetrieveLevel="STUDY", StudyInstanceUID="1.11", PatientName="", PatientBirthDate="", StudyTime="",
        StudyDescription="", PregnancyStatus=None, InstanceAvailability="", ProcedureCodeSequence=Sequence(),
        Modality="",
    )  # fmt: skip
    (found,) = hospital.find(STUDY_ROOT, asked, retrieve_ae_title="TESTPACS")
    assert found.QueryRetrieveLevel == "STUDY"
    assert found.RetrieveAETitle == "TESTPACS"
    assert found.InstanceAvailability == "ONLINE"
    assert found.SpecificCharacterSet == "ISO_IR 192"
    assert found.PatientName.family_name == "Müller"
    assert found.PatientBirthDate == "19600229"
    assert found.StudyTime == "235959.5"
    for keyword in ("StudyDescription", "PregnancyStatus", "Modality"):
        assert found[keyword].is_empty
    assert len(found.ProcedureCodeSequence) == 0
    assert list(found.keys()) == sorted(found.keys())
    again = received(**{element.keyword: element.value for element in found if element.keyword})
    assert str(again.PatientName) == "Müller^Jörg"


def test_plain_ascii_needs_no_character_set(hospital: Archive) -> None:
    asked = received(
        QueryRetrieveLevel="STUDY", StudyInstanceUID="1.30", PatientName="", SpecificCharacterSet="ISO_IR 192"
    )
    (found,) = hospital.find(STUDY_ROOT, asked)
    assert "SpecificCharacterSet" not in found
    assert "RetrieveAETitle" not in found
    assert "InstanceAvailability" not in found
    assert encode(found, IMPLICIT)


def test_identifiers_made_by_hand_work_too(hospital: Archive) -> None:
    asked = Dataset()
    asked.QueryRetrieveLevel = "STUDY"
    asked.PatientName = "müller*"
    asked.StudyInstanceUID = ["1.10", "1.20"]
    asked.StudyDate = ""
    assert [str(one.StudyInstanceUID) for one in hospital.find(STUDY_ROOT, asked)] == ["1.10"]


@pytest.mark.parametrize(
    ("model", "keys", "field"),
    [
        (STUDY_ROOT, {"PatientID": "P1"}, "QueryRetrieveLevel"),
        (STUDY_ROOT, {"QueryRetrieveLevel": "PATIENT"}, "QueryRetrieveLevel"),
        (PATIENT_ROOT, {"QueryRetrieveLevel": "INSTANCE"}, "QueryRetrieveLevel"),
        (STUDY_ROOT, {"QueryRetrieveLevel": "STUDY", "StudyDate": "202401"}, "StudyDate"),
        (STUDY_ROOT, {"QueryRetrieveLevel": "SERIES", "SeriesNumber": "12x"}, "SeriesNumber"),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_requests_that_cannot_be_answered(
    hospital: Archive, model: QueryModel, keys: dict[str, str], field: str
) -> None:
    asked = Dataset()
    for keyword, value in keys.items():
        if keyword == "SeriesNumber":
            asked.add_new(keyword, "LO", value)
        else:
            setattr(asked, keyword, value)
    with pytest.raises(ArchiveQueryError) as caught:
        hospital.find(model, asked)
    assert caught.value.status == 0xA900
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "1.10"}, ["1.10.1.1", "1.10.1.2", "1.10.2.1", "1.10.3.1"]),
        ({"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": ["1.11", "1.20"]}, ["1.11.1.1", "1.20.1.1"]),
        ({"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "1.11", "Modality": "CT"}, ["1.11.1.1"]),
        ({"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": "1.10", "SeriesInstanceUID": "1.10.2"}, ["1.10.2.1"]),
        ({"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": "1.11", "SeriesInstanceUID": "1.10.2"}, []),
        ({"QueryRetrieveLevel": "IMAGE", "SOPInstanceUID": ["1.10.1.2", "1.9"]}, ["1.10.1.2"]),
        ({"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "1.99"}, []),
    ],
)
def test_selection(hospital: Archive, keys: dict[str, Any], expected: list[str]) -> None:
    selected = hospital.select(STUDY_ROOT, received(**keys))
    assert [one.identity.sop_instance_uid for one in selected] == expected
    for one in selected:
        assert one.path.stat().st_size == one.dataset_offset + one.size_bytes
        assert one.file.path == one.path


def test_selection_by_patient(hospital: Archive) -> None:
    selected = hospital.select(PATIENT_ROOT, received(QueryRetrieveLevel="PATIENT", PatientID="P1"))
    assert len(selected) == 5
    assert {one.patient_id for one in selected} == {"P1"}
    assert hospital.select(PATIENT_ROOT, received(QueryRetrieveLevel="PATIENT", PatientID="P*")) == []


@pytest.mark.parametrize(
    "keys",
    [
        {"QueryRetrieveLevel": "STUDY"},
        {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": ""},
        {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "*"},
        {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": "1.10"},
        {"QueryRetrieveLevel": "PATIENT", "PatientID": "P1"},
        {"StudyInstanceUID": "1.10"},
    ],
)
def test_a_retrieve_without_its_unique_key_is_refused(hospital: Archive, keys: dict[str, str]) -> None:
    with pytest.raises(ArchiveQueryError) as caught:
        hospital.select(STUDY_ROOT, received(**keys))
    assert caught.value.status == 0xA900


def test_a_query_may_be_left_half_read(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    for number in range(3):
        store(archive, dataset(study=f"1.{number + 1}", instance=f"1.5.{number}"))
    found = archive.find(STUDY_ROOT, received(QueryRetrieveLevel="STUDY"))
    next(found)
    store(archive, dataset(study="1.9", instance="1.9.9"))
    found.close()  # type: ignore[attr-defined]
    assert archive.storage().studies == 4
    archive.close()


def test_headers_that_break_the_rules_are_answered_all_the_same(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    content = encode(dataset(InstanceNumber=1)).replace(b"DOE^JOHN", "Jörg^ÿ  ".encode("latin-1"))
    content = content.replace(b"IS\x02\x001 ", b"IS\x02\x00x ").replace(b"20240131", b"2024.1.1")
    incoming = archive.begin(identity_of(dataset()))
    incoming.write(content)
    incoming.commit(environment=Environment.TEST)
    asked = received(QueryRetrieveLevel="IMAGE", PatientName="", InstanceNumber=None, StudyDate="")
    (found,) = archive.find(STUDY_ROOT, asked)
    assert str(found.PatientName) == "Jörg^ÿ"
    assert found["InstanceNumber"].is_empty
    assert found.StudyDate == "2024.1.1"
    assert uids(archive, StudyDate="20240101") == []
    assert encode(found, IMPLICIT)
    archive.close()
