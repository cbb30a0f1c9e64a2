from __future__ import annotations

import io
from collections.abc import Collection
from pathlib import Path

import pytest
from pydicom import dcmread

from dicomfab.archive.archive import Archive
from dicomfab.archive.web_store import ArchiveWebStore
from dicomfab.dicomweb.multipart import written
from dicomfab.dicomweb.ports import WebStore
from dicomfab.model.part10 import file_header
from dicomfab.model.values import Environment
from tests.unit.archive.builders import BIG, EXPLICIT, dataset, encode, identity_of, store
from tests.unit.dicomweb.asking import ask, related

ALL = tuple(Environment)
TYPE = 'multipart/related; type="application/dicom"; boundary=b'


def web(archive: Archive, *readable: Environment, deletable: Collection[Environment] = ()) -> WebStore:
    return ArchiveWebStore(archive, readable=readable or ALL, environment=Environment.TEST, deletable=deletable)


def file_of(instance: str = "1.2.1.1.1", **values: object) -> bytes:
    ds = dataset(instance=instance, **values)
    return file_header(str(ds.SOPClassUID), str(ds.SOPInstanceUID), EXPLICIT) + encode(ds)


def post(archive: Archive, *contents: bytes, path: str = "studies") -> tuple[int, dict[str, object]]:
    parts = written([({"Content-Type": "application/dicom"}, [content]) for content in contents], "b")
    answer = ask(web(archive), path, method="POST", body=parts, content_type=TYPE)
    return answer.status, answer.json


def test_what_is_stored_is_found_and_comes_back_byte_for_byte(archive: Archive) -> None:
    sent = [file_of(f"1.2.1.1.{n}", InstanceNumber=str(n), Rows=2) for n in (10, 9, 11)]
    status, told = post(archive, *sent)
    assert status == 200
    assert told["00081190"] == {"vr": "UR", "Value": ["http://host/dicom-web/studies/1.2.1"]}
    (found,) = ask(web(archive), "studies", ("PatientName", "doe*"), ("ModalitiesInStudy", "CT")).json
    assert (found["00201208"]["Value"], found["00080061"]["Value"]) == ([3], ["CT"])
    listed = ask(web(archive), "studies/1.2.1/series/1.2.1.1/instances").json
    assert sorted(one["00200013"]["Value"][0] for one in listed) == [9, 10, 11]
    assert listed[0]["00280010"]["Value"] == [2]
    back = ask(web(archive), "studies/1.2.1", accept=related("application/dicom", "*"))
    assert [content for _, content in back.parts] == [sent[1], sent[0], sent[2]]
    metadata = ask(web(archive), "studies/1.2.1/metadata").json
    assert [one["00200013"]["Value"] for one in metadata] == [[9], [10], [11]]


def test_a_search_knows_every_attribute_of_the_index(archive: Archive) -> None:
    store(archive, dataset(BodyPartExamined="CHEST", PatientAge="030Y", OtherPatientIDs="X"))
    (everything,) = ask(web(archive), "instances", ("includefield", "all")).json
    for tag, value in (("00180015", "CHEST"), ("00101010", "030Y"), ("00101000", "X")):
        assert everything[tag]["Value"] == [value]
    (series,) = ask(web(archive), "series", ("BodyPartExamined", "CHEST")).json
    assert series["00100020"]["Value"] == ["P1"]
    assert ask(web(archive), "series", ("BodyPartExamined", "HEAD")).json == []


@pytest.mark.parametrize("key", ["BodyPartExamined", "NumberOfStudyRelatedInstances", "StudyComments"])
def test_a_key_that_the_index_cannot_match_is_refused_by_name(archive: Archive, key: str) -> None:
    answer = ask(web(archive), "studies", (key, "1"))
    assert (answer.status, answer.json["field"]) == (400, key)


def test_studies_of_another_environment_are_not_there(archive: Archive) -> None:
    store(archive, dataset(), environment=Environment.PROD)
    for environment, count in ((Environment.PROD, 1), (Environment.TEST, 0)):
        view = web(archive, environment)
        assert len(ask(view, "studies").json) == len(ask(view, "instances").json) == count
        for what in ("", "/metadata", "/series/1.2.1.1", "/series/1.2.1.1/instances/1.2.1.1.1"):
            assert ask(view, f"studies/1.2.1{what}").status == (200 if count else 404)


def test_an_instance_is_transcoded_when_it_has_to_be(archive: Archive, tmp_path: Path) -> None:
    ds = dataset(Rows=2)
    store(archive, ds, BIG)
    content = ask(web(archive), "studies/1.2.1/series/1.2.1.1/instances/1.2.1.1.1", accept="application/dicom").content
    read = dcmread(io.BytesIO(content))
    assert (read.file_meta.TransferSyntaxUID, read.Rows) == (EXPLICIT, 2)


def test_other_content_under_the_same_uid_is_not_stored(archive: Archive) -> None:
    assert post(archive, file_of())[0] == 200
    assert post(archive, file_of())[0] == 200
    status, told = post(archive, file_of(PatientID="OTHER"), file_of("1.2.1.1.2"))
    assert status == 202
    assert told["00081198"]["Value"][0]["00081197"]["Value"] == [0x0111]  # type: ignore[index]


def test_what_cannot_be_read_or_is_another_instance_is_told(archive: Archive) -> None:
    ds = dataset()
    identity = identity_of(ds)
    head = file_header(identity.sop_class_uid, identity.sop_instance_uid, EXPLICIT)
    other = file_header(identity.sop_class_uid, "1.2.9", EXPLICIT)
    status, told = post(archive, head + encode(ds)[:-3], other + encode(ds), head + encode(ds))
    assert status == 202
    reasons = [item["00081197"]["Value"][0] for item in told["00081198"]["Value"]]  # type: ignore[index]
    assert reasons == [0xC000, 0xA900]
    assert archive.find_instance("1.2.1.1.1") is not None
    assert archive.find_instance("1.2.9") is None


# --- deleting -----------------------------------------------------------------------------------------------------

STUDY = "studies/1.2.1"
SERIES = f"{STUDY}/series/1.2.1.1"
INSTANCE = f"{SERIES}/instances/1.2.1.1.1"


def filled(archive: Archive) -> list[Path]:
    """Two studies; the first has two series, of two instances and one."""
    places = (("1.2.1", "1.2.1.1"), ("1.2.1", "1.2.1.1"), ("1.2.1", "1.2.1.2"), ("1.2.2", "1.2.1.1"))
    made = [store(archive, dataset(*uids, f"1.2.1.1.{number}")) for number, uids in enumerate(places, 1)]
    return [one.instance.path for one in made]


@pytest.mark.parametrize(("path", "gone"), [(STUDY, {0, 1, 2}), (SERIES, {0, 1}), (INSTANCE, {0})])
def test_what_is_deleted_is_gone_with_its_files(archive: Archive, path: str, gone: set[int]) -> None:
    files = filled(archive)
    view = web(archive, deletable=ALL)
    answer = ask(view, path, method="DELETE")
    assert (answer.status, answer.content) == (204, b"")
    assert {number for number, file in enumerate(files) if not file.exists()} == gone
    assert ask(view, path).status == ask(view, path, method="DELETE").status == 404
    (found,) = [one for one in ask(view, "studies").json if one["0020000D"]["Value"] == ["1.2.1"]] or [None]
    assert (found["00201208"]["Value"][0] if found else 0) == 3 - len(gone)
    assert len(ask(view, "instances").json) == 4 - len(gone)
    assert len(archive.patients()) == 1


def test_the_last_instance_takes_its_series_study_and_patient_along(archive: Archive) -> None:
    filled(archive)
    view = web(archive, deletable=ALL)
    for series, number in (("1.2.1.1", 1), ("1.2.1.1", 2), ("1.2.1.2", 3)):
        assert ask(view, f"{STUDY}/series/{series}/instances/1.2.1.1.{number}", method="DELETE").status == 204
    assert [one["0020000D"]["Value"] for one in ask(view, "studies").json] == [["1.2.2"]]
    assert ask(view, "studies/1.2.2/series/1.2.1.1", method="DELETE").status == 204
    assert archive.patients() == []
    assert not list((archive.root / "instances").iterdir())


@pytest.mark.parametrize("path", [STUDY, SERIES, INSTANCE])
def test_what_may_not_be_deleted_stays(archive: Archive, path: str) -> None:
    files = filled(archive)
    store(archive, dataset(instance="1.2.1.1.9"), environment=Environment.PROD)
    for view in (web(archive), web(archive, deletable=[Environment.TEST])):
        answer = ask(view, path, method="DELETE")
        assert (answer.status, bool(answer.json["cause"])) == (403, True)
    unseen = web(archive, Environment.TEST, deletable=ALL)
    assert ask(unseen, path, method="DELETE").status == 404
    assert all(file.exists() for file in files)


@pytest.mark.parametrize(
    "path", ["studies/1.2.9", f"{STUDY}/series/1.2.9", f"{SERIES}/instances/1.2.1.1.3", "studies/1.2.2/series/1.2.1.2"]
)
def test_what_is_not_there_is_not_deleted(archive: Archive, path: str) -> None:
    files = filled(archive)
    assert ask(web(archive, deletable=ALL), path, method="DELETE").status == 404
    assert all(file.exists() for file in files)


@pytest.mark.parametrize("path", [STUDY, SERIES, INSTANCE])
def test_what_is_in_use_is_not_deleted_and_that_is_told(archive: Archive, path: str) -> None:
    files = filled(archive)
    other = Archive(archive.root)
    try:
        with other.using("1.2.1"):
            assert ask(web(archive, deletable=ALL), path, method="DELETE").status == 409
            assert ask(web(archive, Environment.PROD, deletable=ALL), path, method="DELETE").status == 404
        assert all(file.exists() for file in files)
        assert ask(web(archive, deletable=ALL), path, method="DELETE").status == 204
    finally:
        other.close()


def test_what_was_deleted_can_be_stored_again_and_is_there_after_a_restart(archive: Archive) -> None:
    content = file_of()
    post(archive, content)
    assert ask(web(archive, deletable=ALL), INSTANCE, method="DELETE").status == 204
    assert post(archive, content)[0] == 200
    archive.close()
    assert ask(web(archive), INSTANCE, accept="application/dicom").content == content
