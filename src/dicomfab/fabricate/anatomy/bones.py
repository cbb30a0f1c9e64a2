"""The skeleton: spine, ribs with their cartilage, sternum, clavicles, scapulae and upper arms."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from dicomfab.fabricate.anatomy.build import Build, Point
from dicomfab.fabricate.anatomy.scene import Scene
from dicomfab.fabricate.anatomy.tissue import Tissue

_VERTEBRA_MM = 23.5


def _bone(scene: Scene, points: ArrayLike, radius: float, cortex_mm: float) -> None:
    """A long bone: a shell of cortex around marrow."""
    scene.path(points, radius, Tissue.BONE)
    scene.path(points, radius - cortex_mm, Tissue.MARROW)


def spine(scene: Scene, build: Build, lowest: int = -13) -> None:
    """Vertebrae from the neck to the lumbar spine, with discs, processes and the spinal canal.

    Args:
        scene: to paint on.
        build: the person's frame.
        lowest: number of the lowest vertebra: 5 is the first of the thorax, -6 the last.
    """
    s = build.size
    stations = np.arange(lowest, 12)
    for n in stations:
        z = n * _VERTEBRA_MM
        grow = 1.0 - 0.016 * n if n < 4 else 1.0 - 0.035 * n
        wide, deep = 17.0 * s * grow, 13.5 * s * grow
        low, high = np.array(build.back(0, 0, z - 7.2)), np.array(build.back(0, 0, z + 7.2))
        for offset, rx, ry, tissue in ((0.0, wide, deep, Tissue.BONE), (1.3, wide - 1.6, deep - 1.6, Tissue.MARROW)):
            for part in (-1.0, -0.5, 0.0, 0.5, 1.0):
                centre = (low + high) / 2 + (high - low) / 2 * part * (1 - offset / 9)
                waist = 1.0 if abs(part) > 0.9 else 0.955
                scene.ellipsoid(centre, (rx * waist, ry * waist, 3.6 * s), tissue)
        disc = build.back(0, 0, z + _VERTEBRA_MM / 2)
        scene.ellipsoid(disc, (wide, deep, 2.9 * s), Tissue.DISC, (Tissue.INNER_FAT, Tissue.BELLY_FAT))
        scene.ellipsoid(disc, (wide, deep, 2.9 * s), Tissue.DISC, (Tissue.FAT, Tissue.MUSCLE))
    for n in stations:
        z = n * _VERTEBRA_MM
        for side in (-1, 1):
            _bone(scene, [build.back(side * 11, 12, z + 3), build.back(side * 13, 23, z + 1)], 5.0 * s, 1.6)
            _bone(scene, [build.back(side * 13, 22, z + 1), build.back(side * 31, 29, z)], 4.8 * s, 1.5)
            _bone(scene, [build.back(side * 13, 23, z), build.back(0, 33, z - 4)], 4.4 * s, 1.4)
        _bone(scene, [build.back(0, 33, z - 4), build.back(0, 43, z - 18)], 3.6 * s, 1.2)
    canal = [build.back(0, 21, z) for z in range(max(-310, 24 * lowest + 2), 275, 12)]
    scene.path(canal, 8.2 * s, Tissue.INNER_FAT, (Tissue.AIRWAY, Tissue.CANAL))
    scene.path(canal, 6.6 * s, Tissue.CANAL)


def rib_line(build: Build, number: int, side: int) -> list[Point]:
    """The centre line of a rib (1 to 12) from its head to its front end."""
    z0 = 119.0 - 23.0 * (number - 1)
    drop = (26, 44, 56, 64, 70, 75, 78, 76, 70, 58, 42, 28)[number - 1]
    end = (0.84, 0.85, 0.85, 0.84, 0.83, 0.81, 0.78, 0.75, 0.70, 0.62, 0.46, 0.32)[number - 1] * np.pi
    start = 0.13 * np.pi
    line = [build.back(side * 17, 5, z0 + 5), build.back(side * 34, 22, z0 + 3)]
    for angle in np.linspace(start, end, 26):
        part = (angle - start) / (0.85 * np.pi - start)
        sag = drop * (0.25 * part + 0.95 * part**1.5 - 0.2 * part**3)
        line.append(build.wall(side, float(angle), z0 - sag, 6.0))
    return line


def ribs(scene: Scene, build: Build) -> None:
    """Twelve pairs of ribs on the outline of the cavity, their cartilage, and the sternum."""
    s = build.size
    for number in range(1, 13):
        for side in (-1, 1):
            line = rib_line(build, number, side)
            # A rib is a band, higher than it is thick: two rods, one above the other.
            for lift in (-2.3, 2.3):
                band = np.array(line) + (0, 0, lift * s)
                scene.path(band, 4.4 * s, Tissue.BONE)
            for lift in (-2.3, 2.3):
                band = np.array(line) + (0, 0, lift * s)
                scene.path(band, 3.2 * s, Tissue.MARROW)
            if number <= 10:
                _cartilage(scene, build, number, side, line[-1])
    front = [build.wall(1, np.pi, z, 7.0) for z in range(-38, 92, 10)]
    for tissue, shrink in ((Tissue.BONE, 0.0), (Tissue.MARROW, 1.7)):
        for x in (-10.0, -5.0, 0.0, 5.0, 10.0):
            middle = np.array([(x * s, y, z) for _, y, z in front])
            widths = np.where(middle[:, 2] > 62 * s, 1.28, 1.0)[:, None] * np.array([[1.0, 0.0, 0.0]])
            middle = np.where(widths > 0, middle * widths, middle)
            scene.path(middle, 6.0 * s - shrink, tissue)


def _cartilage(scene: Scene, build: Build, number: int, side: int, end: Point) -> None:
    at_sternum = (86, 66, 48, 30, 12, -6, -20, -30, -38, -44)[number - 1]
    inner = build.wall(side, np.pi * (0.955 if number < 7 else 0.94), at_sternum, 6.0)
    middle = tuple((a + b) / 2 for a, b in zip(end, inner, strict=True))
    angle = float(np.arctan2(abs(middle[0]), -middle[1] + build.cavity.at(middle[2])[1]))
    bend = build.wall(side, np.pi - angle, middle[2] / (build.size * build.height) - 5, 5.0)
    scene.path([end, bend, inner], 5.0 * build.size, Tissue.CARTILAGE, (Tissue.FAT, Tissue.LUNG))


def shoulders(scene: Scene, build: Build, arms: Literal["up", "hips", "none"]) -> None:
    """Clavicles, scapulae and, unless ``none``, upper arms with the flesh around them."""
    s = build.size
    for side in (-1, 1):
        head = np.array(build.point(side * 150, 16, 128 if arms == "up" else 116))
        reach = np.array((70.0, 8.0, -190.0)) if arms != "up" else np.array((14.0, -34.0, 190.0))
        elbow = head + reach * (side, 1, 1)
        if arms != "none":
            _arm(scene, build, head, elbow)
        _shoulder_blade(scene, build, side, head)
        clavicle = [
            build.point(side * 17, -50, 96), build.point(side * 45, -54, 106), build.point(side * 85, -34, 121),
            build.point(side * 118, -4, 132), tuple(head + (-4 * side, -4, 18 * s)),
        ]  # fmt: skip
        _bone(scene, _rounded(clavicle), 5.4 * s, 1.8)


def _arm(scene: Scene, build: Build, head: ArrayLike, elbow: ArrayLike) -> None:
    s, fat = build.size, build.fat_mm
    outside = (Tissue.AIR, Tissue.SKIN)
    start, end = np.asarray(head), np.asarray(elbow)
    for tissue, radius, over in (
        (Tissue.SKIN, 41.0 * s + fat * 0.6, outside),
        (Tissue.FAT, 39.0 * s + fat * 0.6, outside),
        (Tissue.MUSCLE, 35.0 * s, (Tissue.AIR, Tissue.FAT)),
    ):
        scene.path([start, start + (end - start) * 0.25, end], [radius, radius * 1.02, radius * 0.92], tissue, over)
    _bone(scene, [start + (end - start) * 0.12, end], 11.0 * s, 4.0)
    scene.ellipsoid(start, (24 * s,) * 3, Tissue.BONE)
    scene.ellipsoid(start, (22.4 * s,) * 3, Tissue.MARROW)


def _shoulder_blade(scene: Scene, build: Build, side: int, head: ArrayLike) -> None:
    """A thin triangular blade behind the ribs, its spine, and the socket of the shoulder."""
    s = build.size
    socket = np.asarray(head) + (-24 * s * side, 5 * s, -4 * s)
    top = np.array(build.point(side * 78, 84, 112))
    tip = np.array(build.point(side * 104, 92, -2))
    root = np.array(build.point(side * 72, 90, 84))
    starts, ends = [], []
    for part in np.linspace(0.0, 1.0, 40):
        inner = top + (root - top) * min(part * 3, 1.0) + (tip - root) * max(part * 1.5 - 0.5, 0.0)
        outer = socket + (tip - socket) * part
        starts.append(inner)
        ends.append(outer)
    scene.capsules(starts, ends, 1.7 * s, Tissue.BONE)
    scene.path([socket, (socket + tip) / 2, tip], 4.0 * s, Tissue.BONE)
    scene.path([socket, (socket + tip) / 2, tip], 2.4 * s, Tissue.MARROW)
    _bone(
        scene,
        [root, (root + socket) / 2 + (0, 12 * s, 10 * s), np.asarray(head) + (4 * side, 14, 24 * s)],
        5.0 * s,
        1.5,
    )
    scene.ellipsoid(socket, (9 * s, 13 * s, 18 * s), Tissue.BONE)
    scene.ellipsoid(socket, (7 * s, 11 * s, 16 * s), Tissue.MARROW)


def _rounded(points: ArrayLike) -> ArrayLike:
    """A line through points with its corners cut twice (Chaikin)."""
    line = np.asarray(points, np.float64)
    for _ in range(2):
        near, far = line[:-1] * 0.75 + line[1:] * 0.25, line[:-1] * 0.25 + line[1:] * 0.75
        line = np.concatenate([line[:1], np.stack([near, far], axis=1).reshape(-1, 3), line[-1:]])
    return line
