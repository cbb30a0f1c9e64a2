"""Our encoder writes the bytes that pydicom writes, of every kind and in every script."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from dicomfab.fabricate.encode.explicit import encode_explicit
from dicomfab.fabricate.kinds import ALL_KINDS
from dicomfab.fabricate.study import plans
from dicomfab.model.errors import InvalidInput
from tests.unit.fabricate.studies import study


def by_pydicom(dataset: Dataset) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def is_ready(dataset: Dataset) -> bool:
    """Whether it holds elements that are encoded already, which pydicom would decode first."""
    return any(isinstance(element, RawDataElement) for element in dataset.values())


@pytest.mark.parametrize(
    ("kind", "script"),
    [
        *((kind, "latin") for kind in ALL_KINDS),
        *((k, s) for k in ("ct-chest", "sr-report") for s in ("japanese", "arabic")),
    ],
)
def test_every_kind(kind: str, script: str) -> None:
    before = ("ct-chest",) if ALL_KINDS[kind].needs else ()
    compared = 0
    for plan in plans(study(*before, kind, slices=2, script=script, contact=True), 1):
        if not is_ready(plan.dataset):
            assert encode_explicit(plan.dataset) == by_pydicom(plan.dataset)
            assert encode_explicit(plan.dataset) == by_pydicom(plan.dataset)
            compared += 1
    assert compared or kind in ("ct-enhanced", "mr-enhanced", "pt-enhanced", "dbt-screening")


TEXT = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"], exclude_characters="\\"), max_size=20)


@given(
    TEXT, st.lists(TEXT.map(str.strip), max_size=3), st.floats(-1e9, 1e9), st.lists(st.integers(0, 65535), max_size=4)
)
def test_every_value(text: str, several: list[str], number: float, words: list[int]) -> None:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageComments = text
    ds.OtherPatientNames = several or None
    ds.ImageType = ["A", "BC"]
    ds.ReconstructionFieldOfView = [number, 1.5]
    ds.SliceThickness = f"{number:.8g}"[:16]
    ds.PixelAspectRatio = ["1", "02"]
    ds.ReferencedFrameNumbers = words or None
    ds.SmallestImagePixelValue = 7
    ds.PixelRepresentation = 0
    item = Dataset()
    item.PatientComments = text
    ds.ReferencedStudySequence = [item, Dataset()]
    assert encode_explicit(ds) == by_pydicom(ds)


def test_what_cannot_be_written_is_refused_by_its_attribute() -> None:
    ds, item = Dataset(), Dataset()
    ds.SpecificCharacterSet = "ISO_IR 126"
    item.PatientName = "Груша^Анна"
    ds.ReferencedPatientSequence = [item]
    with pytest.raises(InvalidInput, match="PatientName") as caught:
        encode_explicit(ds)
    assert caught.value.field == "PatientName"
