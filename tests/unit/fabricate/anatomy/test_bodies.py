from __future__ import annotations

import hashlib
import json
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy import breast, head, regions, trunk
from dicomfab.fabricate.anatomy.body import Body, Region, person, truth
from dicomfab.fabricate.anatomy.scene import Grid
from dicomfab.fabricate.anatomy.thorax import build_thorax
from dicomfab.fabricate.anatomy.tissue import LABEL_COUNT, Tissue
from dicomfab.fabricate.render import nm_heart

REGIONS: tuple[Region, ...] = get_args(Region)
# Of the labels below: what changes them must change RENDERER_VERSION too.
CHEST_SHA256 = "c7f49e26273b81116543bcd9f2daf5b059429cf5c2e6a12bfaa9b19721226b4d"


def painted(body: Body, step_mm: float = 4.0) -> NDArray[np.uint8]:
    """The extent of a body on a grid, (z, y, x), z downwards."""
    (x0, y0, z0), (x1, y1, z1) = body.extent_mm
    shape = tuple(int((high - low) / step_mm) for low, high in ((z0, z1), (y0, y1), (x0, x1)))
    return body.scene.voxels(Grid((x0, y0, z1), (step_mm, step_mm, -step_mm), (shape[0], shape[1], shape[2])))


def mean_x(body: Body, volume: NDArray[np.uint8], tissue: Tissue, step_mm: float = 4.0) -> float:
    return float(np.nonzero(volume == tissue)[2].mean() * step_mm + body.extent_mm[0][0])


def test_the_chest_is_what_it_was() -> None:
    grid = Grid((-198.0, -198.0, 148.0), (4.0, 4.0, -4.0), (75, 100, 100))
    volumes = [build_thorax(seed, sex, "up").scene.voxels(grid).tobytes() for seed, sex in ((1, "M"), (2, "F"))]
    assert hashlib.sha256(b"".join(volumes)).hexdigest() == CHEST_SHA256


@pytest.mark.parametrize("region", REGIONS)
def test_the_same_seed_gives_the_same_body(region: Region) -> None:
    first = regions.build(region, 11, "F")
    labels = painted(first, 6.0)
    for cached in (
        regions.build_head, regions.build_abdomen, regions.build_knee, regions.build_breast, regions.build_whole,
        build_thorax,
    ):  # fmt: skip
        cached.cache_clear()
    again = regions.build(region, 11, "F")
    assert again is not first
    assert np.array_equal(labels, painted(again, 6.0))
    assert truth(again) == truth(first)
    other = regions.build(region, 12, "F")
    assert truth(other)["lesions"] != truth(first)["lesions"]


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5, 6])
def test_lesions_are_made_of_what_they_claim(region: Region, seed: int) -> None:
    body = regions.build(region, seed, "M" if seed % 2 else "F")
    assert body.lesions
    low, high = np.array(body.extent_mm)
    for lesion in body.lesions:
        assert body.scene.label_at(*lesion.centre_mm) == lesion.tissue, lesion
        assert ((lesion.centre_mm > low) & (lesion.centre_mm < high)).all(), lesion
        assert min(lesion.radii_mm) > 0


@pytest.mark.parametrize("region", REGIONS)
def test_the_truth_is_plain_json(region: Region) -> None:
    body = regions.build(region, 2, "F")
    told = json.loads(json.dumps(truth(body)))
    assert told["region"] == region
    first, lesion = told["lesions"][0], body.lesions[0]
    assert first["kind"] == lesion.kind
    assert first["centre_mm"] == pytest.approx(lesion.centre_mm, abs=0.001)
    assert first["size_mm"] == pytest.approx([2 * radius for radius in lesion.radii_mm], abs=0.001)
    assert Tissue[first["tissue"]] == lesion.tissue


def test_labels_fit_the_tables() -> None:
    assert max(Tissue) < LABEL_COUNT <= 256


@pytest.mark.parametrize("seed", [1, 4])
def test_a_head_has_its_parts(seed: int) -> None:
    body = regions.build("head", seed, "M")
    volume = painted(body, 2.0)
    litres = {tissue: float((volume == tissue).sum()) * 8e-6 for tissue in Tissue}
    brain = litres[Tissue.GREY_MATTER] + litres[Tissue.WHITE_MATTER]
    assert 0.9 < brain < 1.6
    assert 0.4 < litres[Tissue.GREY_MATTER] / litres[Tissue.WHITE_MATTER] < 2.0
    assert 0.1 < litres[Tissue.CSF] < 0.45
    for tissue in (Tissue.GREY_MATTER, Tissue.CSF, Tissue.EYE, Tissue.DIPLOE, Tissue.COMPACT_BONE):
        assert abs(mean_x(body, volume, tissue, 2.0)) < 3.0, tissue
    # One globe of each side, in front of the brain.
    eyes = np.argwhere(volume == Tissue.EYE)
    assert eyes[:, 1].max() < np.argwhere(volume == Tissue.GREY_MATTER)[:, 1].mean()


def test_an_abdomen_has_its_organs_on_their_sides() -> None:
    body = regions.build("abdomen", 3, "M")
    volume = painted(body)
    for tissue in (Tissue.LIVER, Tissue.GALLBLADDER, Tissue.VEIN):
        assert mean_x(body, volume, tissue) < -5.0, tissue
    for tissue in (Tissue.SPLEEN, Tissue.STOMACH):
        assert mean_x(body, volume, tissue) > 20.0, tissue
    for tissue in (Tissue.MARROW, Tissue.URINE, Tissue.PROSTATE, Tissue.MUSCLE, Tissue.KIDNEY):
        assert abs(mean_x(body, volume, tissue)) < 8.0, tissue
    assert not (volume == Tissue.UTERUS).any()
    assert (painted(regions.build("abdomen", 3, "F")) == Tissue.UTERUS).any()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_knees_are_mirror_images(seed: int) -> None:
    grid = Grid((-79.0, -79.0, 60.0), (2.0, 2.0, -2.0), (60, 80, 80))
    left, right = (regions.build("knee", seed, "F", side=side) for side in ("L", "R"))
    differ = left.scene.voxels(grid) != right.scene.voxels(grid)[:, :, ::-1]
    assert differ.mean() < 0.01  # the lesions, and voxels on a boundary
    assert bool(left.lesions) != bool(right.lesions)
    for tissue in (Tissue.MENISCUS, Tissue.HYALINE_CARTILAGE, Tissue.LIGAMENT, Tissue.TENDON, Tissue.SYNOVIAL_FLUID):
        assert (left.scene.voxels(grid) == tissue).any()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_both_views_of_a_breast_show_the_same_lesions(seed: int) -> None:
    side = breast.affected(seed)
    views = [regions.build("breast", seed, "F", side=side, view=view) for view in ("CC", "MLO")]
    assert [lesion.kind for lesion in views[0].lesions] == [lesion.kind for lesion in views[1].lesions]
    for one, other in zip(views[0].lesions, views[1].lesions, strict=True):
        assert one.radii_mm == other.radii_mm
        nipples = [view.landmarks["nipple"] for view in views]
        depths = [lesion.centre_mm[1] / nipple[1] for lesion, nipple in zip((one, other), nipples, strict=True)]
        assert depths[0] == pytest.approx(depths[1], abs=0.01)
    healthy: breast.Side = "L" if side == "R" else "R"
    assert regions.build("breast", seed, "F", side=healthy).lesions == ()


def test_the_oblique_view_has_the_muscle_towards_the_armpit() -> None:
    for side, sign in (("L", 1), ("R", -1)):
        body = regions.build("breast", 1, "F", side=side, view="MLO")
        assert mean_x(body, painted(body), Tissue.MUSCLE) * sign > 20
        armpit = np.array(body.axes[0]) * sign
        assert armpit[0] * sign > 0
        assert armpit[2] > 0
        assert np.allclose(np.cross(body.axes[0], body.axes[1]), body.axes[2])


def test_the_pectoral_muscle_is_a_triangle_with_a_convex_border() -> None:
    body = regions.build("breast", 3, "F", side="L", view="MLO")
    nipple, (top, _, _) = body.landmarks["nipple"], body.extent_mm[1]
    xs = np.linspace(nipple[0] + 8, top - 40, 12)
    ys = np.arange(-120.0, 0.0, 0.5)
    reach = []
    for x in xs:
        line = body.scene.voxels(Grid((float(x), ys[0], -4.0), (1.0, 0.5, 1.0), (1, len(ys), 1)))[0, :, 0]
        reach.append(-float(ys[line == Tissue.MUSCLE].min()))
    steps = np.diff(reach)
    assert (steps > 0).all()  # broader towards the armpit
    assert reach[-1] > 2.5 * reach[0]
    chord = np.linspace(reach[0], reach[-1], len(reach))
    assert (np.array(reach)[1:-1] > chord[1:-1]).all()  # convex to the front


def test_the_shinbone_has_two_bowls_and_two_spines() -> None:
    body = regions.build("knee", 3, "M", side="L")
    heights = np.arange(-12.0, 8.0, 0.2)
    solid = (Tissue.COMPACT_BONE, Tissue.YELLOW_MARROW)

    def surface(x: float) -> float:
        """Where bone ends, from within the shinbone upwards, between its joint surface and the condyles."""
        column = body.scene.voxels(Grid((x, 2.0, heights[0]), (1.0, 1.0, 0.2), (len(heights), 1, 1)))[:, 0, 0]
        return float(heights[np.argmin(np.isin(column, solid))])

    scale = person(3, "M").size
    for side in (-1, 1):
        rim, bowl, spine = (surface(side * x * scale) for x in (33.0, 20.5, 5.2))
        assert rim - bowl > 1.5
        assert spine - rim > 3.0
    assert spine < surface(-5.2 * scale)  # the medial one is higher


@pytest.mark.parametrize("region", ["chest", "whole"])
def test_the_left_ventricle_is_whole(region: Region) -> None:
    """The diaphragm gives way to it."""
    for seed, sex in ((1, "M"), (2, "F"), (7, "M")):
        body = regions.build(region, seed, sex)
        view = nm_heart.ShortAxis.of(person(seed, sex), 9)
        for angle in np.linspace(-0.4, 0.55, 20) * np.pi:  # lateral and inferior wall
            across, down = 29.0 * np.cos(angle) * view.scale, 28.0 * np.sin(angle) * view.scale
            assert body.scene.label_at(*view.point_mm(across, down, 0.0)) == Tissue.MYOCARDIUM


def test_dense_breasts_have_more_gland() -> None:
    shares: dict[str, list[float]] = {}
    for seed in range(12):
        volume = painted(regions.build("breast", seed, "F", side="L"), 2.5)
        share = (volume == Tissue.FIBROGLANDULAR).sum() / (volume == Tissue.FAT).sum()
        shares.setdefault(breast.density(seed), []).append(float(share))
    means = [float(np.mean(shares[name])) for name in sorted(shares)]
    assert len(means) >= 2
    assert means == sorted(means)


@pytest.mark.parametrize(("seed", "sex"), [(3, "M"), (8, "F")])
def test_the_whole_body_holds_the_lesions_of_its_parts(seed: int, sex: str) -> None:
    whole = regions.build("whole", seed, sex)
    for region in ("chest", "head", "abdomen", "knee"):
        part = regions.build(region, seed, sex)
        for lesion in part.lesions:
            there = lesion.moved(part.origin_mm)
            matches = [other for other in whole.lesions if other.kind == there.kind]
            distances = [np.linalg.norm(np.subtract(other.centre_mm, there.centre_mm)) for other in matches]
            assert min(distances) < 0.01, lesion


@pytest.mark.parametrize("sex", ["M", "F"])
def test_regions_of_a_person_continue_each_other(sex: str) -> None:
    """Chest and abdomen agree where they overlap; the whole body agrees with all."""
    build = person(5, sex)
    chest, abdomen, whole = (regions.build(region, 5, sex) for region in ("chest", "abdomen", "whole"))
    grid = Grid((-198.0, -140.0, -60.0), (4.0, 4.0, -4.0), (20, 70, 100))
    volume = chest.scene.voxels(grid)
    assert (volume != abdomen.scene.voxels(grid)).mean() < 0.03
    assert abs(int((volume == Tissue.LIVER).sum()) - int((abdomen.scene.voxels(grid) == Tissue.LIVER).sum())) < 900
    low = trunk.origin(build)[2]
    belly = Grid((-150.0, -120.0, low - 40), (5.0, 5.0, -5.0), (40, 50, 60))
    # All but metastases is the same.
    assert (abdomen.scene.voxels(belly) != whole.scene.voxels(belly)).mean() < 0.005
    brain = Grid((-60.0, -80.0, 55.0), (4.0, 4.0, -4.0), (20, 40, 30))
    moved = Grid(tuple(np.add(brain.origin, head.origin(build))), brain.spacing, brain.shape)
    alone = regions.build("head", 5, sex).scene.voxels(brain)
    assert (alone != whole.scene.voxels(moved)).mean() < 0.005


def test_whole_bodies_are_as_tall_as_people() -> None:
    for seed in (1, 2, 3):
        for sex, low, high in (("M", 1580, 1900), ("F", 1480, 1800)):
            _, (_, _, top) = regions.build("whole", seed, sex).extent_mm
            (_, _, bottom), _ = regions.build("whole", seed, sex).extent_mm
            assert low < top - bottom < high
