"""From the DICOM JSON model to data sets as a C-FIND brings them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.sequence import Sequence

from dicomfab.dicomweb.client.json_read import MalformedJson, data_set
from dicomfab.model.query import Level
from dicomfab.services.search_match import Reader


def test_every_kind_of_value_as_pydicom_writes_it() -> None:
    item = Dataset()
    item.CodeValue = "X"
    made = Dataset()
    made.PatientName = "Wang^XiaoDong=王^小東"
    made.StudyInstanceUID = "1.2.3"
    made.ModalitiesInStudy = ["CT", "MR"]
    made.NumberOfStudyRelatedInstances = 12
    made.PatientWeight = 70.5
    made.Rows = 512
    made.FrameIncrementPointer = 0x00181063
    made.RecommendedDisplayFrameRateInFloat = 1.5
    made.ProcedureCodeSequence = Sequence([item])
    made.PatientComments = ""
    made.add_new(0x00420011, "OB", b"\0\1")
    made.SmallestImagePixelValue = 1
    made["SmallestImagePixelValue"].VR = "US"
    read = data_set(json.loads(made.to_json()))
    assert read.PatientName == made.PatientName
    assert list(read.ModalitiesInStudy) == ["CT", "MR"]
    assert (read.NumberOfStudyRelatedInstances, read.PatientWeight, read.Rows) == (12, 70.5, 512)
    assert read.FrameIncrementPointer == 0x00181063
    assert read.ProcedureCodeSequence[0].CodeValue == "X"
    assert read[0x00420011].value == b"\0\1"
    assert "PatientComments" in read
    reader = Reader("x", Level.STUDY, ("PatientName", "ModalitiesInStudy", "PatientComments", "StudyDate"))
    assert reader.read(data_set(json.loads(made.to_json()))).values == {
        "PatientName": "Wang^XiaoDong=王^小東",
        "ModalitiesInStudy": "CT\\MR",
        "PatientComments": "",
        "StudyDate": None,
    }
    assert reader.notes() == ()


@pytest.mark.parametrize(
    ("attribute", "text"),
    [
        ({"vr": "IS", "Value": [3.0]}, b"3"),
        ({"vr": "IS", "Value": ["3"]}, b"3"),
        ({"vr": "DS", "Value": [0.123456789012345678]}, b"0.123456789"),
        ({"vr": "LO", "Value": ["a", None, "b"]}, b"a\\\\b"),
        ({"vr": "LO"}, b""),
        ({"Value": ["a"]}, b"a"),
        ({"vr": "PN", "Value": ["Plain^Text"]}, b"Plain^Text"),
        ({"vr": "PN", "Value": [{"Ideographic": "X"}]}, b"=X"),
    ],
)
def test_values_as_servers_write_them(attribute: dict[str, Any], text: bytes) -> None:
    assert data_set({"00080050": attribute}).get_item(0x00080050).value == text


@pytest.mark.parametrize(
    "members",
    [
        {"nothing": {}},
        {"00080050": []},
        {"00080050": {"vr": "LO", "Value": "text"}},
        {"00080050": {"vr": "LO", "Value": [{"a": 1}]}},
        {"00280010": {"vr": "US", "Value": [70000]}},
        {"00280010": {"vr": "US", "Value": ["MUSTERMANN"]}},
        {"00201208": {"vr": "IS", "Value": ["MUSTERMANN"]}},
        {"00420011": {"vr": "OB", "InlineBinary": "MUSTERMANN*"}},
        {"00080005": {"vr": "CS"}, "00081140": {"vr": "SQ", "Value": [3]}},
        {"00100010": {"vr": "PN", "Value": [{"Alphabetic": 3}]}},
    ],
)
def test_what_is_no_data_set_is_refused_without_its_value(members: dict[str, Any]) -> None:
    with pytest.raises(MalformedJson) as caught:
        data_set(members)
    assert "MUSTERMANN" not in str(caught.value)


def test_only_what_is_wanted_is_taken() -> None:
    members = {"00080050": {"vr": "SH", "Value": ["A"]}, "00280010": {"vr": "US", "Value": ["nothing"]}}
    assert sorted(data_set(members, {0x00080050}).keys()) == [0x00080005, 0x00080050]


def test_nesting_has_an_end() -> None:
    deep: dict[str, Any] = {"00080050": {"vr": "SH", "Value": ["A"]}}
    for _ in range(40):
        deep = {"00081140": {"vr": "SQ", "Value": [deep]}}
    with pytest.raises(MalformedJson):
        data_set(deep)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
TAGS = st.sampled_from(["00080050", "00100010", "00280010", "00081140", "0020000D", "00201208", "00420011", "00091001"])
VRS = st.sampled_from(["SH", "PN", "US", "SQ", "UI", "IS", "DS", "OB", "AT", "FD", "UN", "XX"])
ATTRIBUTES = st.fixed_dictionaries(
    {"vr": VRS}, optional={"Value": st.lists(VALUES, max_size=3), "InlineBinary": VALUES}
)


@given(st.dictionaries(TAGS, ATTRIBUTES | VALUES, max_size=4))
def test_whatever_comes_is_a_data_set_or_malformed(members: dict[str, Any]) -> None:
    try:
        found = data_set(members)
    except MalformedJson:
        return
    for tag in list(found.keys()):
        if found.get_item(tag).VR not in ("IS", "DS"):
            assert found[tag] is not None
