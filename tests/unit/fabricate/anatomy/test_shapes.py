from __future__ import annotations

import numpy as np
import pytest

from dicomfab.fabricate.anatomy.noise import CELLS, fields
from dicomfab.fabricate.anatomy.scene import Grid, Profile, Scene
from dicomfab.fabricate.anatomy.tissue import Tissue

GRID = Grid((-29.5, -29.5, -29.5), (1.0, 1.0, 1.0), (60, 60, 60))
BALL = 4 / 3 * np.pi * 20**3


def test_the_noise_is_periodic_and_normal() -> None:
    noise, distance = fields()
    assert noise.shape == (CELLS,) * 3
    assert noise.std() == pytest.approx(1.0, abs=0.01)
    assert abs(noise.mean()) < 0.01
    inner = np.abs(np.diff(noise, axis=0)).mean()
    assert np.abs(noise[0] - noise[-1]).mean() == pytest.approx(inner, rel=0.1)
    assert np.array_equal(distance > 0, noise > 0)


def test_a_box_keeps_its_part_of_an_ellipsoid() -> None:
    scene = Scene()
    scene.ellipsoid((0, 0, 0), (20, 20, 20), Tissue.LIVER, box=((0.0, -1e6, -1e6), (1e6, 0.0, 1e6)))
    volume = scene.voxels(GRID)
    assert (volume == Tissue.LIVER).sum() == pytest.approx(BALL / 4, rel=0.02)
    z, y, x = np.nonzero(volume == Tissue.LIVER)
    assert x.min() >= 30
    assert y.max() < 30
    assert z.min() < 15
    swapped = scene.voxels(Grid(GRID.origin, GRID.spacing, GRID.shape, swap_xy=True))
    assert (swapped.transpose(0, 2, 1) != volume).mean() < 0.002


def test_texture_fills_as_much_as_its_threshold_says() -> None:
    shares = []
    for threshold in (-9.0, 0.0, 9.0):
        scene = Scene()
        scene.textured((0, 0, 0), (20, 20, 20), Tissue.LIVER, wave_mm=8, threshold=(threshold, threshold))
        shares.append(float((scene.voxels(GRID) == Tissue.LIVER).sum()) / BALL)
    assert shares[0] == pytest.approx(1.0, abs=0.01)
    assert 0.35 < shares[1] < 0.65
    assert shares[2] == 0.0


def test_folds_reach_as_deep_as_they_should() -> None:
    scene = Scene()
    scene.folded((0, 0, 0), (20, 20, 20), Tissue.GREY_MATTER, wave_mm=12, gap_mm=1.0, depth_mm=8.0)
    volume = scene.voxels(GRID)
    k, j, i = np.indices(GRID.shape) - 29.5
    distance = np.sqrt(i * i + j * j + k * k)
    missing = (volume == Tissue.AIR) & (distance < 19.9)
    assert 0.05 < missing.sum() / BALL < 0.5
    assert distance[missing].min() >= 20 - 8.0
    assert ((volume == Tissue.AIR) & (distance > 15) & (distance < 16)).any()


@pytest.mark.parametrize("kind", ["textured", "folded"])
def test_noisy_shapes_are_the_same_with_rows_along_y(kind: str) -> None:
    scene = Scene()
    if kind == "textured":
        scene.textured((3, -2, 1), (20, 15, 18), Tissue.LIVER, wave_mm=9, threshold=(0.0, 0.5))
    else:
        scene.folded((3, -2, 1), (20, 15, 18), Tissue.LIVER, wave_mm=14, gap_mm=1.0, depth_mm=8.0)
    swapped = scene.voxels(Grid(GRID.origin, GRID.spacing, GRID.shape, swap_xy=True))
    assert np.array_equal(swapped.transpose(0, 2, 1), scene.voxels(GRID))


def test_placing_moves_scales_and_mirrors() -> None:
    def shapes(scene: Scene) -> None:
        scene.ellipsoid((6, 0, 0), (5, 3, 2), Tissue.LIVER, axes=[[0.8, 0.6, 0], [-0.6, 0.8, 0], [0, 0, 1]])
        scene.capsules((6, 5, 1), (9, 8, 2), 1.5, Tissue.BONE)
        scene.tube(Profile([(-8, 4, -6, 3, 2), (-4, 4, -6, 3, 2)]), Tissue.LUNG)

    plain, placed = Scene(), Scene()
    shapes(plain)
    shapes(placed.placed((3, -4, 5), size=2.0, mirrored=True))
    assert np.allclose(placed.placed((3, -4, 5), size=2.0, mirrored=True).at((1, 1, 1)), (1, -2, 7))
    corner = (3 - 2 * 29.5, -4 - 2 * 29.5, 5 - 2 * 29.5)
    flipped = placed.voxels(Grid(corner, (2.0, 2.0, 2.0), GRID.shape))[:, :, ::-1]
    assert np.array_equal(flipped, plain.voxels(GRID))
    assert {int(label) for label in np.unique(flipped)} == {Tissue.AIR, Tissue.LIVER, Tissue.BONE, Tissue.LUNG}
