"""The heart and great vessels, the airways' trunk, and the upper belly under the domes of the diaphragm."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dicomfab.fabricate.anatomy.build import Build
from dicomfab.fabricate.anatomy.scene import Scene
from dicomfab.fabricate.anatomy.tissue import Tissue

_LUNGS = (Tissue.INNER_FAT, Tissue.LUNG)
_BELLY = (Tissue.DIAPHRAGM, Tissue.BELLY_FAT)
_UNDER = (Tissue.DIAPHRAGM, Tissue.GAS)
_WALL = (Tissue.BOWEL_WALL, Tissue.BOWEL_WALL)
_DOME = (Tissue.DIAPHRAGM, Tissue.DIAPHRAGM)
_HOLLOW = (Tissue.INNER_FAT, Tissue.VEIN)
_LEFT, _RIGHT = (50.0, 36.0, 35.0), (42.0, 20.0, 34.0)  # half axes of the ventricles


def belly(scene: Scene, build: Build) -> None:
    """Both domes of the diaphragm and what lies under them."""
    s, shift = build.size, build.shift
    rise = 3.0 * shift[0]
    floor, cavity = build.point(0, 0, -300), (Tissue.INNER_FAT, Tissue.LUNG)
    right, left = build.point(-62, -2, -178 + rise), build.point(60, -2, -190 + rise)
    middle = build.point(0, -14, -186 + rise)
    domes = ((right, (93, 104, 140)), (left, (92, 104, 136)), (middle, (70, 84, 132)), (floor, (400, 400, 168)))
    for shrink, tissue, over in ((0.0, Tissue.DIAPHRAGM, cavity), (3.2, Tissue.BELLY_FAT, (Tissue.DIAPHRAGM,) * 2)):
        for centre, radii in domes:
            scene.ellipsoid(centre, [(r - shrink) * s for r in radii], tissue, over)
    liver = build.point(-60, -3, -178 + rise)
    scene.ellipsoid(liver, (88 * s, 99 * s, 136 * s), Tissue.LIVER, _BELLY)
    scene.ellipsoid(build.point(4, -32, -112 + rise), (70 * s, 44 * s, 46 * s), Tissue.LIVER, _BELLY)
    stomach = np.array(build.point(56, -4, -112 + rise))
    scene.ellipsoid(stomach, (40 * s, 48 * s, 50 * s), Tissue.BOWEL_WALL, _BELLY)
    scene.ellipsoid(stomach, (37 * s, 45 * s, 47 * s), Tissue.STOMACH, _WALL)
    scene.ellipsoid(stomach + (4, -14 * s, 16 * s), (27 * s, 26 * s, 25 * s), Tissue.GAS, (Tissue.STOMACH,) * 2)
    scene.ellipsoid(build.point(98, 44, -118 + rise), (30 * s, 40 * s, 54 * s), Tissue.SPLEEN, _BELLY)
    for side, drop in ((-1, -20), (1, 0)):
        kidney = np.array(build.point(side * 56, 50, -178 + drop))
        scene.ellipsoid(kidney, (27 * s, 24 * s, 52 * s), Tissue.KIDNEY, (Tissue.DIAPHRAGM, Tissue.LIVER))
        scene.ellipsoid(kidney - (side * 8, 0, 0), (11 * s, 10 * s, 24 * s), Tissue.BELLY_FAT, (Tissue.KIDNEY,) * 2)
    for x, y, z, r in ((92, -40, -172, 25), (60, -58, -200, 23), (4, -60, -205, 22), (-74, -58, -232, 27)):
        bowel = np.array(build.point(x, y, z))
        scene.ellipsoid(bowel, (r * 1.3 * s, r * s, r * s), Tissue.STOMACH, _BELLY)
        scene.ellipsoid(bowel + (0, -4, 2), (r * s, r * 0.6 * s, r * 0.7 * s), Tissue.GAS, (Tissue.STOMACH,) * 2)


def mediastinum(scene: Scene, build: Build) -> None:
    """Heart, great vessels, oesophagus and trachea, over lungs and fat."""
    _soft_middle(scene, build)
    _heart(scene, build)
    _great_vessels(scene, build)
    _airway_trunk(scene, build)


def _soft_middle(scene: Scene, build: Build) -> None:
    """The fat that keeps the lungs apart."""
    s, lung = build.size, (Tissue.LUNG, Tissue.LUNG)
    scene.ellipsoid(build.point(0, 30, 40), (30 * s, 40 * s, 120 * s), Tissue.INNER_FAT, lung)
    scene.ellipsoid(build.point(2, -20, 60), (25 * s, 52 * s, 72 * s), Tissue.INNER_FAT, lung)
    scene.ellipsoid(build.point(2, 44, -60), (27 * s, 30 * s, 110 * s), Tissue.INNER_FAT, lung)
    scene.ellipsoid(build.point(0, -60, 30), (9 * s, 34 * s, 120 * s), Tissue.INNER_FAT, lung)


def _heart(scene: Scene, build: Build) -> None:
    s = build.size * build.heart
    axis = np.array([0.70, -0.50, -0.51])
    axis /= np.linalg.norm(axis)
    side = np.cross(axis, (0.0, 0.0, 1.0))
    side /= np.linalg.norm(side)
    axes = np.array([axis, side, np.cross(axis, side)])
    base = np.array(build.point(22 + 2 * build.shift[1], -24, -38 + 2 * build.shift[2]))

    def chamber(
        along: float, across: float, up: float, radii: Iterable[float], tissue: Tissue, over: tuple[int, int] = _HOLLOW
    ) -> None:
        centre = base + s * (along * axis + across * axes[1] + up * axes[2])
        scene.ellipsoid(centre, [r * s for r in radii], tissue, over, axes=axes)

    chamber(2, 0, 0, (68, 50, 49), Tissue.PERICARDIUM)
    right = base + s * np.array((2, -30, -4))
    # The heart rests on the diaphragm, which gives way to it.
    beneath = ((6.0, Tissue.DIAPHRAGM, _UNDER), (6.0, Tissue.DIAPHRAGM, _WALL), (3.0, Tissue.PERICARDIUM, _DOME))
    for grow, tissue, over in beneath:
        chamber(24, 6, -2, (r + grow for r in _LEFT), tissue, over)
        scene.ellipsoid(right, [(r + grow) * s for r in _RIGHT], tissue, over)
    scene.ellipsoid(base + s * np.array((-34, 0, 6)), (38 * s, 40 * s, 52 * s), Tissue.PERICARDIUM, _LUNGS)
    chamber(24, 6, -2, _LEFT, Tissue.MYOCARDIUM)
    chamber(21, 6, -2, (37, 22, 21), Tissue.BLOOD)
    scene.ellipsoid(right, [r * s for r in _RIGHT], Tissue.MYOCARDIUM, (11, 11))
    scene.ellipsoid(right, [(r - 3) * s for r in _RIGHT], Tissue.BLOOD, (11, 12))
    scene.ellipsoid(
        base + s * np.array((-42, -2, 2)), (24 * s, 28 * s, 35 * s), Tissue.BLOOD, (Tissue.PERICARDIUM,) * 2
    )
    scene.ellipsoid(base + s * np.array((-8, 28, 18)), (35 * s, 19 * s, 25 * s), Tissue.BLOOD, (5, 11))


def _great_vessels(scene: Scene, build: Build) -> None:
    s, p = build.size, build.point
    over = (Tissue.INNER_FAT, Tissue.DIAPHRAGM)
    lung_over = (Tissue.INNER_FAT, Tissue.PERICARDIUM)
    behind = [build.back(24, -8, z) for z in range(56, -330, -20)]
    arch = [p(-2, -24, -12), p(-16, -30, 18), p(-16, -26, 42), p(-4, -14, 60), p(12, 4, 67), p(22, 24, 64)]
    aorta = np.concatenate([curve([*arch, behind[0]]), np.array(behind[1:])])
    radii = np.concatenate([np.linspace(16.5, 12.5, len(aorta) - len(behind)), np.linspace(12.5, 10, len(behind))]) * s
    scene.path(aorta, radii + 1.2, Tissue.MYOCARDIUM, over)
    scene.path(aorta, radii, Tissue.BLOOD, (Tissue.INNER_FAT, Tissue.BELLY_FAT))
    for x, y, top_x in ((-8, -16, -34), (6, -4, 20), (16, 8, 34)):
        branch = [p(x, y, 70), p((x + top_x) / 2, y + 2, 98), p(top_x, 8, 128), p(top_x * 1.05, 4, 240)]
        scene.path(curve(branch), 4.6 * s, Tissue.BLOOD, over)
    cava = [p(-30, -14, 100), p(-30, -16, 60), p(-30, -12, 20), p(-34, -6, -10)]
    scene.path(curve(cava), 9.5 * s, Tissue.VEIN, over)
    for side, low in ((-1, -30), (1, -22)):
        scene.path(curve([p(low, -16, 88), p(side * 34, -22, 112), p(side * 44, -8, 140)]), 6.4 * s, Tissue.VEIN, over)
    scene.path([p(-28, 6, -56), p(-26, 16, -110), p(-24, 26, -330)], 12.0 * s, Tissue.VEIN, (5, Tissue.LIVER))
    trunk = [p(10, -40, -6), p(14, -32, 18), p(16, -14, 30)]
    scene.path(curve(trunk), 13.5 * s, Tissue.BLOOD, lung_over)
    scene.path(curve([p(14, -18, 26), p(-12, -4, 23), p(-46, 10, 14)]), [11.0 * s] * 9, Tissue.BLOOD, lung_over)
    scene.path(curve([p(16, -12, 30), p(34, 4, 32), p(46, 18, 18)]), [11.0 * s] * 9, Tissue.BLOOD, lung_over)
    for side in (-1, 1):
        for z, out in ((4, -4), (-14, -20)):
            scene.path([p(side * 14, 14, z), p(side * 48, 16, out)], 5.5 * s, Tissue.BLOOD, lung_over)
    gullet = [build.back(6, -22, z) for z in range(170, -120, -20)]
    scene.path(gullet, 6.5 * s, Tissue.OESOPHAGUS, (Tissue.INNER_FAT, Tissue.PERICARDIUM))
    scene.path(gullet[3:11], 1.6 * s, Tissue.GAS, (Tissue.OESOPHAGUS,) * 2)


def _airway_trunk(scene: Scene, build: Build) -> None:
    s, p = build.size, build.point
    windpipe = [p(0, -8, 330), p(0, -2, 200), p(0, 6, 140), p(-2, 14, 90), p(-3, 18, 40)]
    mains = [
        [p(-3, 18, 42), p(-20, 20, 24), p(-40, 22, 6), p(-48, 26, -16)],
        [p(-3, 18, 42), p(18, 21, 26), p(42, 24, 12), p(50, 28, -10)],
    ]
    over = (Tissue.FAT, Tissue.VEIN)
    scene.path(windpipe, 10.4 * s, Tissue.AIRWAY_WALL, over)
    for main in mains:
        scene.path(curve(main), [7.6 * s] * 13, Tissue.AIRWAY_WALL, over)
    wall = (Tissue.LUNG, Tissue.AIRWAY_WALL)
    scene.path(windpipe, 8.6 * s, Tissue.AIRWAY, wall)
    for main in mains:
        scene.path(curve(main), [6.0 * s] * 13, Tissue.AIRWAY, wall)


def curve(points: ArrayLike, steps: int = 4) -> NDArray[np.float64]:
    """A smooth line through points (Catmull-Rom), ``steps`` pieces between neighbours."""
    given = np.asarray(points, np.float64)
    p = np.concatenate([2 * given[:1] - given[1:2], given, 2 * given[-1:] - given[-2:-1]])
    line = [given[:1]]
    for n in range(len(given) - 1):
        a, b, c, d = p[n : n + 4]
        t = np.linspace(0, 1, steps + 1)[1:, None]
        line.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.concatenate(line)
