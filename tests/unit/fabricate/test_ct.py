"""CT of each region: where slices lie, what they show, and that lesions are where the truth says."""

from __future__ import annotations

import numpy as np
import pytest

from dicomfab.fabricate.anatomy.tissue import Tissue, hu_table
from dicomfab.fabricate.iods.ct import PROTOCOLS, stack
from dicomfab.fabricate.study import fabricate
from tests.unit.fabricate.sections import around, body, labels, made, mean, nearest, position, series, with_lesion
from tests.unit.fabricate.studies import encoded, read, study


@pytest.mark.parametrize("kind", [*PROTOCOLS, "ct-enhanced"])
def test_the_same_bytes_on_one_and_two_workers(kind: str) -> None:
    one, two = ([encoded(i) for i in fabricate(study(f"{kind}:5"), workers=n)] for n in (1, 2))
    assert one == two


@pytest.mark.parametrize("kind", PROTOCOLS)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_stack_covers_the_region(kind: str, seed: int) -> None:
    asked = study(f"{kind}:7", seed=seed)
    slices = stack(asked, PROTOCOLS[kind], 7)
    shown = body(kind, PROTOCOLS[kind].region, seed)
    low, high = shown.extent_mm
    tops = slices.location_mm(0) - slices.step_mm / 2, slices.location_mm(6) + slices.step_mm / 2
    assert tops[0] == pytest.approx(high[2], abs=15)
    assert tops[1] >= low[2] - 1
    assert slices.position_mm(0)[0] == pytest.approx(-slices.pixel_mm * 255.5)
    edge = shown.scene.voxels(slices.grid(3))[0]
    assert not edge[:40].any(), "the mark stands beside the body"
    assert not edge[:, [0, -1]].any(), "the field of view holds the body"


def test_slices_run_downwards_at_equal_distances() -> None:
    for kind in PROTOCOLS:
        slices = made(kind, 4)
        heights = [position(ds)[2] for ds in slices]
        assert np.allclose(np.diff(heights), -float(slices[0].SpacingBetweenSlices))
        assert [float(ds.SliceLocation) for ds in slices] == pytest.approx(heights)
        assert len({ds.FrameOfReferenceUID for ds in slices}) == 1


def test_every_region_has_its_own_frame_of_reference() -> None:
    asked = study("ct-chest:1", "ct-head:1", "ct-chest:2", "mr-brain:1")
    found = {(ds.BodyPartExamined, ds.FrameOfReferenceUID) for ds in map(read, fabricate(asked))}
    assert len(found) == 2


def test_ct_numbers_are_those_of_the_tissues() -> None:
    middle = made("ct-head", 9)[4]
    places = labels(middle, body("ct-head", "head"))
    for tissue in (Tissue.WHITE_MATTER, Tissue.GREY_MATTER):
        expected = hu_table(contrast=False)[tissue] + 1024
        assert mean(middle, places, tissue) == pytest.approx(expected, abs=3)


@pytest.mark.parametrize(
    ("kind", "lesion_kind", "brighter"),
    [("ct-head", "haemorrhage", True), ("ct-abdomen", "liver metastasis", False), ("ct-body", "liver cyst", False)],
)
def test_lesions_are_where_the_truth_says(kind: str, lesion_kind: str, brighter: bool) -> None:
    seed, lesion = with_lesion(kind, PROTOCOLS[kind].region, lesion_kind)
    ds = nearest(made(kind, 250 if kind == "ct-body" else 60, seed), lesion.centre_mm)
    inside, outside = around(ds, lesion, 0, 0.6), around(ds, lesion, 1.4, 1.9)
    assert (inside - outside > 8) if brighter else (outside - inside > 8)


def test_the_enhanced_ct_is_the_same_chest() -> None:
    frames, slices = made("ct-enhanced", 5)[0], made("ct-chest", 5)
    assert frames.NumberOfFrames == 5
    shared = frames.SharedFunctionalGroupsSequence[0]
    assert list(shared.PixelMeasuresSequence[0].PixelSpacing) == list(slices[0].PixelSpacing)
    for n, ds in enumerate(slices):
        group = frames.PerFrameFunctionalGroupsSequence[n]
        assert np.allclose(position(frames, n), position(ds))
        assert group.FrameContentSequence[0].DimensionIndexValues == [1, n + 1]
        assert np.array_equal(frames.pixel_array[n], ds.pixel_array)
    assert series([frames], "ENHANCED")
