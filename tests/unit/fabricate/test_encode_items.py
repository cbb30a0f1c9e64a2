from __future__ import annotations

import copy
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicomfab.fabricate.encode.items import sequence
from dicomfab.fabricate.encode.series import encode_series
from dicomfab.fabricate.encode.template import encode_dataset
from dicomfab.fabricate.study import plans
from dicomfab.pixels.syntaxes import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, NATIVE
from dicomfab.pixels.writable import writable
from tests.unit.fabricate.studies import encoded, study

GROUPS = "PerFrameFunctionalGroupsSequence"
WORDS = st.text("ABCDEFGH_ 0123456789", min_size=1, max_size=16).map(str.strip).filter(bool)
DECIMALS = st.decimals(-9999, 9999, places=4).map("{:.4f}".format)
VALUES = {
    "FrameType": st.lists(WORDS, min_size=1, max_size=4),
    "StackID": WORDS,
    "FrameReferenceDateTime": st.just("20260131093000.000000"),
    "IrradiationEventUID": st.sampled_from(("1.2.3", "1.2.34")),
    "ImagePositionPatient": st.lists(DECIMALS, min_size=3, max_size=3),
    "PrimaryPromptsCountsAccumulated": st.integers(-(2**31), 2**31 - 1),
    "FrameAcquisitionNumber": st.integers(0, 2**16 - 1),
    "DimensionIndexValues": st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5),
    "RationalDenominatorValue": st.integers(0, 2**32 - 1),
    "DisplayedAreaTopLeftHandCorner": st.lists(st.integers(-(2**31), 2**31 - 1), min_size=2, max_size=2),
    "TagAngleSecondAxis": st.integers(-(2**15), 2**15 - 1),
    "FrameAcquisitionDuration": st.floats(allow_nan=False, allow_infinity=False),
    "ReconstructionFieldOfView": st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=2),
    "RecommendedDisplayFrameRateInFloat": st.floats(width=32, allow_nan=False, allow_infinity=False),
}
FLAT = st.fixed_dictionaries({}, optional=VALUES)
NESTED = ("FrameContentSequence", "PlanePositionSequence", "PETPositionSequence", "FrameAnatomySequence")
ITEMS: st.SearchStrategy[Any] = st.recursive(
    FLAT,
    lambda item: st.builds(
        lambda flat, deeper: flat | deeper, FLAT, st.dictionaries(st.sampled_from(NESTED), st.lists(item, max_size=2))
    ),
    max_leaves=6,
)


def as_dataset(item: dict[str, Any]) -> Dataset:
    made = Dataset()
    for keyword, value in item.items():
        setattr(made, keyword, Sequence(map(as_dataset, value)) if keyword in NESTED else value)
    return made


@given(st.lists(ITEMS, max_size=3), st.sampled_from([EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG]))
def test_items_are_what_pydicom_writes(items: list[dict[str, Any]], syntax: str) -> None:
    ours, theirs = Dataset(), Dataset()
    for ds in (ours, theirs):
        ds.SpecificCharacterSet, ds.PatientName = "ISO_IR 192", "山田^太郎"
        ds.add_new(0x7FE10010, "LO", "BEHIND IT")
    ours[GROUPS] = sequence(GROUPS, items)
    theirs.PerFrameFunctionalGroupsSequence = Sequence(map(as_dataset, items))
    assert encode_dataset(ours, NATIVE[syntax]) == encode_dataset(theirs, NATIVE[syntax])
    assert ours == theirs  # whoever reads it finds a sequence


@pytest.mark.parametrize("kind", ["ct-enhanced", "mr-enhanced", "pt-enhanced", "dbt-screening"])
def test_functional_groups_are_what_pydicom_writes(kind: str) -> None:
    for plan in plans(study(kind, slices=7), 1):
        ready = plan.dataset.get_item(GROUPS)
        assert isinstance(ready, RawDataElement)
        assert encode_dataset(plan.dataset).count(ready.value) == 1
        assert isinstance(plan.dataset.get_item(GROUPS), RawDataElement)
        own = copy.deepcopy(plan.dataset)
        for element in own.iterall():
            assert element.value is element.value  # decodes each element, so that pydicom encodes them afresh
        assert len(own.PerFrameFunctionalGroupsSequence) == plan.frames
        file = io.BytesIO()
        own.save_as(file, implicit_vr=False, little_endian=True, enforce_file_format=False)
        assert encode_dataset(plan.dataset) == file.getvalue()


def test_what_cannot_be_encoded_is_refused() -> None:
    with pytest.raises(ValueError, match="PatientName has VR PN"):
        sequence(GROUPS, [{"PatientName": "A^B"}])
    with pytest.raises(UnicodeEncodeError):
        sequence(GROUPS, [{"StackID": "é"}])


def test_a_transfer_syntax_leaves_no_trace_in_the_plan() -> None:
    (plan,) = plans(study("mr-enhanced", slices=2), 1)
    before = encode_dataset(plan.dataset)
    (plain,) = map(encoded, encode_series(plan, EXPLICIT_LITTLE, 1))
    (lossy,) = map(encoded, encode_series(plan, writable("j2k-lossy").uid, 1))
    assert lossy != plain
    assert encode_dataset(plan.dataset) == before
