"""Legs and arms; legs in the coordinates of the belly, see :mod:`trunk`."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from dicomfab.fabricate.anatomy.organs import curve
from dicomfab.fabricate.anatomy.pelvis import HIP
from dicomfab.fabricate.anatomy.scene import Profile, Scene
from dicomfab.fabricate.anatomy.tissue import Tissue

KNEE: Final = (80.0, 2.0, -692.0)
SOLE_Z: Final = -1142.0
_OPEN: Final = (Tissue.AIR, Tissue.SKIN)
# z, centre x, centre y, half width, half depth of the left leg.
_LEG: Final = (
    (-1108, 80, 6, 34, 38), (-1078, 80, 4, 33, 38), (-1030, 80, 8, 31, 37), (-960, 80, 14, 37, 43),
    (-880, 80, 20, 50, 56), (-830, 80, 20, 54, 60), (-780, 80, 14, 52, 57), (-735, 79, 6, 50, 54),
    (-692, 79, 2, 53, 57), (-650, 80, 4, 56, 60), (-590, 82, 6, 62, 68), (-500, 86, 8, 73, 79),
    (-420, 90, 10, 81, 88), (-340, 93, 12, 85, 95), (-312, 92, 14, 82, 93),
)  # fmt: skip


def legs(belly: Scene, fat_mm: float) -> None:
    """Both legs, from the hips to the soles, without the heads of the thigh bones and without the knees."""
    for side in (-1, 1):
        leg(belly.placed((0, 0, 0), mirrored=side < 0), fat_mm)


def leg(half: Scene, fat_mm: float) -> None:
    """The left leg, as :func:`legs`."""
    _flesh(half, fat_mm)
    _thigh(half)
    _shank(half)


def _flesh(leg: Scene, fat_mm: float) -> None:
    # Above, the leg sinks into the torso.
    outline = np.array((*_LEG, (-275, 91, 14, 74, 80), (-230, 88, 14, 36, 40)), np.float64)
    outline[:, 3:] += fat_mm * np.linspace(0.1, 0.7, len(outline))[:, None]
    leg_tube = Profile(outline)
    inner = np.array((*_LEG, (-275, 93, 12, 70, 74), (-230, 95, 10, 34, 36)), np.float64)
    inner[:, 3:] -= np.interp(inner[:, 0], (-1100, -830, -692, -500, -310), (5, 7, 6, 9, 13))[:, None]
    for tissue, shrink in ((Tissue.SKIN, 0.0), (Tissue.FAT, 1.8)):
        leg.tube(leg_tube, tissue, _OPEN, grow_mm=-shrink)
        leg.path([(80, 28, -1112), (82, -30, -1112), (86, -80, -1122)], np.array((32, 30, 22)) - shrink, tissue, _OPEN)
        for x in (68, 80, 92, 104):
            foot = [(x * 0.6 + 34, 0, -1118), (x, -96, -1126), (x, -140 + abs(x - 74) * 0.5, -1130)]
            leg.path(foot, np.array((22, 13, 11)) - shrink, tissue, _OPEN)
    leg.tube(Profile(inner), Tissue.MUSCLE, (Tissue.FAT, Tissue.FAT))


def _shaft(leg: Scene, points: ArrayLike, radii: ArrayLike, cortex_mm: ArrayLike) -> None:
    line, r = np.asarray(points, np.float64), np.asarray(radii, np.float64)
    leg.path(line, r, Tissue.COMPACT_BONE)
    leg.path(line, r - np.asarray(cortex_mm), Tissue.YELLOW_MARROW)


def _thigh(leg: Scene) -> None:
    fat = (Tissue.MUSCLE, Tissue.MUSCLE)
    # Septa between the muscle groups, and the vessels.
    for a, b in (((128, -10), (160, 10)), ((96, -36), (84, -80)), ((100, 40), (92, 90)), ((70, -10), (30, -30))):
        for z in np.arange(-640.0, -330.0, 2.5):
            k = np.interp(z, (-640, -330), (0.62, 1.0))
            ends = [((x - 96) * k + 86, y * k, z) for x, y in (a, b)]
            leg.capsules(ends[0], ends[1], 1.5, Tissue.INNER_FAT, fat)
    vessel = [(84, -40, -400), (72, -10, -520), (78, 30, -640), (80, 32, -700), (80, 30, -780)]
    leg.path(vessel, (7, 8, 9, 10, 7), Tissue.INNER_FAT, fat)
    leg.path(vessel, (4.2, 3.8, 3.4, 3.2, 2.2), Tissue.BLOOD, (Tissue.INNER_FAT, Tissue.INNER_FAT))
    leg.path(np.array(vessel) + (3, 5, 0), (4.4, 4, 4, 4, 2.6), Tissue.VEIN, (Tissue.INNER_FAT, Tissue.INNER_FAT))
    shaft = curve([(126, 16, -305), (120, 6, -400), (104, 2, -540), (86, 4, -610), (80, 4, -640)])
    sizes = np.interp(np.arange(len(shaft)), [0, 3, 10, 13, 16], [18, 14, 14, 16, 22])
    _shaft(leg, shaft, sizes, np.interp(np.arange(len(shaft)), [0, 3, 10, 13, 16], [2.5, 6, 6, 2.5, 1.5]))


def _shank(leg: Scene) -> None:
    shin = curve([(80, 4, -728), (78, -2, -780), (76, 0, -900), (76, 4, -1030), (76, 4, -1072)])
    cut = np.interp(np.arange(len(shin)), [0, 4, 12, 16], [2, 5, 4.5, 2])
    _shaft(leg, shin, np.interp(np.arange(len(shin)), [0, 4, 10, 13, 16], [22, 15, 12, 14, 19]), cut)
    splint = curve([(116, 22, -716), (112, 20, -760), (104, 22, -900), (101, 14, -1040), (102, 10, -1096)])
    _shaft(leg, splint, np.interp(np.arange(len(splint)), [0, 3, 13, 16], [10, 5.5, 6, 10]), 1.8)
    _foot(leg)


def _foot(leg: Scene) -> None:
    for shrink, tissue in ((0.0, Tissue.COMPACT_BONE), (1.2, Tissue.YELLOW_MARROW)):
        leg.ellipsoid((78, -4, -1088), (17 - shrink, 26 - shrink, 13 - shrink), tissue)
        leg.path([(80, 44, -1116), (82, 4, -1112)], np.array((17, 14)) - shrink, tissue)
        leg.path([(82, -4, -1106), (84, -52, -1108)], np.array((15, 14)) - shrink, tissue)
        for n, x in enumerate((64, 76, 86, 96, 106)):
            start = (x * 0.6 + 34, -56, -1110)
            leg.path([start, (x, -108, -1126)], np.array((6.5, 6)) - shrink - n * 0.3, tissue)
            leg.path([(x, -114, -1127), (x, -138 + n * 5, -1130)], 5.4 - shrink - n * 0.4, tissue)


def hips(belly: Scene) -> None:
    """The upper ends of the thigh bones."""
    for side in (-1, 1):
        leg = belly.placed((0, 0, 0), mirrored=side < 0)
        for shrink, tissue in ((0.0, Tissue.BONE), (1.4, Tissue.MARROW)):
            leg.ellipsoid(HIP, (24.4 - shrink,) * 3, tissue)
            leg.path(np.array([HIP, HIP + (18, 5, -13), (128, 18, -290)]), np.array((18, 15.5, 18)) - shrink, tissue)
            leg.ellipsoid((134, 22, -282), (14 - shrink, 19 - shrink, 20 - shrink), tissue)
            leg.ellipsoid((110, 26, -322), (10 - shrink, 10 - shrink, 12 - shrink), tissue)
            leg.path([(128, 18, -290), (124, 12, -340)], np.array((18, 14)) - shrink * 2, tissue)


def arms_down(scene: Scene, fat_mm: float) -> None:
    """Both arms hanging, in the coordinates of the chest's average frame."""
    for side in (-1, 1):
        arm = scene.placed((0, 0, 0), mirrored=side < 0)
        shoulder, elbow, wrist = np.array((150, 16, 116)), np.array((204, 24, -190)), np.array((224, -2, -440))
        for tissue, shrink in ((Tissue.SKIN, 0.0), (Tissue.FAT, 1.8), (Tissue.MUSCLE, 6.0 + fat_mm * 0.4)):
            over = _OPEN if tissue != Tissue.MUSCLE else (Tissue.AIR, Tissue.FAT)
            sizes = np.array((46, 47, 40, 43, 25)) + fat_mm * 0.4 - shrink
            arm.path(
                [shoulder, shoulder * 0.8 + elbow * 0.2, elbow, elbow * 0.75 + wrist * 0.25, wrist], sizes, tissue, over
            )
            for n, y in enumerate((-18, -6, 6, 18)):
                hand = [wrist, wrist + (4, y, -70), wrist + (2, y * 1.15, -150 + 8 * abs(n - 1))]
                arm.path(hand, np.array((22, 14, 8.5)) - shrink * 0.8, tissue, over)
        _shaft(arm, [shoulder, shoulder * 0.8 + elbow * 0.2, elbow], (22, 12, 17), (2.5, 4.5, 2.5))
        arm.ellipsoid(elbow, (28, 15, 13), Tissue.BONE)
        for shift in (-9, 9):
            _shaft(arm, [elbow + (shift, 2, -12), wrist + (shift, 0, 12)], (9, 8), 2.6)
        for y in (-18, -6, 6, 18):
            _shaft(arm, [wrist + (2, y * 0.6, -24), wrist + (4, y, -80)], (5, 4.5), 1.6)
            _shaft(arm, [wrist + (4, y, -86), wrist + (2, y * 1.15, -146)], (4.5, 3), 1.3)
        arm.ellipsoid(wrist + (0, 0, -10), (13, 22, 14), Tissue.BONE)
