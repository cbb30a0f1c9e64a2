from __future__ import annotations

import copy
import io

import pytest
from pydicom import Dataset, dcmread

from dicomfab.fabricate.encode.template import HeaderTemplate, encode_dataset
from dicomfab.fabricate.study import fabricate, plans
from dicomfab.model.errors import InvalidInput
from dicomfab.model.study import Patient
from dicomfab.pixels.syntaxes import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, NATIVE
from tests.unit.fabricate.studies import encoded, study


def as_pydicom_writes(dataset: Dataset) -> bytes:
    file = io.BytesIO()
    dataset.save_as(file, implicit_vr=False, little_endian=True, enforce_file_format=False)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["ct-chest", "dx-chest", "text-card", "pt-body"])
@pytest.mark.parametrize("name", ["Müller^Jürgen", "山田^太郎"])
def test_headers_are_what_pydicom_writes(kind: str, name: str) -> None:
    made = study(kind, slices=50, patient=Patient(name, "1"))
    for plan in plans(made, 1):
        template = HeaderTemplate(plan.dataset, tuple(plan.varying(0)), None)
        for index in range(plan.count):
            assert template.header(plan.varying(index)) == as_pydicom_writes(plan.attributes(index))


def test_instances_are_what_pydicom_writes_pixels_included() -> None:
    for instance in fabricate(study("ct-chest", "dx-chest", "text-card", slices=2)):
        data = encoded(instance)
        dataset = dcmread(io.BytesIO(data), force=True)
        for element in dataset.iterall():
            assert element.value is element.value  # decodes each element, so that pydicom encodes them afresh
        assert as_pydicom_writes(dataset) == data


def test_odd_values_are_padded_by_their_representation() -> None:
    dataset = Dataset()
    dataset.SOPInstanceUID, dataset.InstanceNumber = "1.2", "1"
    template = HeaderTemplate(dataset, ("InstanceNumber", "SOPInstanceUID"), None)
    made = dcmread(io.BytesIO(template.header({"SOPInstanceUID": "1.2.3", "InstanceNumber": "123"})), force=True)
    assert made.SOPInstanceUID == "1.2.3"
    assert made.InstanceNumber == 123
    assert template.header({"SOPInstanceUID": "1.2.3", "InstanceNumber": "123"}).endswith(b"123 ")


@pytest.mark.parametrize("syntax", [EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG])
def test_numbers_can_vary_in_every_encoding(syntax: str) -> None:
    dataset = Dataset()
    dataset.InstanceNumber, dataset.Rows, dataset.PatientName = "1", 1, "A^B"
    template = HeaderTemplate(dataset, ("Rows", "InstanceNumber"), None, encoding=NATIVE[syntax])
    expected = copy.deepcopy(dataset)
    expected.InstanceNumber, expected.Rows = "12", 515
    file = io.BytesIO()
    expected.save_as(
        file,
        implicit_vr=syntax == IMPLICIT_LITTLE,
        little_endian=syntax != EXPLICIT_BIG,
        enforce_file_format=False,
    )
    assert template.header({"InstanceNumber": "12", "Rows": "515"}) == file.getvalue()


def test_only_text_and_numbers_can_vary() -> None:
    dataset = Dataset()
    dataset.EventTimeOffset = 5.0
    with pytest.raises(ValueError, match="EventTimeOffset"):
        HeaderTemplate(dataset, ("EventTimeOffset",), None)


@pytest.mark.parametrize("within", [False, True])
def test_what_the_character_set_lacks_is_an_error_by_its_keyword_and_no_question_mark(within: bool) -> None:
    ds, item = Dataset(), Dataset()
    ds.SpecificCharacterSet = "ISO_IR 126"
    item.CodeMeaning, ds.PatientName = "Νίκος", "Νίκος"
    (item if within else ds).add_new("CodeMeaning", "LO", "Größe")
    ds.ProcedureCodeSequence = [item]
    with pytest.raises(InvalidInput) as refused:
        encode_dataset(ds)
    assert refused.value.field == "CodeMeaning"
    (item if within else ds).CodeMeaning = "Νίκος"
    assert b"?" not in encode_dataset(ds)
    item.SpecificCharacterSet, item.CodeMeaning = "ISO_IR 100", "Größe"
    assert "Größe".encode("latin-1") in encode_dataset(ds)


def test_pixel_data_follows_the_header() -> None:
    dataset = Dataset()
    dataset.InstanceNumber = "1"
    header = HeaderTemplate(dataset, ("InstanceNumber",), 6, "OB").header({"InstanceNumber": "2"})
    made = dcmread(io.BytesIO(header + b"abcdef"), force=True)
    assert made.PixelData == b"abcdef"
    assert made["PixelData"].VR == "OB"
    assert encode_dataset(dataset) != header
