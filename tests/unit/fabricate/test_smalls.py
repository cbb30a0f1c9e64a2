"""The style ``small``: the same series with small pictures; what is said in millimetres holds."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from dicomfab.fabricate.kinds import KINDS
from dicomfab.fabricate.recipe import ResolvedStudy, SeriesRecipe, StudyRecipe
from dicomfab.fabricate.smalls import SIDE
from dicomfab.fabricate.study import fabricate
from dicomfab.fabricate.truth import truth
from dicomfab.model.errors import InvalidInput
from tests.unit.fabricate.studies import read, resolved

SHRINKING = [name for name, kind in KINDS.items() if "small" in kind.looks]


def made(kind: str, style: str) -> ResolvedStudy:
    return resolved(StudyRecipe((SeriesRecipe(kind, 3 if KINDS[kind].counted else None, style=style),), seed=7))


@pytest.mark.parametrize("kind", SHRINKING)
def test_the_images_are_small_and_cover_what_they_did(kind: str) -> None:
    cards = map(read, fabricate(made(kind, "card"), workers=1))
    large = {(card.SeriesNumber, card.InstanceNumber): card for card in cards}
    for small in map(read, fabricate(made(kind, "small"), workers=1)):
        before = large[small.SeriesNumber, small.InstanceNumber]
        assert max(small.Rows, small.Columns) == SIDE
        assert small.get("NumberOfFrames", 1) == before.get("NumberOfFrames", 1)
        assert small.pixel_array.std() > 0
        for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
            if keyword in small:
                down, across = small[keyword].value
                assert down * small.Rows == pytest.approx(before[keyword].value[0] * before.Rows, rel=1e-5)
                assert across * small.Columns == pytest.approx(before[keyword].value[1] * before.Columns, rel=1e-5)
        if "ImagePositionPatient" in small:
            assert np.allclose(_corner(small), _corner(before), atol=1e-3)


def _corner(ds: Dataset) -> NDArray[np.float64]:
    """The outer corner of the first pixel, in mm."""
    along = np.array(ds.ImageOrientationPatient, np.float64).reshape(2, 3)
    down, across = map(float, ds.PixelSpacing)
    first: NDArray[np.float64] = np.array(ds.ImagePositionPatient, np.float64)
    return first - along[0] * across / 2 - along[1] * down / 2


def test_a_small_picture_says_which_it_is_and_that_it_is_synthetic_but_nobody_s_name() -> None:
    first, second, _ = (read(one) for one in fabricate(made("ct-chest", "small"), workers=1))
    assert first.pixel_array.std() > 0
    assert not np.array_equal(first.pixel_array, second.pixel_array)
    assert first.BurnedInAnnotation == "NO"
    assert first.SyntheticData == "YES"


def test_it_is_another_study_than_the_large_one() -> None:
    assert made("ct-chest", "small").study_instance_uid != made("ct-chest", "image").study_instance_uid


def test_its_truth_names_no_lesion_that_it_does_not_show() -> None:
    assert truth(made("ct-chest", "small"))["regions"] == []
    assert truth(made("vl-photo", "small"))["series"] == []


@pytest.mark.parametrize("kind", ["wsi", "ct-enhanced", "dbt-screening"])
def test_what_cannot_be_small_says_so(kind: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        made(kind, "small")
    assert refused.value.field == "style"


def test_the_regions_of_an_ultrasound_image_shrink_with_it() -> None:
    (small,) = (read(one) for one in fabricate(made("us-colour", "small"), workers=1))
    for region in small.SequenceOfUltrasoundRegions:
        assert 0 <= region.RegionLocationMinX0 < region.RegionLocationMaxX1 < small.Columns
        assert 0 <= region.RegionLocationMinY0 < region.RegionLocationMaxY1 < small.Rows
