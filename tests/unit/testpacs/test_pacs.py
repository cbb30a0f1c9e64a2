"""Statuses that the handlers answer, over a real archive, and what they log."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset

from dicomfab.archive.archive import Archive
from dicomfab.archive.records import Duplicate
from dicomfab.dimse.handlers import Refusal, Requestor
from dicomfab.model.query import QueryModel
from dicomfab.model.study import InstanceIdentity
from dicomfab.model.values import Environment
from dicomfab.testpacs.pacs import PacsHandlers
from tests.unit.archive.builders import EXPLICIT, dataset, encode, identity_of, received

REQUESTOR = Requestor("MODALITY", "127.0.0.1")
DESTINATIONS = {"TESTPACS2": ("127.0.0.1", 4243)}


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    made = Archive(tmp_path / "data", on_duplicate=Duplicate.REFUSE)
    yield made
    made.close()


@pytest.fixture
def pacs(archive: Archive) -> PacsHandlers:
    return PacsHandlers(archive, "TESTPACS", Environment.TEST, DESTINATIONS)


def store(pacs: PacsHandlers, data: Dataset, identity: InstanceIdentity | None = None) -> int:
    sink = pacs.begin_store(REQUESTOR, identity or identity_of(data))
    try:
        sink.write(encode(data))
        return sink.finish()
    finally:
        sink.discard()


def find(pacs: PacsHandlers, **keys: str) -> list[Dataset]:
    return list(pacs.find(REQUESTOR, QueryModel.STUDY_ROOT, received(**keys)))


def status_of(call) -> int:
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value.status


def test_stored_is_found_and_selected(pacs):
    assert store(pacs, dataset()) == 0x0000
    (match,) = find(pacs, QueryRetrieveLevel="STUDY", PatientName="doe*", NumberOfStudyRelatedInstances="")
    assert match.NumberOfStudyRelatedInstances == 1
    assert match.RetrieveAETitle == "TESTPACS"
    identifier = received(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.1")
    (instance,) = pacs.select(REQUESTOR, QueryModel.STUDY_ROOT, identifier)
    assert instance.path.read_bytes()[instance.dataset_offset :] == encode(dataset())


def test_another_instance_than_announced(pacs):
    other = InstanceIdentity(identity_of(dataset()).sop_class_uid, "1.2.99", EXPLICIT)
    assert status_of(lambda: store(pacs, dataset(), other)) == 0xA900


def test_a_data_set_that_cannot_be_parsed(pacs):
    sink = pacs.begin_store(REQUESTOR, identity_of(dataset()))
    sink.write(b"\x08\x00\x18\x00UI\xff\xff1.2")
    assert status_of(sink.finish) == 0xC000


def test_other_content_under_the_same_uid_is_refused_where_told_so(pacs):
    assert store(pacs, dataset()) == 0x0000
    assert store(pacs, dataset()) == 0x0000
    assert status_of(lambda: store(pacs, dataset(StudyDescription="CHANGED"))) == 0x0111


def test_a_disk_that_takes_nothing(pacs, archive):
    archive.storage()
    shutil.rmtree(archive.root / "incoming")
    assert status_of(lambda: store(pacs, dataset())) == 0xA700


def test_queries_that_cannot_be_answered(pacs):
    assert status_of(lambda: find(pacs, QueryRetrieveLevel="PATIENT")) == 0xA900
    identifier = received(QueryRetrieveLevel="STUDY", StudyInstanceUID="")
    assert status_of(lambda: pacs.select(REQUESTOR, QueryModel.STUDY_ROOT, identifier)) == 0xA900


def test_an_index_that_fails(pacs, archive):
    store(pacs, dataset())
    archive.close()
    (archive.root / "index.sqlite3").write_bytes(b"this is no database, and long enough to be seen as none" * 100)
    identifier = received(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.1")
    assert status_of(lambda: find(pacs, QueryRetrieveLevel="STUDY")) == 0xA700
    assert status_of(lambda: pacs.select(REQUESTOR, QueryModel.STUDY_ROOT, identifier)) == 0xA701


def test_only_known_destinations(pacs):
    assert pacs.destination(REQUESTOR, "TESTPACS2") == ("127.0.0.1", 4243)
    assert pacs.destination(REQUESTOR, "testpacs2") is None
    assert pacs.destination(REQUESTOR, "") is None


def test_the_log_has_uids_and_counts_and_no_patient(pacs, caplog):
    caplog.set_level(logging.DEBUG)
    store(pacs, dataset())
    find(pacs, QueryRetrieveLevel="STUDY", PatientName="DOE^JOHN")
    status_of(lambda: store(pacs, dataset(StudyDescription="CHANGED")))
    status_of(lambda: find(pacs, QueryRetrieveLevel="DOE^JOHN"))
    assert "C-STORE from MODALITY@127.0.0.1: 1.2.1.1.1: 0000" in caplog.text
    assert "STUDY level: 1 matches" in caplog.text
    assert "DOE" not in caplog.text.upper()
    assert "P1" not in caplog.text


def test_a_cancelled_query_says_how_far_it_came(pacs, caplog):
    caplog.set_level(logging.INFO)
    for number in "12":
        store(pacs, dataset(study=f"1.2.{number}", series=f"1.2.{number}.1", instance=f"1.2.{number}.1.1"))
    matches = pacs.find(REQUESTOR, QueryModel.STUDY_ROOT, received(QueryRetrieveLevel="STUDY"))
    next(matches)
    next(matches)
    matches.close()
    assert "ended by it after 1 matches" in caplog.text
