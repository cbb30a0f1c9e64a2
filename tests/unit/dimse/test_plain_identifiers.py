"""The short way of writing identifiers of plain texts gives the same bytes as pydicom's long way."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from dicomfab.dimse.identifier import decode, encode

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
every_syntax = pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])

words = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="\\^="), max_size=12).map(
    str.strip
)
TEXTS: dict[str, st.SearchStrategy[Any]] = {
    "SpecificCharacterSet": st.sampled_from(["ISO_IR 100", "ISO_IR 192"]),
    "StudyDate": st.sampled_from(["", "20240131"]),
    "StudyTime": st.sampled_from(["", "101112.5"]),
    "AccessionNumber": words,
    "ModalitiesInStudy": st.lists(st.sampled_from(["CT", "MR", "SR"]), max_size=3),
    "StudyDescription": words,
    "PatientName": st.builds("{}^{}".format, words, words),
    "PatientWeight": st.sampled_from([None, "70.25"]),
    "StudyInstanceUID": st.sampled_from(["", "1.2.3", "1.2.34"]),
    "NumberOfStudyRelatedInstances": st.integers(0, 99_999) | st.none(),
}


def made(values: dict[str, Any]) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def written_by_pydicom(dataset: Dataset, syntax: str) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = syntax == IMPLICIT, True
    write_dataset(buffer, dataset)
    return buffer.getvalue()


@every_syntax
@settings(deadline=None, max_examples=60)
@given(values=st.fixed_dictionaries({}, optional=TEXTS))
def test_the_same_bytes(syntax: str, values: dict[str, Any]) -> None:
    dataset = made(values)
    assert encode(dataset, syntax) == written_by_pydicom(dataset, syntax)


nested = st.recursive(
    st.fixed_dictionaries({}, optional=TEXTS),
    lambda inner: st.fixed_dictionaries(
        {"ScheduledProcedureStepSequence": st.lists(inner, max_size=2)},
        optional={**TEXTS, "PregnancyStatus": st.none(), "EncapsulatedDocument": st.none()},
    ),
    max_leaves=6,
)


def deeply(values: dict[str, Any]) -> Dataset:
    items = values.pop("ScheduledProcedureStepSequence", None)
    dataset = made(values)
    if items is not None:
        dataset.ScheduledProcedureStepSequence = [deeply(dict(one)) for one in items]
    return dataset


@every_syntax
@settings(deadline=None, max_examples=60)
@given(values=nested)
def test_the_same_bytes_with_sequences(syntax: str, values: dict[str, Any]) -> None:
    dataset = deeply(dict(values))
    assert encode(dataset, syntax) == written_by_pydicom(dataset, syntax)


@every_syntax
@pytest.mark.parametrize(
    "values",
    [
        {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "山田^太郎"},
        {"Rows": 512},
    ],
    ids=["not ASCII", "a number"],
)
def test_what_is_not_plain_goes_the_long_way(syntax: str, values: dict[str, Any]) -> None:
    dataset = made(values)
    raw = encode(dataset, syntax)
    assert raw == written_by_pydicom(dataset, syntax)
    assert decode(raw, syntax) == dataset


def test_a_data_set_made_here_is_as_pydicom_makes_it() -> None:
    """The attributes of a data set that is made without its constructor are those of one made with it."""
    dataset = decode(encode(made({"PatientID": "P1"}), EXPLICIT), EXPLICIT)
    fresh = Dataset()
    assert vars(dataset).keys() == vars(fresh).keys()
    changed = {name for name, value in vars(dataset).items() if value != vars(fresh)[name]}
    assert changed <= {"_dict", "_read_implicit", "_read_little", "_read_charset"}
    for name in ("_dict", "_private_blocks", "_pixel_array_opts", "_pixel_id"):
        assert vars(dataset)[name] is not vars(decode(b"", EXPLICIT))[name]
