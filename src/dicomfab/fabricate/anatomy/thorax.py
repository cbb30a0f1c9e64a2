"""A thorax that follows from a seed: size, shape and position of everything vary, and the lesions are known.

Coordinates are the patient's (LPS), in mm: x to the left, y to the back, z to the head, 0 in the middle of the heart.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, Literal

import numpy as np

from dicomfab.fabricate.anatomy import bones, organs, vessels
from dicomfab.fabricate.anatomy.body import Body, Lesion, inside, person
from dicomfab.fabricate.anatomy.build import Build
from dicomfab.fabricate.anatomy.course import Course
from dicomfab.fabricate.anatomy.scene import Scene
from dicomfab.fabricate.anatomy.tissue import Tissue
from dicomfab.fabricate.seeds import derive

Arms = Literal["up", "hips"]
_IN_LUNG: Final = (Tissue.LUNG, Tissue.LUNG_VESSEL)
_EXTENT_MM: Final = ((-200.0, -200.0, -150.0), (200.0, 200.0, 150.0))


@lru_cache(maxsize=4)
def build_thorax(seed: int, sex: str, arms: Arms, months: int = 0) -> Body:
    """Build the thorax of a seed; its frame of reference is the person's.

    Args:
        seed: the study's seed.
        sex: ``F`` adds breasts and gives a smaller frame; empty or ``O`` leaves it to the seed.
        arms: raised, as in CT and in the lateral view, or hands on the hips, as in the PA view. Nothing else depends
            on it.
        months: since the lesions were first seen, see :mod:`dicomfab.fabricate.anatomy.course`.
    """
    build = person(seed, sex)
    scene = Scene(Course(seed, months))
    torso(scene, build)
    bones.shoulders(scene, build, arms)
    inside_torso(scene, build, seed)
    lesions = _nodules(scene, build, np.random.default_rng(derive(seed, "lesions")))
    return Body("chest", scene, lesions, _EXTENT_MM, {"carina": build.point(-3, 18, 40)})


def inside_torso(scene: Scene, build: Build, seed: int, lowest_vertebra: int = -13) -> None:
    """Everything within the skin of the torso but the lesions."""
    _chest_wall(scene, build)
    _cavity(scene, build)
    organs.belly(scene, build)
    organs.mediastinum(scene, build)
    vessels.lungs(scene, build, np.random.default_rng(derive(seed, "vessels")))
    bones.spine(scene, build, lowest_vertebra)
    bones.ribs(scene, build)


def torso(scene: Scene, build: Build) -> None:
    """The outline of the body, and the breasts."""
    scene.tube(build.body, Tissue.SKIN)
    scene.tube(build.body, Tissue.FAT, grow_mm=-2.0)
    if build.female:
        for side in (-1, 1):
            centre = build.point(side * 76, -74, -14)
            for shrink, tissue in ((0, Tissue.SKIN), (2, Tissue.FAT)):
                radii = [r * build.breast - shrink for r in (58, 52, 66)]
                scene.ellipsoid(centre, radii, tissue, (Tissue.AIR, Tissue.SKIN))
            gland = np.array(centre) + (0, -16, -8)
            scene.ellipsoid(gland, [r * build.breast for r in (34, 27, 33)], Tissue.GLAND, (Tissue.FAT, Tissue.FAT))


def _chest_wall(scene: Scene, build: Build) -> None:
    """Muscles around the ribs, inside the subcutaneous fat."""
    fat = (Tissue.FAT, Tissue.FAT)
    scene.tube(build.cavity, Tissue.MUSCLE, (Tissue.SKIN, Tissue.MUSCLE), grow_mm=10.0)
    scene.tube(build.neck, Tissue.MUSCLE, fat)
    for side in (-1, 1):
        pectoral = np.array([[0.93, 0.30 * side, 0.2], [-0.30 * side, 0.95, 0.0], [-0.19, 0.0, 0.98]])
        pectoral = np.linalg.qr(pectoral.T)[0].T
        scene.ellipsoid(build.point(side * 72, -72, 62), (62, 13, 58), Tissue.MUSCLE, fat, axes=pectoral)
        scene.ellipsoid(build.point(side * 128, 42, -10), (16, 34, 110), Tissue.MUSCLE, fat)
        scene.ellipsoid(build.point(side * 112, 72, 78), (38, 20, 66), Tissue.MUSCLE, fat)
        scene.ellipsoid(build.point(side * 98, 16, 124), (56, 50, 26), Tissue.MUSCLE, fat)
        scene.ellipsoid(build.point(side * 60, 84, 112), (72, 17, 46), Tissue.MUSCLE, fat)
        scene.path([build.back(side * 25, 38, z) for z in range(-330, 170, 20)], build.size * 18, Tissue.MUSCLE, fat)


def _cavity(scene: Scene, build: Build) -> None:
    scene.tube(build.cavity, Tissue.INNER_FAT, grow_mm=1.0)
    for lung in build.lungs:
        scene.tube(lung, Tissue.LUNG, (Tissue.INNER_FAT, Tissue.INNER_FAT))


def _nodules(scene: Scene, build: Build, rng: np.random.Generator) -> tuple[Lesion, ...]:
    """Two to five nodules of 6 to 26 mm, wholly inside the lungs."""
    wanted = int(rng.integers(2, 6))
    found: list[Lesion] = []
    while len(found) < wanted:
        radius = float(np.exp(rng.uniform(np.log(3.0), np.log(13.0))))
        side = rng.choice((-1.0, 1.0))
        x, y, z = build.point(side * rng.uniform(25, 118), rng.uniform(-65, 75), rng.uniform(-70, 105))
        a, b, c = (float(r) for r in radius * rng.uniform(0.82, 1.0, 3))
        apart = all(np.linalg.norm(np.subtract((x, y, z), other.centre_mm)) > 30 for other in found)
        if apart and inside(scene, np.array((x, y, z)), radius + 3.0, _IN_LUNG):
            found.append(Lesion("nodule", (float(x), float(y), float(z)), (a, b, c)))
    now = [_now(scene, nodule, number) for number, nodule in enumerate(found)]
    seen = tuple(nodule for nodule in now if any(nodule.radii_mm))
    paint_nodules(scene, seen)
    return seen


def _now(scene: Scene, nodule: Lesion, number: int) -> Lesion:
    """What has become of a nodule; none grows out of the lungs."""
    factor = scene.course.factor(nodule.kind, number)
    reach = max(nodule.radii_mm) * factor + 1.0
    if factor > 1 and not inside(scene, np.array(nodule.centre_mm), reach, _IN_LUNG):
        factor = 1.0
    return nodule.scaled(factor)


def paint_nodules(scene: Scene, nodules: Iterable[Lesion]) -> None:
    """Paint nodules over the lungs."""
    for nodule in nodules:
        scene.ellipsoid(nodule.centre_mm, nodule.radii_mm, Tissue.NODULE, _IN_LUNG)
