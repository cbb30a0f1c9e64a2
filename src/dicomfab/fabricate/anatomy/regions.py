"""Bodies by region: the same seed and sex give the same person in each of them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from dicomfab.fabricate.anatomy import bones, breast, head, knee, limbs, thorax, trunk
from dicomfab.fabricate.anatomy.body import Body, Region, person
from dicomfab.fabricate.anatomy.build import Build, Point
from dicomfab.fabricate.anatomy.course import Course
from dicomfab.fabricate.anatomy.scene import Scene
from dicomfab.fabricate.anatomy.tissue import Tissue
from dicomfab.fabricate.seeds import derive


@lru_cache(maxsize=4)
def build_head(seed: int, sex: str, months: int = 0) -> Body:
    """Head and upper neck, around the middle of the cranial cavity."""
    build = person(seed, sex)
    scene = Scene(Course(seed, months))
    lesions = head.add(scene, build, seed)
    return Body("head", scene, lesions, head.EXTENT_MM, {}, head.origin(build))


@lru_cache(maxsize=4)
def build_abdomen(seed: int, sex: str, months: int = 0) -> Body:
    """Abdomen and pelvis, in the person's frame of reference."""
    build = person(seed, sex)
    scene = Scene(Course(seed, months))
    lesions = trunk.add(scene, build, seed)
    nodules = thorax.build_thorax(seed, sex, "up", months).lesions
    thorax.paint_nodules(scene, nodules)
    z = trunk.origin(build)[2]
    low, high = z - 335.0 * build.size, z + 115.0 * build.size
    return Body("abdomen", scene, lesions, ((-215.0, -170.0, low), (215.0, 170.0, high)))


@lru_cache(maxsize=4)
def build_knee(seed: int, sex: str, side: knee.Side | None = None, months: int = 0) -> Body:
    """One knee, around the middle of its joint.

    Args:
        seed: the study's seed.
        sex: as for every region.
        side: the one with the lesions if not given; the other one has none.
        months: since the lesions were first seen, see :mod:`dicomfab.fabricate.anatomy.course`.
    """
    build = person(seed, sex)
    scene = Scene(Course(seed, months))
    which = side or knee.affected(seed)
    joint = scene.placed((0, 0, 0), size=build.size, mirrored=which == "R")
    limbs.leg(joint.placed(-np.array(limbs.KNEE)), build.fat_mm / build.size)
    knee.joint(joint, knee.effusion_mm(seed))
    lesions = knee.lesions(joint, seed) if which == knee.affected(seed) else ()
    x, y, z = trunk.origin(build) + np.array(limbs.KNEE) * build.size * ((-1 if which == "R" else 1), 1, 1)
    return Body("knee", scene, lesions, knee.EXTENT_MM, {}, (float(x), float(y), float(z)))


@lru_cache(maxsize=8)
def build_breast(
    seed: int, sex: str, side: breast.Side | None = None, view: breast.View = "CC", months: int = 0
) -> Body:
    """One breast, compressed for a mammogram; see :mod:`breast` for its axes.

    Args:
        seed: the study's seed.
        sex: as for every region.
        side: the one with the lesions if not given; the other one has none.
        view: craniocaudal or mediolateral oblique.
        months: since the lesions were first seen, see :mod:`dicomfab.fabricate.anatomy.course`.
    """
    build = person(seed, sex)
    scene = Scene(Course(seed, months))
    which = side or breast.affected(seed)
    pressed = breast.Pressed.draw(build, seed, which, view)
    lesions = breast.add(scene.placed((0, 0, 0), mirrored=which == "R"), pressed, seed)
    origin = build.point(-76 if which == "R" else 76, -74, -14)
    return Body("breast", scene, lesions, pressed.extent_mm, {"nipple": pressed.nipple_mm}, origin, pressed.axes)


@lru_cache(maxsize=2)
def build_whole(seed: int, sex: str, months: int = 0) -> Body:
    """The whole person with hanging arms, in the person's frame of reference.

    The head's zero lies at :func:`head.origin`, the belly's at :func:`trunk.origin`. The lesions of all regions but
    the breast are there, and more metastases in bones of the head and the chest.
    """
    build = person(seed, sex)
    scene = Scene(Course(seed, months))
    skull = scene.placed(head.origin(build))
    found = head.add(skull, build, seed)
    found += trunk.add(scene, build, seed, with_head=True)
    average = scene.placed((0, 0, 0), size=build.size)
    limbs.arms_down(average, build.fat_mm / build.size)
    nodules = thorax.build_thorax(seed, sex, "up", months).lesions
    thorax.paint_nodules(scene, nodules)
    side = knee.affected(seed)
    belly = scene.placed(trunk.origin(build), size=build.size)
    found += knee.lesions(belly.placed((0, 0, 0), mirrored=side == "R").placed(limbs.KNEE), seed)
    for left in (-1, 1):
        average.ellipsoid((left * 17, -8, 116), (9, 10, 24), Tissue.THYROID, (Tissue.FAT, Tissue.INNER_FAT))
    found += trunk.metastases(scene, _upper_sites(build), np.random.default_rng(derive(seed, "metastases")), 6)
    low = float(belly.at((0, 0, limbs.SOLE_Z - 5))[2])
    high = float(skull.at((0, 0, 95 * build.size))[2])
    return Body("whole", scene, nodules + found, ((-290.0, -190.0, low), (290.0, 190.0, high)))


def _upper_sites(build: Build) -> tuple[Point, ...]:
    spine = [build.back(4, 0, 23.5 * n) for n in range(-5, 5)]
    ribs = [bones.rib_line(build, number, 1)[place] for number, place in ((3, 8), (5, 14), (6, 6), (8, 12), (9, 18))]
    x, y, z = head.origin(build)
    skull = [(x + 55 * build.size, y + 30 * build.size, z + 46 * build.size)]
    return (*spine, *ribs, *skull, build.point(150, 16, 116), build.point(0, -86, 30))


def build(
    region: Region,
    seed: int,
    sex: str,
    *,
    arms: thorax.Arms = "up",
    side: knee.Side | None = None,
    view: breast.View = "CC",
    months: int = 0,
) -> Body:
    """Build one region of a person.

    Args:
        region: which.
        seed: the study's seed; with ``sex`` it decides everything about the person.
        sex: ``F``, ``M``, or anything else to leave it to the seed.
        arms: of the chest: raised, or hands on the hips.
        side: of knee and breast: the one with the lesions if not given.
        view: of the breast.
        months: since the lesions were first seen, see :mod:`dicomfab.fabricate.anatomy.course`.
    """
    if region == "chest":
        return thorax.build_thorax(seed, sex, arms, months)
    if region == "knee":
        return build_knee(seed, sex, side, months)
    if region == "breast":
        return build_breast(seed, sex, side, view, months)
    return {"head": build_head, "abdomen": build_abdomen, "whole": build_whole}[region](seed, sex, months)
