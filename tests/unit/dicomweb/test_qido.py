from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread

from dicomfab.dicomweb.errors import NotAcceptable
from dicomfab.dicomweb.messages import Request
from dicomfab.dicomweb.qido import search
from dicomfab.dicomweb.query import parse_search
from dicomfab.model.errors import InvalidInput
from dicomfab.model.query import Level
from tests.unit.dicomweb.conftest import Fabricate
from tests.unit.dicomweb.memory_store import MemoryStore

ROOT = "http://host/dicom-web"


@pytest.fixture
def store(fabricated: Fabricate, tmp_path: Path) -> MemoryStore:
    files = [*fabricated("ct-chest", "dx-chest"), *fabricated("us-colour", seed=8)]
    return MemoryStore(tmp_path, files)


def ask(
    store: MemoryStore, level: Level, query: list[tuple[str, str]] | None = None, accept: str = "", **uids: str
) -> list[dict[str, Any]]:
    response = search(store, Request("GET", "", ROOT, query or [], {"accept": accept}), level, uids)
    assert response.status == 200
    assert response.headers["Content-Type"].startswith("application/")
    return json.loads(b"".join(response.content()))


def value(answer: dict[str, Any], tag: str) -> Any:
    return answer[tag]["Value"][0]


def test_studies_have_the_attributes_of_the_standard_and_where_to_get_them(store: MemoryStore) -> None:
    first, _ = ask(store, Level.STUDY)
    ds = store.held[0][1]
    assert set(first) >= set(
        "00080020 00080030 00080050 00080056 00080061 00080090 00080201 00081190 00100010 00100020 00100030 00100040"
        " 0020000D 00200010 00201206 00201208".split()
    )
    assert list(first) == sorted(first)
    assert "00080052" not in first
    assert value(first, "00081190") == f"{ROOT}/studies/{ds.StudyInstanceUID}"
    assert value(first, "00100010") == {"Alphabetic": str(ds.PatientName)}
    assert first["00080061"] == {"vr": "CS", "Value": ["CT", "DX"]}
    assert value(first, "00201208") == len([1 for _, one in store.held if one.StudyInstanceUID == ds.StudyInstanceUID])


def test_series_and_instances_name_what_is_above_unless_the_path_does(store: MemoryStore) -> None:
    ds = store.held[0][1]
    study, series = str(ds.StudyInstanceUID), str(ds.SeriesInstanceUID)
    (within,) = ask(store, Level.SERIES, [("Modality", "CT")], StudyInstanceUID=study)
    (anywhere,) = ask(store, Level.SERIES, [("Modality", "CT")])
    assert "00100020" not in within
    assert value(anywhere, "00100020") == ds.PatientID
    assert value(within, "00081190") == value(anywhere, "00081190") == f"{ROOT}/studies/{study}/series/{series}"
    of_series = ask(store, Level.IMAGE, StudyInstanceUID=study, SeriesInstanceUID=series)
    of_study = ask(store, Level.IMAGE, StudyInstanceUID=study)
    assert len(of_series) == 3
    assert len(of_study) > 3
    assert "00080060" in of_study[0]
    assert "00080060" not in of_series[0]
    assert value(of_series[0], "00080018") == ds.SOPInstanceUID
    assert (value(of_series[0], "00280010"), value(of_series[0], "00280100")) == (ds.Rows, ds.BitsAllocated)
    assert len(ask(store, Level.IMAGE)) == len(store.held)


@pytest.mark.parametrize("name", ["PatientID", "00100020"])
def test_keys_are_keywords_or_tags(store: MemoryStore, name: str) -> None:
    ds = store.held[-1][1]
    (found,) = ask(store, Level.STUDY, [(name, str(ds.PatientID))])
    assert value(found, "0020000D") == ds.StudyInstanceUID


@pytest.mark.parametrize("separator", [",", "\\"])
def test_several_uids_may_be_asked_for(store: MemoryStore, separator: str) -> None:
    uids = sorted({str(ds.StudyInstanceUID) for _, ds in store.held})
    assert len(ask(store, Level.STUDY, [("StudyInstanceUID", separator.join(uids))])) == 2
    assert len(ask(store, Level.STUDY, [("StudyInstanceUID", uid) for uid in uids])) == 2
    assert len(ask(store, Level.STUDY, [("StudyInstanceUID", uids[0])])) == 1
    assert len(ask(store, Level.STUDY, [("StudyInstanceUID", "*")])) == 2


def test_nothing_that_matches_is_an_empty_list(store: MemoryStore) -> None:
    assert ask(store, Level.STUDY, [("PatientID", "NOBODY")]) == []
    assert ask(store, Level.SERIES, StudyInstanceUID="1.2.3") == []


def test_limit_and_offset_page_through_the_answers(store: MemoryStore) -> None:
    everything = ask(store, Level.IMAGE)
    pages = [ask(store, Level.IMAGE, [("limit", "2"), ("offset", str(at))]) for at in range(0, len(everything) + 2, 2)]
    assert [one for page in pages for one in page] == everything
    assert pages[-1] == []
    assert ask(store, Level.IMAGE, [("limit", "0")]) == []
    assert ask(store, Level.IMAGE, [("offset", "1")]) == everything[1:]


def test_fields_are_included_by_name_by_tag_in_lists_and_all(store: MemoryStore) -> None:
    (plain,) = ask(store, Level.SERIES, [("Modality", "CT")])
    query = [("Modality", "CT"), ("includefield", "ProtocolName,00180015"), ("includefield", "00111001")]
    (more,) = ask(store, Level.SERIES, query)
    assert set(more) - set(plain) == {"00181030", "00180015", "00111001"}
    (everything,) = ask(store, Level.SERIES, [("Modality", "CT"), ("includefield", "all")])
    assert "00080070" in everything


def test_keys_within_sequences_reach_the_store() -> None:
    request = parse_search(
        Level.SERIES, {}, [("RequestAttributesSequence.ScheduledProcedureStepID", "S1"),
                           ("00400275.00401001", "R1")], lambda level, tag: True
    )  # fmt: skip
    (item,) = request.search.identifier.RequestAttributesSequence
    assert (item.ScheduledProcedureStepID, item.RequestedProcedureID) == ("S1", "R1")


@pytest.mark.parametrize("option", ["fuzzymatching", "emptyvaluematching", "multiplevaluematching"])
def test_what_is_not_done_is_told_in_a_warning(store: MemoryStore, option: str) -> None:
    response = search(store, Request("GET", "", ROOT, [(option, "true")]), Level.STUDY, {})
    assert response.headers["Warning"].startswith(f'299 {ROOT}: "The {option} parameter is not supported.')
    assert "Warning" not in search(store, Request("GET", "", ROOT, [(option, "false")]), Level.STUDY, {}).headers


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("limit", "ten"),
        ("limit", "-1"),
        ("offset", "1.5"),
        ("offset", "9" * 30),
        ("limit", "٣"),
        ("fuzzymatching", "yes"),
        ("PatientNmae", "x"),
        ("sort", "StudyDate"),
        ("00100000", "1"),
        ("12345678", "x"),
        ("StudyDate", "yesterday"),
        ("StudyDate", "20240101-2024"),
        ("StudyDate", "-"),
        ("StudyTime", "9"),
        ("StudyInstanceUID", "../etc"),
        ("Rows", "1e999"),
        ("PatientSize", "tall"),
        ("PatientID", "a\nb"),
        ("PatientID", "x" * 5000),
        ("PatientID.PatientName", "x"),
        ("RequestAttributesSequence", "x"),
        ("includefield", "Nonsense"),
        ("includefield", "PatientID.PatientName"),
        ("Modality", "CT"),  # of series, where studies are searched for
    ],
)
def test_a_parameter_that_cannot_be_is_refused_by_name(store: MemoryStore, name: str, text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        ask(store, Level.STUDY, [("PatientID", "*") if name != "PatientID" else ("limit", "1"), (name, text)])
    assert caught.value.field == name
    assert not store.searches


@pytest.mark.parametrize("name", ["PatientID", "limit"])
def test_a_parameter_given_twice_is_refused(store: MemoryStore, name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        ask(store, Level.STUDY, [(name, "1"), (name, "2")])
    assert caught.value.field == name


def test_a_query_that_contradicts_its_path_is_refused(store: MemoryStore) -> None:
    uid = str(store.held[0][1].StudyInstanceUID)
    assert ask(store, Level.SERIES, [("StudyInstanceUID", uid)], StudyInstanceUID=uid)
    with pytest.raises(InvalidInput):
        ask(store, Level.SERIES, [("StudyInstanceUID", "1.2")], StudyInstanceUID=uid)


NAMES = st.sampled_from(["limit", "includefield", "StudyDate", "Rows", "00400275.00401001", "PatientName", "0010002G"])
TEXTS = st.text(max_size=20) | st.from_regex(r"[0-9.,\\-]{0,12}")


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES | st.text(max_size=30), TEXTS), max_size=4))
def test_any_query_is_read_or_refused(query: list[tuple[str, str]]) -> None:
    refused = None
    try:
        found = parse_search(Level.STUDY, {}, query, lambda level, tag: True)
    except InvalidInput as error:
        refused = error
    assert refused.field in dict(query) if refused else isinstance(found.search.identifier, Dataset)


@pytest.mark.parametrize("accept", ["", "*/*", "application/dicom+json", "application/json", "application/*;q=0.3"])
def test_json_is_given_to_whoever_takes_it(store: MemoryStore, accept: str) -> None:
    assert ask(store, Level.STUDY, accept=accept)


def test_xml_is_not_to_be_had(store: MemoryStore) -> None:
    with pytest.raises(NotAcceptable):
        ask(store, Level.STUDY, accept='multipart/related; type="application/dicom+xml"')


def test_names_of_any_script_come_in_utf_8(store: MemoryStore) -> None:
    held, ds = store.held[0]
    ds.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    found = ask(store, Level.STUDY, [("PatientID", str(ds.PatientID))])
    assert value(found[0], "00100010") == {
        "Alphabetic": "Yamada^Tarou",
        "Ideographic": "山田^太郎",
        "Phonetic": "やまだ^たろう",
    }
    assert dcmread(held.file.path, stop_before_pixels=True).PatientID == ds.PatientID
