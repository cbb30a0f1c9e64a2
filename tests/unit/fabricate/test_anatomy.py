from __future__ import annotations

import numpy as np
import pytest

from dicomfab.fabricate.anatomy.scene import Grid, Profile, Scene
from dicomfab.fabricate.anatomy.thorax import build_thorax
from dicomfab.fabricate.anatomy.tissue import LOOKS, Tissue, attenuation_table, hu_table
from dicomfab.fabricate.render import dx
from dicomfab.fabricate.render.card import drawable, render

COARSE = Grid((-198.0, -198.0, 148.0), (4.0, 4.0, -4.0), (75, 100, 100))


@pytest.fixture(scope="module", params=[1, 2, 3, 4])
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def centroid_x(volume: np.ndarray, tissue: Tissue) -> float:
    return float(np.nonzero(volume == tissue)[2].mean() * 4.0 - 198.0)


def test_organs_are_on_their_side(seed: int) -> None:
    volume = build_thorax(seed, "M", "up").scene.voxels(COARSE)
    assert centroid_x(volume, Tissue.MYOCARDIUM) > 15
    assert centroid_x(volume, Tissue.LIVER) < -25
    assert centroid_x(volume, Tissue.SPLEEN) > 60
    assert centroid_x(volume, Tissue.STOMACH) > 30
    assert abs(centroid_x(volume, Tissue.CANAL)) < 3


def test_volumes_are_those_of_an_adult(seed: int) -> None:
    volume = build_thorax(seed, "F", "up").scene.voxels(COARSE)
    litres = {tissue: float((volume == tissue).sum()) * 64e-6 for tissue in Tissue}
    assert 2.5 < litres[Tissue.LUNG] < 6.5
    assert 0.9 < litres[Tissue.LIVER] < 2.6
    assert litres[Tissue.BONE] > 0.2


def test_lesions_are_where_the_truth_says(seed: int) -> None:
    thorax = build_thorax(seed, "M", "up")
    assert 2 <= len(thorax.lesions) <= 5
    for lesion in thorax.lesions:
        assert thorax.scene.label_at(*lesion.centre_mm) == Tissue.NODULE
        x, y, z = lesion.centre_mm
        around = {thorax.scene.label_at(x, y, z + step * (lesion.radii_mm[2] + 1.5)) for step in (-1, 1)}
        assert around <= {Tissue.LUNG, Tissue.LUNG_VESSEL}


def test_only_the_arms_depend_on_the_arms() -> None:
    up, hips = (build_thorax(5, "M", arms) for arms in ("up", "hips"))
    assert up.lesions == hips.lesions
    inside = Grid((-78.0, -58.0, 60.0), (4.0, 4.0, -4.0), (30, 30, 40))
    assert np.array_equal(up.scene.voxels(inside), hips.scene.voxels(inside))


def test_every_tissue_has_a_look() -> None:
    assert set(LOOKS) == set(Tissue)
    assert hu_table()[Tissue.LUNG] < -800
    assert attenuation_table()[Tissue.BONE] > attenuation_table()[Tissue.MUSCLE] > 0


def test_shapes_fill_what_geometry_says() -> None:
    scene = Scene()
    scene.ellipsoid((0, 0, 0), (20, 10, 15), Tissue.LIVER)
    scene.capsules((-20, 30, 0), (20, 30, 0), 5.0, Tissue.BONE)
    scene.tube(Profile([(-20, 0, -30, 8, 8), (20, 0, -30, 8, 8)]), Tissue.LUNG)
    grid = Grid((-49.5, -49.5, -24.5), (1.0, 1.0, 1.0), (50, 100, 100))
    volume = scene.voxels(grid)
    assert (volume == Tissue.LIVER).sum() == pytest.approx(4 / 3 * np.pi * 20 * 10 * 15, rel=0.01)
    assert (volume == Tissue.BONE).sum() == pytest.approx(np.pi * 25 * 40 + 4 / 3 * np.pi * 125, rel=0.03)
    assert np.pi < (volume == Tissue.LUNG).sum() / (40 * 64) < 4


def test_shapes_replace_only_what_they_may() -> None:
    scene = Scene()
    scene.ellipsoid((0, 0, 0), (10, 10, 10), Tissue.LUNG)
    scene.ellipsoid((10, 0, 0), (10, 10, 10), Tissue.NODULE, (Tissue.LUNG, Tissue.LUNG))
    assert scene.label_at(8, 0, 0) == Tissue.NODULE
    assert scene.label_at(15, 0, 0) == Tissue.AIR


def test_swapped_rows_are_the_same_volume() -> None:
    scene = build_thorax(6, "F", "up").scene
    shape = COARSE.shape
    straight = scene.voxels(COARSE)
    swapped = scene.voxels(Grid(COARSE.origin, COARSE.spacing, (shape[0], shape[2], shape[1]), swap_xy=True))
    # Spans are computed along the other axis, so voxels on a boundary may differ.
    assert (straight != swapped.transpose(0, 2, 1)).mean() < 0.004


def test_the_pa_view_shows_the_heart_on_the_right_of_the_image() -> None:
    thorax = build_thorax(3, "M", "hips")
    image = dx.radiograph(thorax.scene, dx.PA, 3, 2).astype(float)
    heart = slice(1150, 1250)  # rows over the lower heart
    right_of_image, left_of_image = image[heart, 1330:1480].mean(), image[heart, 920:1070].mean()
    assert right_of_image > left_of_image + 200
    assert image.max() == dx.MAX_VALUE


def test_the_lateral_view_shows_the_spine_on_the_right_of_the_image() -> None:
    thorax = build_thorax(3, "M", "up")
    image = dx.radiograph(thorax.scene, dx.LATERAL, 3, 2).astype(float)
    rows = slice(1000, 1200)
    assert image[rows, 1230:1350].mean() > image[rows, 600:720].mean() + 200


def test_cards_draw_any_text() -> None:
    assert drawable("Müller") == "Muller"
    assert drawable("Sørensen Łódź ß") == "Sorensen Lodz ss"
    assert drawable("山") == "[U+5C71]"
    card = render([("Label", "x" * 64), ("Other", "y")])
    assert card.shape == (768, 1024)
    assert card.max() > 200
