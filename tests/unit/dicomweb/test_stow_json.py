"""Storing metadata in JSON with bulk data: what comes out is the instance that they were taken from."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread

from dicomfab.dicomweb import incoming_json
from dicomfab.dicomweb.multipart import written
from dicomfab.dicomweb.ports import HeldInstance
from tests.unit.dicomweb.asking import ROOT, Answer, ask, place
from tests.unit.dicomweb.conftest import Fabricate
from tests.unit.dicomweb.memory_store import MemoryStore

TYPE = 'multipart/related; type="application/dicom+json"; boundary=b'
JSON = {"Content-Type": "application/dicom+json"}
OCTETS, EXPLICIT, JPEG_LS = "application/octet-stream", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.80"
Parts = list[tuple[dict[str, str], list[bytes]]]


@pytest.fixture
def store(tmp_path: Path) -> MemoryStore:
    return MemoryStore(tmp_path)


def post(store: MemoryStore, parts: Parts, path: str = "studies") -> Answer:
    return ask(store, path, method="POST", body=written(parts, "b"), content_type=TYPE)


def uris(item: dict[str, Any]) -> list[str]:
    found = [one["BulkDataURI"] for one in item.values() if "BulkDataURI" in one]
    return found + [
        uri for one in item.values() if one["vr"] == "SQ" for inner in one.get("Value", []) for uri in uris(inner)
    ]


def message(source: MemoryStore, held: HeldInstance, accept: str = OCTETS) -> Parts:
    """The metadata of an instance and all that they name, as a client gets them."""
    metadata = ask(source, f"{place(held)}/metadata").json
    parts: Parts = [(JSON, [json.dumps(metadata).encode()])]
    for uri in uris(metadata[0]):
        value = ask(source, uri.removeprefix(f"{ROOT}/"), accept=accept if uri.endswith("7FE00010") else OCTETS)
        assert value.status == 200
        parts.append(({"Content-Type": value.headers["Content-Type"], "Content-Location": uri}, [value.content]))
    return parts


def plain(ds: Dataset) -> dict[str, Any]:
    """A data set to compare; JSON is in UTF-8, and its numbers have lost how they were written."""
    ds.SpecificCharacterSet = "ISO_IR 192"
    return ds.to_json_dict()  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", ["ct-chest", "us-colour", "mr-enhanced", "sc-multiframe-bit", "pt-body", "vl-photo"])
def test_an_instance_is_the_same_after_a_way_through_json(
    fabricated: Fabricate, store: MemoryStore, tmp_path: Path, kind: str
) -> None:
    source = MemoryStore(tmp_path, fabricated(kind))
    held = source.held[0][0]
    answer = post(store, message(source, held), place(held, 1))
    assert (answer.status, len(store.held)) == (200, 1)
    stored = store.held[0][0].file
    assert stored.identity == held.file.identity
    before, after = dcmread(held.file.path), dcmread(stored.path)
    assert after.PixelData == before.PixelData
    assert plain(after) == plain(before)


def test_a_coded_frame_is_kept_as_it_is(fabricated: Fabricate, store: MemoryStore, tmp_path: Path) -> None:
    source = MemoryStore(tmp_path, fabricated("ct-chest", transfer_syntax=JPEG_LS))
    held = source.held[0][0]
    assert post(store, message(source, held, "image/jls")).status == 200
    stored = store.held[0][0].file
    assert stored.identity == held.file.identity
    frames = [ask(one, f"{place(held)}/frames/1", accept="image/jls").content for one in (source, store)]
    assert frames[0] == frames[1]


def test_several_instances_come_in_one_message(fabricated: Fabricate, store: MemoryStore, tmp_path: Path) -> None:
    source = MemoryStore(tmp_path, fabricated("ct-chest"))
    messages = [message(source, held) for held, _ in source.held]
    metadata = [item for parts in messages for item in json.loads(parts[0][1][0])]
    bulk = [part for parts in messages for part in parts[1:]]
    last = metadata[-1]["7FE00010"]["BulkDataURI"]
    for parts in ([(JSON, [json.dumps(metadata).encode()]), *bulk], [*bulk, *(one[0] for one in messages)]):
        assert post(store, parts).status == 200
        assert len(store.held) == 3
        store.held.clear()
    left = [part for part in bulk if part[0]["Content-Location"] != last]
    answer = post(store, [(JSON, [json.dumps(metadata).encode()]), *left])
    assert (answer.status, len(store.held)) == (202, 2)
    assert len(answer.json["0008119A"]["Value"]) == 1


def item(**changes: Any) -> dict[str, Any]:
    """A report in JSON, without pixel data."""
    uids = {
        "00080016": "1.2.840.10008.5.1.4.1.1.88.11",
        "00080018": "1.2.3.4",
        "0020000D": "1.2.3",
        "0020000E": "1.2.3.9",
    }
    made: dict[str, Any] = {tag: {"vr": "UI", "Value": [uid]} for tag, uid in uids.items()}
    made["00100010"] = {"vr": "PN", "Value": [{"Alphabetic": "Müller^Jürgen"}]}
    return made | {f"{tag[1:]}": value for tag, value in changes.items()}


def test_text_is_stored_in_utf_8(store: MemoryStore) -> None:
    for charset in ({}, {"_00080005": {"vr": "CS", "Value": ["ISO_IR 100"]}}):
        assert post(store, [(JSON, [json.dumps([item(**charset)]).encode()])]).status == 200
        ds = dcmread(store.held[-1][0].file.path)
        assert (ds.SpecificCharacterSet, str(ds.PatientName)) == ("ISO_IR 192", "Müller^Jürgen")


@pytest.mark.parametrize(
    "changes",
    [
        {"_00080018": {"vr": "UI", "Value": ["../x"]}},
        {"_00080018": {"vr": "UI"}},
        {"_00080018": "1.2.3"},
        {"_00100020": {"vr": "LO", "BulkDataURI": "nowhere"}},
        {"_00100020": {"vr": "XX", "Value": ["x"]}},
        {"_00100020": 5},
        {"_00280010": {"vr": "US", "Value": ["many"]}},
        {"_00280010": {"vr": "US", "Value": [99999]}},
        {"_7fe00010": {"vr": "OW", "BulkDataURI": "here"}},
        {"_7FE00010": {"vr": "OW", "BulkDataURI": ["here"]}},
        {"_7FE00010": {"vr": "UT", "BulkDataURI": "here"}},
        {"_7FE00010": {"vr": "OW", "InlineBinary": "AAA"}},
        {"_7FE00010": {"vr": "OB", "InlineBinary": "AAAA"}, "_00020010": {"vr": "UI", "Value": [JPEG_LS]}},
        {"_7FE00010": {"vr": "OB", "BulkDataURI": "here"}, "_00020010": {"vr": "UI", "Value": [JPEG_LS]}},
        {"_7FE00010": {"vr": "OB", "BulkDataURI": "jls"}, "_00280008": {"vr": "IS", "Value": [2]}},
        {"_7FE00010": {"vr": "OB", "BulkDataURI": "jpeg"}},
    ],
)
def test_what_cannot_be_an_instance_is_told(store: MemoryStore, changes: dict[str, Any]) -> None:
    bulk: Parts = [
        ({"Content-Type": OCTETS, "Content-Location": "here"}, [b"1234"]),
        ({"Content-Type": f"image/jls; transfer-syntax={JPEG_LS}", "Content-Location": "jls"}, [b"1234"]),
        ({"Content-Type": f"image/jpeg; transfer-syntax={JPEG_LS}", "Content-Location": "jpeg"}, [b"1234"]),
    ]
    answer = post(store, [(JSON, [json.dumps([item(**changes)]).encode()]), *bulk])
    assert (answer.status, store.held) == (409, [])
    assert answer.json["0008119A"]["Value"][0]["00081197"]["Value"] == [0xC000]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_metadata_that_are_no_json_are_malformed(store: MemoryStore, content: bytes) -> None:
    answer = post(store, [(JSON, [content])])
    assert (answer.status, answer.json["field"]) == (400, "body")


@pytest.mark.parametrize("parts", [[], [(JSON, [b"[]"])], [({"Content-Location": "x"}, [b"x"])]])
def test_a_message_without_an_instance_is_told(store: MemoryStore, parts: Parts) -> None:
    assert post(store, parts).status == 400


def test_metadata_that_are_too_long_are_refused(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming_json, "MAX_METADATA_BYTES", 1000)
    assert post(store, [(JSON, [json.dumps([item()] * 9).encode()])]).status == 400


def test_an_instance_of_another_study_is_told(store: MemoryStore) -> None:
    answer = post(store, [(JSON, [json.dumps(item()).encode()])], "studies/1.2.9")
    assert (answer.status, store.held) == (409, [])
    assert answer.json["00081198"]["Value"][0]["00081197"]["Value"] == [0xA900]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["vr", "Value", "00080005"]), inner),
)
ATTRIBUTES = st.fixed_dictionaries(
    {"vr": st.sampled_from("AE AT CS DA DS FD IS LO OB OW PN SQ TM UI UL UN US UT XX".split()), "Value": VALUES}
)


@pytest.mark.filterwarnings("ignore")
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(["00080005", "00080016", "00100010", "00280008", "7FE00010"]), ATTRIBUTES | VALUES)
)
def test_any_json_is_stored_or_told(store: MemoryStore, changes: dict[str, Any]) -> None:
    content = json.dumps([item() | changes]).encode()
    answer = post(store, [(JSON, [content])])
    assert answer.status in (200, 409)
    if answer.status == 200:
        assert dcmread(io.BytesIO(store.held[-1][0].file.path.read_bytes())).SOPInstanceUID == "1.2.3.4"
