"""The torso as a whole: the chest, continued downwards into abdomen, pelvis and thighs.

Above :data:`WAIST_Z` everything is where it is in the chest. Below, coordinates are those of the *belly*: LPS in mm of
an average frame, 0 in the middle plane, at the chest's height of ``WAIST_Z``, between the last thoracic and the first
lumbar vertebra.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from dicomfab.fabricate.anatomy import abdomen, bones, knee, limbs, pelvis, thorax
from dicomfab.fabricate.anatomy.body import Lesion
from dicomfab.fabricate.anatomy.build import Build, Point
from dicomfab.fabricate.anatomy.scene import Profile, Scene
from dicomfab.fabricate.anatomy.tissue import Tissue
from dicomfab.fabricate.seeds import derive

WAIST_Z: Final = -150.0
# z, centre x, centre y, half width, half depth.
_OUTLINE: Final = (
    (-352, 0, 20, 120, 52), (-334, 0, 16, 166, 86), (-312, 0, 14, 177, 102), (-275, 0, 15, 174, 106),
    (-220, 0, 13, 165, 105), (-165, 0, 9, 154, 102), (-110, 0, 6, 146, 100), (-60, 0, 4, 148, 103),
)  # fmt: skip
_HOLLOW: Final = (
    (-322, 0, 22, 46, 40), (-290, 0, 12, 70, 56), (-250, 0, 4, 98, 72), (-205, 0, -4, 118, 80),
    (-160, 0, -6, 124, 80), (-110, 0, -4, 122, 80), (-60, 0, 0, 126, 83),
)  # fmt: skip


def origin(build: Build) -> Point:
    """Where the belly's zero lies in the person's frame."""
    return build.point(0, 0, WAIST_Z)


def extended(build: Build, top_mm: float = np.inf) -> Build:
    """The same frame, its outline and its cavity continued to the pelvic floor, its neck cut off at a height."""
    waist = origin(build)[2]

    def joined(upper: Profile, lower: tuple[tuple[float, ...], ...], grow: float, wide: float) -> Profile:
        rows = np.array(lower, np.float64) * build.size
        rows[:, 0] += waist
        rows[:, 3] *= wide
        rows[:, 3:] += grow
        return Profile(np.concatenate([rows, upper.rows[(upper.rows[:, 0] > waist) & (upper.rows[:, 0] < top_mm)]]))

    return replace(
        build,
        body=joined(build.body, _OUTLINE, build.fat_mm * 1.25, 0.985 if build.female else 1.0),
        cavity=joined(build.cavity, _HOLLOW, 0.0, 1.0),
        neck=Profile(build.neck.rows[build.neck.rows[:, 0] < top_mm]),
    )


def add(scene: Scene, build: Build, seed: int, *, with_head: bool = False) -> tuple[Lesion, ...]:
    """Paint torso and legs, without arms and lung nodules.

    Args:
        scene: to add to.
        build: the person's frame.
        seed: the study's seed.
        with_head: the scene has a head already, which must stay.

    Returns:
        The lesions of the belly, in the coordinates of the voxels.
    """
    whole = extended(build, build.point(0, 0, 190)[2] if with_head else np.inf)
    belly = scene.placed(origin(build), size=build.size)
    fat_mm = build.fat_mm / build.size
    thorax.torso(scene, whole)
    if with_head:
        bones.shoulders(scene, build, "none")
    limbs.legs(belly, fat_mm)
    for left in (True, False):
        knee.joint(belly.placed((0, 0, 0), mirrored=not left).placed(limbs.KNEE), knee.effusion_mm(seed))
    pelvis.flesh(belly)
    thorax.inside_torso(scene, whole, seed, lowest_vertebra=-6)
    abdomen.clear(belly)
    rows = whole.cavity.rows
    low = Profile(rows[rows[:, 0] < origin(build)[2] - 20.0])
    scene.tube(low, Tissue.BELLY_FAT, (Tissue.INNER_FAT, Tissue.INNER_FAT), grow_mm=1.5)
    return _filled(belly, seed, build.female)


def _filled(belly: Scene, seed: int, female: bool) -> tuple[Lesion, ...]:
    pelvis.muscles(belly)
    pelvis.bones(belly)
    limbs.hips(belly)
    rng = np.random.default_rng(derive(seed, "belly"))
    abdomen.organs(belly, rng)
    abdomen.bowel(belly, rng)
    pelvis.organs(belly, female)
    return abdomen.lesions(belly, rng) + metastases(belly, SITES, rng, 3)


# Where the bones below the chest may have metastases; x of the left side.
SITES: Final = (
    (5.0, 46.0, -54.0), (-6.0, 42.0, -88.0), (4.0, 43.0, -122.0), (18.0, 58.0, -204.0), (100.0, 33.0, -182.0),
    (98.0, 8.0, -232.0), (66.0, 36.0, -300.0), (122.0, 16.0, -300.0), (90.0, 8.0, -262.0),
)  # fmt: skip


def metastases(scene: Scene, sites: Sequence[Point], rng: np.random.Generator, most: int) -> tuple[Lesion, ...]:
    """Metastases in some of the places that are bone, on either side."""
    found: list[Lesion] = []
    painted = 0
    for n in rng.permutation(len(sites))[: int(rng.integers(0, most + 1))]:
        place = np.array(sites[n]) * (float(rng.choice((-1.0, 1.0))), 1, 1)
        radii = rng.uniform(5.0, 11.0) * rng.uniform(0.8, 1.2, 3)
        x, y, z = (float(value) for value in scene.at(place))
        if scene.label_at(x, y, z) not in (Tissue.BONE, Tissue.MARROW, Tissue.YELLOW_MARROW, Tissue.DIPLOE):
            continue
        radii *= scene.course.factor("bone metastasis", painted)
        painted += 1
        if not radii.any():
            continue
        for only in ((Tissue.BONE, Tissue.MARROW), (Tissue.COMPACT_BONE, Tissue.DIPLOE), (Tissue.YELLOW_MARROW,) * 2):
            scene.ellipsoid(place, radii, Tissue.METASTASIS, only)
        a, b, c = (float(value) * scene.size for value in radii)
        found.append(Lesion("bone metastasis", (x, y, z), (a, b, c), Tissue.METASTASIS))
    return tuple(found)
